"""Base of everything that is configured: frozen models, and errors that name the nearest right field."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from traceback import clear_frames
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    NoReturn,
    ParamSpec,
    Self,
    TypeVar,
    overload,
)

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.depth import deep_place
from langchain_llmdispatch.internal.field_docs import ConfigSchema, describe_fields, with_descriptions
from langchain_llmdispatch.internal.json_format import MAX_DEPTH

_K = TypeVar("_K")
_V = TypeVar("_V")
_P = ParamSpec("_P")
_R = TypeVar("_R")

NONE: Any = None
"""The default of a `Converted` field, whose own type None is not."""


_Read_co = TypeVar("_Read_co", covariant=True)
_Given_contra = TypeVar("_Given_contra", contravariant=True)


class Converted(Generic[_Read_co, _Given_contra]):
    """The declared type of a field that is read as one type and takes more: `api_key="..."`.

    Type checkers give the parameter of the constructor the type that `__set__` takes, and what is read the
    type that `__get__` returns. At run time pydantic's annotation stands in its place.
    """

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> _Read_co: ...
        def __get__(self, instance: object, owner: Any) -> Any: ...
        def __set__(self, instance: Any, value: _Given_contra) -> None: ...


class FrozenDict(dict[_K, _V]):
    """A dict that cannot be changed, for fields that are read at construction only."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise ConfigurationError(
            "this mapping is read at construction only; a changed copy of it goes into a model of its own: "
            "model.model_copy(update={...})."
        )

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy it as one whole, not item by item."""
        return (type(self), (dict(self),))


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the known word nearest to `word`, or an empty string."""
    words = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), words, n=1, cutoff=0.6)
    return f" Did you mean {words[found[0]]!r}?" if found else ""


def check_fields(owner: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Check that `owner` has all the fields in `names`.

    Raises:
        ConfigurationError: A field is unknown; the message names it and the nearest known one.
    """
    known = tuple(known)
    for name in names:
        if not isinstance(name, str):
            raise ConfigurationError(f"{owner}: {name!r} is no name of a field.")
        if name not in known:
            hint = nearest(name, known) or f" Known fields: {', '.join(sorted(known))}."
            raise ConfigurationError(f"{owner} has no field {name!r}.{hint}")


def without_variables(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function that is handed keys: what it raises shows none in the variables of its frames."""

    @wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except ConfigurationError as error:
            clear_frames(error.__traceback__)
            del args, kwargs
            raise

    return run


def check_depth(value: Any, field: str) -> None:
    """Check that a value can be written as JSON, as far as its depth goes.

    Raises:
        ConfigurationError: It is nested deeper than 200 levels; the message names the place.
    """
    if (place := deep_place(value, field)) is not None:
        raise ConfigurationError(f"{place.removeprefix('.')} is nested deeper than {MAX_DEPTH} levels.")


def explain_validation(error: ValidationError) -> str:
    """Return a validation error as one line per field."""
    lines = []
    for detail in error.errors(include_input=False, include_url=False, include_context=False):
        where = ".".join(str(part) for part in detail["loc"] if not _OF_SCHEMA.match(str(part)))
        text = detail["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {text}" if where else text)
    return "\n".join(dict.fromkeys(lines))


_OF_SCHEMA = re.compile(r"[\w-]+\[.*", re.DOTALL)
"""A part of a place that names no field, but a branch of pydantic's schema: `function-wrap[...]`."""


def late_class(module: str, name: str, *also: str) -> Any:
    """Return the annotation of a field for instances of a class, without importing its module.

    Args:
        module: The module.
        name: The class's name.
        also: Further modules that have such a class.
    """

    def check(value: Any) -> Any:
        # Where there is an instance, its module is loaded.
        classes = (getattr(sys.modules.get(each), name, ()) for each in (module, *also))
        if not any(isinstance(value, each) for each in classes):
            text = "Input should be an instance of {class}"
            raise PydanticCustomError("is_instance_of", text, {"class": name})
        return value

    without_json: Any = SkipJsonSchema
    return Annotated[without_json[Any], AfterValidator(check)]


if TYPE_CHECKING:  # type checkers then know the constructors' own signatures
    from pydantic._internal._model_construction import ModelMetaclass as _Meta
else:

    class _Meta(type(BaseModel)):
        def __call__(cls, *args: Any, **fields: Any) -> Any:
            """Construct a model.

            Raises:
                ConfigurationError: A field is wrong; one line each. No input is in it, nor behind it, nor in
                    the variables of frames that it has passed.
            """
            if len(args) == 1 and cls._positional is not None:
                args, fields = (), {cls._positional: args[0], **fields}
            try:
                return super().__call__(*args, **fields)
            except ValidationError as error:
                text = explain_validation(error)
            except ConfigurationError as error:
                clear_frames(error.__traceback__)
                del args, fields
                raise
            del args, fields
            raise ConfigurationError(text)


class Checked(BaseModel, metaclass=_Meta):
    """Base of what may hold keys: errors of validation hold no input, whichever way it is validated."""

    model_config = ConfigDict(defer_build=True)  # until first used: most of a class's share of an import
    _positional: ClassVar[str | None] = None  # the field that may be given without its name

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Give the fields the descriptions in the docstring."""
        super().__pydantic_init_subclass__(**kwargs)
        describe_fields(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        """Return the JSON schema, fields described."""
        made = super().__get_pydantic_json_schema__(schema, handler)
        with_descriptions(cls, handler.resolve_ref_schema(made))
        return made

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the JSON schema of what a file can hold; see `BaseModel.model_json_schema`."""
        return super().model_json_schema(*args, **{"schema_generator": ConfigSchema, **options})

    @model_validator(mode="wrap")
    @classmethod
    def _forget_input(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            details = [_without_input(each) for each in error.errors(include_input=False, include_url=False)]
        raise ValidationError.from_exception_data(cls.__name__, details, hide_input=True)


def _without_input(detail: ErrorDetails) -> InitErrorDetails:
    text = detail["msg"].removeprefix("Value error, ")
    kind = PydanticCustomError("value_error", "{text}", {"text": text})
    return InitErrorDetails(type=kind, loc=detail["loc"], input=None)


class Settings(Checked):
    """Base of everything configurable: frozen, no unknown fields, input never repeated in errors."""

    _also: ClassVar[frozenset[str]] = frozenset()  # words that a validator reads as fields

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show the fields that were given."""
        return [(name, value) for name, value in super().__repr_args__() if name in self.model_fields_set]

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    @model_validator(mode="before")
    @classmethod
    def _name_nearest_field(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            check_fields(cls.__name__, values, (*cls.model_fields, *cls._also))
        return values
