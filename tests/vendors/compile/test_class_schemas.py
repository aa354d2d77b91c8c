"""Schemas of Python's classes, functions and tools, as pydantic writes them."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal, NotRequired, Optional, Required

import pytest
from langchain_core.tools import InjectedToolArg, Tool, tool
from pydantic import BaseModel, Field
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import TypedDict

from langchain_llmdispatch.vendors.compile.class_schemas import (
    class_schema,
    function_schema,
    is_class,
    tool_schema,
)


class _Size(enum.Enum):
    SMALL = "small"
    ONE = 1


class _Place(BaseModel):
    """A place."""

    x: int
    y: float | None = None


class _Trip(BaseModel):
    start: _Place = Field(description="where it begins", title="Origin")
    legs: list[_Trip]
    size: _Size
    pair: tuple[int, str]
    word: Literal["a", 1] | None
    anything: Any


def test_a_pydantic_class_has_pydantics_schema() -> None:
    """Recursion stays a reference; other definitions stand in place; titles of fields that only repeat go."""
    schema = class_schema(_Trip)
    parts = schema["properties"]
    assert schema["title"] == "_Trip"
    assert parts["start"] == {
        "title": "Origin",
        "description": "where it begins",
        "type": "object",
        "properties": {
            "x": {"type": "integer"},
            "y": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
        },
        "required": ["x"],
    }
    assert parts["legs"] == {"type": "array", "items": {"$ref": "#/$defs/_Trip"}}
    assert parts["size"]["enum"] == ["small", 1]
    assert [part["type"] for part in parts["pair"]["prefixItems"]] == ["integer", "string"]
    assert parts["word"] == {"anyOf": [{"enum": ["a", 1]}, {"type": "null"}]}
    assert parts["anything"] == {}
    assert list(schema["$defs"]) == ["_Trip"]


class _Old(BaseModelV1):
    """An old one."""

    name: str


class _Own(BaseModel):
    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {"type": "object", "properties": {"mine": {"type": "string"}}}


def test_other_pydantic_classes() -> None:
    """Version 1, and a class that writes its own schema."""
    assert class_schema(_Old)["properties"]["name"]["type"] == "string"
    assert class_schema(_Own) == {
        "title": "_Own",
        "type": "object",
        "properties": {"mine": {"type": "string"}},
    }


class _Link(TypedDict):
    """A link.

    Args:
        url: Where it
            leads.
    """

    url: str
    text: Optional[str]  # noqa: UP045 - as people write it


class _Page(TypedDict, total=False):
    links: Required[list[_Link]]
    title: Annotated[str, ..., "its title"]
    rating: Annotated[int | None, None, "from 1 to 5"]
    about: Annotated[str, "a summary"]
    count: Annotated[int, Field(ge=0)]
    parent: _Page | None
    schema: dict[str, tuple[_Link, ...]]
    _id: NotRequired[int]


def test_a_typed_dict_keeps_what_it_allows() -> None:
    """Null where it may be, keys that may be absent, notes as LangChain's users write them, any name, recursion."""
    link = class_schema(_Link)
    assert (link["title"], link["description"], link["required"]) == ("_Link", "A link.", ["url", "text"])
    assert link["properties"]["url"] == {"type": "string", "description": "Where it leads."}
    assert link["properties"]["text"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    page = class_schema(_Page)
    parts = page["properties"]
    assert page["required"] == ["links"]
    assert parts["links"]["items"]["required"] == ["url", "text"]
    assert parts["title"] == {"type": "string", "description": "its title"}
    assert (parts["rating"]["default"], parts["rating"]["description"]) == (None, "from 1 to 5")
    assert parts["about"] == {"type": "string", "description": "a summary"}
    assert parts["count"] == {"type": "integer", "minimum": 0}
    assert parts["parent"] == {"anyOf": [{"$ref": "#/$defs/_Page"}, {"type": "null"}]}
    assert parts["schema"]["additionalProperties"]["items"]["description"] == "A link."
    assert parts["_id"] == {"type": "integer"}


def test_typed_dicts_of_one_name_stay_apart() -> None:
    """Each keeps its own keys."""
    first: Any = TypedDict("Same", {"a": str})
    second: Any = TypedDict("Same", {"b": int, "inner": first})
    parts = class_schema(second)["properties"]
    assert (list(parts), list(parts["inner"]["properties"])) == (["b", "inner"], ["a"])


def _search(
    query: str, place: _Place, limit: Annotated[int, InjectedToolArg] = 3, near: _Trip | None = None
) -> str:
    """Search.

    Args:
        query: What for.
        place: Where.
        limit: How many.
        near: A trip.
    """
    return f"{query} {place} {limit} {near}"


def test_a_function_has_the_schema_of_its_arguments() -> None:
    """Described by its docstring; recursion stays; what is injected into a tool is left out."""
    for schema in (function_schema(_search), {"title": "_search", **tool_schema(tool(_search))}):
        assert schema["title"] == "_search"
        assert set(schema["properties"]) - {"limit"} == {"query", "place", "near"}
        assert schema["required"] == ["query", "place"]
        assert schema["properties"]["near"]["anyOf"][0] == {"$ref": "#/$defs/_Trip"}
    assert function_schema(_search)["properties"]["query"]["description"] == "What for."
    assert "limit" not in tool_schema(tool(_search))["properties"]


def test_tools_of_other_kinds() -> None:
    """One text; a schema that is a dict already."""
    plain = Tool("plain", lambda text: text, "Say it.")
    assert list(tool_schema(plain)["properties"]) == ["__arg1"]
    given = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}
    assert (
        tool_schema(tool("f", args_schema=given, description="F.")(_search))["properties"]
        == given["properties"]
    )


def test_what_is_no_class_has_none() -> None:
    """Instances, functions and other classes."""
    assert is_class(_Trip)
    assert is_class(_Old)
    assert is_class(_Page)
    assert not any(map(is_class, (_Place(x=1), _search, int, "Trip", {})))

    class Odd(BaseModel):
        call: Any = Field(default=None)
        model_config = {"arbitrary_types_allowed": True}
        thing: pytest.Item

    with pytest.raises(PydanticInvalidForJsonSchema):
        class_schema(Odd)
