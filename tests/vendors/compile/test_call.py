"""The request compiler: everything of one request made legal for one target."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import SecretStr

from langchain_llmdispatch.catalog import models as catalog
from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import UnsupportedFeatureError, UnsupportedParameterError
from langchain_llmdispatch.types import Call, ChatRequest, Endpoint, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.compile.call import compile_call, compile_history, fits, output_tool

_VENDORS = builtin_vendors()
_ENDPOINT = Endpoint("http://127.0.0.1:1", SecretStr("k"), api_version="2024-10-21")
_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
_TOOL = ToolSpec("look", "Look it up.", _SCHEMA)
_PLAIN = [HumanMessage("hi")]


def _call(vendor: str, facts: ModelFacts | None = None, **given: Any) -> tuple[Call, list[str]]:
    model = given.pop("model", "m-1")
    defaults = given.pop("defaults", {})
    request = ChatRequest(given.pop("messages", _PLAIN), **given)
    call, changes = compile_call(
        _VENDORS[vendor],
        request,
        model=model,
        endpoint=_ENDPOINT,
        defaults=defaults,
        facts=facts or ModelFacts(),
    )
    return call, [change.kind for change in changes]


def test_a_plain_request_passes_through() -> None:
    """Nothing is altered, nothing is copied that need not be."""
    for name in _VENDORS:
        call, kinds = _call(name, params={"temperature": 0.5}, extra={"x": 1}, stream=True)
        assert kinds == []
        assert call.messages[0] is _PLAIN[0]
        assert (call.params, call.extra, call.stream) == ({"temperature": 0.5}, {"x": 1}, True)
        assert (call.tools, call.output, call.tool_choice, call.tool_names) == ((), None, None, {})


def test_a_deployments_parameters_lie_under_the_requests() -> None:
    """Names that are not neutral go into the body, from either."""
    call, _ = _call(
        "ollama",
        defaults={"temperature": 0.1, "seed": 1, "num_ctx": 8},
        params={"temperature": 0.9},
        extra={"k": 1},
    )
    assert call.params == {"temperature": 0.9, "seed": 1}
    assert call.extra == {"num_ctx": 8, "k": 1}


def test_facts_are_looked_up_by_vendor_and_model() -> None:
    """Without facts handed in, the catalog's hold."""
    request = ChatRequest(_PLAIN, params={"temperature": 0.2})
    call, changes = compile_call(_VENDORS["openai"], request, model="gpt-5", endpoint=_ENDPOINT)
    assert call.params == {}
    assert [change.kind for change in changes] == ["temperature_dropped"]


# -- tools -----------------------------------------------------------------------------------------


def test_names_are_mapped_in_tools_choice_and_history() -> None:
    """A name with a dot, and one of a tool that is gone: legal everywhere, known on the way back."""
    old = AIMessage("", tool_calls=[{"name": "gone/tool", "args": {}, "id": "1"}])
    history: list[BaseMessage] = [HumanMessage("hi"), old, ToolMessage("x", tool_call_id="1")]
    call, kinds = _call(
        "openai",
        messages=history,
        tools=[ToolSpec("a.b", "", _SCHEMA)],
        tool_choice=ToolChoice("tool", "a.b"),
    )
    assert call.tools[0].name == "a_b"
    assert call.tool_choice == ToolChoice("tool", "a_b")
    assert call.tool_names == {"a_b": "a.b", "gone_tool": "gone/tool"}
    assert call.messages[1].tool_calls[0]["name"] == call.messages[2].name == "gone_tool"  # type: ignore[attr-defined]
    assert kinds == ["tool_names_changed", "result_named"]


def test_a_tool_that_cannot_be_forced_is_offered_alone() -> None:
    """Recorded; or, with `raise`, an error."""
    facts = ModelFacts(forced_tool_choice=False)
    other = ToolSpec("other", "", _SCHEMA)
    call, kinds = _call("openai", facts, tools=[_TOOL, other], tool_choice=ToolChoice("tool", "look"))
    assert (call.tool_choice, [tool.name for tool in call.tools]) == (ToolChoice("auto"), ["look"])
    assert kinds == ["tool_choice_relaxed"]
    call, _ = _call("openai", facts, tools=[_TOOL, other], tool_choice=ToolChoice("any"))
    assert (call.tool_choice, len(call.tools)) == (ToolChoice("auto"), 2)
    with pytest.raises(UnsupportedParameterError, match="tool_choice='look'"):
        _call(
            "openai",
            facts,
            tools=[_TOOL],
            tool_choice=ToolChoice("tool", "look"),
            unsupported_params="raise",
        )


def test_server_tools_go_only_to_their_vendor() -> None:
    """Elsewhere an error that falls back, or dropped if the caller says so."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    call, _ = _call("anthropic", server_tools=[search])
    assert call.server_tools == [search]
    google, _ = _call("google", server_tools=[{"google_search": {}}])
    assert google.server_tools == [{"google_search": {}}]
    with pytest.raises(UnsupportedFeatureError, match="web_search_20250305"):
        _call("ollama", server_tools=[search])
    call, kinds = _call("ollama", server_tools=[search], unsupported_params="drop")
    assert (call.server_tools, kinds) == ([], ["server_tool_dropped"])


def test_parallel_calls_are_switched_only_where_there_is_a_switch() -> None:
    """And only beside tools."""
    assert _call("openai", tools=[_TOOL], parallel_tool_calls=False)[0].parallel_tool_calls is False
    assert _call("openai", parallel_tool_calls=False)[0].parallel_tool_calls is None
    call, kinds = _call("ollama", tools=[_TOOL], parallel_tool_calls=False)
    assert (call.parallel_tool_calls, kinds) == (None, ["parallel_tool_calls_dropped"])


def test_schemas_are_in_the_vendors_dialect() -> None:
    """Gemini gets no references; the binding's schema is not touched."""
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"type": "string"}},
    }
    before = copy.deepcopy(schema)
    call, _ = _call("google", tools=[ToolSpec("f", "", schema)])
    assert call.tools[0].parameters == {"type": "object", "properties": {"a": {"type": "string"}}}
    assert schema == before


# -- answer shapes ---------------------------------------------------------------------------------

_SHAPE = OutputSchema("City", {"title": "City", "description": "A city.", **_SCHEMA})


def test_the_best_method_is_chosen_per_target() -> None:
    """A native schema, else a forced tool, else JSON mode, else words."""
    call, _ = _call("openai", output=_SHAPE)
    assert call.output is not None
    assert (call.output.method, call.output.strict) == ("json_schema", True)
    call, _ = _call("anthropic", output=_SHAPE)
    assert call.output is not None
    assert (call.output.method, call.output.strict) == ("json_schema", None)

    facts = ModelFacts(structured_output=False)
    call, _ = _call("openai", facts, output=_SHAPE)
    assert call.output is None
    assert call.tools == [ToolSpec("City", "A city.", _SCHEMA)]
    assert call.tool_choice == ToolChoice("tool", "City")

    facts = ModelFacts(structured_output=False, forced_tool_choice=False)
    call, kinds = _call("openai", facts, output=_SHAPE, messages=[SystemMessage("s"), *_PLAIN])
    assert call.output == OutputSchema("City", None, None, "json_mode")
    assert str(call.messages[0].content).startswith("s\n\nAnswer with one JSON object that follows")
    assert kinds == ["schema_in_words"]

    facts = ModelFacts(structured_output=False, forced_tool_choice=False, json_mode=False)
    call, _ = _call("openai", facts, output=_SHAPE)
    assert call.output is None
    assert isinstance(call.messages[0], SystemMessage)


def test_the_callers_method_is_honoured_where_the_target_has_it() -> None:
    """Otherwise the best one is taken, and reported."""
    by_tool = OutputSchema("City", _SHAPE.schema, method="function_calling")
    call, kinds = _call("openai", output=by_tool)
    assert (call.output, call.tool_choice, kinds) == (None, ToolChoice("tool", "City"), [])
    call, kinds = _call("openai", ModelFacts(forced_tool_choice=False), output=by_tool)
    assert call.output is not None
    assert (call.output.method, kinds) == ("json_schema", ["output_method_changed"])
    native = OutputSchema("City", _SHAPE.schema, method="json_schema")
    call, kinds = _call("openai", ModelFacts(structured_output=False), output=native)
    assert (call.output, kinds) == (None, ["output_method_changed"])


def test_json_mode_without_a_schema() -> None:
    """OpenAI wants the word JSON in the conversation; Anthropic has no JSON mode."""
    shape = OutputSchema("answer", None, method="json_mode")
    call, _ = _call("openai", output=shape)
    assert call.output == shape
    assert call.messages[0].content == "Answer with one JSON object and nothing else."
    call, _ = _call("openai", output=shape, messages=[HumanMessage("as JSON please")])
    assert len(call.messages) == 1
    call, kinds = _call("anthropic", ModelFacts(json_mode=False), output=shape)
    assert (call.output, kinds) == (None, ["output_method_changed"])
    assert isinstance(call.messages[0], SystemMessage)


def test_the_tool_that_carries_the_answer_is_recognised() -> None:
    """Beside other tools any may be called; its name is the caller's, and no other tool's."""
    facts = ModelFacts(structured_output=False)
    request = ChatRequest(_PLAIN, tools=[ToolSpec("City", "", _SCHEMA)], output=_SHAPE)
    call, _ = compile_call(_VENDORS["openai"], request, model="m", endpoint=_ENDPOINT, facts=facts)
    assert call.tool_choice == ToolChoice("any")
    assert [tool.name for tool in call.tools] == ["City", "City_answer"]
    assert output_tool(request, call) == "City_answer"
    named = ChatRequest(_PLAIN, output=OutputSchema("my city", _SCHEMA))
    call, _ = compile_call(_VENDORS["openai"], named, model="m", endpoint=_ENDPOINT, facts=facts)
    assert (call.tools[0].name, output_tool(named, call)) == ("my_city", "my city")
    native, _ = compile_call(_VENDORS["openai"], request, model="m", endpoint=_ENDPOINT, facts=ModelFacts())
    assert output_tool(request, native) is None


def test_an_empty_tool_list_with_a_shape_works_for_every_vendor() -> None:
    """What `create_agent`'s ProviderStrategy binds."""
    for name, vendor in _VENDORS.items():
        for model in ("m-1", vendor.default_model or "m-1"):
            request = ChatRequest(_PLAIN, tools=(), output=_SHAPE)
            call, _ = compile_call(vendor, request, model=model, endpoint=_ENDPOINT)
            assert vendor.encode_request(call).content, name


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


# -- history by name -------------------------------------------------------------------------------


def test_histories_are_compiled_for_targets_by_name() -> None:
    """`vendor:model`, aliases, vendors themselves, and a lookup of one's own."""
    late: list[BaseMessage] = [HumanMessage("hi"), AIMessage("yo"), SystemMessage("s")]
    out, changes = compile_history(late, "claude:claude-haiku-5-5")
    assert [change.kind for change in changes] == ["system_to_user"]
    assert compile_history(late, _VENDORS["anthropic"], model="m")[0] == out
    assert compile_history(late, "mine:m", lookup=lambda _: _VENDORS["openai"])[1] == []
    with pytest.raises(LookupError, match="nobody"):
        compile_history(late, "nobody:m")


# -- fitness ---------------------------------------------------------------------------------------


def _fit(vendor: str, facts: ModelFacts | None = None, tokens: int | None = None, **given: Any) -> Any:
    request = ChatRequest(given.pop("messages", _PLAIN), **given)
    return fits(_VENDORS[vendor], request, "m-1", facts or ModelFacts(), input_tokens=tokens)


def test_what_fits_and_what_does_not() -> None:
    """Known facts veto, unknown ones do not; adaptations are lossy at most."""
    image = [HumanMessage([{"type": "image", "base64": "aGk=", "mime_type": "image/png"}])]
    video = [HumanMessage([{"type": "video", "base64": "aGk=", "mime_type": "video/mp4"}])]
    assert _fit("openai").verdict == "legal"
    assert _fit("openai", messages=image).verdict == "legal"
    assert _fit("openai", ModelFacts(images=False), messages=image).reasons == ("the model takes no images",)
    assert "video" in _fit("openai", messages=video).reasons[0]
    assert _fit("openai", ModelFacts(context_window=10), tokens=9).verdict == "legal"
    assert "do not fit" in _fit("openai", ModelFacts(context_window=10), tokens=11).reasons[0]
    assert "web_search" in _fit("cohere", server_tools=[{"type": "web_search"}]).reasons[0]
    assert _fit("anthropic", params={"seed": 1}).verdict == "lossy"
    assert _fit("anthropic", params={"seed": 1}, unsupported_params="raise").verdict == "illegal"
    assert _fit("openai", tools=[_TOOL], output=_SHAPE).verdict == "legal"
    assert _fit("openai", ModelFacts(max_output_tokens=5), params={"max_tokens": 9}).verdict == "lossy"


def test_models_that_call_no_tools_do_not_fit() -> None:
    """Where the profile says so."""

    class _Mute(type(_VENDORS["openai"])):  # type: ignore[misc]
        name = "mute"

        def capabilities(self, model: str) -> Any:
            return {"tool_calling": False}

    request = ChatRequest(_PLAIN, tools=[_TOOL])
    fit = fits(_Mute(), request, "m", ModelFacts())
    assert fit.reasons == ("the model calls no tools",)


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


@pytest.mark.parametrize("vendor", _VENDORS.values(), ids=str)
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
    facts = catalog.facts(vendor.name, model)
    if fits(vendor, request, model, facts).verdict == "illegal":
        with pytest.raises(UnsupportedFeatureError):
            compile_call(vendor, request, model=model, endpoint=_ENDPOINT)
        return
    call, _ = compile_call(vendor, request, model=model, endpoint=_ENDPOINT)
    body = json.loads(vendor.encode_request(call).content)
    assert "found" in json.dumps(body)
    assert "be brief" in json.dumps(body)
    assert history == before
