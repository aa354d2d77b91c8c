"""The vendors of a chaos run: each request is answered by the seed, its call and its place in the call."""

from __future__ import annotations

import random
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.loopback.faults import Fault, StepPlan
from tests.loopback.neutral import Answer, Finish, Request, ToolCall
from tests.loopback.request_log import Received

TAG = "x-chaos-number"
"""The header that names a request's attempt."""
TOOL = "note"
CALL = re.compile(r"call (\d+)")
FOREVER = 3600.0
MOODS = {"well": 0.06, "flaky": 0.45, "down": 1.0}
"""The share of requests that a deployment in each mood answers wrongly."""


Drawn: TypeAlias = Callable[[random.Random, int], Fault]
"""Draws a fault; the number is how many events of a stream may come before it without its being whole."""


def _status(*statuses: int) -> Drawn:
    return lambda rng, _: Fault(status=rng.choice(statuses))


def _empty_status(*statuses: int) -> Drawn:
    return lambda rng, _: Fault(status=rng.choice(statuses), body=b"")


def _error(*kinds: str) -> Drawn:
    return lambda rng, _: Fault.error(rng.choice(kinds))


def _limited(rng: random.Random, _: int) -> Fault:
    return Fault(status=429, headers={"retry-after": rng.choice(["0", "0.01", "0.05", "1", "40"])})


DAMAGES: dict[str, Drawn] = {
    "5xx": _status(500, 502, 503, 504, 529),
    "429": _status(429),
    "429 Retry-After": _limited,
    "400": _error("invalid_request"),
    "4xx of the request": _error("context_overflow", "content_filter"),
    "4xx of the way": _status(407, 408, 409, 413, 421, 425, 444, 499),
    "401 403 404 quota": _error("auth", "permission", "not_found", "quota"),
    "other 2xx 3xx": _empty_status(201, 204, 206, 302, 307),
    "hang": lambda *_: Fault.slow_head(FOREVER),
    "stall": lambda rng, most: Fault.stall(after_events=rng.randrange(most)),
    "reset": lambda *_: Fault.reset(),
    "reset in the body": lambda rng, most: Fault.reset(after_events=rng.randrange(most)),
    "cut": lambda rng, most: Fault.cut(after_events=rng.randrange(most)),
    "cut, clean": lambda rng, most: Fault.cut(after_events=rng.randrange(most), clean=True),
    "no end marker": lambda *_: Fault.no_end_marker(),
    "error in the stream": lambda rng, most: Fault.in_band_error(after_events=rng.randrange(most)),
    "malformed": lambda rng, most: Fault.malformed(after_events=rng.randrange(most)),
    "empty answer": lambda *_: Fault.empty_answer(),
    "empty body": lambda *_: Fault(status=200, body=b""),
    "a page of HTML": lambda *_: Fault(status=200, body="<html>Bad gateway</html>"),
    "1xx for ever": lambda *_: Fault.informational(1_000_000, seconds=0.02),
}
"""After these there is no whole answer."""
DELAYS: dict[str, Drawn] = {
    "slow head": lambda rng, _: Fault.slow_head(rng.choice([0.01, 0.03])),
    "slow first token": lambda rng, _: Fault.slow_first(rng.choice([0.01, 0.03, 0.5])),
    "keep-alives": lambda rng, _: Fault.keepalives(rng.choice([1, 5]), seconds=0.004),
    "drip": lambda rng, _: Fault.drip(rng.choice([3, 40])),
    "pace": lambda *_: Fault.pace(0.003),
    "1xx": lambda rng, _: Fault.informational(rng.choice([1, 3])),
    "wrong content type": lambda *_: Fault.mislabelled(),
}
"""These answers are whole, if they are waited for."""
_WHOLE_BODY = {"no end marker": "cut", "cut, clean": "malformed", "reset in the body": "reset"}
"""What damages an answer that is not streamed, where the kind is about streams."""


@dataclass(frozen=True)
class Given:
    """What one request was given.

    Attributes:
        call: The number of its call.
        kind: How it was answered: `answer`, or a name of `DAMAGES` or `DELAYS`.
        whole: Everything that the caller should have of this answer, what was sent to be continued included.
        damaged: Whether the answer was not whole.
        continues: Whether the request was to continue what the caller had.
    """

    call: int
    kind: str
    whole: str
    damaged: bool
    continues: bool


class ChaosVendors:
    """Plans the server's responses, and remembers them.

    Args:
        seed: What everything is drawn from.

    Attributes:
        moods: The mood of each deployment (`MOODS`), and a kind of fault that it prefers, by account.
        given: What each request was given, by the number in its header `TAG`.
        arrived: The requests of each call that came in, by the call's number.
        twice: Numbers that came in more than once.
    """

    def __init__(self, seed: str) -> None:
        self._seed, self._lock = seed, threading.Lock()
        self.moods: dict[str, tuple[str, str]] = {}
        self.given: dict[int, Given] = {}
        self.arrived: dict[int, list[Received]] = defaultdict(list)
        self.twice: list[int] = []

    def draw_moods(self, accounts: list[str], rng: random.Random) -> None:
        """Draw how each deployment is in the next round; at least one is not down."""
        for account in accounts:
            mood = rng.choices(list(MOODS), [5, 4, 2])[0]
            self.moods[account] = (mood, rng.choice(list(DAMAGES)))
        self.moods[rng.choice(accounts)] = ("well", "5xx")

    def plan(self, entry: Received, request: Request) -> StepPlan:
        """Return how a request is answered: `LoopbackServer.planner`."""
        number, call = int(entry.headers[TAG]), int(CALL.findall(request.prompt)[0])
        with self._lock:
            self.arrived[call].append(entry)
            place = len(self.arrived[call])
            rng = random.Random(f"{self._seed}/{call}/{entry.account}/{place}")
            steady = random.Random(f"{self._seed}/{call}")
            answer, whole, continues = _answer(steady, rng, call, place, request)
            kind, fault = self._fault(entry, rng, 1 if answer.tool_calls else len(answer.text.split()))
            if kind == "empty answer" and continues:  # the vendor adds nothing: what was begun is the answer
                given = Given(call, kind, request.turns[-1].text, damaged=False, continues=True)
            else:
                given = Given(call, kind, whole, kind in DAMAGES, continues)
            if number in self.given:
                self.twice.append(number)
            self.given[number] = given
        return StepPlan(answer, () if fault is None else (fault,))

    def _fault(self, entry: Received, rng: random.Random, most: int) -> tuple[str, Fault | None]:
        mood, favourite = self.moods[entry.account]
        if rng.random() < MOODS[mood]:
            kind = favourite if rng.random() < 0.5 else rng.choice(list(DAMAGES))
            fitting = kind if entry.stream else _WHOLE_BODY.get(kind, kind)
            return kind, DAMAGES[fitting](rng, most)
        if rng.random() < 0.25:
            kind = rng.choice(list(DELAYS))
            return kind, DELAYS[kind](rng, most)
        return "answer", None


def _answer(
    steady: random.Random, rng: random.Random, call: int, place: int, request: Request
) -> tuple[Answer, str, bool]:
    """Return an answer, all that the caller should then have, and whether it continues what the caller had.

    Each word names the call, the request and its place in the answer. Half of the calls get the same words
    from each request, as at temperature 0; the others are never given the same words twice, so that two
    answers that are joined show.

    Args:
        steady: The same for each request of a call.
        rng: The same for each repetition of this request.
        call: The number of the call.
        place: The request's place in its call.
        request: The request.
    """
    words, alike = steady.randint(4, 12), steady.random() < 0.5
    begun = request.turns[-1].text if request.turns[-1].role == "assistant" else ""
    first = len(begun.split())
    own = [f"c{call}r{0 if alike else place}w{number}" for number in range(first, max(words, first + 3))]
    text = (" " if begun else "") + " ".join(own)
    if request.tools and not begun:
        return Answer(tool_calls=(ToolCall(TOOL, {"text": text}, f"call{call}x{place}"),)), text, False
    return Answer(text, finish=_finish(rng)), begun + text, bool(begun)


def _finish(rng: random.Random) -> Finish:
    return "length" if rng.random() < 0.05 else "stop"
