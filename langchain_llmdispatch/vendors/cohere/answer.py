"""From a Cohere answer to a message: content, citations, tool calls, usage, metadata.

Whole bodies and streams end in the functions here, so that the same answer gives the same message either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_llmdispatch.errors import MalformedResponseError
from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.vendors.answer import ToolCalls, json_object, made_id, text_of
from langchain_llmdispatch.vendors.argument_text import arguments_of
from langchain_llmdispatch.vendors.cohere.errors import error_inside
from langchain_llmdispatch.vendors.finish_reasons import ending
from langchain_llmdispatch.vendors.usage import count_of, sum_of, usage_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.errors import ErrorContext

PROVIDER = "cohere"


def decode_answer(context: ErrorContext, body: bytes) -> AIMessage:
    """Return the message in the body of an answer that was not streamed.

    Raises:
        MalformedResponseError: It has no message, or failed on the way.
        VendorError: It is an error after all.
    """
    answer = json_object(body, context)
    if failed := error_inside(context, answer.get("finish_reason"), answer):
        raise failed
    message = answer.get("message")
    if not isinstance(message, dict):
        raise context.error(MalformedResponseError, "the answer has no message")
    calls = _tool_calls(context.call, answer, message.get("tool_calls") or ())
    items = message.get("content") or []
    items = [{"type": "text", "text": items}] if isinstance(items, str) else [item or {} for item in items]
    thinking = "".join(item.get("thinking") or "" for item in items if item.get("type") == "thinking")
    content, stray = _content(message, items)
    return AIMessage(
        content=content,
        additional_kwargs={
            **({"reasoning_content": thinking} if thinking else {}),
            **({"citations": stray} if stray else {}),
        },
        tool_calls=calls.valid,
        invalid_tool_calls=calls.invalid,
        usage_metadata=usage_metadata(answer.get("usage")),
        response_metadata=metadata(context.call, answer, called=bool(calls)),
    )


# -- content -------------------------------------------------------------------------------------------


def _content(
    message: Mapping[str, Any], items: Sequence[Mapping[str, Any]]
) -> tuple[str | list[str | dict[Any, Any]], list[Any]]:
    """Return the content, and the citations that cite something else than text.

    Text without citations is a string; with citations, blocks of text that carry them as LangChain's
    standard annotations.
    """
    texts = {index: text_of(item["text"]) for index, item in enumerate(items) if item.get("text")}
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
    return text if place is None else count_of(place)


def annotation(citation: Mapping[str, Any]) -> dict[str, Any]:
    """Return LangChain's standard citation; Cohere's other fields are in `extras`.

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


def _tool_calls(call: Call, answer: Mapping[str, Any], raw: Sequence[Mapping[str, Any]]) -> ToolCalls:
    calls = ToolCalls(call.tool_names)
    for index, item in enumerate(raw):
        function = item.get("function") or {}
        text = argument_text(function)
        args = arguments_of(text)
        identity = calls.ids.own(item.get("id") or made_id(answer.get("id"), index))
        calls.add(function.get("name"), text if args is None else args, identity)
    return calls


def argument_text(function: Mapping[str, Any]) -> str:
    """Return the arguments of a call, or a piece of them, as text; imitators of Cohere send objects."""
    args = function.get("arguments")
    return args if isinstance(args, str) else "" if args is None else dump_json(args).decode()


# -- usage and metadata --------------------------------------------------------------------------------


def usage_metadata(usage: Any) -> UsageMetadata | None:
    """Return LangChain's usage for Cohere's, or None if the vendor sent none.

    `tokens` counts what the model read and wrote, `billed_units` what is paid for; the latter stands in
    only where the former is missing. Cohere sends numbers, not always whole ones.
    """
    usage = usage if isinstance(usage, dict) else {}
    tokens = usage.get("tokens") or usage.get("billed_units")
    if not isinstance(tokens, dict):
        return None
    read, written = tokens.get("input_tokens"), tokens.get("output_tokens")
    if read is None and written is None:
        return None
    return usage_of(
        sum_of(read),
        sum_of(written),
        inputs={"cache_read": usage.get("cached_tokens")},
        outputs={"reasoning": tokens.get("reasoning_tokens")},
    )


def metadata(call: Call, answer: Mapping[str, Any], *, called: bool) -> dict[str, Any]:
    """Return the response metadata of an answer.

    Args:
        call: The call that is answered; Cohere does not name the model in its answers.
        answer: `id`, `finish_reason`, `usage`, `logprobs` as Cohere sent them.
        called: Whether the answer holds tool calls.

    Raises:
        MalformedResponseError: The finish reason means that there is no answer.
    """
    reason = answer.get("finish_reason")
    found: dict[str, Any] = {
        "model_provider": PROVIDER,
        "model_name": call.model,
        **ending(reason, calls=called),
    }
    if reason:
        found["stop_reason"] = reason
    found.update((name, answer[name]) for name in ("id", "usage", "logprobs") if answer.get(name))
    return found
