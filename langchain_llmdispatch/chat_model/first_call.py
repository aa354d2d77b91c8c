"""What LangChain, pydantic and the clients set up when first used, set up before the first call begins.

A process that forks while one of its threads imports a module leaves its child a lock that nothing releases:
the child hangs at the same import. pydantic's validators have such locks, too, when they are first used. Here
it is all done under `forks.undivided`, for which a fork waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING
from uuid import uuid4

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult, RunInfo
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue

from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.internal.lazy import LateModule

if TYPE_CHECKING:
    from langchain_llmdispatch.catalog import price_list
    from langchain_llmdispatch.transport import seams
else:
    price_list = LateModule("langchain_llmdispatch.catalog.price_list")
    seams = LateModule("langchain_llmdispatch.transport.seams")


_LAZY = (
    "langchain_core.env",
    "langchain_core.messages.block_translators.langchain_v0",
    "langchain_core.tracers.context",
    "langchain_core.tracers.langchain",
    "langchain_core.tracers.run_collector",
    "langchain_core.tracers.stdout",
    "tenacity",
    "encodings.idna",  # for the name of a host
    "langchain_llmdispatch.internal.key_shapes",  # for an error
    "langchain_llmdispatch.callbacks.error_names",
)
_OF_HTTPX = ("langchain_llmdispatch.transport.httpx_transports",)
imported: set[str] = set()
"""What is imported already: for `sync` calls, for `async` ones."""


def import_for_first_call() -> None:
    """Import what each call imports, once; what is missing in another version is passed over."""
    with forks.undivided():
        _import(_LAZY)
        _validate()
        imported.add("sync")


def import_for_first_async_call() -> None:
    """Import what each async call imports, once, and load the price data: it takes 0.1 s and more."""
    with forks.undivided():
        import_for_first_call()
        if seams.is_patched():  # then httpx sends the requests, and its imports would stop the event loop
            _import(_OF_HTTPX)
        price_list.current_prices()
        imported.add("async")


def _validate() -> None:
    """Make one of each value that LangChain makes in a call."""
    usage = UsageMetadata(input_tokens=1, output_tokens=1, total_tokens=2)
    message = AIMessage("", usage_metadata=usage, response_metadata={"id": ""})
    chunk = AIMessageChunk(content="", usage_metadata=usage) + AIMessageChunk(
        content="", chunk_position="last"
    )
    for made in (ChatGeneration(message=message), ChatGenerationChunk(message=chunk)):
        result = ChatResult(generations=[made], llm_output={})
        LLMResult(generations=[[*result.generations]], llm_output=result.llm_output)
    RunInfo(run_id=uuid4())
    ChatPromptValue(messages=[HumanMessage("")])
    StringPromptValue(text="")


def _import(names: Iterable[str]) -> None:
    for name in names:
        with suppress(ImportError):
            import_module(name)
