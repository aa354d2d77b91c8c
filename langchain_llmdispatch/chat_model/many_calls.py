"""Calls with many inputs: `batch`, and `map` with bounded memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig

from langchain_llmdispatch.chat_model.part import ModelPart

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from langchain_llmdispatch.batch.calls import BatchCalls
    from langchain_llmdispatch.batch.progress import Configs, Progress


class ManyCalls(ModelPart):
    """What a chat model does with many inputs."""

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: Configs = None,
        *,
        progress: bool | None = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Answer several inputs in parallel, in order; see `Runnable.batch`.

        Args:
            inputs: As for `Runnable.batch`.
            config: As for `Runnable.batch`.
            progress: Whether a bar shows how many are done and failed, tokens, dollars and the time left.
            kwargs: As for `Runnable.batch`.
        """
        if not progress:
            return super().batch(inputs, config, **kwargs)
        from langchain_llmdispatch.batch.progress import batch_with_progress

        return batch_with_progress(self, inputs, config, **kwargs)

    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: Configs = None,
        *,
        progress: bool | None = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Answer several inputs at once, in order; see `batch`."""
        if not progress:
            return await super().abatch(inputs, config, **kwargs)
        from langchain_llmdispatch.batch.progress import abatch_with_progress

        return await abatch_with_progress(self, inputs, config, **kwargs)

    def batch_calls(self, config: RunnableConfig | None, kwargs: Mapping[str, Any]) -> BatchCalls:
        """Return the calls of this model for vendors' batch APIs: what `run_batch(..., via="batch")` uses.

        Args:
            config: For each call: tags and metadata.
            kwargs: Keywords of each call.
        """
        from langchain_llmdispatch.chat_model.batch_calls import ModelBatchCalls

        return ModelBatchCalls(self._engine, config, kwargs)

    @overload
    def map(self) -> Runnable[Sequence[LanguageModelInput], list[AIMessage]]: ...

    @overload
    def map(
        self,
        inputs: Iterable[LanguageModelInput],
        config: RunnableConfig | None = None,
        *,
        max_in_flight: int = ...,
        ordered: bool = True,
        return_exceptions: bool = False,
        progress: bool = False,
        **kwargs: Any,
    ) -> Iterator[Any]: ...

    def map(
        self,
        inputs: Iterable[LanguageModelInput] | None = None,
        config: RunnableConfig | None = None,
        *,
        max_in_flight: int = 64,
        ordered: bool = True,
        return_exceptions: bool = False,
        progress: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Yield the answers to any number of inputs, with bounded memory.

        Inputs are read as there is room, so limits, slow vendors and a slow reader hold back the reading. For
        what a crash must not lose, see `batch.run_batch`.

        Args:
            inputs: Any iterable. Without it, this is `Runnable.map`: a runnable over lists.
            config: For each call.
            max_in_flight: Inputs that are under way at most; so many threads are used.
            ordered: Whether answers come in the order of the inputs; else as `(index, answer)`, as they come.
            return_exceptions: Whether an exception takes an answer's place; else the first one ends it.
            progress: Whether a bar shows how many are done and failed, tokens and dollars; the time left,
                where `inputs` has a length.
            kwargs: For each call.

        Raises:
            ConfigurationError: `max_in_flight` is below 1.
        """
        if inputs is None:
            return super().map()
        from langchain_llmdispatch.batch.window import map_inputs

        options: dict[str, Any] = {
            "max_in_flight": max_in_flight,
            "ordered": ordered,
            "return_exceptions": return_exceptions,
        }

        def answers() -> Iterator[Any]:
            with _bar(inputs, shown=progress) as bar:
                call = partial(self.invoke, config=_counted(config, bar), **kwargs)
                for result in map_inputs(call, inputs, **options):
                    _count(bar, result)
                    yield result

        return answers()

    async def amap(
        self,
        inputs: Iterable[LanguageModelInput] | AsyncIterable[LanguageModelInput],
        config: RunnableConfig | None = None,
        *,
        max_in_flight: int = 64,
        ordered: bool = True,
        return_exceptions: bool = False,
        progress: bool = False,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Yield the answers to any number of inputs, with bounded memory; see `map`.

        Inputs may come from an asynchronous iterator. What is under way when the iteration ends early is
        cancelled.
        """
        from langchain_llmdispatch.batch.window import amap_inputs

        options: dict[str, Any] = {
            "max_in_flight": max_in_flight,
            "ordered": ordered,
            "return_exceptions": return_exceptions,
        }
        with _bar(inputs, shown=progress) as bar:
            call = partial(self.ainvoke, config=_counted(config, bar), **kwargs)
            async with aclosing(amap_inputs(call, inputs, **options)) as results:
                async for result in results:
                    _count(bar, result)
                    yield result


def _bar(inputs: Any, *, shown: bool) -> Any:
    if not shown:
        return nullcontext()
    from langchain_llmdispatch.batch.progress import Progress

    return Progress(len(inputs) if hasattr(inputs, "__len__") else None)


def _counted(config: RunnableConfig | None, bar: Progress | None) -> RunnableConfig | None:
    if bar is None:
        return config
    from langchain_llmdispatch.batch.progress import counted

    return counted(config or {}, bar.usage)


def _count(bar: Progress | None, result: Any) -> None:
    if bar is not None:
        answer = result[1] if isinstance(result, tuple) else result
        bar.add(failed=isinstance(answer, BaseException))
