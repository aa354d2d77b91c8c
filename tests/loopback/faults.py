"""What can go wrong, on demand: a script of steps per account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from tests.loopback.neutral import Answer

Kind = Literal[
    "none",
    "error",
    "cut",
    "stall",
    "slow_first",
    "slow_head",
    "pace",
    "malformed",
    "without",
    "in_band_error",
    "reset",
    "empty_answer",
    "keepalives",
    "drip",
    "chop",
    "informational",
    "mislabelled",
]
Part = Literal["start", "content", "finish", "usage", "done"]
END_PARTS: tuple[Part, ...] = ("finish", "usage", "done")


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour; `Fault(status=..., headers=..., body=...)` answers with that."""

    kind: Kind = "error"
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """JSON, text or bytes; None is the vendor's own body for the status or the error."""
    error_kind: str | None = None
    message: str | None = None
    after_events: int = 0
    after_bytes: int | None = None
    seconds: float = 0.0
    count: int = 0
    parts: tuple[Part, ...] = ()
    clean: bool = False
    """Whether a cut ends the HTTP message properly, so that only its content is short."""

    @classmethod
    def error(
        cls, kind: str, *, message: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Self:
        """Answer with the vendor's own status, headers and body for a kind of error."""
        return cls(error_kind=kind, message=message, headers=headers or {})

    @classmethod
    def cut(cls, *, after_events: int = 0, after_bytes: int | None = None, clean: bool = False) -> Self:
        """Close the connection in the middle of the body."""
        return cls("cut", after_events=after_events, after_bytes=after_bytes, clean=clean)

    @classmethod
    def stall(cls, *, after_events: int = 0) -> Self:
        """Fall silent in the middle of the body until the client leaves or the server closes."""
        return cls("stall", after_events=after_events)

    @classmethod
    def slow_head(cls, seconds: float) -> Self:
        """Wait before the response headers."""
        return cls("slow_head", seconds=seconds)

    @classmethod
    def slow_first(cls, seconds: float) -> Self:
        """Send the headers at once and wait before the body."""
        return cls("slow_first", seconds=seconds)

    @classmethod
    def pace(cls, seconds: float) -> Self:
        """Wait between the events of a stream."""
        return cls("pace", seconds=seconds)

    @classmethod
    def malformed(cls, *, after_events: int = 0) -> Self:
        """Put an event of broken JSON into a stream; a plain body is cut within its JSON."""
        return cls("malformed", after_events=after_events)

    @classmethod
    def no_end_marker(cls) -> Self:
        """End the stream properly but without finish reason, usage and end marker."""
        return cls("without", parts=END_PARTS)

    @classmethod
    def without(cls, *parts: Part) -> Self:
        """Leave out some parts of a stream, as "usage" or only "done"."""
        return cls("without", parts=parts)

    @classmethod
    def in_band_error(cls, kind: str = "overloaded", *, after_events: int = 0) -> Self:
        """Report an error inside a stream whose status is 200, and end it."""
        return cls("in_band_error", error_kind=kind, after_events=after_events)

    @classmethod
    def reset(cls, *, after_events: int | None = None) -> Self:
        """Reset the TCP connection, before any answer or in the middle of a stream."""
        return cls("reset", after_events=-1 if after_events is None else after_events)

    @classmethod
    def empty_answer(cls) -> Self:
        """Answer properly, with no content at all."""
        return cls("empty_answer")

    @classmethod
    def keepalives(cls, count: int, *, seconds: float = 0.0) -> Self:
        """Send keep-alives before the first event, some time apart."""
        return cls("keepalives", count=count, seconds=seconds)

    @classmethod
    def drip(cls, count: int = 1, *, seconds: float = 0.0) -> Self:
        """Send the body in pieces of so many bytes, some time apart."""
        return cls("drip", count=count, seconds=seconds)

    @classmethod
    def chop(cls, seed: int) -> Self:
        """Send the body in pieces of random size."""
        return cls("chop", count=seed)

    @classmethod
    def informational(cls, count: int, *, seconds: float = 0.0) -> Self:
        """Send so many heads of status 103 before the answer's own, some time apart."""
        return cls("informational", count=count, seconds=seconds)

    @classmethod
    def mislabelled(cls, content_type: str = "text/html") -> Self:
        """Answer properly, under another content type."""
        return cls("mislabelled", message=content_type)

    @classmethod
    def none(cls) -> Self:
        """Answer as if nothing were scripted."""
        return cls("none")


ANSWER = Fault.none()
Step = Fault | Answer | tuple[Fault | Answer, ...]


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step of a script, taken apart."""

    answer: Answer | None = None
    faults: tuple[Fault, ...] = ()

    @classmethod
    def of(cls, step: Step) -> Self:
        """Take a step apart."""
        parts = step if isinstance(step, tuple) else (step,)
        answers = [part for part in parts if isinstance(part, Answer)]
        faults = tuple(part for part in parts if isinstance(part, Fault) and part.kind != "none")
        return cls(answers[0] if answers else None, faults)

    def damages(self) -> bool:
        """Whether a plain body does not arrive as it should."""
        return any(fault.kind in {"cut", "stall", "malformed", "in_band_error"} for fault in self.faults)

    def splits(self) -> bool:
        """Whether the pieces of a body are to come apart on the wire."""
        return any(fault.kind in {"drip", "chop"} for fault in self.faults)

    def fault(self, kind: Kind) -> Fault | None:
        """The fault of a kind, when it is part of the step."""
        return next((fault for fault in self.faults if fault.kind == kind), None)


class Script:
    """The steps of one account, taken in order; then the last one forever, or plain answers."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._rest: Step = ANSWER

    def extend(self, steps: Sequence[Step], *, repeat: bool = False) -> None:
        """Append steps; with `repeat` the last of them answers every further request."""
        self._steps.extend(steps)
        if repeat and steps:
            self._rest = self._steps.pop()

    def clear(self) -> None:
        """Forget all steps."""
        self._steps.clear()
        self._rest = ANSWER

    def take(self) -> StepPlan:
        """The plan of the next request."""
        return StepPlan.of(self._steps.pop(0) if self._steps else self._rest)

    def __len__(self) -> int:
        return len(self._steps)
