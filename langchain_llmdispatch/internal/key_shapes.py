"""What looks like a key: shapes that are hidden wherever a text is shown, whether the key is known or not."""

from __future__ import annotations

import re

REDACTED = "[redacted]"
_LEFT = r"(?:(?<![A-Za-z])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"  # a word's begin: not that of "task-specific"
_SHAPES = re.compile(
    r"(?<=://)[^/\s@:]{0,200}:(?!PASSWORD@)[^/\s@]{1,200}(?=@)|"  # a name and a password in an address
    + _LEFT
    + r"(?:"
    r"(?:sk-|gsk_|hf_|xai-|AIza|AQ\.|csk-|nvapi-|pplx-|gh[oprsu]_|github_pat_|ya29\.|eyJ|r8_|lsv2_|tvly-|"
    r"glpat-|npm_|xox[abeoprs]-|[sr]k_(?:live|test)_)[\w\-*.]{6,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9]))"
    r"|Bearer\s+[\w\-.~+/=]{8,}"  # RFC 6750
    r"|Basic\s+(?=[A-Za-z+/]*[\d=])[\w+/=\-]{8,}"  # not "Basic authentication"
    r"|(?<=[?&])(?:key|token|code|sig|signature|password)=[^&\s\"'<>\\]{8,}"
    r"|\b(?:client_secret|access_token|refresh_token|api[_-]?key|subscription-key)=[^&\s\"'<>\\]{8,}",
    re.ASCII,
)
_SIGNS = (
    *("@", "=", "sk-", "sk_", "rk_", "hf_", "xai-", "AIza", "AQ.", "nvapi-", "pplx-", "gho_", "ghp_", "ghr_"),
    *("ghs_", "ghu_", "github_pat_", "ya29.", "eyJ", "r8_", "lsv2_", "tvly-", "glpat-", "npm_", "xox"),
    *("AKIA", "ASIA", "Bearer", "Basic"),
)
"""A text without any of them has none of the shapes: they are found much faster than the pattern fails."""


def without_keys(text: str) -> str:
    """Return a text with `[redacted]` in place of whatever looks like a key."""
    for sign in _SIGNS:
        if sign in text:
            return _SHAPES.sub(REDACTED, text)
    return text
