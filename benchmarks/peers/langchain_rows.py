"""LangChain's chat models: this package's, and those that it is measured beside. Retries are off, except ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any

from benchmarks.peers.client import (
    CLAUDE,
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

MUCH = 10**9
"""A limit per minute that is never reached."""
STRATEGIES = {"weighted": "weighted", "by latency": "lowest_latency", "balanced": "balanced"}


def invoking(model: Any) -> Callable[[], object]:
    """Return a call of a runnable."""
    return lambda: model.invoke(PROMPT)


class LangChainClient(Client):
    """Any chat model; a subclass makes it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.model = self.made()

    def made(self) -> Any:
        """Return a model, constructed as users do."""
        not_offered()

    def call(self, prompt: Any = PROMPT) -> object:
        return self.model.invoke(prompt)

    async def acall(self, prompt: Any = PROMPT) -> object:
        return await self.model.ainvoke(prompt)

    def stream(self, prompt: str) -> Iterator[object]:
        return iter(self.model.stream(prompt))

    async def astream(self, prompt: str) -> AsyncGenerator[object]:
        async for chunk in self.model.astream(prompt):
            yield chunk

    async def abatch(self, count: int) -> None:
        await self.model.abatch([PROMPT] * count)

    def messages(self, turns: Sequence[Turn]) -> list[Any]:
        from langchain_core.messages import AIMessage, HumanMessage

        return [HumanMessage(text) if role == "user" else AIMessage(text) for role, text in turns]

    def reply(self, answer: object) -> Any:
        return answer

    def variant(self, name: str) -> Callable[[], object]:
        from langchain_core.callbacks import BaseCallbackHandler

        if name == "construction":
            return self.made
        made: dict[str, Callable[[], Any]] = {
            "tool": lambda: self.model.bind_tools([TOOL]),
            "structured output": lambda: self.model.with_structured_output(facts_model()),
            "a callback": lambda: self.model.with_config(callbacks=[BaseCallbackHandler()]),
        }
        return invoking(made.get(name, not_offered)())


class Ours(LangChainClient):
    """The full router with its defaults: retries, breakers, statistics; one deployment unless the row has more."""

    word = f"openai:{MODEL}"

    @property
    def base(self) -> str:
        """The base URL of the vendor."""
        return self.url

    def made(self) -> Any:
        return self._of(self._deployments(1))

    def _of(self, deployments: list[Any], **fields: Any) -> Any:
        from langchain_llmdispatch import DispatcherChatModel

        return DispatcherChatModel(models=deployments, env={}, **fields)

    def _deployments(self, count: int, **fields: Any) -> list[Any]:
        from langchain_llmdispatch import Deployment

        return [
            Deployment(self.word, name=f"d{n}", base_url=self.base, api_key=KEY, timeout=TIMEOUT, **fields)
            for n in range(count)
        ]

    def variant(self, name: str) -> Callable[[], object]:
        if name == "fallback":
            return self._falling_back()
        if name == "construction, 10 deployments":
            return lambda: self._of(self._deployments(10))
        if " deployments, " in name:
            count, _, strategy = name.partition(" deployments, ")
            return invoking(self._of(self._deployments(int(count)), strategy=STRATEGIES[strategy]))
        if name == "statistics off":
            return invoking(self._of(self._deployments(1), enable_metrics=False))
        if name == "limits on":
            return invoking(self._of(self._deployments(1, rpm=MUCH, tpm=MUCH, max_concurrency=1000)))
        return super().variant(name)

    def _falling_back(self) -> Callable[[], object]:
        """Return a call whose first deployment fails; health is reset, or its breaker would leave it out at once."""
        from langchain_llmdispatch import Deployment, Health

        health = Health()
        bad = Deployment(self.word, name="bad", base_url=f"{self.base}/fail", api_key=KEY)
        model = self._of([bad, *self._deployments(1)], health=health, retry_policy={"max_retries": 0})

        def call() -> object:
            health.reset("bad")
            return model.invoke(PROMPT)

        return call


class OursOnAnthropic(Ours):
    """The same on Anthropic's wire."""

    word = f"anthropic:{CLAUDE}"

    @property
    def base(self) -> str:
        return self.url.removesuffix("/v1")


class OpenAIModel(LangChainClient):
    """ChatOpenAI on chat completions."""

    def made(self) -> Any:
        return self._at(self.url)

    def _at(self, url: str) -> Any:
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model=MODEL, base_url=url, api_key=KEY, max_retries=0, timeout=TIMEOUT)

    def variant(self, name: str) -> Callable[[], object]:
        if name == "fallback":
            return invoking(self._at(f"{self.url}/fail").with_fallbacks([self.model]))
        return super().variant(name)


class AnthropicModel(LangChainClient):
    """ChatAnthropic on messages."""

    def made(self) -> Any:
        return self._at(self.url.removesuffix("/v1"))

    def _at(self, url: str) -> Any:
        from langchain_anthropic import ChatAnthropic

        return ChatAnthropic(
            model=CLAUDE, base_url=url, api_key=KEY, max_retries=0, timeout=TIMEOUT, max_tokens=1024
        )

    def variant(self, name: str) -> Callable[[], object]:
        if name == "fallback":
            failing = self._at(f"{self.url.removesuffix('/v1')}/fail")
            return invoking(failing.with_fallbacks([self.model]))
        return super().variant(name)
