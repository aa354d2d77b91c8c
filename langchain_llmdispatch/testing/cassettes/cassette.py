"""Cassettes: real exchanges, recorded once, replayed without a network, key or wait.

    with Cassette("tests/cassettes/capital.yaml") as cassette:
        answer = app.answer("What is the capital of France?")

Requests of models pass through at the transport, in any thread or event loop; those of other HTTP clients
(tools, SDKs) through vcrpy. A request that was not recorded raises `UnmatchedRequestError` with the
difference, and raises it once more at the end if something swallowed it. While a cassette replays, nothing
else leaves this machine either, and keys that were set when it was recorded need not be set.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeAlias, get_args

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.settings import nearest
from langchain_llmdispatch.testing.cassettes.comparing import Comparison
from langchain_llmdispatch.testing.cassettes.dummy_keys import missing_keys_set
from langchain_llmdispatch.testing.cassettes.file import Interaction, Tape
from langchain_llmdispatch.testing.cassettes.matching import Matcher
from langchain_llmdispatch.testing.cassettes.playback import (
    Playback,
    ReplayOptions,
    UnmatchedRequestError,
    shown,
)
from langchain_llmdispatch.testing.cassettes.recording import Recorder, RecordingOptions, scrubbed
from langchain_llmdispatch.testing.cassettes.scrubbing import Scrubber
from langchain_llmdispatch.testing.cassettes.secrets import Secrets
from langchain_llmdispatch.testing.clock import UnhurriedClock, substitute_clock, use_clock
from langchain_llmdispatch.testing.middleware import attempt_of, installed, is_damaged
from langchain_llmdispatch.testing.no_network import ClosedNetwork
from langchain_llmdispatch.vendors import builtin_vendors

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.transport.deadline import ReadDeadline
    from langchain_llmdispatch.transport.middleware import Flow

Mode: TypeAlias = Literal["none", "once", "rewrite", "verify"]
MODES: tuple[str, ...] = get_args(Mode)


class Cassette:
    """A file of recorded exchanges, in use while the context lasts.

    Args:
        path: The YAML file.
        mode: `none` replays and lets nothing else through; `once` records if there is no file; `rewrite`
            records anew; `verify` sends each request, replays the recording, fails where the forms differ.
        ignore: Paths in request bodies that do not count in matching: `metadata.user_id`, `**.timestamp`,
            `url.query.api-version`.
        keep_headers: Globs of further headers to record.
        secrets: Values that must never be written, besides all keys that are configured or in variables.
        piece_size: Bytes per piece in which bodies are replayed; None is one event each.
        pace: How much of the recorded time passes on fake clocks during replay; 1 is all, 0 is none.
        repeats: Replay the last recording of a request again and again.
        strict: Fail at the end if a recording was not used.
        other_hosts: `record` other clients' requests too, or let them `pass` to the network, or to another
            recorder (vcrpy, respx) around this one.
        allow_hosts: Globs of hosts that other clients may reach even in a replay: `db`, `*.internal`.
        environment: Where keys are looked for; default: the process's.
        served_by: The server and its version, for the file's head; default: the `server` header.
        note: For the file's head.
        append: When recording, keep what the file holds, and record only what is not in it.

    Attributes:
        tape: What the file holds.
        written: Whether the file has been written.
        misses: The errors of requests that were not recorded.
        differences: Where live responses have another form, in mode `verify`.
        novelties: What live responses have besides, in mode `verify`.
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
            raise ConfigurationError(
                f"mode: {mode!r} is not one of {', '.join(MODES)}.{nearest(mode, MODES)}"
            )
        self.path, self.mode, self.strict = Path(path), mode, strict
        self.other_hosts, self.allow_hosts = other_hosts, tuple(allow_hosts)
        self.secrets = Secrets(secrets)
        self.secrets.learn(os.environ if environment is None else environment)
        self.scrubber = Scrubber(self.secrets, keep_headers)
        exists = self.path.is_file()
        self.records = mode == "rewrite" or (mode == "once" and not exists)
        self.replays = not self.records and mode != "verify"
        self.written = self._discarded = False
        self.tape = Tape.read(self.path) if exists and (append or not self.records) else Tape()
        calls = max((interaction.call or 0 for interaction in self.tape.interactions), default=0)
        self.recorder = Recorder(self.scrubber, calls, RecordingOptions(served_by, note, append))
        options = ReplayOptions(piece_size, pace, repeats)
        self.playback = Playback(self.tape, Matcher(ignore), self.path, options)
        self._comparison = Comparison(self.tape, self.scrubber)
        self.misses: list[UnmatchedRequestError] = self.playback.misses
        self.differences: list[str] = self._comparison.differences
        self.novelties: list[str] = self._comparison.novelties

    # -- the context -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Install the cassette."""
        from langchain_llmdispatch.testing.cassettes.vcr_bridge import bridge, past_other_recorders

        with ExitStack() as stack:
            stack.enter_context(installed(self))
            if self.other_hosts == "pass":
                stack.enter_context(past_other_recorders())
            else:
                recorder = self.recorder if self.records else None
                stack.enter_context(
                    bridge(self.path, self.playback, recorder, self.scrubber, self.allow_hosts)
                )
            if self.replays:
                self._isolate(stack)
            self._context = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Remove it; see `finish`. A failed test writes nothing."""
        self._context.close()
        if kind is None:
            self.finish()

    def _isolate(self, stack: ExitStack) -> None:
        """Close the network, set dummy keys and skip waits, unless the test has a clock of its own."""
        if self.other_hosts == "record":
            stack.enter_context(ClosedNetwork(shown(self.path), self.allow_hosts))
        vendors = self.tape.vendors() or builtin_vendors()  # nothing recorded: the fault is that, not a key
        stack.enter_context(missing_keys_set(vendors))
        if substitute_clock() is None:
            stack.enter_context(use_clock(UnhurriedClock()))

    def discard(self) -> None:
        """Write nothing and check nothing at the end: the test has failed already."""
        self._discarded = True

    def finish(self) -> None:
        """Write what was recorded; check what was replayed.

        Raises:
            SecretFoundError: The file would hold a secret.
            UnmatchedRequestError: A request was not recorded, though something swallowed that.
            RecordingOutdatedError: Live responses have another form, in mode `verify`.
            AssertionError: A recording was not used, and `strict` is set.
        """
        if self._discarded:
            return
        if self.records:
            self.written = self.recorder.write(self.tape, self.path, self.secrets)
        if self.misses:
            raise self.misses[0]
        self._comparison.check(shown(self.path))
        if self.strict and not self.records:
            self.playback.check_unused()

    def unused(self) -> list[tuple[int, Interaction]]:
        """Return the recordings that were not replayed, with their places, from 0."""
        return self.playback.unused()

    # -- middleware --------------------------------------------------------------------------------

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Record or replay a model's request."""
        __tracebackhide__ = True
        sent, damaged = scrubbed(request, self.scrubber), is_damaged(request)
        interaction = self.playback.find(sent, damaged=damaged)
        if interaction is None and self.records:
            slot = self.recorder.slot(read_deadline.clock)
            response = yield request
            return self.recorder.response(slot, sent, attempt_of(request), response)
        interaction = interaction or self.playback.take(sent, damaged=damaged)
        if self.mode == "verify":
            live = yield request
            self._comparison.add(interaction, (yield live))
        return self.playback.response(interaction, read_deadline.clock)
