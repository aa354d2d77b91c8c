"""Blocks and files of one vendor at every other one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.types import ChatRequest
from langchain_llmdispatch.vendors import HOSTED
from langchain_llmdispatch.vendors.compile.call import compile_call
from langchain_llmdispatch.vendors.compile.compatibility import check_request
from langchain_llmdispatch.vendors.history.owners import may_read, owner_of
from tests.cases import each
from tests.vendors.compile.calls import ENDPOINT, VENDORS

_OPENAI = {"openai", "azure"}
_BLOCKS: Mapping[str, tuple[dict[str, Any], set[str]]] = {
    "item": ({"type": "item_reference", "id": "canary"}, _OPENAI),
    "approval": (
        {"type": "mcp_approval_response", "approve": True, "approval_request_id": "canary"},
        _OPENAI,
    ),
    "upload": ({"type": "container_upload", "file_id": "canary"}, {"anthropic"}),
    "part": ({"functionResponse": {"name": "canary", "response": {}}}, {"google"}),
    "unknown": (
        {"type": "hologram", "data": "canary"},
        {"compatible", "local", *(vendor.name for vendor in HOSTED)},
    ),
    "stated": ({"type": "non_standard", "vendor": "cohere", "value": {"type": "canary"}}, {"cohere"}),
    "openai file": ({"type": "file", "file_id": "file-canary"}, _OPENAI),
    "openai image": ({"type": "image", "file_id": "file-canary"}, _OPENAI),
    "anthropic file": ({"type": "file", "file_id": "file_01canary"}, {"anthropic"}),
    "anthropic image": (
        {"type": "image", "source": {"type": "file", "file_id": "file_01canary"}},
        {"anthropic"},
    ),
    "gemini file": ({"type": "file", "file_id": "files/canary", "mime_type": "application/pdf"}, {"google"}),
    "gemini uri": (
        {
            "type": "media",
            "file_uri": "https://generativelanguage.googleapis.com/v1beta/files/canary",
            "mime_type": "image/png",
        },
        {"google"},
    ),
}


def _request(block: Any, **fields: Any) -> ChatRequest:
    return ChatRequest([HumanMessage([{"type": "text", "text": "Hello"}, block])], **fields)


def _sent(vendor: str, request: ChatRequest) -> tuple[str, list[str]]:
    call, changes = compile_call(VENDORS[vendor], request, model="m-1", endpoint=ENDPOINT)
    return VENDORS[vendor].encode_request(call).content.decode(), [change.kind for change in changes]


@each("name", _BLOCKS)
@each("vendor", VENDORS)
def test_it_goes_to_its_owner_alone(vendor: str, name: str) -> None:
    """Any other vendor is ineligible, with the reason; or, with `drop`, gets the rest, with a report."""
    block, owners = _BLOCKS[name]
    given = _request(block)
    if vendor in owners:
        assert "canary" in _sent(vendor, given)[0]
        return
    with pytest.raises(UnsupportedFeatureError, match="message 0 holds"):
        _sent(vendor, given)
    assert (
        "message 0 holds"
        in check_request(VENDORS[vendor], given, "m-1", VENDORS[vendor].facts("m-1")).reasons[0]
    )
    body, kinds = _sent(vendor, _request(block, unsupported_params="drop"))
    assert ("Hello" in body, "canary" in body, kinds) == (True, False, ["block_dropped"])


@each("vendor", sorted(VENDORS.keys() - _OPENAI))
def test_settings_among_blocks_are_left_out(vendor: str) -> None:
    """They are no part of the question."""
    block = {"type": "configuration_update", "reasoning": {"effort": "high"}}
    body, kinds = _sent(vendor, _request(block))
    assert ("configuration_update" in body, kinds) == (False, ["block_dropped"])


def test_openais_items_stand_before_their_message() -> None:
    """Wherever LangChain's users put them; a tool's result may be one, too."""
    update = {"type": "configuration_update", "reasoning": {"effort": "high"}}
    tools = {"type": "additional_tools", "tools": []}
    shot = {"type": "computer_call_output", "output": {"type": "computer_screenshot"}}
    call = {"name": "computer", "args": {}, "id": "c1"}
    request = ChatRequest(
        [
            SystemMessage([tools, {"type": "text", "text": "S"}]),
            HumanMessage([{"type": "text", "text": "Hello"}, update]),
            HumanMessage("Go"),
        ]
    )
    items = json.loads(_sent("openai", request)[0])["input"]
    assert [item["type"] for item in items] == [
        "additional_tools", "message", "configuration_update", "message", "message",
    ]  # fmt: skip
    history = [HumanMessage("a"), AIMessage("", tool_calls=[call]), ToolMessage([shot], tool_call_id="c1")]
    items = json.loads(_sent("openai", ChatRequest(history))[0])["input"]
    assert items[-1] == {"call_id": "c1", **shot}


def test_a_foreign_file_in_a_tools_result_is_left_out() -> None:
    """A note stands in its place."""
    call = {"name": "look", "args": {}, "id": "c1"}
    result = ToolMessage([{"type": "image", "file_id": "file-canary"}], tool_call_id="c1")
    history = [HumanMessage("a"), AIMessage("", tool_calls=[call]), result]
    body, kinds = _sent("anthropic", ChatRequest(history))
    assert ("canary" in body, "[image left out]" in body) == (False, True)
    assert "media_dropped" in kinds


def test_ids_of_no_known_form_may_be_any_vendors() -> None:
    """That has files at all."""
    for provider, read in (("openai", True), ("anthropic", True), ("google_genai", True), ("ollama", False)):
        assert may_read(provider, {"type": "file", "file_id": "mine"}) is read
    assert may_read("ollama", {"type": "image", "url": "https://x.test/a.png"})


def test_documents_are_of_two_vendors() -> None:
    """By what they hold."""
    assert owner_of({"type": "document", "source": {}}) == "anthropic"
    assert owner_of({"type": "document", "document": {}}) == "cohere"
