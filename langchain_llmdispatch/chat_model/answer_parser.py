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
        pieces: list[BaseMessage] = []
        value = None
        for value in super()._transform(_kept(chunk, pieces) for chunk in input):
            yield value
        yield from self._last(pieces, value)

    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:  # noqa: A002 - LangChain's parameter name
        pieces: list[BaseMessage] = []
        value = None
        async for value in super()._atransform(_kept(chunk, pieces) async for chunk in input):
            yield value
        for last in self._last(pieces, value):
            yield last

    def _last(self, pieces: list[BaseMessage], before: Any) -> Iterator[Any]:
        """Yield the whole value, unless it was the last one yielded.

        Raises:
            OutputParserException: As for a whole answer.
        """
        if not pieces:
            return
        whole = sum(pieces[1:], pieces[0])
        value = self.parse_result([ChatGeneration(message=whole)])
        if value is not None and value != before:
            yield value

    @property
    def _type(self) -> str:
        return "llmdispatch_answer"


def _kept(chunk: str | BaseMessage, pieces: list[BaseMessage]) -> str | BaseMessage:
    pieces.append(AIMessageChunk(content=chunk) if isinstance(chunk, str) else chunk)
    return chunk


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
