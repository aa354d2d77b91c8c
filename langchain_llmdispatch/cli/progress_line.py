"""The progress of a batch as a line of text, in a terminal or a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TextIO

_OFTEN, _SELDOM = 0.5, 60.0  # seconds between two lines: in a terminal, which replaces them; in a log
_MINUTE, _HOUR = 60.0, 3600.0


class ProgressLine:
    """A progress bar in the manner of tqdm, without a bar.

    Args:
        output: Where it is written; None for nowhere.
        total: How many rows there are.
        now: Returns seconds.
        options: Those of tqdm, which are not needed.
    """

    def __init__(
        self,
        output: TextIO | None,
        total: int | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        del options
        self._output, self._total, self._now = output, total or 0, now
        self._in_place = output is not None and output.isatty()
        self._done, self._facts, self._width = 0, "", 0
        self._started = self._written = now()
        self._write()

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """Set what is shown beside the rows."""
        del refresh
        self._facts = text

    def update(self, number: int = 1) -> None:
        """Count rows that have ended."""
        self._done += number
        if self._now() - self._written >= (_OFTEN if self._in_place else _SELDOM):
            self._write()

    def close(self) -> None:
        """Write the last line."""
        self._write()
        if self._in_place and self._output is not None:
            self._output.write("\n")

    def _write(self) -> None:
        self._written = self._now()
        if self._output is None:
            return
        text = ", ".join(filter(None, [f"{self._done:,} of {self._total:,} rows", self._facts, self._left()]))
        if self._in_place:
            self._output.write(f"\r{text.ljust(self._width)}")
        else:
            self._output.write(f"{text}\n")
        self._width = len(text)
        self._output.flush()

    def _left(self) -> str:
        """Return the time that is left, by the rows so far."""
        seconds, left = self._written - self._started, self._total - self._done
        if not self._done or left <= 0 or seconds <= 0:
            return ""
        wait = seconds / self._done * left
        if wait >= _HOUR:
            return f"about {wait / _HOUR:.1f} h left"
        return f"about {wait / _MINUTE:.0f} min left" if wait >= _MINUTE else f"about {wait:.0f} s left"
