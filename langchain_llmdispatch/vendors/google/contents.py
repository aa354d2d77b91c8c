"""Gemini's `contents`: compiled LangChain messages spelled as roles and parts.

Signatures. Gemini ties its hidden reasoning to parts by `thoughtSignature` and, from Gemini 3 on, refuses a
turn whose first function call has none (https://ai.google.dev/gemini-api/docs/thought-signatures). They
travel as LangChain keeps them:

- on text and reasoning blocks as `extras.signature`;
- on tool calls as `extras.signature` of the compiled `tool_call` block: this is also where the history
  compiler puts `HistoryRules.call_signature` for calls that another vendor made. Messages that still carry
  `additional_kwargs["__gemini_function_call_thought_signatures__"]` (id -> signature) are understood too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.catalog.models import facts
from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.vendors.google.rules import LISTING
from langchain_llmdispatch.vendors.google.words import camel, camel_keys
from langchain_llmdispatch.vendors.history.answer_blocks import SIGNATURES
from langchain_llmdispatch.vendors.history.threads import folded

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call

Block: TypeAlias = Mapping[str, Any]
Part: TypeAlias = dict[str, Any]

PLACEHOLDER = "skip_thought_signature_validator"
"""The documented signature for calls that another model made."""
NATIVE = "google_part"
"""Type of content blocks that hold one of Gemini's parts verbatim, in `part`."""
MADE_UP_ID = re.compile(r"_call_\d+\Z")
"""Ids that we gave to calls which came without one; Gemini never sees them."""


def signs(model: str) -> bool:
    """Whether `model` demands signatures: Gemini 3 and later, which also take media in function results."""
    return facts(LISTING, model).thought_signatures


def system_instruction(messages: Sequence[BaseMessage]) -> Part | None:
    """Return the system messages as one `systemInstruction`, or None."""
    parts = folded(_system_after, messages)
    return {"parts": [*parts]} if parts else None


def _system_after(parts: Sequence[Part] | None, messages: Sequence[BaseMessage]) -> Sequence[Part]:
    more = [
        part
        for message in messages
        if isinstance(message, SystemMessage)
        for part in PartEncoder("").parts(message.content)
    ]
    return (*(parts or ()), *more)


class _Turns(NamedTuple):
    """Turns after some messages.

    Attributes:
        turns: The turns.
        results: Results that are no turn yet: more may follow.
        order: The ids of the calls that they answer.
    """

    turns: tuple[Part, ...]
    results: tuple[ToolMessage, ...]
    order: tuple[str | None, ...]

    def closed(self, encoder: PartEncoder) -> list[Part]:
        """Return the turns, those of the last results as well."""
        return [*self.turns, *([encoder.results(self.results, self.order)] if self.results else ())]


def contents(call: Call) -> list[Part]:
    """Return every other message as turns of `user` and `model`."""
    files = f"{call.endpoint.base_url}/v1beta/"
    made = folded(_after, call.messages, call.model, files).closed(PartEncoder(call.model, files))
    # A turn without parts is refused ("contents.parts must not be empty").
    return [turn for turn in made if turn["parts"]]


def _after(state: _Turns | None, messages: Sequence[BaseMessage], model: str, files: str) -> _Turns:
    encoder = PartEncoder(model, files)
    known, results, order = state or _Turns((), (), ())
    turns = [*known]
    for message in messages:
        if isinstance(message, ToolMessage):
            results = (*results, message)
            continue
        if results:
            turns.append(encoder.results(results, order))
            results = ()
        if isinstance(message, AIMessage):
            order = tuple([tool_call["id"] for tool_call in message.tool_calls])
            turns.append({"role": "model", "parts": encoder.answer(message)})
        elif not isinstance(message, SystemMessage):
            turns.append({"role": "user", "parts": encoder.parts(message.content)})
    return _Turns(tuple(turns), results, order)


class PartEncoder:
    """Parts for one model."""

    def __init__(self, model: str, files: str = "") -> None:
        self._signs = signs(model)
        self._files = files

    def parts(self, content: Any, signatures: Mapping[Any, str] | None = None) -> list[Part]:
        """Return the parts of a content; `signatures` are those of calls, by id."""
        if isinstance(content, str):
            return [{"text": content}] if content else []
        made = (self._part(block, signatures or {}) for block in content)
        return [part for part in made if part is not None]

    def _part(self, block: str | Block, signatures: Mapping[Any, str]) -> Part | None:
        if isinstance(block, str):
            return {"text": block}
        kind = block.get("type")
        spell = _PARTS.get(kind) if isinstance(kind, str) else None
        if spell is None:
            raise UnsupportedFeatureError(f"Gemini has no part for content of type {kind!r}", vendor="google")
        part = spell(block)
        if part is None:
            return None
        if "file_id" in block and "fileData" in part and block["file_id"].startswith("files/"):
            part["fileData"]["fileUri"] = self._files + block["file_id"]
        signature = (block.get("extras") or {}).get("signature") or signatures.get(block.get("id"))
        if signature and kind != "non_standard":
            part["thoughtSignature"] = signature
        return part

    def answer(self, message: AIMessage) -> list[Part]:
        """Return the parts of a model's turn, tool calls in place."""
        signatures = message.additional_kwargs.get(SIGNATURES) or {}
        parts = self.parts(message.content, signatures)
        blocks = message.content if isinstance(message.content, list) else ()
        placed = {
            block.get("id")
            for block in blocks
            if isinstance(block, dict) and block.get("type") == "tool_call"
        }
        missing = [call for call in message.tool_calls if call["id"] not in placed]
        parts += self.parts([{**call, "type": "tool_call"} for call in missing], signatures)
        return self._sign(parts)

    def _sign(self, parts: list[Part]) -> list[Part]:
        """Give the first function call a signature where one is needed; only there is it validated."""
        calls = [part for part in parts if "functionCall" in part]
        if self._signs:
            if calls and "thoughtSignature" not in calls[0]:
                calls[0]["thoughtSignature"] = PLACEHOLDER
            return parts
        for part in calls:
            if part.get("thoughtSignature") == PLACEHOLDER:
                del part["thoughtSignature"]
        return parts

    def results(self, messages: Sequence[ToolMessage], order: Sequence[str | None]) -> Part:
        """Return results as one turn, in the order of their calls: Gemini matches those without id by it."""
        rank = {id_: place for place, id_ in enumerate(order)}
        ranked = sorted(messages, key=lambda message: rank.get(message.tool_call_id, len(rank)))
        media: list[Part] = []
        parts = [self._result(message, media) for message in ranked]
        return {"role": "user", "parts": parts + media}

    def _result(self, message: ToolMessage, beside: list[Part]) -> Part:
        """Return one `functionResponse`; media that it cannot hold is added to `beside`."""
        spelled = self.parts(message.content)
        text = "\n".join(part["text"] for part in spelled if "text" in part)
        # "Use "output" key to specify function output and "error" key to specify error details."
        key = "error" if message.status == "error" else "output"
        response: Part = {"name": message.name or "", "response": {key: text}}
        if not MADE_UP_ID.search(message.tool_call_id):
            response["id"] = message.tool_call_id
        for part in spelled:
            if self._signs and part.get("inlineData", {}).get("mimeType") in _RESULT_MEDIA:
                response.setdefault("parts", []).append(part)
            elif "text" not in part:
                beside.append(part)
        return {"functionResponse": response}


# https://ai.google.dev/gemini-api/docs/function-calling, "multimodal function responses".
_RESULT_MEDIA = frozenset({"image/png", "image/jpeg", "image/webp", "application/pdf"})


def _text(block: Block) -> Part:
    return {"text": block["text"]}


def _thought(block: Block) -> Part:
    return {"text": block.get("reasoning", ""), "thought": True}


def _function_call(block: Block) -> Part:
    call: Part = {"name": block["name"], "args": block["args"]}
    if block.get("id") and not MADE_UP_ID.search(block["id"]):
        call["id"] = block["id"]
    return {"functionCall": call}


_KINDS = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "file": "application/pdf"}
_ENDINGS = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
    "heic": "image/heic", "pdf": "application/pdf", "txt": "text/plain", "csv": "text/csv",
    "mp3": "audio/mp3", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "mp4": "video/mp4",
    "mov": "video/mov", "webm": "video/webm", "mpeg": "video/mpeg",
}  # fmt: skip


def _media(block: Block) -> Part:
    mime, url = block.get("mime_type"), block.get("url")
    if isinstance(url, str) and url.startswith("data:"):
        head, _, data = url.partition(",")
        part = _inline(mime or head[5:].partition(";")[0], data)
    elif block.get("base64"):
        part = _inline(mime or _KINDS.get(block["type"], "application/octet-stream"), block["base64"])
    else:
        part = _linked(mime, url or block["file_id"])
    return {**part, **_tuning({**(block.get("extras") or {}), **block})}


def _tuning(given: Block) -> Part:
    """Return how a part is to be read: a video's frame rate and offsets, the resolution."""
    tuning: Part = {}
    for name in ("video_metadata", "media_resolution"):
        if (value := given.get(name, given.get(camel(name)))) is not None:
            tuning[camel(name)] = {"level": value} if isinstance(value, str) else camel_keys(value)
    return tuning


# https://ai.google.dev/gemini-api/docs/audio and /video-understanding, "Supported formats".
_SPELLED = {
    "audio/mpeg": "audio/mp3",
    "video/quicktime": "video/mov",
    "video/x-msvideo": "video/avi",
    "video/x-ms-wmv": "video/wmv",
}


def _inline(mime: str, data: str) -> Part:
    return {"inlineData": {"mimeType": _SPELLED.get(mime, mime), "data": data}}


def _linked(mime: str | None, uri: str) -> Part:
    mime = mime or _ENDINGS.get(uri.partition("?")[0].rpartition(".")[2].lower())
    mime = _SPELLED.get(mime or "", mime)
    return {"fileData": {"fileUri": uri, "mimeType": mime} if mime else {"fileUri": uri}}


def _plain(block: Block) -> Part:
    if block.get("text") is not None:
        return {"text": block["text"]}
    return _media({"mime_type": "text/plain", **block})


def _server_call(block: Block) -> Part | None:
    """Return the call of a tool of Google's; None where the API takes none back."""
    args, kind = block.get("args") or {}, (block.get("extras") or {}).get("tool_type")
    if kind:
        call: Part = {"toolType": kind, **({"args": args} if args else {})}
        return {"toolCall": _with_id(call, block.get("id"))}
    if "code" not in args:
        return None
    code: Part = {"language": str(args.get("language") or "PYTHON").upper(), "code": args["code"]}
    return {"executableCode": _with_id(code, block.get("id"))}


OUTCOMES = {"OUTCOME_OK": 1, "OUTCOME_FAILED": 2, "OUTCOME_DEADLINE_EXCEEDED": 3}
_OUTCOME_NAMES = {number: name for name, number in OUTCOMES.items()}


def _server_result(block: Block) -> Part | None:
    extras = block.get("extras") or {}
    if kind := extras.get("tool_type"):
        output = block.get("output")
        answer: Part = {"toolType": kind, **({"response": output} if output else {})}
        return {"toolResponse": _with_id(answer, block.get("tool_call_id"))}
    if isinstance(block.get("output"), Mapping):  # what an answer reported beside its content
        return None
    number = extras.get("outcome", 1 if block.get("status") == "success" else 2)
    outcome = _OUTCOME_NAMES.get(number if isinstance(number, int) else 0, "OUTCOME_FAILED")
    result: Part = {"outcome": outcome, "output": block.get("output") or ""}
    return {"codeExecutionResult": _with_id(result, block.get("tool_call_id"))}


def _with_id(value: Part, id_: str | None) -> Part:
    return {**value, "id": id_} if id_ and not MADE_UP_ID.search(id_) else value


def _native(block: Block) -> Part:
    """Return a part that came from Gemini as it came, or one that the caller gave in Gemini's own form."""
    value = block["value"]
    if isinstance(value, Mapping) and value.get("type") == NATIVE:
        return dict(value["part"])
    if not isinstance(value, Mapping) or "type" in value:
        raise UnsupportedFeatureError("content of another vendor cannot be sent to Gemini", vendor="google")
    return dict(value)


_PARTS: dict[str, Callable[[Block], Part | None]] = {
    "text": _text,
    "reasoning": _thought,
    "tool_call": _function_call,
    "image": _media,
    "audio": _media,
    "video": _media,
    "file": _media,
    "text-plain": _plain,
    "server_tool_call": _server_call,
    "server_tool_result": _server_result,
    "non_standard": _native,
}
