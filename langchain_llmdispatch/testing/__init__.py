"""The testing kit for LLM applications: cassettes, faults, time, assertions, policy replay.

Nothing here is imported until it is used, and only the plugin needs pytest. Install the extra:
`pip install "langchain-llmdispatch[testing]"`.

| name                                           | what it is for                                           |
|------------------------------------------------|----------------------------------------------------------|
| `Cassette`                                     | record real exchanges once, replay them without network  |
| `Faults`                                       | make deployments fail, stall, break or lie on demand     |
| `FakeClock`, `UnhurriedClock`, `use_clock`     | backoff, limits and deadlines in no time                 |
| `route_of`, `assert_route`, `assert_attempts`, | checks of a message's metadata                           |
| `assert_cost`, `NoNetwork`                     |                                                          |
| `Journal`, `replay`                            | what another configuration would have done               |

In pytest: `@pytest.mark.llmdispatch_cassette`, and the fixtures `llmdispatch_cassette`, `llmdispatch_faults`,
`llmdispatch_clock`, `llmdispatch_no_network`.

Owns: recording and replaying, injecting faults, virtual time, what another configuration would have done.
Must not know: how attempts are decided; it runs the engine unchanged, behind middleware and clocks.
"""

from __future__ import annotations

from langchain_llmdispatch.internal.lazy import lazy_names

_MODULES = {
    "CallLeftError": "testing.middleware",
    "Cassette": "testing.cassettes.cassette",
    "FakeClock": "testing.clock",
    "Faults": "testing.faults.faults",
    "Journal": "testing.policy_replay.journal",
    "NoNetwork": "testing.middleware",
    "Replay": "testing.policy_replay.report",
    "SecretFoundError": "testing.cassettes.secrets",
    "UnhurriedClock": "testing.clock",
    "UnmatchedRequestError": "testing.cassettes.playback",
    "assert_attempts": "testing.assertions",
    "assert_cost": "testing.assertions",
    "assert_route": "testing.assertions",
    "attempts_of": "testing.assertions",
    "calls_of": "testing.assertions",
    "cost_of": "testing.assertions",
    "replay": "testing.policy_replay.policies",
    "route_of": "testing.assertions",
    "use_clock": "testing.clock",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
