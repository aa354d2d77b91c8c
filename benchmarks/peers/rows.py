"""The rows: which clients are measured, how each is made, and what it does."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from benchmarks.peers.client import Client

CORE = "import langchain_core.language_models.chat_models"
"""What every chat model of LangChain imports before itself."""
FLOOR, RIVAL, OURS = "httpx", "ChatOpenAI", "ours"
CLAUDE_RIVAL, CLAUDE_OURS = "ChatAnthropic", "ours, Anthropic"


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes:
        name: As in the tables.
        place: Module and class, below `benchmarks.peers`.
        imports: The line by which users import it.
        about: What it does, and what it does not, for the documentation.
        floor: It is no chat model but what one is built on.
        chat_model: It is one of LangChain's.
        telling: It is in a quick run, too.
    """

    name: str
    place: str
    imports: str
    about: str
    floor: bool = False
    chat_model: bool = False
    telling: bool = False

    def made(self, url: str) -> Client:
        """Return the client; raise `ImportError` where its package is not installed."""
        module, _, name = self.place.partition(":")
        found: Client = getattr(importlib.import_module(f"benchmarks.peers.{module}"), name)(url)
        return found


ROWS = (
    Row(
        "httpx",
        "floors:Httpx",
        "import httpx",
        "a client of httpx, JSON by hand, its own limits of connections",
        floor=True,
        telling=True,
    ),
    Row("httpx2", "floors:Httpx2", "import httpx2", "the same with httpx2", floor=True),
    Row(
        "aiohttp",
        "floors:Aiohttp",
        "import aiohttp",
        "a session of aiohttp, JSON by hand; async only",
        floor=True,
    ),
    Row(
        "openai SDK",
        "floors:OpenAISDK",
        "import openai",
        "`OpenAI` and `AsyncOpenAI`: typed answers; retries off",
        floor=True,
    ),
    Row(
        "ChatOpenAI",
        "langchain_rows:OpenAIModel",
        "from langchain_openai import ChatOpenAI",
        "one model, no routing, no statistics; retries off; falls back by `with_fallbacks`",
        chat_model=True,
        telling=True,
    ),
    Row(
        "litellm.Router",
        "routers:LiteLLM",
        "from litellm import Router",
        "routing, costs, its own callbacks; retries and cooldowns off",
        telling=True,
    ),
    Row(
        "ChatLiteLLMRouter",
        "routers:LiteLLMModel",
        "from langchain_litellm import ChatLiteLLMRouter",
        "the same as a chat model",
        chat_model=True,
    ),
    Row(
        "pydantic-ai",
        "routers:PydanticAI",
        "from pydantic_ai import direct; import pydantic_ai.models.openai",
        "`direct.model_request`, an `Agent` for structured output; retries off; falls back by `FallbackModel`",
    ),
    Row(
        "ours",
        "langchain_rows:Ours",
        "from langchain_llmdispatch import DispatcherChatModel",
        "the whole router as it comes: routing, retries, breakers, deadline, costs, statistics on",
        chat_model=True,
        telling=True,
    ),
    Row(
        "ChatAnthropic",
        "langchain_rows:AnthropicModel",
        "from langchain_anthropic import ChatAnthropic",
        "as ChatOpenAI, on Anthropic's wire",
        chat_model=True,
    ),
    Row(
        "ours, Anthropic",
        "langchain_rows:OursOnAnthropic",
        "from langchain_llmdispatch import DispatcherChatModel",
        "as ours, on Anthropic's wire",
        chat_model=True,
    ),
)
BY_NAME = {row.name: row for row in ROWS}
