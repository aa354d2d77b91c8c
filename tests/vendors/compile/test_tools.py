"""Tools, tool choice and answer schema, as one target takes them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import UnsupportedFeatureError, UnsupportedParameterError
from langchain_llmdispatch.framing import dump_json
from langchain_llmdispatch.types import ChatRequest, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.compile.call import compile_call
from tests.cases import each
from tests.vendors.compile.calls import ENDPOINT as _ENDPOINT
from tests.vendors.compile.calls import OUTPUT as _SHAPE
from tests.vendors.compile.calls import PLAIN as _PLAIN
from tests.vendors.compile.calls import SCHEMA as _SCHEMA
from tests.vendors.compile.calls import TOOL as _TOOL
from tests.vendors.compile.calls import VENDORS as _VENDORS
from tests.vendors.compile.calls import compiled as _call


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
    assert call.messages[1].tool_calls[0]["name"] == call.messages[2].name == "gone_tool"
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
    """Elsewhere an error that falls back, or dropped if the caller chose that."""
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


# -- answer schemas -------------------------------------------------------------------------------


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
    """OpenAI requires the word JSON in the conversation; Anthropic has no JSON mode."""
    shape = OutputSchema("answer", None, method="json_mode")
    call, _ = _call("openai", output=shape)
    assert call.output == shape
    assert call.messages[0].content == "Answer with one JSON object and nothing else."
    call, _ = _call("openai", output=shape, messages=[HumanMessage("as JSON please")])
    assert len(call.messages) == 1
    call, kinds = _call("anthropic", ModelFacts(json_mode=False), output=shape)
    assert (call.output, kinds) == (None, ["output_method_changed"])
    assert isinstance(call.messages[0], SystemMessage)


def test_an_empty_tool_list_with_a_shape_works_for_every_vendor() -> None:
    """What `create_agent`'s ProviderStrategy binds."""
    for name, vendor in _VENDORS.items():
        for model in ("m-1", vendor.default_model or "m-1"):
            request = ChatRequest(_PLAIN, tools=(), output=_SHAPE)
            call, _ = compile_call(vendor, request, model=model, endpoint=_ENDPOINT)
            assert vendor.encode_request(call).content, name


_TREE = {
    "title": "Tree",
    "type": "object",
    "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["kids"],
}
_MAP = {"title": "Map", "type": "object", "properties": {"m": {"type": "object"}}, "required": ["m"]}
_LIST = {"title": "List", "type": "array", "items": {"type": "string"}}


@each(
    ("vendor", "schema", "method", "kinds"),
    [
        ("openai", _TREE, "json_schema", []),
        ("openai", _MAP, "json_schema", []),
        ("openai", _LIST, None, ["output_method_changed", "schema_in_words"]),
        ("anthropic", _TREE, "function_calling", ["output_method_changed"]),
        ("anthropic", _MAP, "function_calling", ["output_method_changed"]),
        ("google", _TREE, "json_mode", ["output_method_changed", "schema_in_words"]),
        ("google", _LIST, "json_schema", []),
        ("ollama", _LIST, "json_schema", []),
        ("cohere", _TREE, "json_schema", []),
        ("compatible", _TREE, "json_schema", []),
    ],
)
def test_an_answers_schema_arrives_as_written(
    vendor: str, schema: Any, method: Any, kinds: list[str]
) -> None:
    """By a method that can express it, in words if there is no other."""
    output = OutputSchema(schema["title"], schema)
    call, made = _call(vendor, output=output)
    assert made == kinds
    if method == "function_calling":
        assert call.tools[0].parameters == {key: schema[key] for key in schema if key != "title"}
    elif method == "json_schema":
        assert call.output is not None
        assert call.output.schema is not None
        sent = json.dumps(call.output.schema)
        assert all(part in sent for part in ('"kids"', '"items"') if part in json.dumps(schema))
    else:
        assert dump_json(schema).decode() in str(call.messages[0].content)
        assert (call.output is not None and call.output.method) == (method or False)


def test_strictness_is_set_only_where_it_costs_nothing() -> None:
    """Or where the caller sets it; then the schema is altered, and that is reported."""
    loose = {
        "title": "L",
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {}},
        "required": ["a"],
    }
    call, kinds = _call("openai", output=OutputSchema("L", loose))
    assert call.output is not None
    assert (call.output.strict, call.output.schema, kinds) == (None, loose, [])
    call, kinds = _call("openai", output=OutputSchema("L", loose, strict=True))
    assert call.output is not None
    assert call.output.strict is True
    assert "schema_optional_nullable" in kinds
    call, kinds = _call("openai", output=OutputSchema("C", {"title": "C", **_SCHEMA}))
    assert call.output is not None
    assert (call.output.strict, kinds) == (True, [])


def test_a_tool_that_cannot_be_expressed_is_refused() -> None:
    """With its name and the reason."""
    for vendor, parameters in (("google", {**_LIST, "items": {"$ref": "#"}}), ("openai", _LIST)):
        with pytest.raises(UnsupportedFeatureError, match="arguments of tool 'f': the"):
            _call(vendor, tools=[ToolSpec("f", "", parameters)])
    with pytest.raises(UnsupportedFeatureError, match="recursive"):
        _call("anthropic", tools=[ToolSpec("f", "", _TREE, strict=True)])


def test_schemas_are_compiled_once() -> None:
    """The result of a bound tool's schema is kept."""
    first, _ = _call("google", tools=[_TOOL])
    second, _ = _call("google", tools=[_TOOL])
    assert first.tools[0].parameters["properties"] is second.tools[0].parameters["properties"]
