"""A journal of calls: one line of JSON each.

    journal = Journal("calls.jsonl")
    model = DispatcherChatModel(..., callbacks=[journal])

`replay` runs other configurations against it. Without `content` it holds sizes, times, outcomes and costs,
and no text of a conversation.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, message_to_dict
from langchain_core.messages.utils import count_tokens_approximately

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing.policy_replay.entry import JournalAttempt, JournalEntry

if TYPE_CHECKING:
    import os

    from langchain_core.outputs import LLMResult

_PARAMETERS = ("max_tokens", "temperature")


class Journal(BaseCallbackHandler):
    """A callback that records every call of its models; threads and loops may share it.

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
        self.entries: list[JournalEntry] = []
        self._path, self._content = Path(path) if path is not None else None, content
        self._open: dict[UUID, tuple[JournalEntry, float]] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(cls, *paths: str | os.PathLike[str]) -> Journal:
        """Return the calls of journal files.

        Raises:
            ConfigurationError: A line is not one of a journal, or a file is missing.
        """
        journal = cls()
        for path in map(Path, paths):
            if not path.is_file():
                raise ConfigurationError(f"there is no journal {path}")
            lines = path.read_text(encoding="utf-8").splitlines()
            journal.entries += [JournalEntry.from_json(line) for line in lines if line.strip()]
        journal.entries.sort(key=lambda entry: entry.at)
        return journal

    @classmethod
    def from_cassettes(cls, *paths: str | os.PathLike[str]) -> Journal:
        """Return the calls in cassettes, one after another: a cassette does not hold when each began."""
        from langchain_llmdispatch.testing.policy_replay.cassette_calls import calls_in

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

    def __iter__(self) -> Iterator[JournalEntry]:
        """Yield the calls."""
        return iter(self.entries)

    # -- LangChain's hooks -------------------------------------------------------------------------

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin an entry."""
        prompt, params = messages[0], kwargs.get("invocation_params") or {}
        entry = JournalEntry(
            at=self._clock.now().timestamp(),
            seconds=0.0,
            outcome="failed",
            route=params.get("model") if isinstance(params.get("model"), str) else None,
            input_tokens=count_tokens_approximately(prompt),
            tools=len(params.get("tools") or ()),
            images=_images(prompt),
            params={name: params[name] for name in _PARAMETERS if params.get(name) is not None},
            tags=list(tags or ()),
            messages=[message_to_dict(message) for message in prompt] if self._content else None,
        )
        with self._lock:
            self._open[run_id] = (entry, self._clock.monotonic())

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **_: Any) -> None:
        """Add an attempt."""
        begun = self._open.get(run_id)
        if name == "llmdispatch.attempt" and begun is not None:
            begun[0].attempts.append(_attempt(data))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """End the entry of a call that was answered; other models' runs are left out."""
        with self._lock:
            entry, began = self._open.pop(run_id, (None, 0.0))
        message = getattr(response.generations[0][0], "message", None)
        facts = message.response_metadata.get("llmdispatch") if message is not None else None
        if entry is None or message is None or facts is None:
            return
        usage = message.usage_metadata or {}
        entry.outcome, entry.route = "answered", facts["route"] or entry.route
        entry.input_tokens = usage.get("input_tokens", entry.input_tokens)
        entry.output_tokens = usage.get("output_tokens")
        entry.answer = message.text if self._content else None
        self._close(entry, began)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """End the entry of a call that failed."""
        with self._lock:
            entry, began = self._open.pop(run_id, (None, 0.0))
        if entry is None or not hasattr(error, "attempts"):
            return
        entry.error = type(error).__name__
        for attempt, failure in zip(entry.attempts, getattr(error, "errors", ()), strict=False):
            attempt.retry_after_s = failure.retry_after
        self._close(entry, began)

    def _close(self, entry: JournalEntry, began: float) -> None:
        entry.seconds = round(self._clock.monotonic() - began, 4)
        entry.stream = any(attempt.ttft_s is not None for attempt in entry.attempts)
        with self._lock:
            self.entries.append(entry)
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(entry.to_json() + "\n")


def _attempt(data: dict[str, Any]) -> JournalAttempt:
    ttft = data["ttft_ms"]
    return JournalAttempt(
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
