"""`report`: the facts of a call in `response_metadata["llmdispatch"]`, and its final error."""

from __future__ import annotations

import json
from decimal import Decimal

from langchain_llmdispatch import errors
from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.dispatch.report import cost_of, failure_report, gateway, report
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import Change
from tests.calls import dispatch_of, steady
from tests.cases import each
from tests.targets import target, targets

USED = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}


def walk(*outcomes: errors.DispatchError | str | None, names: str = "ab") -> tuple[Dispatch, Attempt]:
    """Walk attempts of 1 s that raise errors, or are declined or answered at a cost; return the last one."""
    clock, script = FakeClock(), list(outcomes)
    dispatch = dispatch_of(targets(*names), steady(retries={"max_retries": 0}), clock=clock)
    last: Attempt | None = None
    try:
        for last in dispatch.attempts():
            with last:
                last.send()
                clock.sleep(1.0)
                outcome = script.pop(0)
                if isinstance(outcome, errors.DispatchError):
                    raise outcome
                if outcome is not None:
                    usd, _, declined = outcome.partition(" ")
                    last.cost = Cost(Decimal(usd) if usd != "?" else None, "deployment")
                    if declined:
                        last.decline(list)
                last.succeed()
    except errors.DispatchError:
        pass
    assert last is not None
    return dispatch, last


def test_the_facts_of_an_answer() -> None:
    """What answered, after which attempts, at what cost; JSON as it is."""
    _, attempt = walk(errors.AuthenticationError("x"), "0.002")
    attempt.changes = [Change("temperature_dropped", "the model takes none", lossy=True)]
    facts = report(attempt)
    assert (facts["vendor"], facts["deployment"], facts["route"]) == ("openai", "b", None)
    assert [(r["deployment"], r["error"]) for r in facts["attempts"]] == [
        ("a", "AuthenticationError"),
        ("b", None),
    ]
    assert (facts["fallback"], facts["queue_ms"], facts["cost_usd"]) == (True, 0, "0.002")
    assert facts["adapted"] == [
        {"kind": "temperature_dropped", "detail": "the model takes none", "lossy": True}
    ]
    assert not {"escalated", "resumed"} & facts.keys()
    assert json.loads(json.dumps(facts)) == facts


def test_an_unknown_cost_is_none() -> None:
    """Never 0: without usage, and where a declined answer's cost is unknown."""
    assert report(walk(None)[1])["cost_usd"] is None
    assert report(walk("? declined", "0.1")[1])["cost_usd"] is None


def test_declined_answers_are_in_the_cost() -> None:
    """The total is of all answers, each record has its own."""
    dispatch, attempt = walk("0.1 declined", "0.02")
    facts = report(attempt)
    assert (facts["cost_usd"], facts["escalated"], facts["accepted"]) == ("0.12", True, True)
    assert [(r["declined"], r["cost_usd"]) for r in facts["attempts"]] == [(True, "0.1"), (False, "0.02")]
    assert dispatch.call.declined[0].record.deployment == "a"
    facts = report(walk("0.1 declined", "0.02 declined")[1])
    assert (facts["cost_usd"], facts["accepted"]) == ("0.12", False)


def test_the_facts_of_a_failure_are_on_its_error() -> None:
    """By the same names: the last deployment, and the cost of what was used in vain."""
    dispatch, _ = walk(errors.ServerError("x"), errors.ServerError("y"))
    failure = dispatch.call.failure
    assert isinstance(failure, errors.AllDeploymentsFailedError)
    assert failure.llmdispatch == failure_report(dispatch.call)
    assert (failure.llmdispatch["deployment"], failure.llmdispatch["cost_usd"]) == ("b", None)
    assert failure.llmdispatch["fallback"] is True


@each(
    ("error", "kind"),
    [
        (errors.ServerError("x"), errors.AllDeploymentsFailedError),
        (errors.InvalidRequestError("x"), errors.InvalidRequestError),
        (errors.DeadlineExceededError("x"), errors.DeadlineExceededError),
    ],
)
def test_the_final_error(error: errors.DispatchError, kind: type[errors.DispatchError]) -> None:
    """The caller's own errors and the deadline are raised as they are; each carries the records."""
    dispatch, _ = walk(error, names="a")
    failure = dispatch.call.failure
    assert type(failure).__name__ == kind.__name__
    assert tuple(failure.attempts) == dispatch.call.records


def test_the_cost_of_usage() -> None:
    """By the deployment's own prices first."""
    dispatch = dispatch_of([target("a", input_price=1.0, output_price=10.0)], clock=FakeClock())
    attempt = next(dispatch.attempts())
    assert cost_of(attempt, USED, "gpt-5.4-mini", {}).usd == Decimal("0.002")


def test_tracers_are_shown_the_vendor_that_answered() -> None:
    """Under LangChain's own key."""
    assert gateway(walk(None)[1], "gpt-5.4-mini") == {
        "lc_gateway_metadata": {"provider": "openai", "model": "gpt-5.4-mini"}
    }
