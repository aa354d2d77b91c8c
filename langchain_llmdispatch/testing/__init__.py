"""The testing kit for people who test LLM applications: cassettes, faults, time, assertions, policy replay.

Nothing here is imported until it is used, and pytest is needed by the plugin alone. Install the extra:
`pip install "langchain-llmdispatch[testing]"`.

| name                                           | what it is for                                           |
|------------------------------------------------|----------------------------------------------------------|
| `Cassette`                                     | record real exchanges once, replay them without network  |
| `Faults`                                       | make deployments fail, stall, break or lie on demand     |
| `FakeClock`, `UnhurriedClock`, `use_clock`     | backoff, limits and deadlines in no time                 |
| `route_of`, `assert_route`, `assert_attempts`, | what a call's message must say about its way             |
| `assert_cost`, `NoNetwork`                     |                                                          |
| `Journal`, `replay`                            | what another configuration would have done               |

In pytest: `@pytest.mark.llmdispatch_cassette`, and the fixtures `llmdispatch_cassette`, `llmdispatch_faults`,
`llmdispatch_clock`, `llmdispatch_no_network`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_llmdispatch.testing.assertions import (
        assert_attempts,
        assert_cost,
        assert_route,
        attempts_of,
        calls_of,
        cost_of,
        route_of,
    )
    from langchain_llmdispatch.testing.cassettes.cassette import Cassette
    from langchain_llmdispatch.testing.cassettes.playback import UnmatchedRequestError
    from langchain_llmdispatch.testing.cassettes.secrets import SecretFoundError
    from langchain_llmdispatch.testing.clock import FakeClock, UnhurriedClock, use_clock
    from langchain_llmdispatch.testing.faults.faults import Faults
    from langchain_llmdispatch.testing.middleware import CallLeftError, NoNetwork
    from langchain_llmdispatch.testing.policy_replay.journal import Journal
    from langchain_llmdispatch.testing.policy_replay.policies import Replay, replay

_ROOMS = {
    "CallLeftError": "middleware",
    "Cassette": "cassettes.cassette",
    "FakeClock": "clock",
    "Faults": "faults.faults",
    "Journal": "policy_replay.journal",
    "NoNetwork": "middleware",
    "Replay": "policy_replay.policies",
    "SecretFoundError": "cassettes.secrets",
    "UnhurriedClock": "clock",
    "UnmatchedRequestError": "cassettes.playback",
    "assert_attempts": "assertions",
    "assert_cost": "assertions",
    "assert_route": "assertions",
    "attempts_of": "assertions",
    "calls_of": "assertions",
    "cost_of": "assertions",
    "replay": "policy_replay.policies",
    "route_of": "assertions",
    "use_clock": "clock",
}

__all__ = [
    "CallLeftError",
    "Cassette",
    "FakeClock",
    "Faults",
    "Journal",
    "NoNetwork",
    "Replay",
    "SecretFoundError",
    "UnhurriedClock",
    "UnmatchedRequestError",
    "assert_attempts",
    "assert_cost",
    "assert_route",
    "attempts_of",
    "calls_of",
    "cost_of",
    "replay",
    "route_of",
    "use_clock",
]


def __getattr__(name: str) -> Any:
    """Import a name's module when the name is first used."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
