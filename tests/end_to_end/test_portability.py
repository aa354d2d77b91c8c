"""Any vendor's conversation goes on at any other, through the public API, against strict vendors.

The assistant's turns are real answers: of the source vendor's loopback in its own format, read by its codec,
with reasoning where it has any. A target that dislikes what it gets answers 400.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch import Deployment, DispatcherChatModel
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer, ToolCall
from tests.loopback.rules.foreign import ANTHROPIC_SIGNATURE, GOOGLE_SIGNATURE, OPENAI_REASONING
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, TOOL, summed

# Vendor, model, and the keywords that make it think.
SPEAKERS: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "openai": ("openai", "gpt-4.1", {}),
    "responses": ("openai", "gpt-5.4-mini", {"reasoning_effort": "low"}),
    "anthropic": (
        "anthropic",
        "claude-haiku-4-5",
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000},
    ),
    "google": ("google", "gemini-3.8-flash", {"reasoning_effort": "low"}),
    "azure": ("azure", "gpt-5.4-mini", {"reasoning_effort": "low"}),
    "cohere": ("cohere", "command-a-reasoning-08-2025", {"reasoning_effort": "low"}),
    "huggingface": ("huggingface", "openai/gpt-oss-120b", {"reasoning_effort": "low"}),
    "ollama": ("ollama", "qwen3", {"reasoning_effort": "low"}),
    "compatible": ("compatible", "deepseek-chat", {"reasoning_effort": "low"}),
}
SECRETS = {
    "anthropic": ANTHROPIC_SIGNATURE,
    "google": GOOGLE_SIGNATURE,
    "openai": OPENAI_REASONING,
    "azure": OPENAI_REASONING,
}
VERSIONS = ("v0", "v1")
ASK = "What is magic_function(3)? Use the tool."
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def speaker(name: str, server: LoopbackServer, version: str, **fields: Any) -> DispatcherChatModel:
    """Return a router over one vendor, whose answers have v0 or v1 content."""
    vendor, model, _ = SPEAKERS[name]
    url = server.base_url(vendor)
    settings: dict[str, Any] = {
        "models": [Deployment(f"{vendor}:{model}", base_url=url, api_key="key")],
        "output_version": version,
        "env": {},
        "clock": FakeClock(),
        "max_retries": 0,
    }
    return DispatcherChatModel(**{**settings, **fields})


class Source:
    """Real turns of one vendor, requested once and kept."""

    def __init__(self, name: str, version: str, server: LoopbackServer) -> None:
        self.model, self.thinking = speaker(name, server, version), SPEAKERS[name][2]
        self.vendor, self.server = SPEAKERS[name][0], server

    def answer_to(self, history: list[BaseMessage], *, step: Any = None, tools: bool = True) -> AIMessage:
        """Return the answer to a history; `step` is the vendor's scripted answer."""
        if step is not None:
            self.server.script(self.vendor, [step])
        model = self.model.bind_tools([TOOL]) if tools else self.model
        return model.invoke(history, **self.thinking)

    @functools.cached_property
    def calls(self) -> AIMessage:
        """A turn with two tool calls, reasoned about."""
        return self.answer_to([HumanMessage(f"{ASK} In parallel.")])

    @functools.cached_property
    def talk(self) -> AIMessage:
        """A turn of text, reasoned about."""
        return self.answer_to([HumanMessage("Hello")])

    @functools.cached_property
    def odd_calls(self) -> AIMessage:
        """A turn with text beside a call whose id has a form that others refuse."""
        call = ToolCall("magic_function", {"input": 3}, id="functions.magic_function:0")
        return self.answer_to([HumanMessage(ASK)], step=Answer("I will look.", tool_calls=(call,)))

    @functools.cached_property
    def streamed(self) -> AIMessage:
        """A streamed turn with two tool calls, as an agent stores it."""
        model = self.model.bind_tools([TOOL])
        return summed(model.stream([HumanMessage(f"{ASK} In parallel.")], **self.thinking))


def results(turn: AIMessage, **fields: Any) -> list[BaseMessage]:
    """Answer each call of a turn."""
    return [
        ToolMessage(f"the magic number is {42 + n}", tool_call_id=call["id"], **fields)
        for n, call in enumerate(turn.tool_calls)
    ]


def image_result(turn: AIMessage) -> list[BaseMessage]:
    """Answer each call with text and an image."""
    image = {"type": "image", "base64": PNG, "mime_type": "image/png"}
    content = [{"type": "text", "text": "the magic number is 42"}, image]
    return [ToolMessage(content, tool_call_id=call["id"]) for call in turn.tool_calls]


def finished(source: Source) -> list[BaseMessage]:
    """Return a whole loop: question, calls, results, answer."""
    loop = [HumanMessage(f"{ASK} In parallel."), source.calls, *results(source.calls)]
    return [*loop, source.answer_to(loop)]


# Histories of the survey's section 2, by the numbers of its table of incompatibilities.
HISTORIES: Mapping[str, Callable[[Source], list[BaseMessage]]] = {
    "3 4 text and reasoning": lambda s: [HumanMessage("Hello"), s.talk, HumanMessage("And now?")],
    "5 6 fallback in a loop": lambda s: [HumanMessage(ASK), s.calls, *results(s.calls)],
    "5 6 streamed loop": lambda s: [HumanMessage(ASK), s.streamed, *results(s.streamed)],
    "7 result with name": lambda s: [HumanMessage(ASK), s.calls, *results(s.calls, name="magic_function")],
    "7 failed tool": lambda s: [HumanMessage(ASK), s.calls, *results(s.calls, status="error")],
    "1 8 odd id, text beside call": lambda s: [HumanMessage(ASK), s.odd_calls, *results(s.odd_calls)],
    "finished loop": lambda s: [*finished(s), HumanMessage("Thanks. Say it again.")],
    "9 10 empty turns": lambda s: [
        HumanMessage("Hello"),
        AIMessage(""),
        HumanMessage([{"type": "text", "text": " "}, {"type": "text", "text": "There?"}]),
        s.talk,
        HumanMessage("Go on"),
    ],
    "11 late system": lambda s: [
        SystemMessage("Be kind."),
        HumanMessage("Hello"),
        s.talk,
        SystemMessage("Be brief."),
        HumanMessage("Go on"),
    ],
    "12 assistant last": lambda s: [HumanMessage("Hello"), s.talk],
    "13 names": lambda s: [
        HumanMessage("Hello", name="User Onboarding Agent"),
        s.talk.model_copy(update={"name": "the agent <1>"}),
        HumanMessage("Go on", name="Jörg"),
    ],
    "15 two users": lambda s: [HumanMessage("Hello"), HumanMessage("You there?"), s.talk, HumanMessage("x")],
    "15 assistant first": lambda s: [s.talk, HumanMessage("Hello")],
    "16 late results": lambda s: [
        HumanMessage(ASK),
        s.calls,
        HumanMessage("Hurry!"),
        *reversed(results(s.calls)),
    ],
    "17 unanswered calls": lambda s: [HumanMessage(ASK), s.calls, HumanMessage("Never mind. Hello?")],
    "17 result without call": lambda s: [
        HumanMessage("Hello"),
        s.talk,
        ToolMessage("42", tool_call_id="gone"),
        HumanMessage("Well?"),
    ],
    "two loops": lambda s: [*finished(s), HumanMessage(ASK), s.streamed, *results(s.streamed)],
}
IN_A_LOOP = ("5 6", "7", "1 8", "two loops")


Conversations = list[tuple[str, list[BaseMessage], list[BaseMessage]]]


@pytest.fixture(scope="module")
def conversations(loopback: LoopbackServer) -> Callable[[str, str], Conversations]:
    """Return what makes each history of a source, with a copy, once for all targets."""

    @functools.cache
    def made(source: str, version: str) -> Conversations:
        turns = Source(source, version, loopback)
        histories = [(name, history_of(turns)) for name, history_of in HISTORIES.items()]
        return [(name, held, [message.model_copy(deep=True) for message in held]) for name, held in histories]

    return made


@pytest.mark.parametrize("version", VERSIONS)
@each("target", SPEAKERS)
@pytest.mark.parametrize("source", SPEAKERS)
def test_every_history_goes_on_everywhere(
    source: str,
    target: str,
    version: str,
    server: LoopbackServer,
    conversations: Callable[[str, str], Conversations],
) -> None:
    """No target refuses, tool results arrive, foreign secrets do not, own ones do; nothing is mutated."""
    hears = speaker(target, server, version)
    model, thinking = hears.bind_tools([TOOL]), SPEAKERS[target][2]
    for name, history, before in conversations(source, version):
        server.clear()
        answer = model.invoke(history, **thinking)
        received = server.requests[-1]
        assert (received.status, received.rejected) == (200, None), name
        assert answer.text or answer.tool_calls, name
        if name.startswith(IN_A_LOOP):
            assert "magic number" in answer.text, name
        assert history == before, name
        _check_secrets(SPEAKERS[source][0], SPEAKERS[target][0], json.dumps(received.body), name)


def _check_secrets(source: str, target: str, body: str, name: str) -> None:
    for vendor, secret in SECRETS.items():
        if vendor != target and SECRETS.get(target) != secret:
            assert secret not in body, (name, vendor)
    if source != target and {source, target} <= {"openai", "azure"}:
        assert OPENAI_REASONING not in body, name


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["anthropic", "google", "responses", "azure"])
def test_native_reasoning_comes_back_byte_for_byte(name: str, version: str, server: LoopbackServer) -> None:
    """A vendor that signs its reasoning gets it back in a tool loop, whole and streamed."""
    source = Source(name, version, server)
    for turn in (source.calls, source.streamed):
        server.clear()
        source.answer_to([HumanMessage(ASK), turn, *results(turn)])
        assert SECRETS[source.vendor] in json.dumps(server.requests[-1].body)


@each("version", VERSIONS)
@each("target", SPEAKERS)
def test_images_in_tool_results(target: str, version: str, server: LoopbackServer) -> None:
    """They stay where the target takes them, move to a user turn elsewhere, or say that they are left out."""
    source = Source("openai", version, server)
    history = [HumanMessage(ASK), source.calls, *image_result(source.calls)]
    server.clear()
    answer = speaker(target, server, version).bind_tools([TOOL]).invoke(history)
    assert server.requests[-1].rejected is None
    body = json.dumps(server.requests[-1].body)
    adapted = {c["kind"] for c in answer.response_metadata["llmdispatch"].get("adapted", ())}
    assert PNG in body or "media_dropped" in adapted
    # Never as text: base64 in a prompt is a token bomb.
    assert f"base64: {PNG}" not in body


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("stream", [False, True])
@each("target", SPEAKERS)
@pytest.mark.parametrize("source", ["anthropic", "google", "responses", "cohere"])
def test_a_fallback_in_the_middle_of_a_tool_loop(
    source: str, target: str, stream: bool, version: str, server: LoopbackServer
) -> None:
    """The vendor that called the tool is down when the result is there: the next one finishes the turn."""
    vendor, name, thinking = SPEAKERS[source]
    other, other_name, _ = SPEAKERS[target]
    model = speaker(
        source,
        server,
        version,
        models=[
            Deployment(f"{vendor}:{name}", base_url=server.base_url(vendor, "a"), api_key="key"),
            Deployment(f"{other}:{other_name}", base_url=server.base_url(other, "b"), api_key="key"),
        ],
    ).bind_tools([TOOL])
    history: list[BaseMessage] = [HumanMessage(ASK)]
    history.append(model.invoke(history, **thinking))
    history += results(history[-1])
    server.script(vendor, [Fault.error("overloaded")], "a")
    answer = COLOURS["stream" if stream else "invoke"](model, history, **thinking)
    facts = answer.response_metadata["llmdispatch"]
    assert "magic number is 42" in answer.text
    assert (facts["vendor"], facts["fallback"], len(facts["attempts"])) == (other, True, 2)
    assert server.requests_to(other, "b")[-1].rejected is None
    # And on from there, back to the first one.
    history += [answer, HumanMessage("Thank you.")]
    assert model.invoke(history, **thinking).response_metadata["llmdispatch"]["vendor"] == vendor
