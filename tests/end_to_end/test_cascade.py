"""Cascades on a real server: an answer that is not accepted sends the call on."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from langchain_llmdispatch import DispatcherChatModel, errors
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer, TokenCounts
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, deployment, model_of, summed

Call = Callable[[DispatcherChatModel, str], AIMessage]


PRICED = {"input_price": 1.0, "output_price": 10.0}


USED = TokenCounts(input=1000, output=100)  # $0.002 at these prices


@pytest.fixture(params=list(COLOURS))
def call(request: pytest.FixtureRequest) -> Call:
    """Return one way to call a model, in each colour."""
    return COLOURS[request.param]


def unsure(message: AIMessage) -> bool:
    """Return whether an answer is not good enough: it does not know."""
    return "know" in message.text


def model(server: LoopbackServer, *vendors: str, **fields: Any) -> DispatcherChatModel:
    """Return a model of deployments `a`, `b`, ... that escalates when unsure."""
    names = "abcdef"
    targets = [deployment(server, v, n, **PRICED) for v, n in zip(vendors, names, strict=False)]
    return model_of(*targets, **{"escalate_when": unsure, **fields})


def test_an_answer_that_is_not_accepted_sends_the_call_on(server: LoopbackServer, call: Call) -> None:
    """The next deployment is tried, the caller gets its answer alone, and both are billed."""
    server.script("openai", [Answer("I do not know", usage=USED)], account="a")
    server.script("anthropic", [Answer("Paris", usage=USED)], account="b")
    with model(server, "openai", "anthropic", "cohere") as dispatcher:
        message = call(dispatcher, "capital?")
        stats = dispatcher.get_stats()
    facts = message.response_metadata["llmdispatch"]
    assert message.text == "Paris"
    assert (facts["escalated"], facts["accepted"], facts["deployment"]) == (True, True, "b")
    assert [(r["deployment"], r["declined"], Decimal(r["cost_usd"])) for r in facts["attempts"]] == [
        ("a", True, Decimal("0.002")),
        ("b", False, Decimal("0.002")),
    ]
    assert Decimal(facts["cost_usd"]) == Decimal("0.004")
    assert [received.account for received in server.requests] == ["a", "b"]
    assert (stats.total_requests, stats.successful_requests, stats.calls.answered) == (2, 2, 1)
    assert (stats.cost_usd, stats.wasted_usd) == pytest.approx((0.004, 0.002))
    assert (stats.wasted_tokens, stats.deployment_stats["a"].wasted_tokens) == (1100, 1100)
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] == 1100


def test_a_good_answer_ends_the_call(server: LoopbackServer, call: Call) -> None:
    """No other deployment is tried, and the metadata are those of any call."""
    server.script("openai", [Answer("Paris")], account="a")
    with model(server, "openai", "anthropic") as dispatcher:
        facts = call(dispatcher, "capital?").response_metadata["llmdispatch"]
    assert len(server.requests) == 1
    assert "escalated" not in facts
    assert "declined" not in facts["attempts"][0]


def test_the_last_answer_is_returned_if_none_is_accepted(server: LoopbackServer, call: Call) -> None:
    """It is marked as not accepted, and its record holds all attempts."""
    for vendor, account in (("openai", "a"), ("anthropic", "b")):
        server.script(vendor, [Answer(f"{account} does not know", usage=USED)], account=account)
    with model(server, "openai", "anthropic") as dispatcher:
        message = call(dispatcher, "capital?")
        stats = dispatcher.get_stats()
    facts = message.response_metadata["llmdispatch"]
    assert message.text == "b does not know"
    assert (facts["accepted"], facts["deployment"]) == (False, "b")
    assert Decimal(facts["cost_usd"]) == Decimal("0.004")
    assert [r["declined"] for r in facts["attempts"]] == [True, True]
    assert stats.calls.answered == 1
    assert (stats.cost_usd, stats.wasted_usd) == pytest.approx((0.004, 0.002))


def test_a_declined_answer_beats_an_error(server: LoopbackServer, call: Call) -> None:
    """If the next deployment fails, the declined answer is returned."""
    server.script("openai", [Answer("I do not know")], account="a")
    server.script("anthropic", [Fault.error("auth")], account="b")
    with model(server, "openai", "anthropic") as dispatcher:
        message = call(dispatcher, "capital?")
    facts = message.response_metadata["llmdispatch"]
    assert message.text == "I do not know"
    assert facts["accepted"] is False
    assert [r["error"] for r in facts["attempts"]] == [None, "AuthenticationError"]


def test_never_more_than_max_attempts(server: LoopbackServer, call: Call) -> None:
    """The cascade counts like everything else."""
    vendors = ("openai", "anthropic", "cohere", "google")
    for vendor, account in zip(vendors, "abcd", strict=True):
        server.script(vendor, [Answer("who knows")], account=account)
    with model(server, *vendors, max_attempts=3) as dispatcher:
        message = call(dispatcher, "capital?")
    assert len(server.requests) == 3
    assert message.response_metadata["llmdispatch"]["accepted"] is False


def test_an_error_within_a_cascade_is_retried(server: LoopbackServer, call: Call) -> None:
    """Transient failures of the next deployment do not end the cascade; nothing was shown yet."""
    server.script("openai", [Answer("I do not know")], account="a")
    server.script("anthropic", [Fault.error("overloaded"), Answer("Paris")], account="b")
    with model(server, "openai", "anthropic") as dispatcher:
        assert call(dispatcher, "capital?").text == "Paris"
    assert [received.account for received in server.requests] == ["a", "b", "b"]


@each("vendor", ["openai", "anthropic", "google", "cohere", "ollama"])
def test_a_buffered_stream_that_breaks_is_retried_unseen(server: LoopbackServer, vendor: str) -> None:
    """Chunks that were not accepted were not handed over, so the request can be retried."""
    server.script(vendor, [(Fault.cut(after_events=5), Answer("one two three four five six"))], account="a")
    server.script(vendor, [Answer("one two three four five six")], account="a")
    with model(server, vendor) as dispatcher:
        chunks = list(dispatcher.stream("count"))
    assert summed(chunks).text == "one two three four five six"
    assert len(server.requests) == 2
    assert sum(1 for chunk in chunks if chunk.usage_metadata) <= 1
    assert chunks[-1].chunk_position == "last"


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google", "azure"])
def test_words_for_common_rules(server: LoopbackServer, call: Call, vendor: str) -> None:
    """Refusals and answers that hit their length limit are recognised on every vendor."""
    for finish in ("length", "content_filter"):
        server.clear()
        server.script(vendor, [Answer("well", finish=finish)], account="a")
        server.script("openai", [Answer("done")], account="b")
        with model(server, vendor, "openai", escalate_when=["refusal", "length"]) as dispatcher:
            assert call(dispatcher, "go").text == "done"


def test_a_refusal_that_comes_as_an_error_counts_too(server: LoopbackServer, call: Call) -> None:
    """An HTTP error of the vendor's filter falls back only if `escalate_when` names refusals."""
    server.script("azure", [Fault.error("content_filter")] * 2, account="a")
    with model(server, "azure", "openai", escalate_when="refusal") as dispatcher:
        assert call(dispatcher, "go").response_metadata["llmdispatch"]["deployment"] == "b"
    with model(server, "azure", "openai") as dispatcher, pytest.raises(errors.ContentFilterError):
        call(dispatcher, "go")


class City(BaseModel):
    """A city."""

    name: str
    people: int


def test_an_answer_that_violates_its_schema(server: LoopbackServer) -> None:
    """A structured answer that is no such structure goes on; the parser sees the right one."""
    server.script("openai", [Answer('{"name": "Paris"}')], account="a")
    server.script("openai", [Answer('{"name": "Paris", "people": 2}')], account="b")
    with model(server, "openai", "openai", escalate_when="invalid_schema") as dispatcher:
        city = dispatcher.with_structured_output(City).invoke("capital?")
    assert city == City(name="Paris", people=2)
    assert len(server.requests) == 2


def test_an_exception_of_a_users_function_passes_through(server: LoopbackServer, call: Call) -> None:
    """An exception in the function passes through: it counts against no vendor, and no other one is tried."""
    with (
        model(server, "openai", "anthropic", escalate_when=lambda message: message.nothing) as dispatcher,
        pytest.raises(AttributeError),
    ):
        call(dispatcher, "go")
    assert len(server.requests) == 1
    assert dispatcher.get_stats().failed_requests == 0


def test_the_cheapest_is_tried_first(server: LoopbackServer) -> None:
    """With `lowest_cost` the cascade climbs from the cheap to the dear."""
    server.script("openai", [Answer("who knows")], account="cheap")
    targets = [
        deployment(server, "openai", "dear", input_price=50, output_price=50),
        deployment(server, "openai", "cheap", input_price=1, output_price=1),
    ]
    with model_of(*targets, strategy="lowest_cost", escalate_when=unsure) as dispatcher:
        dispatcher.invoke("go")
    assert [received.account for received in server.requests] == ["cheap", "dear"]


def test_an_unknown_price_makes_the_sum_unknown(server: LoopbackServer) -> None:
    """Unknown plus known is unknown, not known."""
    server.script("compatible", [Answer("who knows", usage=USED)], account="a")
    server.script("openai", [Answer("Paris", usage=USED)], account="b")
    pair = deployment(server, "compatible", "a"), deployment(server, "openai", "b", **PRICED)
    with model_of(*pair, escalate_when=unsure) as dispatcher:
        facts = dispatcher.invoke("go").response_metadata["llmdispatch"]
    assert facts["cost_usd"] is None
    assert [r["cost_usd"] for r in facts["attempts"]] == [None, "0.002000"]
