"""Any server with OpenAI's chat completions, by its base URL.

Recorded and known: llama.cpp, vLLM, SGLang, Groq, OpenRouter, Mistral, DeepSeek, Together, Fireworks,
Cerebras, xAI, Z.ai, Moonshot, Perplexity. What all take is the default; the table has what some need.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from langchain_llmdispatch.vendors.base import HistoryRules, OwnedWords
from langchain_llmdispatch.vendors.openai.batches import FileApi, FileBatches
from langchain_llmdispatch.vendors.openai.chat_request import Dialect
from langchain_llmdispatch.vendors.openai.host_batches import MistralBatches, XaiBatches
from langchain_llmdispatch.vendors.openai.rules import LITELLM_SERVERS, OF_SERVERS
from langchain_llmdispatch.vendors.openai.vendor import ChatCompletions
from langchain_llmdispatch.vendors.openai.words import COMPATIBLE, OPENROUTER, STRICT
from langchain_llmdispatch.vendors.rules import SchemaDialect

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.batches import BatchApi

_PLAIN = Dialect(text_parts=False)
_OF_SERVERS = Dialect(text_parts=False, named_choice=False)
_HOSTS: dict[str, Dialect] = {
    # Refuse unknown fields and send usage in streams unasked.
    "api.mistral.ai": Dialect(text_parts=False, stream_usage=False, short_ids=True),
    "api.perplexity.ai": Dialect(text_parts=False, stream_usage=False),
    # Require the reasoning that led to a tool call beside its result.
    "api.deepseek.com": Dialect(text_parts=False, reasoning="reasoning_content", thinking=True),
    "api.moonshot.ai": Dialect(text_parts=False, reasoning="reasoning_content", thinking=True),
    "api.moonshot.cn": Dialect(text_parts=False, reasoning="reasoning_content", thinking=True),
    "api.z.ai": Dialect(text_parts=False, reasoning="reasoning_content", thinking=True),
    "open.bigmodel.cn": Dialect(text_parts=False, reasoning="reasoning_content", thinking=True),
    # Takes parts, which carry cache markers for the models behind it.
    "openrouter.ai": Dialect(reasoning="reasoning"),
    **dict.fromkeys(
        (
            "api.groq.com", "api.x.ai", "api.together.xyz", "api.fireworks.ai", "api.cerebras.ai",
            "integrate.api.nvidia.com",
        ),
        _PLAIN,
    ),
}  # fmt: skip


_WORDS = {"openrouter.ai": OPENROUTER, "api.mistral.ai": STRICT, "api.perplexity.ai": STRICT}

_BATCHES: dict[str, Callable[[FileApi, Call], BatchApi]] = {
    "api.groq.com": FileBatches,
    "api.mistral.ai": MistralBatches,
    "api.x.ai": XaiBatches,
}
"""The hosts whose batch API is known; docs/guides/batches.md has why others are left out."""


@lru_cache(maxsize=256)
def _dialect(base_url: str) -> Dialect:
    return _HOSTS.get(urlsplit(base_url).hostname or "", _OF_SERVERS)


class CompatibleVendor(ChatCompletions):
    """An OpenAI-compatible server; `base_url` is its address.

    Its answers are not marked as OpenAI's: LangChain's translator for those would hide their reasoning.
    """

    name = "compatible"
    aliases: ClassVar[tuple[str, ...]] = ("openai-compatible", "openai_compatible")
    provider = "compatible"
    needs_key = False
    setup = "any OpenAI-compatible server, by base_url"
    slashed_names = True
    litellm_names: ClassVar[tuple[str, ...]] = ("openai", *LITELLM_SERVERS)
    history: ClassVar[HistoryRules] = HistoryRules(
        provider="compatible",
        user_media=frozenset({"image", "image_url", "audio", "video"}),
        reasoning="text",
        any_blocks=True,
    )
    words: ClassVar[OwnedWords] = COMPATIBLE
    schemas: ClassVar[SchemaDialect] = OF_SERVERS

    # Groq's, OpenRouter's and Moonshot's.
    server_tools: ClassVar[tuple[str, ...]] = ("browser_search", "openrouter:*", "builtin_function")

    def words_at(self, base_url: str) -> OwnedWords:
        """Return the words that the host documents, or those of all servers."""
        return _WORDS.get(urlsplit(base_url).hostname or "", self.words)

    def batch_api(self, call: Call) -> BatchApi | None:
        """Return the batch API of the host that the vendor is for, or else of the one that is addressed."""
        api = _BATCHES.get(urlsplit(self.base_url or call.endpoint.base_url).hostname or "")
        return None if api is None else api(self, call)

    def dialect(self, call: Call) -> Dialect:
        """Return the dialect that the host needs, or the one that nearly all take."""
        return _dialect(call.endpoint.base_url)
