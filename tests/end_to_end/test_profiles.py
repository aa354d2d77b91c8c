"""What a profile promises is in the body of a request, for every model of the catalog; nothing is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.catalog.models import listed_models
from langchain_llmdispatch.deployments.deployment import Deployment
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.errors import DispatchError, UnsupportedFeatureError
from langchain_llmdispatch.types import ChatRequest, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors import VENDORS
from langchain_llmdispatch.vendors.compile.call import compile_call
from langchain_llmdispatch.vendors.compile.compatibility import check_request
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

CATALOG = ("openai", "anthropic", "google", "cohere", "huggingface", "ollama")
_KEYS = {f"{vendor}_API_KEY": "k" for vendor in ("OPENAI", "ANTHROPIC", "GOOGLE", "COHERE")} | {
    "HF_TOKEN": "k"
}
_BY_NAME = {vendor.name: vendor for vendor in VENDORS}
_RESOLVER = Resolver(VendorTable(), {}, _KEYS)
_PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOL = ToolSpec("look_up", "Look it up.", SCHEMA)
CALL: list[Any] = [{"name": "look_up", "args": {"a": "x"}, "id": "call_1"}]
LATER = "From now on be brief."
MEDIA: dict[str, dict[str, Any]] = {
    "image_inputs": {"type": "image", "base64": _PNG, "mime_type": "image/png"},
    "image_url_inputs": {"type": "image", "url": "https://example.com/marked.png"},
    "pdf_inputs": {"type": "file", "base64": _PNG, "mime_type": "application/pdf"},
    "audio_inputs": {"type": "audio", "base64": _PNG, "mime_type": "audio/wav"},
    "video_inputs": {"type": "video", "base64": _PNG, "mime_type": "video/mp4"},
}


def promises(*keys: str, vendors: Sequence[str] = CATALOG) -> Iterator[tuple[Target, str, Any]]:
    """Yield every target of the catalog with what its profile promises of each key."""
    for vendor in vendors:
        for model in listed_models(_BY_NAME[vendor].listing):
            target = _RESOLVER.target(Deployment(f"{vendor}:{model}"))
            known = dict(target.vendor.capabilities(target.model) or {})
            for key in keys:
                if key in known:
                    yield target, key, known[key]


def request(*messages: BaseMessage, **fields: Any) -> ChatRequest:
    """Return a request."""
    return ChatRequest(messages or [HumanMessage("hello")], **fields)


def body(target: Target, chat_request: ChatRequest) -> dict[str, Any]:
    """Return the body of a request to a target."""
    call, _ = compile_call(
        target.vendor, chat_request, model=target.model, endpoint=target.endpoint, facts=target.facts
    )
    return dict(json.loads(target.vendor.encode_request(call).content))


def text(found: Any) -> str:
    """Return JSON as text."""
    return json.dumps(found)


def kept(key: str, promised: Any, target: Target, arrives: bool) -> list[str]:
    """Return the promise, if it is broken."""
    return [] if bool(promised) == arrives else [f"{target.vendor.name}:{target.model} {key}={promised}"]


def test_temperature() -> None:
    """It is sent to the models that take it, and to no others."""
    broken = []
    for target, key, promised in promises("temperature"):
        sent = text(body(target, request(params={"temperature": 0.25})))
        broken += kept(key, promised, target, "0.25" in sent)
    assert not broken, broken


def test_media() -> None:
    """What a model reads is sent to it; what it does not, is not."""
    broken = []
    for target, key, promised in promises(*MEDIA):
        chat_request = request(HumanMessage([{"type": "text", "text": "see"}, MEDIA[key]]))
        verdict = check_request(target.vendor, chat_request, target.model, target.facts)
        arrives = verdict.verdict != "illegal"
        if arrives:
            sent = text(body(target, chat_request))
            arrives = _PNG in sent or "marked.png" in sent
        broken += kept(key, promised, target, arrives)
    assert not broken, broken


def test_media_in_results_of_tools() -> None:
    """An image or a PDF that a tool returns reaches the model, beside the result if not in it."""
    broken = []
    for target, key, promised in promises("image_tool_message", "pdf_tool_message"):
        block = MEDIA["image_inputs" if key.startswith("image") else "pdf_inputs"]
        thread = [
            HumanMessage("go"),
            AIMessage("", tool_calls=CALL),
            ToolMessage([block], tool_call_id="call_1"),
        ]
        sent = text(body(target, request(*thread, tools=[TOOL])))
        if promised:
            broken += kept(key, promised, target, _PNG in sent)
    assert not broken, broken


def test_structured_output() -> None:
    """A model with native structured output gets the schema; one without it gets a tool, or none."""
    broken = []
    for target, key, promised in promises("structured_output"):
        try:
            made = body(target, request(output=OutputSchema("Answer", SCHEMA)))
        except UnsupportedFeatureError:
            made = {"tools": []}
        native = "tools" not in made and '"required": ["a"]' in text(made)
        broken += kept(key, promised, target, native)
    assert not broken, broken


def test_tools() -> None:
    """A model that calls tools gets them; a forced one is forced where that is promised."""
    broken = []
    for target, key, promised in promises("tool_calling", "tool_choice"):
        forced = ToolChoice("tool", "look_up") if key == "tool_choice" else None
        chat_request = request(tools=[TOOL], tool_choice=forced)
        verdict = check_request(target.vendor, chat_request, target.model, target.facts)
        made = body(target, chat_request) if verdict.verdict != "illegal" else {}
        arrives = "look_up" in text({name: made.get(name) for name in ("tools", "functions")})
        if key == "tool_choice":
            if (target.vendor.capabilities(target.model) or {}).get("tool_calling") is False:
                continue
            choice = {name: made.get(name) for name in ("tool_choice", "toolConfig")}
            arrives = any(word in text(choice) for word in ("look_up", "ANY", "required", "REQUIRED"))
        broken += kept(key, promised, target, arrives)
    assert not broken, broken


def test_efforts() -> None:
    """Each effort that a profile names is sent as it is, or as a budget."""
    broken = []
    for target, key, promised in promises("reasoning_effort_levels"):
        plain = body(target, request())
        for level in promised:
            _, changes = compile_call(
                target.vendor, request(params={"reasoning_effort": level}),
                model=target.model, endpoint=target.endpoint, facts=target.facts,
            )  # fmt: skip
            sent = body(target, request(params={"reasoning_effort": level}))
            broken += kept(f"{key} {level}", True, target, not changes and (sent != plain or level == "none"))
    assert not broken, broken


def test_limits() -> None:
    """No request has a limit above what the model writes."""
    for target, _, most in promises("max_output_tokens"):
        sent = body(target, request(params={"max_tokens": most + 1}))
        numbers = [value for value in _numbers(sent) if value > most]
        assert not numbers, (target.model, numbers)
        assert target.facts.max_output_tokens == most


def _numbers(found: Any) -> Iterator[int]:
    if isinstance(found, dict):
        for value in found.values():
            yield from _numbers(value)
    elif isinstance(found, int) and not isinstance(found, bool):
        yield found


def test_system_messages_in_a_conversation() -> None:
    """Sent where they stand, with the role of a system message; elsewhere they are turns of the user's."""
    thread = [HumanMessage("one"), AIMessage("two"), HumanMessage("three"), SystemMessage(LATER)]
    broken = []
    for target, key, promised in promises("mid_conversation_system_messages"):
        made = body(target, request(SystemMessage("first"), *thread))
        turns = made.get("messages") or made.get("input") or []
        last = turns[-1]
        broken += kept(key, promised, target, LATER in text(last) and last["role"] in {"system", "developer"})
    assert not broken, broken


TOOL_CHANGES: dict[str, Any] = {
    "anthropic": {
        "type": "tool_addition",
        "tool": {
            "type": "tool_definition",
            "definition": {"name": "added", "input_schema": {"type": "object"}},
        },
    },
    "openai": {
        "type": "additional_tools",
        "tools": [{"type": "function", "name": "added", "parameters": {}}],
    },
}


@pytest.mark.parametrize("vendor", TOOL_CHANGES)
def test_tools_in_a_conversation(vendor: str) -> None:
    """A tool that a message adds is there, in the vendor's own form, where that is promised."""
    broken = []
    for target, key, promised in promises("mid_conversation_tools", vendors=[vendor]):
        chat_request = request(HumanMessage("one"), SystemMessage([TOOL_CHANGES[vendor]]), tools=[TOOL])
        verdict = check_request(target.vendor, chat_request, target.model, target.facts)
        arrives = verdict.verdict != "illegal" and '"added"' in text(body(target, chat_request))
        broken += kept(key, promised, target, arrives)
    assert not broken, broken


# -- system messages and changes of tools within a conversation ------------------------------------------

NEW, OLD = "claude-opus-5-5", "claude-haiku-4-5"
HUMAN, ANSWER, MIDDLE = HumanMessage("q"), AIMessage("a"), SystemMessage(LATER)
RESULT = (HUMAN, AIMessage("", tool_calls=CALL), ToolMessage("r", tool_call_id="call_1"))


def claude(model: str = NEW, **fields: Any) -> Target:
    """Return a target of Anthropic's."""
    return _RESOLVER.target(Deployment(f"anthropic:{model}", **fields))


@each(
    ("thread", "roles"),
    [
        ((HUMAN, MIDDLE), ["user", "system"]),
        ((HUMAN, MIDDLE, ANSWER, HUMAN), ["user", "system", "assistant", "user"]),
        ((*RESULT, MIDDLE), ["user", "assistant", "user", "system"]),
        ((HUMAN, MIDDLE, MIDDLE), ["user", "system"]),
        ((HUMAN, ANSWER, MIDDLE), ["user", "assistant", "user"]),
        ((HUMAN, MIDDLE, HUMAN), ["user"]),
        ((HUMAN, ANSWER, MIDDLE, HUMAN), ["user", "assistant", "user"]),
    ],
)
def test_where_a_system_message_may_stand(thread: Sequence[BaseMessage], roles: list[str]) -> None:
    """After the user, before an answer; elsewhere, and on models without it, it is a turn of the user's."""
    made = body(claude(), request(SystemMessage("first"), *thread))
    assert (made["system"], [turn["role"] for turn in made["messages"]]) == ("first", roles)
    older = body(claude(OLD), request(SystemMessage("first"), *thread))
    assert "system" not in [turn["role"] for turn in older["messages"]]
    assert LATER in text(made)
    assert LATER in text(older)


@each("wrapped", [True, False])
@each("kind", ["tool_definition", "tool_reference"])
def test_a_tool_that_a_message_adds(kind: str, wrapped: bool) -> None:
    """Verbatim, with the beta features that it needs; models without it are left out."""
    change = {"type": "tool_addition", "tool": {"type": kind, "name": "added"}}
    block = {"type": "non_standard", "value": change} if wrapped else change
    chat_request, target = request(HUMAN, SystemMessage([block])), claude()
    call, changes = compile_call(
        target.vendor, chat_request, model=target.model, endpoint=target.endpoint, facts=target.facts
    )
    sent = target.vendor.encode_request(call)
    assert json.loads(sent.content)["messages"][-1] == {"role": "system", "content": [change]}
    named = {"mid-conversation-tool-changes-2026-07-01"}
    assert set(sent.headers["anthropic-beta"].split(",")) == named | (
        {"inline-tools-2026-09-15"} if kind == "tool_definition" else set()
    )
    assert changes == []
    for other in (claude(OLD), _RESOLVER.target(Deployment("cohere:command-a-03-2025"))):
        assert check_request(other.vendor, chat_request, other.model, other.facts).verdict == "illegal"


def test_a_profile_of_ones_own() -> None:
    """What a deployment declares decides, for windows, limits, media and the rest."""
    declared = {"mid_conversation_system_messages": True, "max_output_tokens": 100, "max_input_tokens": 50}
    target = claude(OLD, profile={**declared, "image_inputs": False})
    made = body(target, request(HUMAN, MIDDLE, params={"max_tokens": 200}))
    assert ([turn["role"] for turn in made["messages"]], made["max_tokens"]) == (["user", "system"], 100)
    seen = request(HumanMessage([MEDIA["image_inputs"]]))
    assert check_request(target.vendor, seen, target.model, target.facts).verdict == "illegal"
    assert body(target, request())["max_tokens"] == 100
    long = check_request(target.vendor, request(), target.model, target.facts, input_tokens=51)
    assert "window of 50" in long.reasons[0]


def test_routing_and_budgets_heed_it(server: LoopbackServer) -> None:
    """A small window is left out and not fallen back to; the worst case is that of the declared limit."""
    limits = {"max_input_tokens": 500, "max_output_tokens": 100}
    prices = {"input_price": 1.0, "output_price": 10.0}
    small = deployment(server, "openai", "small", profile=limits, **prices)
    large = deployment(server, "openai", "large", **prices)
    long = "so " * 2000
    with model_of(small, large) as model:
        assert [c.deployment for c in model.explain("hello").candidates] == ["small", "large"]
        assert [c.deployment for c in model.explain(long).candidates] == ["large"]
    with model_of(small) as alone, model_of(large) as other:
        assert alone.explain("hello").bound.usd < other.explain("hello").bound.usd / 100
    server.script("openai", [Fault.error("context_overflow")], "large", repeat=True)
    with model_of(large, small) as model, pytest.raises(DispatchError):
        model.invoke("hello")
    assert {one.account for one in server.requests} == {"large"}
