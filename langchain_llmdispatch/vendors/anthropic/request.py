"""From a compiled call to the body of Anthropic's Messages API, and the beta features that it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.vendors.anthropic.answer import PROVIDER
from langchain_llmdispatch.vendors.anthropic.blocks import Block, input_block, output_block, tool_use
from langchain_llmdispatch.vendors.anthropic.words import WORDS
from langchain_llmdispatch.vendors.history.threads import Thread, folded
from langchain_llmdispatch.vendors.request import holds, merged

if TYPE_CHECKING:
    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.types import Call, OutputSchema, ToolSpec

_NOT_IN_BODY = frozenset({"betas", "reuse_last_container"})
UNKNOWN_MAX_TOKENS = 4096
MOST_MAX_TOKENS = 32_000
"""Requested where the caller names no limit: no model's answer is cut by it in practice, and a model's own
maximum (128,000) would reserve a needless share of every budget."""


def body(call: Call, facts: ModelFacts) -> dict[str, Any]:
    """Return the request body of `call`.

    Raises:
        UnsupportedFeatureError: JSON mode without a schema, which this API does not have.
    """
    system, turns = folded(_after, call.messages)
    out: dict[str, Any] = {"model": call.model, **_params(call, facts)}
    if system is not None:
        out["system"] = system
    out["messages"] = [*turns]
    if call.tools or call.server_tools:
        out["tools"] = [*(_tool(tool) for tool in call.tools), *(dict(tool) for tool in call.server_tools)]
        choice = _tool_choice(call)
        if choice:
            out["tool_choice"] = choice
    if call.output:
        out["output_config"] = {**out.get("output_config", {}), "format": _format(call.output)}
    if call.stream:
        out["stream"] = True
    if call.extra.get("reuse_last_container") and (identity := _last_container(call.messages)):
        own = call.extra.get("container")
        out["container"] = {"id": identity} if isinstance(own, Mapping) else identity
    return merged(out, call.extra, without=_NOT_IN_BODY)


def _last_container(messages: Sequence[BaseMessage]) -> str:
    """Return the id of the container in which Anthropic last ran code for this conversation, or nothing."""
    for message in reversed(messages):
        if isinstance(message, AIMessage) and message.response_metadata.get("model_provider") == PROVIDER:
            container = message.response_metadata.get("container")
            if isinstance(container, Mapping) and container.get("id"):
                return str(container["id"])
    return ""


# -- turns -------------------------------------------------------------------------------------------


Turns: TypeAlias = tuple[str | list[Block] | None, tuple[Block, ...]]
"""The system message, and the turns."""


def _after(state: Turns | None, messages: Sequence[BaseMessage]) -> Turns:
    system, known = state or (None, ())
    turns = [*known]
    for message in messages:
        if isinstance(message, SystemMessage) and not turns:
            system = _content(message.content)
            continue
        if isinstance(message, SystemMessage):
            turns.append({"role": "system", "content": _content(message.content)})
            continue
        role = "assistant" if isinstance(message, AIMessage) else "user"
        content = _turn(message)
        # All results of one turn, and the user's text beside them, must stand in one message.
        if turns and turns[-1]["role"] == role:
            turns[-1] = {"role": role, "content": [*_listed(turns[-1]["content"]), *_listed(content)]}
        else:
            turns.append({"role": role, "content": content})
    return system, tuple(turns)


def _listed(content: str | list[Block]) -> list[Block]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _turn(message: BaseMessage) -> str | list[Block]:
    if isinstance(message, AIMessage):
        return _assistant(message)
    if isinstance(message, ToolMessage):
        return [_tool_result(message)]
    return _content(message.content)


def _content(content: str | list[Any]) -> str | list[Block]:
    return content if isinstance(content, str) else [input_block(block) for block in content]


def _assistant(message: AIMessage) -> str | list[Block]:
    if isinstance(message.content, str):
        if not message.tool_calls:
            return message.content
        blocks = _listed(message.content) if message.content else []
    else:
        made = (output_block(block) for block in message.content if isinstance(block, dict))
        blocks = [block for block in made if block is not None]
    placed = [block.get("id") for block in blocks if block.get("type") == "tool_use"]
    return blocks + [tool_use(call) for call in message.tool_calls if call["id"] not in placed]


def _tool_result(message: ToolMessage) -> Block:
    out: Block = {
        "type": "tool_result",
        "tool_use_id": message.tool_call_id,
        "content": _content(message.content),
    }
    if message.status == "error":
        out["is_error"] = True
    return out


# -- tools and output --------------------------------------------------------------------------------

_TOOL_EXTRAS = (
    "cache_control",
    "defer_loading",
    "allowed_callers",
    "eager_input_streaming",
    "input_examples",
)


def _tool(tool: ToolSpec) -> Block:
    out: Block = {"name": tool.name, "input_schema": {"type": "object", **tool.parameters}}
    if tool.description:
        out["description"] = tool.description
    if tool.strict is not None:
        out["strict"] = tool.strict
    out.update((name, tool.extras[name]) for name in _TOOL_EXTRAS if name in tool.extras)
    return out


def _tool_choice(call: Call) -> Block | None:
    choice = call.tool_choice
    out: Block = {"type": choice.mode if choice else "auto"}
    if choice and choice.mode == "tool":
        out["name"] = (choice.server or {}).get("name", choice.name)
    if call.parallel_tool_calls is not None and out["type"] != "none":
        out["disable_parallel_tool_use"] = not call.parallel_tool_calls
    return out if choice or len(out) > 1 else None


def _format(output: OutputSchema) -> Block:
    if output.schema is None:
        raise UnsupportedFeatureError("JSON mode without a schema", vendor="anthropic")
    return {"type": "json_schema", "schema": dict(output.schema)}


# -- parameters --------------------------------------------------------------------------------------

_NAMES: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop_sequences",
    "service_tier": "service_tier",
    "thinking": "thinking",
}


def _params(call: Call, facts: ModelFacts) -> dict[str, Any]:
    given = call.params
    # `max_tokens` is required; its place is kept at the front, where people look for it.
    out: dict[str, Any] = {
        "max_tokens": given.get("max_tokens")
        or default_max_tokens(call.most_output or facts.max_output_tokens)
    }
    for name, spelled in _NAMES.items():
        value = given.get(name)
        if value is not None and value != []:
            out[spelled] = list(value) if name == "stop" else value
    if given.get("user"):
        out["metadata"] = {"user_id": given["user"]}
    effort = given.get("reasoning_effort")
    if effort:
        _think(out, call, facts, effort)
    budget = (out.get("thinking") or {}).get("budget_tokens")
    if budget and not given.get("max_tokens"):  # it counts in `max_tokens`, and must be less
        room = max(out["max_tokens"], budget + UNKNOWN_MAX_TOKENS)
        out["max_tokens"] = min(room, facts.max_output_tokens or room)
    return out


def default_max_tokens(most: int | None) -> int:
    """Return the `max_tokens` of a request whose caller sets none, to a model that writes `most` at most."""
    return min(most, MOST_MAX_TOKENS) if most else UNKNOWN_MAX_TOKENS


# -- thinking ----------------------------------------------------------------------------------------

# Refuse `thinking: disabled` (platform.claude.com/docs/en/build-with-claude/adaptive-thinking).
_ALWAYS_THINKS = ("claude-opus-5-5", "claude-fable", "claude-mythos")
_BUDGETS: Mapping[str, int] = {"low": 2048, "medium": 8192, "high": 16_384, "xhigh": 24_576, "max": 32_000}
_LEAST_BUDGET = 1024


def _think(out: dict[str, Any], call: Call, facts: ModelFacts, effort: str) -> None:
    """Spell `reasoning_effort`: adaptive thinking with an effort, or a budget for older models."""
    level = "low" if effort == "minimal" else effort
    if facts.thinking == "adaptive":
        _adapt(out, call.model, level)
        return
    if level in facts.effort_levels:  # Opus 4.5: effort beside a budget
        out["output_config"] = {"effort": level}
    forced = call.tool_choice is not None and call.tool_choice.mode in {"any", "tool"}
    # A budget cannot go with a forced tool, and must leave room for the answer.
    if facts.thinking == "budget" and level in _BUDGETS and "thinking" not in out and not forced:
        _budget(out, _BUDGETS[level], limited="max_tokens" in call.params)


def _adapt(out: dict[str, Any], model: str, level: str) -> None:
    if level == "none":
        if model.startswith(_ALWAYS_THINKS):
            out["output_config"] = {"effort": "low"}
        else:
            out.setdefault("thinking", {"type": "disabled"})
        return
    out["output_config"] = {"effort": level}
    out.setdefault("thinking", {"type": "adaptive", "display": "summarized"})


def _budget(out: dict[str, Any], budget: int, *, limited: bool) -> None:
    if limited:
        budget = min(budget, out["max_tokens"] * 4 // 5)
    else:
        out["max_tokens"] = max(out["max_tokens"], budget + UNKNOWN_MAX_TOKENS)
    if budget < _LEAST_BUDGET:
        return
    out["thinking"] = {"type": "enabled", "budget_tokens": budget}
    # "`temperature` may only be set to 1 when thinking is enabled"; `top_k` not at all.
    out.pop("temperature", None)
    out.pop("top_k", None)


# -- beta features -----------------------------------------------------------------------------------

_BETAS_OF_TOOLS: Mapping[str, str] = {
    "web_fetch_20250910": "web-fetch-2025-09-10",
    "code_execution_20250522": "code-execution-2025-05-22",
    "code_execution_20250825": "code-execution-2025-08-25",
    "mcp_toolset": "mcp-client-2025-11-20",
    "memory_20250818": "context-management-2025-06-27",
    "computer_20250124": "computer-use-2025-01-24",
    "computer_20251124": "computer-use-2025-11-24",
    "tool_search_tool_regex_20251119": "advanced-tool-use-2025-11-20",
    "tool_search_tool_bm25_20251119": "advanced-tool-use-2025-11-20",
    "advisor_20260301": "advisor-tool-2026-03-01",
}
# Blocks that change the tools, and the names of the features: `_MID_CONVERSATION_TOOL_CHANGES_BETA` and
# `_INLINE_TOOLS_BETA` of langchain-anthropic 1.7.10.
_CHANGES = frozenset({"tool_addition", "tool_removal"})
_FILES = "files-api-2025-04-14"


def betas(call: Call, made: Mapping[str, Any]) -> list[str]:
    """Return the beta features of a request: those the caller names, and those its body cannot do without."""
    named = call.extra.get("betas") or ()
    needed = [_BETAS_OF_TOOLS.get(str(tool.get("type")), "") for tool in call.server_tools]
    if any("input_examples" in tool.extras for tool in call.tools):
        needed.append("advanced-tool-use-2025-11-20")
    if call.extra:
        needed += [word.beta for word in WORDS.words.values() if word.beta and holds(made, word.path)]
        if holds(made, ("container", "skills")):
            needed.append("skills-2025-10-02")
        if any(edit.get("type") == "compact_20260112" for edit in _edits(made)):
            needed.append("compact-2026-01-12")
    if (made.get("thinking") or {}).get("display") == "updates":
        needed.append("thinking-display-updates-2026-08-18")
    # A thread holds neither changes of tools nor files.
    turns = () if call.messages.__class__ is Thread and not call.extra else made["messages"]
    changes = (
        block for turn in _system_turns(made, turns) for block in turn if block.get("type") in _CHANGES
    )
    changed = [block.get("tool") for block in changes]
    if changed:
        needed.append("mid-conversation-tool-changes-2026-07-01")
    if any(isinstance(tool, dict) and tool.get("type") == "tool_definition" for tool in changed):
        needed.append("inline-tools-2026-09-15")
    if any(_names_a_file(turn["content"]) for turn in turns):
        needed.append(_FILES)
    return [name for name in dict.fromkeys((*named, *needed)) if name]


def _system_turns(made: Mapping[str, Any], turns: Sequence[Block]) -> Iterator[list[Block]]:
    """Yield the blocks of the system message, and of those within the conversation."""
    contents = [turn["content"] for turn in turns if turn["role"] == "system"]
    for content in (made.get("system"), *contents):
        if isinstance(content, list):
            yield [block for block in content if isinstance(block, dict)]


def _edits(made: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    management = made.get("context_management")
    edits = management.get("edits") if isinstance(management, Mapping) else None
    return [edit for edit in edits or () if isinstance(edit, Mapping)]


def _names_a_file(content: Any) -> bool:
    parts = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    sources = (
        part.get("source") for part in parts if part.get("type") == "image" or part.get("type") == "document"
    )
    results = (part.get("content") for part in parts if part.get("type") == "tool_result")
    return any(isinstance(source, dict) and source.get("type") == "file" for source in sources) or any(
        map(_names_a_file, results)
    )
