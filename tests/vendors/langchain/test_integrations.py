"""LangChain's own integrations, on loopback vendors."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_llmdispatch import Deployment, errors
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import ONE_CALL, TOOL
from tests.vendors.langchain.models import Joke, Scripted, answered, router


def integration(vendor: str, server: LoopbackServer) -> BaseChatModel:
    """Return a vendor's integration, with retries on, as users have it."""
    url = server.base_url(vendor)
    if vendor == "openai":
        module = pytest.importorskip("langchain_openai")
        return module.ChatOpenAI(
            model="gpt-4.1", api_key="sk-loopback-secret", base_url=url, max_retries=5, stream_usage=True
        )
    if vendor == "anthropic":
        module = pytest.importorskip("langchain_anthropic")
        return module.ChatAnthropic(model="claude-haiku-4-5", api_key="k-loopback-secret", base_url=url)
    module = pytest.importorskip("langchain_google_genai")
    return module.ChatGoogleGenerativeAI(model="gemini-2.5-flash", api_key="k-loopback-secret", base_url=url)


INTEGRATIONS = ("openai", "anthropic", "google")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Integrations leave connections to the garbage collector: close them here, not in a later test."""
    yield
    gc.collect()
    gc.freeze()  # what the integrations import is large, and stays


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("colour", ONE_CALL)
@pytest.mark.parametrize("vendor", INTEGRATIONS)
def test_integrations_answer_call_tools_and_fail(vendor: str, colour: str, server: LoopbackServer) -> None:
    """Usage, tools and errors of the three big integrations; one request is one attempt."""
    spare = Scripted(steps=[AIMessage("spare")])
    server.clear()
    answer = answered(colour, router(integration(vendor, server), spare), "Hello there")
    facts = answer.response_metadata
    assert (facts["normalized_finish_reason"], facts["model_provider"]) == (
        "stop",
        "google_genai" if vendor == "google" else vendor,
    )
    totals = server.usage()[vendor]
    assert answer.usage_metadata["input_tokens"] == totals.input_tokens
    assert answer.usage_metadata["output_tokens"] == totals.output_tokens
    assert facts["llmdispatch"]["cost_usd"] is not None
    tooled = router(integration(vendor, server)).bind_tools([TOOL], tool_choice="any")
    called = answered(colour, tooled, "What is magic_function(3)?")
    assert [(c["name"], c["args"]) for c in called.tool_calls] == [("magic_function", {"input": 3})]
    server.clear()
    server.script(vendor, [Fault.error("rate_limit")] * 8)
    answer = answered(colour, router(integration(vendor, server), spare), "Hello there")
    attempts = answer.response_metadata["llmdispatch"]["attempts"]
    assert (answer.text, attempts[0]["error"], attempts[0]["status"]) == ("spare", "RateLimitError", 429)
    assert len(server.requests) == 1


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("vendor", INTEGRATIONS)
def test_integrations_give_structured_answers(vendor: str, server: LoopbackServer) -> None:
    """By their own means, next to a vendor that is spoken to natively."""
    model = router(integration(vendor, server))
    assert isinstance(model.with_structured_output(Joke).invoke("Tell me a joke"), Joke)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("target", INTEGRATIONS)
@pytest.mark.parametrize("source", ["openai", "anthropic", "google"])
def test_a_tool_loop_goes_on_in_an_integration(source: str, target: str, server: LoopbackServer) -> None:
    """A call begun by a native vendor is finished by an integration, and the other way round."""
    models = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-4-5", "google": "gemini-2.5-flash"}
    native = router(
        Deployment(f"{source}:{models[source]}", base_url=server.base_url(source), api_key="key"),
    )
    held = router(integration(target, server))
    for first, second in ((native, held), (held, native)):
        history: list[BaseMessage] = [HumanMessage("What is magic_function(3)? Use the tool.")]
        call = first.bind_tools([TOOL]).invoke(history)
        history += [call, ToolMessage("42", tool_call_id=call.tool_calls[0]["id"], name="magic_function")]
        assert "42" in second.bind_tools([TOOL]).invoke(history).text


def test_keys_leak_nowhere(server: LoopbackServer, caplog: pytest.LogCaptureFixture) -> None:
    """A refused key is in no text, cause or log of ours."""
    inner = integration("openai", server)
    server.script("openai", [Fault.error("auth", message="bad key sk-loopback-secret")])
    with (
        caplog.at_level(logging.DEBUG, "langchain_llmdispatch"),
        pytest.raises(errors.DispatchError) as caught,
    ):
        router(inner).invoke("Hello")
    error: BaseException | None = caught.value
    while error is not None:
        assert "loopback-secret" not in repr(error) + str(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    assert "loopback-secret" not in caplog.text
