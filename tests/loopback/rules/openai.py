"""What OpenAI refuses."""

import re
from typing import Any

from tests.loopback.neutral import JSON, RejectedError, VendorRequest, compact
from tests.loopback.rules.base import Rule, blocks, messages, unknown
from tests.loopback.rules.subsets import OPENAI, openai_strict

REFERENCE = "platform.openai.com/docs/api-reference/chat/create"
RECORDED = "recorded answer of api.openai.com"
SDK = "docstrings of the vendor's Python SDK"
CHAT_FIELDS = frozenset(
    [
        "messages",
        "model",
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "modalities",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ]
)
ROLES = {"system", "developer", "user", "assistant", "tool", "function"}
USER_PARTS = {"text", "image_url", "input_audio", "file"}
OTHER_PARTS = {
    "system": {"text"},
    "developer": {"text"},
    "tool": {"text"},
    "assistant": {"text", "refusal", "audio"},
}
NAME = re.compile(r"[^\s<|\\/>]+")
FUNCTION = re.compile(r"[a-zA-Z0-9_-]{1,64}")
REASONERS = re.compile(r"(?:.*/)?(?:o\d|gpt-5|gpt-6)")
STOPLESS = re.compile(r"(?:.*/)?(?:o3|o4-mini)")
ID_LIMIT = 40
STOP_LIMIT = 4


def refuse(message: str, param: str | None = None, code: str | None = None) -> RejectedError:
    """OpenAI's 400."""
    return RejectedError(message, param=param, code=code)


def _field(call: VendorRequest) -> RejectedError | None:
    key = unknown(call, CHAT_FIELDS)
    return refuse(f"Unrecognized request argument supplied: {key}") if key else None


def _model(call: VendorRequest) -> RejectedError | None:
    return None if call.model else refuse("you must provide a model parameter")


def _messages(call: VendorRequest) -> RejectedError | None:
    value = call.body.get("messages")
    if not isinstance(value, list):
        return refuse("Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
    if not value:
        return refuse("Invalid 'messages': empty array.", "messages", "empty_array")
    return None


def _roles(call: VendorRequest) -> RejectedError | None:
    for i, message in enumerate(messages(call)):
        if message.get("role") not in ROLES:
            return refuse(f"Invalid value: '{message.get('role')}'.", f"messages[{i}].role", "invalid_value")
    return None


def _content(call: VendorRequest) -> RejectedError | None:
    for i, message in enumerate(messages(call)):
        where = f"messages[{i}].content"
        content = message.get("content")
        if content is None and not (message["role"] == "assistant" and message.get("tool_calls")):
            return refuse("Invalid value for 'content': expected a string, got null.", where)
        if content is not None and not isinstance(content, (str, list)):
            return refuse(f"Invalid type for '{where}'.", where, "invalid_type")
        if content == []:
            return refuse(f"Invalid '{where}': empty array.", where, "empty_array")
    return None


def _parts(call: VendorRequest) -> RejectedError | None:
    for i, message in enumerate(messages(call)):
        allowed = OTHER_PARTS.get(message["role"], USER_PARTS)
        for j, part in enumerate(blocks(message)):
            if part.get("type") not in allowed:
                shown = ", ".join(f"'{kind}'" for kind in sorted(allowed))
                where = f"messages[{i}].content[{j}].type"
                return refuse(
                    f"Invalid value: '{part.get('type')}'. Supported values are: {shown}.",
                    where,
                    "invalid_value",
                )
    return None


def _names(call: VendorRequest) -> RejectedError | None:
    for i, message in enumerate(messages(call)):
        name = message.get("name")
        if name is not None and not NAME.fullmatch(str(name)):
            where = f"messages[{i}].name"
            return refuse(f"Invalid '{where}': string does not match pattern.", where, "invalid_value")
    return None


def _pairs(call: VendorRequest) -> RejectedError | None:
    waiting: list[str] = []
    for i, message in enumerate(messages(call)):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                text = (
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
                )
                return refuse(f"Invalid parameter: {text}", f"messages.[{i}].role")
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            return _unanswered(waiting)
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
    return _unanswered(waiting) if waiting else None


def _unanswered(waiting: list[str]) -> RejectedError:
    return refuse(
        "An assistant message with 'tool_calls' must be followed by tool "
        "messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(waiting)}",
        "messages",
    )


def _calls(call: VendorRequest) -> RejectedError | None:
    for i, message in enumerate(messages(call)):
        for j, made in enumerate(message.get("tool_calls") or ()):
            where = f"messages[{i}].tool_calls[{j}]"
            if len(made["id"]) > ID_LIMIT:
                return refuse(
                    f"Invalid '{where}.id': string too long.", f"{where}.id", "string_above_max_length"
                )
            if not isinstance(made["function"].get("arguments"), str):
                return refuse(f"Invalid type for '{where}.function.arguments'.", where, "invalid_type")
    return None


def _reasons(call: VendorRequest) -> bool:
    return bool(REASONERS.match(str(call.model)))


def _sampling(call: VendorRequest) -> RejectedError | None:
    effort = call.body.get("reasoning_effort") or (call.body.get("reasoning") or {}).get("effort")
    if not _reasons(call) or effort == "none":
        return None
    for key in ("temperature", "top_p"):
        if call.body.get(key) not in {None, 1}:
            text = f"Unsupported value: '{key}' does not support {call.body[key]} with this model."
            return refuse(f"{text} Only the default (1) value is supported.", key, "unsupported_value")
    return None


def _max_tokens(call: VendorRequest) -> RejectedError | None:
    if not _reasons(call) or call.body.get("max_tokens") is None:
        return None
    text = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead."
    )
    return refuse(text, "max_tokens", "unsupported_parameter")


def _stop(call: VendorRequest) -> RejectedError | None:
    stop = call.body.get("stop")
    if stop and STOPLESS.match(str(call.model)):
        text = "Unsupported parameter: 'stop' is not supported with this model."
        return refuse(text, "stop", "unsupported_parameter")
    if isinstance(stop, list) and len(stop) > STOP_LIMIT:
        return refuse("Invalid 'stop': array too long.", "stop", "array_above_max_length")
    return None


def _tool_options(call: VendorRequest) -> RejectedError | None:
    if call.body.get("tools"):
        return None
    if call.body.get("tools") == []:
        return refuse("Invalid 'tools': empty array.", "tools", "empty_array")
    for key in ("tool_choice", "parallel_tool_calls"):
        if call.body.get(key) is not None:
            return refuse(
                f"Invalid value for '{key}': '{key}' is only allowed when 'tools' are specified.", key
            )
    return None


def _tools(call: VendorRequest) -> RejectedError | None:
    for i, tool in enumerate(call.body.get("tools") or ()):
        function = tool.get("function") if "messages" in call.body else tool
        name = (function or {}).get("name")
        if tool.get("type", "function") == "function" and not FUNCTION.fullmatch(str(name)):
            return refuse(
                f"Invalid 'tools[{i}].function.name'.", f"tools[{i}].function.name", "invalid_value"
            )
    return None


def _choice(call: VendorRequest) -> RejectedError | None:
    choice = call.body.get("tool_choice")
    if isinstance(choice, str) and choice not in {"auto", "none", "required"}:
        return refuse(f"Invalid value: '{choice}'.", "tool_choice", "invalid_value")
    if isinstance(choice, dict) and choice.get("type") == "function":
        name = choice.get("function", choice).get("name")
        if not any(tool.get("function", tool).get("name") == name for tool in call.body["tools"]):
            return refuse("Tool choice names a function that is not in 'tools'.", "tool_choice")
    return None


def _strict(call: VendorRequest) -> RejectedError | None:
    for schema in _strict_schemas(call.body):
        if text := openai_strict(schema):
            return refuse(f"Invalid schema: {text}", "schema", "invalid_function_parameters")
    return None


def _strict_schemas(body: JSON) -> list[Any]:
    functions = [tool.get("function", tool) for tool in body.get("tools") or ()]
    shapes = [
        (body.get("response_format") or {}).get("json_schema") or {},
        (body.get("text") or {}).get("format") or {},
    ]
    found = [part for part in (*functions, *shapes) if part.get("strict")]
    return [part.get("parameters") or part.get("schema") for part in found]


def _schema(call: VendorRequest) -> RejectedError | None:
    shape = call.body.get("response_format") or {}
    if shape.get("type") != "json_schema":
        return None
    named = shape.get("json_schema") or {}
    if not FUNCTION.fullmatch(str(named.get("name") or "")):
        where = "response_format.json_schema.name"
        return refuse(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
    if (named.get("schema") or {}).get("type", "object") != "object":
        return refuse("Invalid schema: schema must be a JSON Schema of 'type: \"object\"'", "schema")
    return None


def _json_word(call: VendorRequest) -> RejectedError | None:
    shape = call.body.get("response_format") or {}
    if shape.get("type") != "json_object" or "json" in compact(messages(call)).lower():
        return None
    text = (
        "'messages' must contain the word 'json' in some form, to use "
        "'response_format' of type 'json_object'."
    )
    return refuse(text, "messages")


def _stream_options(call: VendorRequest) -> RejectedError | None:
    if call.body.get("stream_options") is None or call.stream:
        return None
    text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    return refuse(f"Invalid value for 'stream_options': {text}", "stream_options")


LENIENT_RULES = (
    Rule("model", RECORDED, _model),
    Rule("messages", RECORDED, _messages),
    Rule("roles", RECORDED, _roles),
    Rule("tool pairs", RECORDED, _pairs),
    Rule("stream options", REFERENCE, _stream_options),
)
CHAT_RULES = (
    Rule("unknown field", RECORDED, _field),
    Rule("model", RECORDED, _model),
    Rule("messages", RECORDED, _messages),
    Rule("roles", RECORDED, _roles),
    Rule("content", RECORDED, _content),
    Rule("content parts", RECORDED, _parts),
    Rule("name", REFERENCE, _names),
    Rule("tool pairs", RECORDED, _pairs),
    Rule("tool calls", REFERENCE, _calls),
    Rule("sampling", "platform.openai.com/docs/guides/reasoning", _sampling),
    Rule("max_tokens", RECORDED, _max_tokens),
    Rule("stop", SDK, _stop),
    Rule("tool options", REFERENCE, _tool_options),
    Rule("tools", REFERENCE, _tools),
    Rule("tool choice", REFERENCE, _choice),
    Rule("strict schema", OPENAI, _strict),
    Rule("schema name", REFERENCE, _schema),
    Rule("json word", RECORDED, _json_word),
    Rule("stream options", REFERENCE, _stream_options),
)
SHARED_RULES = (
    Rule("sampling", "platform.openai.com/docs/guides/reasoning", _sampling),
    Rule("tool options", REFERENCE, _tool_options),
    Rule("tools", REFERENCE, _tools),
    Rule("tool choice", REFERENCE, _choice),
    Rule("strict schema", OPENAI, _strict),
)
