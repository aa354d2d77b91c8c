"""What was measured, read back from `results/peers.json`: medians, spreads, and ratios of single rounds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Figures:
    """The contents of the file."""

    found: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path = RESULTS / "peers.json") -> Figures:
        """Return the committed figures."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def rounds(self, scenario: str, row: str, measure: str = "cpu") -> Sequence[float]:
        """Return one figure of each round; none if the row has none."""
        found: Sequence[float] = self.found["figures"].get(scenario, {}).get(measure, {}).get(row, ())
        return found

    def median(self, scenario: str, row: str, measure: str = "cpu") -> float | None:
        """Return the middle one, or None."""
        values = self.rounds(scenario, row, measure)
        return statistics.median(values) if values else None

    def spread(self, scenario: str, row: str, measure: str = "cpu") -> float:
        """Return half of the distance from the lowest to the highest, over the median."""
        values = self.rounds(scenario, row, measure)
        middle = statistics.median(values)
        return (max(values) - min(values)) / 2 / middle if middle else 0.0

    def ratio(self, scenario: str, row: str, other: str, measure: str = "cpu") -> float | None:
        """Return the median of the ratios of single rounds, or None."""
        pairs = zip(self.rounds(scenario, row, measure), self.rounds(scenario, other, measure), strict=False)
        ratios = [one / two for one, two in pairs if two]
        return statistics.median(ratios) if ratios else None

    def beyond(self, scenario: str, row: str, other: str, measure: str) -> float | None:
        """Return the median of the differences of single rounds, or None."""
        pairs = zip(self.rounds(scenario, row, measure), self.rounds(scenario, other, measure), strict=False)
        found = [one - two for one, two in pairs]
        return statistics.median(found) if found else None

    def speedup(self, scenario: str, row: str, other: str) -> float | None:
        """Return how many times as many calls per second a row makes as another, or None."""
        ratio = self.ratio(scenario, row, other, "wall")
        return 1 / ratio if ratio else None
