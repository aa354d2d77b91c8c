"""Why deployments were not tried in a call that has failed, for its error."""

from __future__ import annotations

from langchain_llmdispatch.dispatch.call_state import CallState, TargetState
from langchain_llmdispatch.errors import ContextOverflowError, DispatchError


def untried(call: CallState, last: DispatchError) -> dict[str, str]:
    """Return the reasons by the deployments' names; those that were tried have none.

    Args:
        call: The call.
        last: The error of its last attempt.
    """
    reasons = {name: reason for name, _, reason in call.left_out}
    tried = {error.deployment for error in call.errors}
    for candidate in call.candidates:
        if candidate.target.name not in tried:
            reasons[candidate.target.name] = _reason(call, candidate, last)
    return reasons


def _reason(call: CallState, candidate: TargetState, last: DispatchError) -> str:
    failed = next((c for c in call.candidates if c.target.name == last.deployment), None)
    if failed is not None and not candidate.may_follow(failed, last):
        overflow = isinstance(last, ContextOverflowError)
        return "its context window is no larger" if overflow else "it cannot continue an answer"
    if call.sent >= call.policy.max_attempts:
        return f"max_attempts={call.policy.max_attempts} is used up"
    if candidate.ready_at >= call.deadline:
        return "it may be tried again only after the deadline"
    return "it was not tried"
