"""The decoder of a streamed chat completion of the OpenAI family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk

from langchain_llmdispatch.errors import MalformedResponseError, TruncatedToolCallError
from langchain_llmdispatch.vendors.answer import arguments, text_chunk, text_of
from langchain_llmdispatch.vendors.openai import chat_answer as answers
from langchain_llmdispatch.vendors.openai.errors import error_body, error_inside
from langchain_llmdispatch.vendors.stream import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.framing import SSEvent
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor


class PartialToolCall:
    """One tool call as its pieces arrive."""

    __slots__ = ("args", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.args: list[str] = []


class ToolCallAssembler:
    """The tool calls of a stream, kept apart though servers omit or repeat indices, ids and names."""

    __slots__ = ("_by_wire", "_calls", "_names")

    def __init__(self, names: Mapping[str, str]) -> None:
        self._calls: list[PartialToolCall] = []
        self._by_wire: dict[int, int] = {}
        self._names = names

    def __bool__(self) -> bool:
        """Whether there was any."""
        return bool(self._calls)

    def add(self, pieces: list[Mapping[str, Any]], seed: str) -> list[ToolCallChunk]:
        """Return chunks for `pieces`; id and name appear once per call."""
        return [self._add(piece, seed) for piece in pieces]

    def _add(self, piece: Mapping[str, Any], seed: str) -> ToolCallChunk:
        name, args = answers.call_parts(piece)
        index = self._index(piece, name)
        call = self._calls[index]
        chunk = ToolCallChunk(type="tool_call_chunk", name=None, args=None, id=None, index=index)
        if not call.id:
            chunk["id"] = call.id = answers.call_id(piece.get("id"), seed, index)
        if name and not call.name:
            call.name = name
            chunk["name"] = self._names.get(name, name)
        if args and not (args == "null" and not call.args):
            call.args.append(args)
            chunk["args"] = args
        return chunk

    def _index(self, piece: Mapping[str, Any], name: Any) -> int:
        wire, identity = piece.get("index"), piece.get("id")
        known = self._by_wire.get(wire) if isinstance(wire, int) else len(self._calls) - 1
        # Some servers give every call index 0, or none: a new id beside a name begins a new call.
        if known is None or known < 0 or (name and identity and identity != self._calls[known].id):
            self._calls.append(PartialToolCall())
            known = len(self._calls) - 1
            if isinstance(wire, int):
                self._by_wire[wire] = known
        return known

    def problem(self) -> str | None:
        """Return what is wrong with the calls, or None if all are whole."""
        for call in self._calls:
            if not call.name:
                return "a tool call has no name"
            if arguments("".join(call.args)) is None:
                return "the arguments of a tool call are no whole JSON object"
        return None


class ChatStreamDecoder(FrameDecoder):
    """Chunks of a chat completion.

    A finish reason ends the answer; usage and `[DONE]` may follow or not. The last chunk is held back for
    them, so that `close` gives it where they never come.

    Args:
        vendor: The vendor.
        call: The call that is answered.
        headers: The response's headers.
        provider: The block translator that reads the answer.
        extras: Metadata from the headers.
    """

    __slots__ = ("_calls", "_finish_reason", "_head", "_logprobs", "_model", "_provider", "_seed", "_usage")

    end_marker: ClassVar[str] = "a finish reason"

    def __init__(
        self,
        vendor: Vendor,
        call: Call,
        headers: Mapping[str, str],
        *,
        provider: str,
        extras: Mapping[str, Any],
    ) -> None:
        super().__init__(vendor, call, headers)
        self._provider = provider
        self._calls = ToolCallAssembler(call.tool_names)
        self._head: dict[str, Any] = dict(extras)
        self._model = ""
        self._seed = ""
        self._finish_reason = ""
        self._usage: Any = None
        self._logprobs: dict[str, Any] = {}

    @property
    def used(self) -> UsageMetadata | None:
        """The usage that the vendor has reported so far."""
        return answers.usage_metadata(self._usage)

    def _frame(self, frame: SSEvent) -> AIMessageChunk | None:
        data = frame.data
        if data == "[DONE]":
            return self._finish()
        if not data.strip():
            return None
        chunk = self._object(data)
        if chunk.get("error") or frame.event == "error" or chunk.get("object") == "error":
            raise error_inside(self._context, error_body(chunk))
        if not self._seed or chunk.get("usage"):
            self._bookkeeping(chunk)
        choices = chunk.get("choices")
        if not choices:
            return None
        choice = choices[0]
        if choice.get("index"):  # n > 1: the first answer is the answer
            return None
        delta = choice.get("delta")
        message = self._delta(delta) if delta else None
        if choice.get("logprobs"):
            self._add_logprobs(choice["logprobs"])
        if choice.get("content_filter_results"):  # Azure: the one at the end is often empty
            self._head["content_filter_results"] = choice["content_filter_results"]
        if choice.get("finish_reason"):
            self._end(chunk, choice)
        return message

    def _bookkeeping(self, chunk: Mapping[str, Any]) -> None:
        self._model = self._model or chunk.get("model") or ""
        self._seed = self._seed or answers.seed_of(chunk)
        self._head.update((name, chunk[name]) for name in answers.HEAD if chunk.get(name))
        if usage := answers.raw_usage(chunk):
            self._usage = usage

    def _add_logprobs(self, logprobs: Mapping[str, Any]) -> None:
        for name, value in logprobs.items():
            if isinstance(value, list):
                self._logprobs.setdefault(name, []).extend(value)

    def _end(self, chunk: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        reason = str(choice["finish_reason"])
        if reason in answers.FAILED:
            raise self._error(MalformedResponseError, f"the answer failed: {reason}")
        self._finish_reason, self.finished = reason, True
        self._bookkeeping(chunk)
        self._head.update((name, choice[name]) for name in answers.TAIL if choice.get(name))

    def _delta(self, delta: Mapping[str, Any]) -> AIMessageChunk | None:
        text = delta.get("content")
        if text.__class__ is str and len(delta) == 1:  # by far the most frequent: text alone
            if not text:
                return None
            return text_chunk(text, self._provider)
        text, reasoning = answers.text_and_reasoning(text)
        kwargs = {name: delta[name] for name in answers.KWARGS if delta.get(name)}
        if delta.get("refusal"):
            kwargs["refusal"] = text_of(delta["refusal"])
        if reasoning := answers.reasoning_of(delta) or reasoning:
            kwargs["reasoning_content"] = reasoning
        pieces = answers.raw_calls(delta)
        if not text and not kwargs and not pieces:
            return None
        return AIMessageChunk(
            content=text,
            additional_kwargs=kwargs,
            tool_call_chunks=self._calls.add(pieces, self._seed),
            response_metadata={"model_provider": self._provider},
        )

    def _finish(self) -> AIMessageChunk | None:
        if not self.finished:
            return super()._finish()
        if problem := self._calls.problem():
            raise self._error(TruncatedToolCallError, problem)
        self.done = True
        metadata = {
            "model_provider": self._provider,
            "model_name": self._model or self._call.model,
            "finish_reason": answers.finish_reason(self._finish_reason, calls=bool(self._calls)),
            **self._head,
        }
        if self._logprobs:
            metadata["logprobs"] = self._logprobs
        return AIMessageChunk(
            content="",
            usage_metadata=answers.usage_metadata(self._usage),
            response_metadata=metadata,
            chunk_position="last",
        )
