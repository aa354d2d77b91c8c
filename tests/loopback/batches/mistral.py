"""Mistral's batch jobs: OpenAI's files, jobs that name the model."""

from __future__ import annotations

import json
from typing import Any

from tests.loopback.batches.base import JSON, BatchPlan, Job
from tests.loopback.batches.openai import OpenAIBatches
from tests.loopback.neutral import RejectedError, Reply
from tests.loopback.wire import Message


class MistralBatches(OpenAIBatches):
    """`/files` and `/batch/jobs`."""

    def __init__(self, plan: BatchPlan) -> None:
        super().__init__(plan, "mistralai")
        self.prefix = r"/mistralai/v1/(?=(?:files|batch/jobs)(?:/|$))"

    def answer(self, message: Message, account: str, rest: str, groups: dict[str, Any]) -> Reply:
        """Answer a request."""
        match [message.method, *rest.split("/")]:
            case ["POST", "batch", "jobs"]:
                return self.document(self._object(self._create(message, account)))
            case ["GET", "batch", "jobs"]:
                start = 2 * int(message.query["page"])  # small pages, so that several are read
                own = self.listed(account)
                page = [self._object(job) for job in own[start : start + 2]]
                return self.document({"object": "list", "data": page, "total": len(own)})
            case ["GET", "batch", "jobs", name]:
                job = self.job(account, name)
                self.advance(job)
                return self.document(self._object(job))
            case ["POST", "batch", "jobs", name, "cancel"]:
                job = self.job(account, name)
                job.cancelled = True
                return self.document({**self._object(job), "status": "CANCELLATION_REQUESTED"})
        return super().answer(message, account, rest, groups)

    def _create(self, message: Message, account: str) -> Job:
        body = message.json
        lines = [line for name in body["input_files"] for line in self._lines_of(name)]
        if any(set(line) != {"custom_id", "body"} or "model" in line["body"] for line in lines):
            raise RejectedError("Invalid file format", param="input_files")
        rows = {line["custom_id"]: {**line["body"], "model": body["model"]} for line in lines}
        facts = {"metadata": body.get("metadata"), "model": body["model"], "endpoint": body["endpoint"]}
        name = f"job-{len(self.jobs)}"
        return self.create(
            Job(name, self.vendor, account, rows, "chat", self.plan.now(), self.plan.polls, facts)
        )

    def _object(self, job: Job) -> JSON:
        number, done = self.jobs.index(job), job.state == "ended"
        status = "CANCELLED" if done and job.cancelled else "SUCCESS" if done else "RUNNING"
        refused = job.state in {"failed", "busy"}
        return {
            "id": job.id,
            "object": "batch",
            "status": "FAILED" if refused else status,
            "errors": [{"message": "no", "count": 1}] if refused else [],
            "output_file": f"output-{number}" if done else None,
            "error_file": f"error-{number}" if done else None,
            "outputs": None,
            "created_at": int(job.created),
            "total_requests": 0 if job.seen == 0 else len(job.rows),
            **job.facts,
        }

    def line(self, name: str, status: int | str, body: JSON) -> JSON:
        """Return a line; the body of an error is a text."""
        line = super().line(name, status, body)
        if isinstance(status, int) and status != 200:
            line["response"]["body"] = json.dumps(body)
        return line
