"""Hosts with OpenAI's chat completions, by the words that `init_chat_model` has for them: data, a row each.

`groq:...` is `compatible:...` at Groq's address, with its key from the environment and its prices. What a
host needs of the wire format stands in `compatible.py`, by the name of the host. Addresses and variables
are those of the hosts' own documentation and of LangChain's packages for them (read 2026-11-28).

Perplexity is not among them: its chat completions ended on 2026-09-27 (release notes of @ai-sdk/perplexity
2.1; docs.perplexity.ai, "Migrate from Sonar to the Agent API"). `vendors/langchain/packages.py` has the way.
"""

from __future__ import annotations

from dataclasses import dataclass

from langchain_llmdispatch.vendors.base import Environment, Listing
from langchain_llmdispatch.vendors.openai.compatible import CompatibleVendor


@dataclass(frozen=True, slots=True)
class Host:
    """A host of compatible chat completions.

    Attributes:
        name: The word before the colon.
        base_url: Its address.
        keys: Variables with its key, the preferred one first.
        urls: Variables with another address.
        aliases: Other words for it.
        seller: Its id in genai-prices, if that is not `name`.
        litellm: LiteLLM's words for it.
        server_tools: The tools that it runs itself, by type.
    """

    name: str
    base_url: str
    keys: tuple[str, ...]
    urls: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    seller: str = ""
    litellm: tuple[str, ...] = ()
    server_tools: tuple[str, ...] = ()


HOSTS: tuple[Host, ...] = (
    # console.groq.com/docs/openai; langchain-groq
    Host(
        "groq",
        "https://api.groq.com/openai/v1",
        ("GROQ_API_KEY",),
        ("GROQ_API_BASE", "GROQ_BASE_URL"),
        litellm=("groq",),
        server_tools=("browser_search",),
    ),
    # docs.x.ai/docs/api-reference; langchain-xai
    Host(
        "xai",
        "https://api.x.ai/v1",
        ("XAI_API_KEY",),
        ("XAI_BASE_URL", "XAI_API_BASE"),
        ("grok",),
        "x-ai",
        ("xai",),
    ),
    # docs.mistral.ai/api; langchain-mistralai
    Host(
        "mistralai",
        "https://api.mistral.ai/v1",
        ("MISTRAL_API_KEY",),
        ("MISTRAL_BASE_URL",),
        aliases=("mistral",),
        seller="mistral",
        litellm=("mistral",),
    ),
    # api-docs.deepseek.com; langchain-deepseek
    Host(
        "deepseek",
        "https://api.deepseek.com",
        ("DEEPSEEK_API_KEY",),
        ("DEEPSEEK_API_BASE",),
        litellm=("deepseek",),
    ),
    # openrouter.ai/docs/api-reference/overview; langchain-openrouter
    Host(
        "openrouter",
        "https://openrouter.ai/api/v1",
        ("OPENROUTER_API_KEY",),
        ("OPENROUTER_API_BASE",),
        litellm=("openrouter",),
        server_tools=("openrouter:*",),
    ),
    # docs.together.ai/docs/openai-api-compatibility; langchain-together
    Host(
        "together",
        "https://api.together.xyz/v1",
        ("TOGETHER_API_KEY", "TOGETHERAI_API_KEY"),
        ("TOGETHER_BASE_URL",),
        aliases=("together_ai", "togetherai"),
        litellm=("together_ai",),
    ),
    # docs.fireworks.ai/tools-sdks/openai-compatibility; langchain-fireworks
    Host(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        ("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
        ("FIREWORKS_API_BASE",),
        aliases=("fireworks_ai",),
        litellm=("fireworks_ai",),
    ),
    # inference-docs.cerebras.ai/resources/openai
    Host(
        "cerebras",
        "https://api.cerebras.ai/v1",
        ("CEREBRAS_API_KEY",),
        ("CEREBRAS_BASE_URL",),
        litellm=("cerebras",),
    ),
    # build.nvidia.com, docs.api.nvidia.com/nim/reference; langchain-nvidia-ai-endpoints
    Host(
        "nvidia",
        "https://integrate.api.nvidia.com/v1",
        ("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
        ("NVIDIA_BASE_URL",),
        aliases=("nvidia_nim",),
        litellm=("nvidia_nim",),
    ),
)


def _vendor_class(host: Host) -> type[CompatibleVendor]:
    return type(
        f"{host.name.title()}Vendor",
        (CompatibleVendor,),
        {
            "__doc__": f"{host.base_url}, an OpenAI-compatible host.",
            "__module__": __name__,
            "name": host.name,
            "aliases": host.aliases,
            "base_url": host.base_url,
            "environment": Environment(keys=host.keys, urls=host.urls),
            "needs_key": True,
            "setup": "",
            "litellm_names": host.litellm,
            "server_tools": host.server_tools,
            "listing": Listing(host.name, seller=host.seller, prefixes=(f"{host.name}/",)),
        },
    )


HOSTED: tuple[type[CompatibleVendor], ...] = tuple(map(_vendor_class, HOSTS))
"""A vendor for each host."""
