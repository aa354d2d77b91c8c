"""What a request needs of a deployment: size, media, tools, a schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.catalog.terms import PLAIN, Terms
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.types import ChatRequest
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.compile.compatibility import check_request
from langchain_llmdispatch.vendors.compile.server_tools import UNMIXED, fate_of
from langchain_llmdispatch.vendors.compile.words import foreign_question, requested
from langchain_llmdispatch.vendors.history.blocks import input_blocks, media_kinds
from langchain_llmdispatch.vendors.history.compile import Compatibility, check_messages
from langchain_llmdispatch.vendors.history.media_types import MEDIA
from langchain_llmdispatch.vendors.history.threads import folded
from langchain_llmdispatch.vendors.prompt_cache import NAME as PROMPT_CACHE

BYTES_PER_TOKEN = 4
"""Bytes of UTF-8 per token: about right for English, other scripts and code alike."""
TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 800
TOKENS_PER_FILE = 2000
TERMS = frozenset({"service_tier", "speed", "inference_geo"})
"""Words that choose terms of sale."""
_FACTS = {"image": "images", "pdf": "pdf", "audio": "audio", "video": "video"}
WORST_INPUT = 1.5
"""Tokens that a prompt may really have in the worst case, per token of the estimate."""


_Sizes: TypeAlias = tuple[bool, int, int, int, int]
"""Whether there are blocks; messages up to the last answer, and in all; bytes in all, and up to it."""


def _sizes(state: _Sizes | None, messages: Sequence[BaseMessage]) -> _Sizes:
    """Return the sizes of messages that follow others."""
    has_blocks, turn, count, size, prefix = state or (False, 0, 0, 0, 0)
    for place, message in enumerate(messages, count + 1):
        content = message.content
        if type(content) is str:
            size += len(content) if content.isascii() else _bytes(content)
        else:
            has_blocks = True
            size += sum(_block_size(block) for block in content)
        if type(message) not in _WITHOUT_CALLS and isinstance(message, AIMessage):
            size += sum(len(call["name"]) + len(repr(call["args"])) for call in message.tool_calls)
            turn, prefix = place, size
    return has_blocks, turn, count + len(messages), size, prefix


class Needs:
    """A request's needs: size, media, tools.

    Args:
        request: The request.

    Attributes:
        request: The request.
        has_tools: Whether there are tools, the vendors' own included.
        has_blocks: Whether some message is more than a string, and so may hold media.
        has_schema: Whether the answer must follow a JSON schema.
        output_limit: `max_tokens` of the request, or None.
        turn: The number of messages up to the last answer: what a vendor may have cached.
    """

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.has_tools = bool(request.tools or request.server_tools)
        self.has_schema = request.output is not None and request.output.schema is not None
        self.output_limit: int | None = request.params.get("max_tokens")
        self.has_blocks, self.turn, _, self._size, self._prefix_size = folded(_sizes, request.messages)

    @cached_property
    def tokens(self) -> int:
        """Tokens of the prompt, by estimate: about four bytes each."""
        request, size = self.request, self._size
        for tool in request.tools:
            size += len(tool.name) + len(tool.description) + len(repr(tool.parameters))
        if request.output is not None and request.output.schema is not None:
            size += len(repr(request.output.schema))
        return size // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * len(request.messages)

    @property
    def worst_tokens(self) -> int:
        """Tokens that the prompt may really have in the worst case."""
        return int(self.tokens * WORST_INPUT) + 1

    @cached_property
    def has_images(self) -> bool:
        """Whether some message holds an image."""
        return self.has_blocks and any(
            _kind(block) == "image" for message in self.request.messages for block in _blocks(message)
        )

    @cached_property
    def marks_cache(self) -> bool:
        """Whether the request marks what the vendor is to cache: writing to the cache may cost extra."""
        request = self.request
        if request.params.get(PROMPT_CACHE):
            return True
        tools = [*request.server_tools, *(tool.extras for tool in request.tools)]
        if "cache_control" in request.extra or any("cache_control" in tool for tool in tools):
            return True
        return self.has_blocks and any(
            "cache_control" in block or "cache_control" in (block.get("extras") or {})
            for message in request.messages
            for block in _blocks(message)
        )

    @property
    def prefix_tokens(self) -> int:
        """Tokens of the prompt up to the last answer, by estimate: what a vendor may have cached."""
        return self._prefix_size // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * self.turn

    @property
    def tool_loop_deployment(self) -> str | None:
        """The deployment whose tool calls the last messages answer, or None outside a tool loop."""
        messages = self.request.messages
        if not messages or not isinstance(messages[-1], ToolMessage) or not self.turn:
            return None
        facts = messages[self.turn - 1].response_metadata.get("llmdispatch")
        name = facts.get("deployment") if isinstance(facts, Mapping) else None
        return name if isinstance(name, str) else None

    @cached_property
    def names_terms(self) -> bool:
        """Whether the request itself selects terms of sale (a service tier, fast mode, a geography)."""
        return not (TERMS.isdisjoint(self.request.params) and TERMS.isdisjoint(self.request.extra))

    def terms_on(self, target: Target) -> Terms:
        """Return the terms of sale that the request selects at a target."""
        own, request = target.deployment.params, self.request
        if not self.names_terms and (not own or TERMS.isdisjoint(own)):
            return PLAIN
        return target.vendor.billing.requested(request.over(own, {**request.params, **request.extra}))

    def output_limit_on(self, target: Target) -> int | None:
        """Return `max_tokens` on a target: the call's, else the deployment's, else the model's; or None."""
        own = target.deployment.params
        if self.request.scopes is not None:
            limit: int | None = requested(self.request, target.vendor, own).get("max_tokens")
            return limit
        if not own or "max_tokens" not in own:
            return self.output_limit
        chosen = self.output_limit is not None and "max_tokens" not in self.request.defaults
        return self.output_limit if chosen else own["max_tokens"]

    # -- what meets them ---------------------------------------------------------------------------

    @property
    def may_be_inexpressible(self) -> bool:
        """Whether some vendor's API may have no form for a part of the request."""
        request = self.request
        given = bool(request.server_tools or request.extra)
        return given or self.has_blocks or request.unsupported_params == "raise"

    def inexpressible_to(self, target: Target) -> str | None:
        """Return why the target's API has no form for the request, or None.

        Only the parts of this request that may lack a form are compiled; `fit`, which compiles all of it,
        comes to the same result.
        """
        request = self.request
        kept = []  # a tool that the target does not get stands beside no function
        for tool in request.server_tools:
            fate, why = fate_of(target.vendor, tool, request.unsupported_params, request.scopes)
            if fate == "refused":
                return why
            if fate in {"own", "portable"}:
                kept.append(tool)
        mixed = kept and request.tools and request.unsupported_params != "drop"
        if mixed and not target.vendor.mixes_tools(kept, target.facts):
            return UNMIXED
        reasons: Sequence[str] = ()
        foreign = request.extra and request.unsupported_params != "drop"
        if foreign and (question := foreign_question(target.vendor, request, target.endpoint.base_url)):
            return question
        if request.unsupported_params == "raise":
            lacks = self._lacks(target)
            reasons = [reason for reason in self.fit(target).reasons if reason not in lacks]
        elif self.has_blocks:
            vendor = target.vendor
            reasons = check_messages(
                request.messages,
                vendor.history_for(target.facts),
                model=target.model,
                vendor=vendor.name,
                drop=request.unsupported_params == "drop",
            ).reasons
        return "; ".join(reasons) or None

    def unmet_by(self, target: Target) -> str | None:
        """Return what the target's model lacks for the request, by the catalog, or None.

        The catalog may be out of date, and sizes are estimates: such a target is left out only if another one
        lacks nothing.
        """
        facts, limit = target.facts, self.output_limit_on(target)
        if (self.has_tools or self.has_blocks or self.has_schema) and (lacks := self._lacks(target)):
            return "; ".join(lacks)
        window, most = facts.context_window, facts.max_output_tokens
        if window is not None and self.tokens > window:
            return f"about {self.tokens:,} tokens do not fit a window of {window:,}"
        if limit is not None and most is not None and limit > most:
            return f"the model answers with at most {most:,} tokens; max_tokens is {limit:,}"
        return None

    def _lacks(self, target: Target) -> list[str]:
        facts = target.facts
        lacks = [f"the model takes no {kind}" for kind in self.media if getattr(facts, kind) is False]
        if self.request.tools and not calls_tools(target):
            lacks.append("the model calls no tools")
        if self.has_schema and not _follows_schemas(target):
            lacks.append("the model supports no structured output")
        return lacks

    @cached_property
    def media(self) -> Sequence[str]:
        """Kinds of media that the user's turns hold, as `ModelFacts` calls them."""
        if not self.has_blocks:
            return ()
        contents = (m.content for m in self.request.messages if isinstance(m, HumanMessage))
        blocks = (b for content in contents if isinstance(content, list) for b in input_blocks(content))
        kinds = {media_kinds(block)[0].removesuffix("_url") for block in blocks if block["type"] in MEDIA}
        return sorted(_FACTS[kind] for kind in kinds if kind in _FACTS)

    def fit(self, target: Target) -> Compatibility:
        """Return what compiling the request for the target would change or refuse."""
        return check_request(
            target.vendor,
            self.request,
            target.model,
            target.facts,
            endpoint=target.endpoint,
            defaults=target.deployment.params,
        )


forks.renew_properties(Needs)


def calls_tools(target: Target) -> bool:
    """Return whether the target's model calls tools; True if unknown."""
    own = target.deployment.profile
    if "tool_calling" in own:
        return own["tool_calling"] is not False
    return _model_calls_tools(target.vendor, target.model)


def _follows_schemas(target: Target) -> bool:
    """Return whether answers can follow a schema, by the vendor's own means or by a forced tool call."""
    own, facts = target.deployment.profile, target.facts
    if own.get("structured_output", facts.structured_output):
        return True
    return facts.forced_tool_choice and calls_tools(target)


@lru_cache(maxsize=1024)
def _model_calls_tools(vendor: Vendor, model: str) -> bool:
    known = vendor.capabilities(model)
    return not known or known.get("tool_calling") is not False


# -- sizes, in bytes -----------------------------------------------------------------------------------


_WITHOUT_CALLS = frozenset({HumanMessage, SystemMessage, ToolMessage})


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _blocks(message: BaseMessage) -> Sequence[Mapping[str, Any]]:
    content = message.content
    return () if isinstance(content, str) else [block for block in content if isinstance(block, dict)]


def _block_size(block: str | Mapping[str, Any]) -> int:
    if isinstance(block, str):
        return _bytes(block)
    kind = _kind(block)
    if kind == "text":
        return sum(_bytes(v) for k in ("text", "thinking", "reasoning") if isinstance(v := block.get(k), str))
    if kind == "call":  # counted among the message's tool calls
        return 0
    return BYTES_PER_TOKEN * (TOKENS_PER_IMAGE if kind == "image" else TOKENS_PER_FILE)


_CALLS = frozenset({"tool_use", "tool_call", "function_call", "tool_call_chunk"})
_FILES = MEDIA | {"document", "input_audio", "input_file", "media"}


def _kind(block: Mapping[str, Any]) -> str:
    word = str(block.get("type", ""))
    mime = str(block.get("mime_type") or "")
    if word in {"image", "image_url", "input_image"} or mime.startswith("image/"):
        return "image"
    if word in _CALLS:
        return "call"
    return "file" if word in _FILES else "text"
