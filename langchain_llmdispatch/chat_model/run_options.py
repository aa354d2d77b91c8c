"""The few settings that one run may choose: `config={"configurable": {...}}`, `timeout=`, `deadline=`.

LangChain hands a model the metadata of its run but not its `configurable`, so `request.with_choices` copies
these choices into the metadata, under `CHOICES`, before LangChain takes the config.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.types import RUN_CHOICES

CHOICES = RUN_CHOICES
"""The key of a run's choices in its metadata."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Choices of one run. Keys and addresses are never among them; budgets and vendors can only narrow.

    Attributes:
        route: The route, deployment or model to use.
        deadline: Seconds for the whole call.
        max_cost: Dollars that the call may cost at worst.
        allowed_vendors: The only vendors that may see this conversation, within the model's own.
        thread_id: Identifies the conversation, which stays on the deployment that answered last.
        wait_for_preferred: Seconds that this call waits for its first choice while that is rate limited.
        seed: Seed of this call's own decisions: order and jitter.
        timeout: Seconds for one attempt; a keyword of the call only.
    """

    route: str | None = None
    deadline: float | None = None
    max_cost: float | None = None
    allowed_vendors: Sequence[str] | None = None
    thread_id: str | None = None
    seed: int | None = None
    wait_for_preferred: float | None = None
    timeout: float | None = None

    @classmethod
    def of(cls, configurable: Mapping[str, Any]) -> RunOptions:
        """Return the choices in a run's `configurable`; other words in it are ignored.

        Raises:
            ConfigurationError: A value is of the wrong kind.
        """
        given = {name: configurable[name] for name in OPTIONS if configurable.get(name) is not None}
        for name, value in given.items():
            fits, kind = _KINDS[name]
            if not fits(value):
                raise ConfigurationError(f"configurable: {name}={value!r} is not {kind}.")
        if "thread_id" in given:
            given["thread_id"] = str(given["thread_id"])
        if isinstance(given.get("allowed_vendors"), str):
            given["allowed_vendors"] = [given["allowed_vendors"]]
        return cls(**given)


NO_OPTIONS = RunOptions()


def options_of(metadata: Mapping[str, Any], kwargs: dict[str, Any]) -> RunOptions:
    """Return what a run chose in its `configurable`, under the call's own keywords.

    Args:
        metadata: The run's metadata.
        kwargs: The call's keywords; `timeout`, `deadline` and `max_cost` are removed from it.

    Raises:
        ConfigurationError: A choice is of the wrong kind.
    """
    chosen = metadata.get(CHOICES)
    options = RunOptions.of(chosen) if isinstance(chosen, Mapping) else NO_OPTIONS
    own = {name: kwargs.pop(name, None) for name in ("timeout", "deadline", "max_cost")}
    own = {name: value for name, value in own.items() if value is not None}
    for name, value in own.items():
        fits, kind = _KINDS["deadline" if name == "timeout" else name]
        if not fits(value):
            raise ConfigurationError(f"{name}={value!r} is not {kind}.")
    return replace(options, **own) if own else options


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _is_names(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(name, str) for name in value)
    )


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "route": (lambda value: isinstance(value, str), "a name"),
    "deadline": (lambda value: _is_number(value) and value > 0, "a positive number of seconds"),
    "max_cost": (_is_number, "a number of dollars from 0 up"),
    "allowed_vendors": (_is_names, "a list of vendors' names"),
    "thread_id": (lambda value: isinstance(value, (str, int)) or hasattr(value, "hex"), "an id"),
    "wait_for_preferred": (_is_number, "a number of seconds from 0 up"),
    "seed": (lambda value: isinstance(value, int) and not isinstance(value, bool), "an integer"),
}
OPTIONS = tuple(_KINDS)
"""What a run may choose in its `configurable`."""


def warn_of_near_misses(configurable: Mapping[str, Any]) -> None:
    """Warn of words that are nearly one of ours (`max_costs`); those of other packages are not looked at."""
    for word in configurable:
        if not isinstance(word, str) or word in OPTIONS or word.startswith("__"):
            continue
        if (known := _near(word)) is not None:
            warnings.warn(f"configurable: {word!r} has no effect. Did you mean {known!r}?", stacklevel=4)


@lru_cache(maxsize=256)
def _near(word: str) -> str | None:
    plain = word.casefold().replace("-", "_")
    found = difflib.get_close_matches(plain, OPTIONS, n=1, cutoff=0.85)
    return found[0] if found else None
