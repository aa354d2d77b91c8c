"""Anthropic's Messages API.

Owns: requests, answers, streams and errors of that format.
Must not know: other vendors' formats.
"""

from __future__ import annotations

from langchain_llmdispatch.vendors.anthropic.stream import AnthropicStreamDecoder
from langchain_llmdispatch.vendors.anthropic.vendor import AnthropicVendor

__all__ = ["AnthropicStreamDecoder", "AnthropicVendor"]
