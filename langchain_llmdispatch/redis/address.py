"""Addresses of Redis servers, and the passwords in them: `redis://user:password@host`, or `?password=`."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import SplitResult, quote, unquote, urlsplit

from langchain_llmdispatch.errors import ConfigurationError


def parts_of(url: str) -> SplitResult:
    """Return the parts of a URL.

    Raises:
        ConfigurationError: It has none; unlike `urlsplit`'s own error, this one does not quote the URL.
    """
    with suppress(ValueError):
        return urlsplit(url)
    raise ConfigurationError("url: is no URL; a password's special characters are percent-encoded.")


def without_password(url: str) -> str:
    """Return a URL of Redis without its passwords: `redis://user:@host`, an empty one in its place."""
    parts = parts_of(url)
    user, found, host = parts.netloc.rpartition("@")
    words = parts.query.split("&") if parts.query else []
    names = [unquote(word.partition("=")[0]).lower() for word in words]
    query = "&".join(word for word, name in zip(words, names, strict=True) if "password" not in name)
    if ":" in user or "password" in names:
        return parts._replace(netloc=f"{user.partition(':')[0]}:@{host}", query=query).geturl()
    return url if found and query == parts.query else parts._replace(query=query).geturl()


def lacks_password(url: str) -> bool:
    """Return whether a URL has an empty password, as `without_password` leaves it."""
    return parts_of(url).netloc.rpartition("@")[0].endswith(":")


def with_password(url: str, password: str) -> str:
    """Return a URL that lacks its password with one."""
    parts = parts_of(url)
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{quote(password, safe='')}@{host}").geturl()
