"""What the rows of vendors' jobs hold of the model's budgets, from their submission until they are settled.

It is in the journal, too: a later run settles what an earlier one has held. A row is settled in the journal
first, so that a process which dies in between leaves something held, and charges nothing twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from langchain_llmdispatch.batch.jobs import JobTable, VendorJob
from langchain_llmdispatch.batch.store import RowResult
from langchain_llmdispatch.budgets.budget import Budget, BudgetReservation

logger = logging.getLogger(__name__)


class JobFunds:
    """What rows in jobs hold of budgets.

    Args:
        budgets: The budgets of the model.
        jobs: The jobs in the journal.
    """

    def __init__(self, budgets: Sequence[Budget], jobs: JobTable) -> None:
        self._jobs, self._held = jobs, dict[tuple[int, int], Sequence[BudgetReservation]]()
        self._names = _named(budgets)

    def texts(self, rows: Mapping[int, Sequence[BudgetReservation]]) -> list[tuple[int, str]]:
        """Return what rows hold, as it is kept in the journal."""
        names = {id(budget): name for name, budget in self._names.items()}
        return [
            (row, json.dumps([_plain(names[id(each.budget)], each) for each in held]))
            for row, held in rows.items()
            if held
        ]

    def keep(self, job: VendorJob, rows: Mapping[int, Sequence[BudgetReservation]]) -> None:
        """Note what the rows of a job hold."""
        self._held |= {(job.id, row): held for row, held in rows.items() if held}

    def adopt(self, job: VendorJob) -> None:
        """Take over what an earlier run has held for the open rows of a job."""
        for row, text in self._jobs.holds(job):
            self._held[job.id, row] = list(self._adopted(json.loads(text)))

    def _adopted(self, held: Iterable[Sequence[object]]) -> Iterable[BudgetReservation]:
        for name, account, period, usd, tokens in held:
            budget = self._names.get(str(name))
            if budget is None:
                logger.warning("a batch was paid from %s, which the model has not: it is not charged", name)
                continue
            key = (str(account), int(str(period)))
            yield budget.adopt(key, Decimal(str(usd)), int(str(tokens)))

    def settle(self, job: VendorJob, results: Iterable[RowResult]) -> None:
        """Charge what rows have cost; an answer of unknown price costs what was held for it."""
        for result in results:
            tokens = result.input_tokens + result.output_tokens
            for held in self._held.pop((job.id, result.number), ()):
                held.settle(held.usd if result.unpriced else result.cost, tokens, job.deployment)

    def give_back(self, job: VendorJob) -> None:
        """Charge nothing for the rows of a job of which nothing was run."""
        for key in [key for key in self._held if key[0] == job.id]:
            for held in self._held.pop(key):
                held.settle(Decimal(0))

    def hand_over(self) -> None:
        """Leave what is still held to a later run."""
        for reservations in self._held.values():
            for held in reservations:
                held.budget.hand_over(held)
        self._held.clear()


def _named(budgets: Sequence[Budget]) -> dict[str, Budget]:
    """Return budgets by their names, which have their places beside them if they are the same."""
    named: dict[str, Budget] = {}
    for place, budget in enumerate(budgets):
        name = repr(budget)
        named[f"{name} ({place})" if name in named else name] = budget
    return named


def _plain(name: str, held: BudgetReservation) -> list[object]:
    account, period = held.key
    return [name, account, period, str(held.usd), held.tokens]
