"""Credentials in the words of a request: found, masked, left out."""

from __future__ import annotations

import marshal
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.types import Call
from langchain_llmdispatch.vendors.redaction import credentials

if TYPE_CHECKING:
    from langchain_llmdispatch.vendors import deep_requests
else:
    deep_requests = LateModule("langchain_llmdispatch.vendors.deep_requests")

_SECRET_FIELD = re.compile(
    r"auth|(?<!max_)(?<!max)tokens?$|secret|passw|api[-_]?key|cookie|credential|bearer|jwt|^(?:extra_)?headers$",
    re.IGNORECASE,
)
"""Names of words, and of fields in their values, that hold credentials: `authorization_token`, `headers`."""
_SIGNED = frozenset({"key", "sig", "signature", "code", "access_key"})
"""Names in the query of an address that hold a credential, beside those of fields."""
_QUERY = frozenset({"query", "extra_query", "default_query"})
_NO_SECRET = re.compile(
    r"(?:max|min|budget|input|output|prompt|completion|cached|reasoning|new|least|most|stop|num)\w*tokens?$"
    r"|^(?:tokens?_budget|logprobs|author|authors|(?:next_?)?page_?token)$",
    re.IGNORECASE,
)


def holds_credential(name: str) -> bool:
    """Return whether a word or a field is named as one that holds a credential."""
    return bool(_SECRET_FIELD.search(name)) and not _NO_SECRET.search(name)


def signs_query(name: str) -> bool:
    """Return whether a name in a query is that of a credential."""
    lower = name.lower()
    return lower in _SIGNED or lower.endswith(("key", "sig", "signature")) or holds_credential(name)


def _is_hidden(name: str, around: str) -> bool:
    """Return whether what a field holds is a credential, by its name and that of the mapping around it."""
    return around in _QUERY and signs_query(name)


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """Yield the credentials in a word: texts in fields with names of credentials.

    Args:
        value: The word's value.
        name: The word.
    """
    for _, text in placed_secrets(value, name):
        yield text


def placed_secrets(
    value: Any, name: str = "", where: str = "", *, within: bool = False
) -> Iterator[tuple[str, str]]:
    """Yield the credentials in a word, each after its place: `mcp_servers[0].authorization_token`.

    Args:
        value: The word's value.
        name: The word.
        where: Its place.
        within: Whether a field around it holds credentials (`headers`).
    """
    within, where = within or holds_credential(name), where or name
    if isinstance(value, SecretStr):
        value, within = value.get_secret_value(), True
    if isinstance(value, str):
        if within and value:
            yield where, value
        else:
            yield from ((where, secret) for secret in secrets_of_address(value))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            hidden = within or _is_hidden(str(key), name)
            yield from placed_secrets(inner, str(key), f"{where}.{key}".lstrip("."), within=hidden)
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from placed_secrets(inner, "", f"{where}[{number}]", within=within)


def secrets_of_address(text: str) -> Sequence[str]:
    """Return the password of an address, and the credentials in its query (`?api_key=...`)."""
    if "://" not in text[:12] or not ("@" in text or "=" in text):
        return ()
    try:
        parts = urlsplit(text)
    except ValueError:
        return ()
    named = [value for name, value in parse_qsl(parts.query) if signs_query(name)]
    return [secret for secret in (parts.password, *named) if secret]


def revealed(value: Any) -> Any:
    """Return a word's value with the texts of `SecretStr`s, for the vendor that it goes to."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        shown = {key: revealed(inner) for key, inner in value.items()}
        return shown if any(shown[key] is not value[key] for key in shown) else value
    if isinstance(value, (list, tuple)):
        listed = [revealed(inner) for inner in value]
        return listed if any(new is not old for new, old in zip(listed, value, strict=True)) else value
    return value


def secrets_of_call(call: Call) -> list[str]:
    """Return the credentials of a compiled call: its key, those in its headers, query and words."""
    endpoint, key = call.endpoint, call.endpoint.api_key
    held = credentials({**endpoint.headers, "key": key.get_secret_value() if key is not None else ""})
    if not (call.extra or endpoint.query or call.server_tools):
        return held
    return [*held, *secrets_in([call.extra, {"query": endpoint.query}, *call.server_tools])]


def _digest(secret: str) -> str:
    return f"[secret {sha256(secret.encode(errors='surrogatepass')).hexdigest()[:8]}]"


def masked(value: Any, name: str = "", *, within: bool = False) -> Any:
    """Return a word's value with a digest in place of each credential, so that two stay distinct."""
    within = within or holds_credential(name)
    if isinstance(value, SecretStr):
        return masked(value.get_secret_value(), within=True)
    if isinstance(value, str):
        if within and value:
            return _digest(value)
        for secret in secrets_of_address(value):
            value = value.replace(secret, _digest(secret))
        return value
    if isinstance(value, Mapping):
        return {
            key: masked(inner, str(key), within=within or _is_hidden(str(key), name))
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [masked(inner, within=within) for inner in value]
    return value


# Words without credentials, as `marshal` writes them: the same tools come with each call, and are long.
_HARMLESS: dict[bytes, None] = {}
_MOST_WORDS, _LONGEST_WORD = 128, 64 * 1024


def _masked_word(value: Any, name: str) -> Any:
    """Return a word's value with a digest in place of each credential."""
    if type(value) not in {dict, list}:
        return masked(value, name)
    if isinstance(value, list):  # bound tools are a subclass of dict
        value = [{**each} if isinstance(each, dict) else each for each in value]
    try:
        written = marshal.dumps([name, value], 2)
    except ValueError:  # of another kind
        return masked(value, name)
    if written in _HARMLESS:
        return value
    shown = masked(value, name)
    if shown == value and len(written) <= _LONGEST_WORD:
        if len(_HARMLESS) >= _MOST_WORDS:
            _HARMLESS.clear()
        _HARMLESS[written] = None
    return shown


def masked_words(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a call as traces and the keys of caches have them.

    Raises:
        InvalidRequestError: They are nested too deeply.
    """
    try:
        return {name: _masked_word(value, name) for name, value in words.items()}
    except RecursionError as error:
        raise deep_requests.deep_input(dict(words), error) from None


def without_credentials(value: Any, *, within: bool = False) -> Any:
    """Return words without the fields that hold credentials."""
    if isinstance(value, Mapping):
        return {
            key: without_credentials(inner, within=hidden)
            for key, inner in value.items()
            if not _is_credential(inner, within=(hidden := within or holds_credential(str(key))))
        }
    if isinstance(value, (list, tuple)):
        return [
            without_credentials(each, within=within)
            for each in value
            if not _is_credential(each, within=within)
        ]
    return value


def _is_credential(value: Any, *, within: bool) -> bool:
    if isinstance(value, str):
        return within or bool(secrets_of_address(value))
    return isinstance(value, SecretStr)


def shown_masked(name: str, value: Any) -> Any:
    """Return a keyword's value as one that frames and logs show without its credentials."""
    if isinstance(value, (list, tuple)):
        return [shown_masked(name, each) for each in value]
    return NamedWords(name, value) if type(value) is dict else value


class WordDict(dict[str, Any]):
    """Words of a request, shown without credentials."""

    def __repr__(self) -> str:
        """Show them, with a digest in place of each credential."""
        return repr(masked(self))


class NamedWords(dict[str, Any]):
    """A keyword's value, shown without the credentials that it holds by the keyword's name.

    Args:
        name: The keyword: what `extra_headers` holds are credentials, whatever their names.
        words: The value.
    """

    def __init__(self, name: str, words: Mapping[str, Any]) -> None:
        super().__init__(words)
        self._name = name

    def __repr__(self) -> str:
        """Show it, with a digest in place of each credential."""
        return repr(masked(dict(self), self._name))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy it as one whole."""
        return (NamedWords, (self._name, dict(self)))
