"""Scrubbing: what of an exchange may be kept. Headers by permission, the rest without secrets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing.cassettes.payloads import loads
from langchain_llmdispatch.testing.cassettes.secrets import REDACTED, Secrets
from langchain_llmdispatch.vendors.word_secrets import signs_query

REQUEST_HEADERS = ("content-type", "anthropic-version", "anthropic-beta", "openai-beta")
RESPONSE_HEADERS = (
    "content-type",
    "date",
    "server",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "*ratelimit*",
    "x-request-id",
    "request-id",
    "apim-request-id",
    "openai-processing-ms",
    "openai-version",
)
_NEVER = re.compile(
    r"(?i)authorization|cookie|(?:^|-)api-?key$|goog-api-key|secret|token$|organization|project"
)
_QUERY = re.compile(r"(?i)^(?:api[_-]?key|key|access_token|token|sig|signature|code|auth|client_secret)$")
_FIELDS = {
    *("api_key", "apikey", "apiKey", "access_token", "refresh_token", "id_token"),
    *("client_secret", "client_assertion", "password", "private_key"),
}
_BASE64 = re.compile(r"(?:data:[\w/+.\-]+;base64,)?([A-Za-z0-9+/_\-]{1500,}={0,2})")
_LOCAL = {"127.0.0.1", "localhost", "::1", "0.0.0.0"}  # noqa: S104 - compared, not bound


class Scrubber:
    """Scrubs requests and responses, the same way when recording and when matching.

    Args:
        secrets: What must not be kept.
        keep_headers: Globs of further headers to keep.

    Attributes:
        secrets: What must not be kept.

    Raises:
        ConfigurationError: A header that carries credentials is to be kept.
    """

    def __init__(self, secrets: Secrets, keep_headers: Iterable[str] = ()) -> None:
        self.secrets = secrets
        self._more = tuple(name.casefold() for name in keep_headers)
        for name in self._more:
            if _NEVER.search(name.strip("*")):
                raise ConfigurationError(f"keep_headers: {name!r} carries credentials; it is never kept")

    def text(self, text: str) -> str:
        """Return text without secrets."""
        return self.secrets.scrub(text)

    def request_headers(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return the headers of a request that may be kept."""
        return self._kept(headers, (*REQUEST_HEADERS, *self._more))

    def response_headers(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return the headers of a response that may be kept."""
        return self._kept(headers, (*RESPONSE_HEADERS, *self._more))

    def url(self, url: str) -> str:
        """Return a URL without credentials, ports of this machine, and names of accounts."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port and host not in _LOCAL else ""
        query = [(name, value) for name, value in parse_qsl(parts.query, True) if not _hidden(name)]
        return self.text(urlunsplit((parts.scheme, host + port, parts.path, urlencode(query), "")))

    def request_body(self, body: bytes, content_type: str) -> Any:
        """Return a request's body as it may be kept: JSON as structure, else text; None if empty."""
        if not body:
            return None
        if content_type.startswith("application/x-www-form-urlencoded"):
            return self._form(body)
        try:
            value = loads(body.decode())
        except (UnicodeDecodeError, ValueError):
            return _digest(self.text(body.decode("utf-8", "replace")))
        return self._tidy(value, digest=True)

    def response_value(self, value: Any) -> Any:
        """Return a JSON value without the fields that hold credentials."""
        return self._tidy(value, digest=False)

    def _kept(self, headers: Iterable[tuple[str, str]], globs: tuple[str, ...]) -> dict[str, str]:
        kept: dict[str, str] = {}
        for name, value in headers:
            low = name.casefold()
            if any(fnmatchcase(low, glob) for glob in globs) and not _NEVER.search(low):
                kept[low] = self.text(value)
        return kept

    def _form(self, body: bytes) -> str:
        fields = parse_qsl(body.decode("utf-8", "replace"), True)
        return self.text(urlencode([(n, REDACTED if _hidden(n) else v) for n, v in fields]))

    def _tidy(self, value: Any, *, digest: bool) -> Any:
        if isinstance(value, str):
            text = self.text(value)
            return _digest(text) if digest else text
        if isinstance(value, list):
            return [self._tidy(item, digest=digest) for item in value]
        if isinstance(value, Mapping):
            return {
                self.text(name): REDACTED
                if name in _FIELDS and isinstance(item, str)
                else self._tidy(item, digest=digest)
                for name, item in value.items()
            }
        return value


def _hidden(name: str) -> bool:
    return name in _FIELDS or _QUERY.match(name) is not None or signs_query(name)


def _digest(text: str) -> str:
    """Return text with long base64 (images, documents) as their digests: enough to match, and small."""

    def short(match: re.Match[str]) -> str:
        digest = hashlib.sha256(match[1].encode()).hexdigest()[:16]
        head = match[0][: match.start(1) - match.start(0)]
        return f"{head}sha256-{digest}-{len(match[1])}"

    return _BASE64.sub(short, text)
