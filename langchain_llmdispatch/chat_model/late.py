"""Modules imported with the first model or when first used, not with the class: `late.engine.Engine(...)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmdispatch.internal.lazy import LateModule

if TYPE_CHECKING:
    from langchain_llmdispatch.chat_model import (
        engine,
        event_maker,
        fields,
        html,
        shared_state,
        structured_output,
    )
    from langchain_llmdispatch.config import configuration, litellm
    from langchain_llmdispatch.dispatch import report
    from langchain_llmdispatch.stats import stats
    from langchain_llmdispatch.vendors.compile import neutral_choice, neutral_tools
else:
    engine = LateModule("langchain_llmdispatch.chat_model.engine")
    event_maker = LateModule("langchain_llmdispatch.chat_model.event_maker")
    fields = LateModule("langchain_llmdispatch.chat_model.fields")
    html = LateModule("langchain_llmdispatch.chat_model.html")
    shared_state = LateModule("langchain_llmdispatch.chat_model.shared_state")
    structured_output = LateModule("langchain_llmdispatch.chat_model.structured_output")
    configuration = LateModule("langchain_llmdispatch.config.configuration")
    litellm = LateModule("langchain_llmdispatch.config.litellm")
    report = LateModule("langchain_llmdispatch.dispatch.report")
    stats = LateModule("langchain_llmdispatch.stats.stats")
    neutral_choice = LateModule("langchain_llmdispatch.vendors.compile.neutral_choice")
    neutral_tools = LateModule("langchain_llmdispatch.vendors.compile.neutral_tools")

__all__ = [
    "configuration", "engine", "event_maker", "fields", "html", "litellm", "neutral_choice", "neutral_tools",
    "report", "shared_state", "stats", "structured_output",
]  # fmt: skip
