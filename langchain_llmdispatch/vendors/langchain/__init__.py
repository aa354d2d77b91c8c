"""Any LangChain chat model as a vendor, which runs in process.

Owns: calling it without callbacks and retries of its own, and reading its answers and errors.
Must not know: HTTP.
"""

from __future__ import annotations

from langchain_llmdispatch.vendors.langchain.vendor import LangChainVendor

__all__ = ["LangChainVendor"]
