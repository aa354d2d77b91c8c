"""The request compiler: everything of one request made legal for one target."""

from __future__ import annotations

import copy
import json

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import UnsupportedFeatureError, UnsupportedParameterError
from langchain_llmdispatch.types import ChatRequest, ToolChoice
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.compile.call import compile_call
from langchain_llmdispatch.vendors.compile.compatibility import check_request
from tests.cases import each
from tests.vendors.compile.calls import ENDPOINT as _ENDPOINT
from tests.vendors.compile.calls import PLAIN as _PLAIN
from tests.vendors.compile.calls import TOOL as _TOOL
from tests.vendors.compile.calls import VENDORS as _VENDORS
from tests.vendors.compile.calls import compiled as _call


def test_a_plain_request_passes_through() -> None:
    """Nothing is altered, nothing is copied that need not be."""
    for name in _VENDORS:
        call, kinds = _call(name, params={"temperature": 0.5}, stream=True)
        assert kinds == []
        assert call.messages[0] is _PLAIN[0]
        assert (call.params, call.extra, call.stream) == ({"temperature": 0.5}, {}, True)
        assert (call.tools, call.output, call.tool_choice, call.tool_names) == ((), None, None, {})


def test_a_deployments_parameters_lie_under_the_requests() -> None:
    """Names that are not neutral go into the body, from either."""
    call, _ = _call(
        "ollama",
        defaults={"temperature": 0.1, "seed": 1, "num_ctx": 8},
        params={"temperature": 0.9},
        extra={"keep_alive": 1},
    )
    assert call.params == {"temperature": 0.9, "seed": 1}
    assert call.extra == {"options": {"num_ctx": 8}, "keep_alive": 1}


def test_facts_are_looked_up_by_vendor_and_model() -> None:
    """Without facts handed in, the catalog's hold."""
    request = ChatRequest(_PLAIN, params={"temperature": 0.2})
    call, changes = compile_call(_VENDORS["openai"], request, model="gpt-5", endpoint=_ENDPOINT)
    assert call.params == {}
    assert [change.kind for change in changes] == ["temperature_dropped"]


@pytest.mark.parametrize("vendor", ["openai", "azure"])
def test_the_least_output_of_an_api_is_reported(vendor: str) -> None:
    """Responses take no limit below 16: it is raised and noted, or refused where that is chosen."""
    fields = {"params": {"max_tokens": 5}, "extra": {"use_responses_api": True}}
    call, kinds = _call(vendor, **fields)
    assert (call.params["max_tokens"], kinds) == (16, ["max_tokens_raised"])
    with pytest.raises(UnsupportedParameterError, match="max_tokens"):
        _call(vendor, unsupported_params="raise", **fields)
    for other, extra in (("openai", {}), ("anthropic", {}), ("ollama", {})):
        call, kinds = _call(other, params={"max_tokens": 5}, extra=extra)
        assert (call.params["max_tokens"], kinds) == (5, [])
    call, kinds = _call(vendor, params={"max_tokens": 16}, extra={"use_responses_api": True})
    assert (call.params["max_tokens"], kinds) == (16, [])


# -- thinking --------------------------------------------------------------------------------------


def test_thinking_pauses_in_a_loop_that_another_vendor_began() -> None:
    """The error that `thinking` was expected before `tool_use` hits fallbacks in the middle of a loop."""
    facts = ModelFacts(reasoning=True, thinking="budget")
    thinking = {"type": "enabled", "budget_tokens": 2000}
    foreign = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}])
    loop: list[BaseMessage] = [HumanMessage("hi"), foreign, ToolMessage("x", tool_call_id="1", name="f")]
    call, kinds = _call("anthropic", facts, messages=loop, params={"thinking": thinking})
    assert ("thinking" in call.params, kinds) == (False, ["thinking_dropped"])
    call, _ = _call("anthropic", facts, messages=[*loop, HumanMessage("so?")], params={"thinking": thinking})
    assert call.params["thinking"] == thinking
    call, kinds = _call(
        "anthropic", facts, tools=[_TOOL], tool_choice=ToolChoice("any"), params={"thinking": thinking}
    )
    assert ("thinking" in call.params, kinds) == (False, ["thinking_dropped"])
    native = AIMessage(
        [
            {"type": "thinking", "thinking": "t", "signature": "s"},
            {"type": "tool_use", "id": "1", "name": "f", "input": {}},
        ],
        tool_calls=[{"name": "f", "args": {}, "id": "1"}],
        response_metadata={"model_provider": "anthropic", "model_name": "m-1"},
    )
    call, _ = _call("anthropic", facts, messages=[loop[0], native, loop[2]], params={"thinking": thinking})
    assert "thinking" in call.params


# -- with the real codecs --------------------------------------------------------------------------

_PNG = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
_CALL = {"name": "look", "args": {"a": "x"}, "id": "functions.look:0"}
_SOURCES: dict[str, AIMessage] = {
    "openai": AIMessage("I look.", tool_calls=[_CALL], response_metadata={"model_provider": "openai"}),
    "responses": AIMessage(
        [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            {
                "type": "function_call",
                "name": "look",
                "arguments": "{}",
                "call_id": _CALL["id"],
                "id": "fc_1",
            },
        ],
        tool_calls=[_CALL],
        response_metadata={"model_provider": "openai"},
    ),
    "anthropic": AIMessage(
        [
            {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
            {"type": "tool_use", "id": _CALL["id"], "name": "look", "input": {"a": "x"}},
        ],
        tool_calls=[_CALL],
        response_metadata={"model_provider": "anthropic", "model_name": "claude-haiku-5-5"},
    ),
    "google": AIMessage(
        [{"type": "thinking", "thinking": "Hm.", "signature": "AAAA"}, {"type": "text", "text": "I look."}],
        additional_kwargs={"__gemini_function_call_thought_signatures__": {_CALL["id"]: "CCCC"}},
        tool_calls=[_CALL],
        response_metadata={"model_provider": "google_genai"},
    ),
    "ollama": AIMessage(
        "",
        additional_kwargs={"reasoning_content": "Hm."},
        tool_calls=[_CALL],
        response_metadata={"model_provider": "ollama"},
    ),
}


@each("vendor", _VENDORS.values())
@pytest.mark.parametrize("source", _SOURCES)
def test_every_codec_spells_every_thread(source: str, vendor: Vendor) -> None:
    """A loop begun anywhere, with an image in a result and a late system message, is encoded by all."""
    history: list[BaseMessage] = [
        SystemMessage("s"),
        HumanMessage("hi", name="A B"),
        _SOURCES[source],
        ToolMessage([{"type": "text", "text": "found"}, _PNG], tool_call_id=str(_CALL["id"])),
        SystemMessage("be brief"),
        HumanMessage("so?"),
    ]
    before = copy.deepcopy(history)
    request = ChatRequest(history, tools=[_TOOL], params={"max_tokens": 10, "temperature": 0.5, "seed": 1})
    model = vendor.default_model or "m-1"
    facts = vendor.facts(model)
    if check_request(vendor, request, model, facts).verdict == "illegal":
        with pytest.raises(UnsupportedFeatureError):
            compile_call(vendor, request, model=model, endpoint=_ENDPOINT)
        return
    call, _ = compile_call(vendor, request, model=model, endpoint=_ENDPOINT)
    body = json.loads(vendor.encode_request(call).content)
    assert "found" in json.dumps(body)
    assert "be brief" in json.dumps(body)
    assert history == before


_LONG = "files.read/v2:" + "x" * 130


@each("vendor", _VENDORS)
@each("valid", [True, False])
def test_names_of_tools_are_legal_without_tools_too(vendor: str, valid: bool) -> None:
    """As in a summary of a thread, where nothing is bound; they come back under the caller's names."""
    made = {"name": _LONG, "args": {} if valid else "{", "id": "1"}
    called = (
        AIMessage("", tool_calls=[made])
        if valid
        else AIMessage("", invalid_tool_calls=[{**made, "error": None}])
    )
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        called,
        ToolMessage("x", tool_call_id="1"),
        HumanMessage("Sum up."),
    ]
    call, kinds = _call(vendor, messages=history)
    rules = _VENDORS[vendor].tool_names
    (name,) = (
        made["name"]
        for message in call.messages
        if isinstance(message, AIMessage)
        for made in message.tool_calls
    )
    assert rules.pattern.fullmatch(name)
    assert len(name) <= rules.most
    assert call.tool_names.get(name, name) == _LONG
    assert ("tool_names_changed" in kinds) is (name != _LONG)
    assert next(message.name for message in call.messages if isinstance(message, ToolMessage)) == name
    bound, _ = _call(vendor, messages=history, tools=[_TOOL])
    assert bound.tool_names == call.tool_names
