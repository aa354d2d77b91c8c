"""What Anthropic refuses."""

import re
from collections.abc import Iterator
from typing import Any

from tests.loopback.neutral import JSON, RejectedError, VendorRequest
from tests.loopback.rules.base import Rule, blocks, messages, nested, unknown
from tests.loopback.rules.foreign import GOOGLE_SIGNATURE, OPENAI_REASONING
from tests.loopback.rules.subsets import ANTHROPIC, anthropic_output, anthropic_tool

REFERENCE = "platform.claude.com/docs/en/api/messages"
RECORDED = "recorded answer of api.anthropic.com"
SONNET = "platform.claude.com/docs/en/models/sonnet-5-5/whats-new-sonnet-5-5"
THINKING = "platform.claude.com/docs/en/build-with-claude/extended-thinking"
NEW_VERSION = "2026-10-21"
VERSIONS = {"2023-01-01", "2023-06-01", NEW_VERSION}
FIELDS = frozenset(
    [
        "max_tokens",
        "messages",
        "model",
        "cache_control",
        "container",
        "context_management",
        "diagnostics",
        "inference_geo",
        "mcp_servers",
        "metadata",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user_profile_id",
        "workspace_id",
    ]
)
SAMPLING = ("temperature", "top_p", "top_k")
IDENT = re.compile(r"[a-zA-Z0-9_-]+")
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
UNSAMPLED = re.compile(r"claude-(?:\w+-5-5|fable|sonnet-5)")
ADAPTIVE = re.compile(r"claude-(?:opus-5|sonnet-5-5|fable)")
CACHE_LIMIT = 4


def _no(message: str) -> RejectedError:
    return RejectedError(message)


def _version(call: VendorRequest) -> RejectedError | None:
    version = call.headers.get("anthropic-version")
    if not version:
        return _no("anthropic-version: header is required")
    return None if version in VERSIONS else _no(f'anthropic-version: "{version}" is not a valid version')


def _field(call: VendorRequest) -> RejectedError | None:
    key = unknown(call, FIELDS)
    return _no(f"{key}: Extra inputs are not permitted") if key else None


def _required(call: VendorRequest) -> RejectedError | None:
    for key in ("model", "max_tokens", "messages"):
        if call.body.get(key) is None:
            return _no(f"{key}: Field required")
    if not messages(call):
        return _no("messages: at least one message is required")
    return (
        _no("max_tokens: Input should be greater than or equal to 1") if call.body["max_tokens"] < 1 else None
    )


def _roles(call: VendorRequest) -> RejectedError | None:
    for message in messages(call):
        if message.get("role") not in {"user", "assistant"}:
            text = "The Messages API accepts a top-level `system` parameter, not an input message role."
            return _no(f'messages: Unexpected role "{message.get("role")}". {text}')
    return (
        None
        if messages(call)[0]["role"] == "user"
        else _no('messages: first message must use the "user" role')
    )


def _empty(call: VendorRequest) -> RejectedError | None:
    turns = messages(call)
    for i, message in enumerate(turns):
        last = i == len(turns) - 1 and message["role"] == "assistant"
        if not message.get("content") and not last:
            text = "all messages must have non-empty content except for the optional final assistant message"
            return _no(f"messages.{i}: {text}")
    return None


def _texts(call: VendorRequest) -> Iterator[Any]:
    system = call.body.get("system")
    for holder in ({"content": system}, *messages(call)):
        for block in blocks(holder):
            yield from (inner["text"] for inner in (block, *blocks(block)) if inner.get("type") == "text")
        if isinstance(holder["content"], str) and holder["content"]:
            yield holder["content"]


def _blank(call: VendorRequest) -> RejectedError | None:
    for text in _texts(call):
        if not text:
            return _no("messages: text content blocks must be non-empty")
        if not text.strip():
            return _no("messages: text content blocks must contain non-whitespace text")
    return None


def _trailing(call: VendorRequest) -> RejectedError | None:
    last = messages(call)[-1]
    if last["role"] != "assistant":
        return None
    content = last["content"]
    text = content if isinstance(content, str) else str(content[-1].get("text", "") if content else "")
    if text == text.rstrip():
        return None
    return _no("messages: final assistant content cannot end with trailing whitespace")


def _ids(call: VendorRequest) -> RejectedError | None:
    for i, message in enumerate(messages(call)):
        for j, block in enumerate(blocks(message)):
            key = {"tool_use": "id", "tool_result": "tool_use_id"}.get(str(block.get("type")))
            if key and not IDENT.fullmatch(str(block.get(key) or "")):
                where = f"messages.{i}.content.{j}.{block['type']}.{key}"
                return _no(f"{where}: String should match pattern '^[a-zA-Z0-9_-]+$'")
    return None


def _pairs(call: VendorRequest) -> RejectedError | None:
    merged = _merged(messages(call))
    for i, (message, following) in enumerate(zip(merged, [*merged[1:], {}], strict=True)):
        made = [block["id"] for block in blocks(message) if block.get("type") == "tool_use"]
        results = [block["tool_use_id"] for block in blocks(following) if block.get("type") == "tool_result"]
        missing = [name for name in made if name not in results]
        if missing:
            text = (
                "`tool_use` ids were found without `tool_result` blocks immediately "
                f"after: {', '.join(missing)}."
            )
            return _no(
                f"messages.{i}: {text} Each `tool_use` block must have a corresponding "
                "`tool_result` block in the "
                "next message."
            )
        orphans = [name for name in results if name not in made]
        if orphans:
            return _orphan(i + 1, orphans[0])
    first = [block for block in blocks(merged[0]) if block.get("type") == "tool_result"]
    return _orphan(0, first[0]["tool_use_id"]) if first else None


def _orphan(index: int, name: str) -> RejectedError:
    return _no(
        f"messages.{index}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {name}. Each "
        "`tool_result` block must have a corresponding `tool_use` block in the previous message."
    )


def _merged(turns: list[JSON]) -> list[JSON]:
    merged: list[JSON] = []
    for message in turns:
        if merged and merged[-1]["role"] == message["role"]:
            merged[-1] = {"role": message["role"], "content": [*blocks(merged[-1]), *blocks(message)]}
        else:
            merged.append(message)
    return merged


def _results_first(call: VendorRequest) -> RejectedError | None:
    for i, message in enumerate(messages(call)):
        kinds = [block.get("type") == "tool_result" for block in blocks(message)]
        if kinds != sorted(kinds, reverse=True):
            return _no(f"messages.{i}: `tool_result` blocks must come first in the content.")
    return None


def _sampling(call: VendorRequest) -> RejectedError | None:
    sent = [key for key in SAMPLING if call.body.get(key) is not None]
    if not sent:
        return None
    if call.headers.get("anthropic-version") == NEW_VERSION:
        return _no(f"{sent[0]}: Extra inputs are not permitted")
    if UNSAMPLED.match(str(call.model)) and any(call.body[key] != 1 for key in sent):
        return _no(f"{sent[0]}: sampling parameters are not supported by this model")
    return None


def _forced(call: VendorRequest) -> RejectedError | None:
    choice = call.body.get("tool_choice") or {}
    if choice and not call.body.get("tools"):
        return _no("tool_choice: Tool choice may only be specified while providing tools.")
    if choice.get("type") not in {"any", "tool"}:
        return None
    if str(call.model).startswith("claude-sonnet-5-5"):
        return _no("tool_choice: forced tool use is not supported by this model")
    if (call.body.get("thinking") or {}).get("type") in {"enabled", "adaptive"}:
        return _no("Thinking may not be enabled when tool_choice forces tool use.")
    return None


def _thinking(call: VendorRequest) -> RejectedError | None:
    thinking = call.body.get("thinking") or {}
    if thinking.get("type") != "enabled":
        return None
    if ADAPTIVE.match(str(call.model)):
        return _no(
            'thinking: "thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".'
        )
    if thinking.get("budget_tokens", 0) >= call.body["max_tokens"]:
        return _no("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if call.body.get("temperature") not in {None, 1}:
        return _no("`temperature` may only be set to 1 when thinking is enabled.")
    return None


def _signatures(call: VendorRequest) -> RejectedError | None:
    for i, message in enumerate(messages(call)):
        for j, block in enumerate(blocks(message)):
            if block.get("type") != "thinking":
                continue
            where = f"messages.{i}.content.{j}"
            if not block.get("signature"):
                return _no(f"{where}.thinking.signature: Field required")
            if block["signature"] in {OPENAI_REASONING, GOOGLE_SIGNATURE}:
                return _no(f"{where}: Invalid `signature` in `thinking` block")
    return None


def _tools(call: VendorRequest) -> RejectedError | None:
    for i, tool in enumerate(call.body.get("tools") or ()):
        if tool.get("type", "custom") != "custom":
            continue
        if not TOOL_NAME.fullmatch(str(tool.get("name"))):
            return _no(f"tools.{i}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if (tool.get("input_schema") or {}).get("type") != "object":
            return _no(f"tools.{i}.custom.input_schema.type: Field required")
        if text := anthropic_tool(tool["input_schema"]):
            return _no(f"tools.{i}.custom.input_schema.properties: {text}")
        if tool.get("strict") and (text := anthropic_output(tool["input_schema"])):
            return _no(f"tools.{i}.custom: {text}")
    return None


def _output(call: VendorRequest) -> RejectedError | None:
    schema = ((call.body.get("output_config") or {}).get("format") or {}).get("schema")
    text = anthropic_output(schema) if schema else None
    return _no(f"output_config.format.schema: {text}") if text else None


def _stops(call: VendorRequest) -> RejectedError | None:
    if all(stop.strip() for stop in call.body.get("stop_sequences") or ()):
        return None
    return _no("stop_sequences: each stop sequence must contain non-whitespace")


def _caches(call: VendorRequest) -> RejectedError | None:
    marked = sum(1 for part in nested(call.body) if part.get("cache_control"))
    text = f"A maximum of {CACHE_LIMIT} blocks with cache_control may be provided. Found {marked}."
    return _no(text) if marked > CACHE_LIMIT else None


RULES = (
    Rule("version header", REFERENCE, _version),
    Rule("unknown field", RECORDED, _field),
    Rule("required", REFERENCE, _required),
    Rule("roles", REFERENCE, _roles),
    Rule("empty content", REFERENCE, _empty),
    Rule("blank text", REFERENCE, _blank),
    Rule("trailing space", REFERENCE, _trailing),
    Rule("call ids", REFERENCE, _ids),
    Rule("tool pairs", RECORDED, _pairs),
    Rule(
        "results first",
        "platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use",
        _results_first,
    ),
    Rule("sampling", SONNET, _sampling),
    Rule("forced choice", SONNET, _forced),
    Rule("thinking", RECORDED, _thinking),
    Rule("signatures", THINKING, _signatures),
    Rule("tools", REFERENCE, _tools),
    Rule("output schema", ANTHROPIC, _output),
    Rule("stop sequences", REFERENCE, _stops),
    Rule("cache marks", "platform.claude.com/docs/en/build-with-claude/prompt-caching", _caches),
)
