"""Counting tokens without a call: factors, tokenizers of one's own, and the counter for summaries."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents.middleware import SummarizationMiddleware
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from langchain_llmdispatch import DispatcherChatModel
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer, TokenCounts
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, deployment, model_of

ENVIRONMENT = {"OPENAI_API_KEY": "k-1", "ANTHROPIC_API_KEY": "k-1"}
OWN: dict[str, Any] = {
    "openai": lambda: ChatOpenAI(model="gpt-5.4-mini", api_key="k"),
    "anthropic": lambda: ChatAnthropic(model="claude-haiku-4-5", api_key="k"),
}


def test_a_tokenizer_of_ones_own_is_used_everywhere() -> None:
    """`custom_get_token_ids` counts texts, messages and tools."""
    model = DispatcherChatModel(
        model="openai:gpt-6-luna",
        env=ENVIRONMENT,
        custom_get_token_ids=lambda text: [*map(len, text.split())],
    )
    assert model.get_token_ids("a bc") == [1, 2]
    assert model.get_num_tokens("a bc def") == 3
    assert model.get_num_tokens_from_messages([HumanMessage("a bc"), AIMessage("d")]) == 5
    tool = {"title": "f", "description": "x", "type": "object", "properties": {}}
    assert model.get_num_tokens_from_messages([HumanMessage("a bc")], [tool]) == 4


def test_estimates_are_of_the_planned_vendor() -> None:
    """Claude's tokens have fewer characters; the model that the call names decides."""
    model = DispatcherChatModel(models=["anthropic:claude-haiku-5-5", "openai:gpt-6-luna"], env=ENVIRONMENT)
    messages = [HumanMessage("word " * 1000)]
    claude = model.get_num_tokens_from_messages(messages)
    other = model.get_num_tokens_from_messages(messages, model="openai:gpt-6-luna")
    assert claude / other == pytest.approx(4 / 3.3, rel=0.01)


def conversation(vendor: str, turns: int, reported: int = 0) -> list[BaseMessage]:
    """Return a tool loop; each answer reports the tokens up to it, times a factor in percent."""
    messages: list[BaseMessage] = [HumanMessage("What is new? " * 40)]
    for turn in range(turns):
        counted = sum(len(str(m.content)) for m in messages) * reported // 400
        usage = {"input_tokens": counted, "output_tokens": 1, "total_tokens": counted + 1}
        facts = {"vendor": vendor, "messages": len(messages) + 1}
        call = {"name": "f", "args": {"page": turn}, "id": f"call_{turn}"}
        messages += [
            AIMessage(
                "I look. " * 30,
                tool_calls=[call],
                usage_metadata=usage if reported else None,
                response_metadata={"model_provider": vendor, "llmdispatch": facts},
            ),
            ToolMessage("found something " * 60, tool_call_id=f"call_{turn}"),
        ]
    return messages


def first_summary(model: Any, trigger: int, messages: list[BaseMessage], **fields: Any) -> int:
    """Return after how many messages the middleware would write a summary."""
    middleware = SummarizationMiddleware(model, trigger=("tokens", trigger), **fields)
    for end in range(1, len(messages) + 1):
        part = messages[:end]
        if middleware._should_summarize(part, middleware.token_counter(part)):
            return end
    return -1


@each("reported", [0, 90, 110, 125, 180, 300])
@each("vendor", OWN)
def test_summaries_begin_where_they_would_with_the_vendors_package(vendor: str, reported: int) -> None:
    """Whatever the answers report of their tokens."""
    model = DispatcherChatModel(model=f"{vendor}:m", env=ENVIRONMENT)
    messages = conversation(vendor, 40, reported)
    for trigger in (300, 2_000, 5_000, 9_000):
        expected = first_summary(OWN[vendor](), trigger, messages)
        assert first_summary(model, trigger, messages, token_counter=model.token_counter) == expected


def test_summaries_begin_there_after_a_fallback_too() -> None:
    """What another vendor's answer reports counts; LangChain's own counter then looks at none."""
    model = DispatcherChatModel(models=["openai:m", "anthropic:m"], env=ENVIRONMENT)
    mixed = [*conversation("openai", 20, 300)[:21], *conversation("anthropic", 20, 300)[21:]]
    one = conversation("openai", 20, 300)
    for trigger in (1_000, 5_000, 8_000):
        counted = first_summary(model, trigger, mixed, token_counter=model.token_counter)
        assert counted == first_summary(OWN["openai"](), trigger, one)


def test_the_end_of_a_conversation_is_not_counted_as_the_whole() -> None:
    """What its last answer reports is of messages that are not there: `keep=("tokens", ...)` needs a part."""
    model = DispatcherChatModel(model="openai:m", env=ENVIRONMENT)
    messages = conversation("openai", 20, 300)
    assert model.token_counter(messages[-4:]) == model.get_num_tokens_from_messages(messages[-4:])
    assert model.token_counter(messages) > 5 * model.token_counter(messages[-4:])


@pytest.mark.parametrize("colour", COLOURS)
def test_answers_say_how_many_messages_they_were_given(server: LoopbackServer, colour: str) -> None:
    """The count that a real answer reports is used, also where a fallback gave it."""
    server.script("openai", [Fault.error("overloaded")], repeat=True)
    server.script("anthropic", [Answer("hi", usage=TokenCounts(input=7_000, output=5))])
    with model_of(deployment(server, "openai"), deployment(server, "anthropic"), max_retries=0) as model:
        answer = COLOURS[colour](model, "hello")
        assert answer.response_metadata["llmdispatch"]["messages"] == 1
        assert model.token_counter([HumanMessage("hello"), answer]) == 7_005
