"""Ollama's chat API.

Owns: requests, answers, streams and errors of that format.
Must not know: other vendors' formats.
"""

from __future__ import annotations

from langchain_llmdispatch.vendors.ollama.stream import OllamaStreamDecoder
from langchain_llmdispatch.vendors.ollama.vendor import OllamaVendor

__all__ = ["OllamaStreamDecoder", "OllamaVendor"]
