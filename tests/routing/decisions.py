"""Deployments of several vendors, and how decisions are read: what the tests of routing share."""

from __future__ import annotations

from langchain_llmdispatch.routing.decision import Decision
from langchain_llmdispatch.types import ToolSpec
from tests.targets import target

SEARCH = ToolSpec("search", "Search.", {"type": "object", "properties": {}})
IMAGE = [
    {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
    {"type": "text", "text": "what is it?"},
]
OPENAI, CLAUDE = target("oai", "openai:gpt-5.4-mini"), target("ant", "anthropic:claude-haiku-4-5")
GEMINI, BLIND = target("gem", "google:gemini-2.5-flash"), target("old", "openai:gpt-3.5-turbo")
FLEET = (OPENAI, CLAUDE, GEMINI)
PRICED = (
    target("mini", "openai:gpt-5.4-mini", weight=3, input_price=0.75, output_price=4.5),
    target("haiku", "anthropic:claude-haiku-4-5", weight=2, input_price=1, output_price=5),
    target("flash", "google:gemini-2.5-flash", input_price=0.3, output_price=2.5),
    target("own", "compatible:qwen3-4b", base_url="http://127.0.0.1:9/v1"),
)


def names(decision: Decision) -> list[str]:
    """Return the names that a decision tries, in order."""
    return [where.name for where in decision.targets]


def left_out(decision: Decision) -> dict[str, str]:
    """Return the kind of each exclusion."""
    return {each.deployment: each.kind for each in decision.excluded}
