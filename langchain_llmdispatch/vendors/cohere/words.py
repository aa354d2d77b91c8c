"""The request words that Cohere owns, besides those of its SDK, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_llmdispatch.vendors.words import OwnedWords, Word

_CATEGORIES = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
_THRESHOLDS = {
    "NONE": "BLOCK_NONE",
    "OFF": "BLOCK_NONE",
    "CONTEXTUAL": "BLOCK_ONLY_HIGH",
    "STRICT": "BLOCK_LOW_AND_ABOVE",
}


def _safety_settings(value: Any) -> Mapping[str, Any]:
    """Return Gemini's thresholds for a mode."""
    threshold = _THRESHOLDS.get(str(value).upper())
    if threshold is None:
        return {}
    return {"safety_settings": {f"HARM_CATEGORY_{name}": threshold for name in _CATEGORIES}}


_SHOWN = ("title", "url", "source")
"""Metadata of LangChain's documents that are worth citing."""


def documents(value: Any) -> Any:
    """Return documents as the API takes them: LangChain's `Document`s, objects of fields, or texts.

    Each gets an id by its place unless it has one, as langchain-cohere gives them.
    """
    if not isinstance(value, (list, tuple)):
        return value
    return [_document(each, f"doc-{place}") for place, each in enumerate(value)]


def _document(value: Any, identity: str) -> Any:
    text = getattr(value, "page_content", None)
    if isinstance(text, str):
        about = getattr(value, "metadata", None) or {}
        data = {name: about[name] for name in _SHOWN if isinstance(about.get(name), str)}
        own = getattr(value, "id", None) or about.get("id")
        return {"id": str(own or identity), "data": {"text": text, **data}}
    if isinstance(value, Mapping) and "data" not in value:
        return {"id": str(value.get("id") or identity), "data": dict(value)}
    return value


def _documents_text(value: Any) -> str:
    """Return documents as a text that another vendor's model can read and cite; empty without any."""
    given = documents(value)
    if not given or not isinstance(given, list):
        return ""
    return "\n\n".join(["Documents:", *map(_one_text, given)])


def _one_text(document: Any) -> str:
    if not isinstance(document, Mapping):
        return str(document)
    data = document.get("data")
    fields = dict(data) if isinstance(data, Mapping) else {"text": data}
    text = fields.pop("text", None)
    head = "\n".join([f"[{document.get('id', '')}]", *(f"{name}: {part}" for name, part in fields.items())])
    return head if text is None else f"{head}\n{text}"


WORDS = OwnedWords(
    "cohere/words.json",
    {
        "documents": Word(form=documents, system=True, text=_documents_text),
        "safety_mode": Word(means=_safety_settings),
        "priority": Word(harmless=True),
        "strict_tools": Word(harmless=True),
    },
)
