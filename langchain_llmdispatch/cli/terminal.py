"""What a command reads and writes: text in any encoding, through streams that may be closed or full."""

from __future__ import annotations

import os
import stat
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Self, TextIO

from langchain_llmdispatch.internal.lazy import LateModule

if TYPE_CHECKING:
    from langchain_llmdispatch import errors as failures
else:  # it imports LangChain, which takes longer than the help
    failures = LateModule("langchain_llmdispatch.errors")


@dataclass(slots=True)
class Terminal:
    """Standard input, output and error; each is None where it is closed.

    Attributes:
        source: Bytes that are piped in.
        output: Where answers go.
        errors: Where messages go.
    """

    source: BinaryIO | None
    output: TextIO | None
    errors: TextIO | None

    @classmethod
    def of_process(cls) -> Self:
        """Return the process's own; what an encoding lacks is written as an escape, not as an error."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        return cls(getattr(sys.stdin, "buffer", None), sys.stdout, sys.stderr)

    def piped(self) -> str:
        """Return the text that is piped in or read from a file; empty at a keyboard and where none is given.

        Raises:
            ConfigurationError: It is not UTF-8.
        """
        if self.source is None or not _holds_text(self.source):
            return ""
        return self.read()

    def read(self) -> str:
        """Return standard input to its end.

        Raises:
            ConfigurationError: It is not UTF-8.
        """
        try:
            return "" if self.source is None else self.source.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise failures.ConfigurationError(f"standard input is not UTF-8 (byte {error.start}).") from None

    @property
    def is_interactive(self) -> bool:
        """Whether the messages go to a terminal."""
        return self.errors is not None and self.errors.isatty()

    @property
    def takes_any_text(self) -> bool:
        """Whether the output's encoding has every character."""
        return (getattr(self.output, "encoding", None) or "").lower().startswith("utf")

    def write(self, text: str, end: str = "\n") -> None:
        """Write text at once."""
        if self.output is not None:
            self.output.write(text + end)
            self.output.flush()

    def flush(self) -> None:
        """Write what is held back, so that a full disk is an error of the command."""
        if self.output is not None:
            self.output.flush()

    def fail(self, text: str, code: int) -> int:
        """Write a message, each line marked as the program's, and return the exit code."""
        if self.errors is not None:
            self.errors.write("".join(f"llmdispatch: {line}\n" for line in text.splitlines()))
        return code

    @contextmanager
    def showing_warnings(self) -> Iterator[None]:
        """Write the warnings of a block as messages, without the lines of code that Python shows."""
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            yield
        for each in found:
            self.fail(f"warning: {each.message}", 0)

    def discard(self) -> None:
        """Send what is still held back nowhere: the interpreter would fail on it when it ends."""
        if self.output is sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _holds_text(source: BinaryIO) -> bool:
    """Whether a stream is a pipe, a file or a socket; a keyboard and `/dev/null` are devices."""
    try:
        mode = os.fstat(source.fileno()).st_mode
    except OSError:  # in memory
        return source.readable()
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)
