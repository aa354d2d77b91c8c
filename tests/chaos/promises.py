"""What a chaos run must show, at the server and in the books; each check yields what is broken, in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal

from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.errors import StreamInterruptedError
from tests.chaos.calls import ChaosCall
from tests.chaos.scenario import Scenario
from tests.loopback.request_log import Received

WORD = re.compile(r"c(\d+)r(\d+)w(\d+)")
GRACE = 0.25
"""Seconds that a request may take from leaving to the server, on a machine that is not busy."""


def broken(scenario: Scenario) -> list[str]:
    """Return the promises that a scenario has broken; empty if all hold."""
    return [f"{check.__name__}: {found}" for check in CHECKS for found in check(scenario)]


def bounded(scenario: Scenario) -> Iterator[str]:
    """No call sends more requests than `max_attempts`, and none after its deadline."""
    most, grace = scenario.settings["max_attempts"], GRACE + 3 * scenario.lag
    attempts = scenario.ledger.attempts
    for call, entries in scenario.vendors.arrived.items():
        if len(entries) > most:
            yield f"call {call} sent {len(entries)} requests, max_attempts is {most}"
        for number, entry in _numbered(entries):
            state = attempts[number].call
            late = entry.time - scenario.calls[call].began - (state.deadline - state.started)
            if late > grace:
                yield f"request {number} of call {call} came {late:.3f} s after the deadline"
    for one in scenario.calls:
        took, deadline = one.ended - one.began, scenario.settings["deadline"]
        if took > deadline + grace:
            yield f"call {one.number} ({one.colour}) took {took:.3f} s, its deadline is {deadline} s"


def nothing_false(scenario: Scenario) -> Iterator[str]:
    """What the caller has as an answer is, word for word, one that a vendor gave to the end."""
    given = scenario.vendors.given
    for call in scenario.calls:
        if call.outcome == "answered":
            whole = [each.whole for each in given.values() if each.call == call.number and not each.damaged]
            if call.text not in whole:
                kinds = [(entry.account, given[number].kind) for number, entry in _of(scenario, call)]
                yield f"call {call.number} ({call.colour}) has {call.text!r}; given: {kinds} {whole}"
        if call.crashed:
            yield f"call {call.number} ({call.colour}) raised {call.error!r}"


def nothing_twice(scenario: Scenario) -> Iterator[str]:
    """Words are handed over once and in order, of one answer or its agreed continuation."""
    given = scenario.vendors.given.values()
    for call in scenario.calls:
        if call.tool and call.message is None:
            continue  # a vendor may say that it will use the tool; its call is in no text
        words = WORD.findall(call.text)
        if [int(word[2]) for word in words] != list(range(len(words))):
            yield f"call {call.number} was handed {call.text!r}"
        if {int(word[0]) for word in words} - {call.number}:
            yield f"call {call.number} was handed another call's words: {call.text!r}"
        continued = any(each.call == call.number and each.continues for each in given)
        if len({word[1] for word in words}) > 1 and not continued:
            yield f"call {call.number} was handed two answers in one: {call.text!r}"
        if "".join(WORD_GAPS.sub("", call.text).split()):
            yield f"call {call.number} was handed what no vendor gave: {call.text!r}"
    for number in scenario.vendors.twice:
        yield f"request {number} came in twice"


WORD_GAPS = re.compile(r"c\d+r\d+w\d+")


def nothing_lost(scenario: Scenario) -> Iterator[str]:
    """The partial answer of a broken stream is what was handed over."""
    for call in scenario.calls:
        error = call.error
        handed = "".join(chunk.text for chunk in call.chunks)
        if isinstance(error, StreamInterruptedError):
            if error.partial.text != handed:
                yield f"call {call.number}: partial is {error.partial.text!r}, handed over was {handed!r}"
        elif error is not None and handed:
            yield f"call {call.number} raised {error!r} after {handed!r}"


def attempts_counted(scenario: Scenario) -> Iterator[str]:
    """The server's requests, the attempts recorded and the statistics are the same, by deployment."""
    attempts, stats = scenario.ledger.attempts, scenario.books
    arrived = {
        number: entry for entries in scenario.vendors.arrived.values() for number, entry in _numbered(entries)
    }
    yield from (f"request {number} has no attempt" for number in arrived.keys() - attempts.keys())
    sent = Counter(attempt.target.name for attempt in attempts.values())
    counted = {name: tally.requests for name, tally in stats.deployment_stats.items()}
    if counted != sent:
        yield f"statistics count {counted}, sent were {dict(sent)}"
    for number, attempt in attempts.items():
        record = attempt.record
        if record is None:
            yield f"request {number} to {attempt.target.name} has no record"
        elif number not in arrived and attempt.status is not None:
            yield f"request {number} was answered with {attempt.status}, and never came in"
    parts = stats.successes + stats.failures + stats.abandoned + stats.crashed
    if parts != stats.requests or stats.crashed:
        yield f"{stats.requests} requests, of which ended {parts}, crashed {stats.crashed}"


def calls_counted(scenario: Scenario) -> Iterator[str]:
    """Each call ends once in the statistics, and its answer or error has all its attempts."""
    tally, outcomes = scenario.books.calls, Counter(call.outcome for call in scenario.calls)
    by_call = Counter(_call_of(attempt) for attempt in scenario.ledger.attempts.values())
    if tally.answered < outcomes["answered"] or tally.crashed:
        yield f"{outcomes} calls, counted as {tally.to_dict()}"
    if tally.calls != tally.answered + tally.failed + tally.abandoned:
        yield f"{tally.calls} calls ended, in {tally.to_dict()}"
    for call in scenario.calls:
        facts = None
        if call.message is not None:
            facts = call.message.response_metadata["llmdispatch"]
        elif call.error is not None:
            facts = getattr(call.error, "llmdispatch", None)
        shown = 0 if facts is None else len(facts["attempts"])
        hedged = scenario.settings["hedge_after"] is not None  # the other request may end later
        if (
            facts is not None
            and shown != by_call[call.number]
            and not (hedged and shown == by_call[call.number] - 1)
        ):
            yield f"call {call.number} shows {shown} attempts, {by_call[call.number]} were sent"


def tokens_and_dollars(scenario: Scenario) -> Iterator[str]:
    """Usage is what the server reported; statistics and budget are the sums of it."""
    attempts, stats = scenario.ledger.attempts, scenario.books
    reported = {
        number: entry for entries in scenario.vendors.arrived.values() for number, entry in _numbered(entries)
    }
    billed = Decimal(0)
    for number, attempt in attempts.items():
        entry = reported.get(number)
        stated = entry.usage if entry is not None else None
        estimated = attempt.cost is not None and attempt.cost.estimated
        if stated is not None and not estimated:
            billed += _price(scenario, attempt, stated.input, stated.output)
        if attempt.usage is None:
            continue
        used = attempt.usage["input_tokens"], attempt.usage["output_tokens"]
        exact = attempt.record is not None and attempt.record.error is None
        if not exact and scenario.vendors.given[number].kind == "drip":
            continue  # the server notes the usage of such a body with its last piece
        if (
            stated is None
            or used[0] > stated.input
            or used[1] > stated.output
            or (exact and used != (stated.input, stated.output))
        ):
            yield f"request {number}: usage {used}, reported was {stated}"
        elif attempt.cost is None or not (estimated or attempt.cost.usd == _price(scenario, attempt, *used)):
            yield f"request {number}: {used} cost {attempt.cost}"
    usages = [attempt.usage for attempt in attempts.values() if attempt.usage is not None]
    sums = sum(usage["input_tokens"] for usage in usages), sum(usage["output_tokens"] for usage in usages)
    if sums != (stats.input_tokens, stats.output_tokens):
        yield f"statistics have {stats.input_tokens, stats.output_tokens} tokens, reported were {sums}"
    costs = [a.cost.usd for a in attempts.values() if a.cost is not None and a.cost.usd is not None]
    if sum(costs, Decimal(0)) != stats.cost:
        yield f"statistics have {stats.cost} dollars, the attempts {sum(costs)}"
    budget = scenario.settings["budget"]
    if budget is not None and not max(billed, sum(costs)) <= scenario.spent <= budget.usd:
        yield f"costs {sum(costs)}, billed {billed}, entered {scenario.spent}, allowed {budget.usd}"


def nothing_leaked(scenario: Scenario) -> Iterator[str]:
    """Connections, permits, gauges, threads, sockets and reservations are back to the start."""
    yield from (f"{kind}: {count}" for kind, count in scenario.left_behind.items())


CHECKS: tuple[Callable[[Scenario], Iterator[str]], ...] = (
    bounded,
    nothing_false,
    nothing_twice,
    nothing_lost,
    attempts_counted,
    calls_counted,
    tokens_and_dollars,
    nothing_leaked,
)


def _numbered(entries: list[Received]) -> list[tuple[int, Received]]:
    return [(int(entry.headers["x-chaos-number"]), entry) for entry in entries]


def _of(scenario: Scenario, call: ChaosCall) -> list[tuple[int, Received]]:
    return _numbered(scenario.vendors.arrived[call.number])


def _call_of(attempt: Attempt) -> int:
    return int(re.findall(r"call (\d+)", str(attempt.call.request.messages[-1].content))[0])


def _price(scenario: Scenario, attempt: Attempt, tokens_in: int, tokens_out: int) -> Decimal:
    own = next(each for each in scenario.deployments if each.name == attempt.target.name)
    prices = Decimal(str(own.input_price)) * tokens_in + Decimal(str(own.output_price)) * tokens_out
    return prices / 1_000_000
