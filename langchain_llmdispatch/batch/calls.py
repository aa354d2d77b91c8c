"""What a batch over vendors' batch APIs needs of a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias, TypeVar

from langchain_core.messages import AIMessage

from langchain_llmdispatch.budgets.budget import Budget, BudgetReservation
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.errors import DispatchError, MalformedResponseError
from langchain_llmdispatch.vendors.batches import BatchApi, BatchLine, BatchResult

if TYPE_CHECKING:
    import httpx

P = ParamSpec("P")
T = TypeVar("T")
Encode: TypeAlias = "Callable[[BatchApi], httpx.Request]"
"""Makes a request of a batch API; called once the key is there."""


def read(decode: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a batch API makes of an answer.

    Raises:
        MalformedResponseError: It makes nothing of it, whatever it raises.
    """
    try:
        return decode(*args, **kwargs)
    except DispatchError:
        raise
    except Exception as cause:
        text = f"the answer of the batch API has an unknown shape: {type(cause).__name__}"
        raise MalformedResponseError(text) from cause


class RowFunds(Protocol):
    """What a row may spend of the budgets of its model."""

    async def hold(self) -> Sequence[BudgetReservation] | None:
        """Hold its worst case, and return what is held; None if it does not fit until others are settled.

        Raises:
            BudgetExceededError: It does not fit at all, or is unknown.
        """


@dataclass(frozen=True, slots=True)
class BatchedRow:
    """A row as a request of a batch.

    Attributes:
        target: The deployment that it goes to.
        line: The request.
        worst: US dollars that it can cost at most, at the price of batches; None if unknown.
        funds: What it may spend of the model's budgets; None without any.
    """

    target: Target
    line: BatchLine
    worst: Decimal | None
    funds: RowFunds | None = None


@dataclass(frozen=True, slots=True)
class BatchReply:
    """The answer of a batch API.

    Attributes:
        body: Its body.
        retry_after: Seconds to wait, as its headers state them; None if they do not.
    """

    body: bytes
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What the result of one row comes to.

    Attributes:
        message: The answer, or None.
        error: Why there is none.
        cost: US dollars; None if unknown.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the answer.
        attempt: The attempt that it counts as, for handlers.
    """

    message: AIMessage | None = None
    error: Exception | None = None
    cost: Decimal | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    attempt: Attempt | None = None


class BatchCalls(Protocol):
    """The calls of a model, for batches: `DispatcherChatModel.batch_calls` returns one.

    Attributes:
        budgets: The budgets that they are paid from.
    """

    budgets: Sequence[Budget]

    def planned(self, given: Any, params: Mapping[str, Any], row_id: str) -> BatchedRow | None:
        """Return a row as a request to the first deployment of its plan that has a batch API.

        None where there is none, or the row makes no request: a live call then shows why.

        Args:
            given: The input, as for `invoke`.
            params: Keywords of the call.
            row_id: The request's id.
        """

    def find(self, vendor: str, base_url: str, account: str, deployment: str) -> Target | None:
        """Return the deployment of a job: of that name, or with the same vendor, address and key."""

    def api(self, target: Target) -> BatchApi:
        """Return the batch API of a deployment that has one."""

    def shown(self, target: Target, text: str) -> str:
        """Return a vendor's text about a job as it may be shown: without credentials."""

    async def send(self, target: Target, encode: Encode, seconds: float) -> BatchReply:
        """Return the answer to a request; it takes so many seconds at most.

        Raises:
            DispatchError: It failed; with an error's status, by the vendor's own tables.
        """

    def lines(self, target: Target, encode: Encode, seconds: float) -> AsyncGenerator[bytes, None]:
        """Yield the lines of an answer as they arrive, empty ones left out; see `send`."""

    def answer(
        self, target: Target, given: Any, params: Mapping[str, Any], result: BatchResult, job: str
    ) -> RowAnswer:
        """Return what a result comes to, by the codec of a live call and at the price of batches."""
