"""What must not be shown of a vendor's text: keys, tokens, credentials in headers and addresses."""

from __future__ import annotations

import base64
import html
import json
import re
from binascii import b2a_base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from langchain_llmdispatch.internal.lazy import LateModule

if TYPE_CHECKING:
    from langchain_llmdispatch.internal import key_shapes
else:
    key_shapes = LateModule("langchain_llmdispatch.internal.key_shapes")

_CREDENTIAL = re.compile(
    r"auth|key|token|secret|passw|cookie|credential|session|signature|jwt", re.IGNORECASE
)
"""Parts of the names of headers that hold credentials."""
_OF_PROTOCOL = re.compile(
    r"accept|connection|content-|host$|user-agent|(?:http-)?referer|x-title|x-stainless-|"
    r"(?:anthropic|openai)-(?:beta|version|organization|project)$",
    re.IGNORECASE,
)
"""Names of headers whose values are no secrets; errors name them."""
_LEAST_SECRET = 4  # characters; shorter ones are words of the text, not keys
_LEAST_VALUE = 8  # characters of a value that nothing but its place makes a secret
_SEARCHED, _SHOWN = 4000, 600  # characters
_DEEPEST = 8  # levels of parameters that are searched


def redact(text: str, *secrets: str | None) -> str:
    """Return `text` without anything that is, or looks like, a key, and at most 600 characters long.

    Vendors echo (parts of) keys in 401 texts, which must not reach an exception. A known secret is found as
    base64, URLs, JSON and HTML spell it, too.
    """
    found = hidden(text[:_SEARCHED], *secrets)
    if len(text) > _SEARCHED and len(found) < _SHOWN:  # what was cut at the end may be a part of a secret
        head, mark, _ = found.rpartition(key_shapes.REDACTED)
        return head + mark
    return found[:_SHOWN]


def hidden(text: str, *secrets: str | None) -> str:
    """Return the whole `text` as `redact` does."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        if _LEAST_SECRET <= len(secret) <= len(text):  # no spelling is shorter than the secret
            text = _without(text, secret)
    return key_shapes.without_keys(text)


def _without(text: str, secret: str) -> str:
    text = text.replace(secret, key_shapes.REDACTED)
    if "\\u" in text or _may_hold_coded(text, secret):
        for form in forms(secret):
            text = text.replace(form, key_shapes.REDACTED)
    if _is_spelled_alike(secret):
        return text
    if max(re.findall(r"\w+", secret, re.ASCII), key=len, default="") not in text:
        return text
    pattern = spellings(secret)
    return text if pattern is None else pattern.sub(key_shapes.REDACTED, text)


def _may_hold_coded(text: str, secret: str) -> bool:
    """Return whether `text` has a word as long as base64 makes a secret: four digits for three bytes.

    The first and the last digit, which share bits with what stands around the secret, do not count.
    """
    digits = (len(secret) * 4 - 4) / 3
    return len(text) >= digits and max(map(len, text.split()), default=0) >= digits


def forms(secret: str) -> tuple[str, ...]:
    """Return a secret, its escapes, and what base64 makes of it, whatever stands before and after it."""
    escaped = "".join(f"\\u{ord(char):04x}" for char in secret)
    coded = (
        core for shift in range(3) for core in _coded(secret.encode(), shift) if len(core) >= _LEAST_VALUE
    )
    return (secret, escaped, *dict.fromkeys(coded))


def _coded(value: bytes, shift: int) -> tuple[str, str]:
    """Return the base64 digits that are all a value's own when so many bytes stand before it."""
    first, last = -(-shift * 8 // 6), (shift + len(value)) * 8 // 6
    plain = b2a_base64(bytes(shift) + value)[first:last].decode()
    return plain, plain.replace("+", "-").replace("/", "_")


def spellings(secret: str) -> re.Pattern[str] | None:
    """Return a pattern for a secret as URLs, JSON and HTML spell it, one in another too.

    None where all of them spell it as it is: most keys are letters, digits, dashes and dots.
    """
    return None if _is_spelled_alike(secret) else re.compile("".join(map(_spelling, secret)))


def _is_spelled_alike(secret: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_.~\-]*", secret) is not None


def _spelling(char: str) -> str:
    if char.isalnum() and char.isascii():
        return char
    coded = "".join(f"%{byte:02x}" for byte in char.encode())
    units = char.encode("utf-16-be")
    escaped = "".join(rf"\\+u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    short = json.dumps(char)[1:-1]
    named = rf"\\+{short[1]}" if short[0] == "\\" and short[1].isalpha() else re.escape(html.escape(char))
    plain = rf"\\*{re.escape(char)}" if char != "\\" else r"\\+"
    return rf"(?:{plain}|(?i:{coded}|{escaped}|&#0*{ord(char)};|&#x0*{ord(char):x};)|{named})"


# -- where secrets are ---------------------------------------------------------------------------------


def credentials(headers: Mapping[str, str]) -> list[str]:
    """Return the values of headers that hold credentials by their names, and their parts.

    Parts are what follows a scheme (`Basic ...`) or the name of a cookie, and the password in a `Basic` one.
    """
    values = [value for name, value in headers.items() if _CREDENTIAL.search(name)]
    cookies = [cookie.partition("=")[2] for value in values for cookie in value.split(";")]
    passwords = [part for value in values for part in _password(value)]
    return [*values, *(value.partition(" ")[2] for value in values), *cookies, *passwords]


def _password(value: str) -> tuple[str, ...]:
    """Return name and password together, and the password alone, of a `Basic` header."""
    scheme, _, coded = value.partition(" ")
    if scheme.lower() != "basic":
        return ()
    try:
        both = base64.b64decode(coded, validate=True).decode()
    except ValueError:
        return ()
    return both, both.partition(":")[2]


def header_secrets(headers: Mapping[str, str]) -> list[str]:
    """Return what users' own headers hold: credentials, and any value that is no matter of the protocol."""
    others = [
        value
        for name, value in headers.items()
        if len(value) >= _LEAST_VALUE and not _OF_PROTOCOL.match(name)
    ]
    return [*credentials(headers), *others]


def proxy_passwords(address: str) -> tuple[str, ...]:
    """Return the password in a proxy's address, as it is written and as it is sent."""
    user, _, password = address.rpartition("://")[2].rpartition("@")[0].partition(":")
    if not password:
        return ()
    both = f"{unquote(user)}:{unquote(password)}"
    return password, unquote(password), both, base64.b64encode(both.encode()).decode()


def parameter_secrets(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the credentials among parameters: those of MCP servers, by the names of their fields."""
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(item, str):
                yield from _inner_secrets(str(name), item, depth)
            elif len(item) >= _LEAST_VALUE and _CREDENTIAL.search(str(name)):
                yield from credentials({str(name): item})
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from parameter_secrets(item, depth + 1)


def _inner_secrets(name: str, item: Any, depth: int) -> Iterator[str]:
    if "headers" in name.casefold() and isinstance(item, Mapping):
        yield from header_secrets({str(key): text for key, text in item.items() if isinstance(text, str)})
    else:
        yield from parameter_secrets(item, depth + 1)
