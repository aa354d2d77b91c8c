"""From a compiled call to the body of `generateContent`: tools, output, generation parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.vendors.google.contents import contents, system_instruction
from langchain_llmdispatch.vendors.google.words import camel, camel_keys
from langchain_llmdispatch.vendors.request import merged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.types import Call, OutputSchema

# Neutral parameter -> field of `generationConfig`.
_CONFIG = {
    "temperature": "temperature",
    "max_tokens": "maxOutputTokens",
    "top_p": "topP",
    "top_k": "topK",
    "stop": "stopSequences",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
_MODES = {"auto": "AUTO", "none": "NONE", "any": "ANY", "tool": "ANY", "validated": "VALIDATED"}

# Thinking levels from weak to strong, and what neutral efforts mean in them.
_LEVELS = ("minimal", "low", "medium", "high")
_EFFORT_LEVELS = {"none": "minimal", "xhigh": "high", "max": "high"}
# Where a model's levels are unknown.
_USUAL_LEVELS = ("low", "medium", "high")
# Gemini 2.5 takes a budget in tokens. The numbers are those of Google's own OpenAI-compatible endpoint
# (https://ai.google.dev/gemini-api/docs/openai#thinking); 2.5 Pro cannot think less than 128.
_BUDGETS = {
    "none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576,
}  # fmt: skip
_LEAST_OF_PRO = 128
_SCHEMAS = frozenset({"responseSchema", "responseJsonSchema"})


def request_body(call: Call, facts: ModelFacts) -> dict[str, Any]:
    """Return the body of a request for `call`, of a model with `facts`."""
    body: dict[str, Any] = {"contents": contents(call)}
    system = system_instruction(call.messages)
    if system is not None:
        body["systemInstruction"] = system
    tools = _tools(call)
    if tools:
        body["tools"] = tools
    tool_config = _tool_config(call, facts)
    if tool_config:
        body["toolConfig"] = tool_config
    config = _generation_config(call, facts)
    if config:
        body["generationConfig"] = config
    if "service_tier" in call.params:
        body["serviceTier"] = call.params["service_tier"]
    made = merged(body, call.extra)
    if not _SCHEMAS.isdisjoint(own := made.get("generationConfig", {})):
        made["generationConfig"] = {"responseMimeType": "application/json", **own}  # refused without
    return made


def _generation_config(call: Call, facts: ModelFacts) -> dict[str, Any]:
    config = {_CONFIG[name]: value for name, value in call.params.items() if name in _CONFIG}
    if config.get("logprobs"):
        config["responseLogprobs"] = True
    thinking = _thinking(call, facts)
    if thinking:
        config["thinkingConfig"] = thinking
    return {**config, **(_output(call.output) if call.output else {})}


def _thinking(call: Call, facts: ModelFacts) -> dict[str, Any]:
    """Return `thinkingConfig`: a level from Gemini 3 on, a budget before; the caller's own fields win."""
    own: dict[str, Any] = camel_keys(call.params.get("thinking") or {})
    effort = call.params.get("reasoning_effort")
    if effort is None or own.keys() & {"thinkingLevel", "thinkingBudget"}:
        return own
    # Reasoning is shown, as with every other vendor; here that must be requested.
    own = own if effort == "none" else {"includeThoughts": True, **own}
    if facts.thinking != "budget":
        return {"thinkingLevel": _level(facts.effort_levels or _USUAL_LEVELS, effort), **own}
    budget = _BUDGETS.get(effort, _BUDGETS["medium"])
    return {"thinkingBudget": max(budget, _LEAST_OF_PRO) if "pro" in call.model else budget, **own}


def _level(levels: Sequence[str], effort: str) -> str:
    """Return the weakest of `levels` that is no weaker than `effort`, or the strongest."""
    level = _EFFORT_LEVELS.get(effort, effort)
    rank = _LEVELS.index(level if level in _LEVELS else "medium")
    return next((level for level in _LEVELS[rank:] if level in levels), levels[-1])


def _tools(call: Call) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = []
    if call.tools:
        # `parametersJsonSchema` takes JSON Schema as it is; `parameters` only OpenAPI's dialect of it.
        declarations = [
            {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}
            for tool in call.tools
        ]
        tools.append({"functionDeclarations": declarations})
    return tools + [_server_tool(tool) for tool in call.server_tools]


def _server_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool of Google's, written `{"google_search": {}}` or `{"type": "google_search"}`."""
    if "type" not in tool:
        return dict(tool)
    return {camel(str(tool["type"])): {key: value for key, value in tool.items() if key != "type"}}


def _tool_config(call: Call, facts: ModelFacts) -> dict[str, Any]:
    config: dict[str, Any] = {}
    choice = call.tool_choice
    # "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function
    # calling": from Gemini 3 on, which then has no mode AUTO.
    mixed = bool(call.tools and call.server_tools) and facts.thought_signatures
    if mixed:
        config["includeServerSideToolInvocations"] = True
    if choice is not None and not (mixed and choice.mode == "auto"):
        calling: dict[str, Any] = {"mode": _MODES[choice.mode]}
        if names := choice.allowed or (choice.name,) * (choice.mode == "tool"):
            calling["allowedFunctionNames"] = [*names]
        config["functionCallingConfig"] = calling
    return config


def _output(output: OutputSchema) -> dict[str, Any]:
    config: dict[str, Any] = {"responseMimeType": "application/json"}
    if output.schema is not None and output.method != "json_mode":
        config["responseJsonSchema"] = output.schema
    return config
