"""The model server that this package runs on the user's own machine."""

from __future__ import annotations

from langchain_llmdispatch.vendors.compatible import CompatibleVendor


class LocalVendor(CompatibleVendor):
    """A llama.cpp server started in this process or beside it; its address is found when it runs."""

    name = "local"
    aliases = ()
    provider = "compatible"
    local = True
