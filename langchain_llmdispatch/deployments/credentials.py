"""Keys, headers and addresses as HTTP can carry them, checked before anything is sent.

No message here repeats what it refuses: a key, a header's value, an address with a password in it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import AfterValidator, PlainSerializer, SecretStr

from langchain_llmdispatch.errors import ConfigurationError, UnusableDeploymentError
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.settings import Converted, check_depth
from langchain_llmdispatch.vendors.word_secrets import WordDict, masked

if TYPE_CHECKING:
    import httpx
else:
    httpx = LateModule("httpx")


ApiKey: TypeAlias = SecretStr | Callable[[], str]
"""A key, or a function that returns a fresh bearer token for each request (Azure Entra)."""

_NOT_OF_A_KEY = re.compile(r"[^\x20-\x7e]")
_NOT_OF_A_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_NOT_OF_A_NAME = re.compile(r"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_HOST_ALONE = re.compile(
    r"([a-z]{2,9}://[\w.\-]{1,60}|[\w.\-]{1,60}:\d{1,5})/?"
)  # repeated, since no key looks so
_SECRET_NAME = re.compile(r"(?i)auth|key|token|secret|password|cookie|credential|signature")


def checked_key(text: str, field: str = "api_key") -> str:
    """Return a key without the whitespace around it.

    Raises:
        ConfigurationError: It holds a character that no key has. The message names the first one only.
    """
    key = text.strip()
    if wrong := _NOT_OF_A_KEY.search(key):
        raise ConfigurationError(f"{field} holds {_named(wrong)}; a key is printable ASCII on one line.")
    return key


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers without the whitespace around their values.

    Raises:
        ConfigurationError: A name or a value is not one of HTTP. The message names the header, not its value.
    """
    out = {}
    for name, value in headers.items():
        if not name or _NOT_OF_A_NAME.search(name):
            raise ConfigurationError("headers: a name is empty, or HTTP does not allow it.")
        out[name] = value.strip()
        if wrong := _NOT_OF_A_VALUE.search(out[name]):
            raise ConfigurationError(
                f"headers[{name!r}] holds {_named(wrong)}; HTTP carries printable Latin-1 on one line."
            )
    return out


def checked_url(url: str | None) -> str | None:
    """Return the URL without a trailing slash.

    Raises:
        ConfigurationError: It is no absolute http(s) URL, or carries credentials, a query or a fragment. Of
            the URL, the message names the host at most.
    """
    if url is None:
        return None
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL:
        parsed = None
    if parsed is None or parsed.scheme not in {"http", "https"} or not parsed.host:
        shown = f" {url!r}" if _HOST_ALONE.fullmatch(url) else ""
        raise ConfigurationError(
            f"base_url{shown} is no absolute http(s) URL, such as https://host.example/v1."
        )
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ConfigurationError(
            f"base_url on {parsed.host!r} must hold no credentials and no query or fragment: keys go into "
            "api_key=... or headers={...}."
        )
    return url.strip().rstrip("/")


def check_encrypted(url: str, *, has_secret: bool, where: str) -> None:
    """Check that no key would go over the network in the clear.

    Args:
        url: Where requests go.
        has_secret: Whether they carry a key, or a header that may hold one.
        where: What the message names: the deployment.

    Raises:
        ConfigurationError: `url` is http:// on another machine, and there is something to keep secret.
    """
    parsed = httpx.URL(url)
    if has_secret and parsed.scheme == "http" and not is_this_machine(parsed.host):
        raise ConfigurationError(
            f"{where}: http://{parsed.host} would get the key unencrypted. Use https://, or permit it with "
            "allow_http=True in the Deployment or VendorConfig."
        )


def is_this_machine(host: str) -> bool:
    """Return whether a host is the loopback interface, by its name or address alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def holds_secret(headers: Mapping[str, str]) -> bool:
    """Return whether a header is a credential by its name."""
    return any(_SECRET_NAME.search(name) for name in headers)


def checked_token(found: Any) -> SecretStr:
    """Return what an `api_key` function has returned, as a key is: text without whitespace around it.

    Raises:
        UnusableDeploymentError: It is no key. The message does not repeat it.
    """
    text = found.get_secret_value() if isinstance(found, SecretStr) else found
    problem = None if isinstance(text, str) else type(text).__name__
    key = SecretStr(text.strip() if isinstance(text, str) else "")
    found = text = None  # no frame of a traceback holds it
    if problem is None and not key.get_secret_value():
        problem = "an empty string"
    if problem is None and (wrong := _NOT_OF_A_KEY.search(key.get_secret_value())):
        problem, wrong = f"a key with {_named(wrong)}", None
    if problem is not None:
        raise UnusableDeploymentError(f"the api_key function returned no token, but {problem}")
    return key


def _named(wrong: re.Match[str]) -> str:
    return f"the character U+{ord(wrong.group()):04X}"


def _clean_key(value: ApiKey | None) -> ApiKey | None:
    if not isinstance(value, SecretStr):
        return value
    key = checked_key(value.get_secret_value())
    return SecretStr(key) if key else None


def _checked_words(words: Mapping[str, Any]) -> WordDict:
    check_depth(words, "")
    return WordDict(words)


if TYPE_CHECKING:
    Key: TypeAlias = Converted[ApiKey | None, str | SecretStr | Callable[[], Any] | None]
else:
    Key = Annotated[ApiKey | None, AfterValidator(_clean_key)]
"""A field for a key: whitespace around it is removed, and an empty one is no key."""
Url = Annotated[str | None, AfterValidator(checked_url)]
"""A field for an address."""
Headers = Annotated[Mapping[str, str], AfterValidator(checked_headers)]
"""A field for headers."""
Words = Annotated[Mapping[str, Any], AfterValidator(_checked_words), PlainSerializer(masked)]
"""Words of requests: shown and dumped without credentials."""
