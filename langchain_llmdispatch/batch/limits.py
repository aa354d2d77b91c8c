"""What ends a row or a run of a batch."""

from __future__ import annotations

from decimal import Decimal

from langchain_llmdispatch.errors import ConfigurationError


class RunLimits:
    """What ends a row or a run, checked.

    Attributes:
        tries: Calls per row.
        cost: US dollars that all runs may cost; None for any.
        failures: Rows in succession that may fail; None for any.
        in_flight: Rows that are under way at most.
        deadline: Seconds that a job, or an answer in the background, may take; None for any.

    Raises:
        ConfigurationError: One of them is out of range.
    """

    def __init__(
        self,
        max_tries: int,
        max_cost: float | None,
        max_failures: int | None,
        max_in_flight: int,
        deadline: float | None,
    ) -> None:
        at_least_one = {
            "max_tries": max_tries,
            "max_failures": max_failures,
            "max_in_flight": max_in_flight,
        }
        for name, value in at_least_one.items():
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} is {value}; it must be at least 1.")
        if max_cost is not None and not max_cost >= 0:
            raise ConfigurationError(f"max_cost is {max_cost}; it must be at least 0 US dollars.")
        if deadline is not None and not deadline > 0:
            raise ConfigurationError(f"deadline is {deadline}; it must be above 0 seconds, or None.")
        self.tries, self.failures, self.in_flight = max_tries, max_failures, max_in_flight
        self.deadline = deadline
        self.cost = None if max_cost is None else Decimal(str(max_cost))
