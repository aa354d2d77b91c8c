"""Tools, choices and answer schemas in neutral form."""

from __future__ import annotations

import pickle
from typing import Any, Literal

import pytest
from langchain_core.tools import tool
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_llmdispatch.types import OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.compile.neutral_tools import (
    bound_tools,
    neutral_choice,
    neutral_output,
    neutral_tools,
    server_type,
)


class Weather(BaseModel):
    """Get the weather."""

    city: str
    unit: Literal["c", "f"] = "c"


class _Typed(TypedDict):
    """Get the weather."""

    city: str


@tool(extras={"cache_control": {"type": "ephemeral"}})
def look(q: str) -> str:
    """Look it up."""
    return q


def plain(city: str) -> str:
    """Get the weather."""
    return city


_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (Weather, "Weather"),
        (_Typed, "_Typed"),
        (plain, "plain"),
        (look, "look"),
        ({"type": "function", "function": {"name": "f", "parameters": _SCHEMA}}, "f"),
        ({"type": "function", "name": "f", "parameters": _SCHEMA, "strict": True}, "f"),
        ({"name": "f", "description": "d", "input_schema": _SCHEMA}, "f"),
        ({"type": "custom", "name": "f", "input_schema": _SCHEMA, "cache_control": {}}, "f"),
        ({"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": _SCHEMA}}}, "f"),
        ({"title": "f", "description": "d", **_SCHEMA}, "f"),
        ({"function_declarations": [{"name": "f", "parameters": _SCHEMA}]}, "f"),
        (ToolSpec("f", "", _SCHEMA), "f"),
    ],
)
def test_every_form_of_a_tool(given: Any, name: str) -> None:
    """Whatever `bind_tools` takes becomes one neutral value."""
    specs, server = neutral_tools([given])
    assert server == ()
    assert specs[0].name == name
    assert specs[0].parameters["type"] == "object"
    assert next(iter(specs[0].parameters["properties"])) in {"city", "q"}


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"type": "web_search_20250305", "name": "web_search", "max_uses": 2}, "web_search_20250305"),
        ({"type": "web_search"}, "web_search"),
        ({"type": "mcp", "server_label": "x"}, "mcp"),
        ({"google_search": {}}, "google_search"),
        ({"code_execution": {}}, "code_execution"),
    ],
)
def test_vendors_own_tools_stay_verbatim(given: dict[str, Any], kind: str) -> None:
    """They are known by type, or by Gemini's only key."""
    specs, server = neutral_tools([given])
    assert (specs, server) == ((), (given,))
    assert server_type(server[0]) == kind


def test_extras_and_strictness_ride_along() -> None:
    """`BaseTool.extras`, keys beside `function`, and `strict` as a default."""
    specs, _ = neutral_tools(
        [look, {"name": "f", "input_schema": _SCHEMA, "defer_loading": True}], strict=True
    )
    assert specs[0].extras == {"cache_control": {"type": "ephemeral"}}
    assert specs[1].extras == {"defer_loading": True}
    assert [spec.strict for spec in specs] == [True, True]


_F = ToolSpec("find_city", "", {})


@pytest.mark.parametrize(
    ("choice", "mode", "name"),
    [
        ("auto", "auto", None),
        ("none", "none", None),
        ("any", "any", None),
        ("required", "any", None),
        (True, "any", None),
        ("find_city", "tool", "find_city"),
        ({"type": "function", "function": {"name": "find_city"}}, "tool", "find_city"),
        ({"type": "function", "name": "find_city"}, "tool", "find_city"),
        ({"type": "tool", "name": "find_city"}, "tool", "find_city"),
        ({"type": "any"}, "any", None),
        ({"any": {}}, "any", None),
        ({"tool": {"name": "find_city"}}, "tool", "find_city"),
        ({"function_calling_config": {"mode": "ANY"}}, "any", None),
        (
            {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["find_city"]}},
            "tool",
            "find_city",
        ),
        (ToolChoice("any"), "any", None),
    ],
)
def test_every_form_of_a_choice(choice: Any, mode: Any, name: str | None) -> None:
    """Words, names, booleans and four vendors' dicts."""
    assert neutral_choice(choice, [_F]) == ToolChoice(mode, name)


def test_choices_that_are_none_or_wrong() -> None:
    """None and False demand nothing; an unknown name points to the nearest."""
    assert neutral_choice(None, [_F]) is neutral_choice(False, [_F]) is None
    with pytest.raises(ValueError, match="did you mean 'find_city'"):
        neutral_choice("find_citty", [_F])
    with pytest.raises(ValueError, match="not known"):
        neutral_choice({"type": "maybe"}, [_F])
    with pytest.raises(ValueError, match="neither"):
        neutral_choice(3, [_F])


def test_every_form_of_an_answer_shape() -> None:
    """OpenAI's dicts in both spellings, classes, titled schemas."""
    inner = {"name": "n", "schema": _SCHEMA, "strict": True}
    asked = {"type": "json_schema", "json_schema": inner, "method": "json_schema"}
    assert neutral_output(asked) == OutputSchema("n", _SCHEMA, True, "json_schema")
    assert neutral_output({"type": "json_schema", **inner}) == OutputSchema("n", _SCHEMA, True)
    assert neutral_output({"type": "json_object"}) == OutputSchema("answer", None, method="json_mode")
    assert neutral_output({"type": "text"}) is neutral_output(None) is None
    shape = neutral_output(Weather)
    assert shape is not None
    assert (shape.name, shape.schema and shape.schema["required"]) == ("Weather", ["city"])
    assert neutral_output({"title": "T", **_SCHEMA}) is not None
    with pytest.raises(ValueError, match="not known"):
        neutral_output({"type": "grammar"})
    with pytest.raises(ValueError, match="no schema"):
        neutral_output({"type": "json_schema", "json_schema": {"name": "n"}})


def test_a_bound_tool_keeps_the_neutral_tool() -> None:
    """It looks like OpenAI's dict; reading and pickling it give the same `ToolSpec`."""
    bound, search = bound_tools([look, {"type": "web_search"}], strict=True)
    assert (bound["type"], bound["function"]["name"], bound["function"]["strict"]) == (
        "function",
        "look",
        True,
    )
    assert search == {"type": "web_search"}
    (spec,), _ = neutral_tools([bound])
    assert spec is neutral_tools([bound])[0][0]
    assert neutral_tools([pickle.loads(pickle.dumps(bound))])[0] == (spec,)
