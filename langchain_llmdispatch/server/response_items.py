"""The items of a response's output, and their events.

Source: platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

_Event = dict[str, Any]


class OutputItem:
    """One item while it is made.

    Args:
        number: Its place in the output.
        text: Its text so far.

    Attributes:
        kind: What distinguishes items: an item of another kind begins anew.
        is_done: Whether it is whole.
    """

    prefix = ""

    def __init__(self, number: int, text: str = "") -> None:
        self.kind: tuple[Any, ...] = (self.prefix,)
        self.text, self.is_done = text, False
        self._number, self._id = number, f"{self.prefix}_{uuid.uuid4().hex}"

    def begin(self) -> Iterator[_Event]:
        """Yield the events with which it begins."""
        yield self._of("response.output_item.added", item=self.item("in_progress"), item_id=None)

    def add(self, text: str) -> Iterator[_Event]:
        """Yield the event of a piece of its text."""
        raise NotImplementedError

    def end(self) -> Iterator[_Event]:
        """Yield the events with which it ends, once."""
        if self.is_done:
            return
        self.is_done = True
        yield from self._last()
        yield self._of("response.output_item.done", item=self.done(), item_id=None)

    def done(self) -> dict[str, Any]:
        """Return the whole item."""
        return self.item("completed")

    def item(self, status: str) -> dict[str, Any]:
        """Return the item as it is now."""
        raise NotImplementedError

    def _last(self) -> Iterator[_Event]:
        raise NotImplementedError

    def _of(self, kind: str, **fields: Any) -> _Event:
        """Return an event about this item; `item_id=None` leaves its id out."""
        named = {"item_id": self._id, "output_index": self._number, **fields}
        return {"type": kind, **{name: value for name, value in named.items() if value is not None}}


class ReasoningItem(OutputItem):
    """Reasoning, as a summary of one part."""

    prefix = "rs"

    def begin(self) -> Iterator[_Event]:
        """Yield the events with which it begins."""
        yield from super().begin()
        yield self._of("response.reasoning_summary_part.added", summary_index=0, part=self._part(""))

    def add(self, text: str) -> Iterator[_Event]:
        """Yield the event of a piece of its text."""
        self.text += text
        yield self._of("response.reasoning_summary_text.delta", summary_index=0, delta=text)

    def _last(self) -> Iterator[_Event]:
        yield self._of("response.reasoning_summary_text.done", summary_index=0, text=self.text)
        part = self._part(self.text)
        yield self._of("response.reasoning_summary_part.done", summary_index=0, part=part)

    def item(self, status: str) -> dict[str, Any]:
        """Return the item as it is now."""
        summary = [self._part(self.text)] if self.text else []
        return {"id": self._id, "type": "reasoning", "summary": summary, "status": status}

    def _part(self, text: str) -> dict[str, Any]:
        return {"type": "summary_text", "text": text}


class MessageItem(OutputItem):
    """A message with one part: text or a refusal.

    Args:
        number: Its place in the output.
        part: `content` or `refusal`.
        text: Its text so far.
        logprobs: The log probabilities of its tokens.
    """

    prefix = "msg"

    def __init__(self, number: int, part: str, text: str = "", logprobs: Any = ()) -> None:
        super().__init__(number, text)
        self.part, self.logprobs = part, logprobs
        self.kind = (self.prefix, part)
        self._word = "output_text" if part == "content" else "refusal"

    def begin(self) -> Iterator[_Event]:
        """Yield the events with which it begins."""
        yield from super().begin()
        yield self._of("response.content_part.added", content_index=0, part=self._content(""))

    def add(self, text: str) -> Iterator[_Event]:
        """Yield the event of a piece of its text."""
        self.text += text
        more: dict[str, Any] = {"logprobs": []} if self.part == "content" else {}
        yield self._of(f"response.{self._word}.delta", content_index=0, delta=text, **more)

    def _last(self) -> Iterator[_Event]:
        named = {"text": self.text, "logprobs": list(self.logprobs)}
        more = named if self.part == "content" else {"refusal": self.text}
        yield self._of(f"response.{self._word}.done", content_index=0, **more)
        yield self._of("response.content_part.done", content_index=0, part=self._content(self.text))

    def item(self, status: str) -> dict[str, Any]:
        """Return the item as it is now."""
        content = [self._content(self.text)] if self.text else []
        fields = {"type": "message", "role": "assistant", "content": content, "status": status}
        return {"id": self._id, **fields}

    def _content(self, text: str) -> dict[str, Any]:
        if self.part == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(self.logprobs)}


class CallItem(OutputItem):
    """A call of a function.

    Args:
        number: Its place in the output.
        text: Its arguments so far, as JSON.
        name: The function.
        call_id: The id by which its result is sent back.
    """

    prefix = "fc"

    def __init__(self, number: int, text: str, name: str, call_id: str) -> None:
        super().__init__(number, text)
        self._name, self._call_id = name, call_id

    def add(self, text: str) -> Iterator[_Event]:
        """Yield the event of a piece of its arguments."""
        self.text += text
        yield self._of("response.function_call_arguments.delta", delta=text)

    def _last(self) -> Iterator[_Event]:
        fields = {"name": self._name, "arguments": self.text}
        yield self._of("response.function_call_arguments.done", **fields)

    def item(self, status: str) -> dict[str, Any]:
        """Return the item as it is now."""
        call = {"call_id": self._call_id, "name": self._name, "arguments": self.text}
        return {"id": self._id, "type": "function_call", **call, "status": status}
