"""The bound of a call holds whatever fails."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import RetryPolicy, errors
from langchain_llmdispatch.budgets.call_budget import CallBudget
from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.routing.plan import make_plan
from langchain_llmdispatch.routing.router import Router
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import TimeLimits
from tests.calls import dispatch_of
from tests.routing.decisions import PRICED
from tests.targets import request, routing, target, targets

FAULTS: Sequence[Any] = (
    errors.ServerError("x", status_code=503),
    errors.RateLimitError("x", status_code=429),
    errors.RateLimitError("x", status_code=429, retry_after=20.0),
    errors.AttemptTimeoutError("x"),
    errors.ConnectionFailedError("x"),
    errors.AuthenticationError("x", status_code=401),
    errors.EmptyAnswerError("x"),
)


@given(data=st.data())
def test_no_fault_schedule_exceeds_the_bound(data: st.DataObject) -> None:
    """Requests, dollars and seconds of a call stay within the bound of its plan, whatever fails."""
    names = data.draw(st.sampled_from(["a", "ab", "abc"]))
    prices = data.draw(st.lists(st.floats(0.1, 50), min_size=3, max_size=3))
    fleet = [target(n, input_price=p, output_price=p) for n, p in zip(names, prices, strict=False)]
    retries = RetryPolicy(max_retries=data.draw(st.integers(0, 3)))
    deadline = data.draw(st.sampled_from([None, 10.0, 100.0, 600.0]))
    timeout = data.draw(st.sampled_from([5.0, 60.0]))
    policy = CallPolicy(retries, data.draw(st.integers(1, 8)), TimeLimits(timeout, deadline))
    limit = data.draw(st.none() | st.floats(0.001, 0.2).map(lambda usd: Decimal(str(usd))))
    case = routing(fleet, request("x" * 400, params={"max_tokens": 1000}), limit=limit)
    router, clock = Router("lowest_cost"), FakeClock()
    bound, decision = make_plan(router, case, policy).bound, router.decide(case)
    budget = CallBudget(case.worst, limit=limit)
    dispatch = dispatch_of(
        decision.targets, policy, clock=clock, observers=[budget], send_checks=[budget.reserve]
    )
    try:
        for attempt in dispatch.attempts():
            with attempt:
                clock.sleep(attempt.delay)
                attempt.send()
                fault = data.draw(st.sampled_from([*FAULTS, None]))
                share = data.draw(st.floats(0, 1))
                clock.sleep(min(attempt.times.timeout or 0, attempt.left()) * share)
                attempt.status = getattr(fault, "status_code", None) or 200
                worst = case.forecast.worst(attempt.target)
                assert worst is not None
                if fault is not None:
                    raise type(fault)(
                        fault.message, status_code=fault.status_code, retry_after=fault.retry_after
                    )
                attempt.cost = Cost(worst * Decimal(str(share)), "deployment")
                attempt.succeed()
    except errors.DispatchError:
        pass
    assert len(dispatch.call.records) <= bound.requests
    assert bound.usd is not None
    assert budget.spent <= bound.usd
    if bound.seconds is not None:
        assert clock.monotonic() <= bound.seconds + 1e-6


def test_a_bound_shows_where_nothing_bounds() -> None:
    """Unknown prices and missing time limits are shown as such; a budget bounds the dollars again."""
    policy = CallPolicy(times=TimeLimits(None, None))
    bound = make_plan(Router(), routing(PRICED), policy).bound
    assert (bound.requests, bound.usd, bound.seconds) == (6, None, None)
    assert str(bound) == "at most 6 requests, an unknown price, no time limit"
    case = routing(PRICED[:1], request(params={"max_tokens": 10}), limit=Decimal("0.01"))
    assert make_plan(Router(), case, policy).bound.usd <= Decimal("0.01")
    streamed = routing(PRICED[:1], request(stream=True))
    assert make_plan(Router(), streamed, CallPolicy(times=TimeLimits(5, 600))).bound.seconds == 600
    limited = routing(targets("a", rpm=1))
    assert make_plan(Router(), limited, CallPolicy(times=TimeLimits(5, 600))).bound.seconds == 600
    repeated = make_plan(Router(), routing(PRICED[:1]), CallPolicy(), repeats=True)
    assert (
        make_plan(Router(), routing(PRICED[:1]), CallPolicy()).bound.requests,
        repeated.bound.requests,
    ) == (
        3,
        6,
    )
