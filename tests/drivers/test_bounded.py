"""Functions that may take long: bounded, in a thread of their own; failing ones send the call on."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.drivers.bounded import ain_time, atoken, in_time, token
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, VENDORS, deployment, model_of

SECRET = "sk-very-secret-0123456789"
TOKENS: dict[str, Callable[[Any, float], SecretStr]] = {
    "sync": token,
    "async": lambda provider, seconds: asyncio.run(atoken(provider, seconds)),
}


@pytest.fixture
def never() -> Iterator[Callable[[], str]]:
    """A function that does not return while the test runs."""
    released = threading.Event()
    yield lambda: str(released.wait())
    released.set()


def broken() -> str:
    """Raise with a credential in the words."""
    raise RuntimeError(f"no token for {SECRET}")


async def coming() -> str:
    """Return a token, awaited."""
    await asyncio.sleep(0)
    return "fresh"


async def broken_later() -> str:
    """Raise when awaited."""
    raise OSError("down")


@pytest.mark.parametrize("colour", TOKENS)
@pytest.mark.parametrize(
    "provider", [lambda: "fresh", lambda: " fresh\n", lambda: SecretStr("fresh"), coming, lambda: coming()]
)
def test_a_token_may_come_in_several_forms(colour: str, provider: Any) -> None:
    """As text, as a secret, or awaited; space around it is cut off."""
    assert TOKENS[colour](provider, 5.0).get_secret_value() == "fresh"


@pytest.mark.parametrize("colour", TOKENS)
@pytest.mark.parametrize("provider", [broken, broken_later, lambda: None, lambda: "", lambda: 7])
def test_what_is_no_token_makes_the_deployment_unusable(colour: str, provider: Any) -> None:
    """The error names what happened, has no cause, and holds no credential."""
    with pytest.raises(errors.UnusableDeploymentError, match="the api_key function") as raised:
        TOKENS[colour](provider, 5.0)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None


@pytest.mark.parametrize("colour", TOKENS)
def test_a_slow_function_is_not_waited_for(colour: str, never: Callable[[], str]) -> None:
    """When its time is over the wait ends, and the event loop has not stopped."""
    with pytest.raises(errors.AttemptTimeoutError, match="the api_key function"):
        TOKENS[colour](never, 0.0)


def test_what_a_late_function_raises_is_not_logged_by_the_loop() -> None:
    """It may hold a credential, and has no one to go to."""
    reported: list[dict[str, Any]] = []

    async def fails_when_cancelled() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            raise RuntimeError(SECRET)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        with pytest.raises(errors.AttemptTimeoutError):
            await atoken(fails_when_cancelled, 0.001)
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(main())
    assert reported == []


def test_results_and_exceptions_pass_through(never: Callable[[], str]) -> None:
    """What the function returns or raises is what its caller gets, its own TimeoutError included."""

    def late() -> None:
        raise TimeoutError("its own")

    assert in_time(lambda: 7, float("inf"), "it") == asyncio.run(ain_time(lambda: 7, 5.0, "it")) == 7
    with pytest.raises(TimeoutError, match="its own"):
        in_time(late, 5.0, "it")
    with pytest.raises(TimeoutError, match="its own"):
        asyncio.run(ain_time(late, 5.0, "it"))
    with pytest.raises(errors.AttemptTimeoutError, match="waiting for it"):
        asyncio.run(ain_time(never, 0.0, "it"))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("vendor", [name for name in VENDORS if name != "ollama"])
def test_a_failing_api_key_function_sends_the_call_on(
    server: LoopbackServer, vendor: str, colour: str
) -> None:
    """Nothing is sent there; the attempt's error is kept; after some calls its breaker opens."""
    bad = deployment(server, vendor, "a").model_copy(update={"api_key": broken})
    with model_of(bad, deployment(server, vendor, "b")) as model:
        for _ in range(6):
            facts = COLOURS[colour](model, "hello").response_metadata["llmdispatch"]
            assert facts["deployment"] == "b"
        assert server.requests_to(vendor, "a") == []
        assert model.explain("hello").candidates[-1].why == ("last resort",)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("provider", [lambda: "fresh", coming])
def test_a_working_one_is_called_for_each_request(server: LoopbackServer, provider: Any, colour: str) -> None:
    """Its token is sent as the bearer's."""
    fresh = deployment(server, "openai", "a").model_copy(update={"api_key": provider})
    with model_of(fresh) as model:
        COLOURS[colour](model, "hello")
    assert server.requests[-1].headers["authorization"] == "Bearer fresh"


@pytest.mark.parametrize("colour", COLOURS)
def test_a_slow_one_ends_with_its_timeout(
    server: LoopbackServer, colour: str, never: Callable[[], str]
) -> None:
    """The attempt's time bounds it, and another deployment answers."""
    slow = deployment(server, "openai", "a", timeout=0.01).model_copy(update={"api_key": never})
    with model_of(slow, deployment(server, "openai", "b")) as model:
        assert COLOURS[colour](model, "hello").response_metadata["llmdispatch"]["deployment"] == "b"


@each("colour", COLOURS)
def test_a_wrong_address_sends_the_call_on(server: LoopbackServer, colour: str) -> None:
    """No server there: another deployment answers."""
    wrong = deployment(server, "openai", "a").model_copy(update={"base_url": "http://127.0.0.1:1"})
    with model_of(wrong, deployment(server, "openai", "b"), max_retries=0) as model:
        assert COLOURS[colour](model, "hello").response_metadata["llmdispatch"]["deployment"] == "b"
