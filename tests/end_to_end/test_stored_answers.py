"""Threads that OpenAI stores: only what is new is sent, and the whole of it wherever that does not help."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_llmdispatch import Deployment, DispatcherChatModel, errors
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, MODELS, ONE_CALL, VENDORS

GONE = Fault(
    status=404,
    body={
        "error": {
            "message": "Previous response with id 'resp_1' not found.",
            "type": "invalid_request_error",
            "param": "previous_response_id",
            "code": "previous_response_not_found",
        }
    },
)
SWITCH = {"use_previous_response_id": True}


def router(server: LoopbackServer, *names: str, **fields: Any) -> DispatcherChatModel:
    """Return a router over deployments, in order; each has its vendor's name and what follows `#`."""
    deployments = [
        Deployment(
            f"{name.partition('#')[0]}:{MODELS[name.partition('#')[0]]}",
            name=name,
            base_url=server.base_url(name.partition("#")[0]),
            api_key="key",
        )
        for name in names
    ]
    fields = {"env": {}, "clock": FakeClock(), "model_kwargs": SWITCH, **fields}
    return DispatcherChatModel(models=deployments, **fields)


def thread(model: DispatcherChatModel) -> list[BaseMessage]:
    """Return a conversation of one turn, and the next question."""
    first = HumanMessage("Hello")
    return [first, model.invoke([first]), HumanMessage("Why?")]


def texts(body: dict[str, Any]) -> list[Any]:
    """Return what the messages in the input of a request hold."""
    return [item.get("content") for item in body["input"]]


@each("colour", ONE_CALL)
@each("vendor", ["openai", "azure"])
def test_only_what_is_new_is_sent(vendor: str, colour: str, server: LoopbackServer) -> None:
    """With the id of the last answer; this one is stored, too."""
    model = router(server, vendor)
    history = thread(model)
    assert server.requests[-1].body["store"] is True
    adapted = COLOURS[colour](model, history).response_metadata["llmdispatch"]["adapted"]
    body = server.requests[-1].body
    assert body["previous_response_id"] == history[1].response_metadata["id"]
    assert (texts(body), body["store"]) == (["Why?"], True)
    assert [change["kind"] for change in adapted] == ["history_stored"]
    assert "use_previous_response_id" not in body


def test_a_tools_result_follows_a_stored_call(server: LoopbackServer) -> None:
    """Alone: the call is stored with its answer."""
    model = router(server, "openai")
    call = {"name": "look", "args": {}, "id": "call_1"}
    facts = {"id": "resp_1", "model_provider": "openai"}
    turn = AIMessage("", tool_calls=[call], response_metadata=facts)
    model.invoke([HumanMessage("Hello"), turn, ToolMessage("found", tool_call_id="call_1")])
    body = server.requests[-1].body
    assert body["previous_response_id"] == "resp_1"
    assert body["input"] == [{"type": "function_call_output", "call_id": "call_1", "output": "found"}]


@each("colour", ONE_CALL)
def test_an_answer_that_is_gone_is_sent_again(colour: str, server: LoopbackServer) -> None:
    """Once, to the same deployment, with the whole history, and as a retry that is counted."""
    model = router(server, "openai", "anthropic", retry_policy={"max_retries": 0})
    history = thread(model)
    server.script("openai", [GONE])
    facts = COLOURS[colour](model, history).response_metadata["llmdispatch"]
    assert [attempt["vendor"] for attempt in facts["attempts"]] == ["openai", "openai"]
    body = server.requests[-1].body
    assert ("previous_response_id" in body, len(body["input"]), body["store"]) == (False, 3, True)
    assert model.get_stats().retries == 1


def test_it_stays_within_the_attempts(server: LoopbackServer) -> None:
    """And a second refusal is one."""
    model = router(server, "openai", max_attempts=1)
    history = thread(model)
    server.script("openai", [GONE])
    with pytest.raises(errors.DispatchError, match="not found"):
        model.invoke(history)
    model = router(server, "openai", "anthropic", max_attempts=3)
    server.script("openai", [GONE, GONE])
    facts = model.invoke(history).response_metadata["llmdispatch"]
    assert [attempt["vendor"] for attempt in facts["attempts"]] == ["openai", "openai", "anthropic"]


@each("other", [*sorted(set(VENDORS) - {"openai"}), "openai#2"])
def test_elsewhere_the_whole_history_is_sent(other: str, server: LoopbackServer) -> None:
    """To another vendor, and to another deployment of the same one."""
    history = thread(router(server, "openai"))
    answered = router(server, other).invoke(history)
    received = server.requests[-1]
    assert (received.rejected, bool(answered.text)) == (None, True)
    assert "previous_response_id" not in received.body
    assert "use_previous_response_id" not in received.body
    assert str(history[1].text) in str(received.body)


STORED = {
    "previous_response_id": ("resp_canary", "openai"),
    "conversation": ("conv_canary", "openai"),
    "prompt": ({"id": "pmpt_canary"}, "openai"),
    "container": ("container_canary", "anthropic"),
    "cached_content": ("cachedContents/canary", "google"),
}


@pytest.mark.parametrize("word", STORED)
def test_what_one_vendor_has_stored_makes_others_ineligible(word: str, server: LoopbackServer) -> None:
    """By their plan, before anything is sent; with `drop` they are tried without it, and it is reported."""
    value, owner = STORED[word]
    others = sorted(set(VENDORS) - {owner, "openai", "azure"})
    model = router(server, *others, owner, model_kwargs={})
    plan = model.explain("Hello", **{word: value})
    assert [candidate.deployment for candidate in plan.candidates] == [owner]
    assert {left.deployment for left in plan.excluded} == set(others)
    assert all(word in left.reason for left in plan.excluded)
    model.invoke("Hello", **{word: value})
    assert [request.vendor for request in server.requests] == [owner]
    for name in others:
        dropping = router(server, name, model_kwargs={}, unsupported_params="drop")
        facts = dropping.invoke("Hello", **{word: value}).response_metadata["llmdispatch"]
        assert f"{word}_dropped" in [change["kind"] for change in facts["adapted"]]
        assert "canary" not in str(server.requests[-1].body)


@pytest.mark.parametrize("word", [word for word, (_, owner) in STORED.items() if owner == "openai"])
def test_openais_items_are_not_azures(word: str, server: LoopbackServer) -> None:
    """What is stored is at the call's first choice; the other one has the same words, and other items."""
    value, _ = STORED[word]
    for first, second in (("openai", "azure"), ("azure", "openai")):
        server.clear()
        server.script(first, [Fault.error("overloaded")], repeat=True)
        model = router(server, first, second, model_kwargs={})
        plan = model.explain("Hello", **{word: value})
        assert [candidate.deployment for candidate in plan.candidates] == [first]
        with pytest.raises(errors.DispatchError):
            model.invoke("Hello", **{word: value})
        assert not server.requests_to(second)
        dropping = router(server, first, second, model_kwargs={}, unsupported_params="drop")
        facts = dropping.invoke("Hello", **{word: value}).response_metadata["llmdispatch"]
        assert (facts["vendor"], [change["kind"] for change in facts["adapted"]]) == (
            second,
            [f"{word}_dropped"],
        )
        assert "canary" not in str([request.body for request in server.requests_to(second)])


def test_what_others_answered_since_is_sent(server: LoopbackServer) -> None:
    """The thread goes on from the last answer that is stored."""
    model = router(server, "openai")
    history = thread(model)
    history += [AIMessage("Because.", response_metadata={"model_provider": "anthropic"}), HumanMessage("So?")]
    model.invoke(history)
    body = server.requests[-1].body
    assert body["previous_response_id"] == history[1].response_metadata["id"]
    assert len(body["input"]) == 3
