"""The form of a rule, and checks that several vendors share."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.loopback.neutral import JSON, RejectedError, VendorRequest

Check = Callable[[VendorRequest], RejectedError | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a vendor refuses, and where it documents it."""

    name: str
    source: str
    check: Check


def enforce(rules: Sequence[Rule], call: VendorRequest) -> None:
    """Raise the first violation."""
    for rule in rules:
        error = rule.check(call)
        if error is not None:
            error.rule = rule.name
            raise error


def unknown(call: VendorRequest, allowed: frozenset[str]) -> str | None:
    """The first top-level field that the vendor does not know."""
    return next((key for key in call.body if key not in allowed), None)


def messages(call: VendorRequest, key: str = "messages") -> list[JSON]:
    """The messages of a request that are objects."""
    value = call.body.get(key)
    return [message for message in value if isinstance(message, dict)] if isinstance(value, list) else []


def blocks(message: JSON, key: str = "content") -> list[JSON]:
    """The content blocks of a message; none when its content is text."""
    value = message.get(key)
    return [block for block in value if isinstance(block, dict)] if isinstance(value, list) else []


def nested(value: Any) -> Iterator[JSON]:
    """Every object within a JSON value."""
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from nested(part)
    elif isinstance(value, list):
        for part in value:
            yield from nested(part)
