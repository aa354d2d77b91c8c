"""Faults on demand, between a model and a live vendor, a local server or a cassette.

    with Faults() as faults:
        faults.fail("openai:*", status=429, retry_after=2, times=1)
        faults.cut("anthropic:*", after_events=3)
        answer = model.invoke("hello")

A request meets the first rule, in the order of their making, that matches its deployment and is not used up.
Waits go by the model's clock: with a fake clock they take no time.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, TypedDict, Unpack

import httpx

from langchain_llmdispatch.testing.body_streams import Action, filtered, pause
from langchain_llmdispatch.testing.faults.kinds import (
    FOREVER,
    Breakage,
    Cut,
    Damage,
    Endless,
    Malformed,
    Pause,
    Refusal,
    Repeat,
    Stall,
)
from langchain_llmdispatch.testing.middleware import attempt_of, installed, mark_damaged, matches, names_of
from langchain_llmdispatch.transport.middleware import Sleep

if TYPE_CHECKING:
    from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
    from langchain_llmdispatch.transport.deadline import ReadDeadline
    from langchain_llmdispatch.transport.middleware import Flow

FaultKind: TypeAlias = Refusal | Breakage | Damage


class When(TypedDict, total=False):
    """When a fault happens: keyword arguments of every method that adds one.

    Attributes:
        times: How often it happens; None is always.
        probability: How likely it is each time, by the seed of `Faults`.
        skip: How many requests pass before it may happen.
    """

    times: int | None
    probability: float
    skip: int


@dataclass(slots=True)
class FaultRule:
    """One rule.

    Attributes:
        deployments: A glob for the deployment's name or its `vendor:model`.
        kind: What happens.
        times: As in `When`.
        probability: As in `When`.
        skip: As in `When`.
        happened: How often it has happened.
    """

    deployments: str
    kind: FaultKind
    times: int | None = None
    probability: float = 1.0
    skip: int = 0
    happened: int = 0
    met: int = field(default=0, repr=False)


class Faults:
    """A context in which requests of models fail by its rules.

    Args:
        model: The only model concerned; None is every model of the process.
        seed: Seed for rules with a probability.
        strict: Fail at the end if a rule never met a request: a glob with a typing error tests nothing.

    Attributes:
        rules: The rules, in order.
    """

    depth: ClassVar[int] = 10
    replays: ClassVar[bool] = False

    def __init__(
        self, model: DispatcherChatModel | None = None, *, seed: int | None = 0, strict: bool = True
    ) -> None:
        self.rules: list[FaultRule] = []
        self._model, self._strict = model, strict
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._seen: dict[str, None] = {}

    def __enter__(self) -> Self:
        """Begin."""
        self._context = installed(self, self._model)
        self._context.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End; fail if a rule never met a request."""
        self._context.__exit__(None, None, None)
        if self._strict and kind is None:
            self.check()

    def check(self) -> None:
        """Check that every rule has met a request.

        Raises:
            AssertionError: One has not.
        """
        for rule in self.rules:
            if not rule.met:
                seen = ", ".join(self._seen) or "none"
                raise AssertionError(f"the fault for {rule.deployments!r} met no request; tried were: {seen}")

    # -- before a response ------------------------------------------------------------------------

    def fail(
        self,
        deployments: str = "*",
        *,
        status: int,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
        message: str | None = None,
        body: Any = None,
        **when: Unpack[When],
    ) -> FaultRule:
        """Respond with an error status, in the vendor's own form.

        Args:
            deployments: A glob for the deployment's name or its `vendor:model`.
            status: The HTTP status.
            retry_after: Seconds for the `retry-after` header.
            headers: Further headers.
            code: The vendor's error code (`insufficient_quota`).
            message: The error's text.
            body: The whole body, JSON or text, instead of the vendor's own form.
            when: How often; see `When`.
        """
        wait = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        kind = Refusal(status, {**wait, **(headers or {})}, code, message, body)
        return self._add(FaultRule(deployments, kind, **when))

    def connect_error(self, deployments: str = "*", **when: Unpack[When]) -> FaultRule:
        """Refuse the connection."""
        kind = Breakage(httpx.ConnectError, "[Errno 111] Connection refused")
        return self._add(FaultRule(deployments, kind, **when))

    def reset(
        self, deployments: str = "*", *, after_events: int | None = None, **when: Unpack[When]
    ) -> FaultRule:
        """Reset the connection: before any response, or after some events of its body."""
        if after_events is None:
            kind: FaultKind = Breakage(httpx.ReadError, "[Errno 104] Connection reset by peer")
        else:
            kind = Damage(partial(Cut, after_events=after_events, reset=True))
        return self._add(FaultRule(deployments, kind, **when))

    def timeout(self, deployments: str = "*", **when: Unpack[When]) -> FaultRule:
        """Send no response until the read deadline."""
        return self._add(FaultRule(deployments, Breakage(httpx.ReadTimeout, "timed out", waits=True), **when))

    # -- in the response ----------------------------------------------------------------------------

    def cut(
        self, deployments: str = "*", *, after_events: int = 0, clean: bool = False, **when: Unpack[When]
    ) -> FaultRule:
        """Close the connection after some events; `clean` ends the HTTP message properly there."""
        kind = Damage(partial(Cut, after_events=after_events, clean=clean))
        return self._add(FaultRule(deployments, kind, **when))

    def stall(self, deployments: str = "*", *, after_events: int = 0, **when: Unpack[When]) -> FaultRule:
        """Fall silent after some events, until the read deadline."""
        return self._add(FaultRule(deployments, Damage(partial(Stall, after_events=after_events)), **when))

    def slow_first_token(self, deployments: str = "*", *, seconds: float, **when: Unpack[When]) -> FaultRule:
        """Send the head at once and wait before the body."""
        kind = Damage(partial(Pause, after_events=0, seconds=seconds))
        return self._add(FaultRule(deployments, kind, **when))

    def malformed(self, deployments: str = "*", *, after_events: int = 0, **when: Unpack[When]) -> FaultRule:
        """Break the JSON of one event; a plain body ends within its JSON."""
        return self._add(
            FaultRule(deployments, Damage(partial(Malformed, after_events=after_events)), **when)
        )

    def no_end_marker(self, deployments: str = "*", **when: Unpack[When]) -> FaultRule:
        """End a stream properly, but without finish reason and end marker."""
        return self._add(FaultRule(deployments, Damage(partial(Endless, after_events=0)), **when))

    def duplicate_event(
        self, deployments: str = "*", *, after_events: int = 0, **when: Unpack[When]
    ) -> FaultRule:
        """Send one event twice."""
        return self._add(FaultRule(deployments, Damage(partial(Repeat, after_events=after_events)), **when))

    def wrong_content_type(
        self,
        deployments: str = "*",
        *,
        content_type: str = "text/html",
        body: str | None = "<html><body>Sign in to the proxy</body></html>",
        **when: Unpack[When],
    ) -> FaultRule:
        """Respond 200 with another body, as a captive portal or a proxy does; `body=None` keeps the body."""
        return self._add(FaultRule(deployments, Damage(None, content_type, body), **when))

    def clear(self) -> None:
        """Forget all rules."""
        self.rules.clear()

    def _add(self, fault: FaultRule) -> FaultRule:
        self.rules.append(fault)
        return fault

    # -- middleware --------------------------------------------------------------------------------

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Send a request through the rules."""
        kind = self._kind(request)
        if isinstance(kind, Refusal):
            return kind.response(_vendor(request))
        if isinstance(kind, Breakage):
            if kind.waits:
                yield Sleep(pause(read_deadline, FOREVER), read_deadline.clock)
            raise kind.error(kind.text)
        response = yield request
        return response if kind is None else _damaged(kind, response, read_deadline)

    def _kind(self, request: httpx.Request) -> FaultKind | None:
        names = names_of(request)
        with self._lock:
            self._seen.setdefault(names[0])
            for rule in self.rules:
                if matches(rule.deployments, names) and self._happens(rule):
                    if isinstance(rule.kind, Damage):
                        mark_damaged(request)
                    return rule.kind
        return None

    def _happens(self, rule: FaultRule) -> bool:
        rule.met += 1
        if rule.met <= rule.skip or (rule.times is not None and rule.happened >= rule.times):
            return False
        if rule.probability < 1 and self._rng.random() >= rule.probability:
            return False
        rule.happened += 1
        return True


def _vendor(request: httpx.Request) -> str:
    attempt = attempt_of(request)
    return attempt.target.vendor.name if attempt is not None else ""


def _damaged(kind: Damage, response: httpx.Response, read_deadline: ReadDeadline) -> httpx.Response:
    if kind.body_filter is not None:
        body_filter = kind.body_filter(response.headers.get("content-type", ""))
        return filtered(response, body_filter, read_deadline)
    response = filtered(response, _Replacement(kind.body), read_deadline)
    response.headers["content-type"] = kind.content_type or ""
    return response


class _Replacement:
    """A body filter that sends another body, or the same if there is none."""

    def __init__(self, body: str | None) -> None:
        self._body = body

    def feed(self, piece: bytes) -> list[Action]:
        """Drop a piece if another body is sent."""
        return [piece] if self._body is None and piece else []

    def close(self) -> list[Action]:
        """Send the other body."""
        return [] if self._body is None else [self._body.encode()]
