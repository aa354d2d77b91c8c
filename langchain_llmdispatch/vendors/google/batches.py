"""Gemini's batches: `batchGenerateContent` with inline requests, whose results are in the operation.

Source: ai.google.dev/gemini-api/docs/batch-api, ai.google.dev/api/batch-api and python-genai's `batches.py`.
A large batch keeps nothing when it expires (googleapis/python-genai#2974), and its results came back in
another order (#1909): jobs are small, and results are matched by the `key` in their metadata, never by place.
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
    status_of,
)
from langchain_llmdispatch.vendors.request import bodyless_request, content_request

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call

_PAGE = 100
_STATES = ("BATCH_STATE_", "JOB_STATE_")
_OVER = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"})
_NAMES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
          429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
          504: "DEADLINE_EXCEEDED"}  # fmt: skip


class GenerateContentBatches(BatchApi):
    """Batches at `models/MODEL:batchGenerateContent` and `batches/ID`.

    Args:
        call: Has the endpoint and the model.
        base: The base URL with the version.
        headers: Returns the headers of a request.
        encode: Returns a call's body.
    """

    most_rows: ClassVar[int] = 2_000  # ours, see above
    most_bytes: ClassVar[int] = 16 * 1024 * 1024  # inline requests: below 20 MB
    by_line: ClassVar[bool] = False
    listed_in: ClassVar[str] = "operations"

    def __init__(
        self,
        call: Call,
        base: str,
        headers: Callable[[], dict[str, str]],
        encode: Callable[[Call], Mapping[str, Any]],
    ) -> None:
        super().__init__(call)
        self._base, self._headers, self._encode = base, headers, encode

    def line(self, call: Call, row_id: str) -> BatchLine:
        """Return `{"request", "metadata"}`; the model is in the URL."""
        body = dump_json(self._encode(call), allow_nan=False)
        text = b'{"request":' + body + b',"metadata":{"key":' + dump_json(row_id) + b"}}"
        return BatchLine(call.model, text)

    # -- requests ----------------------------------------------------------------------------------

    def create(self, group: str, token: str, lines: Sequence[bytes], file_id: str) -> httpx.Request:
        """Return `POST models/MODEL:batchGenerateContent`, with our token as `displayName`."""
        content = (
            b'{"batch":{"displayName":' + dump_json(token) + b',"inputConfig":{"requests":{"requests":['
            + b",".join(lines) + b"]}}}}"
        )  # fmt: skip
        url = f"{self._base}/models/{quote(group.removeprefix('models/'), safe='')}:batchGenerateContent"
        return content_request(url, self._headers, content)

    def poll(self, job_id: str) -> httpx.Request:
        """Return `GET batches/ID`."""
        return self._get(job_id)

    def cancel(self, job_id: str) -> httpx.Request:
        """Return `POST batches/ID:cancel`."""
        return self._get(f"{job_id}:cancel", "POST")

    def recent(self, cursor: str) -> httpx.Request:
        """Return `GET batches`."""
        query = {"pageSize": str(_PAGE)} | ({"pageToken": cursor} if cursor else {})
        return self._get("batches", query=query)

    def results(self, job_id: str, source: str) -> httpx.Request:
        """Return `GET batches/ID`: the results are in the operation."""
        return self._get(job_id)

    def _get(self, path: str, method: str = "GET", query: Mapping[str, str] | None = None) -> httpx.Request:
        url = httpx.URL(f"{self._base}/{quote(path, safe='/:')}", params=query or {})
        return bodyless_request(method, url, self._headers)

    # -- answers -----------------------------------------------------------------------------------

    def described(self, value: Mapping[str, Any]) -> BatchJob:
        """Return the job in an operation."""
        facts, state = part_of(value, "metadata"), _state(value)
        ended = bool(value.get("done")) or state in _OVER
        rows, detail = (
            part_of(facts, "batchStats").get("requestCount"),
            part_of(value, "error").get("message"),
        )
        return BatchJob(
            id_in(value, "the batch", "name"),
            "ended" if ended else "running",
            ("inline",) if ended and _inlined(value) else (),
            str(facts.get("displayName") or ""),
            int(rows) if isinstance(rows, str) and rows.isdecimal() else None,
            seconds_of(facts.get("createTime")),
            f"the batch is {state.lower() or 'over'}" + f": {detail}" * bool(detail),
        )

    def next_page(self, page: Mapping[str, Any], jobs: Sequence[BatchJob], cursor: str) -> str:
        """Return the page's token of the next one."""
        return str(page.get("nextPageToken") or "")

    def decode(self, data: bytes) -> Iterator[BatchResult]:
        """Yield the results in an operation, or the one in a line of a result file."""
        document = object_in(data, "the results")
        for item in _inlined(document) or ([document] if "key" in document else []):
            metadata = part_of(item, "metadata")
            name = item.get("key") or metadata.get("key") or metadata.get("custom_id")
            if "response" in item:
                yield BatchResult(str(name or ""), 200, dump_json(item["response"]))
            else:
                yield _failed(str(name or ""), item.get("error"))


def _state(value: Mapping[str, Any]) -> str:
    state = str(part_of(value, "metadata").get("state") or "")
    for prefix in _STATES:
        state = state.removeprefix(prefix)
    return state


def _inlined(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the inline results, which stand in `response`, and a second time in `metadata.output`."""
    for holder in (part_of(value, "response"), part_of(part_of(value, "metadata"), "output")):
        found = part_of(holder, "inlinedResponses").get("inlinedResponses")
        if isinstance(found, list) and found:
            return [each for each in found if isinstance(each, Mapping)]
    return []


def _failed(name: str, error: Any) -> BatchResult:
    """Return a failed request as the error that a live call would have had."""
    code = error.get("code") if isinstance(error, Mapping) else None
    if not isinstance(code, int):
        return BatchResult(name, reason="no response")
    status = status_of(code)
    return BatchResult(
        name, status, dump_json({"error": {"status": _NAMES.get(status), **error, "code": status}})
    )
