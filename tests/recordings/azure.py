"""What is in Azure's recorded exchanges: Azure OpenAI, AI Foundry and GitHub Models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.recordings import openai

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call

SKIPPED, expected = openai.SKIPPED, openai.expected


def call(exchange: dict[str, Any]) -> Call:
    """Return a call like that of the exchange; the deployment's name is in its path."""
    made = openai.call(exchange)
    parts = urlsplit(exchange["request"].get("url") or "")
    version = parse_qs(parts.query).get("api-version", [None])[0]
    segments = parts.path.split("/")
    model = segments[segments.index("deployments") + 1] if "deployments" in segments else made.model
    return replace(made, model=model, endpoint=replace(made.endpoint, api_version=version))
