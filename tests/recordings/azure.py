"""What Azure's recorded exchanges say: Azure OpenAI, AI Foundry and GitHub Models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.recordings import openai

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call
    from tests.recordings.expected import Expected

SKIPPED = openai.SKIPPED


def expected(exchange: dict[str, Any]) -> Expected | None:
    """Return what must be found in the exchange, or None if it is no chat of this codec."""
    return openai.expected(exchange)


def call(exchange: dict[str, Any]) -> Call:
    """Return a call like that of the exchange; the deployment's name is in its path."""
    asked = openai.call(exchange)
    parts = urlsplit(exchange["request"].get("url") or "")
    version = parse_qs(parts.query).get("api-version", [None])[0]
    segments = parts.path.split("/")
    model = segments[segments.index("deployments") + 1] if "deployments" in segments else asked.model
    return replace(asked, model=model, endpoint=replace(asked.endpoint, api_version=version))
