"""What any client costs at least: HTTP clients with JSON by hand, and the vendor's own SDK. Retries are off."""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

from benchmarks.peers.client import (
    FACTS_SCHEMA,
    KEY,
    MODEL,
    PROMPT,
    TIMEOUT,
    TOOL,
    Client,
    facts_model,
    not_offered,
)

SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "Weather", "schema": FACTS_SCHEMA, "strict": True},
}
HEADERS = {"authorization": f"Bearer {KEY}"}


def body(prompt: Any, **more: Any) -> dict[str, Any]:
    """Return the body of a request."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return {"model": MODEL, "messages": messages, **more}


class Httpx(Client):
    """A client of httpx, or of httpx2, which has the same interface; limits are the client's own."""

    package = "httpx"

    def __init__(self, url: str) -> None:
        self._package: Any = importlib.import_module(self.package)
        self._url, self._failing = f"{url}/chat/completions", f"{url}/fail/chat/completions"
        timeout = self._package.Timeout(
            TIMEOUT, pool=None
        )  # a thousand calls wait long for its 100 connections
        self._client = self._package.Client(timeout=timeout, headers=HEADERS)
        self._aclient = self._package.AsyncClient(timeout=timeout, headers=HEADERS)

    def call(self, prompt: Any = PROMPT) -> object:
        return self._post(body(prompt))["choices"][0]["message"]["content"]

    def _post(self, sent: dict[str, Any]) -> Any:
        return self._client.post(self._url, json=sent).json()

    async def acall(self, prompt: Any = PROMPT) -> object:
        response = await self._aclient.post(self._url, json=body(prompt))
        return response.json()["choices"][0]["message"]["content"]

    def stream(self, prompt: str) -> Iterator[object]:
        with self._client.stream("POST", self._url, json=body(prompt, stream=True)) as response:
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[6:])

    async def astream(self, prompt: str) -> AsyncGenerator[object]:
        async with self._aclient.stream("POST", self._url, json=body(prompt, stream=True)) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[6:])

    def variant(self, name: str) -> Callable[[], object]:
        weather = facts_model()
        made: dict[str, Callable[[], object]] = {
            "tool": lambda: json.loads(
                self._post(body(PROMPT, tools=[TOOL]))["choices"][0]["message"]["tool_calls"][0]["function"][
                    "arguments"
                ]
            ),
            "structured output": lambda: weather.model_validate_json(
                self._post(body(PROMPT, response_format=SCHEMA))["choices"][0]["message"]["content"]
            ),
            "fallback": self._fall_back,
            "construction": lambda: self._package.Client(timeout=TIMEOUT, headers=HEADERS),
        }
        return made.get(name) or not_offered()

    def _fall_back(self) -> object:
        response = self._client.post(self._failing, json=body(PROMPT))
        return self.call() if response.status_code == 500 else response.json()


class Httpx2(Httpx):
    """As `Httpx`."""

    package = "httpx2"


class Aiohttp(Client):
    """A session of aiohttp; it has no sync client. Connections are as many as there are calls."""

    def __init__(self, url: str) -> None:
        import aiohttp

        self._aiohttp, self._url, self._session = aiohttp, f"{url}/chat/completions", None

    async def _opened(self) -> Any:
        if self._session is None:  # it belongs to the running loop
            timeout, connector = self._aiohttp.ClientTimeout(TIMEOUT), self._aiohttp.TCPConnector(limit=0)
            self._session = self._aiohttp.ClientSession(timeout=timeout, connector=connector, headers=HEADERS)
        return self._session

    async def acall(self, prompt: Any = PROMPT) -> object:
        session = await self._opened()
        async with session.post(self._url, json=body(prompt)) as response:
            return (await response.json())["choices"][0]["message"]["content"]

    async def astream(self, prompt: str) -> AsyncGenerator[object]:
        session = await self._opened()
        async with session.post(self._url, json=body(prompt, stream=True)) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    yield json.loads(line[6:])


class OpenAISDK(Client):
    """The SDK by itself."""

    def __init__(self, url: str) -> None:
        import openai

        self._openai = openai
        self._client = self._made(url)
        self._failing = self._made(f"{url}/fail")
        self._aclient = openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=TIMEOUT)
        self._url = url

    def _made(self, url: str) -> Any:
        return self._openai.OpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=TIMEOUT)

    def call(self, prompt: Any = PROMPT) -> object:
        return self._client.chat.completions.create(**body(prompt)).choices[0].message.content

    async def acall(self, prompt: Any = PROMPT) -> object:
        return (await self._aclient.chat.completions.create(**body(prompt))).choices[0].message.content

    def stream(self, prompt: str) -> Iterator[object]:
        return iter(self._client.chat.completions.create(**body(prompt, stream=True)))

    async def astream(self, prompt: str) -> AsyncGenerator[object]:
        async for chunk in await self._aclient.chat.completions.create(**body(prompt, stream=True)):
            yield chunk

    def variant(self, name: str) -> Callable[[], object]:
        create, weather = self._client.chat.completions.create, facts_model()
        made: dict[str, Callable[[], object]] = {
            "tool": lambda: json.loads(
                create(**body(PROMPT, tools=[TOOL])).choices[0].message.tool_calls[0].function.arguments
            ),
            "structured output": lambda: (
                self._client.chat.completions.parse(**body(PROMPT, response_format=weather))
                .choices[0]
                .message.parsed
            ),
            "fallback": self._fall_back,
            "construction": lambda: self._made(self._url),
        }
        return made.get(name) or not_offered()

    def _fall_back(self) -> object:
        try:
            return self._failing.chat.completions.create(**body(PROMPT))
        except self._openai.InternalServerError:
            return self.call()
