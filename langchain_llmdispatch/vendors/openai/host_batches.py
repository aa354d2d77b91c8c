"""Batch APIs of hosts with OpenAI's chat completions and input files, but with jobs of their own.

Sources: docs.mistral.ai/api/endpoint/batch and mistralai 3.7.0 (`models/batchjob.py`) for Mistral;
docs.x.ai/developers/advanced-api-usage/batch-api and litellm 1.110.2 (`llms/xai/batches`) for xAI.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_llmdispatch.internal.json_format import dump_json, part_of
from langchain_llmdispatch.vendors.batches import (
    BatchJob,
    BatchLine,
    BatchResult,
    id_in,
    object_in,
    seconds_of,
    status_of,
)
from langchain_llmdispatch.vendors.openai.batches import OURS, FileBatches, files_in, line_of, token_in

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.types import Call

_PAGE, _RESULTS = 100, 1000
_FIRST = "results"  # the first page of them


class MistralBatches(FileBatches):
    """Mistral's: `POST /batch/jobs` names the model, the lines do not.

    It checks no ids; jobs are listed by the number of their page, newest first.
    """

    path: ClassVar[str] = "batch/jobs"
    _running: ClassVar[frozenset[str]] = frozenset({"QUEUED", "RUNNING", "CANCELLATION_REQUESTED"})

    def line(self, call: Call, row_id: str) -> BatchLine:
        """Return `{"custom_id", "body"}`; the file is refused if its lines name a model."""
        url, body = self._encoded(call)
        model = body.pop("model", None)
        return BatchLine(f"{url} {model}", line_of({"custom_id": row_id}, body))

    def create(self, group: str, token: str, lines: Sequence[bytes], file_id: str) -> httpx.Request:
        """Return `POST /batch/jobs` for the file, with our token in the metadata."""
        endpoint, _, model = group.partition(" ")
        job = {"endpoint": endpoint, "model": model, "input_files": [file_id], "metadata": {OURS: token}}
        return self._post({**job, "timeout_hours": 24})

    def recent(self, cursor: str) -> httpx.Request:
        """Return `GET /batch/jobs?page=N`."""
        query = {"page": cursor or "0", "page_size": str(_PAGE), "order_by": "-created"}
        return self._get(self.path, query=query)

    def described(self, value: Mapping[str, Any]) -> BatchJob:
        """Return the job in a batch job."""
        status = str(value.get("status") or "")
        errors = [str(each.get("message")) for each in value.get("errors") or () if isinstance(each, Mapping)]
        return BatchJob(
            id_in(value, "the batch"),
            "running" if status in self._running else "ended",
            files_in(value, "output_file", "error_file"),
            token_in(value),
            value.get("total_requests") or None,
            seconds_of(value.get("created_at")),
            "; ".join([f"the batch is {status.lower()}", *errors[:1]]),
        )

    def next_page(self, page: Mapping[str, Any], jobs: Sequence[BatchJob], cursor: str) -> str:
        """Return the number of the next page; the last one is empty."""
        return str(int(cursor or 0) + 1) if jobs else ""


class XaiBatches(FileBatches):
    """xAI's: counters instead of a status, and pages of results instead of files.

    Its name is our token. Moments are dates without a time, so that nothing is decided by them.
    """

    by_line: ClassVar[bool] = False
    listed_in: ClassVar[str] = "batches"

    def create(self, group: str, token: str, lines: Sequence[bytes], file_id: str) -> httpx.Request:
        """Return `POST /batches` for the file, with our token as the name."""
        return self._post({"name": token, "input_file_id": file_id})

    def cancel(self, job_id: str) -> httpx.Request:
        """Return `POST /batches/ID:cancel`."""
        return self._get(self._of(job_id, ":cancel"), "POST")

    def recent(self, cursor: str) -> httpx.Request:
        """Return `GET /batches`."""
        return self._get(self.path, query=_page(_PAGE, cursor))

    def results(self, job_id: str, source: str) -> httpx.Request:
        """Return `GET /batches/ID/results`; a source after the first page is its token."""
        token = "" if source == _FIRST else source
        return self._get(self._of(job_id, "/results"), query=_page(_RESULTS, token))

    def described(self, value: Mapping[str, Any]) -> BatchJob:
        """Return the job in a batch: it has ended when nothing of it is pending, or xAI has cancelled it."""
        state, refusal = part_of(value, "state"), value.get("cancel_by_xai_message")
        total = state.get("num_requests") or 0
        ended = bool(refusal) or (not state.get("num_pending") and bool(total or value.get("cancel_time")))
        return BatchJob(
            id_in(value, "the batch", "batch_id"),
            "ended" if ended else "running",
            (_FIRST,) if ended and total else (),
            str(value.get("name") or ""),
            total or None,
            reason=f"the batch is cancelled by xAI: {refusal}" if refusal else "it has no result",
        )

    def next_page(self, page: Mapping[str, Any], jobs: Sequence[BatchJob], cursor: str) -> str:
        """Return the page's token of the next one."""
        return str(page.get("pagination_token") or "")

    def following(self, data: bytes) -> str:
        """Return the token of the next page of results."""
        page = object_in(data, "the results")
        return str(page.get("pagination_token") or "") if page.get("results") else ""

    def decode(self, data: bytes) -> Iterator[BatchResult]:
        """Yield the results of a page: a response, in an object with the name of its API, or an error."""
        for item in object_in(data, "the results").get("results") or ():
            name = id_in(item, "a result", "batch_request_id")
            result = part_of(item, "batch_result")
            if response := part_of(result, "response"):
                yield BatchResult(name, 200, dump_json(next(iter(response.values()))))
            else:
                yield _failed(name, part_of(result, "error"))


def _page(size: int, token: str) -> dict[str, str]:
    return {"limit": str(size)} | ({"pagination_token": token} if token else {})


def _failed(name: str, error: Mapping[str, Any]) -> BatchResult:
    """Return a failed request as the error that a live call would have had."""
    code, text = error.get("code"), str(error.get("message") or "")
    if not isinstance(code, int):
        return BatchResult(name, reason=str(code or text or "no response"))
    return BatchResult(name, status_of(code), dump_json({"error": {"message": text, "code": code}}))
