"""The progress of a batch as a line of text."""

from __future__ import annotations

import io

from langchain_llmdispatch.cli.progress_line import ProgressLine


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_a_terminal_shows_one_line_that_changes() -> None:
    """Twice a second at most; the last one is complete."""
    screen, now = Screen(), [0.0]
    line = ProgressLine(screen, total=2000, now=lambda: now[0], unit="call", dynamic_ncols=True)
    for _ in range(2000):
        now[0] += 0.1
        line.set_postfix_str("5 tokens, $0.01", refresh=False)
        line.update(1)
    line.close()
    shown = screen.getvalue().split("\r")
    assert shown[1] == "0 of 2,000 rows"
    assert shown[2].startswith("5 of 2,000 rows, 5 tokens, $0.01, about 3 min left")
    assert len(shown) < 420
    assert shown[-1].rstrip(" \n") == "2,000 of 2,000 rows, 5 tokens, $0.01"
    assert screen.getvalue().endswith("\n")


def test_a_log_gets_a_line_a_minute() -> None:
    """Without control characters."""
    log, now = io.StringIO(), [0.0]
    line = ProgressLine(log, total=10_000, now=lambda: now[0])
    for _ in range(200):
        now[0] += 1.0
        line.update(1)
    line.close()
    lines = log.getvalue().splitlines()
    assert (len(lines), "\r" in log.getvalue()) == (5, False)
    assert lines[1] == "60 of 10,000 rows, about 2.8 h left"


def test_nowhere() -> None:
    """Standard error may be closed."""
    line = ProgressLine(None, total=3)
    line.update(3)
    line.close()
