"""Logs: levels that make sense, structured facts, and never a prompt, an answer, an error's text or a key."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.rate_limiters import BaseRateLimiter

from langchain_llmdispatch import AllDeploymentsFailedError
from langchain_llmdispatch.callbacks.logs import LOGGER
from langchain_llmdispatch.testing import Cassette
from langchain_llmdispatch.testing.cassettes.playback import UnmatchedRequestError
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, deployment, model_of

PROMPT, ANSWER, KEY = "my secret prompt", "my secret answer", "sk-secret-secret-secret"


class Memory(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """Return everything that is logged, at every level."""
    memory, level = Memory(), LOGGER.level
    LOGGER.addHandler(memory)
    LOGGER.setLevel(logging.DEBUG)
    yield memory.records
    LOGGER.removeHandler(memory)
    LOGGER.setLevel(level)


def events(records: list[logging.LogRecord]) -> list[tuple[str, str]]:
    """Return levels and events of our own records."""
    return [(r.levelname, r.event) for r in records if r.name == "langchain_llmdispatch"]


def test_a_call_s_story_in_levels(server: LoopbackServer, records: list[logging.LogRecord]) -> None:
    """Requests are for debugging, a retry and the answer are information, a fallback is a warning."""
    server.script("openai", [Fault.error("overloaded")] * 3)
    model_of(deployment(server, "openai"), deployment(server, "anthropic")).invoke(PROMPT)
    request = [("DEBUG", "sent"), ("DEBUG", "attempt")]
    retry = [("INFO", "retry"), *request]
    assert events(records) == [
        *request,
        *retry,
        *retry,
        ("WARNING", "fallback"),
        *request,
        ("INFO", "answered"),
    ]
    answered = records[-1]
    assert (answered.vendor, answered.deployment, answered.attempts) == ("anthropic", "anthropic", 4)
    assert answered.input_tokens == server.usage()["anthropic"].input_tokens
    assert float(answered.cost_usd) > 0


def test_a_failed_call_is_a_warning_with_its_cause(
    server: LoopbackServer, records: list[logging.LogRecord]
) -> None:
    """The last line of a failed call names what it was, by class and status."""
    server.script("openai", [Fault.error("overloaded")], repeat=True)
    with pytest.raises(AllDeploymentsFailedError):
        model_of(deployment(server, "openai")).invoke(PROMPT)
    assert events(records)[-1] == ("WARNING", "failed")
    assert "OverloadedError (HTTP 503)" in records[-1].getMessage()


class Broken(BaseRateLimiter):
    """A rate limiter of a user's own that fails."""

    def acquire(self, *, blocking: bool = True) -> bool:
        """Fail."""
        raise RuntimeError(PROMPT)

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Fail."""
        raise RuntimeError(PROMPT)


@each("colour", COLOURS)
def test_an_exception_of_code_that_was_handed_in_names_its_module(
    server: LoopbackServer, records: list[logging.LogRecord], colour: str
) -> None:
    """It is no bug of this package; its text may quote the prompt."""
    with pytest.raises(RuntimeError):
        COLOURS[colour](model_of(deployment(server, "openai"), rate_limiter=Broken()), PROMPT)
    text = records[-1].getMessage()
    assert text == f"call crashed after 0 requests, 0.00 s: RuntimeError, raised in {__name__}"


@each("colour", COLOURS)
def test_a_missing_recording_is_a_call_that_failed(
    server: LoopbackServer, records: list[logging.LogRecord], colour: str, tmp_path: Path
) -> None:
    """It is neither a crash nor a bug."""
    model = model_of(deployment(server, "openai"))
    with pytest.raises(UnmatchedRequestError), Cassette(tmp_path / "none.yaml", mode="none"):
        COLOURS[colour](model, PROMPT)
    assert events(records)[-1] == ("WARNING", "failed")
    assert records[-1].getMessage() == "call failed after 1 request, 0.00 s: UnmatchedRequestError"


def test_no_prompt_no_answer_no_key_no_vendor_s_words(
    server: LoopbackServer, records: list[logging.LogRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    """At every level, in text and facts, on the console too: nothing of prompts and answers, and no key."""
    echo = Fault(status=400, body={"error": {"message": f"cannot answer {PROMPT} with {KEY}"}})
    server.script("openai", [Fault(status=401, body=echo.body)])
    server.script("anthropic", [Answer(text=ANSWER)])
    model = model_of(
        deployment(server, "openai").model_copy(update={"api_key": lambda: KEY}),
        deployment(server, "anthropic"),
        enable_logging=True,
    )
    assert model.invoke(PROMPT).text == ANSWER
    written = capsys.readouterr().err + "".join(str(vars(r)) for r in records if r.name == LOGGER.name)
    assert "falling back" in written
    assert not any(word in written for word in (PROMPT, ANSWER, KEY, "cannot answer"))


def test_enable_logging_prints_readable_lines(
    server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `enable_logging` a model logs what it does, on standard error; another model stays silent."""
    server.script("openai", [Fault.error("overloaded")])
    model_of(deployment(server, "openai")).invoke(PROMPT)
    assert capsys.readouterr().err == ""
    server.script("openai", [Fault.error("overloaded")])
    model_of(deployment(server, "openai"), enable_logging=True).invoke(PROMPT)
    retry, answered = capsys.readouterr().err.splitlines()
    assert "llmdispatch  retrying openai after 0.50 s: openai failed: OverloadedError (HTTP 503)" in retry
    assert "llmdispatch  openai answered in 0.50 s, 2 requests, " in answered
    assert "tokens, $0.0" in answered


def test_a_stream_that_is_left_is_not_called_answered(
    server: LoopbackServer, records: list[logging.LogRecord]
) -> None:
    """Leaving a stream is logged as that."""
    stream = model_of(deployment(server, "openai")).stream(PROMPT)
    next(stream)
    stream.close()
    assert events(records)[-1] == ("INFO", "abandoned")


def test_nothing_is_printed_twice(server: LoopbackServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the user's own logging writes to the console already, the readable line stays away."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("own %(message)s"))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        model_of(deployment(server, "openai"), enable_logging=True).invoke(PROMPT)
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(logging.NOTSET)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("own openai answered")


def test_readable_lines_do_not_lower_the_user_s_own_level(
    server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Handlers of an application that takes warnings alone are not sent information by `enable_logging`."""
    memory = Memory()
    logging.getLogger().addHandler(memory)
    try:
        model_of(deployment(server, "openai"), enable_logging=True).invoke(PROMPT)
    finally:
        logging.getLogger().removeHandler(memory)
    assert [record.getMessage() for record in memory.records if record.name == LOGGER.name] == []
    assert "openai answered" in capsys.readouterr().err


def test_two_models_print_one_line_each(server: LoopbackServer, capsys: pytest.CaptureFixture[str]) -> None:
    """However many models have it on, a call is one line, and the root logger is as it was."""
    before = list(logging.getLogger().handlers), logging.getLogger().level
    models = [model_of(deployment(server, "openai"), enable_logging=True) for _ in range(3)]
    models[0].invoke(PROMPT)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == before


def test_a_library_is_silent_unless_enabled(server: LoopbackServer) -> None:
    """No level is set, nothing but a null handler is installed, even after `enable_logging`."""
    model_of(deployment(server, "openai"), enable_logging=True).invoke(PROMPT)
    assert LOGGER.level == logging.NOTSET
    assert [type(handler) for handler in LOGGER.handlers] == [logging.NullHandler]
