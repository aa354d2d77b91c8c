"""What the decoders of answers share, whole or streamed: tool calls, texts and blocks, answers as chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk

from langchain_llmdispatch.errors import MalformedResponseError, TruncatedToolCallError
from langchain_llmdispatch.internal.json_format import dump_json, parse_json
from langchain_llmdispatch.internal.prototypes import Prototype

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import InvalidToolCall, ToolCall, ToolCallChunk

    from langchain_llmdispatch.vendors.errors import ErrorContext


def json_value(body: bytes, context: ErrorContext) -> Any:
    """Return the JSON value in a whole body.

    Raises:
        MalformedResponseError: There is none.
    """
    try:
        return parse_json(body)
    except ValueError as cause:
        raise context.error(MalformedResponseError, f"the answer is not JSON: {cause}") from cause


def json_object(body: bytes, context: ErrorContext) -> dict[str, Any]:
    """Return the JSON object in a whole body.

    Raises:
        MalformedResponseError: There is no object.
    """
    value = json_value(body, context)
    if not isinstance(value, dict):
        raise context.error(MalformedResponseError, "the answer is no JSON object")
    return value


def model_of(answer: Mapping[str, Any], requested: str) -> str:
    """Return the model that an answer names, or the requested one."""
    model = answer.get("model")
    return model if isinstance(model, str) and model else requested


# -- tool calls ----------------------------------------------------------------------------------------


def arguments(text: str) -> dict[str, Any] | None:
    """Return the arguments in `text`, or None if it is no JSON object; nothing and `null` mean none."""
    if not text.strip():
        return {}
    try:
        value = parse_json(text)
    except ValueError:
        return None
    if value is None:
        return {}
    return value if isinstance(value, dict) else None


def made_id(answer_id: str | None, index: int) -> str:
    """Return an id for the tool call at `index` that came without one; the same answer gives the same id."""
    return f"{answer_id}_call_{index}" if answer_id else f"call_{index}"


def named_tool(name: Any, names: Mapping[str, str]) -> str:
    """Return the caller's name of the tool that a streamed call calls.

    Raises:
        TruncatedToolCallError: The call has no name.
    """
    if not isinstance(name, str) or not name:
        raise TruncatedToolCallError("a tool call has no name")
    return names.get(name, name)


class CallIds:
    """The ids of an answer's tool calls: each call has one of its own, though the vendor repeat one."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def own(self, identity: str) -> str:
        """Return the id of the next call: as it came, or another one where it is taken."""
        own, number = identity, len(self._taken)
        while own in self._taken:
            own, number = f"{identity}_{number}", number + 1
        self._taken.add(own)
        return own


class ToolCalls:
    """The tool calls of an answer by validity.

    Attributes:
        names: The caller's names of tools by the vendor's, where they differ.
        ids: Their ids.
        valid: The calls that can be made.
        invalid: The others.
    """

    __slots__ = ("ids", "invalid", "names", "valid")

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names
        self.ids = CallIds()
        self.valid: list[ToolCall] = []
        self.invalid: list[InvalidToolCall] = []

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.valid or self.invalid)

    def add(
        self, name: Any, args: Any, identity: str, error: str = "the arguments are no JSON object"
    ) -> bool:
        """Add a call, and return whether it is valid.

        Args:
            name: The tool as the vendor names it; a call without a name is invalid.
            args: The arguments; anything but a dict makes the call invalid.
            identity: Its id (see `CallIds`).
            error: What is wrong with the arguments if they are no dict.
        """
        name = self.names.get(name, name) if isinstance(name, str) else ""
        if name and isinstance(args, dict):
            self.valid.append(tool_call(name=name, args=args, id=identity))
            return True
        error = "the call has no name" if isinstance(args, dict) else error
        text = args if isinstance(args, str) else dump_json(args).decode()
        self.invalid.append(invalid_tool_call(name=name or None, args=text, id=identity, error=error))
        return False


def joined_pieces(pieces: list[ToolCallChunk]) -> list[ToolCallChunk]:
    """Return the pieces of one chunk, one for each call: LangChain joins only those of different chunks."""
    joined: dict[Any, ToolCallChunk] = {}
    for piece in pieces:
        known = joined.setdefault(piece["index"], piece)
        if known is not piece:
            args = [text for text in (known["args"], piece["args"]) if text is not None]
            joined[piece["index"]] = tool_call_chunk(
                name=known["name"] or piece["name"],
                args="".join(args) if args else None,
                id=known["id"] or piece["id"],
                index=piece["index"],
            )
    return [*joined.values()]


# -- text and blocks -----------------------------------------------------------------------------------

_CONTENT = Prototype(AIMessageChunk(content="", response_metadata={}))
_TEXTS = frozenset({"text", "thinking", "reasoning", "refusal", "signature", "arguments", "partial_json"})


def text_of(value: Any) -> str:
    """Return a piece of text, which LangChain does not check within blocks and `additional_kwargs`.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(value, str):
        raise TypeError(f"text of type {type(value).__name__}")
    return value


def content_blocks(content: str | list[Any]) -> list[Any]:
    """Return a message's content as blocks; an empty text is none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content


def checked_blocks(blocks: list[Any]) -> list[Any]:
    """Return content blocks that LangChain's translators can read: texts are texts, citations are objects.

    Raises:
        TypeError: A block has something else for a text or a citation, or is no block.
    """
    for block in blocks:
        for name in _TEXTS & block.keys():
            if block[name] is not None:
                text_of(block[name])
        for note in block.get("citations") or ():
            text_of(note.get("type", ""))
    return blocks


def text_chunk(text: Any, provider: str) -> AIMessageChunk:
    """Return a chunk with text only.

    Raises:
        TypeError: It is no text.
    """
    return content_chunk(text_of(text), provider)


def blocks_chunk(blocks: list[Any], provider: str) -> AIMessageChunk:
    """Return a chunk with content blocks only.

    Raises:
        TypeError: As for `checked_blocks`.
    """
    return content_chunk(checked_blocks(blocks), provider)


def content_chunk(content: str | list[Any], provider: str) -> AIMessageChunk:
    """Return a chunk with content only, which is known to be valid."""
    return _CONTENT.made(
        content=content,
        response_metadata={"model_provider": provider},
        additional_kwargs={},
        tool_calls=[],
        invalid_tool_calls=[],
        tool_call_chunks=[],
    )


def whole_chunk(message: AIMessage) -> AIMessageChunk:
    """Return a whole answer as the last chunk of a stream."""
    calls = [(call["name"], dump_json(call["args"]).decode(), call["id"]) for call in message.tool_calls]
    calls += [(call["name"] or "", call["args"] or "", call["id"]) for call in message.invalid_tool_calls]
    fields = message.model_dump(exclude={"type", "tool_calls", "invalid_tool_calls"})
    return AIMessageChunk(
        **fields,
        tool_call_chunks=[
            tool_call_chunk(name=name, args=args, id=identity, index=index)
            for index, (name, args, identity) in enumerate(calls)
        ],
        chunk_position="last",
    )
