"""Values of parameters that are given with a call or a deployment, converted as the model's own fields are.

Files and forms give numbers as text, notebooks those of numpy. The range is left to the vendor: some servers
take -1 for no limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from langchain_llmdispatch.errors import ConfigurationError

KINDS: Mapping[str, type] = {
    "temperature": float,
    "max_tokens": int,
    "top_p": float,
    "seed": int,
    "user": str,
    "top_k": int,
    "presence_penalty": float,
    "frequency_penalty": float,
    "top_logprobs": int,
    "reasoning_effort": str,
    "verbosity": str,
    "service_tier": str,
}
"""The types of parameters that are one number or one text, by neutral name."""

_FITTING: Mapping[type, tuple[type, ...]] = {float: (float, int), int: (int,), str: (str,)}


def converted(params: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return parameters with each value of its type; those that are None or no single value stay.

    Args:
        params: Values by name, as they were given.
        names: The neutral names of those that have another one.

    Raises:
        ConfigurationError: A value cannot be converted; the message names it.
    """
    made = dict(params)
    for name, value in params.items():
        kind = KINDS.get(names.get(name, name))
        if kind is None or value is None or value.__class__ in _FITTING[kind]:
            continue
        made[name] = _converted(name, value, kind)
    return made


def _converted(name: str, value: Any, kind: type) -> Any:
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        why = error.errors(include_url=False, include_input=False)[0]["msg"]
    raise ConfigurationError(f"{name}={value!r:.80}: {why[:1].lower()}{why[1:]}.")


@lru_cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
