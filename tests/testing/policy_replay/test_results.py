"""Sums and shares of a policy's calls."""

from __future__ import annotations

from decimal import Decimal

from langchain_llmdispatch.testing.policy_replay.results import CallResult, PolicyResult


def call(seconds: float, deployment: str | None = "a", **fields: object) -> CallResult:
    """Return the end of one call."""
    error = None if deployment else "AllDeploymentsFailedError"
    values = {"at": 0.0, "ttft_s": None, "requests": 1, "fallback": False, "cost_usd": Decimal("0.5")}
    return CallResult(seconds=seconds, deployment=deployment, error=error, **{**values, **fields})


def result() -> PolicyResult:
    """Return four calls, one of them failed."""
    calls = [call(1.0), call(2.0, "b", fallback=True, requests=2), call(4.0, ttft_s=0.5), call(60.0, None)]
    return PolicyResult("mine", calls, Decimal("1.5"), unpriced=1, sources={"neighbours": 3})


def test_sums_and_shares() -> None:
    """Failed calls count as failed, and not in the latency."""
    policy = result()
    assert (policy.failed, policy.requests, policy.fallbacks) == (1, 5, 1)
    assert policy.answered_by == {"a": 2, "b": 1}
    assert (policy.latency(0.5), policy.latency(1.0), policy.ttft(0.5)) == (2.0, 4.0, 0.5)
    assert PolicyResult("none", [], Decimal(0)).latency(0.5) is None
