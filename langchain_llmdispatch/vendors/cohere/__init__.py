"""Cohere's chat API, version 2.

Owns: requests, answers, streams and errors of that format.
Must not know: other vendors' formats.
"""

from __future__ import annotations

from langchain_llmdispatch.vendors.cohere.stream import CohereStreamDecoder
from langchain_llmdispatch.vendors.cohere.vendor import CohereVendor

__all__ = ["CohereStreamDecoder", "CohereVendor"]
