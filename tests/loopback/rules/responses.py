"""What OpenAI's Responses refuses."""

from tests.loopback.neutral import JSON, RejectedError, VendorRequest
from tests.loopback.rules.base import Rule, blocks, messages, unknown
from tests.loopback.rules.openai import SHARED_RULES, refuse

REFERENCE = "platform.openai.com/docs/api-reference/responses/create"
FIELDS = frozenset(
    [
        "background",
        "context_management",
        "conversation",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    ]
)
PARTS = {
    "assistant": {"output_text", "refusal"},
    "user": {"input_text", "input_image", "input_file", "input_audio"},
}
PREFIXES = {"function_call": "fc", "reasoning": "rs"}


def _field(call: VendorRequest) -> RejectedError | None:
    key = unknown(call, FIELDS)
    return refuse(f"Unknown parameter: '{key}'.", key, "unknown_parameter") if key else None


def _model(call: VendorRequest) -> RejectedError | None:
    text = "Missing required parameter: 'model'."
    return None if call.model else refuse(text, "model", "missing_required_parameter")


def _input(call: VendorRequest) -> RejectedError | None:
    given = call.body.get("input")
    if isinstance(given, (str, list)) and given:
        return None
    return refuse("Missing required parameter: 'input'.", "input", "missing_required_parameter")


def _parts(call: VendorRequest) -> RejectedError | None:
    for i, item in enumerate(messages(call, "input")):
        allowed = PARTS.get(str(item.get("role")), {"input_text"}) if "role" in item else None
        for j, part in enumerate(blocks(item)):
            if allowed and part.get("type") not in allowed:
                where = f"input[{i}].content[{j}]"
                return refuse(f"Invalid value: '{part.get('type')}'.", where, "invalid_value")
    return None


def _ids(call: VendorRequest) -> RejectedError | None:
    for i, item in enumerate(messages(call, "input")):
        prefix = PREFIXES.get(str(item.get("type")))
        if prefix and item.get("id") and not str(item["id"]).startswith(prefix):
            text = f"Invalid 'input[{i}].id': '{item['id']}'. Expected an ID that begins with '{prefix}'."
            return refuse(text, f"input[{i}].id", "invalid_value")
    return None


def _pairs(call: VendorRequest) -> RejectedError | None:
    items = messages(call, "input")
    made = _call_ids(items, "function_call")
    answered = _call_ids(items, "function_call_output")
    for name in answered:
        if name not in made and not call.body.get("previous_response_id"):
            return refuse(f"No tool call found for function call output with call_id {name}.", "input")
    for name in made:
        if name not in answered:
            return refuse(f"No tool output found for function call {name}.", "input")
    return None


def _call_ids(items: list[JSON], kind: str) -> list[str]:
    return [str(item.get("call_id")) for item in items if item.get("type") == kind]


def _tool_form(call: VendorRequest) -> RejectedError | None:
    for i, tool in enumerate(call.body.get("tools") or ()):
        if tool.get("type") == "function" and "name" not in tool:
            where = f"tools[{i}].name"
            return refuse(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
    return None


RULES = (
    Rule("unknown field", REFERENCE, _field),
    Rule("model", REFERENCE, _model),
    Rule("input", REFERENCE, _input),
    Rule("content parts", REFERENCE, _parts),
    Rule("item ids", REFERENCE, _ids),
    Rule("tool pairs", REFERENCE, _pairs),
    Rule("tool form", REFERENCE, _tool_form),
    *SHARED_RULES,
)
