"""Schemas of every kind, with every vendor: as written, or as each vendor's documented subset takes them."""

from __future__ import annotations

import datetime as dt
import enum
import json
from typing import Annotated, Any, Literal, Optional

import pytest
from jsonschema import Draft202012Validator
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ConfigDict, Field, RootModel
from typing_extensions import TypedDict

from langchain_llmdispatch import Deployment
from langchain_llmdispatch.chat_model.answer_root import AnswerRoot
from langchain_llmdispatch.errors import DispatchError
from langchain_llmdispatch.vendors.compile.neutral_tools import neutral_tools
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, VENDORS, deployment, model_of, summed


class Folder(BaseModel):
    """A folder."""

    name: str
    inside: list[Folder]
    beside: Folder | None = Field(None, description="the next one")


class _Colour(enum.Enum):
    RED = "red"
    ONE = 1


class Odd(BaseModel):
    """Everything that is odd."""

    model_config = ConfigDict(extra="forbid")
    anything: Any
    rows: list[Any]
    place: tuple[int, int]
    pair: tuple[int, str]
    size: Literal["all", 1, 2]
    colour: _Colour
    counts: dict[str, int]
    day: dt.date
    code: str = Field(pattern=r"^[a-z]+", min_length=1)
    either: int | str | None = None
    share: Annotated[float, Field(ge=0, le=1)] = 0.5


class Links(TypedDict):
    """Links on a page."""

    legal: Optional[str]  # noqa: UP045 - as people write it


class Optionals(TypedDict, total=False):
    """Nothing is required."""

    one: int
    two: str


class Names(RootModel[list[str]]):
    """Names."""


class Shape(RootModel[Odd | Folder]):
    """One or the other."""


_PLACE = {
    "type": "object",
    "properties": {"x": {"type": "integer"}},
    "required": ["x"],
    "additionalProperties": False,
}
_REFERRED = {
    "title": "Trip",
    "type": "object",
    "properties": {"start": {"$ref": "#/$defs/Place", "description": "where it begins"}},
    "required": ["start"],
    "$defs": {"Place": _PLACE},
}
_NULLABLE = {
    "title": "Old",
    "type": "object",
    "properties": {"a": {"type": "string", "nullable": True}, "b": {"type": ["integer", "null"]}},
    "required": ["a"],
}
SHAPES: dict[str, Any] = {
    "recursive": Folder,
    "odd": Odd,
    "typed_dict": Links,
    "nothing_required": Optionals,
    "array_class": Names,
    "union": Shape,
    "array": {"title": "Items", "type": "array", "items": {"type": "string"}},
    "number": {"title": "Count", "type": "integer"},
    "recursive_root": {"title": "Tree", "type": "array", "items": {"$ref": "#"}, "maxItems": 3},
    "siblings": _REFERRED,
    "nullable": _NULLABLE,
}


def _valid(shape: Any, value: Any) -> bool:
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return isinstance(value, shape)
    root = AnswerRoot.of(shape)
    whole = {"value": value} if root.wrapped else value
    return Draft202012Validator(root.schema).is_valid(whole)


@pytest.mark.parametrize("vendor", VENDORS)
@each("shape", SHAPES)
@pytest.mark.parametrize("method", [None, "json_schema", "function_calling", "json_mode"])
def test_every_vendor_takes_every_shape(server: LoopbackServer, vendor: str, shape: str, method: Any) -> None:
    """The vendors here refuse what they document; the value that comes back is one of the caller's schema."""
    with model_of(deployment(server, vendor)) as model:
        structured = model.with_structured_output(SHAPES[shape], method=method, include_raw=True)
        if (vendor, shape, method) == ("google", "recursive_root", "function_calling"):
            with pytest.raises(DispatchError, match="the target takes no recursive definitions"):
                structured.invoke("x")
            return
        made = structured.invoke("Answer with something.")
    assert isinstance(made, dict)
    if method == "json_mode":  # has no schema
        return
    kinds = {change["kind"] for change in made["raw"].response_metadata["llmdispatch"].get("adapted", ())}
    if "schema_recursion_optional" in kinds:  # reported, and so it may be absent
        return
    assert made["parsing_error"] is None
    assert _valid(SHAPES[shape], made["parsed"])


@each("vendor", ["openai", "azure"])
@each("shape", SHAPES)
def test_strictness_that_the_caller_sets_is_passed_on(
    server: LoopbackServer, vendor: str, shape: str
) -> None:
    """Otherwise it is only set where nothing is altered; what is altered is reported."""
    with model_of(deployment(server, vendor)) as model:
        made = model.with_structured_output(SHAPES[shape], include_raw=True).invoke("x")
        assert isinstance(made, dict)
        chosen = _format(server)
        changes = made["raw"].response_metadata["llmdispatch"].get("adapted", [])
        assert not (chosen.get("strict") and changes)
        try:
            model.with_structured_output(SHAPES[shape], strict=True).invoke("x")
        except DispatchError as error:
            assert "Invalid schema" in str(error)  # the vendor judges
    assert _format(server)["strict"] is True


def _format(server: LoopbackServer) -> dict[str, Any]:
    body = server.requests[-1].body
    named: dict[str, Any] = body.get("response_format", {}).get("json_schema") or body["text"]["format"]
    return named


ODD_KEYS = {
    "type": "object",
    "properties": {
        "$top": {"type": "integer"},
        "filter[id]": {"type": "string"},
        "größe in m²": {"type": "number"},
        "a" * 70: {"type": "object", "properties": {"@id": {"type": "string"}}, "required": ["@id"]},
    },
    "required": ["$top", "filter[id]", "größe in m²", "a" * 70],
}


@pytest.mark.parametrize("vendor", VENDORS)
@each("colour", COLOURS)
def test_arguments_may_have_any_name(server: LoopbackServer, vendor: str, colour: str) -> None:
    """Where a vendor refuses a name, another stands for it on the wire only, and is reported."""
    tool = {"name": "search", "description": "Search.", "input_schema": ODD_KEYS}
    with model_of(deployment(server, vendor)) as model:
        bound: Any = model.bind_tools([tool], tool_choice="search")
        message = COLOURS[colour](bound, "call the tool")
    (call,) = message.tool_calls
    assert Draft202012Validator(ODD_KEYS).is_valid(call["args"])
    kinds = {change["kind"] for change in message.response_metadata["llmdispatch"].get("adapted", [])}
    assert ("schema_keys_renamed" in kinds) is (vendor == "anthropic")


@pytest.mark.parametrize("vendor", VENDORS)
@each(
    "shape",
    [name for name in SHAPES if name not in {"array", "number", "array_class", "union", "recursive_root"}],
)
def test_tools_take_the_same_schemas(server: LoopbackServer, vendor: str, shape: str) -> None:
    """Or the target cannot serve the request, with the reason."""
    given = SHAPES[shape]
    schema = dict(neutral_tools([given])[0][0].parameters)
    with model_of(deployment(server, vendor)) as model:
        message = model.bind_tools([given], tool_choice="any").invoke("call the tool")
    assert isinstance(message, AIMessage)
    (call,) = message.tool_calls
    kinds = {change["kind"] for change in message.response_metadata["llmdispatch"].get("adapted", ())}
    assert Draft202012Validator(schema).is_valid(call["args"]) or "schema_recursion_optional" in kinds


def test_a_tool_that_cannot_be_expressed_excludes_its_target(server: LoopbackServer) -> None:
    """The reason is named, and another target serves."""
    strict = Deployment(
        "anthropic:claude-haiku-4-5", name="a", base_url=server.base_url("anthropic"), api_key="k"
    )
    with model_of(strict) as model:
        bound: Any = model.bind_tools([Folder], strict=True)
        with pytest.raises(DispatchError, match="'Folder': the target takes no recursive definitions"):
            bound.invoke("call the tool")
    with model_of(strict, deployment(server, "openai")) as model:
        bound = model.bind_tools([Folder], strict=True, tool_choice="any")
        assert summed(list(bound.stream("call the tool"))).tool_calls


@each("vendor", ["compatible", "huggingface"])
@each("method", ["json_schema", "function_calling"])
def test_a_strict_schema_is_closed_for_servers(vendor: str, method: str, server: LoopbackServer) -> None:
    """Servers with a strict mode refuse an open one, and properties that may be absent."""
    schema = {"title": "Answer", "type": "object", "properties": {"a": {"type": "string"}}}
    model = model_of(deployment(server, vendor))
    model.with_structured_output(schema, method=method, strict=True, include_raw=True).invoke("as JSON")
    sent = json.dumps(server.requests[-1].body)
    assert '"additionalProperties": false' in sent
    assert '"required": ["a"]' in sent
