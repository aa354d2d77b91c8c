"""What a Cohere answer says, whole or streamed: content, citations, tool calls, usage, metadata.

`cohere_stream.py` ends in the same functions, so that the same answer means the same message either way.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_llmdispatch.errors import MalformedResponseError, VendorError
from langchain_llmdispatch.framing import parse_json
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.cohere.errors import failed_answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.messages import InvalidToolCall, ToolCall

    from langchain_llmdispatch.types import Call, FinishReason
    from langchain_llmdispatch.vendors.base import Vendor

PROVIDER = "cohere"

_FINISH: Mapping[str, FinishReason] = MappingProxyType(
    {
        "COMPLETE": "stop",
        "STOP_SEQUENCE": "stop",
        "MAX_TOKENS": "length",
        "TOOL_CALL": "tool_calls",
    }
)


def decode_answer(vendor: Vendor, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
    """Return the message in the body of an answer that was not streamed.

    Raises:
        MalformedResponseError: It is no answer, or the vendor gave up on it.
        VendorError: It is an error after all.
    """
    answer = _object(vendor, call, headers, body)
    failed = failed_answer(vendor, call, headers, answer.get("finish_reason"), answer)
    if failed:
        raise failed
    message = answer.get("message")
    if not isinstance(message, dict):
        raise _bad(vendor, call, headers, "an answer without a message")
    calls, invalid = _tool_calls(call, answer, message.get("tool_calls") or ())
    items = message.get("content") or []
    if isinstance(items, str):
        items = [{"type": "text", "text": items}]
    thinking = "".join(item.get("thinking") or "" for item in items if item.get("type") == "thinking")
    content, stray = _content(message, items)
    return AIMessage(
        content=content,
        additional_kwargs={
            **({"reasoning_content": thinking} if thinking else {}),
            **({"citations": stray} if stray else {}),
        },
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=usage_metadata(answer.get("usage")),
        response_metadata=metadata(call, answer, called=bool(calls or invalid)),
    )


def _object(vendor: Vendor, call: Call, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    try:
        answer = parse_json(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _bad(vendor, call, headers, "the answer is no JSON object")
    return answer


def _bad(vendor: Vendor, call: Call, headers: Mapping[str, str], message: str) -> VendorError:
    return vendor_error(MalformedResponseError, vendor, call, ErrorBody(message), headers=headers)


# -- content -------------------------------------------------------------------------------------------


def _content(
    message: Mapping[str, Any], items: Sequence[Mapping[str, Any]]
) -> tuple[str | list[str | dict[Any, Any]], list[Any]]:
    """Return the content, and the citations that cite something else than text.

    Text without citations is a string; with citations, blocks of text that carry them as LangChain's
    standard annotations.
    """
    texts = {index: item["text"] for index, item in enumerate(items) if item.get("text")}
    plan = message.get("tool_plan") or ""
    parts = ({None: plan} if plan else {}) | texts
    last = max(texts, default=0)
    cited: dict[int | None, list[dict[str, Any]]] = {}
    stray = []
    for citation in message.get("citations") or ():
        place = cited_place(citation, last)
        if place in parts:
            cited.setdefault(place, []).append(annotation(citation))
        else:
            stray.append(citation)
    if not cited:
        return "".join(parts.values()), stray
    return [_text_block(text, cited.get(place)) for place, text in parts.items()], stray


def _text_block(text: str, annotations: list[dict[str, Any]] | None) -> dict[Any, Any]:
    return {"type": "text", "text": text, **({"annotations": annotations} if annotations else {})}


def cited_place(citation: Mapping[str, Any], text: int) -> int | None:
    """Return the index of the content block that a citation cites, or None for the tool plan.

    Args:
        citation: What Cohere sent.
        text: Index of the text block that is meant where the citation names none.
    """
    if citation.get("type") == "PLAN":
        return None
    place = citation.get("content_index")
    return text if place is None else int(place)


def annotation(citation: Mapping[str, Any]) -> dict[str, Any]:
    """Return LangChain's standard citation; what Cohere says beyond it is in `extras`.

    Cohere's `text` is the stretch of the answer, not of the source, so it is no `cited_text`.
    """
    result: dict[str, Any] = {"type": "citation"}
    for name, key in (("start", "start_index"), ("end", "end_index")):
        if citation.get(name) is not None:
            result[key] = citation[name]
    for name in ("title", "url"):
        if found := _first(citation.get("sources") or (), name):
            result[name] = found
    known = ("text", "sources", "type")
    result["extras"] = {name: citation[name] for name in known if citation.get(name) is not None}
    return result


def _first(sources: Iterable[Mapping[str, Any]], name: str) -> str | None:
    for source in sources:
        value = (source.get("document") or source.get("tool_output") or {}).get(name)
        if isinstance(value, str) and value:
            return value
    return None


# -- tool calls ----------------------------------------------------------------------------------------


def _tool_calls(
    call: Call, answer: Mapping[str, Any], said: Sequence[Mapping[str, Any]]
) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for index, item in enumerate(said):
        function = item.get("function") or {}
        name, id_ = tool_name(call, function), item.get("id") or call_id(answer.get("id"), index)
        text = function.get("arguments") or ""
        args = arguments(text)
        if args is not None:
            calls.append(tool_call(name=name, args=args, id=id_))
        else:
            invalid.append(invalid_tool_call(name=name, args=text, id=id_, error="no JSON object"))
    return calls, invalid


def tool_name(call: Call, function: Mapping[str, Any]) -> str:
    """Return the name by which the caller knows the tool."""
    name = function.get("name") or ""
    return call.tool_names.get(name, name)


def call_id(answer_id: str | None, index: int) -> str:
    """Return a stable id for a tool call that came without one."""
    return f"{answer_id}_call_{index}" if answer_id else f"call_{index}"


def arguments(text: str) -> dict[str, Any] | None:
    """Return the arguments in `text`, or None if they are no JSON object; a tool without any gets `null`."""
    try:
        args = parse_json(text) if text.strip() else {}
    except ValueError:
        return None
    args = {} if args is None else args
    return args if isinstance(args, dict) else None


# -- usage and metadata --------------------------------------------------------------------------------


def usage_metadata(usage: Mapping[str, Any] | None) -> UsageMetadata | None:
    """Return LangChain's usage for Cohere's, or None if the vendor sent none.

    `tokens` counts what the model read and wrote, `billed_units` what is paid for; the latter stands in
    only where the former is missing. Cohere sends numbers, not always whole ones.
    """
    said = usage or {}
    tokens = said.get("tokens") or said.get("billed_units") or {}
    if tokens.get("input_tokens") is None and tokens.get("output_tokens") is None:
        return None
    taken, given = int(tokens.get("input_tokens") or 0), int(tokens.get("output_tokens") or 0)
    result = UsageMetadata(input_tokens=taken, output_tokens=given, total_tokens=taken + given)
    if said.get("cached_tokens") is not None:
        result["input_token_details"] = InputTokenDetails(cache_read=int(said["cached_tokens"]))
    if tokens.get("reasoning_tokens") is not None:
        result["output_token_details"] = OutputTokenDetails(reasoning=int(tokens["reasoning_tokens"]))
    return result


def metadata(call: Call, answer: Mapping[str, Any], *, called: bool) -> dict[str, Any]:
    """Return the response metadata of an answer.

    Args:
        call: What was asked; Cohere does not name the model in its answers.
        answer: `id`, `finish_reason`, `usage`, `logprobs` as Cohere sent them.
        called: Whether the answer holds tool calls.
    """
    reason = answer.get("finish_reason") or ""
    finish = _FINISH.get(reason, "stop")
    said: dict[str, Any] = {
        "model_provider": PROVIDER,
        "model_name": call.model,
        "finish_reason": "tool_calls" if called and finish == "stop" else finish,
    }
    if reason:
        said["stop_reason"] = reason
    said.update((name, answer[name]) for name in ("id", "usage", "logprobs") if answer.get(name))
    return said
