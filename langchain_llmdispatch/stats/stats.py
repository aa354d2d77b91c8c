"""Statistics of requests: counters and quantiles in constant memory, read as immutable snapshots.

Every request that left the process counts once, when it ends: as a success, a failure, or abandoned (the
caller left, or a hedged request answered first). Tokens and cost are what vendors reported, failed requests
included; `wasted_usd` is the part that bought no answer. Latencies are those of successful requests only,
from sending to the end of the answer, so that a vendor which fails fast is not a fast vendor.

Percentiles are within 1 % of the measured values (`quantiles.RELATIVE_ERROR`). Names are bounded: beyond
`counters.MOST_GROUPS` combinations of deployment, route and tags, new ones count under `(other)`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from langchain_llmdispatch.internal.extras import needs
from langchain_llmdispatch.stats.cost_report import CostReport
from langchain_llmdispatch.stats.tally import COLUMNS, CallTally, Tally

if TYPE_CHECKING:
    import pandas as pd

By: TypeAlias = Literal["vendor", "deployment", "model", "route", "tag", "tier", "cache_miss"]
DIMENSIONS: tuple[By, ...] = ("vendor", "deployment", "model", "route", "tag", "tier", "cache_miss")
Groups: TypeAlias = Mapping[By, Mapping[str, Tally]]
_Snapshot: TypeAlias = "Stats | Mapping[str, Any]"


def _frozen(groups: Groups) -> Groups:
    return MappingProxyType(
        {by: MappingProxyType(dict(sorted(groups.get(by, {}).items()))) for by in DIMENSIONS}
    )


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, repr=False)
class Stats(Tally):
    """An immutable snapshot of statistics: the tally of all requests, and those of parts of them.

    `after - before` are the statistics between two snapshots; `Stats.merge` adds up those of several
    processes (they pickle, and `to_json` and `from_json` carry everything). Snapshots are equal if their
    counters are, whenever they were taken.

    Attributes:
        groups: Tallies by dimension (`vendor`, `deployment`, `model`, `route`, `tag`, `tier`) and name.
        calls: The results of whole calls.
        in_flight: Requests that are on their way now.
        since: When counting began, in UTC.
        until: When the snapshot was taken, in UTC.
        budgets: The states of the model's budgets at that moment (`BudgetState`), of the newest accounts.
    """

    groups: Groups = field(default_factory=lambda: _frozen({}))
    calls: CallTally = field(default_factory=CallTally)
    in_flight: int = field(default=0, compare=False)
    since: datetime = field(default_factory=_now, compare=False)
    until: datetime = field(default_factory=_now, compare=False)
    budgets: Sequence[Any] = field(default=(), compare=False)

    @classmethod
    def of(
        cls,
        totals: Tally,
        groups: Groups,
        calls: CallTally,
        *,
        in_flight: int,
        since: datetime,
        until: datetime,
    ) -> Self:
        """Return the snapshot of these tallies."""
        held = {name: getattr(totals, name) for name in _TOTALLED}
        return cls(**held, groups=_frozen(groups), calls=calls, in_flight=in_flight, since=since, until=until)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle, so that other processes can merge it."""
        return (Stats.from_dict, (self.to_dict(buckets=True),))

    # -- shorthands --------------------------------------------------------------------------------

    @property
    def totals(self) -> Tally:
        """All requests together."""
        return Tally(**{name: getattr(self, name) for name in _TOTALLED})

    @property
    def total_requests(self) -> int:
        """Requests that left the process and have ended: answered, failed, abandoned or crashed."""
        return self.requests

    @property
    def successful_requests(self) -> int:
        """Requests that were answered."""
        return self.successes

    @property
    def failed_requests(self) -> int:
        """Requests that ended in an error."""
        return self.failures

    @property
    def vendor_stats(self) -> Mapping[str, Tally]:
        """Tallies by vendor."""
        return self.groups["vendor"]

    @property
    def deployment_stats(self) -> Mapping[str, Tally]:
        """Tallies by deployment."""
        return self.groups["deployment"]

    @property
    def model_stats(self) -> Mapping[str, Tally]:
        """Tallies by the vendor's model id."""
        return self.groups["model"]

    @property
    def route_stats(self) -> Mapping[str, Tally]:
        """Tallies by route; requests without one are not in it."""
        return self.groups["route"]

    @property
    def tag_stats(self) -> Mapping[str, Tally]:
        """Tallies by tag of deployments and runs; a request with two tags is in both."""
        return self.groups["tag"]

    def cost_by(self, by: By = "vendor") -> CostReport:
        """Return what was spent, wasted and saved, by vendor, deployment, model, route, tag or tier.

        Args:
            by: What a row stands for.

        Raises:
            ValueError: Statistics are not kept by that.
        """
        if by not in DIMENSIONS:
            raise ValueError(f"by={by!r}: statistics are kept by {', '.join(DIMENSIONS)}")
        return CostReport.of(by, self.groups[by])

    # -- arithmetic --------------------------------------------------------------------------------

    def __sub__(self, earlier: Self) -> Self:
        """Return the statistics since an earlier snapshot of the same counters.

        Raises:
            ValueError: The counters were reset in between: what came before the reset is lost.
        """
        if self.since > earlier.until:
            raise ValueError("the statistics were reset after the earlier snapshot was taken")
        groups = {
            by: {
                name: tally - earlier.groups[by].get(name, Tally())
                for name, tally in self.groups[by].items()
                if tally != earlier.groups[by].get(name)
            }
            for by in DIMENSIONS
        }
        return self.of(
            self.totals - earlier.totals,
            groups,
            self.calls - earlier.calls,
            in_flight=self.in_flight,
            since=earlier.until,
            until=self.until,
        )

    def __add__(self, other: Self) -> Self:
        """Return the statistics of two models or processes taken together."""
        return self.of(
            self.totals + other.totals,
            {by: _united(self.groups[by], other.groups[by]) for by in DIMENSIONS},
            self.calls + other.calls,
            in_flight=self.in_flight + other.in_flight,
            since=min(self.since, other.since),
            until=max(self.until, other.until),
        )

    @classmethod
    def merge(cls, snapshots: _Snapshot | Iterable[_Snapshot], *more: _Snapshot) -> Stats:
        """Return the statistics of several models or processes taken together.

        Args:
            snapshots: The snapshots, or the first of them; also as `to_dict(buckets=True)` wrote them.
            more: The others.

        Raises:
            ValueError: A mapping was written without `buckets=True`.
        """
        first = [snapshots] if isinstance(snapshots, (Stats, Mapping)) else list(snapshots)
        everything = [each if isinstance(each, Stats) else cls.from_dict(each) for each in (*first, *more)]
        merged = everything[0] if everything else cls()
        for snapshot in everything[1:]:
            merged = merged + snapshot
        return merged

    # -- other forms -------------------------------------------------------------------------------

    def to_dict(self, *, buckets: bool = False) -> dict[str, Any]:
        """Return everything as JSON-safe values.

        Args:
            buckets: Whether distributions and exact money are held, so that `from_dict` gives the same back.
        """
        return {
            "since": self.since.isoformat(timespec="milliseconds"),
            "until": self.until.isoformat(timespec="milliseconds"),
            "in_flight": self.in_flight,
            "calls": self.calls.to_dict(buckets=buckets),
            "budgets": [state.to_dict() for state in self.budgets],
            "total_requests": self.total_requests,
            "successful_requests": self.successful_requests,
            "failed_requests": self.failed_requests,
            **{name: getattr(self, name) for name in COLUMNS},
            "totals": self.totals.to_dict(buckets=buckets),
            **{
                f"{by}_stats": {name: tally.to_dict(buckets=buckets) for name, tally in group.items()}
                for by, group in self.groups.items()
            },
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return everything as JSON, which `from_json` reads."""
        return json.dumps(self.to_dict(buckets=True), indent=indent)

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Self:
        """Return the snapshot that `to_dict(buckets=True)` wrote.

        Raises:
            ValueError: It was written without `buckets=True`.
        """
        if "cost" not in held["totals"]:
            raise ValueError("distributions are missing: write it with to_dict(buckets=True) or to_json()")
        groups = {
            by: {name: Tally.from_dict(tally) for name, tally in held.get(f"{by}_stats", {}).items()}
            for by in DIMENSIONS
        }
        return cls.of(
            Tally.from_dict(held["totals"]),
            groups,
            CallTally.from_dict(held["calls"]),
            in_flight=int(held["in_flight"]),
            since=datetime.fromisoformat(held["since"]),
            until=datetime.fromisoformat(held["until"]),
        )

    @classmethod
    def from_json(cls, text: str) -> Stats:
        """Return the snapshot that `to_json` wrote."""
        return cls.from_dict(json.loads(text))

    def rows(self, by: By = "deployment") -> list[dict[str, Any]]:
        """Return one flat row per vendor, deployment, model, route or tag."""
        return [
            {by: name, **{column: getattr(tally, column) for column in COLUMNS}}
            for name, tally in self.groups[by].items()
        ]

    def to_pandas(self, by: By = "deployment") -> pd.DataFrame:
        """Return a table with one row per vendor, deployment, model, route or tag.

        Args:
            by: What a row stands for.

        Raises:
            ImportError: pandas is not installed.
        """
        with needs("notebook", "to_pandas() needs pandas"):
            import pandas as pd
        return pd.DataFrame(self.rows(by), columns=[by, *COLUMNS]).set_index(by)

    def __repr__(self) -> str:
        """Return the most important numbers in one line."""
        return (
            f"Stats(requests={self.requests}, successes={self.successes}, failures={self.failures}, "
            f"retries={self.retries}, fallbacks={self.fallbacks}, tokens={self.total_tokens}, "
            f"cost_usd={self.cost_usd:.6g}, p50={self.p50_latency:.3g} s, p95={self.p95_latency:.3g} s)"
        )

    def _repr_html_(self) -> str:
        from langchain_llmdispatch.stats.html import stats_html

        return stats_html(self)


_TOTALLED = tuple(each.name for each in fields(Tally))


def _united(ours: Mapping[str, Tally], theirs: Mapping[str, Tally]) -> dict[str, Tally]:
    out = dict(ours)
    for name, tally in theirs.items():
        out[name] = out[name] + tally if name in out else tally
    return out
