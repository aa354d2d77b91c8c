"""A request compiled for one target: history, parameters, tools and answer shape made legal, changes noted.

What the way back needs: codecs turn tool names back by `Call.tool_names`; an answer whose shape travels as
a forced tool is recognised by `output_tool(request, call)`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.catalog import models as catalog
from langchain_llmdispatch.errors import UnsupportedFeatureError, UnsupportedParameterError
from langchain_llmdispatch.types import Call, Change, ToolChoice
from langchain_llmdispatch.vendors.compile.parameters import NEUTRAL, compile_parameters, rules_of
from langchain_llmdispatch.vendors.compile.tools import NO_TOOLS, Toolbox, Tools
from langchain_llmdispatch.vendors.history.blocks import MEDIA, input_blocks, media_kinds, text_block
from langchain_llmdispatch.vendors.history.compile import LEGAL, Verdict, assess, compile_messages

if TYPE_CHECKING:
    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.types import ChatRequest, Endpoint, UnsupportedParams
    from langchain_llmdispatch.vendors.base import Vendor

_NOTHING: Mapping[str, Any] = {}

# -- one call --------------------------------------------------------------------------------------


def compile_call(
    vendor: Vendor,
    request: ChatRequest,
    *,
    model: str,
    endpoint: Endpoint,
    defaults: Mapping[str, Any] = _NOTHING,
    facts: ModelFacts | None = None,
) -> tuple[Call, list[Change]]:
    """Return `request` as a call that `vendor` can spell, and what was altered for it.

    Args:
        vendor: The target's codec.
        request: What the caller asked.
        model: The vendor's own model id.
        endpoint: Where it goes.
        defaults: The deployment's parameters, under the request's.
        facts: What the model takes; None looks it up by vendor and model.

    Raises:
        UnsupportedFeatureError: The target cannot serve it: media, server tools.
        UnsupportedParameterError: With `unsupported_params="raise"`.
        ValueError: A message that is nothing to send.
    """
    facts = facts or catalog.facts(vendor.catalog, model)
    policy = request.unsupported_params
    wanted = {**defaults, **request.params} if defaults else request.params
    params, changes = compile_parameters(
        wanted, vendor.name, facts, policy, model=model, rules=vendor.parameters
    )
    extra = _extra(wanted, request.extra)
    tools = NO_TOOLS
    if request.tools or request.server_tools or request.output or request.tool_choice:
        tools = Toolbox(vendor, request, facts, model, changes).compiled()
    messages, altered = compile_messages(
        request.messages, vendor.history, model=model, tool_names=tools.names, vendor=vendor.name
    )
    if altered:
        changes += altered
    if tools.instruction:
        messages = _instructed(messages, tools.instruction)
    if facts.thinking == "budget" and ("thinking" in params or "reasoning_effort" in params):
        _calm(vendor, params, messages, tools.choice, changes)
    parallel = request.parallel_tool_calls
    if parallel is not None:
        parallel = _parallel(vendor, parallel, facts, tools, changes)
    call = Call(
        model=model,
        endpoint=endpoint,
        messages=messages,
        params=params,
        tools=tools.tools,
        server_tools=tools.server_tools,
        tool_choice=tools.choice,
        parallel_tool_calls=parallel,
        output=tools.output,
        extra=extra,
        stream=request.stream,
        tool_names={theirs: ours for ours, theirs in tools.names.items()} if tools.names else _NOTHING,
    )
    refused = vendor.refused(call)
    return (_without(call, refused, vendor, policy, changes) if refused else call), changes


def output_tool(request: ChatRequest, call: Call) -> str | None:
    """Return the caller's name of the tool whose arguments are the answer, or None if the answer is text.

    The call of this tool in an answer is to be turned into text: its arguments as JSON.
    """
    if request.output is None or call.output is not None:
        return None
    given = {tool.name for tool in request.tools}
    made = (call.tool_names.get(tool.name, tool.name) for tool in call.tools)
    return next((name for name in made if name not in given), None)


def _without(
    call: Call, refused: Collection[str], vendor: Vendor, policy: UnsupportedParams, changes: list[Change]
) -> Call:
    """Return the call without parameters that its API has no word for, and note them."""
    if policy == "raise":
        said = ", ".join(f"{name}={call.params[name]!r}" for name in sorted(refused))
        raise UnsupportedParameterError(f"{vendor.name}:{call.model} does not take {said} here")
    changes += [
        Change(f"{name}_dropped", f"the API that {call.model} is asked through has no {name}", lossy=True)
        for name in sorted(refused)
    ]
    return replace(call, params={name: v for name, v in call.params.items() if name not in refused})


def _extra(wanted: Mapping[str, Any], extra: Mapping[str, Any]) -> Mapping[str, Any]:
    if wanted.keys() <= NEUTRAL:
        return extra
    own = {name: value for name, value in wanted.items() if name not in NEUTRAL and value is not None}
    return {**own, **extra}


def _parallel(
    vendor: Vendor, wanted: bool, facts: ModelFacts, tools: Tools, changes: list[Change]
) -> bool | None:
    if not tools.tools:
        return None
    if (vendor.parameters or rules_of(vendor.name)).parallel_switch and facts.parallel_tool_calls:
        return wanted
    if not wanted:
        changes.append(Change("parallel_tool_calls_dropped", "the target has no such switch", lossy=True))
    return None


def _calm(
    vendor: Vendor,
    params: dict[str, Any],
    messages: Sequence[BaseMessage],
    choice: ToolChoice | None,
    changes: list[Change],
) -> None:
    """Switch thinking off for a leg that Anthropic's older models refuse to think in.

    With thinking on, the turns of an open tool loop must begin with thinking: one that another vendor
    began does not. Nor may a tool be forced.
    """
    if vendor.provider != "anthropic":
        return
    forced = choice is not None and choice.mode in {"any", "tool"}
    why = "a tool is forced" if forced else "the tool loop was begun without" if _unthought(messages) else ""
    on = not isinstance(params.get("thinking"), Mapping) or params["thinking"].get("type") != "disabled"
    if why and on:
        gone = [name for name in ("thinking", "reasoning_effort") if params.pop(name, None) is not None]
        about = f"no thinking in this turn: {why}"
        changes.extend(Change(f"{name}_dropped", about, lossy=True) for name in gone)


def _unthought(messages: Sequence[BaseMessage]) -> bool:
    if not isinstance(messages[-1], ToolMessage):
        return False
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return False
        if isinstance(message, AIMessage) and message.tool_calls and not _begins_with_thought(message):
            return True
    return False


def _begins_with_thought(message: AIMessage) -> bool:
    first = message.content[0] if isinstance(message.content, list) and message.content else None
    return isinstance(first, dict) and first.get("type") in {"reasoning", "non_standard"}


def _instructed(messages: list[BaseMessage], line: str) -> list[BaseMessage]:
    first = messages[0]
    if not isinstance(first, SystemMessage):
        return [SystemMessage(content=line), *messages]
    content = first.content
    longer = f"{content}\n\n{line}" if isinstance(content, str) else [*content, text_block(line)]
    return [first.model_copy(update={"content": longer}), *messages[1:]]


# -- history alone ---------------------------------------------------------------------------------


def compile_history(
    messages: Sequence[BaseMessage],
    target: str | Vendor,
    *,
    model: str = "",
    tool_names: Mapping[str, str] = _NOTHING,
    lookup: Callable[[str], Vendor] | None = None,
) -> tuple[list[BaseMessage], list[Change]]:
    """Return a conversation as a target takes it, and what was altered.

    Args:
        messages: Any LangChain history; not mutated.
        target: `vendor:model`, a vendor's name, or a vendor.
        model: The target's model where `target` does not name it.
        tool_names: The caller's tool names -> the target's, where they differ.
        lookup: Finds a vendor by name or alias; None looks among the built-in ones.

    Raises:
        UnsupportedFeatureError: The target cannot take it.
        LookupError: No vendor has that name.
    """
    if isinstance(target, str):
        name, _, named_model = target.partition(":")
        target, model = (lookup or _built_in)(name), named_model or model
    return compile_messages(messages, target.history, model=model, tool_names=tool_names, vendor=target.name)


def _built_in(name: str) -> Vendor:
    # The registry imports every codec; they import this module's neighbours.
    from langchain_llmdispatch.vendors import builtin_vendors  # noqa: PLC0415

    vendors = builtin_vendors()
    found = vendors.get(name) or next((v for v in vendors.values() if name in v.aliases), None)
    if found is None:
        raise LookupError(f"no vendor is named {name!r}; there are {', '.join(vendors)}")
    return found


# -- fitness ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a target can serve a request at all.

    Attributes:
        verdict: As `history.Assessment`.
        reasons: Why not, if illegal.
        changes: What would be altered.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


_LEGAL = Fit("legal")
_FACTS_OF_MEDIA = {
    "image": "images",
    "image_url": "images",
    "pdf": "pdf",
    "pdf_url": "pdf",
    "audio": "audio",
    "video": "video",
}


def fits(
    vendor: Vendor,
    request: ChatRequest,
    model: str,
    facts: ModelFacts,
    *,
    input_tokens: int | None = None,
) -> Fit:
    """Return whether the target can serve `request`; unknown facts never veto.

    Args:
        vendor: The target's codec.
        request: What the caller asked.
        model: The vendor's own model id.
        facts: What the model takes.
        input_tokens: An estimate of the prompt's size, for the context window.
    """
    reasons: list[str] = []
    changes: list[Change] = []
    history = assess(request.messages, vendor.history, model=model, vendor=vendor.name)
    reasons += history.reasons
    changes += history.changes
    # Also where only `assess` had nothing to say: the model may take less than its vendor.
    if history is not LEGAL and any(not isinstance(m.content, str) for m in request.messages):
        reasons += _unseen(request.messages, facts)
    if input_tokens and facts.context_window and input_tokens > facts.context_window:
        reasons.append(f"about {input_tokens} tokens do not fit a window of {facts.context_window}")
    try:
        changes += compile_parameters(
            request.params,
            vendor.name,
            facts,
            request.unsupported_params,
            model=model,
            rules=vendor.parameters,
        )[1]
        if request.tools or request.server_tools or request.output or request.tool_choice:
            reasons += _no_tools(vendor, request, model)
            Toolbox(vendor, request, facts, model, changes).compiled()
    except (UnsupportedFeatureError, UnsupportedParameterError) as error:
        reasons.append(error.message)
    if not reasons and not changes:
        return _LEGAL
    lossy: Verdict = "lossy" if any(change.lossy for change in changes) else "legal"
    return Fit("illegal" if reasons else lossy, tuple(reasons), tuple(changes))


def _no_tools(vendor: Vendor, request: ChatRequest, model: str) -> list[str]:
    profile = vendor.capabilities(model) if request.tools else None
    return ["the model calls no tools"] if profile and profile.get("tool_calling") is False else []


def _unseen(messages: Sequence[BaseMessage], facts: ModelFacts) -> list[str]:
    blocks = (
        block
        for message in messages
        if isinstance(message, HumanMessage) and isinstance(message.content, list)
        for block in input_blocks(message.content)
    )
    seen = {media_kinds(block)[0] for block in blocks if block["type"] in MEDIA}
    lacking = sorted({name for kind in seen if (name := _FACTS_OF_MEDIA.get(kind))})
    return [f"the model takes no {name}" for name in lacking if getattr(facts, name) is False]
