"""`ThreadCache`: with it and without it requests are the same, whatever a caller does to messages between calls."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.routing.needs import Needs
from langchain_llmdispatch.types import ChatRequest, Endpoint
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.compile.call import compile_call
from langchain_llmdispatch.vendors.history.threads import (
    KEPT,
    MOST_CHARACTERS,
    MOST_THREADS,
    Thread,
    ThreadCache,
    folded,
)
from tests.models import MODELS, URLS, VENDORS

_VENDORS = builtin_vendors()
_TOOL = {
    "type": "function",
    "function": {"name": "look", "description": "d", "parameters": {"type": "object"}},
}
_PARAMS: Sequence[dict[str, Any]] = ({}, {"prompt_cache": True}, {"temperature": 0.5})
Edit = Callable[[list[BaseMessage]], None]


def exchange(number: int, *, tool: bool) -> list[BaseMessage]:
    """Return a question and its answer, with a call of a tool or without."""
    question, answered = HumanMessage(f"Question {number}?"), AIMessage(f"Answer {number}.")
    if not tool:
        return [question, answered]
    call = {"name": "look", "args": {"n": number, "q": "x"}, "id": f"call_{number}"}
    result = ToolMessage("found", tool_call_id=call["id"], name="look")
    return [question, AIMessage("", tool_calls=[call]), result, answered]


def _args(value: Any) -> Edit:
    def edit(messages: list[BaseMessage]) -> None:
        for call in _last(messages).tool_calls:
            call["args"]["n"] = value

    return edit


def _reordered(messages: list[BaseMessage]) -> None:
    for call in _last(messages).tool_calls:
        call["args"]["n"] = call["args"].pop("n")


def _last(messages: list[BaseMessage]) -> AIMessage:
    found = [each for each in messages if isinstance(each, AIMessage)]
    return next((each for each in reversed(found) if each.tool_calls), found[-1])


def _content(value: Any, place: int) -> Edit:
    return lambda messages: setattr(messages[place], "content", value)


def _kwargs(name: str, value: Any) -> Edit:
    return lambda messages: _last(messages).additional_kwargs.update({name: value})


def _replaced(message: BaseMessage, place: int) -> Edit:
    return lambda messages: messages.__setitem__(place, message)


def _status(messages: list[BaseMessage]) -> None:
    for message in messages:
        if isinstance(message, ToolMessage):
            message.status = "error"


EDITS: dict[str, Edit] = {
    "nothing": lambda _: None,
    "a text": _content("Something else?", 0),
    "a text in the middle": _content("Another answer.", 3),
    "a blank text": _content(" ", 0),
    "blocks": _content([{"type": "text", "text": "Question?"}], 2),
    "a name": lambda messages: setattr(messages[0], "name", "ann"),
    "an argument": _args(7),
    "an argument that is equal": _args(True),
    "another that is equal": _args(1.0),
    "an argument without JSON": _args(float("nan")),
    "the order of arguments": _reordered,
    "an id": lambda messages: [call.update(id="call_z") for call in _last(messages).tool_calls] and None,
    "a refusal": _kwargs("refusal", "I may not."),
    "no refusal": _kwargs("refusal", None),
    "reasoning": _kwargs("reasoning_content", "Hm."),
    "state of a server": _kwargs("server_state", {"host": "h", "message": {"reasoning_opaque": "o"}}),
    "documents": lambda messages: messages[-1].additional_kwargs.update(documents=[{"id": "1"}]),
    "a failed tool": _status,
    "another class": _replaced(SystemMessage("Be brief."), 0),
    "a message less": lambda messages: messages.pop(1) and None,
    "a message more": lambda messages: messages.insert(2, SystemMessage("Be brief.")),
    "metadata": lambda messages: _last(messages).response_metadata.update(model_provider="anthropic"),
    "none at the end": lambda messages: messages.__delitem__(slice(-3, None)),
    "copies": lambda messages: messages.__setitem__(slice(None), copy.deepcopy(messages)),
}  # fmt: skip


def sent(vendor: str, messages: Sequence[BaseMessage], number: int) -> tuple[Any, ...]:
    """Return what a vendor is sent, what was changed for it, and the needs that a request shows; or an error."""
    made = _VENDORS[vendor]
    request = ChatRequest(messages=messages, params=_PARAMS[number % 3], stream=bool(number % 2))
    if number % 4 == 0:
        request = replace(
            request, params={**request.params}, extra={"user_id": "u"} if vendor == "ollama" else {}
        )
    endpoint = Endpoint(URLS.get(vendor) or made.base_url or "http://localhost:11434")
    try:
        call, changes = compile_call(made, request, model=MODELS[vendor], endpoint=endpoint)
        encoded = made.encode_request(call)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be the same
        return type(error), str(error)
    needs = Needs(request)
    sizes = needs.tokens, needs.prefix_tokens, needs.turn, needs.has_blocks
    return encoded.content, sorted(encoded.headers.items()), changes, sizes


@pytest.mark.parametrize("vendor", VENDORS)
@given(
    tools=st.lists(st.booleans(), min_size=4, max_size=6),
    edits=st.lists(st.sampled_from(sorted(EDITS)), min_size=1, max_size=5),
)
def test_requests_are_the_same_with_the_cache(vendor: str, tools: list[bool], edits: list[str]) -> None:
    """The thread grows by an exchange between calls, and is edited in place."""
    cache, messages = ThreadCache(), [SystemMessage("Be kind.")]
    for number, tool in enumerate(tools):
        messages += exchange(number, tool=tool)
    for number, edit in enumerate(["nothing", *edits]):
        EDITS[edit](messages)
        history = [*messages, HumanMessage("And then?")]
        known = cache.known(history, float(number))
        for call in range(2):  # the second time as a retry does
            assert sent(vendor, known, number + call) == sent(vendor, history, number + call), edit
        messages = [*history, AIMessage(f"That, {number}.")]


def long_thread(count: int = 20) -> list[BaseMessage]:
    """Return a conversation of texts that ends with the user."""
    return [message for number in range(count // 2) for message in exchange(number, tool=False)] + [
        HumanMessage("And then?")
    ]


def test_a_step_sees_new_messages_only() -> None:
    """Of a thread that goes on."""
    seen: list[int] = []

    def step(state: int | None, messages: Sequence[BaseMessage]) -> int:
        seen.append(len(messages))
        return (state or 0) + len(messages)

    cache, messages = ThreadCache(), long_thread()
    assert folded(step, cache.known(messages, 0.0)) == 21
    assert folded(step, cache.known([*messages, AIMessage("That."), HumanMessage("And?")], 1.0)) == 23
    assert seen == [21, 2]


def test_threads_may_share_a_cache() -> None:
    """Without a lock: at worst a conversation is compiled anew."""
    cache = ThreadCache()

    def grown(number: int) -> bool:
        messages = [HumanMessage(f"thread {number % 5}"), *long_thread()]
        for turn in range(20):
            sums = folded(_marked, cache.known(messages, float(turn)), str(number % 3))
            if sums != tuple(f"{number % 3}{each.content}" for each in messages):
                return False
            messages += [AIMessage("That."), HumanMessage(f"And {number}, {turn}?")]
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(grown, range(40)))


def test_nothing_is_kept_after_a_clear() -> None:
    """As when a model is closed."""
    cache, messages = ThreadCache(), long_thread()
    first = cache.known(messages, 0.0)
    cache.clear()
    assert cache.known(messages, 1.0).known is not first.known


def test_a_thread_is_kept_once() -> None:
    """Its beginning is not kept beside it; the same messages again are all known."""
    cache, messages = ThreadCache(), long_thread()
    longer = [*messages, AIMessage("That."), HumanMessage("And?")]
    first, second = cache.known(messages, 0.0), cache.known(longer, 1.0)
    assert cache.known(longer, 2.0).known is second.known
    assert cache.known(messages, 3.0).known is not first.known


def test_a_step_sees_what_was_compared_and_no_later_change() -> None:
    """A message that changes while its call waits for a permit changes no state."""
    cache, messages = ThreadCache(), long_thread()
    thread = cache.known(messages, 0.0)
    messages[0].content = "Something else?"
    assert folded(lambda _, found: found[0].content, thread) == "Question 0?"
    assert isinstance(thread, Thread)
    assert thread[0] is messages[0]


def test_configurations_have_states_of_their_own() -> None:
    """Such as the dialects of two servers."""
    thread = ThreadCache().known(long_thread(), 0.0)
    marked = [folded(_marked, thread, mark)[0] for mark in ("a", "b", "a")]
    assert marked == ["aQuestion 0?", "bQuestion 0?", "aQuestion 0?"]


def _marked(state: tuple[str, ...] | None, messages: Sequence[BaseMessage], mark: str) -> tuple[str, ...]:
    return (*(state or ()), *[f"{mark}{message.content}" for message in messages])


@pytest.mark.parametrize(
    "odd",
    [
        HumanMessage([{"type": "text", "text": "a"}]),
        AIMessage("a", additional_kwargs={"parsed": 1}),
        AIMessage("", invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": None}]),
        type("Own", (HumanMessage,), {})("a"),
        AIMessage("", tool_calls=[{"name": "f", "args": {"at": object()}, "id": "1"}]),
    ],
)
def test_other_messages_are_not_kept(odd: BaseMessage) -> None:
    """They are compiled as they are, in each call."""
    messages = [*long_thread(), odd]
    cache = ThreadCache()
    assert cache.known(messages, 0.0) is messages
    assert isinstance(cache.known(long_thread(), 0.0), Thread)


def test_a_thread_is_copied_and_pickled_as_a_list() -> None:
    """Nothing that is known goes along."""
    thread = ThreadCache().known(long_thread(), 0.0)
    for twin in (copy.copy(thread), copy.deepcopy(thread), pickle.loads(pickle.dumps(thread)), thread[:]):
        assert type(twin) is list
        assert twin == thread


def test_what_is_kept_is_bounded() -> None:
    """By number, by characters, and by time."""
    calls: list[int] = []

    def step(state: int | None, messages: Sequence[BaseMessage]) -> int:
        calls.append(len(messages))
        return 1

    def again(cache: ThreadCache, messages: Sequence[BaseMessage], now: float) -> int:
        calls.clear()
        folded(step, cache.known(messages, now))
        return sum(calls)

    many = [[HumanMessage(f"thread {n}"), *long_thread()] for n in range(MOST_THREADS + 1)]
    cache = ThreadCache()
    for messages in many:
        again(cache, messages, 0.0)
    assert again(cache, many[1], 1.0) == 0
    assert again(cache, many[0], 1.0) == 22
    assert again(cache, many[1], 2.0 + KEPT) == 0  # it is still there, and is used again
    assert again(cache, many[2], 2.0 + KEPT) == 22
    long = [HumanMessage("x" * (MOST_CHARACTERS // 2)), *long_thread()]
    for turn in range(3):
        again(cache, [HumanMessage(str(turn)), *long], 3.0 + KEPT)
    assert again(cache, many[1], 3.0 + KEPT) == 22
    longest = [HumanMessage("x" * MOST_CHARACTERS), *long_thread()]
    assert cache.known(longest, 4.0) is longest
