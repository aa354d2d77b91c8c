"""`map` and `amap`: any number of inputs through the router, with bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from langchain_llmdispatch import DispatcherChatModel
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


def mapped(model: DispatcherChatModel, colour: str, inputs: Any, **options: Any) -> list[Any]:
    """Return all that a map yields."""
    if colour == "sync":
        return list(model.map(inputs, **options))

    async def collect() -> list[Any]:
        return [each async for each in model.amap(inputs, **options)]

    return asyncio.run(collect())


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_answers_come_in_order_or_as_completed(server: LoopbackServer, colour: str) -> None:
    """Inputs may be any iterable; keywords and the config go to each call."""
    model = model_of(deployment(server, "openai"))

    def inputs() -> Iterator[str]:
        yield from (f"say {n}" for n in range(12))

    answers = mapped(model, colour, inputs(), max_in_flight=3, max_tokens=17)
    assert all(f"say {n}" in answer.text for n, answer in enumerate(answers))
    assert all(17 in request.body.values() for request in server.requests)
    found = mapped(model, colour, inputs(), ordered=False)
    assert sorted(index for index, _ in found) == list(range(12))
    assert all(f"say {index}" in answer.text for index, answer in found)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_an_exception_takes_its_answer_s_place(server: LoopbackServer, colour: str) -> None:
    """With `return_exceptions`; a bar counts it."""
    server.script("openai", [Fault(status=400)])
    model = model_of(deployment(server, "openai"))
    found = mapped(model, colour, ["a", "b"], max_in_flight=1, return_exceptions=True, progress=True)
    assert [type(each).__name__ for each in found] == ["InvalidRequestError", "AIMessage"]


def test_without_inputs_it_is_langchain_s_map(server: LoopbackServer) -> None:
    """`Runnable.map()` still returns a runnable over lists."""
    model = model_of(deployment(server, "openai"))
    assert [answer.text[:6] for answer in model.map().invoke(["a", "b"])] == ["Hello!"] * 2
