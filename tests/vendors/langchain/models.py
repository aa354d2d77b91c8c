"""Chat models that answer as scripted, and the four ways to call one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import BaseModel, Field, SecretStr

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.testing import FakeClock
from tests.models import summed

# The integrations' cached clients work in the loop that used them first.
LOOP = asyncio.Runner()


def answered(colour: str, model: Runnable[Any, Any], prompt: Any, **kwargs: Any) -> AIMessage:
    """Return the whole answer, by one of the four ways to call a model."""

    async def in_loop() -> AIMessage:
        if colour == "ainvoke":
            return await model.ainvoke(prompt, **kwargs)
        return summed([chunk async for chunk in model.astream(prompt, **kwargs)])

    if colour in {"ainvoke", "astream"}:
        return LOOP.run(in_loop())
    if colour == "invoke":
        return model.invoke(prompt, **kwargs)
    return summed(model.stream(prompt, **kwargs))


def router(*models: Any, **fields: Any) -> DispatcherChatModel:
    """Return a router over models, with a clock that waits for nothing."""
    return DispatcherChatModel(models=list(models), **{"env": {}, "clock": FakeClock(), **fields})


class Scripted(BaseChatModel):
    """A chat model that answers, streams or fails by a script, and records its calls."""

    steps: list[Any] = Field(default_factory=list)
    received: list[Any] = Field(default_factory=list)
    streams: bool = True
    provider: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    secret: SecretStr = SecretStr("hush-hush-key")

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": self.provider, "ls_model_name": "scripted-1"}

    def _next(self, messages: list[BaseMessage], stop: Any, run_manager: Any, kwargs: Any) -> Any:
        self.received.append(
            {
                "messages": messages,
                "stop": stop,
                "run": run_manager,
                "temperature": self.temperature,
                "max_tokens": self.max_tokens,
                **kwargs,
            }
        )
        step = self.steps.pop(0) if self.steps else AIMessage("fine")
        if isinstance(step, Exception):
            raise step
        return step

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        step = self._next(messages, stop, run_manager, kwargs)
        return ChatResult(generations=[ChatGeneration(message=step)], llm_output={"token_usage": {"x": 1}})

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        step = self._next(messages, stop, run_manager, kwargs)
        pieces = step if isinstance(step, list) else _pieces(step)
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield ChatGenerationChunk(message=piece)

    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Bind them as they are."""
        return self.bind(tools=tools, tool_choice=tool_choice)


def _pieces(message: AIMessage) -> list[AIMessageChunk]:
    calls = [
        {"name": c["name"], "args": json.dumps(c["args"]), "id": c["id"], "index": n}
        for n, c in enumerate(message.tool_calls)
    ]
    words = [AIMessageChunk(word) for word in message.text.split(" ")] if message.text else []
    metadata = message.response_metadata or {"finish_reason": "stop"}
    last = AIMessageChunk(
        "", tool_call_chunks=calls, response_metadata=metadata, usage_metadata=message.usage_metadata
    )
    return [*words, last]


class Api(Exception):  # noqa: N818 - as the SDKs name theirs
    """An SDK's error: status, structured body, response with headers, and the request with the key."""

    def __init__(self, status: int, code: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__("it failed with key sk-secret12345678 and hush-hush-key")
        request = httpx.Request("POST", "https://api", headers={"authorization": "Bearer sk-secret12345678"})
        self.response = httpx.Response(status, headers=headers or {}, request=request)
        self.request, self.status_code = request, status
        self.body = {"error": {"code": code}}
        self.request_id = "req_7"


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str
