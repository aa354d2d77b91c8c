"""From a compiled call to the body of a request to OpenAI's Responses API.

The calls are stateless: nothing is stored at the vendor, and a reasoning model's encrypted reasoning travels
in the thread. `store: true` or `previous_response_id` in the extra fields of a call choose the stored kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.catalog.models import facts, profile
from langchain_llmdispatch.vendors.openai.chat_request import (
    NOT_SENT,
    Json,
    function_of,
    schema_of,
    tool_choice,
)
from langchain_llmdispatch.vendors.openai.responses_input import input_items
from langchain_llmdispatch.vendors.request import merged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_llmdispatch.types import Call, ToolSpec

NOT_TAKEN = frozenset({"stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "top_k"})
"""Neutral parameters that this API does not have; the compiler leaves them out and reports it."""
CONTINUES = "use_previous_response_id"
"""The switch to send only what follows the last stored answer, as in `langchain-openai`."""
COUNTED = frozenset({
    *("model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "truncation"),
    *("previous_response_id", "conversation", "parallel_tool_calls"),
})  # fmt: skip
"""Fields that `POST /responses/input_tokens` takes: `input_tokens.count` of OpenAI's SDK."""
LEAST_TOKENS = 16
"""A lower limit of the output is refused; chat completions take any."""
_ENCRYPTED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"


def responses_body(call: Call, listing: Listing) -> Json:
    """Return the JSON body of `POST /responses` for `call`."""
    stored = call.extra.get("store") is True or "previous_response_id" in call.extra
    reasons = (profile(listing, call.model) or {}).get("reasoning_output", True)
    body: Json = {
        "model": call.model,
        "input": input_items(call.messages, stored=stored, reasons=reasons, after=call.continues),
    }
    if call.continues:
        body["previous_response_id"] = call.continues
    # An answer in the background can be fetched while it is stored, which is the default of the API.
    if not stored and call.extra.get("background") is not True:
        body["store"] = bool(call.extra.get(CONTINUES))  # the next call goes on from this answer
    for name, value in call.params.items():
        _PARAMS.get(name, _same)(body, name, value)
    if tools := [*map(_tool, call.tools), *map(dict, call.server_tools)]:
        body["tools"] = tools
    if call.tool_choice:
        body["tool_choice"] = tool_choice(call, flat=True)
    if call.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = call.parallel_tool_calls
    if call.output:
        named = schema_of(call.output)
        kind = {"type": "json_schema", **named} if named else {"type": "json_object"}
        body.setdefault("text", {})["format"] = kind
    if call.stream:
        body["stream"] = True
    # Other models refuse this.
    if not stored and facts(listing, call.model).reasoning:
        _include(body, _ENCRYPTED)
    return _with_extra(body, call.extra)


def _with_extra(body: Json, extra: Mapping[str, Any]) -> Json:
    own = [field for field in body.get("include", ()) if field not in extra.get("include", ())]
    body = merged(body, extra, without=NOT_SENT)
    if own and "include" in extra:
        body["include"] = [*extra["include"], *own]
    return body


def _tool(tool: ToolSpec) -> Json:
    # This API is strict by default; chat completions are not, and the schema was made for those.
    spec: Json = {"type": "function", **function_of(tool)}
    spec.setdefault("strict", False)
    if "defer_loading" in tool.extras:
        spec["defer_loading"] = tool.extras["defer_loading"]
    return spec


def stored_answer(call: Call) -> str:
    """Return the id of the last answer that this deployment gave and the vendor has stored; empty for none.

    What other vendors and deployments answered since is sent.
    """
    named = {"previous_response_id", "conversation"} & call.extra.keys()
    if not call.extra.get(CONTINUES) or not call.deployment or named or call.extra.get("store") is False:
        return ""
    # The last message is the request.
    answers = (message for message in reversed(call.messages[:-1]) if isinstance(message, AIMessage))
    return next((identity for answer in answers if (identity := _stored_here(answer, call.deployment))), "")


def _stored_here(answer: AIMessage, deployment: str) -> str:
    metadata = answer.response_metadata
    facts, identity = metadata.get("llmdispatch"), str(metadata.get("id") or "")
    own = facts.get("deployment") == deployment if isinstance(facts, dict) else True
    openais = metadata.get("model_provider") in {"openai", None}
    return identity if own and openais and identity.startswith("resp_") else ""


# -- parameters ----------------------------------------------------------------------------------------


def _include(body: Json, field: str) -> None:
    body.setdefault("include", []).append(field)


def _same(body: Json, name: str, value: Any) -> None:
    body[name] = value


def _nothing(body: Json, name: str, value: Any) -> None:
    """Leave the parameter out."""


def _max_tokens(body: Json, _: str, value: Any) -> None:
    body["max_output_tokens"] = max(value, LEAST_TOKENS)


def _effort(body: Json, _: str, value: Any) -> None:
    body.setdefault("reasoning", {})["effort"] = value


def _reasoning(body: Json, _: str, value: Any) -> None:
    body.setdefault("reasoning", {}).update(value)


def _verbosity(body: Json, _: str, value: Any) -> None:
    body.setdefault("text", {})["verbosity"] = value


def _text(body: Json, _: str, value: Any) -> None:
    body.setdefault("text", {}).update(value)


def _logprobs(body: Json, _: str, value: Any) -> None:
    if value:
        _include(body, _LOGPROBS)


_PARAMS: dict[str, Callable[[Json, str, Any], None]] = {
    **dict.fromkeys(NOT_TAKEN | NOT_SENT, _nothing),
    "max_tokens": _max_tokens,
    "reasoning_effort": _effort,
    "reasoning": _reasoning,
    "verbosity": _verbosity,
    "text": _text,
    "logprobs": _logprobs,
}
