"""Progress bars over many calls: done, failed, tokens, dollars, time left.

`model.batch(inputs, progress=True)`, `abatch`, `map` and batches use it. The bar is tqdm's: a widget in
notebooks, a line in terminals, silent elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Self, TypeAlias

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_config_list

from langchain_llmdispatch.callbacks.usage import UsageCallbackHandler
from langchain_llmdispatch.internal.extras import needs

Configs: TypeAlias = RunnableConfig | list[RunnableConfig] | None


class Progress:
    """The bar of many calls. Use it as a context manager.

    Args:
        total: How many results will come; None if that is unknown.
        bar: A tqdm class, or a factory of one's own; None chooses the right one.

    Attributes:
        usage: The handler that counts what the calls use.

    Raises:
        ImportError: tqdm is not installed.
    """

    def __init__(self, total: int | None, *, bar: Any = None) -> None:
        self.usage, self._failed = UsageCallbackHandler(), 0
        self._bar = (bar or _tqdm())(total=total, unit="call", **_bar_options())

    def __enter__(self) -> Self:
        """Return it; the bar is shown."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def add(self, *, failed: bool) -> None:
        """Count one result, or an exception in its stead."""
        self._failed += failed
        facts = [f"{self.usage.total.total_tokens:,} tokens", _dollars(self.usage)]
        if self._failed:
            facts.insert(0, f"{self._failed} failed")
        self._bar.set_postfix_str(", ".join(facts), refresh=False)
        self._bar.update(1)


def batch_with_progress(
    runnable: Runnable[Any, Any],
    inputs: Sequence[Any],
    config: Configs = None,
    *,
    bar: Any = None,
    **kwargs: Any,
) -> list[Any]:
    """Return the results of a batch in order, with a bar that shows how far it is.

    Args:
        runnable: A chat model, chain or agent.
        inputs: Its inputs.
        config: As for `batch`: one, or one per input; `max_concurrency` bounds how many run at once.
        bar: A tqdm class, or a factory of one's own; None chooses the right one.
        kwargs: As for `batch`: `return_exceptions`, and keywords of each call.
    """
    results: list[Any] = [None] * len(inputs)
    with Progress(len(inputs), bar=bar) as progress:
        configs = _configs(config, len(inputs), progress)
        for index, result in runnable.batch_as_completed(inputs, configs, **kwargs):
            results[index] = result
            progress.add(failed=isinstance(result, BaseException))
    return results


async def abatch_with_progress(
    runnable: Runnable[Any, Any],
    inputs: Sequence[Any],
    config: Configs = None,
    *,
    bar: Any = None,
    **kwargs: Any,
) -> list[Any]:
    """Return the results of a batch in order, with a bar; see `batch_with_progress`."""
    results: list[Any] = [None] * len(inputs)
    with Progress(len(inputs), bar=bar) as progress:
        configs = _configs(config, len(inputs), progress)
        async for index, result in runnable.abatch_as_completed(inputs, configs, **kwargs):
            results[index] = result
            progress.add(failed=isinstance(result, BaseException))
    return results


def _configs(config: Configs, length: int, progress: Progress) -> list[RunnableConfig]:
    return [counted(each, progress.usage) for each in get_config_list(config, length)]


def counted(config: RunnableConfig, *handlers: BaseCallbackHandler) -> RunnableConfig:
    """Return the config with further handlers."""
    callbacks = config.get("callbacks")
    if callbacks is None or isinstance(callbacks, list):
        return {**config, "callbacks": [*(callbacks or []), *handlers]}
    callbacks = callbacks.copy()
    for handler in handlers:
        callbacks.add_handler(handler)
    return {**config, "callbacks": callbacks}


def _tqdm() -> Any:
    with needs("notebook", "progress=True needs tqdm"):
        if _in_notebook() and find_spec("ipywidgets") is None:
            from tqdm.std import tqdm  # noqa: PLC0415 - the choice of tqdm's own would warn of missing widgets
        else:
            from tqdm.auto import tqdm  # noqa: PLC0415 - an extra
    return tqdm


def _bar_options() -> dict[str, Any]:
    if (
        _in_notebook()
    ):  # its output is no terminal, but it is shown; what goes to standard error is shown in red
        return {"disable": False, "dynamic_ncols": True, "file": sys.stdout}
    return {"disable": None, "dynamic_ncols": True}


def _in_notebook() -> bool:
    """Return whether this process is a notebook's kernel, and not one that only starts kernels."""
    kernels = sys.modules.get("ipykernel.kernelapp")
    return kernels is not None and bool(kernels.IPKernelApp.initialized())


def _dollars(usage: UsageCallbackHandler) -> str:
    total = usage.total
    if total.unpriced_answers and not total.cost:
        return "price unknown"
    return f"{'at least ' if total.unpriced_answers else ''}${total.cost_usd:.4f}"
