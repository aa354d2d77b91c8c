"""Gemini's batches, with inline requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.loopback.batches.base import JSON, Batches, Job
from tests.loopback.neutral import RejectedError, Reply
from tests.loopback.wire import Message

CODES = {400: 3, 404: 5, 429: 8, 500: 13, 503: 14}


class GoogleBatches(Batches):
    """`models/MODEL:batchGenerateContent` and `batches/ID`."""

    prefix = r"/google/v1beta/(?:models/(?P<model>[^/:]+):batchGenerateContent|batches(?=$|[/:]))"
    vendor = "google"
    api = "generate"

    def answer(self, message: Message, account: str, rest: str, groups: dict[str, Any]) -> Reply:
        """Answer a request."""
        name = f"batches{rest}"
        if groups.get("model"):
            return self.document(self._operation(self._create(message, account, groups["model"]), message))
        if message.method == "GET" and not rest:
            return self.document(self._page(account, message))
        if message.method == "POST" and name.endswith(":cancel"):
            self.job(account, name.removesuffix(":cancel")).cancelled = True
            return self.document({})
        job = self.job(account, name)
        self.advance(job)
        return self.document(self._operation(job, message))

    def _create(self, message: Message, account: str, model: str) -> Job:
        batch = message.json["batch"]
        rows = batch["inputConfig"]["requests"]["requests"]
        bodies = {row["metadata"]["key"]: row["request"] for row in rows}
        if not all(isinstance(body.get("contents"), list) for body in bodies.values()):
            raise RejectedError("contents")
        facts = {"model": model, "display_name": batch["displayName"]}
        name = f"batches/{len(self.jobs)}"
        return self.create(
            Job(name, self.vendor, account, bodies, "generate", self.plan.now(), self.plan.polls, facts)
        )

    def _page(self, account: str, message: Message) -> JSON:
        own = self.listed(account)
        start = int(message.query.get("pageToken", 0))
        page = {"operations": [self._operation(job, message) for job in own[start : start + 2]]}
        return page | ({"nextPageToken": str(start + 2)} if len(own) > start + 2 else {})

    def _operation(self, job: Job, message: Message) -> JSON:
        done = job.state == "ended"
        state = "CANCELLED" if job.cancelled and done else "SUCCEEDED" if done else "RUNNING"
        facts = {
            "model": f"models/{job.facts['model']}",
            "displayName": job.facts["display_name"],
            "state": f"BATCH_STATE_{state}",
            "createTime": datetime.fromtimestamp(job.created, UTC).isoformat(),
            "batchStats": {"requestCount": str(len(job.rows))},
        }
        if not done:
            return {"name": job.id, "metadata": facts}
        if job.cancelled:  # nothing is kept
            return {
                "name": job.id,
                "metadata": facts,
                "done": True,
                "error": {"code": 13, "message": "cancelled"},
            }
        if "results" not in job.facts:
            job.facts["results"] = self.results(message, job)
        output = {"inlinedResponses": {"inlinedResponses": [_item(*each) for each in job.facts["results"]]}}
        return {"name": job.id, "metadata": {**facts, "output": output}, "done": True, "response": output}


def _item(name: str, status: int | str, body: JSON) -> JSON:
    metadata = {"key": name}
    if status == 200:
        return {"response": body, "metadata": metadata}
    code = CODES.get(status, 13) if isinstance(status, int) else 1
    return {"error": {"code": code, "message": "no"}, "metadata": metadata}
