"""What one run may choose for itself: `config={"configurable": {...}}`, an allow-listed few."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_llmdispatch.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Choices of one run. Keys and addresses are never among them; budgets and vendors can only narrow.

    Attributes:
        route: The route, deployment or model to ask.
        deadline: Seconds for the whole call.
        max_cost: Dollars that the call may cost at worst.
        allowed_vendors: The only vendors that may see this conversation, within the model's own.
        thread_id: What the conversation is known by: it stays on the deployment that answered last.
        seed: Seed of this call's own decisions: order and jitter.
        timeout: Seconds for one attempt; a keyword of the call only.
    """

    route: str | None = None
    deadline: float | None = None
    max_cost: float | None = None
    allowed_vendors: Sequence[str] | None = None
    thread_id: str | None = None
    seed: int | None = None
    timeout: float | None = None

    @classmethod
    def of(cls, configurable: Mapping[str, Any]) -> RunOptions:
        """Return the choices in a run's `configurable`; words that are not ours are others' business.

        Raises:
            ConfigurationError: A value is of the wrong kind.
        """
        given = {name: configurable[name] for name in OPTIONS if configurable.get(name) is not None}
        for name, value in given.items():
            if not _FITS[name](value):
                raise ConfigurationError(f"configurable: {name}={value!r} is not {_KINDS[name]}.")
        if "thread_id" in given:
            given["thread_id"] = str(given["thread_id"])
        if isinstance(given.get("allowed_vendors"), str):
            given["allowed_vendors"] = [given["allowed_vendors"]]
        return cls(**given)

    def under(self, kwargs: dict[str, Any]) -> RunOptions:
        """Return these choices under a call's own `timeout=` and `deadline=`, which leave `kwargs`.

        Raises:
            ConfigurationError: One of them is not a positive number.
        """
        own = {name: kwargs.pop(name) for name in ("timeout", "deadline") if name in kwargs}
        own = {name: value for name, value in own.items() if value is not None}
        for name, value in own.items():
            if not _FITS["deadline"](value):
                raise ConfigurationError(f"{name}={value!r} is not {_KINDS['deadline']}.")
        return replace(self, **own) if own else self


OPTIONS = ("route", "deadline", "max_cost", "allowed_vendors", "thread_id", "seed")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _is_words(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(word, str) for word in value)
    )


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "route": lambda value: isinstance(value, str),
    "deadline": lambda value: _is_number(value) and value > 0,
    "max_cost": _is_number,
    "allowed_vendors": _is_words,
    "thread_id": lambda value: isinstance(value, (str, int)) or hasattr(value, "hex"),
    "seed": lambda value: isinstance(value, int) and not isinstance(value, bool),
}
_KINDS = {
    "route": "a name",
    "deadline": "a positive number of seconds",
    "max_cost": "a number of dollars from 0 up",
    "allowed_vendors": "a list of vendors' names",
    "thread_id": "an id",
    "seed": "an integer",
}
