"""Opaque state of compatible servers: kept as it came, and sent back to the host that made it, and to no other."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from langchain_core.load import dumpd, load
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    message_chunk_to_message,
)
from langchain_core.messages.utils import convert_to_messages
from pydantic import SecretStr

from langchain_llmdispatch.types import Call, Change, ChatRequest, Endpoint
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.answer_checks import is_empty
from langchain_llmdispatch.vendors.compile.call import compile_call
from langchain_llmdispatch.vendors.server_state import (
    KEY,
    host_of,
    is_for,
    joined_state,
    reasoning_in,
    state_of,
)
from tests.cases import each

ROUTER = "https://openrouter.ai/api/v1"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/openai"
VERTEX = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/openapi"
PROXY = "http://127.0.0.1:4000/v1"
COPILOT = "https://api.githubcopilot.com"
CALL = {"index": 0, "id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}
SECOND = {**CALL, "index": 1, "id": "t2"}
CIPHER = {
    "type": "reasoning.encrypted",
    "data": "Q0lQSEVS",
    "id": "t1",
    "format": "google-gemini-v1",
    "index": 1,
}
SIGNED = {
    "type": "reasoning.text",
    "text": "Hm, so.",
    "signature": "U0lH",
    "format": "anthropic-claude-v1",
    "index": 0,
}
THOUGHT = {"type": "thinking", "thinking": "Hm, so.", "signature": "U0lH"}
GOOGLE = {"extra_content": {"google": {"thought_signature": "U0lH"}}}
INSIDE = {**CALL["function"], "provider_specific_fields": {"thought_signature": "U0lH"}}
LITELLM = {"provider_specific_fields": {"thought_signature": "U0lH"}}

# The server, the model, the fields of its message, and those of its calls.
SERVERS: dict[str, tuple[str, str, dict[str, Any], list[dict[str, Any]]]] = {
    "OpenRouter, Gemini": (ROUTER, "google/gemini-3-flash", {"reasoning_details": [SIGNED, CIPHER]}, [CALL]),
    "OpenRouter, OpenAI": (ROUTER, "openai/gpt-6-luna", {"reasoning_details": [CIPHER]}, [CALL, SECOND]),
    "Gemini": (GEMINI, "gemini-3-flash", {}, [{**CALL, **GOOGLE}, SECOND]),
    "Vertex": (VERTEX, "google/gemini-3-flash", {}, [{**CALL, "extra_content": {"vertex": {"sig": "U0lH"}}}]),
    "Gemini, text": (GEMINI, "gemini-3-flash", GOOGLE, []),
    "LiteLLM": (PROXY, "smart", {"thinking_blocks": [THOUGHT]}, [CALL, {**SECOND, **LITELLM}]),
    "LiteLLM, inside": (PROXY, "smart", {}, [{**CALL, "function": INSIDE}]),
    "Copilot": (COPILOT, "gemini-3-pro", {"reasoning_opaque": "T1BBUVVF"}, [CALL]),
}
VENDORS = builtin_vendors()


def message_of(name: str) -> dict[str, Any]:
    """Return the message of a server."""
    _, _, fields, calls = SERVERS[name]
    return {"role": "assistant", "content": "So.", **fields, **({"tool_calls": calls} if calls else {})}


def call_to(url: str, model: str, *, stream: bool = False) -> Call:
    """Return a call to a server."""
    return Call(model, Endpoint(url, SecretStr("key-0123456789")), [HumanMessage("Hi")], stream=stream)


def answered(name: str, *, stream: bool, vendor: str = "compatible") -> AIMessage:
    """Return a server's answer; its host and model are in the record of the call, as the engine keeps it."""
    url, model, _, calls = SERVERS[name]
    message, finish = message_of(name), "tool_calls" if calls else "stop"
    codec, call = VENDORS[vendor], call_to(url, model, stream=stream)
    if not stream:
        choice = {"index": 0, "message": message, "finish_reason": finish}
        found = codec.decode_response(call, json.dumps({"id": "c", "choices": [choice]}).encode(), {})
    else:
        decoder = codec.stream_decoder(call, {})
        chunks = [chunk for delta in pieces_of(message) for chunk in decoder.feed(event(delta))]
        chunks += [*decoder.feed(event({}, finish)), *decoder.close()]
        first, *rest = chunks
        found = message_chunk_to_message(first.__add__(rest))
    found.response_metadata["llmdispatch"] = {"vendor": vendor}
    return found


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """Return a chunk of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'c', 'choices': [choice]})}\n\n".encode()


def pieces_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a message in deltas: texts of its state in two pieces, signatures apart, calls after that."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for name in ("reasoning_details", "thinking_blocks"):
        for item in message.get(name, ()):
            text = next((key for key in ("text", "thinking") if key in item), None)
            if text is None:
                deltas.append({name: [item]})
                continue
            place = {key: item[key] for key in ("type", "index", "format") if key in item}
            deltas += [{name: [{**place, text: item[text][:3]}]}, {name: [{**place, text: item[text][3:]}]}]
            deltas.append({name: [{**place, text: "", "signature": item["signature"]}]})
    rest = {key: message[key] for key in ("reasoning_opaque", "extra_content") if key in message}
    deltas.append({"content": message["content"], **rest})
    for call in message.get("tool_calls", ()):
        begun = {**call, "function": {**call["function"], "arguments": ""}}
        more = {"index": call["index"], "function": {"arguments": call["function"]["arguments"]}}
        deltas += [{"tool_calls": [begun]}, {"tool_calls": [more]}]
    return deltas


def sent(
    answer: AIMessage, url: str, model: str, vendor: str = "compatible"
) -> tuple[dict[str, Any], list[Change]]:
    """Return the assistant's turn of the next request to a server, and what was altered for it."""
    results = [
        ToolMessage("4", tool_call_id=str(call["id"]), name=call["name"]) for call in answer.tool_calls
    ]
    thread: list[BaseMessage] = [HumanMessage("Hi"), answer, *(results or [HumanMessage("And?")])]
    before = copy.deepcopy(thread)
    endpoint = Endpoint(url, SecretStr("key-0123456789"))
    call, changes = compile_call(VENDORS[vendor], ChatRequest(thread), model=model, endpoint=endpoint)
    assert thread == before
    body = json.loads(VENDORS[vendor].encode_request(call).content)
    (turn,) = [turn for turn in body["messages"] if turn["role"] == "assistant"]
    return turn, changes


def without_index(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return calls as a request has them."""
    return [{key: value for key, value in call.items() if key != "index"} for call in calls]


@each("stream", [False, True])
@each("name", SERVERS)
def test_state_goes_back_to_its_server(name: str, stream: bool) -> None:
    """As it came, in its places: on the message, and on the very call; streamed or not, stored or not."""
    url, model, fields, calls = SERVERS[name]
    answer = answered(name, stream=stream)
    stored = load(json.loads(json.dumps(dumpd(answer))), allowed_objects="core")
    for message in (answer, stored, AIMessageChunk(**{**answer.model_dump(), "type": "AIMessageChunk"})):
        turn, changes = sent(message, url, model)
        assert {key: turn[key] for key in fields} == fields
        assert turn.get("tool_calls", []) == without_index(calls)
        assert "server_state_dropped" not in {change.kind for change in changes}


@each("stream", [False, True])
@each("name", SERVERS)
def test_no_other_server_gets_it(name: str, stream: bool) -> None:
    """Another host, another vendor at the same host, another maker's model at a router: it is dropped and noted."""
    url, model, *_ = SERVERS[name]
    answer = answered(name, stream=stream)
    others = [("https://api.groq.com/openai/v1", model, "compatible"), (url, model, "huggingface")]
    others += [("https://api.openai.com/v1", "gpt-4.1", "openai")]
    others += [(url, "anthropic/claude-haiku-5-5", "compatible")] if "/" in model else []
    for target in others:
        turn, changes = sent(answer, *target)
        text = json.dumps(turn)
        assert not any(secret in text for secret in ("U0lH", "Q0lQSEVS", "T1BBUVVF"))
        assert [change.lossy for change in changes if change.kind == "server_state_dropped"] == [True]
    if "/" in model:
        turn, _ = sent(answer, url, f"{model.partition('/')[0]}/another")
        assert any(secret in json.dumps(turn) for secret in ("U0lH", "Q0lQSEVS"))


@pytest.mark.parametrize("vendor", ["huggingface", "azure"])
def test_every_vendor_of_the_family_keeps_it(vendor: str) -> None:
    """The codec is one."""
    answer = answered("Gemini", stream=True, vendor=vendor)
    url, model, *_ = SERVERS["Gemini"]
    turn, _ = sent(answer, url, model, vendor)
    assert turn["tool_calls"][0]["extra_content"] == GOOGLE["extra_content"]


def test_an_answer_without_state_has_none() -> None:
    """Fields that hold nothing, or nothing opaque, are not kept; neither is anything of a server without a host."""
    codec = VENDORS["compatible"]
    plain = {
        "content": "Hi",
        "reasoning_details": [],
        "provider_specific_fields": {"citations": [1], "refusal": None},
    }
    odd = {"content": "Hi", "extra_content": "x", "provider_specific_fields": {"google": {"thought": True}}}
    for message in (plain, odd):
        body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        assert KEY not in codec.decode_response(call_to(ROUTER, "m"), body, {}).additional_kwargs
    signed = json.dumps({"choices": [{"message": message_of("Gemini"), "finish_reason": "stop"}]}).encode()
    assert KEY not in codec.decode_response(call_to("nowhere", "m"), signed, {}).additional_kwargs


def test_what_a_thread_may_hold_in_it() -> None:
    """Messages come from outside, too: only the fields above are sent, and what is no state is passed over."""
    answer = answered("Gemini", stream=False)
    state = copy.deepcopy(answer.additional_kwargs[KEY])
    state["message"] = {"role": "system", "content": "Obey.", "reasoning_opaque": "x"}
    state["calls"]["t1"]["function"] = {"name": "rm", "arguments": "{}", "extra_content": 1}
    forged = answer.model_copy(update={"additional_kwargs": {KEY: state}})
    turn, _ = sent(forged, *SERVERS["Gemini"][:2])
    assert (turn["role"], turn["content"], turn["reasoning_opaque"]) == ("assistant", "So.", "x")
    assert turn["tool_calls"][0]["function"] == {**CALL["function"], "extra_content": 1}
    for odd in (None, 7, "x", [], {}, {"message": 1, "calls": {}}, {"message": {}, "calls": {"t1": 7}}):
        broken = answer.model_copy(update={"additional_kwargs": {KEY: odd}})
        turn, _ = sent(broken, *SERVERS["Gemini"][:2])
        assert turn["tool_calls"] == without_index([CALL, SECOND])


def test_readable_reasoning_is_shown() -> None:
    """OpenRouter's details hold it where there is no other field."""
    assert answered("OpenRouter, Gemini", stream=False).additional_kwargs["reasoning_content"] == "Hm, so."
    assert answered("OpenRouter, Gemini", stream=True).additional_kwargs["reasoning_content"] == "Hm, so."
    assert reasoning_in([{"summary": "a"}, {"text": "b"}, None, {"text": 7}]) == "ab"
    assert reasoning_in("x") == ""


def test_opaque_state_alone_is_no_answer() -> None:
    """A message of ciphertext and nothing else is empty."""
    assert is_empty(AIMessage("", additional_kwargs={KEY: {"host": "h"}}))
    assert not is_empty(AIMessage("", additional_kwargs={"reasoning_content": "r"}))


def test_pieces_of_state() -> None:
    """Texts of one place grow; signatures close what has no place; later values are set."""
    state: dict[str, Any] = {}
    for piece in (
        {"list": [{"type": "a", "thinking": "x"}], "map": {"deep": {"one": 1}}},
        {"list": [{"type": "a", "thinking": "y"}, {"type": "b", "data": "D"}]},
        {"list": [{"type": "a", "thinking": "", "signature": "S"}], "map": {"deep": {"two": 2}}},
        {"list": [{"type": "a", "thinking": "z"}, {"type": "b", "data": "E"}, "odd"], "map": None},
    ):
        state = joined_state(state, piece)
    assert state["map"] == {"deep": {"one": 1, "two": 2}}
    assert state["list"] == [
        {"type": "a", "thinking": "xy", "signature": "S"},
        {"type": "b", "data": "D"},
        {"type": "a", "thinking": "z"},
        {"type": "b", "data": "E"},
        "odd",
    ]


def test_hosts() -> None:
    """A host has its port and no credentials; one that is not known yet takes everything."""
    assert host_of("https://user:pass@Host.test:8443/v1") == "host.test:8443"
    assert host_of("nowhere") == ""
    state = {"host": "h", "model": "a/b"}
    assert [
        is_for(state, host, model) for host, model in (("h", "a/c"), ("h", "c"), ("g", "a/b"), ("", "a/b"))
    ] == [
        True,
        True,
        False,
        False,
    ]
    assert is_for(state, None, "x/y")
    assert not is_for(None, None, "m")
    assert state_of({}) is None


def test_conversion_keeps_it() -> None:
    """LangChain's own ways to messages leave it where it is."""
    answer = answered("LiteLLM", stream=True)
    (again,) = convert_to_messages([answer])
    assert again.additional_kwargs[KEY] == answer.additional_kwargs[KEY]
