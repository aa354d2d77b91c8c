"""The fields of a request: kinds, bounds, and what a client must not write.

Source: platform.openai.com/docs/api-reference/chat/create and `.../responses/create`. What is wrong is
refused by the name of its field, before a vendor is tried.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from langchain_llmdispatch.server.failures import refusal

# A client's body may hold neither headers and addresses nor what Python's signatures name.
REFUSED = frozenset(
    [
        *("extra_headers", "extra_query", "extra_body", "resume_from", "on_deadline", "request_metadata"),
        *("self", "config", "prompts", "callbacks", "tags", "run_name", "run_id", "run_manager"),
        *("structured_output_format", "ls_structured_output_format"),
    ]
)


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_stop(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(each, str) for each in value)
    )


_Kind = tuple[Callable[[Any], bool], str]
_TEXT: _Kind = (lambda value: isinstance(value, str), "a string")
_SWITCH: _Kind = (lambda value: isinstance(value, bool), "a boolean")
OBJECT: _Kind = (lambda value: isinstance(value, dict), "an object")
_LIST: _Kind = (lambda value: isinstance(value, list), "an array")
_NUMBER: _Kind = (is_number, "a number")
_INTEGER: _Kind = (is_integer, "an integer")
_KINDS: Mapping[str, _Kind] = {
    **dict.fromkeys(("model", "reasoning_effort", "verbosity", "service_tier", "user"), _TEXT),
    **dict.fromkeys(("safety_identifier", "prompt_cache_key", "instructions", "truncation"), _TEXT),
    **dict.fromkeys(("stream", "store", "logprobs", "parallel_tool_calls", "background"), _SWITCH),
    **dict.fromkeys(("stream_options", "metadata", "logit_bias", "prediction", "text"), OBJECT),
    **dict.fromkeys(("web_search_options", "response_format", "vendor_params", "reasoning"), OBJECT),
    **dict.fromkeys(("messages", "tools", "modalities", "include"), _LIST),
    **dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty"), _NUMBER),
    **dict.fromkeys(("timeout", "deadline", "max_cost"), _NUMBER),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens"), _INTEGER),
    **dict.fromkeys(("n", "seed", "top_logprobs"), _INTEGER),
    "stop": (_is_stop, "a string or an array of strings"),
    "input": (lambda value: isinstance(value, (str, list)), "a string or an array of items"),
    "tool_choice": (lambda value: isinstance(value, (str, dict)), "a string or an object"),
}
_ONE = (1, math.inf)
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "top_logprobs": (0, 20),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens", "n"), _ONE),
}


def fields_of(body: bytes) -> dict[str, Any]:
    """Return the fields of a body, without those that are null.

    Raises:
        RefusedRequestError: It is no JSON object.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise refusal("We could not parse the JSON body of the request.", code="invalid_json") from None
    if not isinstance(found, dict):
        raise refusal("the body is not a JSON object.", code="invalid_json")
    return {name: value for name, value in found.items() if value is not None}


def check_fields(words: Mapping[str, Any], required: tuple[str, ...], instead: Mapping[str, str]) -> None:
    """Check names, kinds and bounds of the fields.

    Args:
        words: The fields.
        required: Those that must be there.
        instead: Those that are not supported, and why, or what to write instead.

    Raises:
        RefusedRequestError: One is missing, wrong or not taken here.
    """
    for name in required:
        if not words.get(name):
            text = f"Missing required parameter: '{name}'."
            raise refusal(text, param=name, code="missing_required_parameter")
    for name, value in words.items():
        if name in REFUSED:
            raise refusal(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        if name in instead:
            text = f"'{name}' is not supported: {instead[name]}."
            raise refusal(text, param=name, code="unsupported_parameter")
        fits, kind = _KINDS.get(name, (_anything, ""))
        if not fits(value):
            raise refusal(f"Invalid type for '{name}': expected {kind}.", param=name, code="invalid_type")
        _check_bounds(name, value)
    scoped = words.get("vendor_params", {})
    if any(not isinstance(inner, Mapping) or REFUSED & inner.keys() for inner in scoped.values()):
        text = "'vendor_params' holds the words of one vendor each, and no headers."
        raise refusal(text, param="vendor_params", code="invalid_value")


def _check_bounds(name: str, value: Any) -> None:
    if name not in _BOUNDS:
        return
    least, most = _BOUNDS[name]
    if not least <= value <= most:
        bounds = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise refusal(f"Invalid value for '{name}': {bounds}.", param=name, code="invalid_value")


def _anything(_: Any) -> bool:
    return True
