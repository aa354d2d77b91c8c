"""Anthropic's Message Batches."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from tests.loopback.batches.base import JSON, Batches, Job
from tests.loopback.neutral import RejectedError, Reply
from tests.loopback.wire import Message


class AnthropicBatches(Batches):
    """`/v1/messages/batches`."""

    prefix = r"/anthropic/v1/messages/batches"
    vendor = "anthropic"
    api = "messages"

    def answer(self, message: Message, account: str, rest: str, groups: dict[str, Any]) -> Reply:
        """Answer a request."""
        match [message.method, *rest.split("/")[1:]]:
            case ["POST"]:
                return self.document(self._object(self._create(message, account)))
            case ["GET"]:
                return self.document(self._page(account, message.query))
            case ["GET", name]:
                job = self.job(account, name)
                self.advance(job)
                return self.document(self._object(job))
            case ["GET", name, "results"]:
                return self._results(message, self.job(account, name))
            case ["POST", name, "cancel"]:
                job = self.job(account, name)
                job.cancelled = True
                return self.document({**self._object(job), "processing_status": "canceling"})
        raise RejectedError("Not Found", kind="not_found")

    def _create(self, message: Message, account: str) -> Job:
        rows = message.json["requests"]
        names = [row["custom_id"] for row in rows]
        if len(set(names)) < len(names) or not all(
            re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names
        ):
            raise RejectedError("requests.0.custom_id")
        bodies = {row["custom_id"]: row["params"] for row in rows}
        name = f"msgbatch_{len(self.jobs)}"
        return self.create(
            Job(name, self.vendor, account, bodies, "messages", self.plan.now(), self.plan.polls)
        )

    def _results(self, message: Message, job: Job) -> Reply:
        if job.state == "running":
            raise RejectedError(f"Batch {job.id} has no available results", kind="not_found")
        if "results" not in job.facts:
            job.facts["results"] = self.results(message, job)
        return self.lines([_line(*result) for result in job.facts["results"]])

    def _page(self, account: str, query: Any) -> JSON:
        own = self.listed(account)
        if "after_id" in query:
            own = own[[job.id for job in own].index(query["after_id"]) + 1 :]
        page = own[:2]
        return {
            "data": [self._object(job) for job in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": len(own) > len(page),
        }

    def _object(self, job: Job) -> JSON:
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        counts["processing" if job.state == "running" else "succeeded"] = len(job.rows)
        return {
            "id": job.id,
            "type": "message_batch",
            "processing_status": "in_progress" if job.state == "running" else "ended",
            "request_counts": counts,
            "created_at": datetime.fromtimestamp(job.created, UTC).isoformat(),
            "results_url": None if job.state == "running" else "https://elsewhere.example/results",
        }


def _line(name: str, status: int | str, body: JSON) -> JSON:
    if status == 200:
        body["usage"]["service_tier"] = "batch"
        return {"custom_id": name, "result": {"type": "succeeded", "message": body}}
    if isinstance(status, int):
        error = {"type": "error", "error": body.get("error", body), "request_id": None}
        return {"custom_id": name, "result": {"type": "errored", "error": error}}
    return {"custom_id": name, "result": {"type": status}}
