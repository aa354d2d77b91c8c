"""Secrets: values that are known, shapes of keys, and the check of everything that is written."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from langchain_llmdispatch.deployments.deployment import is_placeholder
from langchain_llmdispatch.framing import SSEDecoder
from langchain_llmdispatch.vendors.redaction import forms, spellings

REDACTED = "REDACTED"
SHORTEST = 8
"""Shorter values are words of the text, not keys."""

_LEFT = r"(?<![A-Za-z0-9+/_\-])"
# Shapes of keys, most specific first: (what it is, pattern).
SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*KEY-----|\Z)"),
        ("an OpenAI or Anthropic key", _LEFT + r"sk-[A-Za-z0-9_\-*.]{10,}"),
        ("a Google API key", _LEFT + r"AIza[A-Za-z0-9_\-]{20,}"),
        ("a Google token", _LEFT + r"(?:ya29\.|AQ\.)[A-Za-z0-9_\-.]{20,}"),
        ("a Hugging Face token", _LEFT + r"hf_[A-Za-z0-9]{16,}"),
        ("a Groq key", _LEFT + r"gsk_[A-Za-z0-9]{16,}"),
        ("an xAI key", _LEFT + r"xai-[A-Za-z0-9]{16,}"),
        ("a Perplexity key", _LEFT + r"pplx-[A-Za-z0-9]{16,}"),
        ("an NVIDIA key", _LEFT + r"nvapi-[A-Za-z0-9_\-]{16,}"),
        ("a Replicate token", _LEFT + r"r8_[A-Za-z0-9]{16,}"),
        ("a LangSmith key", _LEFT + r"lsv2_[A-Za-z0-9_]{16,}"),
        ("a Tavily key", _LEFT + r"tvly-[A-Za-z0-9_\-]{16,}"),
        ("a GitHub token", _LEFT + r"(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
        ("an AWS key id", _LEFT + r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])"),
        ("a Slack token", _LEFT + r"xox[abeoprs]-[A-Za-z0-9\-]{10,}"),
        ("a JSON web token", _LEFT + r"eyJ[A-Za-z0-9_\-]{10,}\.eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}"),
        ("a Stripe key", _LEFT + r"(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{10,}"),
        ("a GitLab token", _LEFT + r"glpat-[A-Za-z0-9_\-]{16,}"),
        ("an npm token", _LEFT + r"npm_[A-Za-z0-9]{30,}"),
        ("a SendGrid key", _LEFT + r"SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}"),
        ("a password in a URL", r"(?<=://)[^\s/?#@:\"'<>\\]*:(?!REDACTED@)[^\s/?#@\"'<>\\]{3,}(?=@[\w\[])"),
        ("a bearer token", r"(?i:\bbearer\s+)(?!REDACTED)[A-Za-z0-9_\-.=+/]{16,}"),
        ("a key in a URL", r"(?i)[?&](?:api[_-]?key|key|access_token|sig)=(?!REDACTED)[^&\s\"'<>\\]{8,}"),
    )
)
# Whose account it was: (pattern, what it becomes). They are scrubbed, and are no reason to refuse a file.
ACCOUNTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(_LEFT + r"org-(?!REDACTED)[A-Za-z0-9]{8,}"), "org-REDACTED"),
    (re.compile(_LEFT + r"proj_(?!REDACTED)[A-Za-z0-9]{8,}"), "proj_REDACTED"),
    (re.compile(_LEFT + r"user-[A-Za-z0-9]{20,}"), "user-REDACTED"),
    (re.compile(r"\bprojects/(?!project\b)[a-z0-9][a-z0-9\-:.]{3,}"), "projects/project"),
    (re.compile(r"(?i)\b(project_number:)\d+"), r"\g<1>0"),
    (
        re.compile(
            r"(?i)\b(?!resource\.)[a-z0-9][a-z0-9\-]*"
            r"(\.(?:openai\.azure|services\.ai\.azure|cognitiveservices\.azure|inference\.ai\.azure|azure-api)"
            r"\.(?:com|us|cn|net))"
        ),
        r"resource\1",
    ),
    (re.compile(r"(?i)\b(?!resource\.)[a-z0-9][a-z0-9\-]*(\.azure-api\.net)"), r"resource\1"),
    (re.compile(r"(?i)\b(?!endpoint\.)[a-z0-9][a-z0-9\-.]*(\.endpoints\.huggingface\.cloud)"), r"endpoint\1"),
)
# Without one of these words no pattern above matches: most texts need no closer look.
_HINT = re.compile(
    r"(?i)sk-|aiza|ya29|aq\.|hf_|gsk_|[sr]k_|whsec_|glpat-|npm_|SG\.|://[^\s/]*@|xai-|pplx-|nvapi-|r8_|lsv2_|tvly-|gh[pousr]_|github_pat|akia|asia|xox|eyj"
    r"|huggingface\.cloud|private key|bearer|key=|sig=|token=|org-|proj_|user-|projects/|project_number|azure"
)
_NAMES = re.compile(r"(?i)(?:key|token|secret|password|passwd|credential)s?$")


class SecretFoundError(AssertionError):
    """What was about to be written still held a secret; nothing was written."""


class Secrets:
    """The secrets of one test: known values, and shapes of keys.

    Args:
        values: Known secrets; words, placeholders and everything shorter than 8 characters are left out.
    """

    def __init__(self, values: Iterable[str | None] = ()) -> None:
        self._values: dict[str, tuple[tuple[str, ...], re.Pattern[str] | None]] = {}
        for value in values:
            self.add(value)

    def add(self, value: str | None) -> None:
        """Add a secret."""
        secret = (value or "").strip()
        if len(secret) >= SHORTEST and secret not in self._values and not is_placeholder(secret):
            self._values[secret] = forms(secret), spellings(secret)

    def learn(self, environment: Mapping[str, str]) -> None:
        """Add the values of variables whose names are those of secrets."""
        for name, value in environment.items():
            plain = value.isdigit() or value.startswith(("/", "http://", "https://")) or " " in value
            if _NAMES.search(name) and not plain:
                self.add(value)

    def scrub(self, text: str) -> str:
        """Return the text without secrets and without the names of accounts."""
        if len(text) < SHORTEST:
            return text
        for spelt, pattern in self._values.values():
            for form in spelt:
                if form in text:
                    text = text.replace(form, REDACTED)
            if pattern is not None:
                text = pattern.sub(REDACTED, text)
        if _HINT.search(text) is None:
            return text
        for _, shape in SHAPES:
            text = shape.sub(_kept_head, text)
        for pattern, instead in ACCOUNTS:
            text = pattern.sub(instead, text)
        return text

    def find(self, text: str) -> str | None:
        """Return what kind of secret is in the text, or None. Never returns the secret."""
        for spelt, pattern in self._values.values():
            if any(form in text for form in spelt) or (pattern is not None and pattern.search(text)):
                return "a configured secret"
        if _HINT.search(text) is None:
            return None
        return next((name for name, shape in SHAPES if shape.search(text)), None)

    def check(self, document: Any, text: str, where: str) -> None:
        """Check everything that is about to be written.

        Args:
            document: What the text was made of: mappings, lists, strings, bytes.
            text: The text of the file.
            where: What the file is called.

        Raises:
            SecretFoundError: There is a secret in it; the message names its place, not the secret.
        """
        for path, leaf in leaves(document):
            plain = base64.b64decode(leaf).decode("latin-1") if path.endswith(".base64") else leaf
            if (kind := self.find(plain)) is not None:
                raise SecretFoundError(f"{where}: {path} holds {kind}; nothing was written")
        if (kind := self.find(text)) is not None:
            raise SecretFoundError(f"{where} holds {kind}; nothing was written")
        for path, joined in _joined(document).items():
            if (kind := self.find(joined)) is not None:
                raise SecretFoundError(
                    f"{where}: the pieces of {path} put together hold {kind}; nothing was written"
                )


def _kept_head(match: re.Match[str]) -> str:
    """Return the replacement for a shape: the name of a parameter or a header stays."""
    head = re.match(r"(?i)bearer\s+|[?&][\w\-]+=", match[0])
    return (head[0] if head else "") + REDACTED


def leaves(document: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every string of a document with its path: keys, values, bytes as text."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield f"{path}.<name>", str(key)
            yield from leaves(value, f"{path}.{key}")
    elif isinstance(document, (list, tuple)):
        for number, value in enumerate(document):
            yield from leaves(value, f"{path}[{number}]")
    elif isinstance(document, bytes):
        yield path, document.decode("utf-8", "replace")
    elif isinstance(document, str):
        yield path, document


def _joined(document: Any) -> dict[str, str]:
    """Return strings that arrived in pieces (a stream's deltas), put together per place."""
    pieces: dict[str, list[str]] = {}
    for path, leaf in _with_events(document):
        place, count = re.subn(r"(events|lines)\[\d+\]", r"\1[]", path)
        if count:
            pieces.setdefault(place, []).append(leaf)
    return {place: "".join(parts) for place, parts in pieces.items() if len(parts) > 1}


def _with_events(document: Any) -> Iterator[tuple[str, str]]:
    """Yield every string of a document, and those of event streams that could only be kept as text."""
    for path, leaf in leaves(document):
        yield path, leaf
        if path.endswith(".text") and "data:" in leaf:
            decoder = SSEDecoder()
            for number, event in enumerate([*decoder.feed(leaf.encode()), *decoder.close()]):
                yield from leaves(_value(event.data), f"{path}.events[{number}]")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
