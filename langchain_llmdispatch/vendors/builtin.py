"""The vendors that come with the package, in order of preference."""

from __future__ import annotations

from langchain_llmdispatch.vendors.anthropic import AnthropicVendor
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.cohere import CohereVendor
from langchain_llmdispatch.vendors.google import GoogleVendor
from langchain_llmdispatch.vendors.ollama import OllamaVendor
from langchain_llmdispatch.vendors.openai import (
    AzureVendor,
    CompatibleVendor,
    HuggingFaceVendor,
    LocalVendor,
    OpenAIVendor,
)
from langchain_llmdispatch.vendors.openai.hosts import HOSTED as _HOSTED

VENDORS: tuple[type[Vendor], ...] = (
    OpenAIVendor,
    AnthropicVendor,
    GoogleVendor,
    AzureVendor,
    CohereVendor,
    HuggingFaceVendor,
    OllamaVendor,
    CompatibleVendor,
    LocalVendor,
)


HOSTED: tuple[type[Vendor], ...] = _HOSTED
"""Presets of hosts that speak `compatible`; a row each in `openai/hosts.py`."""


def builtin_vendors() -> dict[str, Vendor]:
    """Return a fresh table of the vendors that come with the package, by name, in order of preference."""
    return {vendor.name: vendor() for vendor in (*VENDORS, *HOSTED)}
