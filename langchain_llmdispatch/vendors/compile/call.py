"""A request compiled for one target: history, parameters, tools and answer schema made legal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import UnsupportedParameterError
from langchain_llmdispatch.types import Call, Change, ChatRequest, Endpoint, ToolChoice
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.compile.parameters import compile_parameters
from langchain_llmdispatch.vendors.compile.tools import NO_TOOLS, CompiledTools, compile_tools
from langchain_llmdispatch.vendors.compile.words import compile_words, owners_of, system_text
from langchain_llmdispatch.vendors.history.blocks import text_block
from langchain_llmdispatch.vendors.history.compile import compile_messages
from langchain_llmdispatch.vendors.history.plain import is_plain
from langchain_llmdispatch.vendors.history.threads import Thread, is_ours
from langchain_llmdispatch.vendors.parameters import NEUTRAL
from langchain_llmdispatch.vendors.prompt_cache import NAME as PROMPT_CACHE
from langchain_llmdispatch.vendors.prompt_cache import cache_key
from langchain_llmdispatch.vendors.server_state import host_of

_DOCUMENTS = "documents"  # `langchain-cohere` reads them beside the last message
_NOTHING: Mapping[str, Any] = {}
_ALWAYS_TAKEN = 1024
"""Every API takes this many tokens as an output limit."""


def compile_call(
    vendor: Vendor,
    request: ChatRequest,
    *,
    model: str,
    endpoint: Endpoint,
    defaults: Mapping[str, Any] = _NOTHING,
    facts: ModelFacts | None = None,
    deployment: str = "",
) -> tuple[Call, list[Change]]:
    """Return `request` as a call that `vendor` can encode, and what was altered for it.

    Args:
        vendor: The target's vendor.
        request: The request.
        model: The vendor's own model id.
        endpoint: Where it goes.
        defaults: The deployment's parameters; those that the call chose win.
        facts: What the model takes; None looks it up.
        deployment: The deployment's name, for answers that it has stored; empty: none is relied on.

    Raises:
        UnsupportedFeatureError: The target cannot serve it: media, server tools.
        UnsupportedParameterError: With `unsupported_params="raise"`.
        ValueError: A message that cannot be sent (`RemoveMessage`).
    """
    facts = facts or vendor.facts(model)
    changes: list[Change] = []
    if (defaults or request.params or request.extra or request.scopes) and has_words(request, defaults):
        words = compile_words(vendor, request, endpoint, defaults)
        request, endpoint, changes = words.request, words.endpoint, words.changes
    elif defaults:
        request = replace(request, params=request.over(defaults, request.params))
    given, policy = request.params, request.unsupported_params
    params, more = compile_parameters(given, vendor, facts, policy, model=model) if given else ({}, [])
    changes += more
    tools = compile_tools(vendor, request, facts, model, changes) if _may_hold_tools(request) else NO_TOOLS
    messages = _messages(vendor, facts, request, model, tools, changes, host_of(endpoint.base_url))
    if params and vendor.history.thinking_first and facts.thinking == "budget":
        _pause_thinking(params, messages, tools.choice, changes)
    call = Call(
        model=model,
        endpoint=endpoint,
        messages=messages,
        params=params,
        tools=tools.tools,
        server_tools=tools.server_tools,
        tool_choice=tools.choice,
        parallel_tool_calls=_parallel(vendor, request, facts, changes) if tools.tools else None,
        output=tools.output,
        extra=_beside(request.extra, tools.fields),
        stream=request.stream,
        tool_names={theirs: ours for ours, theirs in tools.names.items()} if tools.names else _NOTHING,
        argument_names=tools.keys or _NOTHING,
        deployment=deployment,
        most_output=facts.max_output_tokens,
    )
    if given or call.extra:
        call = _without_refused(_continued(_cached(call, request), vendor, changes), vendor, request, changes)
    return call, changes


def _cached(call: Call, request: ChatRequest) -> Call:
    """Return the call with what it sets for the vendor's prompt cache."""
    if (cache := request.params.get(PROMPT_CACHE)) is None:
        return call
    return replace(call, prompt_cache=cache, cache_key=cache_key(request) if cache else "")


def _continued(call: Call, vendor: Vendor, changes: list[Change]) -> Call:
    """Return the call as one that goes on from an answer which the vendor has stored, if there is one."""
    stored = vendor.stored_answer(call) if call.extra else ""
    if not stored:
        return call
    changes.append(Change("history_stored", "only what follows a stored answer is sent"))
    return replace(call, continues=stored)


def has_words(request: ChatRequest, defaults: Mapping[str, Any]) -> bool:
    """Return whether more than neutral parameters is given to a target, at any level."""
    if request.extra or request.scopes is not None:
        return True
    return not (defaults.keys() <= NEUTRAL and request.params.keys() <= NEUTRAL)


def _messages(
    vendor: Vendor,
    facts: ModelFacts,
    request: ChatRequest,
    model: str,
    tools: CompiledTools,
    changes: list[Change],
    host: str,
) -> Sequence[BaseMessage]:
    """Return the history as the target takes it, with the instruction that its tools need."""
    messages, rules = request.messages, vendor.history_for(facts)
    if messages.__class__ is Thread and not is_ours(vendor):
        messages = [*messages]  # its codec may change what it makes of them
    if tools.names or not (_is_one_text(messages) or is_plain(messages, rules)):
        messages, altered = compile_messages(
            messages,
            rules,
            model=model,
            tool_names=tools.names,
            vendor=vendor.name,
            host=host,
            drop=request.unsupported_params == "drop",
        )
        changes += altered
    if request.messages[-1].additional_kwargs and (text := _beside_text(vendor, request, changes)):
        messages = _with_line(messages, text)
    return _with_line(messages, tools.instruction) if tools.instruction else messages


def _beside_text(vendor: Vendor, request: ChatRequest, changes: list[Change]) -> str:
    """Return what stands for words beside the last message that another vendor reads there; mostly nothing.

    Raises:
        UnsupportedParameterError: With `unsupported_params="raise"`.
    """
    value, owner = request.messages[-1].additional_kwargs.get(_DOCUMENTS), owners_of()[_DOCUMENTS][0]
    if not value or owner.name in {vendor.name, vendor.traced_as}:
        return ""
    whose, policy = f"a word of {owner.name}, beside the last message", request.unsupported_params
    text = system_text(owner.words.words[_DOCUMENTS], value) if policy == "adapt" else ""
    if policy == "raise":
        raise UnsupportedParameterError(f"{vendor.name} does not take {_DOCUMENTS}: {whose}")
    kind, what = ("adapted", "; a system message instead") if text else ("dropped", "")
    changes.append(Change(f"{_DOCUMENTS}_{kind}", f"{whose}{what}", lossy=not text))
    return text


def _with_line(messages: Sequence[BaseMessage], line: str) -> Sequence[BaseMessage]:
    """Return a history with one more line in its first system message."""
    first = messages[0]
    if not isinstance(first, SystemMessage):
        return [SystemMessage(content=line), *messages]
    content = first.content
    longer = f"{content}\n\n{line}" if isinstance(content, str) else [*content, text_block(line)]
    return [first.model_copy(update={"content": longer}), *messages[1:]]


def _is_one_text(messages: Sequence[BaseMessage]) -> bool:
    """Whether a history is one text of the user, which every vendor takes as it is."""
    first = messages[0]
    one = len(messages) == 1 and type(first) is HumanMessage and first.name is None
    return one and isinstance(first.content, str) and bool(first.content.strip())


def _may_hold_tools(request: ChatRequest) -> bool:
    """Whether there are tools, or calls in the history. The common case is seen at once."""
    if request.tools or request.server_tools or request.output or request.tool_choice:
        return True
    return any(isinstance(message, AIMessage) for message in request.messages)


def _beside(extra: Mapping[str, Any], fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of the body with those that stand beside compiled tools; lists are joined."""
    if not fields:
        return extra
    lists = {name: [*(extra.get(name) or ()), *value] for name, value in fields.items()}
    return {**extra, **lists}


def _parallel(vendor: Vendor, request: ChatRequest, facts: ModelFacts, changes: list[Change]) -> bool | None:
    """Return `parallel_tool_calls` where the target has the switch."""
    requested = request.parallel_tool_calls
    if requested is None or (vendor.parameters.parallel_switch and facts.parallel_tool_calls):
        return requested
    if not requested:
        changes.append(Change("parallel_tool_calls_dropped", "the target has no such switch", lossy=True))
    return None


def _without_refused(call: Call, vendor: Vendor, request: ChatRequest, changes: list[Change]) -> Call:
    """Return the call without parameters that its API does not have, and note them.

    Raises:
        UnsupportedParameterError: With `unsupported_params="raise"`.
    """
    call = _with_least_tokens(call, vendor, request, changes)
    refused = sorted(vendor.refused(call))
    if refused and request.unsupported_params == "raise":
        values = ", ".join(
            f"{name}={call.params[name]!r}" if name in call.params else name for name in refused
        )
        raise UnsupportedParameterError(f"{vendor.name}:{call.model} does not take {values} here")
    if not refused:
        return call
    about = f"the API that {call.model} is called through has no"
    changes += [Change(f"{name}_dropped", f"{about} {name}", lossy=True) for name in refused]
    params, extra = (
        {name: value for name, value in given.items() if name not in refused}
        for given in (call.params, call.extra)
    )
    return replace(call, params=params, extra=extra)


def _with_least_tokens(call: Call, vendor: Vendor, request: ChatRequest, changes: list[Change]) -> Call:
    """Return the call with an output limit that its API takes, and note a higher one.

    Raises:
        UnsupportedParameterError: With `unsupported_params="raise"`.
    """
    most = call.params.get("max_tokens")
    if not isinstance(most, int) or most >= _ALWAYS_TAKEN or most >= (least := vendor.least_tokens(call)):
        return call
    if request.unsupported_params == "raise":
        raise UnsupportedParameterError(f"{vendor.name}:{call.model} takes no max_tokens below {least} here")
    about = f"the API that {call.model} is called through takes no less than {least}"
    changes.append(Change("max_tokens_raised", about))
    return replace(call, params={**call.params, "max_tokens": least})


# -- thinking ------------------------------------------------------------------------------------------


def _pause_thinking(
    params: dict[str, Any],
    messages: Sequence[BaseMessage],
    choice: ToolChoice | None,
    changes: list[Change],
) -> None:
    """Drop the thinking parameters of a request for which the target does not accept them.

    With `HistoryRules.thinking_first` the turns of an open tool loop must begin with thinking, which those of
    another vendor do not; nor may a tool be forced.
    """
    if not ("thinking" in params or "reasoning_effort" in params):
        return
    thinking = params.get("thinking")
    if isinstance(thinking, Mapping) and thinking.get("type") == "disabled":
        return
    forced = choice is not None and choice.mode in {"any", "tool"}
    if not forced and not _loop_began_without_thinking(messages):
        return
    why = "a tool is forced" if forced else "the tool loop was begun without"
    dropped = [name for name in ("thinking", "reasoning_effort") if params.pop(name, None) is not None]
    about = f"no thinking in this turn: {why}"
    changes += [Change(f"{name}_dropped", about, lossy=True) for name in dropped]


def _loop_began_without_thinking(messages: Sequence[BaseMessage]) -> bool:
    if not isinstance(messages[-1], ToolMessage):
        return False
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return False
        if isinstance(message, AIMessage) and message.tool_calls and not _begins_with_thinking(message):
            return True
    return False


def _begins_with_thinking(message: AIMessage) -> bool:
    first = message.content[0] if isinstance(message.content, list) and message.content else None
    return isinstance(first, dict) and first.get("type") in {"reasoning", "non_standard"}
