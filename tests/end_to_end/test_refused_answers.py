"""Answers that a vendor or its filter refused, where LangChain looks for refusals."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRefusalMiddleware
from langchain_core.exceptions import ModelRefusalError
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from tests.cases import each
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, deployment, model_of

VENDORS = ("openai", "anthropic", "google", "azure", "huggingface")


class City(BaseModel):
    """A city."""

    name: str


def refuse(server: LoopbackServer, vendor: str) -> None:
    """Let the vendor's next answer be stopped by its filter."""
    server.script(vendor, [Answer("Well", finish="content_filter")], account="a")


@each("colour", COLOURS)
@each("vendor", VENDORS)
def test_a_refusal_block(server: LoopbackServer, vendor: str, colour: str) -> None:
    """Whole and streamed: the block, the vendor's word, the common word, and the text before it."""
    refuse(server, vendor)
    with model_of(deployment(server, vendor, "a")) as model:
        message = COLOURS[colour](model, "go")
    kinds = [block["type"] for block in message.content_blocks]
    facts = message.response_metadata
    assert (kinds.count("refusal"), facts["normalized_finish_reason"]) == (1, "refusal")
    assert facts["finish_reason"] not in {"stop", "length", None}
    assert message.text == "Well"


@each("vendor", VENDORS)
@each("colour", ["sync", "async", "streamed"])
def test_langchains_middleware(server: LoopbackServer, vendor: str, colour: str) -> None:
    """An agent with `ModelRefusalMiddleware` raises, whatever the vendor."""
    refuse(server, vendor)
    question: Any = {"messages": [("human", "go")]}
    with model_of(deployment(server, vendor, "a"), streaming=colour == "streamed") as model:
        agent = create_agent(model, middleware=[ModelRefusalMiddleware()])
        with pytest.raises(ModelRefusalError):
            asyncio.run(agent.ainvoke(question)) if colour == "async" else agent.invoke(question)


@each("vendor", VENDORS)
def test_a_structured_answer(server: LoopbackServer, vendor: str) -> None:
    """The error is a refusal, not a parser's, and `include_raw` returns it."""
    with model_of(deployment(server, vendor, "a")) as model:
        refuse(server, vendor)
        with pytest.raises(ModelRefusalError):
            model.with_structured_output(City).invoke("go")
        refuse(server, vendor)
        found: Any = model.with_structured_output(City, include_raw=True).invoke("go")
    assert isinstance(found["parsing_error"], ModelRefusalError)


@each("vendor", VENDORS)
@each("colour", ["stream", "invoke"])
def test_content_in_v1(server: LoopbackServer, vendor: str, colour: str) -> None:
    """The block is in the content of `output_version="v1"`, too, and the thread goes on elsewhere."""
    refuse(server, vendor)
    target = deployment(server, vendor, "a")
    with model_of(target, output_version="v1") as model:
        message = COLOURS[colour](model, "go")
        assert [block["type"] for block in message.content].count("refusal") == 1
        thread = [("human", "go"), AIMessage(**message.model_dump(exclude={"type"})), ("human", "again")]
        assert model.invoke(thread).text
