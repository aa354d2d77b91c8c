"""The decoder of a streamed chat completion of the OpenAI family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch.errors import TruncatedToolCallError
from langchain_llmdispatch.vendors.answer import content_chunk, model_of, text_of
from langchain_llmdispatch.vendors.finish_reasons import finish_reason_of, has_ended
from langchain_llmdispatch.vendors.openai import chat_answer as answers
from langchain_llmdispatch.vendors.openai.errors import error_body, error_inside, is_inner_failure
from langchain_llmdispatch.vendors.openai.streamed_calls import StreamedCalls
from langchain_llmdispatch.vendors.server_state import host_of, joined_state, message_state, state_kwargs
from langchain_llmdispatch.vendors.stream import FrameDecoder
from langchain_llmdispatch.vendors.streamed_fields import StreamedFields
from langchain_llmdispatch.vendors.usage import count_of, grown_counts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.framing import SSEvent
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

_FAILURES = frozenset({"base_resp", "error"})
"""Fields of a chunk that may mean an error."""
_BESIDE = frozenset(answers.KWARGS)
_PLAIN_CHOICE = frozenset({"index", "delta", "finish_reason"})


class ChatStreamDecoder(FrameDecoder):
    """Chunks of a chat completion.

    A finish reason ends the answer; usage and `[DONE]` may follow or not. The last chunk is held back for
    them, so that `close` gives it where they never come.

    Proxies of Gemini put a finish reason on every chunk (songquanpeng/one-api#1477). There only `[DONE]`, a
    chunk with usage alone, or the end of input ends the answer.

    Args:
        vendor: The vendor.
        call: The call that is answered.
        headers: The response's headers.
        provider: The block translator that reads the answer.
        extras: Metadata from the headers.
    """

    __slots__ = (
        "_calls", "_fields", "_finish_reason", "_head", "_logprobs", "_model", "_open", "_provider",
        "_refused", "_seed", "_stamped", "_state", "_usage",
    )  # fmt: skip

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
        self._calls = StreamedCalls(call.tool_names)
        self._head: dict[str, Any] = dict(extras)
        self._model = ""
        self._seed = ""
        self._finish_reason = ""
        self._refused = False
        # What comes beside the content, and the speech in it; None until there is any.
        self._fields: tuple[StreamedFields, StreamedFields] | None = None
        self._open = False  # whether content has come on a chunk without a finish reason
        self._stamped = False  # whether content has come after a finish reason
        self._state: dict[str, Any] = {}
        self._usage: Any = None
        self._logprobs: dict[str, Any] = {}

    @property
    def used(self) -> UsageMetadata | None:
        """The usage that the vendor has reported so far."""
        return answers.usage_metadata(self._usage)

    def _marked(self) -> AIMessageChunk | None:
        return self._finish()

    def _frame(self, frame: SSEvent) -> AIMessageChunk | None:
        chunk = self._object(frame.data)
        if frame.event == "error" or chunk.get("object") == "error" or not _FAILURES.isdisjoint(chunk):
            self._check(chunk, frame)
        if not self._seed or chunk.get("usage"):
            self._bookkeeping(chunk)
        choices = chunk.get("choices")
        if not choices:
            self.finished = self.finished or bool(self._finish_reason and answers.raw_usage(chunk))
            return None
        choice = choices[0]
        if (place := choice.get("index")) and count_of(place):  # n > 1: the first answer is the answer
            return None
        delta = choice["delta"] if "delta" in choice else choice.get("message")
        message = self._delta(delta) if delta else None
        if not choice.keys() <= _PLAIN_CHOICE:
            self._add_facts(choice)
        if message is not None and self._finish_reason:
            self._stamped, self.finished = True, False
        if (reason := choice.get("finish_reason")) and has_ended(reason):
            self._end(chunk, choice)
        elif message is not None:
            self._open = True
        return message

    def _check(self, chunk: Mapping[str, Any], frame: SSEvent) -> None:
        """Raise the error that a chunk is, if it is one."""
        failed = "base_resp" in chunk and is_inner_failure(chunk)
        if failed or chunk.get("error") or "error" in {frame.event, chunk.get("object")}:
            raise error_inside(self._context, error_body(chunk))

    def _add_facts(self, choice: Mapping[str, Any]) -> None:
        if choice.get("logprobs"):
            self._add_logprobs(choice["logprobs"])
        if choice.get("content_filter_results"):  # Azure: the one at the end is often empty
            self._head["content_filter_results"] = choice["content_filter_results"]

    def _bookkeeping(self, chunk: Mapping[str, Any]) -> None:
        self._model = self._model or model_of(chunk, "")
        self._seed = self._seed or answers.seed_of(chunk)
        self._head.update((name, chunk[name]) for name in answers.HEAD if chunk.get(name))
        if usage := answers.raw_usage(chunk):
            self._usage = grown_counts(self._usage, usage)

    def _add_logprobs(self, logprobs: Mapping[str, Any]) -> None:
        for name, value in logprobs.items():
            if isinstance(value, list):
                self._logprobs.setdefault(name, []).extend(value)

    def _end(self, chunk: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        reason = str(choice["finish_reason"])
        # A failure is known at once; `stop` on later chunks takes back no other reason.
        if finish_reason_of(reason) not in {"stop", "other"} or not self._finish_reason:
            self._finish_reason = reason
        # Where each chunk with content has a finish reason, the first of them need not be the last.
        self.finished = self._open and not self._stamped
        self._bookkeeping(chunk)
        self._head.update((name, choice[name]) for name in answers.TAIL if choice.get(name))

    def _delta(self, delta: Mapping[str, Any]) -> AIMessageChunk | None:
        text = delta.get("content")
        if text.__class__ is str and len(delta) == 1:  # by far the most frequent: text alone
            if not text:
                return None
            return content_chunk(text, self._provider)
        text, reasoning = answers.text_and_reasoning(text)
        kwargs = {} if _BESIDE.isdisjoint(delta) else self._beside(delta)
        if delta.get("refusal"):
            kwargs["refusal"], self._refused = text_of(delta["refusal"]), True
        if reasoning := answers.reasoning_of(delta) or reasoning:
            kwargs["reasoning_content"] = reasoning
        if state := message_state(delta):
            self._state = joined_state(self._state, state)
        pieces = answers.raw_calls(delta)
        if not text and not kwargs and not pieces:
            return None
        return AIMessageChunk(
            content=text,
            additional_kwargs=kwargs,
            tool_call_chunks=self._calls.add(pieces, self._seed),
            response_metadata={"model_provider": self._provider},
        )

    def _beside(self, delta: Mapping[str, Any]) -> dict[str, Any]:
        """Return the pieces of speech and its transcript, and hold what else comes beside the content."""
        fields = {name: delta[name] for name in answers.KWARGS if delta.get(name)}
        self._open = self._open or bool(fields)
        speech = fields.pop("audio") if isinstance(fields.get("audio"), dict) else {}
        if self._fields is None:
            self._fields = StreamedFields({}, ()), StreamedFields({}, ("data", "transcript"))
        self._fields[0].add(fields)
        pieces = self._fields[1].add(speech)
        return {"audio": pieces} if pieces else {}

    def _rest_beside(self) -> dict[str, Any]:
        """Return what was held, once no more is to come."""
        if self._fields is None:
            return {}
        rest, speech = (fields.rest() for fields in self._fields)
        return {**rest, "audio": speech} if speech else rest

    def _finish(self) -> AIMessageChunk | None:
        if not self._finish_reason:
            return super()._finish()
        if problem := self._calls.problem():
            raise self._error(TruncatedToolCallError, problem)
        self.finished = self.done = True
        metadata = {
            "model_provider": self._provider,
            "model_name": self._model or self._call.model,
            **answers.ending_metadata(self._finish_reason, calls=bool(self._calls), refused=self._refused),
            **self._head,
        }
        metadata |= answers.price_facts(self._usage, self._call.model)
        if self._logprobs:
            metadata["logprobs"] = self._logprobs
        host = host_of(self._call.endpoint.base_url)
        return AIMessageChunk(
            content="",
            additional_kwargs={
                **self._rest_beside(),
                **state_kwargs(host, self._call.model, self._state, self._calls.states()),
            },
            tool_call_chunks=self._calls.rest(),
            usage_metadata=answers.usage_metadata(self._usage),
            response_metadata=metadata,
            chunk_position="last",
        )
