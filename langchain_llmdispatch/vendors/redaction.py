"""What must not be shown of a vendor's text: keys, tokens, credentials in headers and addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping

_KEY_SHAPES = re.compile(
    r"(?:sk-|gsk_|hf_|xai-|AIza|AQ\.|csk-|nvapi-|pplx-|gh[opsu]_|github_pat_|ya29\.|eyJ)[\w\-*.]{6,}"
    r"|Bearer\s+[\w\-.=]{8,}"
    r"|(?<=://)[^/\s@:]{1,200}:[^/\s@]{1,200}(?=@)",  # a name and a password in an address
    re.ASCII,
)
_CREDENTIAL = re.compile(
    r"auth|key|token|secret|passw|cookie|credential|session|signature|jwt", re.IGNORECASE
)
"""Parts of the names of headers that hold credentials."""
_LEAST_SECRET = 4  # characters; shorter ones are words of the text, not keys
_SEARCHED, _SHOWN = 4000, 600  # characters


def redact(text: str, *secrets: str | None) -> str:
    """Return `text` without anything that is, or looks like, a key, and at most 600 characters long.

    Vendors echo (parts of) keys in 401 texts, which must not reach an exception.
    """
    text = text[:_SEARCHED]
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        if len(secret) >= _LEAST_SECRET:
            text = text.replace(secret, "[redacted]")
    return _KEY_SHAPES.sub("[redacted]", text)[:_SHOWN]


def credentials(headers: Mapping[str, str]) -> list[str]:
    """Return the values of headers that hold credentials by their names, and their parts.

    Parts are what follows a scheme (`Basic ...`) or the name of a cookie.
    """
    values = [value for name, value in headers.items() if _CREDENTIAL.search(name)]
    cookies = [cookie.partition("=")[2] for value in values for cookie in value.split(";")]
    return [*values, *(value.partition(" ")[2] for value in values), *cookies]
