"""What is known of LangChain's integrations, by the `ls_provider` that they state.

Facts read in the packages (langchain-openai 1.7, -anthropic 1.7, -google-genai 4.4) and in the survey of
their conversions; an integration that is not listed gets the cautious row: text and tool calls only.
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
class Provider:
    """One integration's habits.

    Attributes:
        vendor: The vendor whose models it is for, as the price data names it.
        answers_as: The `model_provider` of its messages.
        history: What it can spell of a conversation; `provider` is filled in.
        kin: Our own vendor of those models: its server tools, parameters, names of models and prices hold.
        marks_end: It always passes on why the answer ended; a stream without that was cut.
        reads_v1: It reads v1 content blocks in assistant turns and media in user turns.
        formats: It takes `response_format`.
        keywords: It hands call keywords on to the vendor; elsewhere parameters are fields of the model.
        times: It takes a `timeout` per call.
        switches: `bind_tools` takes `parallel_tool_calls`.
        no_retries: The `max_retries` that means none.
    """

    vendor: str
    answers_as: str
    history: HistoryRules = _CAUTIOUS
    kin: type[Vendor] | None = None
    marks_end: bool = True
    reads_v1: bool = False
    formats: bool = False
    keywords: bool = False
    times: bool = False
    switches: bool = False
    no_retries: int = 0

    @property
    def listing(self) -> Listing:
        """Where the catalog and the price data list its models."""
        return self.kin.listing if self.kin else Listing(self.vendor)

    def rules(self) -> HistoryRules:
        """Return its history rules: its own messages go back as they were, foreign reasoning does not."""
        return replace(
            self.history,
            provider=self.answers_as,
            reasoning="signed",
            verbatim=True,
            # The integration brings its own placeholder.
            call_signature=None,
        )


_OPENAI = Provider(
    "openai",
    "openai",
    OpenAIVendor.history,
    OpenAIVendor,
    reads_v1=True,
    formats=True,
    keywords=True,
    times=True,
    switches=True,
)
_OPENAI_LIKE = replace(_OPENAI, history=_CAUTIOUS, kin=None, reads_v1=False)
_GOOGLE = Provider(
    "google",
    "google_genai",
    GoogleVendor.history,
    GoogleVendor,
    reads_v1=True,
    formats=True,
    times=True,
    # Google's SDK takes 0 for its default of five requests.
    no_retries=1,
)

PROVIDERS: Mapping[str, Provider] = {
    "openai": _OPENAI,
    "azure": replace(_OPENAI, vendor="azure", kin=AzureVendor),
    "anthropic": Provider(
        "anthropic",
        "anthropic",
        AnthropicVendor.history,
        AnthropicVendor,
        reads_v1=True,
        formats=True,
        keywords=True,
        times=True,
        switches=True,
    ),
    "google_genai": _GOOGLE,
    "google_vertexai": Provider(
        "google", "google_vertexai", GoogleVendor.history, GoogleVendor, marks_end=False
    ),
    "amazon_bedrock": Provider("aws", "bedrock", _BEDROCK, marks_end=False),
    "amazon_bedrock_converse": Provider("aws", "bedrock_converse", _BEDROCK, reads_v1=True),
    "mistral": Provider("mistral", "mistralai", replace(_CAUTIOUS, last_user=True)),
    "cohere": Provider(
        "cohere",
        "cohere",
        replace(CohereVendor.history, tool_media=frozenset()),
        CohereVendor,
        marks_end=False,
    ),
    "huggingface": Provider(
        "huggingface",
        "huggingface",
        replace(HuggingFaceVendor.history, tool_media=frozenset()),
        HuggingFaceVendor,
        marks_end=False,
    ),
    "ollama": Provider(
        "ollama", "ollama", replace(OllamaVendor.history, tool_media=frozenset()), OllamaVendor
    ),
    "groq": Provider("groq", "groq"),
    "deepseek": replace(_OPENAI_LIKE, vendor="deepseek", answers_as="deepseek"),
    "xai": replace(_OPENAI_LIKE, vendor="x-ai", answers_as="xai"),
}


def provider_of(stated: str, llm_type: str) -> Provider:
    """Return what is known of an integration.

    Args:
        stated: Its `ls_provider`.
        llm_type: Its `_llm_type`, which tells Bedrock's two APIs apart.
    """
    if stated == "amazon_bedrock" and "converse" in llm_type:
        stated = "amazon_bedrock_converse"
    known = PROVIDERS.get(stated)
    return known or Provider(stated or "langchain", stated or "langchain", marks_end=False)
