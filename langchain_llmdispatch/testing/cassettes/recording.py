"""Recording: what passes between a model and a server becomes interactions, and these a file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.testing.body_streams import (
    END_MARKER,
    EventSplitter,
    ObservedBody,
    decoded_headers,
)
from langchain_llmdispatch.testing.cassettes.file import Interaction, Tape, merged
from langchain_llmdispatch.testing.cassettes.matching import ScrubbedRequest
from langchain_llmdispatch.testing.cassettes.payloads import Fields, pack
from langchain_llmdispatch.testing.cassettes.scrubbing import Scrubber
from langchain_llmdispatch.testing.middleware import attempt_of
from langchain_llmdispatch.transport.middleware import SECRETS

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_llmdispatch.dispatch.attempt import Attempt
    from langchain_llmdispatch.dispatch.call_state import CallState
    from langchain_llmdispatch.testing.cassettes.secrets import Secrets
    from langchain_llmdispatch.vendors.base import Vendor

_CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization")


def scrubbed(request: httpx.Request, scrubber: Scrubber) -> ScrubbedRequest:
    """Return a model's request without secrets; its credentials become known secrets first."""
    attempt = attempt_of(request)
    _learn(request, attempt, scrubber.secrets)
    headers = request.headers
    vendor = attempt.target.vendor.name if attempt is not None else request.url.host
    path = request.url.path
    if attempt is not None:
        path = path.removeprefix(urlsplit(attempt.target.endpoint.base_url).path) or path
    return ScrubbedRequest(
        vendor=vendor,
        method=request.method,
        url=scrubber.url(str(request.url)),
        path=scrubber.text(path),
        body=scrubber.request_body(request.content, headers.get("content-type", "")),
        headers=scrubber.request_headers(headers.multi_items()),
    )


def _learn(request: httpx.Request, attempt: Attempt | None, secrets: Secrets) -> None:
    """Add a request's credentials to the known secrets."""
    for name in _CREDENTIALS:
        value = request.headers.get(name)
        secrets.add(value.partition(" ")[2] or value if value else None)
    secrets.add(request.url.params.get("key"))
    held = attempt.secrets if attempt is not None else request.extensions.get(SECRETS, tuple)
    for value in held():
        secrets.add(value)


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """What a file is written with.

    Attributes:
        served_by: The server and its version, for the file's head; None takes the `server` headers.
        note: For the file's head.
        append: Whether what the file holds is kept, and only what is not in it is added.
    """

    served_by: str | None = None
    note: str | None = None
    append: bool = False


class Slot:
    """The place of one interaction in a recording, and the time since its request left."""

    def __init__(self, place: int, clock: Clock) -> None:
        self.place, self._clock = place, clock
        self._began = clock.monotonic()

    def seconds(self) -> float:
        """Return the seconds since the request left."""
        return self._clock.monotonic() - self._began


class Recorder:
    """The interactions of one recording, in the order in which their requests began.

    Args:
        scrubber: Removes secrets.
        calls: How many calls the file holds already.
        options: What the file is written with.
    """

    def __init__(self, scrubber: Scrubber, calls: int = 0, options: RecordingOptions | None = None) -> None:
        self._scrubber, self._before, self._options = scrubber, calls, options or RecordingOptions()
        self._slots: list[Interaction | None] = []
        self._calls: dict[int, tuple[int, CallState]] = {}
        self._lock = threading.Lock()

    def interactions(self) -> list[Interaction]:
        """Return what has been recorded whole."""
        with self._lock:
            return [item for item in self._slots if item is not None]

    def vendors(self) -> set[str]:
        """Return the vendors that recorded calls might have gone to, and that need a key."""
        with self._lock:
            return {vendor.name for _, call in self._calls.values() for vendor in _vendors(call)}

    def slot(self, clock: Clock | None = None) -> Slot:
        """Take the next place, for a request that leaves now."""
        with self._lock:
            self._slots.append(None)
            return Slot(len(self._slots) - 1, clock or Clock())

    def keep(self, slot: Slot, interaction: Interaction) -> None:
        """Put an interaction in its place."""
        with self._lock:
            self._slots[slot.place] = interaction

    def response(
        self, slot: Slot, request: ScrubbedRequest, attempt: Attempt | None, response: httpx.Response
    ) -> httpx.Response:
        """Return a response whose interaction is kept once its body has been read or closed."""
        head: Fields = {
            "status": response.status_code,
            "headers": self._scrubber.response_headers(response.headers.multi_items()),
        }

        def keep(packed: Fields) -> None:
            self.keep(slot, self._interaction(request, attempt, {**head, **packed}))

        recorder = _BodyRecorder(response.headers.get("content-type", ""), self._scrubber, slot, keep)
        return httpx.Response(
            response.status_code,
            headers=decoded_headers(response),
            stream=ObservedBody(response, recorder),
            extensions=response.extensions,
        )

    def write(self, tape: Tape, path: Path, secrets: Secrets) -> bool:
        """Write what was recorded, and return whether there was anything to write.

        Raises:
            SecretFoundError: The file would hold a secret.
        """
        options, new = self._options, self.interactions()
        if not new and not options.append:
            return False
        old = Tape.read(path).interactions if options.append and path.is_file() else []
        tape.interactions = merged(old, new)
        tape.recorded = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        servers = {item.response["headers"].get("server", "") for item in new} - {""}
        tape.served_by = options.served_by or ", ".join(sorted(servers)) or None
        tape.note = options.note
        tape.keys = sorted({*(tape.keys or ()), *self.vendors()})
        tape.write(path, secrets)
        return True

    def _interaction(
        self, request: ScrubbedRequest, attempt: Attempt | None, response: Fields
    ) -> Interaction:
        interaction = Interaction(request.vendor, request.to_dict(), response)
        if attempt is not None:
            interaction.deployment = self._scrubber.text(attempt.target.name)
            interaction.model = attempt.target.model
            interaction.call, interaction.attempt = self._call(attempt.call), attempt.number
        return interaction

    def _call(self, call: CallState) -> int:
        with self._lock:
            # The call is kept with its number, so that its identity is not given to another.
            return self._calls.setdefault(id(call), (self._before + len(self._calls) + 1, call))[0]


def _vendors(call: CallState) -> Iterator[Vendor]:
    for candidate in call.candidates:
        target = candidate.target
        own = target.deployment.api_key or target.config.api_key
        if target.vendor.needs_key and own is None:  # the environment's
            yield target.vendor


class _BodyRecorder:
    """Observes one body, and passes on what stands for it at its end."""

    def __init__(
        self,
        content_type: str,
        scrubber: Scrubber,
        slot: Slot,
        keep: Callable[[Fields], None],
    ) -> None:
        self._type, self._scrubber, self._slot, self._keep = content_type, scrubber, slot, keep
        self._splitter = EventSplitter(content_type)
        self._pieces: list[bytes] = []
        self._times: list[int] = []

    def piece(self, piece: bytes) -> None:
        """Note a piece and when its events came."""
        self._pieces.append(piece)
        self._note(len(self._splitter.feed(piece)))

    def closed(self, *, whole: bool) -> None:
        """Pass on the body."""
        self._note(len(self._splitter.close()))
        body = b"".join(self._pieces)
        packed = packed_body(body, self._type, self._scrubber)
        packed["seconds"] = round(self._slot.seconds(), 3)
        events = len(packed.get("events") or packed.get("lines") or ()) + ("after" in packed)
        if self._splitter.streams and len(self._times) == events:
            packed["at_ms"] = self._times
        if not whole and not (self._splitter.streams and END_MARKER.search(body)):
            packed["cut"] = True
        self._keep(packed)

    def _note(self, events: int) -> None:
        self._times += [round(self._slot.seconds() * 1000)] * events


def packed_body(body: bytes, content_type: str, scrubber: Scrubber) -> Fields:
    """Return the fields that stand for a response's body, without secrets."""
    packed = pack(body, content_type, scrubber.response_value)
    for name in ("text", "after"):
        if name in packed:
            packed[name] = scrubber.text(packed[name])
    if "events" in packed:
        packed["events"] = [_texts(event, scrubber) for event in packed["events"]]
    return packed


def _texts(event: dict[str, Any], scrubber: Scrubber) -> dict[str, Any]:
    return {name: scrubber.text(v) if isinstance(v, str) else v for name, v in event.items()}
