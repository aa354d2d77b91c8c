"""What the batch APIs have in common: jobs, plans, and answers by the dialects of live calls."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.loopback import answers, errors
from tests.loopback.delivery import LostError
from tests.loopback.dialects import DIALECTS
from tests.loopback.neutral import RejectedError, Reply, VendorRequest, compact
from tests.loopback.routing import ACCOUNT
from tests.loopback.wire import Message

JSON = dict[str, Any]


@dataclass
class BatchPlan:
    """How the batch APIs behave.

    Attributes:
        outcome: What becomes of a row, by its prompt: `ok`, `expired`, `canceled`, `missing`, `twice`, `empty`,
            or an error's status.
        polls: Polls that find a job running.
        lost: Creations whose job is made and whose answer is lost.
        refused: Statuses that the next creations are answered with; nothing is made.
        words: The text of these answers.
        unknown: Polls of a new job that are answered 404.
        pending: Checks that find an uploaded file not ready.
        busy: Jobs that fail because too many tokens wait.
        failed: Jobs that fail their validation.
        unlisted: Whether jobs cannot be listed.
        stuck: Whether jobs run until they are cancelled.
        down: Whether requests about a job fail.
        broken: Downloads that break off in the middle.
        retry_after: Seconds in the header of a poll; 0 for none.
        now: Returns the time in seconds since 1970.
    """

    outcome: Callable[[str], str] = lambda _: "ok"
    polls: int = 1
    lost: int = 0
    refused: list[int] = field(default_factory=list)
    words: str = "not now"
    unknown: int = 0
    pending: int = 0
    busy: int = 0
    failed: int = 0
    unlisted: bool = False
    stuck: bool = False
    down: bool = False
    broken: int = 0
    retry_after: int = 0
    now: Callable[[], float] = lambda: 1_795_000_000.0


@dataclass
class Job:
    """One job.

    Attributes:
        id: The vendor's id.
        account: Whose it is.
        rows: The body of each row, by its id.
        api: The API that the rows are for.
        facts: What else was stated at its creation.
    """

    id: str
    vendor: str
    account: str
    rows: dict[str, JSON]
    api: str
    created: float
    polls: int
    facts: JSON = field(default_factory=dict)
    state: str = "running"
    cancelled: bool = False
    seen: int = 0


class Batches:
    """The jobs of one server. Subclasses speak one vendor's protocol."""

    prefix = r"(?!)"
    vendor = ""
    api = ""
    """The API whose dialect checks the key."""

    def __init__(self, plan: BatchPlan) -> None:
        self.plan = plan
        self.jobs: list[Job] = []
        self.billed: Counter[str] = Counter()

    # -- requests ----------------------------------------------------------------------------------

    def reply(self, message: Message) -> Reply | None:
        """Return the answer to a request to this API; None for any other request."""
        found = ACCOUNT.fullmatch(message.path)
        account, path = (found["account"], found["rest"]) if found else ("", message.path)
        match = re.fullmatch(self.prefix + r"(?P<rest>.*)", path)
        if match is None:
            return None
        try:
            self.authorise(message)
            return self.answer(message, account, match["rest"], match.groupdict())
        except RejectedError as error:
            return errors.reply(self.vendor, error, "loop", stream=False)

    def authorise(self, message: Message) -> None:
        """Refuse a request without a key."""
        DIALECTS[self.vendor, self.api].authorise(self.call(message, "", {}))

    def answer(self, message: Message, account: str, rest: str, groups: dict[str, Any]) -> Reply:
        """Answer a request of this API."""
        raise NotImplementedError

    def job(self, account: str, name: str) -> Job:
        """Return a job that was polled; its time goes on."""
        if self.plan.down:
            raise RejectedError("down", kind="server_error")
        found = next((job for job in self.jobs if (job.id, job.account) == (name, account)), None)
        if found is None:
            raise RejectedError(f"No batch found with id '{name}'.", kind="not_found")
        found.seen += 1
        if found.seen <= self.plan.unknown:
            raise RejectedError(f"No batch found with id '{name}'.", kind="not_found")
        return found

    def listed(self, account: str) -> list[Job]:
        """Return the jobs of an account, newest first."""
        if self.plan.unlisted:
            raise RejectedError("Not Found", kind="not_found")
        return [job for job in reversed(self.jobs) if job.account == account]

    def advance(self, job: Job) -> None:
        """Let a job go on: a cancelled one ends, a running one has fewer polls left."""
        job.polls -= 1
        if job.state == "running" and (job.cancelled or (job.polls < 0 and not self.plan.stuck)):
            job.state = "ended"

    def create(self, job: Job) -> Job:
        """Take a new job, unless the plan refuses it.

        Raises:
            LostError: It is made, and the answer is lost.
        """
        if self.plan.refused:
            status = self.plan.refused.pop(0)
            raise RejectedError(self.plan.words, kind=errors.KIND_BY_STATUS.get(status, "server_error"))
        if self.plan.busy or self.plan.failed:
            job.state = "busy" if self.plan.busy else "failed"
            self.plan.busy, self.plan.failed = (
                max(0, self.plan.busy - 1),
                self.plan.failed - (not self.plan.busy),
            )
        self.jobs.append(job)
        if self.plan.lost:
            self.plan.lost -= 1
            raise LostError
        return job

    # -- results -----------------------------------------------------------------------------------

    def call(self, message: Message, api: str, body: JSON, model: str | None = None) -> VendorRequest:
        """Return a row as the request that a live call would be."""
        return VendorRequest(
            vendor=self.vendor,
            account="",
            api=api,
            path=message.path,
            model=model or body.get("model"),
            stream=False,
            query=message.query,
            headers=message.headers,
            body=body,
        )

    def results(self, message: Message, job: Job) -> list[tuple[str, int | str, JSON]]:
        """Return what became of each row: its id, a status or a word, the body of a live answer; shuffled."""
        found: list[tuple[str, int | str, JSON]] = []
        for name, body in job.rows.items():
            found += self._result(message, job, name, body)
        random.Random(len(found)).shuffle(found)
        return found

    def _result(self, message: Message, job: Job, name: str, body: JSON) -> list[tuple[str, int | str, JSON]]:
        call = self.call(message, job.api, body, job.facts.get("model"))
        dialect = DIALECTS[self.vendor, job.api]
        try:
            dialect.check(call)
        except RejectedError as error:
            return [(name, 400, errors.body(self.vendor, error, "loop"))]
        request = dialect.read(call)
        outcome = self.plan.outcome(request.prompt)
        if outcome == "missing":
            return []
        if outcome in {"expired", "canceled"} or job.cancelled:
            return [(name, "canceled" if job.cancelled else outcome, {})]
        if outcome.isdecimal():
            kind = errors.KIND_BY_STATUS.get(int(outcome), "server_error")
            return [(name, int(outcome), errors.body(self.vendor, RejectedError("no", kind=kind), "loop"))]
        self.billed[request.prompt] += 1
        answer = answers.answer_to(request)
        if outcome == "empty":
            answer = answers.completed(type(answer)(usage=answer.usage), request)
        made = [(name, 200, dialect.body(call, answer, f"row{name[-4:]}"))]
        return made * (2 if outcome == "twice" else 1)

    def document(self, value: Any, status: int = 200) -> Reply:
        """Return JSON."""
        headers = {"content-type": "application/json"}
        if self.plan.retry_after:
            headers["retry-after"] = str(self.plan.retry_after)
        return Reply(status, compact(value).encode(), headers)

    def lines(self, values: list[JSON]) -> Reply:
        """Return lines of JSON, broken off where the plan has it; nothing rests on their content type."""
        return self.whole("\n".join(map(compact, values)).encode(), {})

    def whole(self, content: bytes, headers: dict[str, str]) -> Reply:
        """Return a body, broken off where the plan has it."""
        if self.plan.broken:
            self.plan.broken -= 1
            content = content[: len(content) // 2]
            raise BrokenOffError(content)
        return Reply(200, content, headers)


class BrokenOffError(Exception):
    """The connection breaks within the body."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = content
