"""Words of `init_chat_model` that are reached through LangChain's own packages: their models are handed in.

The clouds sign each request or exchange credentials (AWS's signature, Google's application default
credentials); their packages do that. Of LangChain 1.5, `chat_models/base.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

_VERTEX = (
    "langchain-google-vertexai",
    "ChatVertexAI",
    (
        "it uses Google's application default credentials; with a token of your own, "
        "Deployment('google:...', base_url=..., api_key=get_token) reaches Vertex AI, too"
    ),
)
_FOUNDRY = (
    "langchain-azure-ai",
    "AzureAIOpenAIApiChatModel",
    "OpenAI's models of an Azure resource are reached directly, too: write 'azure:<deployment>'",
)
_AWS = "it signs requests with AWS's credentials"
PACKAGES: Mapping[str, tuple[str, str, str]] = {
    "google_vertexai": _VERTEX,
    "vertex_ai": _VERTEX,
    "vertexai": _VERTEX,
    "google_anthropic_vertex": (
        "langchain-google-vertexai",
        "ChatAnthropicVertex",
        "it uses Google's application default credentials",
    ),
    "bedrock": ("langchain-aws", "ChatBedrockConverse", _AWS),
    "bedrock_converse": ("langchain-aws", "ChatBedrockConverse", _AWS),
    "anthropic_bedrock": ("langchain-aws", "ChatAnthropicBedrock", _AWS),
    "bedrock_mantle_anthropic": ("langchain-aws", "ChatAnthropicMantle", _AWS),
    "bedrock_mantle_openai": ("langchain-aws", "ChatOpenAIMantle", _AWS),
    "azure_ai": _FOUNDRY,
    "foundry": _FOUNDRY,
    "perplexity": (
        "langchain-perplexity",
        "ChatPerplexity",
        "its OpenAI-compatible chat completions ended on 2026-09-27",
    ),
    "baseten": ("langchain-baseten", "ChatBaseten", ""),
    "ibm": ("langchain-ibm", "ChatWatsonx", ""),
    "litellm": ("langchain-litellm", "ChatLiteLLM", ""),
    "meta": ("langchain-meta", "ChatMetaModel", ""),
    "upstage": ("langchain-upstage", "ChatUpstage", ""),
}
"""By the word: the package, its class, and what else there is to it."""


def through_package(word: str, model: str) -> str | None:
    """Return how the vendor of a word is reached, in a sentence; None for other words."""
    found = PACKAGES.get(word.casefold())
    if found is None:
        return None
    package, name, note = found
    text = f"pip install {package}, and hand its chat model in: models=[{name}(model={model!r}, ...)]"
    return f"{text} ({note})." if note else f"{text}."
