"""The end of LangChain's run where an async call is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult, LLMResult


class CancellableChatModel(BaseChatModel):
    """A chat model whose cancelled calls end their runs.

    LangChain notifies the handlers of a run's end in `stream`, `astream` and `invoke`, whatever ends them,
    but not in an `ainvoke` that is cancelled: its run would stay open in tracers, and in gauges of calls.
    """

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        try:
            return await super()._agenerate_with_cache(messages, stop=stop, run_manager=run_manager, **kwargs)
        except asyncio.CancelledError as error:
            if run_manager is not None:
                await run_manager.on_llm_error(error, response=LLMResult(generations=[]))
            raise
