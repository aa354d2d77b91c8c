"""What `cassettes/` holds: the same few conversations with every server that could be recorded.

`scripts/record_cassettes.py` records them, `tests/end_to_end/test_own_cassettes.py` replays them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from pydantic import BaseModel

from langchain_llmdispatch import Deployment, DispatcherChatModel
from langchain_llmdispatch.errors import ContextOverflowError, DispatchError
from tests.models import summed

FRANCE = "What is the capital of France? Answer in one short sentence."


class City(BaseModel):
    """A city and the country that it lies in."""

    city: str
    country: str


def get_weather(city: str) -> str:
    """Return the weather in a city."""
    return f"{city}: 21 degrees, sunny"


@dataclass(frozen=True)
class Server:
    """What answered, spoken to through one interface.

    Attributes:
        name: The folder of its cassettes.
        model: `vendor:model`.
        base_url: An address to replay with; the real one where it is None.
        params: Parameters of each call.
        skipped: Conversations that the server cannot have, with the reason.
    """

    name: str
    model: str
    base_url: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)

    def chat_model(self, base_url: str | None = None, **fields: Any) -> DispatcherChatModel:
        """Return a model on this server; without an address, one that can only replay."""
        url = base_url or self.base_url
        own = {"base_url": url} if url else {}
        fields.setdefault("env", {})
        if url or fields["env"] == {}:
            own["api_key"] = "replayed-without-a-key"
        deployment = Deployment(self.model, params={"temperature": 0, **self.params}, **own)
        return DispatcherChatModel(models=[deployment], max_attempts=1, **fields)


_LOCAL = "qwen2.5-coder-0.5b"
_URL = "http://127.0.0.1:8080"
SERVERS = {
    server.name: server
    for server in (
        Server("llama.cpp-chat-completions", f"openai:{_LOCAL}", f"{_URL}/v1"),
        Server(
            "llama.cpp-responses",
            f"openai:{_LOCAL}",
            f"{_URL}/v1",
            {"use_responses_api": True},
            {
                "structured": "it does not heed text.format",
                "cut-short": "it reports an answer that reached max_output_tokens as completed",
            },
        ),
        Server(
            "llama.cpp-messages",
            f"anthropic:{_LOCAL}",
            _URL,
            {"max_tokens": 256},
            {"structured": "it does not heed output_config"},
        ),
    )
}


def plain(model: DispatcherChatModel) -> None:
    """One question."""
    message = model.invoke(FRANCE)
    assert "Paris" in message.text
    _whole(message)


def stream(model: DispatcherChatModel) -> None:
    """The same, streamed."""
    chunks = list(model.stream(FRANCE))
    assert len([chunk for chunk in chunks if chunk.text]) > 1
    whole = summed(chunks)
    assert "Paris" in whole.text
    _whole(whole)


def conversation(model: DispatcherChatModel) -> None:
    """Two questions, the second about the first."""
    messages: list[Any] = [HumanMessage("My name is Ada. Answer in one word: what colour is the sky?")]
    messages.append(model.invoke(messages))
    messages.append(HumanMessage("What is my name? Answer in one word."))
    assert "Ada" in model.invoke(messages).text


def tool_call(model: DispatcherChatModel) -> None:
    """Have a tool called, and hand its result back."""
    bound = model.bind_tools([get_weather], tool_choice="any")
    messages: list[Any] = [HumanMessage("What is the weather in Paris?")]
    answer = bound.invoke(messages)
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [
        ("get_weather", {"city": "Paris"})
    ]
    _whole(answer, "tool_call")
    result = get_weather(**answer.tool_calls[0]["args"])
    messages += [answer, ToolMessage(result, tool_call_id=answer.tool_calls[0]["id"])]
    assert model.invoke(messages).text


def streamed_tool_call(model: DispatcherChatModel) -> None:
    """Have a tool called in a stream."""
    bound = model.bind_tools([get_weather], tool_choice="any")
    whole: AIMessageChunk | None = None
    for chunk in bound.stream("What is the weather in Paris?"):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("get_weather", {"city": "Paris"})]


def structured(model: DispatcherChatModel) -> None:
    """An answer of a schema."""
    city = model.with_structured_output(City).invoke("Where is the Eiffel Tower?")
    assert isinstance(city, City)
    assert city.city == "Paris"


def cut_short(model: DispatcherChatModel) -> None:
    """Let the answer end at a limit of tokens."""
    message = model.invoke("Count from one to fifty in words.", max_tokens=16)
    assert message.response_metadata["normalized_finish_reason"] == "length"
    assert message.text


def too_long(model: DispatcherChatModel) -> None:
    """Send more than the model can read."""
    try:
        model.invoke("so " * 4200)
    except DispatchError as error:
        errors = [error, *getattr(error, "errors", [])]
        assert any(isinstance(item, ContextOverflowError) for item in errors), errors
    else:
        raise AssertionError("an overlong prompt was answered")


SCENARIOS: dict[str, Callable[[DispatcherChatModel], None]] = {
    "plain": plain,
    "stream": stream,
    "conversation": conversation,
    "tool-call": tool_call,
    "streamed-tool-call": streamed_tool_call,
    "structured": structured,
    "cut-short": cut_short,
    "too-long": too_long,
}


def _whole(message: AIMessage, reason: str = "stop") -> None:
    assert message.response_metadata["normalized_finish_reason"] == reason
    assert message.usage_metadata is not None
    assert message.usage_metadata["input_tokens"] > 0
    assert message.usage_metadata["output_tokens"] > 0
