"""OpenAI's Batch API, and Azure's: files and jobs."""

from __future__ import annotations

import json
import re
from email import message_from_bytes
from typing import Any

from tests.loopback.batches.base import JSON, Batches, BatchPlan, Job
from tests.loopback.neutral import RejectedError, Reply
from tests.loopback.wire import Message

APIS = {"chat/completions": "chat", "responses": "responses"}


class OpenAIBatches(Batches):
    """`/files` and `/batches`."""

    api = "chat"

    def __init__(self, plan: BatchPlan, vendor: str = "openai") -> None:
        super().__init__(plan)
        self.vendor = vendor
        root = {"azure": "/azure/openai"}.get(vendor, f"/{vendor}")
        self.prefix = rf"{root}(?:/v1)?/(?=(?:files|batches)(?:/|$))"
        self.files: dict[str, bytes] = {}
        self.fields: dict[str, dict[str, str]] = {}
        self.pending: dict[str, int] = {}

    def answer(self, message: Message, account: str, rest: str, groups: dict[str, Any]) -> Reply:
        """Answer a request."""
        parts = [message.method, *rest.split("/")]
        match parts:
            case ["POST", "files"]:
                return self.document(self._upload(message))
            case ["GET", "files", name]:
                return self.document(self._file(name))
            case ["GET", "files", name, "content"]:
                return self._content(message, name)
            case ["POST", "batches"]:
                return self.document(self._object(self._create(message, account)))
            case ["GET", "batches"]:
                return self.document(self._page(account, message.query))
            case ["GET", "batches", name]:
                job = self.job(account, name)
                self.advance(job)
                return self.document(self._object(job))
            case ["POST", "batches", name, "cancel"]:
                job = self.job(account, name)
                job.cancelled = True
                return self.document({**self._object(job), "status": "cancelling"})
        raise RejectedError(f"Invalid URL ({message.method} {message.path})", kind="not_found")

    # -- files -------------------------------------------------------------------------------------

    def _upload(self, message: Message) -> JSON:
        head = f"content-type: {message.headers['content-type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + message.content).get_payload()
        fields: dict[str, bytes] = {}
        for part in parts:
            name = re.search(r'name="([^"]+)"', part["content-disposition"])
            fields[name[1] if name else ""] = part.get_payload(decode=True)
        if fields.get("purpose") != b"batch":
            raise RejectedError("purpose", param="purpose")
        name = f"file-{len(self.files) + 1}"
        self.files[name] = fields.pop("file")
        self.fields[name] = {key: value.decode() for key, value in fields.items()}
        self.pending[name] = self.plan.pending
        return self._file(name)

    def _file(self, name: str) -> JSON:
        if name not in self.files:
            raise RejectedError(f"No such File object: {name}", kind="not_found")
        self.pending[name] -= 1
        status = "pending" if self.pending[name] >= 0 else "processed"
        return {"object": "file", "id": name, "purpose": "batch", "status": status, "status_details": None}

    def _lines_of(self, name: str) -> list[JSON]:
        """Return the lines of a file that is processed."""
        if self.pending.get(name, 0) >= 0:
            raise RejectedError("the file is not processed", param="input_file_id")
        return [json.loads(line) for line in self.files[name].splitlines()]

    def _content(self, message: Message, name: str) -> Reply:
        kind, _, number = name.rpartition("-")
        job = self.jobs[int(number)]
        if "results" not in job.facts:  # the same at each reading
            job.facts["results"] = self.results(message, job)
        lines = [
            self.line(*result) for result in job.facts["results"] if (result[1] == 200) == (kind == "output")
        ]
        return self.lines(lines)

    def line(self, name: str, status: int | str, body: JSON) -> JSON:
        """Return a line of either file."""
        if isinstance(status, str):
            word = "cancelled" if status == "canceled" else status
            error = {"code": f"batch_{word}", "message": "This request could not be executed."}
            return {"id": "batch_req_1", "custom_id": name, "response": None, "error": error}
        response = {"status_code": status, "request_id": "r", "body": body}
        return {"id": "batch_req_1", "custom_id": name, "response": response, "error": None}

    # -- jobs --------------------------------------------------------------------------------------

    def _create(self, message: Message, account: str) -> Job:
        body = message.json
        lines = self._lines_of(body["input_file_id"])
        error = _fault(lines, body["endpoint"])
        job = Job(
            f"batch_{len(self.jobs)}",
            self.vendor,
            account,
            {line["custom_id"]: line["body"] for line in lines},
            APIS.get(re.sub(r"^/(v1/)?", "", body["endpoint"]), "chat"),
            self.plan.now(),
            self.plan.polls,
            {"endpoint": body["endpoint"], "metadata": body.get("metadata"), "error": error},
        )
        if error:
            job.state = "failed"
        return self.create(job)

    def _page(self, account: str, query: Any) -> JSON:
        own = self.listed(account)
        if "after" in query:
            own = own[[job.id for job in own].index(query["after"]) + 1 :]
        page = own[:2]  # small pages, so that several are read
        return {
            "object": "list",
            "data": [self._object(job) for job in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": len(own) > len(page),
        }

    def _object(self, job: Job) -> JSON:
        number, done = self.jobs.index(job), job.state == "ended"
        status = {"running": "in_progress", "ended": "completed", "busy": "failed", "failed": "failed"}[
            job.state
        ]
        code = "token_limit_exceeded" if job.state == "busy" else job.facts["error"] or "invalid_json_line"
        errors = {"object": "list", "data": [{"code": code, "message": "no", "param": None, "line": None}]}
        return {
            "id": job.id,
            "object": "batch",
            "endpoint": job.facts["endpoint"],
            "status": "cancelled" if done and job.cancelled else status,
            "errors": errors if status == "failed" else None,
            "output_file_id": f"output-{number}" if done else None,
            "error_file_id": f"error-{number}" if done else "",
            "created_at": int(job.created),
            "request_counts": {"total": len(job.rows), "completed": 0, "failed": 0},
            "metadata": job.facts["metadata"],
        }


def _fault(lines: list[JSON], endpoint: str) -> str:
    """Return the code of what is wrong with a file, as the validation finds it."""
    if len({line["custom_id"] for line in lines}) < len(lines):
        return "duplicate_custom_id"
    if len({line["body"]["model"] for line in lines}) > 1:
        return "mismatched_model"
    if any(line["url"] != endpoint or line["method"] != "POST" for line in lines):
        return "invalid_url"
    return "streaming_unsupported" if any("stream" in line["body"] for line in lines) else ""
