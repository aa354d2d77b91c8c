"""What is no plain JSON in a request: sent as its reader would want it, or refused with its place."""

from __future__ import annotations

import asyncio
import json
import math
import traceback
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch import Deployment
from langchain_llmdispatch.errors import InvalidRequestError
from tests.cases import each
from tests.internal.test_depth import nested
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, VENDORS, deployment, model_of

HALF = "\ud83d"
ANSWER = {"type": "json_schema", "json_schema": {"name": "deep", "schema": nested(5000)}}
CANARY = "canary-0123456789abcdef-key"
vendors = pytest.mark.parametrize("vendor", VENDORS)
each_vendor = each("vendor", VENDORS)


def thread(args: dict[str, Any], result: str = "done", text: str = "Hi") -> list[BaseMessage]:
    """Return a conversation with a tool call."""
    call = {"name": "weather", "args": args, "id": "call_1"}
    return [
        HumanMessage(text),
        AIMessage("", tool_calls=[call]),
        ToolMessage(result, tool_call_id="call_1", name="weather"),
    ]


def sent(server: LoopbackServer, vendor: str, messages: Any, **kwargs: Any) -> str:
    """Return the body of the request for these messages; JSON within it is unfolded."""
    with model_of(deployment(server, vendor)) as model:
        model.invoke(messages, **kwargs)
        next(model.stream(messages, **kwargs))
    bodies = [json.dumps(unfolded(received.body), ensure_ascii=False) for received in server.requests]
    assert len(bodies) == 2
    return bodies[0]


def unfolded(value: Any) -> Any:
    """Return a document with the JSON in its strings, as arguments are in many formats."""
    if isinstance(value, Mapping):
        return {name: unfolded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [unfolded(part) for part in value]
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value


@each_vendor
def test_halves_of_characters(server: LoopbackServer, vendor: str) -> None:
    """They arrive as U+FFFD, wherever a user or a tool has put them."""
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": f"the weather {HALF}",
            "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": HALF}}},
        },
    }
    messages = [
        SystemMessage(f"Be {HALF}"),
        *thread({"city": f"Oslo {HALF}"}, f"cold {HALF}", f"file \udce9 {HALF}"),
    ]
    body = sent(server, vendor, messages, tools=[tool])
    body.encode()
    for text in ("Be \ufffd", "Oslo \ufffd", "cold \ufffd", "file \ufffd \ufffd", "the weather \ufffd"):
        assert text in body


@each_vendor
def test_two_halves_are_a_character(server: LoopbackServer, vendor: str) -> None:
    """Texts that were put together from UTF-16 units are whole."""
    assert "file \N{GRINNING FACE}!" in sent(server, vendor, "file \ud83d\ude00!")


@each_vendor
def test_integers_keep_their_digits(server: LoopbackServer, vendor: str) -> None:
    """Ids and amounts beyond 64 bits go back as they came."""
    body = sent(server, vendor, thread({"wei": 10**24 + 1, "ids": [-(2**64)], "ratio": 0.30000000000000004}))
    assert f'{{"wei": {10**24 + 1}, "ids": [{-(2**64)}], "ratio": 0.30000000000000004}}' in body


@each_vendor
def test_keys_become_text(server: LoopbackServer, vendor: str) -> None:
    """As Python's writer spells them; LangChain's own type of `logit_bias` has integers."""
    args = {"rows": {1: "a", 2.5: "b", None: "c", False: "d"}, "day": date(2026, 1, 2)}
    # OpenAI's reasoning models do not take it.
    extra = {"logit_bias": {50256: -100}} if vendor in {"huggingface", "compatible"} else {}
    body = sent(server, vendor, thread(args), **extra)
    assert '{"rows": {"1": "a", "2.5": "b", "null": "c", "false": "d"}, "day": "2026-01-02"}' in body
    assert '"logit_bias": {"50256": -100}' in body or not extra


@each_vendor
def test_no_numbers_are_spelled(server: LoopbackServer, vendor: str) -> None:
    """A model that has written NaN can go on; JSON has only its name, and the answer reports that."""
    messages = thread({"x": math.nan, "y": [1.5, -math.inf]})
    assert '{"x": "NaN", "y": [1.5, "-Infinity"]}' in sent(server, vendor, messages)
    with model_of(deployment(server, vendor)) as model:
        message = model.invoke(messages)
    assert "numbers_in_words" in repr(message.response_metadata["llmdispatch"]["adapted"])
    assert repr(messages[1].model_dump()["tool_calls"][0]["args"]["x"]) == "nan"  # stored messages stay


UNWRITABLE: dict[str, tuple[Any, dict[str, Any], str]] = {
    "bytes in a tool call": (thread({"file": {"data": [b"x"]}}), {}, r"file\.data\[0\] is of type bytes"),
    "a set in a tool call": (thread({"tags": {1}}), {}, r"tags is of type set"),
    "NaN in a parameter": ("hello", {"extra_body": {"a": {"b": math.nan}}}, r"a\.b is nan"),
    "an object in a parameter": ("hello", {"extra_body": {"a": object()}}, r"a is of type object"),
    "thousands of digits": ("hello", {"extra_body": {"a": 10**5000}}, "a is an integer of too many digits"),
    "a key": ("hello", {"extra_body": {"a": {(1, 2): 3}}}, "a has a key"),
    "a deep tool call": (
        thread({"a": nested(5000)}),
        {},
        r"messages\[1\]\.tool_calls\[0\]\.args\.a\.a.* deeper",
    ),
    "a deep parameter": ("hello", {"extra_body": {"x": nested(5000)}}, r"extra_body\.x\.a.* deeper than 200"),
    "a deep answer": ("hello", {"response_format": ANSWER}, r"response_format\..* deeper than 200"),
}


@vendors
@pytest.mark.parametrize("colour", ["invoke", "ainvoke", "stream"])
@each(("messages", "kwargs", "reason"), UNWRITABLE.values())
def test_what_has_no_json_form(
    server: LoopbackServer, vendor: str, colour: str, messages: Any, kwargs: dict[str, Any], reason: str
) -> None:
    """The error names the place; nothing is sent, nothing else is tried, and no frame of it holds the key."""
    url = server.base_url(vendor)
    first = Deployment(
        f"{vendor}:{MODELS[vendor]}", base_url=url, api_key=CANARY, headers={"x-extra": CANARY}
    )
    with model_of(first, deployment(server, "openai", "other")) as model:
        with pytest.raises(InvalidRequestError, match=reason) as raised:
            if colour == "ainvoke":
                asyncio.run(model.ainvoke(messages, **kwargs))
            elif colour == "stream":
                list(model.stream(messages, **kwargs))
            else:
                model.invoke(messages, **kwargs)
    assert isinstance(raised.value, ModelError)
    assert server.requests == []
    if "digits" not in reason and "deep" not in reason:  # a frame with such a value cannot be shown
        shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
        assert CANARY not in "".join(shown.format())
