"""Cassettes: real exchanges, recorded once, replayed without a network, key or wait.

    with Cassette("tests/cassettes/capital.yaml") as cassette:
        answer = app.ask("What is the capital of France?")

Requests of models pass through at the transport, in whatever thread or event loop; other HTTP clients (tools,
SDKs) pass through vcrpy. A request that was not recorded raises `UnmatchedRequestError` with the difference,
and raises it once more at the end if something swallowed it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeAlias, get_args

import httpx

from langchain_llmdispatch.deployments import nearest
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing.bodies import PiecedBody, WatchedBody, plain_headers
from langchain_llmdispatch.testing.clock import UnhurriedClock, advance, stand_in, use_clock
from langchain_llmdispatch.testing.layers import attempt_of, installed
from langchain_llmdispatch.testing.matching import Asked, Matcher
from langchain_llmdispatch.testing.recording import Recorder, Slot, asked_of, packed_body
from langchain_llmdispatch.testing.scrubbing import Scrubber
from langchain_llmdispatch.testing.secrets import Secrets
from langchain_llmdispatch.testing.tapes import Interaction, Tape, merged
from langchain_llmdispatch.testing.verifying import RecordingOutdatedError, differences, novelties

if TYPE_CHECKING:
    from langchain_llmdispatch.clock import Clock
    from langchain_llmdispatch.patience import Patience
    from langchain_llmdispatch.wires import AsyncSend, Send

Mode: TypeAlias = Literal["none", "once", "rewrite", "verify"]
MODES: tuple[str, ...] = get_args(Mode)
CUT = "peer closed connection without sending complete message body"


class UnmatchedRequestError(AssertionError):
    """A request is not among the recorded ones. No deployment is blamed for it, and none is tried instead."""


class Cassette:
    """A file of recorded exchanges, in use while the context lasts.

    Args:
        path: The YAML file.
        mode: `none` replays and lets nothing else through; `once` records if there is no file; `rewrite`
            records anew; `verify` asks the server again, replays the recording, fails where the forms differ.
        ignore: Paths in request bodies that do not count in matching: `metadata.user_id`, `**.timestamp`,
            `url.query.api-version`.
        keep_headers: Globs of further headers to record.
        secrets: Values that must never be written, besides all keys that are configured or in variables.
        piece_size: Bytes per piece in which bodies are replayed; None is one event each.
        pace: How much of the recorded time passes on fake clocks during replay; 1 is all, 0 is none.
        repeats: Let the last recording of a request answer it again and again.
        strict: Fail at the end if a recording was not used.
        other_hosts: `record` other clients' requests too, or let them `pass`.
        environment: Where keys are looked for; default: the process's.
        served_by: What answers, and which version, for the file's head; default: the `server` header.
        note: For the file's head.
        append: When recording, keep what the file holds, and record only what is not in it.

    Attributes:
        tape: What the file holds.
        written: Whether the file has been written.
        misses: The requests that were not recorded.
        differences: Where live answers have another form, in mode `verify`.
        novelties: What live answers have besides, in mode `verify`.
    """

    depth: ClassVar[int] = 50

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        mode: Mode = "none",
        ignore: Iterable[str] = (),
        keep_headers: Iterable[str] = (),
        secrets: Iterable[str] = (),
        piece_size: int | None = None,
        pace: float = 0.0,
        repeats: bool = False,
        strict: bool = False,
        other_hosts: Literal["record", "pass"] = "record",
        environment: Mapping[str, str] | None = None,
        served_by: str | None = None,
        note: str | None = None,
        append: bool = False,
    ) -> None:
        if mode not in MODES:
            raise ConfigurationError(f"mode: {mode!r} is none of {', '.join(MODES)}.{nearest(mode, MODES)}")
        self.path, self.mode = Path(path), mode
        self.piece_size, self.pace, self.repeats, self.strict = piece_size, pace, repeats, strict
        self.other_hosts = other_hosts
        self.secrets = Secrets(secrets)
        self.secrets.learn(os.environ if environment is None else environment)
        self.scrubber = Scrubber(self.secrets, keep_headers)
        self.misses: list[UnmatchedRequestError] = []
        self.differences: list[str] = []
        self.novelties: list[str] = []
        self._matcher = Matcher(ignore)
        self._append, self._about = append, {"served_by": served_by, "note": note}
        self._exists = self.path.is_file()
        self.records = mode == "rewrite" or (mode == "once" and not self._exists)
        self.replays = not self.records and mode != "verify"
        self.written = self._discarded = False
        self._lock = threading.Lock()
        reads = self._exists and (append or not self.records)
        self.tape = Tape.read(self.path) if reads else Tape()
        calls = max((held.call or 0 for held in self.tape.interactions), default=0)
        self.recorder = Recorder(self.scrubber, calls)
        self._keys = [self._matcher.key(held.request.get("body")) for held in self.tape.interactions]
        self._played: set[int] = set()

    # -- the context -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Put the cassette in."""
        from langchain_llmdispatch.testing.bridge import other_clients  # noqa: PLC0415 - vcrpy is slow to import

        with ExitStack() as stack:
            stack.enter_context(installed(self))
            stack.enter_context(other_clients(self))
            if self.replays and stand_in() is None:
                stack.enter_context(use_clock(UnhurriedClock()))
            self._context = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Take it out: write what was recorded, or say what did not fit. A failed test writes nothing."""
        self._context.close()
        if kind is None:
            self.finish()

    def discard(self) -> None:
        """Write nothing and check nothing at the end: the test has failed already."""
        self._discarded = True

    def finish(self) -> None:
        """Write what was recorded; check what was replayed.

        Raises:
            SecretFoundError: The file would hold a secret.
            UnmatchedRequestError: A request was not recorded, though something swallowed that.
            RecordingOutdatedError: Live answers have another form, in mode `verify`.
            AssertionError: A recording was not used, and `strict` is set.
        """
        if self._discarded:
            return
        if self.records:
            self._write()
        if self.misses:
            raise self.misses[0]
        if self.differences:
            lines = "\n".join(f"  {line}" for line in [*self.differences, *self.novelties])
            raise RecordingOutdatedError(f"{self.path.name} is out of date:\n{lines}")
        if self.strict and (unused := self.unused()) and not self.records:
            shown = ", ".join(f"#{number + 1} ({held.vendor})" for number, held in unused)
            raise AssertionError(f"{self.path.name}: not replayed: {shown}")

    def unused(self) -> list[tuple[int, Interaction]]:
        """Return the recordings that were not replayed, with their places."""
        held = enumerate(self.tape.interactions)
        return [(number, item) for number, item in held if number not in self._played]

    def _write(self) -> None:
        new = self.recorder.interactions()
        if not new and not self._append:
            return  # nothing was asked: an empty file would only be in the way
        old = Tape.read(self.path).interactions if self._append and self.path.is_file() else []
        self.tape.interactions = merged(old, new)
        self.tape.recorded = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        servers = {item.response["headers"].get("server", "") for item in new} - {""}
        self.tape.served_by = self._about["served_by"] or ", ".join(sorted(servers)) or None
        self.tape.note = self._about["note"]
        self.tape.write(self.path, self.secrets)
        self.written = True

    # -- the wire ----------------------------------------------------------------------------------

    def send(self, request: httpx.Request, patience: Patience, forward: Send) -> httpx.Response:
        """Record or replay a model's request."""
        asked = asked_of(request, self.scrubber, self.secrets)
        held = self._find(asked)
        if held is None and self.records:
            slot = self.recorder.slot(patience.clock)
            return self._recorded(slot, asked, request, forward(request))
        held = held or self.take(asked)
        if self.mode == "verify":
            live = forward(request)
            try:
                self._compare(held, live, live.read())
            finally:
                live.close()
        return self._answer(held, patience.clock)

    async def asend(self, request: httpx.Request, patience: Patience, forward: AsyncSend) -> httpx.Response:
        """Record or replay a model's request."""
        asked = asked_of(request, self.scrubber, self.secrets)
        held = self._find(asked)
        if held is None and self.records:
            slot = self.recorder.slot(patience.clock)
            return self._recorded(slot, asked, request, await forward(request))
        held = held or self.take(asked)
        if self.mode == "verify":
            live = await forward(request)
            try:
                self._compare(held, live, await live.aread())
            finally:
                await live.aclose()
        return self._answer(held, patience.clock)

    def take(self, asked: Asked) -> Interaction:
        """Return the recording that answers a request now: the first one that has not been replayed.

        Raises:
            UnmatchedRequestError: There is none.
        """
        if (held := self._find(asked)) is not None:
            return held
        raise self._miss(asked)

    def _find(self, asked: Asked) -> Interaction | None:
        with self._lock:
            fitting = self._fitting(asked)
            fresh = next((number for number in fitting if number not in self._played), None)
            if fresh is None and not (fitting and self.repeats):
                return None
            number = fitting[-1] if fresh is None else fresh
            self._played.add(number)
            return self.tape.interactions[number]

    def _fitting(self, asked: Asked) -> list[int]:
        if not self._keys:
            return []
        key = self._matcher.key(asked.body)
        held = self.tape.interactions
        return [n for n, k in enumerate(self._keys) if k == key and self._matcher.fits(asked, held[n])]

    def _miss(self, asked: Asked) -> UnmatchedRequestError:
        lines = [f"no recorded answer for {asked.method} to {asked.vendor} in {self.path.name}."]
        if not self._exists:
            lines.append("There is no such file; record it with --llmdispatch-record=once.")
        elif self._fitting(asked):
            lines.append("It is recorded, but each recording of it has been replayed already.")
        else:
            scored = [(self._matcher.likeness(asked, held), held) for held in self.tape.interactions]
            if scored:
                _, best = max(scored, key=lambda pair: pair[0])
                number = self.tape.interactions.index(best) + 1
                lines += [f"Nearest is #{number}:", self._matcher.difference(asked, best)]
            lines.append(
                "Record anew (--llmdispatch-record=rewrite), or let fields not count (ignore=[...])."
            )
        error = UnmatchedRequestError("\n".join(lines))
        self.misses.append(error)
        return error

    def _recorded(
        self, slot: Slot, asked: Asked, request: httpx.Request, response: httpx.Response
    ) -> httpx.Response:
        watch = self.recorder.watch(slot, asked, attempt_of(request), response)
        headers = plain_headers(response)
        body = WatchedBody(response, watch)
        return httpx.Response(
            response.status_code, headers=headers, stream=body, extensions=response.extensions
        )

    def _answer(self, held: Interaction, clock: Clock) -> httpx.Response:
        pieces, times = held.pieces(self.piece_size)
        error = httpx.RemoteProtocolError(CUT) if held.response.get("cut") else None
        body = PiecedBody(pieces, self._pacer(held, times, clock) if self.pace > 0 else None, error)
        return httpx.Response(held.response["status"], headers=held.response["headers"], stream=body)

    def _pacer(self, held: Interaction, times: list[int], clock: Clock) -> _Pacer:
        whole = held.response.get("seconds", 0.0)
        return _Pacer(clock, [at / 1000 * self.pace for at in times] or [whole * self.pace])

    def _compare(self, held: Interaction, live: httpx.Response, body: bytes) -> None:
        packed = packed_body(body, live.headers.get("content-type", ""), self.scrubber)
        headers = self.scrubber.response_headers(live.headers.multi_items())
        now = {"status": live.status_code, "headers": headers, **packed}
        number = self.tape.interactions.index(held) + 1
        self.differences += [f"#{number} {line}" for line in differences(held.response, now)]
        self.novelties += [f"#{number} {line}" for line in novelties(held.response, now)]


class _Pacer:
    """Moves a fake clock to the moment at which each piece came."""

    def __init__(self, clock: Clock, times: list[float]) -> None:
        self._clock, self._times, self._at = clock, times, 0.0

    def __call__(self, number: int) -> None:
        """Move it before piece `number`."""
        if number < len(self._times):
            advance(self._clock, self._times[number] - self._at)
            self._at = self._times[number]
