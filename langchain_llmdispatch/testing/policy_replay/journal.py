"""A journal of real calls: one line of JSON each, with what happened and, if asked, what was said.

    journal = Journal("calls.jsonl")
    model = DispatcherChatModel(..., callbacks=[journal])

It is what `replay` runs other configurations against. Without `content` it holds sizes, times, outcomes and
costs, and no word of a conversation.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, message_to_dict
from langchain_core.messages.utils import count_tokens_approximately

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors import ConfigurationError

if TYPE_CHECKING:
    import os

    from langchain_core.outputs import LLMResult

_FORMAT = 1
_PARAMETERS = ("max_tokens", "temperature")


@dataclass(slots=True)
class Try:
    """One request of a call.

    Attributes:
        deployment: Whom it went to.
        vendor: The vendor's name.
        model: The vendor's model id.
        status: HTTP status, or None where no answer came.
        error: The error's class name, or None.
        latency_s: Seconds from sending to the end.
        ttft_s: Seconds to the first content, where streamed.
        wait_s: Seconds waited before sending.
        retry_after_s: Seconds the vendor asked to wait, where it is known.
        usage: What the vendor says it used, or None.
        cost_usd: What it cost, or None where that is unknown.
    """

    deployment: str
    vendor: str
    model: str
    status: int | None = None
    error: str | None = None
    latency_s: float = 0.0
    ttft_s: float | None = None
    wait_s: float = 0.0
    retry_after_s: float | None = None
    usage: dict[str, Any] | None = None
    cost_usd: str | None = None


@dataclass(slots=True)
class Entry:
    """One call.

    Attributes:
        at: When it began, in seconds since 1970.
        seconds: How long it took.
        outcome: `answered` or `failed`.
        tries: Its requests, in order.
        route: The model or route that was asked for, if any.
        stream: Whether it was streamed.
        input_tokens: Tokens of the prompt: the vendor's count, else an estimate.
        output_tokens: Tokens of the answer, or None.
        tools: How many tools were bound.
        images: How many images the prompt held.
        params: Parameters that routing and cost depend on.
        tags: The run's tags.
        error: The error that it ended with.
        messages: The conversation, where content is kept.
        answer: The answer's text, where content is kept.
    """

    at: float
    seconds: float
    outcome: str
    tries: list[Try] = field(default_factory=list)
    route: str | None = None
    stream: bool = False
    input_tokens: int = 0
    output_tokens: int | None = None
    tools: int = 0
    images: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    error: str | None = None
    messages: list[dict[str, Any]] | None = None
    answer: str | None = None

    def to_json(self) -> str:
        """Return the line for the file."""
        held = {name: value for name, value in asdict(self).items() if value not in (None, [], {})}
        held["tries"] = [{k: v for k, v in asdict(one).items() if v is not None} for one in self.tries]
        return json.dumps({"v": _FORMAT, **held}, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Entry:
        """Return the call of a line.

        Raises:
            ConfigurationError: It is no line of a journal.
        """
        try:
            held = json.loads(line)
            if held.pop("v") != _FORMAT:
                raise ValueError("another format")  # noqa: TRY301 - told as all the rest
            tries = [Try(**one) for one in held.pop("tries", [])]
            return cls(tries=tries, **held)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(f"no line of a journal: {line[:60]!r}") from error


class Journal(BaseCallbackHandler):
    """Writes down every call of the models that it is a callback of; threads and loops may share it.

    Args:
        path: The file to append to; None keeps the calls in memory only.
        content: Whether conversations are kept too. They may hold personal data and secrets.
        clock: The source of time, where the models have one of their own.

    Attributes:
        entries: The calls so far, oldest first; those of the file too, if it was loaded.
    """

    run_inline = True

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        content: bool = False,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self._clock = clock or Clock()
        self.entries: list[Entry] = []
        self._path, self._content = Path(path) if path is not None else None, content
        self._open: dict[UUID, tuple[Entry, float]] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(cls, *paths: str | os.PathLike[str]) -> Journal:
        """Return the calls of journal files.

        Raises:
            ConfigurationError: A line is none of a journal, or a file is missing.
        """
        journal = cls()
        for path in map(Path, paths):
            if not path.is_file():
                raise ConfigurationError(f"there is no journal {path}")
            lines = path.read_text(encoding="utf-8").splitlines()
            journal.entries += [Entry.from_json(line) for line in lines if line.strip()]
        journal.entries.sort(key=lambda entry: entry.at)
        return journal

    @classmethod
    def from_cassettes(cls, *paths: str | os.PathLike[str]) -> Journal:
        """Return the calls in cassettes, one after another: a cassette does not say when each began."""
        from langchain_llmdispatch.testing.cassettes.stored_calls import calls_in  # noqa: PLC0415 - loads all codecs

        journal, at = cls(), 0.0
        for path in map(Path, paths):
            for entry in calls_in(path):
                entry.at, at = at, at + entry.seconds
                journal.entries.append(entry)
        return journal

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write all calls to a file."""
        Path(path).write_text("".join(f"{entry.to_json()}\n" for entry in self.entries), encoding="utf-8")

    def __len__(self) -> int:
        """Return the number of calls."""
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        """Yield the calls."""
        return iter(self.entries)

    # -- a callback --------------------------------------------------------------------------------

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002 - LangChain's signature
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin a line."""
        said, params = messages[0], kwargs.get("invocation_params") or {}
        entry = Entry(
            at=self._clock.now().timestamp(),
            seconds=0.0,
            outcome="failed",
            route=params.get("model") if isinstance(params.get("model"), str) else None,
            input_tokens=count_tokens_approximately(said),
            tools=len(params.get("tools") or ()),
            images=_images(said),
            params={name: params[name] for name in _PARAMETERS if params.get(name) is not None},
            tags=list(tags or ()),
            messages=[message_to_dict(message) for message in said] if self._content else None,
        )
        with self._lock:
            self._open[run_id] = (entry, self._clock.monotonic())

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **_: Any) -> None:
        """Note a request."""
        held = self._open.get(run_id)
        if name == "llmdispatch.attempt" and held is not None:
            held[0].tries.append(_try(data))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """End the line of a call that was answered."""
        with self._lock:
            entry, began = self._open.pop(run_id, (None, 0.0))
        message = getattr(response.generations[0][0], "message", None)
        facts = message.response_metadata.get("llmdispatch") if message is not None else None
        if entry is None or message is None or facts is None:  # another model's call
            return
        usage = message.usage_metadata or {}
        entry.outcome, entry.route = "answered", facts["route"] or entry.route
        entry.input_tokens = usage.get("input_tokens", entry.input_tokens)
        entry.output_tokens = usage.get("output_tokens")
        entry.answer = message.text if self._content else None
        self._close(entry, began)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """End the line of a call that failed."""
        with self._lock:
            entry, began = self._open.pop(run_id, (None, 0.0))
        if entry is None or not hasattr(error, "attempts"):
            return
        entry.error = type(error).__name__
        for one, failure in zip(entry.tries, getattr(error, "errors", ()), strict=False):
            one.retry_after_s = failure.retry_after
        self._close(entry, began)

    def _close(self, entry: Entry, began: float) -> None:
        entry.seconds = round(self._clock.monotonic() - began, 4)
        entry.stream = any(one.ttft_s is not None for one in entry.tries)
        with self._lock:
            self.entries.append(entry)
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(entry.to_json() + "\n")


def _try(data: dict[str, Any]) -> Try:
    ttft = data["ttft_ms"]
    return Try(
        deployment=data["deployment"],
        vendor=data["vendor"],
        model=data["model"],
        status=data["status"],
        error=data["error"],
        latency_s=data["latency_ms"] / 1000,
        ttft_s=None if ttft is None else ttft / 1000,
        wait_s=data["wait_ms"] / 1000,
        usage=data.get("usage"),
        cost_usd=data.get("cost_usd"),
    )


def _images(messages: Sequence[BaseMessage]) -> int:
    blocks: Iterable[Any] = (block for m in messages if isinstance(m.content, list) for block in m.content)
    return sum(1 for b in blocks if isinstance(b, dict) and str(b.get("type", "")).startswith("image"))
