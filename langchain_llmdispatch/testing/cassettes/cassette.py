"""Cassettes: real exchanges, recorded once, replayed without a network, key or wait.

    with Cassette("tests/cassettes/capital.yaml") as cassette:
        answer = app.ask("What is the capital of France?")

Requests of models pass through at the transport, in whatever thread or event loop; other HTTP clients (tools,
SDKs) pass through vcrpy. A request that was not recorded raises `UnmatchedRequestError` with the difference,
and raises it once more at the end if something swallowed it. While a cassette replays, nothing else leaves
this machine either, and keys that were there when it was recorded need not be there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeAlias, get_args

import httpx

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.settings import nearest
from langchain_llmdispatch.testing.cassettes.comparing import RecordingOutdatedError, differences, novelties
from langchain_llmdispatch.testing.cassettes.dummy_keys import keys_for
from langchain_llmdispatch.testing.cassettes.file import Interaction, Tape, merged
from langchain_llmdispatch.testing.cassettes.matching import Asked, Matcher
from langchain_llmdispatch.testing.cassettes.playback import Playback, UnmatchedRequestError, shown
from langchain_llmdispatch.testing.cassettes.recording import Recorder, Slot, asked_of, packed_body
from langchain_llmdispatch.testing.cassettes.scrubbing import Scrubber
from langchain_llmdispatch.testing.cassettes.secrets import Secrets
from langchain_llmdispatch.testing.clock import UnhurriedClock, advance, stand_in, use_clock
from langchain_llmdispatch.testing.faults.body_streams import PiecedBody, WatchedBody, plain_headers
from langchain_llmdispatch.testing.middleware import attempt_of, installed, is_spoilt
from langchain_llmdispatch.testing.no_network import ClosedNetwork

if TYPE_CHECKING:
    from langchain_llmdispatch.clock import Clock
    from langchain_llmdispatch.transport.deadline import ReadDeadline
    from langchain_llmdispatch.transport.middleware import Flow

Mode: TypeAlias = Literal["none", "once", "rewrite", "verify"]
MODES: tuple[str, ...] = get_args(Mode)
_NAMED = 5
CUT = "peer closed connection without sending complete message body"


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
        other_hosts: `record` other clients' requests too, or let them `pass` to the network, or to another
            recorder (vcrpy, respx) around this one.
        allow_hosts: Globs of hosts that other clients may reach even in a replay: `db`, `*.internal`.
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
        allow_hosts: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
        served_by: str | None = None,
        note: str | None = None,
        append: bool = False,
    ) -> None:
        if mode not in MODES:
            raise ConfigurationError(f"mode: {mode!r} is none of {', '.join(MODES)}.{nearest(mode, MODES)}")
        self.path, self.mode = Path(path), mode
        self.piece_size, self.pace, self.repeats, self.strict = piece_size, pace, repeats, strict
        self.other_hosts, self.allow_hosts = other_hosts, tuple(allow_hosts)
        self.secrets = Secrets(secrets)
        self.secrets.learn(os.environ if environment is None else environment)
        self.scrubber = Scrubber(self.secrets, keep_headers)
        self.differences: list[str] = []
        self.novelties: list[str] = []
        self._append, self._about = append, {"served_by": served_by, "note": note}
        self._exists = self.path.is_file()
        self.records = mode == "rewrite" or (mode == "once" and not self._exists)
        self.replays = not self.records and mode != "verify"
        self.written = self._discarded = False
        reads = self._exists and (append or not self.records)
        self.tape = Tape.read(self.path) if reads else Tape()
        calls = max((held.call or 0 for held in self.tape.interactions), default=0)
        self.recorder = Recorder(self.scrubber, calls)
        self.playback = Playback(self.tape, Matcher(ignore), self.path, repeats=repeats)
        self.misses: list[UnmatchedRequestError] = self.playback.misses

    # -- the context -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Put the cassette in."""
        from langchain_llmdispatch.testing.cassettes.vcr_bridge import other_clients  # noqa: PLC0415 - vcrpy is slow to import

        with ExitStack() as stack:
            stack.enter_context(installed(self))
            stack.enter_context(other_clients(self))
            if self.replays:
                self._close_the_world(stack)
            self._context = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Take it out: write what was recorded, or say what did not fit. A failed test writes nothing."""
        self._context.close()
        if kind is None:
            self.finish()

    def _close_the_world(self, stack: ExitStack) -> None:
        """Let nothing be sent, waited for or asked of the environment that is not there."""
        if self.other_hosts == "record":
            stack.enter_context(ClosedNetwork(shown(self.path), self.allow_hosts))
        stack.enter_context(keys_for(self.tape.vendors()))
        if stand_in() is None:
            stack.enter_context(use_clock(UnhurriedClock()))

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
            raise RecordingOutdatedError(
                f"{shown(self.path)} is out of date:\n{lines}\nRecord anew (--llmdispatch-record=rewrite)."
            )
        if self.strict and not self.records:
            self._check_unused()

    def unused(self) -> list[tuple[int, Interaction]]:
        """Return the recordings that were not replayed, with their places, from 0."""
        return self.playback.unused()

    def _check_unused(self) -> None:
        unused = [f"#{number + 1} ({held.model or held.vendor})" for number, held in self.unused()]
        if unused:
            more = f" and {len(unused) - _NAMED} more" if len(unused) > _NAMED else ""
            raise AssertionError(
                f"{shown(self.path)}: recorded, but not asked for: {', '.join(unused[:_NAMED])}{more}. "
                "Record anew (--llmdispatch-record=rewrite), or let recordings be left over (strict=False)."
            )

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
        self.tape.keys = sorted({*(self.tape.keys or ()), *self.recorder.vendors()})
        self.tape.write(self.path, self.secrets)
        self.written = True

    # -- the wire ----------------------------------------------------------------------------------

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Record or replay a model's request."""
        __tracebackhide__ = True
        asked, spoilt = asked_of(request, self.scrubber, self.secrets), is_spoilt(request)
        held = self.playback.find(asked, spoilt=spoilt)
        if held is None and self.records:
            slot = self.recorder.slot(read_deadline.clock)
            response = yield request
            return self._recorded(slot, asked, request, response)
        held = held or self.playback.take(asked, spoilt=spoilt)
        if self.mode == "verify":
            live = yield request
            self._compare(held, (yield live))
        return self._answer(held, read_deadline.clock)

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

    def _compare(self, held: Interaction, live: httpx.Response) -> None:
        packed = packed_body(live.content, live.headers.get("content-type", ""), self.scrubber)
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
