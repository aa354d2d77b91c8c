"""OpenAI's formats: chat completions and Responses, and the vendors that use them.

Owns: OpenAI, Azure OpenAI, Hugging Face, any compatible server, the local model.
Must not know: other vendors' formats.
"""

from __future__ import annotations

from langchain_llmdispatch.vendors.openai.azure import AzureVendor
from langchain_llmdispatch.vendors.openai.chat_request import Dialect
from langchain_llmdispatch.vendors.openai.chat_stream import ChatStreamDecoder
from langchain_llmdispatch.vendors.openai.compatible import CompatibleVendor
from langchain_llmdispatch.vendors.openai.huggingface import HuggingFaceVendor
from langchain_llmdispatch.vendors.openai.local import LocalVendor
from langchain_llmdispatch.vendors.openai.responses_stream import ResponsesStreamDecoder
from langchain_llmdispatch.vendors.openai.vendor import ChatCompletions, OpenAIVendor

__all__ = [
    "AzureVendor",
    "ChatCompletions",
    "ChatStreamDecoder",
    "CompatibleVendor",
    "Dialect",
    "HuggingFaceVendor",
    "LocalVendor",
    "OpenAIVendor",
    "ResponsesStreamDecoder",
]
