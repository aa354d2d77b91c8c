"""Modules that are imported with the first model, not with the class: `late.engine.Engine(...)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmdispatch.internal.lazy import LateModule

if TYPE_CHECKING:
    from langchain_llmdispatch.chat_model import engine, fields, html, shared_state, structured_output
    from langchain_llmdispatch.config import litellm
    from langchain_llmdispatch.dispatch import report
    from langchain_llmdispatch.stats import stats
else:
    engine = LateModule("langchain_llmdispatch.chat_model.engine")
    fields = LateModule("langchain_llmdispatch.chat_model.fields")
    html = LateModule("langchain_llmdispatch.chat_model.html")
    shared_state = LateModule("langchain_llmdispatch.chat_model.shared_state")
    structured_output = LateModule("langchain_llmdispatch.chat_model.structured_output")
    litellm = LateModule("langchain_llmdispatch.config.litellm")
    report = LateModule("langchain_llmdispatch.dispatch.report")
    stats = LateModule("langchain_llmdispatch.stats.stats")

__all__ = ["engine", "fields", "html", "litellm", "report", "shared_state", "stats", "structured_output"]
