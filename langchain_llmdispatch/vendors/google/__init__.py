"""Google's Gemini API.

Owns: requests, answers, streams and errors of that format.
Must not know: other vendors' formats.
"""

from __future__ import annotations

from langchain_llmdispatch.vendors.google.stream import GoogleStreamDecoder
from langchain_llmdispatch.vendors.google.vendor import GoogleVendor

__all__ = ["GoogleStreamDecoder", "GoogleVendor"]
