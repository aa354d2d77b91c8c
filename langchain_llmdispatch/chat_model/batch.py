"""Batches with a progress bar: done, failed, tokens, dollars, time left; results in order.

`model.batch(inputs, progress=True)` and `abatch` use it; `run_batch(chain, inputs)` does the same for any
chain. The bar is tqdm's: a widget in notebooks, a line in terminals, silent where standard error is neither.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Self, TypeAlias

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_config_list

from langchain_llmdispatch.callbacks.usage import UsageCallbackHandler

Configs: TypeAlias = RunnableConfig | list[RunnableConfig] | None


class Progress:
    """A bar that counts a batch's results. Use it as a context manager.

    Args:
        total: How many results will come.
        usage: What counts their tokens and dollars.
        bar: A tqdm class, or a factory of one's own; None chooses the right one.

    Raises:
        ImportError: tqdm is not installed.
    """

    def __init__(self, total: int, usage: UsageCallbackHandler, *, bar: Any = None) -> None:
        self._usage, self._failed = usage, 0
        self._bar = (bar or _tqdm())(total=total, unit="call", **_shown())

    def __enter__(self) -> Self:
        """Show the bar."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def done(self, result: Any) -> None:
        """Count one more result."""
        self._failed += isinstance(result, BaseException)
        usage = self._usage.total
        facts = [f"{usage.total_tokens:,} tokens", _dollars(self._usage)]
        if self._failed:
            facts.insert(0, f"{self._failed} failed")
        self._bar.set_postfix_str(", ".join(facts), refresh=False)
        self._bar.update(1)


def run_batch(
    runnable: Runnable[Any, Any],
    inputs: Sequence[Any],
    config: Configs = None,
    *,
    return_exceptions: bool = False,
    bar: Any = None,
    **kwargs: Any,
) -> list[Any]:
    """Return the results of a batch in order, showing how far it is.

    Args:
        runnable: A chat model, chain or agent.
        inputs: Its inputs.
        config: As for `batch`: one, or one per input; `max_concurrency` bounds how many run at once.
        return_exceptions: Whether a failure is returned in its place rather than raised.
        bar: A tqdm class, or a factory of one's own; None chooses the right one.
        kwargs: Further keywords for each call.
    """
    usage, results = UsageCallbackHandler(), [None] * len(inputs)
    configs = _counting(get_config_list(config, len(inputs)), usage)
    options: Any = {"return_exceptions": return_exceptions, **kwargs}
    with Progress(len(inputs), usage, bar=bar) as progress:
        for index, result in runnable.batch_as_completed(inputs, configs, **options):
            results[index] = result
            progress.done(result)
    return results


async def arun_batch(
    runnable: Runnable[Any, Any],
    inputs: Sequence[Any],
    config: Configs = None,
    *,
    return_exceptions: bool = False,
    bar: Any = None,
    **kwargs: Any,
) -> list[Any]:
    """Return the results of a batch in order, showing how far it is; see `run_batch`."""
    usage, results = UsageCallbackHandler(), [None] * len(inputs)
    configs = _counting(get_config_list(config, len(inputs)), usage)
    options: Any = {"return_exceptions": return_exceptions, **kwargs}
    with Progress(len(inputs), usage, bar=bar) as progress:
        async for index, result in runnable.abatch_as_completed(inputs, configs, **options):
            results[index] = result
            progress.done(result)
    return results


def _counting(configs: list[RunnableConfig], usage: UsageCallbackHandler) -> list[RunnableConfig]:
    """Return the configs, each with the handler that counts."""
    out: list[RunnableConfig] = []
    for config in configs:
        callbacks = config.get("callbacks")
        if callbacks is None or isinstance(callbacks, list):
            callbacks = [*(callbacks or []), usage]
        else:
            callbacks = callbacks.copy()
            callbacks.add_handler(usage)
        out.append({**config, "callbacks": callbacks})
    return out


def _tqdm() -> Any:
    try:
        if _in_notebook() and find_spec("ipywidgets") is None:
            from tqdm.std import tqdm  # noqa: PLC0415 - the choice of tqdm's own would warn of missing widgets
        else:
            from tqdm.auto import tqdm  # noqa: PLC0415 - an extra
    except ImportError as error:
        hint = "progress=True needs tqdm: pip install 'langchain-llmdispatch[notebook]'"
        raise ImportError(hint) from error
    return tqdm


def _shown() -> dict[str, Any]:
    if _in_notebook():  # its output is no terminal, and still somebody looks at it; errors are shown in red
        return {"disable": False, "dynamic_ncols": True, "file": sys.stdout}
    return {"disable": None, "dynamic_ncols": True}


def _in_notebook() -> bool:
    """Return whether this process is a notebook's kernel; one that only starts kernels is none."""
    kernels = sys.modules.get("ipykernel.kernelapp")
    return kernels is not None and bool(kernels.IPKernelApp.initialized())


def _dollars(usage: UsageCallbackHandler) -> str:
    total = usage.total
    if total.unpriced_answers and not total.cost:
        return "price unknown"
    return f"{'at least ' if total.unpriced_answers else ''}${total.cost_usd:.4f}"
