"""From an answer of a LangChain chat model to ours: one name for each fact, usage once, names mapped back.

LangChain's models give no end marker in general. A stream counts as whole when it gave a finish reason (by
any of its names) or marked its last chunk; integrations that always give one (`integrations.py`) must, and
others may simply end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGenerationChunk

from langchain_llmdispatch.errors import (
    EmptyAnswerError,
    MalformedResponseError,
    TruncatedStreamError,
    TruncatedToolCallError,
)
from langchain_llmdispatch.vendors.answer import CallIds, made_id, whole_chunk
from langchain_llmdispatch.vendors.answer_checks import is_empty
from langchain_llmdispatch.vendors.finish_reasons import ending, ending_of, has_ended
from langchain_llmdispatch.vendors.langchain.streamed_calls import ChunkCalls
from langchain_llmdispatch.vendors.usage import count_of

if TYPE_CHECKING:
    from langchain_core.outputs import ChatResult

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.langchain.integrations import Integration

_ENDS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")
_OWN = ("finish_reason", "normalized_finish_reason", "finish_state")
_TIERS = frozenset({"flex", "priority"})
_MODELS = ("model_name", "model", "model_id", "modelId", "model_version")


def message_of(result: ChatResult, call: Call, integration: Integration) -> AIMessage:
    """Return the answer in what `_generate` returned.

    Raises:
        MalformedResponseError: It is no message.
        EmptyAnswerError: It holds nothing, and no reason is given.
    """
    generation = result.generations[0] if result.generations else None
    message = generation.message if generation else None
    if generation is None or not isinstance(message, AIMessage):
        raise MalformedResponseError("the model returned no message")
    facts = {
        **_without_usage(result.llm_output),
        **_without_usage(generation.generation_info),
        **message.response_metadata,
    }
    metadata = _metadata(facts, call, integration, calls=bool(message.tool_calls), identity=message.id)
    if "normalized_finish_reason" not in metadata and is_empty(message):
        raise EmptyAnswerError("the answer is empty")
    message = _with_ids(message, CallIds())
    update = {
        "response_metadata": metadata,
        "usage_metadata": _counted(message.usage_metadata),
        **_renamed(message, call.tool_names),
    }
    return message.model_copy(update=update)


def chunk_of(result: ChatResult, call: Call, integration: Integration) -> ChatGenerationChunk:
    """Return a whole answer as a stream of one chunk, for models that do not stream; see `message_of`."""
    return ChatGenerationChunk(message=whole_chunk(message_of(result, call, integration)))


def _without_usage(facts: Mapping[str, Any] | None) -> Mapping[str, Any]:
    # Usage has its own place on the message.
    return {key: value for key, value in (facts or {}).items() if key not in {"token_usage", "usage"}}


def _metadata(
    facts: Mapping[str, Any], call: Call, integration: Integration, *, calls: bool, identity: str | None
) -> dict[str, Any]:
    """Return response metadata with our names for model, vendor, id and finish reason."""
    metadata = dict(facts)
    if (word := _ended_by(facts)) is not None:
        own = {name: facts[name] for name in _OWN if facts.get(name)}
        metadata |= ending(word, calls=calls) | own
        if calls and metadata["normalized_finish_reason"] == "stop":
            metadata["normalized_finish_reason"] = "tool_call"  # they must be answered next
    elif calls:
        metadata |= {"normalized_finish_reason": "tool_call", "finish_state": "complete"}
    named = next(
        (facts[key] for key in _MODELS if isinstance(facts.get(key), str) and facts[key]), call.model
    )
    metadata["model_name"] = str(named)
    metadata.setdefault("model_provider", integration.model_provider)
    if identity and not identity.startswith(("run-", "lc_")):
        metadata.setdefault("id", identity)
    return metadata


def _ended_by(facts: Mapping[str, Any]) -> str | None:
    """Return the model's own word for the end, or None if there is none."""
    for key in _ENDS:
        word = facts.get(key)
        if not isinstance(word, str) or not has_ended(word):
            continue
        if word == "incomplete":
            why = facts.get("incomplete_details")
            word = str(why.get("reason") if isinstance(why, Mapping) else "") or word
        if key != "status" or ending_of(word) is not None:
            return word
    return None


def _counted(usage: UsageMetadata | None) -> UsageMetadata | None:
    """Return a model's usage, or None where it is absurd."""
    sides = ("input_tokens", "output_tokens", "total_tokens")
    if not usage or any(count_of(usage.get(side)) is None for side in sides):
        return None
    read, made = usage.get("input_token_details"), usage.get("output_token_details")
    if not any(kind.partition("_")[0] in _TIERS for kind in (*(read or ()), *(made or ()))):
        return usage
    details = {"input_token_details": _untiered(read), "output_token_details": _untiered(made)}
    return cast("UsageMetadata", {**usage, **details})


def _untiered(details: Any) -> dict[str, Any]:
    """Return details by their plain names: langchain-openai writes the tier before them."""
    names = {kind: kind.partition("_") for kind in details or ()}
    return {
        rest if tier in _TIERS and rest else kind: details[kind]
        for kind, (tier, _, rest) in names.items()
        if kind not in _TIERS
    }


def _with_ids(message: AIMessage, ids: CallIds) -> AIMessage:
    """Return a message each of whose calls has an id of its own."""
    own = [
        {**call, "id": ids.own(call["id"] or made_id(message.id, number))}
        for number, call in enumerate(message.tool_calls)
    ]
    return message if own == message.tool_calls else message.model_copy(update={"tool_calls": own})


def _renamed(message: AIMessage, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what changes in a message when the target's tool names become the caller's again."""
    if not names:
        return {}
    update: dict[str, Any] = {
        key: [{**call, "name": names.get(str(call["name"]), call["name"])} for call in getattr(message, key)]
        for key in ("tool_calls", "invalid_tool_calls", "tool_call_chunks")
        if getattr(message, key, None)
    }
    if isinstance(message.content, list):
        update["content"] = [
            {**block, "name": names[block["name"]]}
            if isinstance(block, dict) and block.get("name") in names
            else block
            for block in message.content
        ]
    return update


class ChunkDecoder:
    """Decodes a model's stream: its chunks go on as they are, its facts come once, at the end.

    Args:
        call: The compiled call.
        integration: The integration.
    """

    done = False

    def __init__(self, call: Call, integration: Integration) -> None:
        self._call, self._integration = call, integration
        self._facts: dict[str, Any] = {}
        self._usage: UsageMetadata | None = None
        self._identity: str | None = None
        self._calls = ChunkCalls()
        self._last = self._filled = False

    @property
    def finished(self) -> bool:
        """Whether the model marked its last chunk; a finish reason may stand on each one (Gemini)."""
        return self._last

    @property
    def _ended(self) -> bool:
        return self._last or _ended_by(self._facts) is not None

    @property
    def used(self) -> UsageMetadata | None:
        """The usage that the model has reported so far."""
        return _counted(self._usage)

    def feed(self, data: Any) -> list[AIMessageChunk]:
        """Return what a chunk holds for the caller.

        Args:
            data: A `ChatGenerationChunk`, as `_stream` yields it.
        """
        generation: ChatGenerationChunk = data
        chunk = generation.message
        if not isinstance(chunk, AIMessageChunk):
            raise MalformedResponseError("the model streamed no chunk")
        self._facts |= {**_without_usage(generation.generation_info), **chunk.response_metadata}
        if chunk.usage_metadata:
            self._usage = add_usage(self._usage, chunk.usage_metadata)
        self._identity = self._identity or chunk.id
        self._last = self._last or chunk.chunk_position == "last"
        if chunk.tool_call_chunks:
            chunk = self._calls.add(chunk)
        if is_empty(chunk):
            return []
        self._filled = True
        return [chunk.model_copy(update={**self._mark, **_renamed(chunk, self._call.tool_names)})]

    @property
    def _mark(self) -> dict[str, Any]:
        provider = self._facts.get("model_provider", self._integration.model_provider)
        return {
            "id": None,
            "usage_metadata": None,
            "chunk_position": None,
            "response_metadata": {"model_provider": provider},
        }

    def close(self) -> list[AIMessageChunk]:
        """Return the last chunk, with all facts.

        Raises:
            TruncatedStreamError: No finish reason came, and the integration always gives one.
            TruncatedToolCallError: A tool call's arguments are no whole JSON.
            EmptyAnswerError: Nothing came.
        """
        if not self._ended and (self._integration.marks_end or not self._filled):
            if not (self._facts or self._filled):
                raise EmptyAnswerError("the answer is empty")
            raise TruncatedStreamError("the stream ended without a finish reason")
        if not self._calls.whole:
            raise TruncatedToolCallError("the arguments of a tool call are not whole JSON")
        calls = bool(self._calls)
        metadata = _metadata(self._facts, self._call, self._integration, calls=calls, identity=self._identity)
        if not self._filled and "normalized_finish_reason" not in metadata:
            raise EmptyAnswerError("the answer is empty")
        return [
            AIMessageChunk(
                content="",
                tool_call_chunks=self._calls.rest(),
                usage_metadata=_counted(self._usage),
                response_metadata=metadata,
                chunk_position="last",
            )
        ]
