"""The sixteen scenarios of FailoverBench 0.1 (github.com/failoverbench/failoverbench), in virtual time.

A primary deployment misbehaves, a second one is well, and answers are streamed. A call passes if the caller gets
the whole answer (S13: the vendor's own refusal), in time, and the primary gets no more requests than are proper.
The settings are those of the bench's run: `on_stream_error="resume"`, ten seconds for the first token and between
two, two seconds of patience with the primary.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from langchain_llmdispatch import DispatcherChatModel, errors
from langchain_llmdispatch.testing import FakeClock, Faults
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, deployment, model_of

TEXT = " ".join(f"word{number}" for number in range(60))
pytestmark = pytest.mark.parametrize("colour", ["stream", "astream"])


def bench(
    server: LoopbackServer, primary: str = "openai", second: str = "openai", **fields: Any
) -> DispatcherChatModel:
    """Return the model under test."""
    for vendor, account in ((primary, "primary"), (second, "second")):
        server.script(vendor, [Answer(TEXT)], account, repeat=True)
    settings: dict[str, Any] = {
        "on_stream_error": "resume",
        "first_token_timeout": 10.0,
        "stream_idle_timeout": 10.0,
        "wait_for_preferred": 2.0,
        "rng": random.Random(1),
        **fields,
    }
    return model_of(deployment(server, primary, "primary"), deployment(server, second, "second"), **settings)


@dataclass
class Scenario:
    """One scenario with a whole answer at its end.

    Attributes:
        fault: Makes the primary misbehave.
        tried: The deployments that a request is sent to, in order.
        most: Virtual seconds that the call may take.
        least: Virtual seconds between the first two requests, at least.
    """

    fault: Callable[[Faults], object]
    tried: tuple[str, ...]
    most: float
    least: float = 0.0


P, S = "primary", "second"
SCENARIOS = {
    "S01 429 with Retry-After": Scenario(
        lambda f: f.fail(P, status=429, retry_after=2, times=1), (P, P), 3.0, least=2.0
    ),
    "S02 429 without Retry-After, always": Scenario(
        lambda f: f.fail(P, status=429), (P, P, P, S), 3.0, least=0.1
    ),
    "S03 500 once": Scenario(lambda f: f.fail(P, status=500, times=1), (P, P), 2.0),
    "S04 503 always": Scenario(lambda f: f.fail(P, status=503), (P, P, P, S), 3.0),
    "S05 reset before the head": Scenario(lambda f: f.reset(P, times=1), (P, P), 2.0),
    "S06 no response": Scenario(lambda f: f.timeout(P), (P, S), 12.0),
    "S07 slow first token": Scenario(lambda f: f.slow_first_token(P, seconds=20), (P, S), 12.0),
    "S08 stream cut": Scenario(lambda f: f.cut(P, after_events=40, times=1), (P, P), 3.0),
    "S08 stream cut always": Scenario(lambda f: f.cut(P, after_events=40), (P, P, P, S), 5.0),
    "S09 stream stalls": Scenario(lambda f: f.stall(P, after_events=20), (P, S), 12.0),
    "S10 malformed chunk": Scenario(lambda f: f.malformed(P, after_events=10, times=1), (P, P), 3.0),
    "S12 context length": Scenario(
        lambda f: f.fail(P, status=400, code="context_length_exceeded"), (P, S), 1.0
    ),
    "S16 accounting": Scenario(lambda f: f.fail(P, status=503), (P, P, P, S), 3.0),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_whole_answer_comes_in_time(server: LoopbackServer, colour: str, name: str) -> None:
    """The caller gets every word once, from as many requests as are proper, and one more call is well."""
    scenario, clock = SCENARIOS[name], FakeClock()
    # S12 goes on only where the window is larger, or unknown.
    second = "compatible" if name.startswith("S12") else "openai"
    with bench(server, second=second, clock=clock) as model:
        with Faults() as faults:
            scenario.fault(faults)
            message = COLOURS[colour](model, "hello")
        assert message.text == TEXT
        facts = message.response_metadata["llmdispatch"]
        attempts = facts["attempts"]
        assert tuple(each["deployment"] for each in attempts) == scenario.tried
        assert clock.monotonic() <= scenario.most
        if scenario.least:
            assert attempts[1]["started_ms"] + attempts[1]["wait_ms"] >= 1000 * scenario.least
        # S16: the model and usage are those of the deployment that answered, and failures are no completions.
        assert facts["deployment"] == scenario.tried[-1]
        assert message.usage_metadata["output_tokens"] > 0
        assert model.get_stats().successes == 1
        assert COLOURS[colour](model, "again").text == TEXT


def test_s11_a_stream_without_done_ends_promptly(server: LoopbackServer, colour: str) -> None:
    """The finish reason ends the answer; its usage is reported."""
    clock = FakeClock()
    with bench(server, clock=clock) as model:
        server.script("openai", [(Fault.without("done"), Answer(TEXT))], P, repeat=True)
        message = COLOURS[colour](model, "hello")
        assert (message.text, len(server.requests_to("openai", P))) == (TEXT, 1)
        assert message.usage_metadata["output_tokens"] > 0
        assert clock.monotonic() <= 2.0


def test_s13_a_content_filter_is_the_callers_to_handle(server: LoopbackServer, colour: str) -> None:
    """The vendor's refusal is raised as it is, after one request."""
    with bench(server) as model:
        server.script("openai", [Fault.error("content_filter")], P, repeat=True)
        with pytest.raises(errors.ContentFilterError):
            COLOURS[colour](model, "hello")
    assert len(server.requests) == 1


def test_s14_a_fallback_that_takes_no_prefill_starts_over(server: LoopbackServer, colour: str) -> None:
    """A stream that Anthropic began, and broke, is joined to the whole answer of one without prefill."""
    with bench(server, primary="anthropic", max_retries=0) as model:
        with Faults() as faults:
            faults.cut(P, after_events=40)
            message = COLOURS[colour](model, "hello")
        facts = message.response_metadata["llmdispatch"]
        assert (message.text, facts["resumed"], facts["deployment"]) == (TEXT, True, S)
        assert server.requests[-1].body["messages"][-1]["role"] == "user"


@pytest.mark.parametrize("seed", range(5))
def test_s15_a_primary_that_flaps_is_found_again(server: LoopbackServer, colour: str, seed: int) -> None:
    """Down for a minute; twenty calls, one every four seconds: all are answered, and the last by the primary."""
    clock, served = FakeClock(), []
    with bench(server, clock=clock, rng=random.Random(seed)) as model:
        for number in range(20):
            clock.advance(max(0.0, 4.0 * number - clock.monotonic()))
            with Faults(strict=False) as faults:
                if clock.monotonic() < 60:
                    faults.fail(P, status=503)
                message = COLOURS[colour](model, "hello")
            assert message.text == TEXT
            served.append((clock.monotonic(), message.response_metadata["llmdispatch"]["deployment"]))
    assert {name for at, name in served if at < 60} == {S}
    assert min(at for at, name in served if name == P) <= 60 + 16
