"""xAI's batches: OpenAI's files, counters instead of a status, pages of results."""

from __future__ import annotations

import json
from typing import Any

from tests.loopback.batches.base import JSON, BatchPlan, Job
from tests.loopback.batches.openai import OpenAIBatches
from tests.loopback.neutral import Reply
from tests.loopback.wire import Message

CODES = {400: 3, 404: 5, 429: 8, 500: 13, 503: 14}


class XaiBatches(OpenAIBatches):
    """`/files`, `/batches`, `/batches/ID:cancel`, `/batches/ID/results`."""

    def __init__(self, plan: BatchPlan) -> None:
        super().__init__(plan, "xai")

    def answer(self, message: Message, account: str, rest: str, groups: dict[str, Any]) -> Reply:
        """Answer a request."""
        match [message.method, *rest.split("/")]:
            case ["GET", "batches"]:
                own, start = self.listed(account), int(message.query.get("pagination_token", 0))
                page = [self._object(job) for job in own[start : start + 2]]
                return self.document({"batches": page, "pagination_token": self._next(start, own)})
            case ["POST", "batches", name] if name.endswith(":cancel"):
                job = self.job(account, name.removesuffix(":cancel"))
                job.cancelled = True
                return self.document(self._object(job))
            case ["GET", "batches", name, "results"]:
                return self._page_of_results(message, self.job(account, name))
        return super().answer(message, account, rest, groups)

    @staticmethod
    def _next(start: int, items: list[Any]) -> str | None:
        return str(start + 2) if len(items) > start + 2 else None

    def _create(self, message: Message, account: str) -> Job:
        body = message.json
        rows = {line["custom_id"]: line["body"] for line in self._lines_of(body["input_file_id"])}
        name = f"batch_{len(self.jobs)}"
        return self.create(
            Job(
                name,
                self.vendor,
                account,
                rows,
                "chat",
                self.plan.now(),
                self.plan.polls,
                {"name": body["name"]},
            )
        )

    def _object(self, job: Job) -> JSON:
        done, refused = job.state == "ended", job.state in {"failed", "busy"}
        pending = 0 if done else len(job.rows)
        return {
            "batch_id": job.id,
            "name": job.facts["name"],
            "create_time": "2026-08-10",
            "cancel_time": "2026-08-10" if job.cancelled or refused else None,
            "cancel_by_xai_message": "invalid input" if refused else None,
            "state": {"num_requests": len(job.rows), "num_pending": pending, "num_success": 0},
        }

    def _page_of_results(self, message: Message, job: Job) -> Reply:
        if "results" not in job.facts:
            job.facts["results"] = self.results(message, job)
        found, start = job.facts["results"], int(message.query.get("pagination_token", 0))
        page = {"results": [_item(*each) for each in found[start : start + 2]]}
        document = {**page, "pagination_token": self._next(start, found)}
        return self.whole(json.dumps(document).encode(), {"content-type": "application/json"})


def _item(name: str, status: int | str, body: JSON) -> JSON:
    if status == 200:
        return {"batch_request_id": name, "batch_result": {"response": {"chat_get_completion": body}}}
    code = CODES.get(status, 13) if isinstance(status, int) else 1
    return {"batch_request_id": name, "batch_result": {"error": {"code": code, "message": "no"}}}
