"""Gemini's answers: parts to content blocks, usage, endings. One event or a whole body: the same code.

Content is a plain string where the model signs nothing, and a list of blocks where it may, so that the
chunks of one answer never mix the two: from Gemini 3 on, for Gemini 2.5 with tools, and for whatever
carries thoughts, code or media. Blocks have the shapes that LangChain's `google_genai` translator reads.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.catalog.models import facts
from langchain_llmdispatch.errors import EmptyAnswerError, MalformedResponseError, VendorError
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.google.errors import error_of
from langchain_llmdispatch.vendors.google.function_calls import CallAssembly
from langchain_llmdispatch.vendors.google.metadata import (
    BLOCK_NUMBERS,
    FINISH_NUMBERS,
    Json,
    count_characters,
    enum_name,
    grown,
    snake,
    usage,
    wav,
)
from langchain_llmdispatch.vendors.google.request import (
    NATIVE,
    OUTCOMES,
    SIGNATURES,
    signs,
)
from langchain_llmdispatch.vendors.google.rules import LISTING

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.types import Call, FinishReason
    from langchain_llmdispatch.vendors.base import Vendor

# Candidate.FinishReason of v1beta. Absent ones are ambiguous (OTHER, NO_IMAGE, future ones): with content
# the answer counts as cut short, without any as malformed.
_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
_FAILED = frozenset({
    "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE",
})  # fmt: skip
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
# What reading a body of another shape raises.
_ODD = (AttributeError, IndexError, KeyError, TypeError, ValueError)
_EXTRA_KEYS = _EXTRAS.keys()
_GROWING = frozenset({"citationMetadata", "logprobsResult"})
_USAGE_EXTRAS = {"serviceTier": "service_tier", "trafficType": "traffic_type"}


class Piece:
    """What one event adds to an answer."""

    __slots__ = ("blocks", "calls", "kwargs")

    def __init__(self) -> None:
        self.blocks: list[dict[str, Any]] = []
        self.calls: list[Any] = []
        self.kwargs: dict[str, Any] = {}


class Answer:
    """One answer as it grows: numbers the blocks, keeps what only the end may say.

    Attributes:
        structured: Whether content is a list of blocks.
        ended: Whether the last event carried a finish reason or a blocked prompt.
        assembly: The tool calls so far.
    """

    __slots__ = (
        "_audio", "_call", "_extras", "_feedback", "_id", "_index", "_kind", "_model", "_reason",
        "_texts", "_usage", "_vendor", "assembly", "ended", "spoke", "structured", "text_index",
    )  # fmt: skip

    def __init__(self, vendor: Vendor, call: Call) -> None:
        self._vendor = vendor
        self._call = call
        self._extras: dict[str, Any] = {}
        self._feedback: Json = {}
        self._usage: Json = {}
        self._model = self._id = self._reason = self._kind = ""
        self._index = -1
        self._texts: list[str] = []
        self._audio: list[Json] = []
        self.assembly = CallAssembly(call)
        self.structured: bool | None = None
        self.ended = self.spoke = False
        self.text_index: int | None = None

    def take(self, event: Any) -> Piece:
        """Return what one event (or a whole body) adds.

        Raises:
            VendorError: It is an error, or no event of Gemini's.
        """
        if not isinstance(event, Mapping):
            raise self.error(MalformedResponseError, "an answer that is no JSON object")
        if "error" in event:
            error = event["error"]
            error = error if isinstance(error, Mapping) else {"message": str(error)}
            raise error_of(self._vendor, self._call, error)
        piece = Piece()
        try:
            self._note(event)
            for candidate in event.get("candidates") or ():
                if not candidate.get("index"):  # only one is ever asked for
                    self._take_candidate(candidate, piece)
        except _ODD as odd:
            raise self.error(MalformedResponseError, "an answer of an unknown shape") from odd
        return piece

    def _note(self, event: Json) -> None:
        if self._model == "" or self._id == "":
            self._model = event.get("modelVersion") or self._model
            self._id = event.get("responseId") or self._id
        if self.structured is None:
            self.structured = _may_sign(self._call, self._model or self._call.model)
        usage = event.get("usageMetadata")
        # Counters are cumulative: the last ones hold. Early events may have none of them.
        if usage and ("totalTokenCount" in usage or "promptTokenCount" in usage or not self._usage):
            self._usage = usage
        feedback = event.get("promptFeedback")
        if feedback:
            self._feedback = feedback
            self.ended = self.ended or bool(self.block_reason)

    def _take_candidate(self, candidate: Json, piece: Piece) -> None:
        for part in (candidate.get("content") or {}).get("parts") or ():
            self._take_part(part, piece)
        if not _EXTRA_KEYS.isdisjoint(candidate):
            self._keep(candidate)
        said = candidate.get("finishReason")
        self.ended = bool(said)
        if said:
            self._take_reason(enum_name(said, FINISH_NUMBERS))

    def _keep(self, candidate: Json) -> None:
        for key in _EXTRA_KEYS & candidate.keys():
            value, old = candidate[key], self._extras.get(key)
            if value:
                self._extras[key] = grown(old, value) if old and key in _GROWING else value

    def _take_reason(self, reason: str) -> None:
        self.ended = bool(reason)
        self._reason = reason or self._reason
        if reason in _FAILED:
            message = self._extras.get("finishMessage") or ""
            raise self.error(MalformedResponseError, f"{reason} {message}".strip(), code=reason)

    # -- parts -------------------------------------------------------------------------------------

    def _take_part(self, part: Json, piece: Piece) -> None:
        if "functionCall" in part:
            self._kind = ""
            self.structured = self.structured or "thoughtSignature" in part
            self.assembly.take(part, self._id, piece.calls, piece.kwargs)
            return
        text = part.get("text")
        if text is not None:
            signature = part.get("thoughtSignature")
            if part.get("thought"):
                self._place(_thinking(text, signature), "thinking", piece, closed=bool(signature))
            elif text or signature:
                block: dict[str, Any] = {"type": "text", "text": text}
                if signature:
                    block["extras"] = {"signature": signature}
                self._texts.append(text)
                self._place(block, "text", piece, closed=bool(signature))
        elif part:
            self._take_other(part, piece)

    def _take_other(self, part: Json, piece: Piece) -> None:
        inline = part.get("inlineData") or {}
        mime = str(inline.get("mimeType") or "")
        if part.get("thought"):
            block: dict[str, Any] = {"type": NATIVE, "part": dict(part)}
        elif "executableCode" in part:
            block = self._code(part, piece)
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
            block = {"type": NATIVE, "part": dict(part)}
        self._place(block, "", piece)

    def _code(self, part: Json, piece: Piece) -> dict[str, Any]:
        code = part["executableCode"]
        id_ = code.get("id") or self._code_id(self._index + 1)
        if part.get("thoughtSignature"):
            piece.kwargs.setdefault(SIGNATURES, {})[id_] = part["thoughtSignature"]
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

    def _place(self, block: dict[str, Any], kind: str, piece: Piece, *, closed: bool = False) -> None:
        """Number `block`: text goes on in the block before it, until a signature closes that."""
        if not kind or kind != self._kind:
            self._index += 1
        if kind == "text" and self.text_index is None:
            self.text_index = self._index
        block["index"] = self._index
        self._kind = "" if closed else kind
        if closed or kind != "text":
            self.structured = True
        last = piece.blocks[-1] if piece.blocks else None
        if last is not None and last["index"] == self._index:
            last[kind] += block[kind]
            last.update({key: block[key] for key in ("extras", "signature") if key in block})
        else:
            piece.blocks.append(block)

    def content(self, piece: Piece) -> str | list[Any]:
        """Return the content of `piece`, in the form that this answer has."""
        if self.structured:
            return piece.blocks
        return "".join([block["text"] for block in piece.blocks])

    # -- the end -----------------------------------------------------------------------------------

    @property
    def block_reason(self) -> str:
        """Why the prompt was refused, or empty."""
        return enum_name(self._feedback.get("blockReason"), BLOCK_NUMBERS)

    @property
    def _empty(self) -> bool:
        return self._index < 0 and not self.assembly.calls and not self._audio

    def finish(self) -> FinishReason:
        """Return why the answer ended.

        Raises:
            MalformedResponseError: It did not end, or ended in a way that makes no answer.
        """
        if not self._reason:
            if self.block_reason:
                return "content_filter"
            cls = EmptyAnswerError if self._empty else MalformedResponseError
            raise self.error(cls, "an answer without a finish reason")
        known = _FINISH.get(self._reason)
        if known == "stop" and self.assembly.calls:
            return "tool_calls"
        if known:
            return known
        if self._empty:
            said = self._extras.get("finishMessage") or "nothing was answered"
            raise self.error(MalformedResponseError, f"{self._reason}: {said}", code=self._reason)
        return "length"

    def metadata(self) -> dict[str, Any]:
        """Return everything that is said once, at the end, as `response_metadata`."""
        found: dict[str, Any] = {
            "model_provider": self._vendor.provider,
            "model_name": self._model or self._call.model,
            "finish_reason": self.finish(),
        }
        if self._id:
            found["id"] = self._id
        if self._reason not in {"", "STOP", "MAX_TOKENS"}:
            found["native_finish_reason"] = self._reason
        for key, value in self._extras.items():
            found[_EXTRAS[key]] = snake(value)
        if "grounding_metadata" in found:
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
        return usage(self._usage)

    def audio(self) -> dict[str, Any]:
        """Return generated speech where the translator looks for it: WAV bytes in `additional_kwargs`."""
        if not self._audio:
            return {}
        mime = str(self._audio[0].get("mimeType"))
        data = b"".join(base64.b64decode(item.get("data", "")) for item in self._audio)
        return {"audio": data if "wav" in mime else wav(data, mime)}

    def error(self, cls: type[VendorError], message: str, *, code: str = "") -> VendorError:
        """Return an error about this answer."""
        return vendor_error(cls, self._vendor, self._call, ErrorBody(message, code=code))


def _may_sign(call: Call, model: str) -> bool:
    """Whether the answer may hold more than text, which a stream must know before it does."""
    tools = bool(call.tools or call.server_tools)
    if signs(model) or signs(call.model) or "-image" in model or call.server_tools:
        return True
    return tools and facts(LISTING, model).thinking != "none"


def _thinking(text: str, signature: str | None) -> dict[str, Any]:
    block = {"type": "thinking", "thinking": text}
    if signature:
        block["signature"] = signature
    return block
