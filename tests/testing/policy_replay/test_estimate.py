"""Deployments that were never recorded."""

from __future__ import annotations

from langchain_llmdispatch.testing import replay
from tests.testing.policy_replay.calls import A, answered, calls


def test_assumptions_are_named() -> None:
    """A deployment that was never recorded is reported as assumed; its failure rate is the given one."""
    result = replay(
        calls(50, answered(A)),
        {"models": ["cohere:command-a-03-2025"], "max_attempts": 1},
        assume={"cohere:command-a-03-2025": {"latency_s": 1.5, "failure_rate": 0.5}},
    )
    [policy] = result.policies
    assert policy.assumed == {"cohere:command-a-03-2025"}
    assert 10 < policy.failed < 40
    assert any("cohere:command-a-03-2025" in line for line in result.unknown)
    assert "What this cannot know:" in str(result)
