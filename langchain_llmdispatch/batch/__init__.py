"""Many inputs: maps with bounded memory, progress bars, batches that survive a crash.

Owns: how many inputs are under way, the journal of a batch, formats of rows.
Must not know: the chat model; anything with LangChain's `invoke` and `ainvoke` is run.
"""

from __future__ import annotations

from langchain_llmdispatch.internal.lazy import lazy_names

_MODULES = {
    "BatchReport": "batch.report",
    "Interrupt": "batch.interrupt",
    "arun_batch": "batch.run",
    "run_batch": "batch.run",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
