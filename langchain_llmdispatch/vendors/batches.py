"""Vendors' batch APIs: many requests as one job, answered within a day at half the price."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from langchain_llmdispatch.errors import MalformedResponseError
from langchain_llmdispatch.internal.json_format import parse_json

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.types import Call


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One request of a batch, encoded.

    Attributes:
        group: What requests of one job have in common: their model, their API.
        text: The request with its id, as bytes without a newline.
    """

    group: str
    text: bytes


@dataclass(frozen=True, slots=True)
class BatchJob:
    """A batch as its vendor describes it.

    Attributes:
        id: The vendor's id.
        state: `running`; `ended`, whatever came of it; or `busy`: the vendor had no room for it and ran
            nothing of it, and it may be created again later.
        results: Where its results are, in the words of `BatchApi.results`; there may be none.
        token: Our own token, if the vendor keeps one.
        rows: Its requests by the vendor's count; None if unknown.
        created_at: When it was created, in seconds since 1970; None if unknown.
        reason: Why requests without a result have none.
    """

    id: str
    state: Literal["running", "ended", "busy"]
    results: Sequence[str] = ()
    token: str = ""
    rows: int | None = None
    created_at: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one request of a batch.

    Attributes:
        row_id: The request's id.
        status: The HTTP status that a live call would have had; None if the request was not run.
        body: The body that a live call would have had.
        reason: Why it was not run.
    """

    row_id: str
    status: int | None = None
    body: bytes = b""
    reason: str = ""


class BatchApi(ABC):
    """One vendor's batch API at one endpoint: its requests, which hold the key, and its answers. Pure.

    No vendor makes a job only once: a job whose creation was not confirmed is looked for by our token before
    it is created again. Where the vendor keeps no token (`keeps_token`), only the ids in the results name it.

    Args:
        call: Has the endpoint and the model; its messages do not matter.
    """

    most_rows: ClassVar[int]
    """Requests of one job at most."""
    most_bytes: ClassVar[int]
    """Bytes of one job at most; ours where the vendor's is above what should be held in memory."""
    keeps_token: ClassVar[bool] = True
    """Whether a job keeps our token, so that it is found again by it."""
    by_line: ClassVar[bool] = True
    """Whether results are a stream of lines; else they are one document."""
    listed_in: ClassVar[str] = "data"
    """The member of a page of jobs that holds them."""
    poll_seconds: ClassVar[tuple[float, float]] = (10.0, 60.0)
    """Seconds between two polls, at first and at most."""

    def __init__(self, call: Call) -> None:
        self.call = call

    @abstractmethod
    def line(self, call: Call, row_id: str) -> BatchLine | None:
        """Return a call as a request of a batch; None if this API does not take it.

        Args:
            call: The call; its body is that of a live call.
            row_id: Up to 64 of `[A-Za-z0-9_-]`, unique in its job.
        """

    def upload(self, lines: Sequence[bytes], token: str) -> httpx.Request | None:
        """Return the request that uploads a job's requests as a file; None where they go into the job."""
        return None

    def uploaded(self, body: bytes) -> tuple[str, bool]:
        """Return a file's id, and whether it can be used now; from the answer to an upload or a check.

        Raises:
            MalformedResponseError: It describes no usable file.
        """
        raise NotImplementedError

    def check_file(self, file_id: str) -> httpx.Request:
        """Return the request that reads the state of a file."""
        raise NotImplementedError

    @abstractmethod
    def create(self, group: str, token: str, lines: Sequence[bytes], file_id: str) -> httpx.Request:
        """Return the request that creates a job.

        Args:
            group: What its requests have in common.
            token: Our token.
            lines: Its requests.
            file_id: The file that they are in, where `upload` makes one.
        """

    def job(self, body: bytes) -> BatchJob:
        """Return the job that an answer to `create`, `poll` or `cancel` describes.

        Raises:
            MalformedResponseError: It describes none.
        """
        return self.described(object_in(body, "the batch"))

    @abstractmethod
    def described(self, value: Mapping[str, Any]) -> BatchJob:
        """Return the job that an object of the vendor's describes.

        Raises:
            MalformedResponseError: It has no id.
        """

    @abstractmethod
    def poll(self, job_id: str) -> httpx.Request:
        """Return the request that reads a job's state."""

    @abstractmethod
    def cancel(self, job_id: str) -> httpx.Request:
        """Return the request that ends a job; what it has answered is kept and paid for."""

    @abstractmethod
    def recent(self, cursor: str) -> httpx.Request:
        """Return the request that lists jobs, newest first; an empty cursor begins."""

    def jobs(self, body: bytes, cursor: str = "") -> tuple[Sequence[BatchJob], str]:
        """Return the jobs of a page, and the cursor of the next page; empty on the last one.

        Args:
            body: The page.
            cursor: The cursor that it was read with.

        Raises:
            MalformedResponseError: It is no page of jobs.
        """
        page = object_in(body, "the list of batches")
        found = [self.described(each) for each in page.get(self.listed_in) or () if isinstance(each, Mapping)]
        return found, self.next_page(page, found, cursor)

    @abstractmethod
    def next_page(self, page: Mapping[str, Any], jobs: Sequence[BatchJob], cursor: str) -> str:
        """Return the cursor of the page after one with these jobs; empty if it is the last one."""

    @abstractmethod
    def results(self, job_id: str, source: str) -> httpx.Request:
        """Return the request that reads results; `source` is one of `BatchJob.results`."""

    def following(self, data: bytes) -> str:
        """Return the source of the results after those of a document; empty where there are no more."""
        return ""

    @abstractmethod
    def decode(self, data: bytes) -> Iterator[BatchResult]:
        """Yield the results in a line, or in a document.

        Raises:
            MalformedResponseError: It holds none.
        """


# google.rpc.Code -> HTTP status: github.com/googleapis/googleapis, google/rpc/code.proto.
_RPC_CODES = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501,
    13: 500, 14: 503, 15: 500, 16: 401,
}  # fmt: skip
_LEAST_HTTP = 100


def status_of(code: int) -> int:
    """Return the HTTP status that a code means, which is one already, or one of gRPC."""
    return code if code >= _LEAST_HTTP else _RPC_CODES.get(code, 500)


def object_in(data: bytes, what: str) -> Mapping[str, Any]:
    """Return the JSON object in an answer of a batch API.

    Raises:
        MalformedResponseError: There is none.
    """
    try:
        value = parse_json(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise MalformedResponseError(f"{what} is no JSON object")
    return value


def id_in(value: Any, what: str, name: str = "id") -> str:
    """Return the id in a JSON object.

    Raises:
        MalformedResponseError: It has none.
    """
    found = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(found, str) or not found:
        raise MalformedResponseError(f"{what} has no {name}")
    return found


def seconds_of(moment: Any) -> float | None:
    """Return a moment as seconds since 1970: a number, or RFC 3339; None if it is neither."""
    if isinstance(moment, int | float):
        return float(moment)
    try:
        found = datetime.fromisoformat(str(moment))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
