"""Gemini's answers: parts to content blocks, usage, endings. One event or a whole body: the same code.

Content is a plain string where the model signs nothing, and a list of blocks where it may, so that the
chunks of one answer never mix the two: from Gemini 3 on, for Gemini 2.5 with tools, and for whatever
carries thoughts, code or media. Blocks have the shapes that LangChain's `google_genai` translator reads.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_llmdispatch.catalog.models import facts
from langchain_llmdispatch.errors import EmptyAnswerError, MalformedResponseError, VendorError
from langchain_llmdispatch.vendors.answer import json_object, text_of
from langchain_llmdispatch.vendors.base import ErrorBody
from langchain_llmdispatch.vendors.finish_reasons import ending, ending_of
from langchain_llmdispatch.vendors.google.contents import NATIVE, OUTCOMES, signs
from langchain_llmdispatch.vendors.google.errors import error_inside
from langchain_llmdispatch.vendors.google.function_calls import AnswerDelta, FunctionCalls
from langchain_llmdispatch.vendors.google.metadata import (
    BLOCK_NUMBERS,
    FINISH_NUMBERS,
    Json,
    count_characters,
    enum_name,
    grown,
    mend_grounding,
    snake,
    usage_metadata,
    wav,
)
from langchain_llmdispatch.vendors.google.rules import LISTING
from langchain_llmdispatch.vendors.google.server_tools import name_of, standardised
from langchain_llmdispatch.vendors.history.answer_blocks import SIGNATURES
from langchain_llmdispatch.vendors.usage import count_of, grown_counts

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.errors import ErrorContext

# What a candidate may carry beside content and reason, and the name it gets in `response_metadata`.
_EXTRAS = {
    "finishMessage": "finish_message",
    "safetyRatings": "safety_ratings",
    "groundingMetadata": "grounding_metadata",
    "citationMetadata": "citation_metadata",
    "urlContextMetadata": "url_context_metadata",
    "logprobsResult": "logprobs",
    "avgLogprobs": "avg_logprobs",
}
_EXTRA_KEYS = _EXTRAS.keys()
_GROWING = frozenset({"citationMetadata", "logprobsResult"})
_ESTIMATED = ("promptTokenCount", "totalTokenCount")
_USAGE_EXTRAS = {"serviceTier": "service_tier", "trafficType": "traffic_type"}


class AnswerBuilder:
    """Builds one answer from events: numbers the blocks, keeps what is reported at the end.

    Attributes:
        structured: Whether content is a list of blocks.
        ended: Whether no content has come since a finish reason, or the prompt was blocked.
        calls: The tool calls so far.
        text_index: The number of the first block of text.
        ran: Names of Google's own tools that have parts of their own in the answer.
    """

    __slots__ = (
        "_audio", "_context", "_extras", "_feedback", "_id", "_index", "_kind", "_model", "_reason", "_texts",
        "_usage", "calls", "ended", "ran", "structured", "text_index",
    )  # fmt: skip

    def __init__(self, context: ErrorContext) -> None:
        self._context = context
        self._extras: dict[str, Any] = {}
        self._feedback: Json = {}
        self._usage: dict[str, Any] = {}
        self._model = self._id = self._reason = self._kind = ""
        self._index = -1
        self._texts: list[str] = []
        self._audio: list[Json] = []
        self.calls = FunctionCalls(context.call.tool_names)
        self.structured: bool | None = None
        self.ended = False
        self.text_index: int | None = None
        self.ran: set[str] = set()

    def add(self, event: Any) -> AnswerDelta:
        """Return what one event (or a whole body) adds.

        Raises:
            VendorError: It is an error, or no event of Gemini's.
        """
        if not isinstance(event, Mapping):
            raise self._context.error(MalformedResponseError, "the answer is no JSON object")
        if event.get("error") is not None:
            raise error_inside(self._context, event["error"])
        delta = AnswerDelta()
        self._add_facts(event)
        for candidate in event.get("candidates") or ():
            if not candidate.get("index"):  # only one is ever requested
                self._add_candidate(candidate, delta)
        return delta

    def _add_facts(self, event: Json) -> None:
        if self._model == "" or self._id == "":
            self._model = str(event.get("modelVersion") or self._model)
            self._id = event.get("responseId") or self._id
        if self.structured is None:
            call = self._context.call
            self.structured = _may_sign(call, self._model or call.model)
        if usage := event.get("usageMetadata"):
            self._add_usage(usage, final=any(map(_has_ended, event.get("candidates") or ())))
        feedback = event.get("promptFeedback")
        if feedback:
            self._feedback = feedback
            self.ended = self.ended or bool(self.block_reason)

    def _add_usage(self, usage: Json, *, final: bool) -> None:
        self._usage = grown_counts(self._usage, usage)
        if final and count_of(usage.get("promptTokenCount")):
            # The prompt's count is an estimate until the last event, and then often less by some tokens.
            self._usage |= {key: usage[key] for key in _ESTIMATED if key in usage}

    def _add_candidate(self, candidate: Json, delta: AnswerDelta) -> None:
        parts = (candidate.get("content") or {}).get("parts") or ()
        for part in parts:
            self._add_part(part, delta)
        if not _EXTRA_KEYS.isdisjoint(candidate):
            self._keep(candidate)
        reason = enum_name(candidate.get("finishReason"), FINISH_NUMBERS)
        self.ended = bool(reason) or (self.ended and not parts)
        if reason:
            self._add_reason(reason)

    def _keep(self, candidate: Json) -> None:
        for key in _EXTRA_KEYS & candidate.keys():
            value, old = candidate[key], self._extras.get(key)
            if value:
                self._extras[key] = grown(old, value) if old and key in _GROWING else value

    def _add_reason(self, reason: str) -> None:
        if reason != "STOP" or not self._reason:  # STOP on each event takes back no other reason
            self._reason = reason
        if ending_of(reason) == "error":
            message = self._extras.get("finishMessage") or ""
            raise self._failed(f"{reason} {message}".strip(), reason)

    # -- parts -------------------------------------------------------------------------------------

    def _add_part(self, part: Json, delta: AnswerDelta) -> None:
        if None in part.values():  # proxies write fields that are absent
            part = {name: value for name, value in part.items() if value is not None}
        if "functionCall" in part:
            self._kind = ""
            self.structured = self.structured or "thoughtSignature" in part
            self.calls.add(part, self._id, delta)
            return
        text = part.get("text")
        if text is not None:
            text = text_of(text)
            signature = part.get("thoughtSignature")
            if part.get("thought"):
                self._place(_thinking(text, signature), "thinking", delta, closed=bool(signature))
            elif text or signature:
                block: dict[str, Any] = {"type": "text", "text": text}
                if signature:
                    block["extras"] = {"signature": signature}
                self._texts.append(text)
                self._place(block, "text", delta, closed=bool(signature))
        elif part:
            self._add_other(part, delta)

    def _add_other(self, part: Json, delta: AnswerDelta) -> None:
        inline = part.get("inlineData") or {}
        mime = str(inline.get("mimeType") or "")
        if part.get("thought"):
            block: dict[str, Any] = {"type": NATIVE, "part": dict(part)}
        elif "executableCode" in part:
            block = self._code(part, delta)
        elif "codeExecutionResult" in part:
            block = self._code_result(part["codeExecutionResult"])
        elif mime.startswith("image/"):
            url = f"data:{mime};base64,{inline.get('data', '')}"
            block = {"type": "image_url", "image_url": {"url": url}}
            if part.get("thoughtSignature"):
                block["extras"] = {"signature": part["thoughtSignature"]}
        elif mime.startswith(("audio/L16", "audio/pcm", "audio/wav")):
            self._audio.append(inline)
            return
        else:
            self.ran.add(name_of(part))
            block = {"type": NATIVE, "part": dict(part)}
        self._place(block, "", delta)

    def _code(self, part: Json, delta: AnswerDelta) -> dict[str, Any]:
        code = part["executableCode"]
        id_ = code.get("id") or self._code_id(self._index + 1)
        if part.get("thoughtSignature"):
            delta.kwargs.setdefault(SIGNATURES, {})[id_] = part["thoughtSignature"]
        language = str(code.get("language") or "PYTHON").lower()
        source = code.get("code", "")
        return {"type": "executable_code", "executable_code": source, "language": language, "id": id_}

    def _code_result(self, result: Json) -> dict[str, Any]:
        outcome = result.get("outcome")
        return {
            "type": "code_execution_result",
            "code_execution_result": result.get("output", ""),
            "outcome": OUTCOMES.get(outcome, 2) if isinstance(outcome, str) else outcome or 1,
            # Without ids the result belongs to the block before it.
            "tool_call_id": result.get("id") or self._code_id(self._index),
        }

    def _code_id(self, index: int) -> str:
        return f"{self._id or 'code'}_call_{index}"

    def _place(self, block: dict[str, Any], kind: str, delta: AnswerDelta, *, closed: bool = False) -> None:
        """Number `block`: text goes on in the block before it, until a signature closes that."""
        if not kind or kind != self._kind:
            self._index += 1
        if kind == "text" and self.text_index is None:
            self.text_index = self._index
        block["index"] = self._index
        self._kind = "" if closed else kind
        if closed or kind != "text":
            self.structured = True
        last = delta.blocks[-1] if delta.blocks else None
        if last is not None and last["index"] == self._index:
            last[kind] += block[kind]
            last.update({key: block[key] for key in ("extras", "signature") if key in block})
        else:
            delta.blocks.append(block)

    def content(self, delta: AnswerDelta) -> str | list[Any]:
        """Return the content of `delta`, in the form that this answer has."""
        if self.structured:
            return delta.blocks
        return "".join([block["text"] for block in delta.blocks])

    # -- the end -----------------------------------------------------------------------------------

    @property
    def block_reason(self) -> str:
        """Why the prompt was refused, or empty."""
        return enum_name(self._feedback.get("blockReason"), BLOCK_NUMBERS)

    @property
    def _empty(self) -> bool:
        return self._index < 0 and not self.calls and not self._audio

    def ending(self) -> dict[str, Any]:
        """Return the facts of the answer's end.

        Raises:
            MalformedResponseError: It did not end, or ended in a way that makes no answer.
        """
        if not self._reason:
            if self.block_reason:
                return ending(self.block_reason) | {"normalized_finish_reason": "content_filter"}
            cls = EmptyAnswerError if self._empty else MalformedResponseError
            raise self._context.error(cls, "the answer has no finish reason")
        # OTHER, NO_IMAGE and future words are ambiguous: nothing is no answer.
        if ending_of(self._reason) in {None, "other"} and self._empty:
            message = self._extras.get("finishMessage") or "nothing was answered"
            raise self._failed(f"{self._reason}: {message}", self._reason)
        return ending(self._reason, calls=bool(self.calls))

    def metadata(self) -> dict[str, Any]:
        """Return everything that is reported once, at the end, as `response_metadata`."""
        found: dict[str, Any] = {
            "model_provider": self._context.vendor.provider,
            "model_name": self._model or self._context.call.model,
            **self.ending(),
        }
        if self._id:
            found["id"] = self._id
        for key, value in self._extras.items():
            found[_EXTRAS[key]] = snake(value)
        if "grounding_metadata" in found:
            mend_grounding(found["grounding_metadata"])
            count_characters(found["grounding_metadata"], "".join(self._texts))
        for key, name in _USAGE_EXTRAS.items():
            if self._usage.get(key):
                found[name] = self._usage[key]
        if self.block_reason:
            found["block_reason"] = self.block_reason
            # The translator makes a refusal block of this.
            found["prompt_feedback"] = {**snake(self._feedback), "block_reason": self.block_reason}
        return found

    def usage(self) -> UsageMetadata | None:
        """Return the last counters, or None if none came."""
        return usage_metadata(self._usage)

    def audio(self) -> dict[str, Any]:
        """Return generated speech where the translator looks for it: WAV bytes in `additional_kwargs`."""
        if not self._audio:
            return {}
        mime = str(self._audio[0].get("mimeType"))
        data = b"".join(base64.b64decode(item.get("data", "")) for item in self._audio)
        return {"audio": data if "wav" in mime else wav(data, mime)}

    def _failed(self, message: str, code: str) -> VendorError:
        return self._context.error(MalformedResponseError, ErrorBody(message, code=code))


def decode_answer(context: ErrorContext, body: bytes) -> AIMessage:
    """Return the message in the body of an answer that was not streamed.

    Raises:
        MalformedResponseError: It is no answer.
        VendorError: It is an error after all.
    """
    builder = AnswerBuilder(context)
    delta = builder.add(json_object(body, context))
    metadata, calls = builder.metadata(), builder.calls.result()
    content = builder.content(delta) if delta.blocks else [] if builder.structured and calls else ""
    if isinstance(content, list):
        # Numbers only serve to merge chunks.
        content = [{k: v for k, v in block.items() if k != "index"} for block in content]
    message = AIMessage(
        content=content,
        tool_calls=calls.valid,
        invalid_tool_calls=calls.invalid,
        additional_kwargs={**delta.kwargs, **builder.audio()},
        response_metadata=metadata,
        usage_metadata=builder.usage(),
    )
    return standardised(message, builder.ran) if context.call.server_tools and content else message


def _has_ended(candidate: Json) -> bool:
    return bool(enum_name(candidate.get("finishReason"), FINISH_NUMBERS))


def _may_sign(call: Call, model: str) -> bool:
    """Whether the answer may hold more than text; a stream must choose before it does."""
    tools = bool(call.tools or call.server_tools)
    if signs(model) or signs(call.model) or "-image" in model or call.server_tools:
        return True
    return tools and facts(LISTING, model).thinking != "none"


def _thinking(text: str, signature: str | None) -> dict[str, Any]:
    block = {"type": "thinking", "thinking": text}
    if signature:
        block["signature"] = signature
    return block
