"""The outermost run that a call belongs to: a whole agent with its subagents is one run.

LangChain hands a model the id of the run around it, not that of the outermost. It is known, in this order,
from: `run_id` in the metadata (LangGraph's server sets it); the control object of LangGraph's runtime, which
a graph shares with the graphs that its nodes and tools call; a tracer among the handlers; the run around.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from langchain_core.runnables import ensure_config

from langchain_llmdispatch.internal import forks

_RUNTIME = "__pregel_runtime"
_CONTROLS: OrderedDict[int, tuple[Any, str]] = OrderedDict()
_MOST_CONTROLS = 1024  # runs that are open at once, at most; as long as one is kept its address is its own


def root_run(metadata: Mapping[str, Any], manager: Any = None) -> str:
    """Return the id of the outermost run around this moment; empty outside of runs.

    Args:
        metadata: The metadata of the run.
        manager: LangChain's manager of the model's run, or None.
    """
    if metadata.get("run_id"):
        return str(metadata["run_id"])
    runtime = ensure_config()["configurable"].get(_RUNTIME)
    control = getattr(runtime, "control", None)
    if control is not None:
        return _control_name(control)
    around = getattr(manager, "parent_run_id", None)
    if around is None:
        return str(getattr(manager, "run_id", "") or "")
    for handler in getattr(manager, "handlers", ()):
        runs = getattr(handler, "run_map", None)
        found = runs.get(str(around)) if isinstance(runs, Mapping) else None
        if found is not None and getattr(found, "trace_id", None) is not None:
            return str(found.trace_id)
    return str(around)


def _control_name(control: Any) -> str:
    """Return the name of a graph's control object, which is its outermost run's alone."""
    with forks.undivided():
        if id(control) not in _CONTROLS and len(_CONTROLS) >= _MOST_CONTROLS:
            _CONTROLS.popitem(last=False)
        held = _CONTROLS.setdefault(id(control), (control, uuid4().hex))
        _CONTROLS.move_to_end(id(control))
        return held[1]
