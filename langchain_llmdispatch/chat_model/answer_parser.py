"""From an answer to the value that `with_structured_output` promises; an answer that was cut has none."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import JsonOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from pydantic import BaseModel, ValidationError

from langchain_llmdispatch.chat_model.answer_root import AnswerRoot
from langchain_llmdispatch.vendors.finish_reasons import normalized
from langchain_llmdispatch.vendors.json_partial import PartialJson
from langchain_llmdispatch.vendors.json_text import partial_value, whole_value

_CUT = frozenset({"length", "content_filter", "refusal", "context_exceeded"})


class AnswerParser(JsonOutputParser):
    """Reads a value from an answer's text, or from the arguments of one tool.

    Streamed, a dict is yielded as it grows; an object of a class once, when it is whole.

    Attributes:
        root: The schema, and how its root is wrapped.
        model: The pydantic class of the value; None for what JSON holds.
        tool: The tool whose arguments are the value; None for the text.
    """

    root: AnswerRoot
    model: Any = None
    tool: str | None = None

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Return the value of an answer, None if the tool was not called; or what there is of it so far.

        Raises:
            ModelRefusalError: The model refused.
            OutputParserException: The answer was cut, holds no JSON, or other JSON than the schema's.
        """
        with suppress(ValueError, RecursionError):
            super().parse_result(result, partial=True)  # raises if the model refused
        generation = result[0]
        message = generation.message if isinstance(generation, ChatGeneration) else AIMessage(generation.text)
        if partial:
            return None if self.model else self.root.part(partial_value(self._text(message) or ""))
        metadata = message.response_metadata
        reason, text = normalized(metadata), self._text(message)
        if reason in _CUT or metadata.get("finish_state") == "suspended":
            raise self._error(f"it was cut ({reason})", text)
        return None if text is None else self._value(text)

    def _text(self, message: BaseMessage) -> str | None:
        """Return the text that holds the value; None if the tool was not called."""
        if self.tool is None:
            return str(message.text)
        if isinstance(message, AIMessageChunk) and message.tool_call_chunks:
            pieces = message.tool_call_chunks
            return next((piece["args"] or "{}" for piece in pieces if piece["name"] == self.tool), None)
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        return next((json.dumps(call["args"]) for call in calls if call["name"] == self.tool), None)

    def _value(self, text: str) -> Any:
        try:
            value = self.root.unwrapped(whole_value(text))
            return value if self.model is None else _validated(self.model, value)
        except ValueError as error:  # pydantic's are
            raise self._error(str(error), text) from error

    def _error(self, why: str, text: str | None) -> OutputParserException:
        text = text or ""
        about = f"The answer is no {self.root.name}: {why}. Its text: {text}"
        return OutputParserException(about, llm_output=text)

    # -- streams -----------------------------------------------------------------------------------

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:  # noqa: A002 - its name
        growing = _Growing(self.root, self.model, self.tool)
        for chunk in input:
            yield from growing.add(chunk)
        yield from self._last(growing)

    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:  # noqa: A002 - LangChain's parameter name
        growing = _Growing(self.root, self.model, self.tool)
        async for chunk in input:
            for value in growing.add(chunk):
                yield value
        for last in self._last(growing):
            yield last

    def _last(self, growing: _Growing) -> Iterator[Any]:
        """Yield the whole value, unless it was the last one yielded.

        Raises:
            OutputParserException: As for a whole answer.
        """
        if (whole := growing.message()) is None:
            return
        value = self.parse_result([ChatGeneration(message=whole)])
        if value is not None and value != growing.value:
            yield value

    @property
    def _type(self) -> str:
        return "llmdispatch_answer"


class _Growing:
    """An answer while it is streamed.

    Args:
        root: The schema.
        model: The pydantic class of the value, which has no parts; None for what JSON holds.
        tool: The tool whose arguments are the value; None for the text.

    Attributes:
        value: What was yielded last.
    """

    def __init__(self, root: AnswerRoot, model: Any, tool: str | None) -> None:
        self._root, self._model, self._tool = root, model, tool
        self._pieces: list[BaseMessage] = []
        self._place: Any = None  # of the tool's call among the pieces of calls
        self._text = ""
        self._json: PartialJson | None = None
        self.value: Any = None

    def add(self, chunk: str | BaseMessage) -> Iterator[Any]:
        """Yield the value so far, if the chunk changes it."""
        message = AIMessageChunk(content=chunk) if isinstance(chunk, str) else chunk
        self._pieces.append(message)
        if self._model is not None or not (text := self._text_of(message)):
            return
        value = self._root.part(self._grown(text))
        if value is not None and value != self.value:
            self.value = value
            yield value

    def message(self) -> BaseMessage | None:
        """Return the sum of the chunks; None if there were none."""
        if not self._pieces:
            return None
        first, *rest = self._pieces
        return first + rest if rest and isinstance(first, AIMessageChunk) else first

    def _text_of(self, message: BaseMessage) -> str:
        if self._tool is None:
            return str(message.text)
        pieces = message.tool_call_chunks if isinstance(message, AIMessageChunk) else []
        for piece in pieces:
            if self._place is None and piece["name"] == self._tool:
                self._place = piece["index"]
        if self._place is None:
            return ""
        return "".join(piece["args"] or "" for piece in pieces if piece["index"] == self._place)

    def _grown(self, text: str) -> Any:
        self._text += text
        if self._json is None and self._text.lstrip()[:1] in {"{", "["}:
            self._json, text = PartialJson(), self._text
        if self._json is None or self._json.broken:  # after reasoning, in a fence, within prose
            return partial_value(self._text)
        self._json.add(text)
        return self._json.value()


def _validated(model: Any, value: Any) -> Any:
    """Return the object of a pydantic class, of version 2 or 1.

    Raises:
        ValidationError: The value has another shape.
    """
    if not issubclass(model, BaseModel):
        return model.parse_obj(value)
    try:
        return model.model_validate(value)
    except ValidationError:
        # A strict model reads dates, tuples and enums from JSON only.
        return model.model_validate_json(json.dumps(value))
