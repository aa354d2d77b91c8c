"""Tools, choices and answer schemas in neutral form."""

from __future__ import annotations

import pickle
from typing import Any, Literal

import pytest
from langchain_core.tools import tool
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_llmdispatch.types import OutputSchema, ToolSpec
from langchain_llmdispatch.vendors.compile.neutral_tools import (
    bound_tools,
    neutral_output,
    neutral_tools,
    server_type,
)
from tests.cases import each


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


@each(
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


@each(
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


def test_one_of_geminis_tools_may_hold_several() -> None:
    """Functions and tools of its own, each apart; keys that are null mean nothing."""
    declared = {"name": "f", "parameters": _SCHEMA}
    specs, server = neutral_tools(
        [{"functionDeclarations": [declared], "google_search": {}, "url_context": {}, "retrieval": None}]
    )
    assert [spec.name for spec in specs] == ["f"]
    assert server == ({"google_search": {}}, {"url_context": {}})


@pytest.mark.parametrize("nested", [True, False])
def test_tools_with_free_text_have_one_form(nested: bool) -> None:
    """That of the Responses API, whichever API they were written for."""
    about = {"name": "code", "description": "Runs it."}
    given = {"type": "custom", "custom": about} if nested else {"type": "custom", **about}
    assert neutral_tools([given]) == ((), ({"type": "custom", **about},))


def test_extras_and_strictness_ride_along() -> None:
    """`BaseTool.extras`, keys beside `function`, and `strict` as a default."""
    specs, _ = neutral_tools(
        [look, {"name": "f", "input_schema": _SCHEMA, "defer_loading": True}], strict=True
    )
    assert specs[0].extras == {"cache_control": {"type": "ephemeral"}}
    assert specs[1].extras == {"defer_loading": True}
    assert [spec.strict for spec in specs] == [True, True]


def test_every_form_of_an_answer_shape() -> None:
    """OpenAI's dicts in both spellings, classes, titled schemas."""
    inner = {"name": "n", "schema": _SCHEMA, "strict": True}
    response_format = {"type": "json_schema", "json_schema": inner, "method": "json_schema"}
    assert neutral_output(response_format) == OutputSchema("n", _SCHEMA, True, "json_schema")
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
