from langchain_llmdispatch.testing.assertions import (
    assert_attempts as assert_attempts,
    assert_cost as assert_cost,
    assert_route as assert_route,
    attempts_of as attempts_of,
    calls_of as calls_of,
    cost_of as cost_of,
    route_of as route_of,
)
from langchain_llmdispatch.testing.cassettes.cassette import Cassette as Cassette
from langchain_llmdispatch.testing.cassettes.playback import UnmatchedRequestError as UnmatchedRequestError
from langchain_llmdispatch.testing.cassettes.secrets import SecretFoundError as SecretFoundError
from langchain_llmdispatch.testing.clock import (
    FakeClock as FakeClock,
    UnhurriedClock as UnhurriedClock,
    use_clock as use_clock,
)
from langchain_llmdispatch.testing.faults.faults import Faults as Faults
from langchain_llmdispatch.testing.middleware import (
    CallLeftError as CallLeftError,
    NoNetwork as NoNetwork,
)
from langchain_llmdispatch.testing.policy_replay.journal import Journal as Journal
from langchain_llmdispatch.testing.policy_replay.policies import replay as replay
from langchain_llmdispatch.testing.policy_replay.report import Replay as Replay
