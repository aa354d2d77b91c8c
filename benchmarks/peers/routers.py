"""Other routers: LiteLLM's by itself and in LangChain, and pydantic-ai's models. Retries and cooldowns are off."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any

from benchmarks.peers.client import (
    FACTS_SCHEMA,
    KEY,
    MODEL,
    PROMPT,
    TIMEOUT,
    TOOL,
    Client,
    Turn,
    facts_model,
    not_offered,
)
from benchmarks.peers.langchain_rows import LangChainClient, invoking

STRATEGIES = {"weighted": "simple-shuffle", "by latency": "latency-based-routing"}


def router(url: str, count: int = 1, strategy: str = "simple-shuffle", *, failing: bool = False) -> Any:
    """Return LiteLLM's router over so many deployments of one model; `bad` falls back on it."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it fetches one at its import
    import litellm

    litellm.suppress_debug_info = True
    for name in ("LiteLLM", "LiteLLM Router"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

    def entry(name: str, base: str) -> dict[str, Any]:
        params = {"model": f"openai/{MODEL}", "api_base": base, "api_key": KEY, "timeout": TIMEOUT}
        return {"model_name": name, "litellm_params": params}

    models = [entry("m", url) for _ in range(count)]
    return litellm.Router(
        model_list=[*models, entry("bad", f"{url}/fail")] if failing else models,
        fallbacks=[{"bad": ["m"]}] if failing else [],
        routing_strategy=strategy,
        num_retries=0,
        disable_cooldowns=True,
    )


def of_variant(url: str, name: str) -> Any:
    """Return the router of a variant with several deployments."""
    count, _, strategy = name.partition(" deployments, ")
    return router(url, int(count), STRATEGIES[strategy]) if strategy in STRATEGIES else not_offered()


class LiteLLM(Client):
    """`litellm.Router`."""

    def __init__(self, url: str) -> None:
        self._url, self._router = url, router(url)

    @staticmethod
    def _words(prompt: Any, **more: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        return {"model": "m", "messages": messages, **more}

    def call(self, prompt: Any = PROMPT) -> object:
        return self._router.completion(**self._words(prompt))

    async def acall(self, prompt: Any = PROMPT) -> object:
        return await self._router.acompletion(**self._words(prompt))

    def stream(self, prompt: str) -> Iterator[object]:
        return iter(self._router.completion(**self._words(prompt, stream=True)))

    async def astream(self, prompt: str) -> AsyncGenerator[object]:
        async for chunk in await self._router.acompletion(**self._words(prompt, stream=True)):
            yield chunk

    def variant(self, name: str) -> Callable[[], object]:
        if " deployments, " in name and not name.startswith("construction"):
            many = of_variant(self._url, name)
            return lambda: many.completion(**self._words(PROMPT))
        made: dict[str, Callable[[], Callable[[], object]]] = {
            "tool": self._tool,
            "structured output": self._structured,
            "fallback": self._falling_back,
            "construction": lambda: lambda: router(self._url),
        }
        return made.get(name, not_offered)()

    def _tool(self) -> Callable[[], object]:
        words = self._words(PROMPT, tools=[TOOL])

        def call() -> object:
            found = self._router.completion(**words).choices[0].message.tool_calls[0]
            return json.loads(found.function.arguments)

        return call

    def _structured(self) -> Callable[[], object]:
        weather = facts_model()
        words = self._words(PROMPT, response_format=weather)
        return lambda: weather.model_validate_json(
            self._router.completion(**words).choices[0].message.content
        )

    def _falling_back(self) -> Callable[[], object]:
        both, words = router(self._url, failing=True), {**self._words(PROMPT), "model": "bad"}
        return lambda: both.completion(**words)


class LiteLLMModel(LangChainClient):
    """`ChatLiteLLMRouter`."""

    def made(self) -> Any:
        return self._over(router(self.url))

    @staticmethod
    def _over(found: Any, model: str = "m") -> Any:
        from langchain_litellm import ChatLiteLLMRouter

        return ChatLiteLLMRouter(router=found, model=model)

    def variant(self, name: str) -> Callable[[], object]:
        if name == "fallback":
            return invoking(self._over(router(self.url, failing=True), "bad"))
        if " deployments, " in name and not name.startswith("construction"):
            return invoking(self._over(of_variant(self.url, name)))
        return super().variant(name)


class PydanticAI(Client):
    """pydantic-ai's `direct` requests, and an agent for structured output; it is made for async use."""

    def __init__(self, url: str) -> None:
        from pydantic_ai import direct

        self._url, self._direct = url, direct
        self._model = self._made(url)

    @staticmethod
    def _made(url: str) -> Any:
        from openai import AsyncOpenAI
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        client = AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=TIMEOUT)
        return OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))

    def messages(self, turns: Sequence[Turn]) -> list[Any]:
        from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart

        return [
            ModelRequest.user_text_prompt(text)
            if role == "user"
            else ModelResponse(parts=[TextPart(text)], model_name=MODEL)
            for role, text in turns
        ]

    def reply(self, answer: object) -> Any:
        return answer

    def _sent(self, prompt: Any) -> list[Any]:
        return self.messages([("user", prompt)]) if isinstance(prompt, str) else prompt

    def threads(self) -> None:
        not_offered()  # its sync calls share one event loop

    def call(self, prompt: Any = PROMPT) -> object:
        return self._direct.model_request_sync(self._model, self._sent(prompt))

    async def acall(self, prompt: Any = PROMPT) -> object:
        return await self._direct.model_request(self._model, self._sent(prompt))

    async def astream(self, prompt: str) -> AsyncGenerator[object]:
        async with self._direct.model_request_stream(self._model, self._sent(prompt)) as events:
            async for event in events:
                yield event

    def variant(self, name: str) -> Callable[[], object]:
        made: dict[str, Callable[[], Callable[[], object]]] = {
            "tool": self._tool,
            "structured output": self._structured,
            "fallback": self._falling_back,
            "construction": lambda: lambda: self._made(self._url),
        }
        return made.get(name, not_offered)()

    def _tool(self) -> Callable[[], object]:
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.tools import ToolDefinition

        tool = ToolDefinition(
            name="weather", parameters_json_schema=FACTS_SCHEMA, description="Note the weather."
        )
        parameters = ModelRequestParameters(function_tools=[tool])
        return lambda: self._direct.model_request_sync(
            self._model, self._sent(PROMPT), model_request_parameters=parameters
        )

    def _structured(self) -> Callable[[], object]:
        from pydantic_ai import Agent

        agent = Agent(self._model, output_type=facts_model())
        return lambda: agent.run_sync(PROMPT).output

    def _falling_back(self) -> Callable[[], object]:
        from pydantic_ai.models.fallback import FallbackModel

        both = FallbackModel(self._made(f"{self._url}/fail"), self._model)
        return lambda: self._direct.model_request_sync(both, self._sent(PROMPT))
