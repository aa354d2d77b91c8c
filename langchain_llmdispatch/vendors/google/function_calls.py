"""Gemini's function calls: whole ones, and those whose arguments are streamed by JSON path."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from langchain_core.messages import InvalidToolCall, ToolCall, ToolCallChunk

from langchain_llmdispatch.framing import dump_json
from langchain_llmdispatch.vendors.google.request import SIGNATURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmdispatch.types import Call


@dataclass(slots=True)
class FunctionCall:
    """One call as it grows.

    Attributes:
        name: The tool, as the caller knows it.
        id: Gemini's id, or one of ours.
        args: The arguments; anything but a dict is no valid call.
        whole: Whether nothing more is to come.
    """

    name: str
    id: str
    args: Any = field(default_factory=dict)
    whole: bool = False

    @property
    def valid(self) -> bool:
        """Whether the call can be made."""
        return self.whole and isinstance(self.args, dict)


class CallAssembly:
    """The function calls of one answer, in order."""

    __slots__ = ("_names", "calls")

    def __init__(self, call: Call) -> None:
        self._names = call.tool_names
        self.calls: list[FunctionCall] = []

    def take(
        self,
        part: Mapping[str, Any],
        response_id: str,
        chunks: list[ToolCallChunk],
        kwargs: dict[str, Any],
    ) -> None:
        """Take one `functionCall` part; add what can be said of it to `chunks` and `kwargs`."""
        said = part["functionCall"] or {}
        begins = bool(said.get("name")) or not self.calls or self.calls[-1].whole
        if begins:
            self._begin(part, said, response_id)
        call, index = self.calls[-1], len(self.calls) - 1
        if "args" in said:
            call.args = {} if said["args"] is None else said["args"]
        for partial in said.get("partialArgs") or ():
            _set(call.args, str(partial.get("jsonPath") or ""), partial)
        call.whole = not said.get("willContinue")
        if part.get("thoughtSignature"):
            kwargs.setdefault(SIGNATURES, {}).setdefault(call.id, part["thoughtSignature"])
        if begins or call.whole:
            chunks.append(
                ToolCallChunk(
                    name=call.name if begins else None,
                    id=call.id if begins else None,
                    args=dump_json(call.args).decode() if call.whole else "",
                    index=index,
                    type="tool_call_chunk",
                )
            )

    def _begin(self, part: Mapping[str, Any], said: Mapping[str, Any], response_id: str) -> None:
        name = str(said.get("name") or "")
        # Older models send no id. Ours must differ between turns and be the same whenever it is decoded.
        prefix = response_id or hashlib.sha256(dump_json(part)).hexdigest()[:12]
        id_ = said.get("id") or f"{prefix}_call_{len(self.calls)}"
        self.calls.append(FunctionCall(self._names.get(name, name), str(id_)))

    @property
    def cut(self) -> bool:
        """Whether some call is not whole, or no call at all."""
        return not all(call.valid and call.name for call in self.calls)

    def messages(self) -> tuple[list[ToolCall], list[InvalidToolCall]]:
        """Return the valid and the invalid calls in LangChain's shape."""
        valid = [
            ToolCall(name=call.name, args=call.args, id=call.id, type="tool_call")
            for call in self.calls
            if call.valid
        ]
        invalid = [
            InvalidToolCall(
                name=call.name,
                args=dump_json(call.args).decode(),
                id=call.id,
                error="the arguments are no whole JSON object",
                type="invalid_tool_call",
            )
            for call in self.calls
            if not call.valid
        ]
        return valid, invalid


# RFC 9535 as far as Gemini uses it: `$.name`, `['name']`, `[0]`.
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
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
        holder.extend([None] * (step + 1 - len(holder)))
        if holder[step] is None:
            holder[step] = default
        return holder[step]
    return holder.setdefault(step, default)
