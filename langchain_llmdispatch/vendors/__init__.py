"""The vendors: one folder each, with all its facts, and one line here.

A vendor of a third party is one file: see `vendors/base.py`, from which everything it needs can be imported.
"""

from __future__ import annotations

from langchain_llmdispatch.vendors.anthropic.vendor import AnthropicVendor
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.cohere.vendor import CohereVendor
from langchain_llmdispatch.vendors.google.vendor import GoogleVendor
from langchain_llmdispatch.vendors.ollama.vendor import OllamaVendor
from langchain_llmdispatch.vendors.openai.azure import AzureVendor
from langchain_llmdispatch.vendors.openai.compatible import CompatibleVendor
from langchain_llmdispatch.vendors.openai.huggingface import HuggingFaceVendor
from langchain_llmdispatch.vendors.openai.local import LocalVendor
from langchain_llmdispatch.vendors.openai.vendor import OpenAIVendor

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


def builtin_vendors() -> dict[str, Vendor]:
    """Return a fresh table of the vendors that come with the package, by name, in order of preference."""
    return {vendor.name: vendor() for vendor in VENDORS}
