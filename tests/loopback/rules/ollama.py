"""What Ollama refuses."""

import base64
import binascii

from tests.loopback.neutral import RejectedError, VendorRequest
from tests.loopback.rules.base import Rule, messages, unknown

REFERENCE = "docs.ollama.com/api/chat"
GO = "the Go structs behind docs.ollama.com/api/chat"
SILENT = "the vendor ignores it silently, so a client that sends it is wrong"
FIELDS = frozenset(
    [
        "model",
        "messages",
        "tools",
        "format",
        "options",
        "stream",
        "keep_alive",
        "think",
        "truncate",
        "shift",
        "logprobs",
        "top_logprobs",
        "_debug_render_only",
    ]
)
ROLES = {"system", "user", "assistant", "tool"}


def _field(call: VendorRequest) -> RejectedError | None:
    key = unknown(call, FIELDS)
    return RejectedError(f"unknown field {key}") if key else None


def _model(call: VendorRequest) -> RejectedError | None:
    return None if call.model else RejectedError("model is required")


def _messages(call: VendorRequest) -> RejectedError | None:
    for message in messages(call):
        if message.get("role") not in ROLES:
            return RejectedError(f'invalid role: "{message.get("role")}"')
        if not isinstance(message.get("content", ""), str):
            kind = "Go struct field ChatRequest.messages.content of type string"
            return RejectedError(f"json: cannot unmarshal array into {kind}")
    return None if messages(call) else RejectedError("messages are required")


def _arguments(call: VendorRequest) -> RejectedError | None:
    for message in messages(call):
        for made in message.get("tool_calls") or ():
            if not isinstance(made["function"].get("arguments"), dict):
                kind = "Go struct field .function.arguments of type api.ToolCallFunctionArguments"
                return RejectedError(f"json: cannot unmarshal string into {kind}")
    return None


def _images(call: VendorRequest) -> RejectedError | None:
    for message in messages(call):
        for image in message.get("images") or ():
            try:
                base64.b64decode(image, validate=True)
            except (binascii.Error, ValueError):
                return RejectedError("illegal base64 data at input byte 4")
    return None


def _format(call: VendorRequest) -> RejectedError | None:
    shape = call.body.get("format")
    if shape in {None, "", "json"} if isinstance(shape, str | None) else isinstance(shape, dict):
        return None
    return RejectedError(f'invalid format: "{shape}"; expected "json" or a valid JSON Schema object')


RULES = (
    Rule("unknown field", SILENT, _field),
    Rule("model", REFERENCE, _model),
    Rule("messages", GO, _messages),
    Rule("arguments", GO, _arguments),
    Rule("images", GO, _images),
    Rule("format", REFERENCE, _format),
)
