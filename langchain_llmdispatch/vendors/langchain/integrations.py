"""Facts about LangChain's integrations, by the `ls_provider` that they report.

From the packages (langchain-openai 1.7, -anthropic 1.7, -google-genai 4.4) and a survey of their
conversions. An integration that is not listed gets the cautious row: text and tool calls only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from langchain_llmdispatch.vendors.anthropic.vendor import AnthropicVendor
from langchain_llmdispatch.vendors.base import HistoryRules, Listing, Vendor
from langchain_llmdispatch.vendors.cohere.vendor import CohereVendor
from langchain_llmdispatch.vendors.google.vendor import GoogleVendor
from langchain_llmdispatch.vendors.ollama.vendor import OllamaVendor
from langchain_llmdispatch.vendors.openai.azure import AzureVendor
from langchain_llmdispatch.vendors.openai.huggingface import HuggingFaceVendor
from langchain_llmdispatch.vendors.openai.vendor import OpenAIVendor

_IMAGES = frozenset({"image", "image_url"})
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_CAUTIOUS = HistoryRules(provider="", system="leading", names="drop", tool_id=_ID, user_media=_IMAGES)
_BEDROCK = HistoryRules(
    provider="",
    system="leading",
    alternate=True,
    first_user=True,
    last_user=True,
    tool_id=_ID,
    user_media=frozenset({"image", "pdf"}),
    tool_media=frozenset({"image"}),
)


@dataclass(frozen=True, slots=True)
class Integration:
    """One integration of LangChain.

    Attributes:
        vendor: The vendor whose models it is for, as the price data names it.
        model_provider: The `model_provider` of its messages.
        history: What it can express of a conversation; `provider` is filled in.
        native: Our own vendor of those models: its server tools, parameters, names of models and prices hold.
        marks_end: It always passes on why the answer ended; a stream without that was cut.
        reads_v1: It reads v1 content blocks in assistant turns and media in user turns.
        takes_response_format: It takes `response_format`.
        takes_keywords: It passes call keywords on; elsewhere parameters are fields of the model.
        takes_timeout: It takes a `timeout` per call.
        takes_parallel_switch: `bind_tools` takes `parallel_tool_calls`.
        no_retries: The `max_retries` that means none.
    """

    vendor: str
    model_provider: str
    history: HistoryRules = _CAUTIOUS
    native: type[Vendor] | None = None
    marks_end: bool = True
    reads_v1: bool = False
    takes_response_format: bool = False
    takes_keywords: bool = False
    takes_timeout: bool = False
    takes_parallel_switch: bool = False
    no_retries: int = 0

    @property
    def listing(self) -> Listing:
        """Where the catalog and the price data list its models."""
        return self.native.listing if self.native else Listing(self.vendor)

    def history_rules(self) -> HistoryRules:
        """Return its history rules: its own messages go back as they were, foreign reasoning does not."""
        return replace(
            self.history,
            provider=self.model_provider,
            reasoning="signed",
            verbatim=True,
            # The integration brings its own placeholder.
            call_signature=None,
        )


_OPENAI = Integration(
    "openai",
    "openai",
    OpenAIVendor.history,
    OpenAIVendor,
    reads_v1=True,
    takes_response_format=True,
    takes_keywords=True,
    takes_timeout=True,
    takes_parallel_switch=True,
)
_OPENAI_LIKE = replace(_OPENAI, history=_CAUTIOUS, native=None, reads_v1=False)
_GOOGLE = Integration(
    "google",
    "google_genai",
    GoogleVendor.history,
    GoogleVendor,
    reads_v1=True,
    takes_response_format=True,
    takes_timeout=True,
    # Google's SDK takes 0 for its default of five requests.
    no_retries=1,
)

INTEGRATIONS: Mapping[str, Integration] = {
    "openai": _OPENAI,
    "azure": replace(_OPENAI, vendor="azure", native=AzureVendor),
    "anthropic": Integration(
        "anthropic",
        "anthropic",
        AnthropicVendor.history,
        AnthropicVendor,
        reads_v1=True,
        takes_response_format=True,
        takes_keywords=True,
        takes_timeout=True,
        takes_parallel_switch=True,
    ),
    "google_genai": _GOOGLE,
    "google_vertexai": Integration(
        "google", "google_vertexai", GoogleVendor.history, GoogleVendor, marks_end=False
    ),
    "amazon_bedrock": Integration("aws", "bedrock", _BEDROCK, marks_end=False),
    "amazon_bedrock_converse": Integration("aws", "bedrock_converse", _BEDROCK, reads_v1=True),
    "mistral": Integration("mistral", "mistralai", replace(_CAUTIOUS, last_user=True)),
    "cohere": Integration(
        "cohere",
        "cohere",
        replace(CohereVendor.history, tool_media=frozenset()),
        CohereVendor,
        marks_end=False,
    ),
    "huggingface": Integration(
        "huggingface",
        "huggingface",
        replace(HuggingFaceVendor.history, tool_media=frozenset()),
        HuggingFaceVendor,
        marks_end=False,
    ),
    "ollama": Integration(
        "ollama", "ollama", replace(OllamaVendor.history, tool_media=frozenset()), OllamaVendor
    ),
    "groq": Integration("groq", "groq"),
    "deepseek": replace(_OPENAI_LIKE, vendor="deepseek", model_provider="deepseek"),
    "xai": replace(_OPENAI_LIKE, vendor="x-ai", model_provider="xai"),
}


def integration_of(ls_provider: str, llm_type: str) -> Integration:
    """Return the facts of an integration.

    Args:
        ls_provider: Its `ls_provider`.
        llm_type: Its `_llm_type`, which distinguishes Bedrock's two APIs.
    """
    if ls_provider == "amazon_bedrock" and "converse" in llm_type:
        ls_provider = "amazon_bedrock_converse"
    known = INTEGRATIONS.get(ls_provider)
    return known or Integration(ls_provider or "langchain", ls_provider or "langchain", marks_end=False)
