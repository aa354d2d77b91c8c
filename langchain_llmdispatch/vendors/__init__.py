"""The vendors: a folder each, with all its facts, and one line here.

Owns: codecs, from LangChain's messages to bytes and back. `base` is what a vendor is; `request`, `answer`,
`stream` and `errors` are what codecs share. A vendor of a third party is one file that imports from `base`.
Must not know: connections, attempts, policy. A codec holds no client and no clock.
"""

from __future__ import annotations

from langchain_llmdispatch.internal.lazy import lazy_names

_MODULES = {
    "AnthropicVendor": "vendors.anthropic",
    "AzureVendor": "vendors.openai.azure",
    "CohereVendor": "vendors.cohere",
    "CompatibleVendor": "vendors.openai.compatible",
    "GoogleVendor": "vendors.google",
    "HOSTED": "vendors.builtin",
    "HuggingFaceVendor": "vendors.openai.huggingface",
    "LocalVendor": "vendors.openai.local",
    "OllamaVendor": "vendors.ollama",
    "OpenAIVendor": "vendors.openai.vendor",
    "VENDORS": "vendors.builtin",
    "Vendor": "vendors.base",
    "builtin_vendors": "vendors.builtin",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
