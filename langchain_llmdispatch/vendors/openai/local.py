"""The model server that this package runs on the user's own machine."""

from __future__ import annotations

from langchain_llmdispatch.vendors.openai.compatible import CompatibleVendor

LAZY_URL = "local://model"
"""Stands for an address that is known once the server runs; drivers replace it before they send."""


class LocalVendor(CompatibleVendor):
    """A llama.cpp server that this package starts beside the process; its address is found when it runs."""

    name = "local"
    aliases = ()
    provider = "compatible"
    local = True
    needs_key = False
    base_url = LAZY_URL
