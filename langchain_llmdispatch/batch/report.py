"""`BatchReport`: how a batch ended."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True, slots=True)
class BatchReport:
    """How a batch ended, over all its runs.

    Attributes:
        rows: Rows of the source.
        done: Rows with an answer.
        failed: Rows that were set aside after their tries, with the error kept.
        waiting: Rows that are neither; a later run goes on with them.
        cost: US dollars of all requests, failed ones included, exactly; unknown prices are not in it.
        unpriced: Answers whose cost is unknown.
        input_tokens: Tokens of the prompts of all requests.
        output_tokens: Tokens of the answers of all requests.
        stopped: Why the run ended before its last row: `max_cost`, `failures` (too many in a row),
            `interrupt`, or None.
    """

    rows: int
    done: int
    failed: int
    waiting: int
    cost: Decimal
    unpriced: int
    input_tokens: int
    output_tokens: int
    stopped: Literal["max_cost", "failures", "interrupt"] | None = None

    @property
    def cost_usd(self) -> float:
        """US dollars of all requests."""
        return float(self.cost)

    def __str__(self) -> str:
        """Return the report in one line."""
        unknown = f" (and {self.unpriced} answers of unknown price)" if self.unpriced else ""
        parts = [f"{self.done} of {self.rows} rows answered", f"{self.failed} failed"]
        if self.waiting:
            parts.append(f"{self.waiting} waiting" + f" ({self.stopped})" * bool(self.stopped))
        tokens = f"{self.input_tokens + self.output_tokens:,} tokens"
        return f"{', '.join(parts)}; {tokens}, ${self.cost:.4f}{unknown}"
