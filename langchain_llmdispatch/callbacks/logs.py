"""Logs of calls, under the logger `langchain_llmdispatch`: never a prompt, an answer or a key.

| level   | what                                                                     |
|---------|--------------------------------------------------------------------------|
| DEBUG   | every request: sent, ended                                               |
| INFO    | a call was answered; a retry; a hedge; a wait for our own limits         |
| WARNING | a fallback; a call that failed; a deployment that is configured wrongly  |
| ERROR   | a call that ended in an exception of code that was handed in, or in a bug |

Each record carries its facts as attributes (`event`, `vendor`, `deployment`, `model`, `error`, `status`,
`latency_ms`, `cost_usd`, ...) for structured formatters. Vendors' error texts are left out: they may quote
the prompt. `enable_logging=True` prints INFO and above, readable, to standard error, for that model alone; no
handler is installed anywhere.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.internal.html import plural
from langchain_llmdispatch.internal.lazy import LateModule

if TYPE_CHECKING:
    from langchain_llmdispatch.callbacks import error_names
    from langchain_llmdispatch.dispatch.attempt import Attempt
    from langchain_llmdispatch.dispatch.call_state import CallState
else:
    error_names = LateModule("langchain_llmdispatch.callbacks.error_names")

LOGGER = logging.getLogger("langchain_llmdispatch")
LOGGER.addHandler(logging.NullHandler())

_LONG = 10  # seconds; longer times are shown with one decimal


class ConsoleFormatter(logging.Formatter):
    """One readable line: time, level from WARNING on, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        mark = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        return f"{self.formatTime(record, '%H:%M:%S')} llmdispatch  {mark}{record.getMessage()}"


class FailureLog:
    """An observer that logs retries, fallbacks, hedges and failed calls; it is not notified of anything else.

    Args:
        console: Whether INFO and above is printed, even where no logging is configured.
    """

    def __init__(self, *, console: bool = False) -> None:
        self.console = console
        self._formatter = ConsoleFormatter()

    def repeated(self, attempt: Attempt) -> None:
        """Log a retry, a fallback or a hedge."""
        name = attempt.target.name
        if attempt.fallback:
            self._log(logging.WARNING, "fallback", attempt, f"falling back to {name}: {_reason(attempt)}")
        elif attempt.retry is not None:
            text = f"retrying {name} after {_seconds(attempt.delay)}: {_reason(attempt)}"
            self._log(logging.INFO, "retry", attempt, text)
        if attempt.hedge:
            self._log(logging.INFO, "hedge", attempt, f"hedging with {name}: no first token yet")

    def failed(self, call: CallState) -> None:
        """Log a call that raises."""
        facts, after = _extent(call)
        error = call.failure
        facts |= {"error": type(error).__name__, "status": getattr(error, "status_code", None)}
        if call.outcome == "crashed" and not error_names.is_of_testing(error):
            text = f"call crashed after {after}: {error_names.error_name(error)}{_origin(error)}"
            self._emit(logging.ERROR, "crashed", text, facts)
        else:
            text = f"call failed after {after}: {error_names.error_name(error)}{_unrepeated(call)}"
            self._emit(logging.WARNING, "failed", text, facts)

    def _log(self, level: int, event: str, attempt: Attempt, text: str, **facts: Any) -> None:
        target = attempt.target
        names = {"vendor": target.vendor.name, "model": target.model, "deployment": target.name}
        self._emit(level, event, text, {"attempt": attempt.number, **names, **facts})

    def _emit(self, level: int, event: str, text: str, facts: dict[str, Any]) -> None:
        printed, logged = self.console and level >= logging.INFO, LOGGER.isEnabledFor(level)
        if not printed and not logged:
            return
        record = LOGGER.makeRecord(LOGGER.name, level, __file__, 0, text, (), None, "llmdispatch")
        vars(record).update(facts, event=event)  # `extra` compares each name with the record's own
        if logged:
            LOGGER.handle(record)
        if printed and not (logged and _printed_already(record)):
            sys.stderr.write(f"{self._formatter.format(record)}\n")


class CallLog(FailureLog):
    """An observer that logs everything.

    Args:
        console: Whether INFO and above is printed, even where no logging is configured.

    Attributes:
        failures: The same log without calls that go well: enough where INFO is not logged.
    """

    def __init__(self, *, console: bool = False) -> None:
        super().__init__(console=console)
        self.failures = FailureLog(console=console)

    def started(self, attempt: Attempt) -> None:
        """Log a request, at DEBUG."""
        if LOGGER.isEnabledFor(logging.DEBUG):
            text = f"request {attempt.number} sent to {attempt.target.name}"
            self._log(logging.DEBUG, "sent", attempt, text)

    def ended(self, attempt: Attempt) -> None:
        """Log a wait for our own limits; at DEBUG the result of a request."""
        if not attempt.sent:
            return
        if attempt.throttled:
            text = f"waited {_seconds(attempt.throttled)} for the limits of {attempt.target.name}"
            self._log(logging.INFO, "throttle", attempt, text)
        if LOGGER.isEnabledFor(logging.DEBUG):
            self._log(logging.DEBUG, "attempt", attempt, _result(attempt), **_facts(attempt))

    def finished(self, call: CallState, answer: Attempt | None) -> None:
        """Log a call that was answered or abandoned."""
        if call.outcome in {"failed", "crashed"}:
            return
        facts, after = _extent(call)
        if answer is not None:
            self._emit(logging.INFO, "answered", _answered(answer, facts), facts)
        else:
            self._emit(logging.INFO, "abandoned", f"call abandoned after {after}", facts)


def _extent(call: CallState) -> tuple[dict[str, Any], str]:
    """Return how many requests a call took and how long, as facts and in words."""
    seconds, requests = call.clock.monotonic() - call.started, len(call.records)
    facts = {"attempts": requests, "latency_ms": round(seconds * 1000)}
    return facts, f"{plural(requests, 'request')}, {_seconds(seconds)}"


def _printed_already(record: logging.LogRecord) -> bool:
    """Return whether the user's own logging writes the record to the console."""
    logger: logging.Logger | None = LOGGER
    while logger is not None:
        for handler in logger.handlers:
            stream = getattr(handler, "stream", None)
            if stream in {sys.stderr, sys.stdout} and record.levelno >= handler.level:
                return True
        logger = logger.parent if logger.propagate else None
    return False


def _facts(attempt: Attempt) -> dict[str, Any]:
    names = ("status", "error", "request_id", "latency_ms", "ttft_ms", "wait_ms")
    return {name: getattr(attempt.record, name) for name in names}


def _result(attempt: Attempt) -> str:
    error = attempt.record.error if attempt.record is not None else None
    what = f"failed: {error}" if error else "answered"
    return f"request {attempt.number} to {attempt.target.name} {what} after {_seconds(attempt.latency)}"


def _answered(attempt: Attempt, facts: dict[str, Any]) -> str:
    target, usage, cost = attempt.target, attempt.usage, attempt.cost
    usd = cost.usd if cost is not None else None
    parts = [f"{target.name} answered in {_seconds(facts['latency_ms'] / 1000)}"]
    if facts["attempts"] > 1:
        parts.append(plural(facts["attempts"], "request"))
    if usage is not None:
        parts.append(f"{usage['input_tokens']} + {usage['output_tokens']} tokens")
        facts |= {"input_tokens": usage["input_tokens"], "output_tokens": usage["output_tokens"]}
        parts.append("price unknown" if usd is None else f"${usd:.6f}")
    facts |= {"vendor": target.vendor.name, "model": target.model, "deployment": target.name}
    facts["cost_usd"] = None if usd is None else format(usd, "f")
    return ", ".join(parts)


def _reason(attempt: Attempt) -> str:
    errors = attempt.call.errors
    if not errors:
        return "the answer was declined"
    return f"{errors[-1].deployment} failed: {error_names.error_name(errors[-1])}{_unrepeated(attempt.call)}"


def _unrepeated(call: CallState) -> str:
    return "; the retry quota is used up" if call.retries_refused else ""


def _origin(error: BaseException | None) -> str:
    module = error_names.handed_in(error)
    return f", raised in {module}" if module else "; this is a bug of langchain-llmdispatch"


def _seconds(seconds: float) -> str:
    return f"{seconds:.{2 if seconds < _LONG else 1}f} s"
