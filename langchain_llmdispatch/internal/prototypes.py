"""Instances of pydantic models made from a valid one, without validating what is valid by construction."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)
_set = object.__setattr__


class Prototype(Generic[M]):
    """A valid instance, of which others are made that differ in some fields.

    Validating a chunk of a stream takes longer than decoding it. This does what `BaseModel.__setstate__`
    does, which restores a pickled instance.

    Args:
        instance: The instance; it is not changed, and must have no private attributes.
    """

    __slots__ = ("_class", "_extra", "_fields", "_set_fields")

    def __init__(self, instance: M) -> None:
        self._class = type(instance)
        self._fields, self._set_fields = instance.__dict__, instance.__pydantic_fields_set__
        self._extra = instance.__pydantic_extra__ is not None  # whether it takes undefined fields

    def made(self, **fields: Any) -> M:
        """Return another instance.

        Args:
            fields: The fields that differ, and those whose value can be changed in place: they are shared
                otherwise. Their values are not checked.
        """
        made = self._class.__new__(self._class)
        _set(made, "__dict__", self._fields | fields)
        _set(made, "__pydantic_fields_set__", self._set_fields.copy())
        _set(made, "__pydantic_extra__", {} if self._extra else None)
        _set(made, "__pydantic_private__", None)
        return made
