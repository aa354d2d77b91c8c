"""JSON schemas of what callers write in Python: pydantic classes, TypedDicts, functions, LangChain's tools.

The schema is pydantic's own. LangChain's converters lose parts of it: a recursive model's children, null in a
TypedDict's `Optional`, keys that need not be there, a root that is no object.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ForwardRef,
    Literal,
    NotRequired,
    Required,
    TypeGuard,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, Field, create_model
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import ReadOnly, is_typeddict

from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.vendors.compile.docstrings import documented
from langchain_llmdispatch.vendors.compile.references import Schema, inlined

if TYPE_CHECKING:
    from langchain_core import tools as langchain_tools
else:
    langchain_tools = LateModule("langchain_core.tools")

_ONE_TEXT = {"type": "object", "properties": {"__arg1": {"type": "string"}}, "required": ["__arg1"]}
"""The arguments of LangChain's simplest tool, which takes one text."""


def is_class(value: Any) -> TypeGuard[type]:
    """Whether `value` is a class that has a schema: pydantic's, or a TypedDict."""
    return isinstance(value, type) and (is_basemodel_subclass(value) or is_typeddict(value))


def class_schema(cls: type) -> Schema:
    """Return the schema of a pydantic class (version 1 or 2) or TypedDict; its title is the class's name.

    Definitions stand in their places, as most servers read them best; recursive ones stay defined.

    Raises:
        PydanticInvalidForJsonSchema: The type of a field has no JSON form.
    """
    model = _TypedDictModels().model(cls) if is_typeddict(cls) else cls
    return inlined({"title": cls.__name__, **_model_schema(model)})


def function_schema(function: Callable[..., Any]) -> Schema:
    """Return the schema of a function's arguments; its title is the function's name."""
    name = function.__name__
    model = langchain_tools.create_schema_from_function(
        name, function, parse_docstring=True, error_on_invalid_docstring=False, include_injected=False
    )
    return {**class_schema(model), "title": name, "description": model.__doc__ or ""}


def tool_schema(tool: langchain_tools.BaseTool) -> Schema:
    """Return the schema of a tool's arguments, without those that the model does not see."""
    if isinstance(tool, langchain_tools.Tool) and not tool.args_schema:
        return _ONE_TEXT
    arguments: Any = tool.tool_call_schema
    return dict(arguments) if isinstance(arguments, Mapping) else class_schema(arguments)


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out the titles of fields that only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _model_schema(model: Any) -> Schema:
    if not issubclass(model, BaseModel):
        return dict(model.schema())  # pydantic 1
    taken = inspect.signature(model.model_json_schema).parameters.values()
    generated = any(p.name == "schema_generator" or p.kind is p.VAR_KEYWORD for p in taken)
    schema = model.model_json_schema(**({"schema_generator": _WithoutTitles} if generated else {}))
    definitions = {name: _untitled(part, name) for name, part in schema.get("$defs", {}).items()}
    return {**schema, "$defs": definitions} if definitions else dict(schema)


def _untitled(definition: Schema, name: str) -> Schema:
    """Return a definition without a title that only repeats its name."""
    return {key: value for key, value in definition.items() if (key, value) != ("title", name)}


# -- TypedDicts ------------------------------------------------------------------------------------


class _TypedDictModels:
    """Pydantic classes that stand for TypedDicts, and for those within them, recursive ones too."""

    def __init__(self) -> None:
        self._names: dict[type, str] = {}
        self._models: dict[str, type[BaseModel]] = {}

    def model(self, cls: type) -> type[BaseModel]:
        """Return the class that stands for a TypedDict."""
        name = self._name(cls)
        for made in self._models.values():
            made.model_rebuild(_types_namespace=self._models)
        return self._models[name]

    def _name(self, cls: type) -> str:
        if cls not in self._names:
            taken = cls.__name__ in self._names.values()
            name = self._names[cls] = f"{cls.__name__}_{len(self._names)}" if taken else cls.__name__
            about, notes = documented(cls)
            hints = get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)
            fields: dict[str, Any] = {
                # As a field of a class a key could be forbidden (`_id`, `schema`); as an alias any may stand.
                f"field_{number}": self._field(cls, key, hint, notes.get(key))
                for number, (key, hint) in enumerate(hints.items())
            }
            self._models[name] = create_model(name, __doc__=about, **fields)
        return self._names[cls]

    def _field(self, cls: Any, key: str, hint: Any, note: str | None) -> tuple[Any, Any]:
        required = key in cls.__required_keys__
        while (origin := get_origin(hint)) in _MARKS:
            required = required if origin is ReadOnly else origin is Required
            hint = get_args(hint)[0]
        options: dict[str, Any] = {"alias": key}
        if get_origin(hint) is Annotated and not _is_pydantic(hint.__metadata__):
            default, description = _langchain_notes(hint.__metadata__)
            note = note or description
            options |= {} if default is ... else {"default": default}
            hint = hint.__origin__
        if note:
            options["description"] = note
        if not required and "default" not in options:
            options["default_factory"] = lambda: None  # it may be absent, but has no default to show
        return self._named(hint), Field(**options)

    def _named(self, hint: Any) -> Any:
        """Return a type with the names of their classes in place of TypedDicts."""
        if is_typeddict(hint):
            return ForwardRef(self._name(hint))
        origin, args = get_origin(hint), get_args(hint)
        if not args or origin is Literal:
            return hint
        if origin is Annotated:
            return Annotated[(self._named(args[0]), *args[1:])]
        made = tuple(self._named(arg) if _has_parts(arg) else arg for arg in args)
        if made == args:
            return hint
        if origin in {Union, types.UnionType}:
            return Union[made]  # noqa: UP007 - the types are known only here
        return types.GenericAlias(origin, made)


_MARKS = frozenset({Required, NotRequired, ReadOnly})


def _has_parts(hint: Any) -> bool:
    return is_typeddict(hint) or bool(get_args(hint))


def _is_pydantic(notes: tuple[Any, ...]) -> bool:
    """Whether the notes of an `Annotated` are pydantic's, and not LangChain's default and description."""
    return not isinstance(notes[0], (str, int, float, bool, list, dict, types.EllipsisType, types.NoneType))


def _langchain_notes(notes: tuple[Any, ...]) -> tuple[Any, str | None]:
    """Return default and description of `Annotated[type, default, "description"]`; `...` for no default."""
    if len(notes) == 1 and isinstance(notes[0], str):
        return ..., notes[0]
    return notes[0], next((note for note in notes[1:] if isinstance(note, str)), None)
