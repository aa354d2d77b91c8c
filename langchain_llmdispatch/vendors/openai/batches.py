"""OpenAI's Batch API, with Azure's and Groq's: a file of requests, a job, an output file and an error file.

Sources: developers.openai.com/api/docs/guides/batch and openai-python's `types/batch.py`;
learn.microsoft.com/azure/ai-foundry/openai/how-to/batch for Azure, whose uploads are ready later and whose
jobs never expire; console.groq.com/docs/batch for Groq, whose lists have a cursor of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import quote

import httpx

from langchain_llmdispatch.errors import MalformedResponseError
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
from langchain_llmdispatch.vendors.request import bodyless_request, custom_headers, json_request

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call

_RUNNING = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
OURS = "llmdispatch"
"""The key of our token in a job's metadata."""
# Too many tokens wait already, of this model or deployment: a matter of time.
_BUSY = frozenset({"token_limit_exceeded"})
_PAGE = 100


class FileApi(Protocol):
    """The parts of a vendor of this family that its batch API needs."""

    def url(self, call: Call, path: str = ...) -> str:
        """Return the URL of a path of the API."""

    def credentials(self, call: Call) -> dict[str, str]:
        """Return the headers that authorize a request."""

    def encode_body(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Return the path of the API that `call` goes to, and the body for it."""


class FileBatches(BatchApi):
    """Batches by files: `POST /files`, `POST /batches`, `GET /files/ID/content`.

    Args:
        vendor: The vendor, which has the addresses, credentials and bodies.
        call: Has the endpoint and the model.
        prefix: What the URLs in the lines begin with.
        expires_after: Seconds after which the uploaded file is deleted; None leaves that to the vendor.
    """

    # 50,000 and 200 MB by the documentation, Azure 100,000; a job is held in memory while it is sent.
    most_rows: ClassVar[int] = 50_000
    most_bytes: ClassVar[int] = 64 * 1024 * 1024
    path: ClassVar[str] = "batches"
    """The path of the jobs."""

    def __init__(
        self, vendor: FileApi, call: Call, *, prefix: str = "/v1/", expires_after: int | None = None
    ) -> None:
        super().__init__(call)
        self._vendor, self._prefix, self._expires_after = vendor, prefix, expires_after

    def line(self, call: Call, row_id: str) -> BatchLine:
        """Return `{"custom_id", "method", "url", "body"}`; one job has one API and one model."""
        url, body = self._encoded(call)
        head = {"custom_id": row_id, "method": "POST", "url": url}
        return BatchLine(f"{url} {body.get('model')}", line_of(head, body))

    def _encoded(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Return the path of the API that a line is for, and its body."""
        path, body = self._vendor.encode_body(call)
        body.pop("stream", None)  # one line with it fails the whole batch
        return self._prefix + path, body

    # -- requests ----------------------------------------------------------------------------------

    def upload(self, lines: Sequence[bytes], token: str) -> httpx.Request:
        """Return `POST /files`."""
        fields = {"purpose": "batch"}
        if self._expires_after is not None:
            fields |= {
                "expires_after[anchor]": "created_at",
                "expires_after[seconds]": str(self._expires_after),
            }
        file = {"file": (f"{token}.jsonl", b"\n".join(lines) + b"\n", "application/jsonl")}
        made = httpx.Request("POST", self._vendor.url(self.call, "files"), data=fields, files=file)
        made.read()
        own = {"user-agent": "langchain-llmdispatch", **self._headers()}
        made.headers.update(httpx.Headers([*own.items()], encoding="latin-1"))
        made.headers.encoding = "latin-1"
        return made

    def uploaded(self, body: bytes) -> tuple[str, bool]:
        """Return the file's id, and whether it is processed: at Azure, only some time after the upload."""
        file = object_in(body, "the file")
        status = str(file.get("status") or "processed").lower()
        if status in {"error", "failed", "deleted"}:
            raise MalformedResponseError(f"the uploaded file is {status}: {file.get('status_details') or ''}")
        return id_in(file, "the file"), status not in {"pending", "running", "notrunning", "uploaded"}

    def check_file(self, file_id: str) -> httpx.Request:
        """Return `GET /files/ID`."""
        return self._get(f"files/{quote(file_id, safe='')}")

    def create(self, group: str, token: str, lines: Sequence[bytes], file_id: str) -> httpx.Request:
        """Return `POST /batches` for the file, with our token in the metadata."""
        body = {
            "input_file_id": file_id,
            "endpoint": group.partition(" ")[0],
            "completion_window": "24h",
            "metadata": {OURS: token},
        }
        return self._post(body)

    def poll(self, job_id: str) -> httpx.Request:
        """Return `GET /batches/ID`."""
        return self._get(self._of(job_id))

    def cancel(self, job_id: str) -> httpx.Request:
        """Return `POST /batches/ID/cancel`."""
        return self._get(self._of(job_id, "/cancel"), "POST")

    def recent(self, cursor: str) -> httpx.Request:
        """Return `GET /batches`."""
        name, _, value = cursor.partition("=")
        return self._get(self.path, query={"limit": str(_PAGE)} | ({name: value} if cursor else {}))

    def results(self, job_id: str, source: str) -> httpx.Request:
        """Return `GET /files/ID/content`."""
        return self._get(f"files/{quote(source, safe='')}/content")

    def _of(self, job_id: str, action: str = "") -> str:
        return f"{self.path}/{quote(job_id, safe='')}{action}"

    def _post(self, body: Mapping[str, Any]) -> httpx.Request:
        return json_request(self._vendor.url(self.call, self.path), self._headers, body)

    def _get(self, path: str, method: str = "GET", query: Mapping[str, str] | None = None) -> httpx.Request:
        url = httpx.URL(self._vendor.url(self.call, path))
        return bodyless_request(method, url.copy_merge_params(query or {}), self._headers)

    def _headers(self) -> dict[str, str]:
        own = custom_headers(self.call.endpoint)
        own.pop("content-type", None)
        return {**self._vendor.credentials(self.call), **own}

    # -- answers -----------------------------------------------------------------------------------

    def described(self, value: Mapping[str, Any]) -> BatchJob:
        """Return the job in a batch object."""
        status = str(value.get("status") or "").lower()
        # Null, "" or absent where the file would be empty; Azure names an empty file, too.
        files = files_in(value, "output_file_id", "error_file_id")
        errors = _errors(value)
        return BatchJob(
            id_in(value, "the batch"),
            _state(status, bool(files), [str(each.get("code")) for each in errors]),
            files,
            token_in(value),
            part_of(value, "request_counts").get("total") or None,
            seconds_of(value.get("created_at")),
            "; ".join([f"the batch is {status}", *map(_text, errors[:1])]),
        )

    def next_page(self, page: Mapping[str, Any], jobs: Sequence[BatchJob], cursor: str) -> str:
        """Return `cursor=` and Groq's `paging.next_cursor`, or `after=` and the last job's id."""
        if following := part_of(page, "paging").get("next_cursor"):
            return f"cursor={following}"
        return f"after={page.get('last_id') or jobs[-1].id}" if page.get("has_more") and jobs else ""

    def decode(self, data: bytes) -> Iterator[BatchResult]:
        """Yield the result in a line of either file: it succeeded only if its status is one of success."""
        line = object_in(data, "a line of results")
        name, response = id_in(line, "a line of results", "custom_id"), line.get("response")
        if isinstance(response, Mapping) and isinstance(response.get("status_code"), int):
            body = response.get("body")
            # An error's body may be JSON within a string (Mistral).
            content = body.encode() if isinstance(body, str) else dump_json(body)
            yield BatchResult(name, response["status_code"], content)
            return
        error = part_of(line, "error")
        yield BatchResult(name, reason=str(error.get("code") or error.get("message") or "no response"))


class AzureBatches(FileBatches):
    """Azure's, for which one poll a minute at most is recommended (learn.microsoft.com, global batch)."""

    poll_seconds: ClassVar[tuple[float, float]] = (60.0, 120.0)


def line_of(head: Mapping[str, Any], body: Mapping[str, Any]) -> bytes:
    """Return a line of an input file: its head, and the body of its request.

    Raises:
        ValueError: The body holds a number that JSON has not.
    """
    return dump_json(head)[:-1] + b',"body":' + dump_json(body, allow_nan=False) + b"}"


def files_in(value: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """Return the ids of a job's files that are under these names."""
    return tuple(str(file) for name in names if (file := value.get(name)))


def token_in(value: Mapping[str, Any]) -> str:
    """Return our token in a job's metadata; empty if there is none."""
    return str(part_of(value, "metadata").get(OURS) or "")


def _state(status: str, has_files: bool, codes: Sequence[str]) -> Any:
    if status in _RUNNING:
        return "running"
    refused = status == "failed" and not has_files
    return "busy" if refused and not _BUSY.isdisjoint(codes) else "ended"


def _errors(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the errors of a batch, which Groq has as a bare list."""
    errors = value.get("errors")
    found = errors.get("data") if isinstance(errors, Mapping) else errors
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _text(error: Mapping[str, Any]) -> str:
    where = f" (line {error['line']})" if error.get("line") is not None else ""
    return f"{error.get('code')}: {error.get('message')}{where}"
