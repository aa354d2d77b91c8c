"""The first choice of a call: where it goes if nothing is wrong with any deployment."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace

from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.routing.decision import RoutingRequest
from langchain_llmdispatch.routing.router import Router


def first_choice(router: Router, routing: RoutingRequest) -> Target | None:
    """Return the target that is first in the plan of a call while all are healthy; None if none fits.

    What a call gives to its first choice alone must not go to another vendor because that one is down.
    """
    if len(routing.targets) == 1 and not routing.pool:
        return routing.targets[0]
    healthy = replace(routing, health=None, rng=same_draws(routing.rng))
    return next(iter(router.decide(healthy).targets), None)


def same_draws(rng: random.Random) -> random.Random:
    """Return a source of randomness that draws what `rng` will draw next, without drawing it.

    The system's own randomness (`random.SystemRandom`) cannot be known beforehand: then the draws differ.
    """
    copy = random.Random()
    with suppress(NotImplementedError):
        copy.setstate(rng.getstate())
    return copy
