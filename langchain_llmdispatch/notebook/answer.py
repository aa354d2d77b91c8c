"""One answer in a notebook: its attempts on a timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_llmdispatch.dispatch.hedging import OVERTAKEN
from langchain_llmdispatch.internal.html import (
    BAD,
    GOOD,
    QUIET,
    SKY,
    WARN,
    Markup,
    bar,
    cards,
    count,
    dollars,
    dot,
    heading,
    legend,
    muted_line,
    page,
    plural,
    seconds,
    table,
    text,
)
from langchain_llmdispatch.vendors.finish_reasons import normalized

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.messages import BaseMessage

LEGEND = {
    "waited": QUIET,
    "until the first token": SKY,
    "answered": GOOD,
    "failed": BAD,
    "overtaken": QUIET,
    "not good enough": WARN,
}
"""The pieces of a timeline, and their colours."""


class TimedAttempt(NamedTuple):
    """An attempt on a timeline, in seconds from the start of its call.

    Attributes:
        record: Its record.
        begin: When its wait (backoff, limits) began.
        sent: When it was sent.
        first: When its content began; None if it was not streamed, or brought none.
        end: When it ended.
    """

    record: Mapping[str, Any]
    begin: float
    sent: float
    first: float | None
    end: float

    @property
    def outcome(self) -> str:
        """One of `answered`, `failed`, `overtaken`, `not good enough`."""
        error = self.record.get("error")
        if error:
            return "overtaken" if error == OVERTAKEN else "failed"
        return "not good enough" if self.record.get("declined") else "answered"

    @property
    def words(self) -> str:
        """Its result in words: `answered`, `OverloadedError (503)`, `overtaken`."""
        if self.outcome != "failed":
            return self.outcome
        status = self.record.get("status")
        return f"{self.record['error']}{f' ({status})' if status else ''}"

    def pieces(self) -> list[tuple[str, float, float]]:
        """Return its pieces: the word of `LEGEND`, start and end of each."""
        out = [("waited", self.begin, self.sent)] if self.sent > self.begin else []
        content = self.first if self.first is not None and not self.record.get("error") else self.sent
        if content > self.sent:
            out.append(("until the first token", self.sent, content))
        return [*out, (self.outcome, content, self.end)]


def attempts_of(message: BaseMessage | BaseException) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    """Return the attempts behind an answer or an error, and the facts of the call.

    Raises:
        ValueError: The message carries none: another chat model made it.
    """
    if isinstance(message, BaseException):
        facts = getattr(message, "llmdispatch", {})
        return [record.to_dict() for record in getattr(message, "attempts", ())], facts
    facts = message.response_metadata.get("llmdispatch")
    if not facts:
        raise ValueError("this message has no response_metadata['llmdispatch']: another model made it")
    return list(facts["attempts"]), facts


def timed(attempts: Iterable[Mapping[str, Any]]) -> list[TimedAttempt]:
    """Return attempts on a timeline: by their recorded starts, or else one after the other."""
    out, at = [], 0.0
    for one in attempts:
        started = one.get("started_ms")
        begin = at if started is None else started / 1000
        sent = begin + one["wait_ms"] / 1000
        first, at = one.get("ttft_ms"), sent + one["latency_ms"] / 1000
        out.append(TimedAttempt(one, begin, sent, None if first is None else sent + first / 1000, at))
    return out


def answer_html(message: BaseMessage | BaseException) -> Markup:
    """Return the display of an answer, or of the error of a call: its attempts on a timeline."""
    attempts, facts = attempts_of(message)
    line = timed(attempts)
    whole = max((one.end for one in line), default=0.0) or 0.001
    rows = [_row(number, one, whole) for number, one in enumerate(line, 1)]
    columns = ("#", "deployment", "outcome", "waited", "first token", "took", f"0 to {seconds(whole)}")
    shown = {word for one in line for word, *_ in one.pieces()}
    return page(
        _heading(message, facts, line),
        table(columns, rows, kinds="nwwnnnw") if rows else muted_line("nothing was sent"),
        legend({word: _style(word) for word in LEGEND if word in shown}),
    )


def _heading(
    message: BaseMessage | BaseException, facts: Mapping[str, Any], line: Sequence[TimedAttempt]
) -> str:
    if isinstance(message, BaseException):
        wasted = facts.get("cost_usd")
        spent = f", {dollars(wasted)} spent" if wasted is not None else ""
        return heading(dot(type(message).__name__, BAD), f"{plural(len(line), 'request')}{spent}")
    metadata, usage = message.response_metadata, getattr(message, "usage_metadata", None)
    shown: dict[str, Any] = {"model": metadata.get("model_name"), "requests": count(len(line))}
    if usage and "input_tokens" in usage:  # a cached answer may hold only its mark
        shown["tokens in + out"] = f"{count(usage['input_tokens'])} + {count(usage['output_tokens'])}"
    shown["cost"] = dollars(facts.get("cost_usd"))
    shown["ended by"] = normalized(metadata)
    adapted = [f"{change['kind']}: {change['detail']}" for change in facts.get("adapted", ())]
    notes = muted_line(Markup("<br>".join(text(note) for note in adapted))) if adapted else ""
    return heading(f"answered by {facts.get('deployment')}", _story(facts, line)) + cards(shown) + notes


def _story(facts: Mapping[str, Any], line: Sequence[TimedAttempt]) -> str:
    outcomes = {one.outcome for one in line if one.record["deployment"] != facts.get("deployment")}
    notes = {
        "after a fallback": facts.get("fallback") and "failed" in outcomes,
        "after answers that were not good enough": "not good enough" in outcomes,
        "as a hedge": "overtaken" in outcomes and line[-1].outcome == "answered",
        f"route {facts.get('route')}": facts.get("route") not in {None, facts.get("deployment")},
    }
    return ", ".join(note for note, holds in notes.items() if holds)


def _row(number: int, one: TimedAttempt, whole: float) -> Sequence[Any]:
    record, first = one.record, one.record.get("ttft_ms")
    return (
        number,
        record["deployment"],
        dot(one.words, LEGEND[one.outcome]),
        seconds(record["wait_ms"] / 1000),
        seconds(first / 1000 if first is not None else None),
        seconds(record["latency_ms"] / 1000) if record["latency_ms"] else "< 1 ms",
        bar(
            ((start / whole, end / whole, _style(word)) for word, start, end in one.pieces()),
            ", ".join(f"{word} {_at(start)} to {_at(end)}" for word, start, end in one.pieces()),
        ),
    )


def _at(moment: float) -> str:
    return seconds(moment) if moment else "0"


def _style(word: str) -> str:
    """Return the CSS of a piece: distinguished by shape as well as by colour."""
    colour = LEGEND[word]
    if word == "waited":
        return f"background:linear-gradient({colour},{colour}) center/100% 2px no-repeat"
    if word == "failed":
        return f"background:repeating-linear-gradient(135deg,{colour} 0 5px,{colour}b0 5px 8px)"
    return f"background:{colour}{'80' if word == 'overtaken' else ''}"
