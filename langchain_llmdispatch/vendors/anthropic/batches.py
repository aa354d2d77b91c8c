"""Anthropic's Message Batches: the requests go into the job, the results are one stream of lines.

Source: platform.claude.com/docs/en/build-with-claude/batch-processing and anthropic-sdk-python's
`types/messages`. A job has no metadata: only the ids in its results show whose it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

import httpx

from langchain_llmdispatch.internal.json_format import dump_json, part_of
from langchain_llmdispatch.vendors.batches import (
    BatchApi,
    BatchJob,
    BatchLine,
    BatchResult,
    id_in,
    object_in,
    seconds_of,
)
from langchain_llmdispatch.vendors.request import bodyless_request, content_request

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call

_PAGE = 100
# The HTTP status that a live call has with each type of error: platform.claude.com/docs/en/api/errors.
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class MessageBatches(BatchApi):
    """Batches at `/v1/messages/batches`.

    Args:
        call: Has the endpoint.
        url: The URL of the batches.
        headers: Returns the headers of a request with these beta features.
        encode: Returns a call's body and its beta features.
    """

    # 100,000 and 256 MB by the documentation; a job is held in memory while it is sent.
    most_rows: ClassVar[int] = 100_000
    most_bytes: ClassVar[int] = 64 * 1024 * 1024
    keeps_token: ClassVar[bool] = False

    def __init__(
        self,
        call: Call,
        url: str,
        headers: Callable[[str], dict[str, str]],
        encode: Callable[[Call], tuple[dict[str, Any], str]],
    ) -> None:
        super().__init__(call)
        self._url, self._headers, self._encode = url, headers, encode

    def line(self, call: Call, row_id: str) -> BatchLine:
        """Return `{"custom_id", "params"}`; beta features are headers, and so of the whole job."""
        body, features = self._encode(call)
        text = b'{"custom_id":' + dump_json(row_id) + b',"params":' + dump_json(body, allow_nan=False) + b"}"
        return BatchLine(features, text)

    # -- requests ----------------------------------------------------------------------------------

    def create(self, group: str, token: str, lines: Sequence[bytes], file_id: str) -> httpx.Request:
        """Return `POST /v1/messages/batches`."""
        content = b'{"requests":[' + b",".join(lines) + b"]}"
        return content_request(self._url, lambda: self._headers(group), content)

    def poll(self, job_id: str) -> httpx.Request:
        """Return `GET /v1/messages/batches/ID`."""
        return self._get(job_id)

    def cancel(self, job_id: str) -> httpx.Request:
        """Return `POST /v1/messages/batches/ID/cancel`."""
        return self._get(job_id, "/cancel", "POST")

    def recent(self, cursor: str) -> httpx.Request:
        """Return `GET /v1/messages/batches`."""
        query = {"limit": str(_PAGE)} | ({"after_id": cursor} if cursor else {})
        return bodyless_request("GET", httpx.URL(self._url, params=query), lambda: self._headers(""))

    def results(self, job_id: str, source: str) -> httpx.Request:
        """Return `GET /v1/messages/batches/ID/results`; the key goes to no address from an answer."""
        return self._get(job_id, "/results")

    def _get(self, job_id: str, action: str = "", method: str = "GET") -> httpx.Request:
        url = httpx.URL(f"{self._url}/{quote(job_id, safe='')}{action}")
        return bodyless_request(method, url, lambda: self._headers(""))

    # -- answers -----------------------------------------------------------------------------------

    def described(self, value: Mapping[str, Any]) -> BatchJob:
        """Return the job in a message batch."""
        counts = [each for each in part_of(value, "request_counts").values() if isinstance(each, int)]
        ended = value.get("processing_status") == "ended"
        return BatchJob(
            id_in(value, "the batch"),
            "ended" if ended else "running",
            ("results",) if ended else (),
            rows=sum(counts) or None,
            created_at=seconds_of(value.get("created_at")),
            reason="it has no result",
        )

    def next_page(self, page: Mapping[str, Any], jobs: Sequence[BatchJob], cursor: str) -> str:
        """Return the id of the last job, if there are more."""
        return str(page.get("last_id") or jobs[-1].id) if page.get("has_more") and jobs else ""

    def decode(self, data: bytes) -> Iterator[BatchResult]:
        """Yield the result in a line: `succeeded`, `errored`, `canceled` or `expired`."""
        line = object_in(data, "a line of results")
        name, result = id_in(line, "a line of results", "custom_id"), part_of(line, "result")
        kind = id_in(result, "a result", "type")
        if kind == "succeeded":
            yield BatchResult(name, 200, dump_json(result.get("message")))
        elif kind == "errored":
            whole = result.get("error")
            status = _STATUSES.get(str(part_of(whole, "error").get("type")), 500)
            yield BatchResult(name, status, dump_json(whole))
        else:
            yield BatchResult(name, reason=kind)
