"""Routing strategies: how the deployments that can serve a request are ordered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from langchain_llmdispatch.deployments import nearest
from langchain_llmdispatch.errors import ConfigurationError

Strategy: TypeAlias = str | Mapping[str, float] | Callable[..., Any]

STRATEGIES = ("ordered",)


def check_strategy(value: Any) -> Strategy:
    """Return the strategy.

    Raises:
        ConfigurationError: There is none of that name.
    """
    if isinstance(value, str) and value not in STRATEGIES:
        raise ConfigurationError(f"strategy {value!r} is not known.{nearest(value, STRATEGIES)}")
    return value  # type: ignore[no-any-return] # the field's type checks the rest
