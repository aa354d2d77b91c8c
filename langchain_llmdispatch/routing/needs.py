"""What a request needs of a deployment, read off it once, and only as far as someone asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_llmdispatch.vendors.compiler import Fit, fits
from langchain_llmdispatch.vendors.compiler_tools import runs_itself
from langchain_llmdispatch.vendors.history_blocks import MEDIA
from langchain_llmdispatch.vendors.tools import server_type

if TYPE_CHECKING:
    from langchain_llmdispatch.targets import Target
    from langchain_llmdispatch.types import ChatRequest

BYTES_PER_TOKEN = 4
"""Bytes of UTF-8 per token: about right for English, other scripts and code alike."""
TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 800
TOKENS_PER_FILE = 2000
WORST_INPUT = 1.5
"""Tokens that a prompt may really have, per token of the estimate, where the worst case is asked for."""


class Needs:
    """A request's needs: size, media, tools. Nothing is counted before it is asked for.

    Args:
        request: What the caller asked.
    """

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.has_tools = bool(request.tools or request.server_tools)
        self.output_limit: int | None = request.params.get("max_tokens")

    @cached_property
    def tokens(self) -> int:
        """Tokens of the prompt, by estimate: about four bytes each."""
        request = self.request
        size = sum(_size(message) for message in request.messages)
        for tool in request.tools:
            size += len(tool.name) + len(tool.description) + len(repr(tool.parameters))
        if request.output is not None and request.output.schema is not None:
            size += len(repr(request.output.schema))
        return size // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * len(request.messages)

    @property
    def most_tokens(self) -> int:
        """Tokens that the prompt may really have at most, within reason: for worst cases."""
        return int(self.tokens * WORST_INPUT) + 1

    @cached_property
    def has_blocks(self) -> bool:
        """Whether some message is more than a string: then media may be in it."""
        return any(not isinstance(message.content, str) for message in self.request.messages)

    @cached_property
    def has_images(self) -> bool:
        """Whether some message holds an image."""
        return self.has_blocks and any(
            _kind(block) == "image" for message in self.request.messages for block in _blocks(message)
        )

    @cached_property
    def turn(self) -> int:
        """Where the latest turn begins: what stands before it, a vendor may have in its cache."""
        messages = self.request.messages
        return next((i + 1 for i in range(len(messages) - 1, -1, -1) if _is_answer(messages[i])), 0)

    @cached_property
    def prefix_tokens(self) -> int:
        """Tokens of the prompt up to the last answer, by estimate: what a vendor may have cached."""
        size = sum(_size(message) for message in self.request.messages[: self.turn])
        return size // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * self.turn

    @property
    def answered_by(self) -> str | None:
        """The deployment whose tool calls the last messages answer, or None outside a tool loop."""
        messages = self.request.messages
        if not messages or not isinstance(messages[-1], ToolMessage) or not self.turn:
            return None
        facts = messages[self.turn - 1].response_metadata.get("llmdispatch")
        name = facts.get("deployment") if isinstance(facts, Mapping) else None
        return name if isinstance(name, str) else None

    # -- who can serve them ------------------------------------------------------------------------

    def refused_by(self, target: Target) -> str | None:
        """Return why the target cannot serve the request at all, or None.

        It looks at what can be wrong at all with this request, and asks the compiler no more than that:
        `explain` asks it everything and comes to the same answer.
        """
        request = self.request
        if self.has_tools and not calls_tools(target):
            return "the model calls no tools"
        if request.server_tools and request.unsupported_params != "drop":
            for tool in request.server_tools:
                if not runs_itself(target.vendor, tool):
                    return f"the tool {server_type(tool)!r} is not run by this vendor"
        if request.unsupported_params == "raise":
            return _reason(self.fit(target))
        if self.has_blocks:
            return _reason(self._fit_of(self._conversation, target))
        return None

    def too_large_for(self, target: Target) -> str | None:
        """Return which limit of the model the request exceeds, by estimate, or None."""
        facts, wanted = target.facts, self.output_limit
        if facts.context_window is not None and self.tokens > facts.context_window:
            return f"about {self.tokens:,} tokens do not fit a window of {facts.context_window:,}"
        if wanted is not None and facts.max_output_tokens is not None and wanted > facts.max_output_tokens:
            return f"answers with at most {facts.max_output_tokens:,} tokens; {wanted:,} are asked for"
        return None

    def fit(self, target: Target) -> Fit:
        """Return everything the compiler has to say about the request and the target."""
        defaults = target.deployment.params
        request = self.request
        if defaults:
            request = replace(request, params={**defaults, **request.params})
        return self._fit_of(request, target)

    @cached_property
    def _conversation(self) -> ChatRequest:
        return replace(self.request, params={}, tools=(), server_tools=(), tool_choice=None, output=None)

    @staticmethod
    def _fit_of(request: ChatRequest, target: Target) -> Fit:
        return fits(target.vendor, request, target.model, target.facts)


def calls_tools(target: Target) -> bool:
    """Return whether the target's model calls tools, as far as anybody knows."""
    own = target.deployment.profile
    known = own if "tool_calling" in own else target.vendor.capabilities(target.model)
    return not known or known.get("tool_calling") is not False


def _reason(fit: Fit) -> str | None:
    return "; ".join(fit.reasons) or None if fit.verdict == "illegal" else None


def _is_answer(message: BaseMessage) -> bool:
    return isinstance(message, AIMessage)


# -- sizes, in bytes -----------------------------------------------------------------------------------


def _size(message: BaseMessage) -> int:
    content = message.content
    size = _bytes(content) if isinstance(content, str) else sum(_block_size(b) for b in content)
    if isinstance(message, AIMessage) and message.tool_calls:
        size += sum(len(call["name"]) + len(repr(call["args"])) for call in message.tool_calls)
    return size


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
