"""The label for the end of a request or a call: answered, abandoned, or the class of its error."""

from __future__ import annotations

from langchain_llmdispatch.dispatch.hedging import OVERTAKEN

OK, ABANDONED = "ok", "abandoned"
_LEFT = frozenset({OVERTAKEN, "GeneratorExit", "CancelledError", "KeyboardInterrupt"})


def outcome_label(error: str | None) -> str:
    """Return a label; nothing failed where the caller left, or another hedged request was faster.

    Args:
        error: The error's class name; None where there was none.
    """
    return OK if error is None else ABANDONED if error in _LEFT else error
