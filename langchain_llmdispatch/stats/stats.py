"""Statistics of requests: counters and quantiles in constant memory, read as immutable snapshots.

Every request that left the process counts once, when it is over: as a success, a failure, or abandoned (the
caller left, or another hedged request answered first). Tokens and cost are what vendors reported, failed
requests included; `wasted_usd` is the part that bought no answer. Latencies are those of successful requests
only, from sending to the end of the answer, so that a vendor which fails fast is not a fast vendor.

Percentiles are within 1 % of the measured values (`quantiles.RELATIVE_ERROR`). Names are bounded: beyond
`counters.MOST_GROUPS` combinations of deployment, route and tags, new ones count under `(other)`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_llmdispatch.stats.tally import Calls, Tally

if TYPE_CHECKING:
    import pandas as pd

    from langchain_llmdispatch.stats.quantiles import Distribution

By: TypeAlias = Literal["vendor", "deployment", "model", "route", "tag"]
DIMENSIONS: tuple[By, ...] = ("vendor", "deployment", "model", "route", "tag")
_Groups: TypeAlias = Mapping[By, Mapping[str, Tally]]
_Snapshot: TypeAlias = "Stats | Mapping[str, Any]"


class Stats:
    """An immutable snapshot of statistics.

    `after - before` is what happened between two snapshots; `Stats.merge` adds up those of several processes
    (they pickle, and `to_json` and `from_json` carry everything). Every attribute of `Tally` holds for
    `totals`; the names below are shorthands for the most wanted ones.

    Attributes:
        totals: All requests together.
        groups: Tallies by dimension (`vendor`, `deployment`, `model`, `route`, `tag`) and name.
        calls: What became of whole calls.
        in_flight: Requests that are on their way now.
        since: When counting began, in UTC.
        until: When the snapshot was taken, in UTC.
    """

    __slots__ = ("calls", "groups", "in_flight", "since", "totals", "until")

    totals: Tally
    groups: _Groups
    calls: Calls
    in_flight: int
    since: datetime
    until: datetime

    def __init__(
        self,
        totals: Tally | None = None,
        groups: _Groups | None = None,
        calls: Calls | None = None,
        *,
        in_flight: int = 0,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        now = until or datetime.now(UTC)
        values = {
            "totals": totals or Tally(),
            "groups": MappingProxyType(
                {by: MappingProxyType(dict(sorted((groups or {}).get(by, {}).items()))) for by in DIMENSIONS}
            ),
            "calls": calls or Calls(),
            "in_flight": in_flight,
            "since": since or now,
            "until": now,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse: a snapshot does not change."""
        raise AttributeError(f"Stats is a snapshot and does not change; {name!r} cannot be set")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle, so that other processes can merge it."""
        return (Stats.from_dict, (self.to_dict(buckets=True),))

    def __eq__(self, other: object) -> bool:
        """Compare what was counted, not when."""
        if not isinstance(other, Stats):
            return NotImplemented
        return (self.totals, self.calls, self.groups) == (other.totals, other.calls, other.groups)

    __hash__ = None  # type: ignore[assignment] # it holds mappings

    # -- shorthands --------------------------------------------------------------------------------

    @property
    def total_requests(self) -> int:
        """Requests that left the process and are over: answered, failed, or abandoned."""
        return self.totals.requests

    @property
    def successful_requests(self) -> int:
        """Requests that were answered."""
        return self.totals.successes

    @property
    def failed_requests(self) -> int:
        """Requests that ended in an error."""
        return self.totals.failures

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

    def __getattr__(self, name: str) -> Any:
        """Look up what `Tally` has in `totals`: `cost_usd`, `p95_latency`, `retries`, ..."""
        if name in _SHOWN:
            return getattr(self.totals, name)
        raise AttributeError(f"Stats has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        """Offer the totals' names too."""
        return sorted({*super().__dir__(), *_SHOWN})

    if TYPE_CHECKING:
        average_latency: float
        p50_latency: float
        p95_latency: float
        p99_latency: float
        ttft: float
        p50_ttft: float
        p95_ttft: float
        p99_ttft: float
        input_tokens: int
        output_tokens: int
        total_tokens: int
        cached_tokens: int
        reasoning_tokens: int
        wasted_tokens: int
        cost_usd: float
        wasted_usd: float
        unpriced_requests: int
        abandoned: int
        retries: int
        fallbacks: int
        hedges: int
        rate_limited: int
        timeouts: int
        throttled: float
        backoff: float
        latency: Distribution
        first_token: Distribution

    # -- arithmetic --------------------------------------------------------------------------------

    def __sub__(self, before: Stats) -> Stats:
        """Return what happened after an earlier snapshot of the same statistics.

        Raises:
            ValueError: They were reset in between: what happened before that is not known any more.
        """
        if self.since > before.until:
            raise ValueError("the statistics were reset after the earlier snapshot was taken")
        groups = {
            by: {
                name: tally - before.groups[by].get(name, Tally())
                for name, tally in self.groups[by].items()
                if tally != before.groups[by].get(name)
            }
            for by in DIMENSIONS
        }
        return Stats(
            self.totals - before.totals,
            groups,
            self.calls - before.calls,
            in_flight=self.in_flight,
            since=before.until,
            until=self.until,
        )

    def __add__(self, other: Stats) -> Stats:
        """Return the statistics of two models or processes taken together."""
        groups = {by: _united(self.groups[by], other.groups[by]) for by in DIMENSIONS}
        return Stats(
            self.totals + other.totals,
            groups,
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
            "total_requests": self.total_requests,
            "successful_requests": self.successful_requests,
            "failed_requests": self.failed_requests,
            **{name: getattr(self.totals, name) for name in _SUMMARISED},
            "totals": self.totals.to_dict(buckets=buckets),
            **{
                f"{by}_stats": {name: tally.to_dict(buckets=buckets) for name, tally in group.items()}
                for by, group in self.groups.items()
            },
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return everything as JSON, from which `from_json` makes the same again."""
        return json.dumps(self.to_dict(buckets=True), indent=indent)

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Stats:
        """Return the snapshot that `to_dict(buckets=True)` wrote.

        Raises:
            ValueError: It was written without `buckets=True`.
        """
        if "cost" not in held["totals"]:
            raise ValueError(
                "its distributions are missing: write it with to_dict(buckets=True) or to_json()"
            )
        groups = {
            by: {name: Tally.from_dict(tally) for name, tally in held[f"{by}_stats"].items()}
            for by in DIMENSIONS
        }
        return cls(
            Tally.from_dict(held["totals"]),
            groups,
            Calls.from_dict(held["calls"]),
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
            {by: name, **{column: getattr(tally, column) for column in _COLUMNS}}
            for name, tally in self.groups[by].items()
        ]

    def to_pandas(self, by: By = "deployment") -> pd.DataFrame:
        """Return a table with one row per vendor, deployment, model, route or tag.

        Args:
            by: What a row stands for.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - an extra
        except ImportError as error:
            hint = "to_pandas() needs pandas: pip install 'langchain-llmdispatch[notebook]'"
            raise ImportError(hint) from error
        return pd.DataFrame(self.rows(by), columns=[by, *_COLUMNS]).set_index(by)

    def __repr__(self) -> str:
        """Say the most important in one line."""
        totals = self.totals
        return (
            f"Stats(requests={totals.requests}, successes={totals.successes}, failures={totals.failures}, "
            f"retries={totals.retries}, fallbacks={totals.fallbacks}, tokens={totals.total_tokens}, "
            f"cost_usd={totals.cost_usd:.6g}, p50={totals.p50_latency:.3g} s, p95={totals.p95_latency:.3g} s)"
        )

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        from langchain_llmdispatch.stats.html import stats_html  # noqa: PLC0415 - only notebooks need it

        return stats_html(self)


_SUMMARISED = (
    "average_latency",
    "p50_latency",
    "p95_latency",
    "p99_latency",
    "ttft",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_usd",
    "wasted_usd",
    "unpriced_requests",
    "retries",
    "fallbacks",
    "hedges",
    "rate_limited",
)
_COLUMNS = (
    *("requests", "successes", "failures", "abandoned", "retries", "fallbacks", "hedges", "rate_limited"),
    *("timeouts", "average_latency", "p50_latency", "p95_latency", "p99_latency", "ttft", "p95_ttft"),
    *("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd", "wasted_usd"),
    *("unpriced_requests", "throttled", "backoff"),
)
_SHOWN = {name for name in dir(Tally) if not name.startswith("_")} - {"requests", "to_dict", "from_dict"}


def _united(ours: Mapping[str, Tally], theirs: Mapping[str, Tally]) -> dict[str, Tally]:
    out = dict(ours)
    for name, tally in theirs.items():
        out[name] = out[name] + tally if name in out else tally
    return out
