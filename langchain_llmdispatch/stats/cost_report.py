"""`CostReport`: dollars spent, wasted and saved, as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.internal.extras import needs
from langchain_llmdispatch.internal.html import aligned, count, dollars, heading, page, table
from langchain_llmdispatch.stats.tally import Tally

if TYPE_CHECKING:
    import pandas as pd

WASTED = ("wasted_failed", "wasted_hedged", "wasted_declined")
SAVED = ("saved_cache", "saved_tier", "saved_route")
_MONEY = ("cost", "estimated", "wasted", *WASTED, *SAVED, "lost_cache")
_COUNTS = ("requests", "successes", "unpriced_requests", "input_tokens", "cached_tokens", "output_tokens")
COLUMNS = (*_MONEY, *_COUNTS)


@dataclass(frozen=True, repr=False)
class CostReport(Mapping[str, Tally]):
    """What was spent, wasted and saved: a mapping from names to tallies, the dearest first.

    Attributes:
        by: What a row stands for.
        tallies: The tallies by name.
    """

    by: str
    tallies: Mapping[str, Tally]

    @classmethod
    def of(cls, by: str, tallies: Mapping[str, Tally]) -> CostReport:
        """Return the report of tallies by name."""
        return cls(by, dict(sorted(tallies.items(), key=lambda item: -item[1].cost)))

    def __getitem__(self, name: str) -> Tally:
        """Return the tally of a name."""
        return self.tallies[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names, the dearest first."""
        return iter(self.tallies)

    def __len__(self) -> int:
        """Return how many names there are."""
        return len(self.tallies)

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat row for each name; dollars are decimals."""
        return [
            {self.by: name, **{column: getattr(tally, column) for column in COLUMNS}}
            for name, tally in self.tallies.items()
        ]

    def to_csv(self, path: str | PathLike[str] | None = None) -> str:
        """Return the rows as CSV, and write them to a file if one is named; dollars without rounding."""
        held = io.StringIO()
        writer = csv.DictWriter(held, [self.by, *COLUMNS], lineterminator="\n")
        writer.writeheader()
        for row in self.rows():
            writer.writerow({name: _plain(value) for name, value in row.items()})
        if path is not None:
            Path(path).write_text(held.getvalue(), encoding="utf-8")
        return held.getvalue()

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with one row for each name; dollars are floats.

        Raises:
            ImportError: pandas is not installed.
        """
        with needs("notebook", "to_pandas() needs pandas"):
            import pandas as pd
        rows = [{k: float(v) if isinstance(v, Decimal) else v for k, v in row.items()} for row in self.rows()]
        return pd.DataFrame(rows, columns=[self.by, *COLUMNS]).set_index(self.by)

    def __repr__(self) -> str:
        """Return the dollars by name in one line."""
        parts = (f"{name} ${tally.cost:.6f}" for name, tally in self.tallies.items())
        return f"CostReport(by {self.by}: {', '.join(parts)})"

    def _repr_html_(self) -> str:
        shown = [aligned(getattr(tally, name) for tally in self.tallies.values()) for name in _SHOWN]
        rows = [
            (name, count(tally.requests), *money)
            for (name, tally), *money in zip(self.tallies.items(), *shown, strict=True)
        ]
        total = dollars(sum((tally.cost for tally in self.tallies.values()), Decimal(0)))
        head = [self.by, "requests", *(name.replace("_", " ") for name in _SHOWN)]
        return page(heading(f"Cost by {self.by}", f"{total} in all"), table(head, rows))


_SHOWN = ("cost", "wasted", "saved_cache", "saved_tier", "saved_route")


def _plain(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value
