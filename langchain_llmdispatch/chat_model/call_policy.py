"""What bounds the calls of a model: its fields, and what a single call chooses over them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

from langchain_llmdispatch.chat_model.run_options import RunOptions
from langchain_llmdispatch.config.schema import DispatchFields
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.cascade import Cascade
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.types import TimeLimits


def policy_of(fields: DispatchFields, max_retries: int | None) -> CallPolicy:
    """Return the policy of a model's calls."""
    retries = fields.retry_policy
    if max_retries is not None:
        retries = retries.model_copy(update={"max_retries": max_retries})
    return CallPolicy(
        retries,
        fields.max_attempts,
        TimeLimits(fields.timeout, fields.deadline, fields.first_token_timeout, fields.stream_idle_timeout),
        resume=fields.on_stream_error == "resume",
        cascade=Cascade.of(fields.escalate_when),
        hedge_after=fields.hedge_after,
        wait_for_preferred=fields.wait_for_preferred,
        max_response_bytes=fields.max_response_bytes,
    )


def within(policy: CallPolicy, options: RunOptions) -> CallPolicy:
    """Return the policy with the call's own times and patience, if it has some."""
    if options.wait_for_preferred is not None:
        policy = replace(policy, wait_for_preferred=float(options.wait_for_preferred))
    if options.deadline is None and options.timeout is None:
        return policy
    own = {"deadline": options.deadline, "timeout": options.timeout}
    times = {name: float(seconds) for name, seconds in own.items() if seconds is not None}
    return replace(policy, times=replace(policy.times, **times))


def warn_of_repeats(targets: Sequence[Target], max_attempts: int) -> None:
    """Warn of LangChain chat models whose own retries cannot be switched off."""
    for target in targets:
        repeats = getattr(target.vendor, "requests", 1)
        if repeats > 1:
            warnings.warn(
                f"{target.name} repeats requests by itself ({getattr(target.vendor, 'retries', '')}), which "
                f"cannot be switched off from here: one call may send {repeats * max_attempts} requests "
                f"({max_attempts} attempts x {repeats}). Switch it off on the model, or lower max_attempts.",
                stacklevel=2,
            )
