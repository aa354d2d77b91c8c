"""Gemini's function calls: whole ones, and those whose arguments are streamed by JSON path."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from langchain_core.messages.tool import tool_call_chunk

from langchain_llmdispatch.errors import MalformedResponseError
from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.vendors.answer import CallIds, ToolCalls, made_id
from langchain_llmdispatch.vendors.argument_text import arguments_of
from langchain_llmdispatch.vendors.history.answer_blocks import SIGNATURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import ToolCallChunk


@dataclass(slots=True)
class AnswerDelta:
    """What one event adds to an answer.

    Attributes:
        blocks: Content blocks, numbered.
        calls: Tool calls, or pieces of them.
        kwargs: What LangChain keeps in `additional_kwargs`.
    """

    blocks: list[dict[str, Any]] = field(default_factory=list)
    calls: list[ToolCallChunk] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class FunctionCall:
    """One call as it grows.

    Attributes:
        name: The tool, as Gemini names it.
        id: Gemini's id, or one of ours.
        args: The arguments; anything but a dict is no valid call.
        whole: Whether nothing more is to come.
    """

    name: str
    id: str
    args: Any = field(default_factory=dict)
    whole: bool = False


class FunctionCalls:
    """The function calls of one answer, in order."""

    __slots__ = ("_calls", "_ids", "_names")

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._ids = CallIds()
        self._calls: list[FunctionCall] = []

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._calls)

    def add(self, part: Mapping[str, Any], response_id: str, delta: AnswerDelta) -> None:
        """Add a `functionCall` part, and to `delta` what it adds to the answer."""
        raw = part["functionCall"] or {}
        begins = bool(raw.get("name")) or not self._calls or self._calls[-1].whole
        if begins:
            self._begin(part, raw, response_id)
        call = self._calls[-1]
        if "args" in raw:
            call.args = _read(raw["args"])
        for partial in raw.get("partialArgs") or ():
            _set(call.args, str(partial.get("jsonPath") or ""), partial)
        call.whole = not raw.get("willContinue")
        if part.get("thoughtSignature"):
            delta.kwargs.setdefault(SIGNATURES, {}).setdefault(call.id, part["thoughtSignature"])
        if begins or call.whole:
            delta.calls.append(
                tool_call_chunk(
                    name=self._names.get(call.name, call.name) if begins else None,
                    id=call.id if begins else None,
                    args=dump_json(call.args).decode() if call.whole else "",
                    index=len(self._calls) - 1,
                )
            )

    def _begin(self, part: Mapping[str, Any], raw: Mapping[str, Any], response_id: str) -> None:
        # Older models send no id. Ours must differ between turns and be the same whenever it is decoded.
        prefix = response_id or hashlib.sha256(dump_json(part)).hexdigest()[:12]
        identity = raw.get("id") or made_id(prefix, len(self._calls))
        self._calls.append(FunctionCall(str(raw.get("name") or ""), self._ids.own(str(identity))))

    def result(self) -> ToolCalls:
        """Return the calls in LangChain's shape, by validity."""
        calls = ToolCalls(self._names)
        for call in self._calls:
            valid = call.whole and isinstance(call.args, dict)
            args = call.args if valid else dump_json(call.args).decode()
            calls.add(call.name, args, call.id, "the arguments are no whole JSON object")
        return calls


def _read(args: Any) -> Any:
    """Return the arguments of a call; proxies send text, as OpenAI does."""
    if args is None:
        return {}
    return args if not isinstance(args, str) or (value := arguments_of(args)) is None else value


# RFC 9535 as far as Gemini uses it: `$.name`, `['name']`, `[0]`.
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_MOST_SKIPPED = 1000
"""Elements of a list that may come later than those behind them."""
_VALUES = ("stringValue", "numberValue", "boolValue")


def _set(args: Any, path: str, partial: Mapping[str, Any]) -> None:
    """Write one piece of an argument; text of the same path is continued."""
    steps = [_step(found) for found in _STEP.finditer(path)]
    if not steps:
        return
    holder = args
    for step, following in pairwise(steps):
        holder = _held(holder, step, [] if isinstance(following, int) else {})
    value = next((partial[key] for key in _VALUES if key in partial), None)
    last = steps[-1]
    old = _held(holder, last, None)
    holder[last] = old + value if isinstance(old, str) and isinstance(value, str) else value


def _step(found: re.Match[str]) -> str | int:
    name, number, single, double = found.groups()
    if number is not None:
        return int(number)
    quoted = single if single is not None else double
    return name if quoted is None else re.sub(r"\\(.)", r"\1", quoted)


def _held(holder: Any, step: str | int, default: Any) -> Any:
    """Return what `holder` has at `step`, making room for `default` there."""
    if isinstance(step, int):
        if step > len(holder) + _MOST_SKIPPED:
            raise MalformedResponseError(f"an argument has the place {step} in a list of {len(holder)}")
        holder.extend([None] * (step + 1 - len(holder)))
        if holder[step] is None:
            holder[step] = default
        return holder[step]
    return holder.setdefault(step, default)
