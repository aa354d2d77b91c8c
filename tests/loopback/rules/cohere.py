"""What Cohere refuses."""

from tests.loopback.neutral import RejectedError, VendorRequest
from tests.loopback.rules.base import Rule, blocks, messages, unknown
from tests.loopback.rules.subsets import COHERE, cohere_output

REFERENCE = "docs.cohere.com/reference/chat"
RECORDED = "recorded answer of api.cohere.com"
FIELDS = frozenset(
    [
        "stream",
        "model",
        "messages",
        "tools",
        "strict_tools",
        "documents",
        "citation_options",
        "response_format",
        "safety_mode",
        "max_tokens",
        "stop_sequences",
        "temperature",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "k",
        "p",
        "logprobs",
        "tool_choice",
        "thinking",
        "priority",
        "raw_prompting",
    ]
)
ROLES = {"system", "user", "assistant", "tool"}
STOP_LIMIT = 5
P_RANGE = (0.01, 0.99)


def _no(message: str) -> RejectedError:
    return RejectedError(f"invalid request: {message}")


def _field(call: VendorRequest) -> RejectedError | None:
    key = unknown(call, FIELDS)
    text = f"unknown field: parameter {key} is not a valid field."
    return RejectedError(text, kind="unknown_field") if key else None


def _required(call: VendorRequest) -> RejectedError | None:
    if not call.model:
        return _no("model is required.")
    return None if messages(call) else _no("messages must have at least one element.")


def _roles(call: VendorRequest) -> RejectedError | None:
    for i, message in enumerate(messages(call)):
        if message.get("role") not in ROLES:
            return _no(f"message at messages[{i}] has an invalid role.")
    return None


def _content(call: VendorRequest) -> RejectedError | None:
    for i, message in enumerate(messages(call)):
        if not message.get("content") and not message.get("tool_calls"):
            return _no(f"message at messages[{i}] must have non-empty content or tool calls.")
    return None


def _pairs(call: VendorRequest) -> RejectedError | None:
    waiting: list[str] = []
    for message in messages(call):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                return _no(f"tool call id not found in previous tool calls: {message.get('tool_call_id')}.")
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            break
        waiting = [made["id"] for made in message.get("tool_calls") or ()]
    return _no(f"all tool calls must have tool results, missing: {', '.join(waiting)}.") if waiting else None


def _results(call: VendorRequest) -> RejectedError | None:
    for message in messages(call):
        kinds = {block.get("type") for block in blocks(message)} if message["role"] == "tool" else set()
        if kinds - {"text", "document"}:
            return _no("tool results must be text or documents.")
    return None


def _tools(call: VendorRequest) -> RejectedError | None:
    if all((tool.get("function") or {}).get("name") for tool in call.body.get("tools") or ()):
        return None
    return _no("all elements in tools must have a name.")


def _choice(call: VendorRequest) -> RejectedError | None:
    choice = call.body.get("tool_choice")
    if choice is None:
        return None
    if choice not in {"REQUIRED", "NONE"}:
        return _no("tool_choice must be one of REQUIRED, NONE.")
    return None if call.body.get("tools") else _no("tool_choice requires tools.")


def _shape(call: VendorRequest) -> RejectedError | None:
    shape = call.body.get("response_format") or {}
    if shape.get("type") == "json_schema":
        return _no("response_format type must be text or json_object.")
    if shape.get("type") == "json_object" and (call.body.get("tools") or call.body.get("documents")):
        return _no("response_format is not supported with tools or documents.")
    text = cohere_output(shape["schema"]) if shape.get("schema") else None
    return _no(f"invalid schema: {text}") if text else None


def _limits(call: VendorRequest) -> RejectedError | None:
    p = call.body.get("p")
    if p is not None and not P_RANGE[0] <= p <= P_RANGE[1]:
        return _no("p must be between 0.01 and 0.99.")
    if len(call.body.get("stop_sequences") or ()) > STOP_LIMIT:
        return _no("stop_sequences must have at most 5 elements.")
    return None


RULES = (
    Rule("unknown field", RECORDED, _field),
    Rule("required", REFERENCE, _required),
    Rule("roles", REFERENCE, _roles),
    Rule("content", REFERENCE, _content),
    Rule("tool pairs", "docs.cohere.com/docs/tool-use-overview", _pairs),
    Rule("tool results", REFERENCE, _results),
    Rule("tools", RECORDED, _tools),
    Rule("tool choice", REFERENCE, _choice),
    Rule("response format", COHERE, _shape),
    Rule("limits", REFERENCE, _limits),
)
