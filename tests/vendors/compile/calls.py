"""Calls compiled for tests: a plain request, with what a test adds to it."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.types import Call, ChatRequest, Endpoint, OutputSchema, ToolSpec
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.compile.call import compile_call

VENDORS = builtin_vendors()
ENDPOINT = Endpoint("http://127.0.0.1:1", SecretStr("k"), api_version="2024-10-21")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOL = ToolSpec("look", "Look it up.", SCHEMA)
OUTPUT = OutputSchema("City", {"title": "City", "description": "A city.", **SCHEMA})
PLAIN = [HumanMessage("hi")]


def compiled(vendor: str, facts: ModelFacts | None = None, **given: Any) -> tuple[Call, list[str]]:
    """Return a call, and the kinds of the changes made for it."""
    model = given.pop("model", "m-1")
    defaults = given.pop("defaults", {})
    request = ChatRequest(given.pop("messages", PLAIN), **given)
    call, changes = compile_call(
        VENDORS[vendor],
        request,
        model=model,
        endpoint=ENDPOINT,
        defaults=defaults,
        facts=facts or ModelFacts(),
    )
    return call, [change.kind for change in changes]
