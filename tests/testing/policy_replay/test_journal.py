"""A journal holds each call: what happened, and content only if it is switched on."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage

from langchain_llmdispatch import AllDeploymentsFailedError
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing import Faults, Journal
from langchain_llmdispatch.testing.policy_replay.entry import JournalEntry
from tests.loopback.server import LoopbackServer
from tests.testing.models import COLOURS, answer, deployment, model_of
from tests.testing.policy_replay.calls import A, B

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("colour", COLOURS)
def test_a_journal_holds_each_call(server: LoopbackServer, tmp_path: Path, colour: str) -> None:
    """One line a call, failed requests included, and no text of the conversation."""
    path = tmp_path / "calls.jsonl"
    models = deployment(server, "openai"), deployment(server, "anthropic")
    journal = Journal(path)
    with model_of(*models, callbacks=[journal]) as model, Faults() as faults:
        faults.fail("openai:*", status=503, times=3)
        answer(model, colour, "a secret question")
        answer(model, colour)
    first, second = Journal.load(path)
    assert [entry.to_json() for entry in (first, second)] == [entry.to_json() for entry in journal]
    assert [(one.deployment, one.status) for one in first.attempts] == [(A, 503)] * 3 + [(B, 200)]
    assert (first.outcome, first.stream) == ("answered", "stream" in colour)
    assert first.input_tokens > 0
    assert first.output_tokens
    assert Decimal(second.attempts[0].cost_usd or 0) > 0
    assert "secret" not in path.read_text()


def test_a_journal_holds_failures_and_content_if_switched_on(server: LoopbackServer) -> None:
    """A failed call is there too; the conversation only with `content`."""
    journal = Journal(content=True)
    with model_of(deployment(server, "openai"), callbacks=[journal]) as model, Faults() as faults:
        model.invoke("hello")
        model.invoke("half a character: \ud83d")
        faults.fail(status=429, retry_after=100)
        with pytest.raises(AllDeploymentsFailedError):
            model.invoke([HumanMessage("again")], config={"tags": ["night"]})
    answered, odd, failure = journal
    assert answered.messages is not None
    assert answered.messages[0]["data"]["content"] == "hello"
    assert "hello" in (answered.answer or "")
    assert "character: \ufffd" in odd.to_json().encode().decode()
    assert (failure.outcome, failure.error, failure.tags) == (
        "failed",
        "AllDeploymentsFailedError",
        ["night"],
    )
    assert failure.attempts[0].retry_after_s == 100
    assert JournalEntry.from_json(failure.to_json()) == failure
    with pytest.raises(ConfigurationError, match="not a line of a journal"):
        JournalEntry.from_json('{"v": 99}')
