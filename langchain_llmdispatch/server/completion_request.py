"""A body of `/v1/chat/completions` as messages and keywords of a call.

Source: platform.openai.com/docs/api-reference/chat/create. What is wrong is refused by the name of its field,
before a vendor is tried. Words that are not OpenAI's go to the vendors that have them, as `invoke`'s do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages
from pydantic import ValidationError

from langchain_llmdispatch.server.failures import RefusedRequestError, refusal
from langchain_llmdispatch.settings import explain_validation

# Words of the endpoint itself; the others are keywords of the call.
_OWN = frozenset({"model", "messages", "stream", "stream_options", "n", "max_tokens", "modalities"})
_RENAMED = {"max_completion_tokens": "max_tokens", "metadata": "request_metadata"}
# A client's body may hold neither headers and addresses nor what Python's signatures name.
_REFUSED = frozenset(
    [
        *("extra_headers", "extra_query", "extra_body", "resume_from", "on_deadline", "background"),
        *("self", "input", "config", "prompts", "callbacks", "tags", "run_name", "run_id", "run_manager"),
        *("request_metadata", "structured_output_format", "ls_structured_output_format"),
    ]
)  # fmt: skip
_INSTEAD = {
    "functions": "write tools",
    "function_call": "write tool_choice",
    "audio": "answers are text",
}
_ROLES = ("developer", "system", "user", "assistant", "tool", "function")


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What a client wants answered.

    Attributes:
        model: The name that the client wrote.
        messages: The conversation.
        keywords: Parameters, tools and the response format, as `invoke` takes them.
        stream: Whether the answer is streamed.
        include_usage: Whether a stream ends with a chunk of usage.
    """

    model: str
    messages: list[BaseMessage]
    keywords: Mapping[str, Any]
    stream: bool
    include_usage: bool


def completion_request(body: bytes) -> CompletionRequest:
    """Return the request in a body.

    Raises:
        RefusedRequestError: It is no JSON object, or a field is missing or wrong; the failure names it.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise refusal("We could not parse the JSON body of the request.", code="invalid_json") from None
    if not isinstance(fields, dict):
        raise refusal("the body is not a JSON object.", code="invalid_json")
    words = {name: value for name, value in fields.items() if value is not None}
    _check(words)
    options: Mapping[str, Any] = words.get("stream_options", {})
    return CompletionRequest(
        model=words["model"],
        messages=_messages(words["messages"]),
        keywords=_keywords(words),
        stream=words.get("stream", False),
        include_usage=bool(options.get("include_usage")),
    )


def _keywords(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a call; `max_completion_tokens` wins over the older `max_tokens`."""
    older = {"max_tokens": words["max_tokens"]} if "max_tokens" in words else {}
    return {
        **older,
        **{_RENAMED.get(name, name): value for name, value in words.items() if name not in _OWN},
    }


# -- fields ----------------------------------------------------------------------------------------------


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_stop(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(each, str) for each in value)
    )


_TEXT = (lambda value: isinstance(value, str), "a string")
_SWITCH = (lambda value: isinstance(value, bool), "a boolean")
_OBJECT = (lambda value: isinstance(value, dict), "an object")
_LIST = (lambda value: isinstance(value, list), "an array")
_NUMBER, _INTEGER = (_is_number, "a number"), (_is_integer, "an integer")
_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("model", "reasoning_effort", "verbosity", "service_tier", "user"), _TEXT),
    **dict.fromkeys(("safety_identifier", "prompt_cache_key"), _TEXT),
    **dict.fromkeys(("stream", "store", "logprobs", "parallel_tool_calls"), _SWITCH),
    **dict.fromkeys(("stream_options", "metadata", "logit_bias", "prediction"), _OBJECT),
    **dict.fromkeys(("web_search_options", "response_format", "vendor_params"), _OBJECT),
    **dict.fromkeys(("messages", "tools", "modalities"), _LIST),
    **dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty"), _NUMBER),
    **dict.fromkeys(("timeout", "deadline", "max_cost"), _NUMBER),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "n", "seed", "top_logprobs"), _INTEGER),
    "stop": (_is_stop, "a string or an array of strings"),
    "tool_choice": (lambda value: isinstance(value, (str, dict)), "a string or an object"),
}  # fmt: skip
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "top_logprobs": (0, 20),
    "max_tokens": (1, math.inf),
    "max_completion_tokens": (1, math.inf),
    "n": (1, math.inf),
}


def _check(words: Mapping[str, Any]) -> None:
    """Check names, kinds and bounds of the fields.

    Raises:
        RefusedRequestError: One is missing, wrong or not taken here.
    """
    for name in ("model", "messages"):
        if not words.get(name):
            raise refusal(
                f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
            )
    for name, value in words.items():
        if name in _REFUSED:
            raise refusal(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        if name in _INSTEAD:
            text = f"'{name}' is not supported: {_INSTEAD[name]}."
            raise refusal(text, param=name, code="unsupported_parameter")
        fits, kind = _KINDS.get(name, (_anything, ""))
        if not fits(value):
            raise refusal(f"Invalid type for '{name}': expected {kind}.", param=name, code="invalid_type")
        least, most = _BOUNDS.get(name, (-math.inf, math.inf))
        if name in _BOUNDS and not least <= value <= most:
            bounds = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
            raise refusal(f"Invalid value for '{name}': {bounds}.", param=name, code="invalid_value")
    _check_one_answer(words)


def _anything(_: Any) -> bool:
    return True


def _check_one_answer(words: Mapping[str, Any]) -> None:
    if words.get("n", 1) != 1:
        raise refusal("'n': only one choice is made per request.", param="n", code="unsupported_value")
    if words.get("modalities", ["text"]) != ["text"]:
        raise refusal("'modalities': answers are text.", param="modalities", code="unsupported_value")
    scoped = words.get("vendor_params", {})
    if any(not isinstance(inner, Mapping) or _REFUSED & inner.keys() for inner in scoped.values()):
        text = "'vendor_params' holds the words of one vendor each, and no headers."
        raise refusal(text, param="vendor_params", code="invalid_value")


# -- messages --------------------------------------------------------------------------------------------


def _messages(values: Collection[Any]) -> list[BaseMessage]:
    messages = []
    for number, value in enumerate(values):
        where = f"messages[{number}]"
        _check_message(value, where)
        try:
            messages += convert_to_messages([_with_text(value)])
        except ValidationError as error:
            raise _invalid(where, explain_validation(error)) from None
        except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
            raise _invalid(where, str(error).partition("\n")[0]) from None
    return messages


def _check_message(value: Any, where: str) -> None:
    if not isinstance(value, Mapping):
        raise refusal(f"Invalid type for '{where}': expected an object.", param=where, code="invalid_type")
    if value.get("role") not in _ROLES:
        param = f"{where}.role"
        text = f"Invalid value for '{param}': one of {', '.join(_ROLES)}."
        raise refusal(text, param=param, code="invalid_value")
    content = value.get("content")
    parts = content if isinstance(content, list) else []
    if not isinstance(content, (str, list, type(None))) or not all(
        isinstance(p, (Mapping, str)) for p in parts
    ):
        param = f"{where}.content"
        text = f"Invalid type for '{param}': expected a string or an array of content parts."
        raise refusal(text, param=param, code="invalid_type")


def _invalid(where: str, text: str) -> RefusedRequestError:
    return refusal(f"Invalid '{where}': {text}", param=where, code="invalid_value")


def _with_text(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message whose content is at least an empty text; answers with tool calls have null."""
    fields = {name: value for name, value in message.items() if value is not None}
    refused = fields.pop("refusal", "")
    return {**fields, "content": fields.get("content") or refused or ""}
