"""The model server that this package runs on the user's own machine."""

from __future__ import annotations

from typing import ClassVar

from langchain_llmdispatch.vendors.base import ANY_TOOL_NAME, LAZY_URL, Listing, ToolNameRules
from langchain_llmdispatch.vendors.openai.compatible import CompatibleVendor


class LocalVendor(CompatibleVendor):
    """A llama.cpp server that this package starts beside the process; its address is found when it runs."""

    name = "local"
    aliases = ()
    provider = "compatible"
    needs_key = False
    base_url = LAZY_URL
    setup = "this machine; needs the extra [local]"
    # It runs models that Ollama's library lists.
    listing: ClassVar[Listing] = Listing("local", profiles="ollama", colon="tag")
    litellm_names: ClassVar[tuple[str, ...]] = ()
    tool_names: ClassVar[ToolNameRules] = ANY_TOOL_NAME

    def is_free(self, model: str, base_url: str) -> bool:
        """Return True: it runs on this machine."""
        return True
