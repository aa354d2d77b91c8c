"""The loopback server: one address, every vendor, many accounts."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from tests.loopback import answers, delivery, errors
from tests.loopback.batches import (
    AnthropicBatches,
    Batches,
    BatchPlan,
    GoogleBatches,
    MistralBatches,
    OpenAIBatches,
    XaiBatches,
)
from tests.loopback.batches.base import BrokenOffError
from tests.loopback.delivery import Action, FaultBytes, LostError
from tests.loopback.dialects import DIALECTS, VendorDialect
from tests.loopback.faults import Fault, Script, Step, StepPlan
from tests.loopback.neutral import Answer, RejectedError, Reply, Request, TokenCounts, VendorRequest, compact
from tests.loopback.request_log import Received, RequestLog, Totals, account_key
from tests.loopback.routing import BASES, Route, resolve
from tests.loopback.wire import Connection, Message

Planner = Callable[[Received, Request], StepPlan | None]
LARGEST_HEAD = 1 << 20
PATIENCE = 10.0
TAGS = {"models": [{"name": "llama3.1:latest", "model": "llama3.1:latest", "size": 1, "digest": "0"}]}


class LoopbackServer:
    """A context manager; a test talks to it with any HTTP client.

    Args:
        chop_seed: Cut every streamed body into random pieces, from this seed.
        strict: Whether requests that a vendor documents as wrong are refused.

    Attributes:
        batch_plan: How the batch APIs behave.
        batches: The batch APIs, by vendor.
        planner: Plans the response to each request; where it returns None, or is None, the scripts do.
    """

    def __init__(self, *, chop_seed: int | None = None, strict: bool = True) -> None:
        self.chop_seed = chop_seed
        self.strict = strict
        self.accepted_connections = 0
        self.planner: Planner | None = None
        self._begin()
        self._log = RequestLog()
        self._scripts: dict[str, Script] = {}
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Start to listen."""
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="loopback", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(PATIENCE):
            raise RuntimeError("the loopback server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; stalled answers end."""
        if self._loop and self._closing and self._thread:
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join(PATIENCE)

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[Received]:
        """All requests so far, in order."""
        return self._log.received

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._tasks)

    def base_url(self, vendor: str, account: str = "") -> str:
        """What a client of a vendor takes as its base URL."""
        prefix = f"/@{account}" if account else ""
        return f"{self.url}{prefix}{BASES[vendor]}"

    def script(self, vendor: str, steps: Sequence[Step], account: str = "", *, repeat: bool = False) -> None:
        """Script the next requests of an account; `repeat` keeps the last step."""
        with self._lock:
            self._scripts.setdefault(account_key(vendor, account), Script()).extend(steps, repeat=repeat)

    def pending(self, vendor: str, account: str = "") -> int:
        """How many scripted steps of an account were not reached."""
        with self._lock:
            return len(self._scripts.get(account_key(vendor, account), ()))

    def requests_to(self, vendor: str, account: str = "") -> list[Received]:
        """The requests of one account, in order."""
        return [one for one in self.requests if (one.vendor, one.account) == (vendor, account)]

    def wait_for_requests(self, number: int, seconds: float = 60) -> None:
        """Wait until another process or thread has sent so many requests."""
        assert self._log.wait_for(number, seconds)

    def usage(self) -> dict[str, Totals]:
        """Requests and reported tokens by account: `openai`, `openai@b`."""
        return self._log.totals

    def clear(self) -> None:
        """Forget scripts, requests and totals."""
        with self._lock:
            self._scripts.clear()
        self.planner = None
        self._begin()
        self._log.clear()

    def _begin(self) -> None:
        self.batch_plan = BatchPlan()
        plan = self.batch_plan
        family = [OpenAIBatches(plan, vendor) for vendor in ("openai", "azure", "compatible")]
        others = (AnthropicBatches, GoogleBatches, MistralBatches, XaiBatches)
        batches: list[Batches] = [*family, *(each(plan) for each in others)]
        self.batches = {each.vendor: each for each in batches}

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=LARGEST_HEAD, backlog=1024)
        self._port = listener.sockets[0].getsockname()[1]
        self._ready.set()
        await self._closing.wait()
        listener.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted_connections += 1
        task = asyncio.ensure_future(self._serve_connection(Connection(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_connection(self, connection: Connection) -> None:
        try:
            while (message := await connection.receive()) is not None:
                await self._answer(connection, message)
        except (LostError, ConnectionError):
            pass
        finally:
            with contextlib.suppress(RuntimeError):
                connection.close()

    async def _answer(self, connection: Connection, message: Message) -> None:
        route = resolve(message.path)
        body = message.json if isinstance(message.json, dict) else {}
        stream = bool(route.api) and route.streams(body)
        if not route.api and await self._of_batches(connection, message, route):
            return
        entry = _received(message, route, stream=stream)
        number = self._log.receive(entry)
        exchange = ServerExchange(connection, route, entry, f"loop{number:08d}")
        if route.api == "tags":
            await exchange.reply(Reply(200, compact(TAGS).encode(), {"content-type": "application/json"}))
            return
        call = _call(message, route, body, stream=stream)
        try:
            dialect = _dialect(route, message)
            request = self._read(dialect, call)
        except RejectedError as error:
            await exchange.refuse(error, stream=stream)
            return
        planned = None if self.planner is None else self.planner(entry, request)
        await exchange.run(dialect, call, request, planned or self._plan(route, number))

    async def _of_batches(self, connection: Connection, message: Message, route: Route) -> bool:
        """Answer a request to a batch API; return whether it was one."""
        for batches in self.batches.values():
            try:
                reply = batches.reply(message)
            except (LostError, BrokenOffError) as error:
                self._log.receive(_received(message, route, stream=False))
                if isinstance(error, BrokenOffError):
                    connection.head(200, {"content-length": str(len(error.content) * 2)})
                    connection.write(error.content)
                    await connection.flush()
                raise LostError from None
            if reply is not None:
                entry = _received(message, route, stream=False)
                self._log.receive(entry)
                await ServerExchange(connection, route, entry, "batch").reply(reply)
                return True
        return False

    def _read(self, dialect: VendorDialect, call: VendorRequest) -> Request:
        try:
            if self.strict:
                dialect.check(call)
            return dialect.read(call)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise RejectedError(f"The request has a wrong form: {error!r}", rule="form") from error

    def _plan(self, route: Route, number: int) -> StepPlan:
        with self._lock:
            script = self._scripts.get(account_key(route.vendor, route.account))
            plan = StepPlan() if script is None else script.take()
        if self.chop_seed is None or plan.fault("chop") or plan.fault("drip"):
            return plan
        return StepPlan(plan.answer, (*plan.faults, Fault.chop(self.chop_seed + number)))


class ServerExchange:
    """One request on its way to its answer."""

    def __init__(self, connection: Connection, route: Route, entry: Received, ident: str) -> None:
        self.connection = connection
        self.route = route
        self.entry = entry
        self.ident = ident

    async def reply(
        self, reply: Reply, plan: StepPlan | None = None, fault_bytes: FaultBytes | None = None
    ) -> None:
        """Send a whole answer."""
        self.entry.status = reply.status
        plain, own = plan or StepPlan(), fault_bytes or FaultBytes(b"", b"", b"")
        if not plain.damages():
            self.entry.usage = reply.usage
        await delivery.send_body(self.connection, reply, plain, own)

    async def refuse(self, error: RejectedError, *, stream: bool) -> None:
        """Send the vendor's error for a broken rule."""
        self.entry.rejected = error.rule or error.kind
        reply = errors.reply(self.route.vendor, error, self.ident, stream=stream)
        await self.reply(self._with_headers(reply))

    async def run(
        self, dialect: VendorDialect, call: VendorRequest, request: Request, plan: StepPlan
    ) -> None:
        """Answer as planned."""
        await self._disturb(call, plan)
        error = plan.fault("error")
        if error:
            await self.reply(self._with_headers(self._error(error, stream=call.stream)))
            return
        answer = _answer_of(plan, request)
        fault_bytes = self._fault_bytes(dialect, call, plan)
        if call.stream:
            events = dialect.events(call, request, answer, self.ident)
            headers = _labelled(
                {"content-type": dialect.streamed_as(call), **dialect.headers(self.ident)}, plan
            )
            await self._stream(headers, delivery.staged(events, plan, fault_bytes), apart=plan.splits())
            return
        headers = _labelled({"content-type": dialect.json_type, **dialect.headers(self.ident)}, plan)
        content = compact(dialect.body(call, answer, self.ident)).encode()
        await self.reply(Reply(200, content, headers, answer.counted), plan, fault_bytes)

    async def _disturb(self, call: VendorRequest, plan: StepPlan) -> None:
        slow, reset = plan.fault("slow_head"), plan.fault("reset")
        if slow:
            await delivery.pause(self.connection, slow.seconds)
        if hints := plan.fault("informational"):
            await delivery.send_hints(self.connection, hints)
        if reset and (reset.after_events < 0 or not call.stream):
            self.connection.reset()
            raise LostError

    async def _stream(self, headers: dict[str, str], actions: list[Action], *, apart: bool) -> None:
        self.entry.status = 200

        def report(usage: TokenCounts) -> None:
            self.entry.usage = usage

        await delivery.send_stream(self.connection, actions, headers, report, apart=apart)

    def _fault_bytes(self, dialect: VendorDialect, call: VendorRequest, plan: StepPlan) -> FaultBytes:
        fault = plan.fault("in_band_error")
        error = RejectedError((fault.message if fault else None) or "", kind=_kind(fault))
        content = dialect.in_band(call, error, self.ident)
        if not call.stream:
            content = compact(errors.body(self.route.vendor, error, self.ident)).encode()
        return FaultBytes(dialect.keepalive, dialect.broken, content)

    def _error(self, fault: Fault, *, stream: bool) -> Reply:
        error = RejectedError(fault.message or "", kind=_kind(fault))
        own = errors.reply(self.route.vendor, error, self.ident, stream=stream)
        status = fault.status or own.status
        named = fault.error_kind is not None
        headers = {
            **(own.headers if named else {"content-type": own.headers["content-type"]}),
            **fault.headers,
        }
        if fault.body is None:
            return Reply(status, own.body, headers)
        raw = fault.body if isinstance(fault.body, bytes) else _text(fault.body).encode()
        return Reply(status, raw, {"content-type": _type_of(fault.body), **fault.headers})

    def _with_headers(self, reply: Reply) -> Reply:
        dialect = DIALECTS.get((self.route.vendor, self.route.api))
        own = dialect.headers(self.ident) if dialect else {}
        headers = {**{name: value for name, value in own.items() if "ratelimit" not in name}, **reply.headers}
        return Reply(reply.status, reply.body, headers, reply.usage)


def _labelled(headers: dict[str, str], plan: StepPlan) -> dict[str, str]:
    wrong = plan.fault("mislabelled")
    return {**headers, "content-type": wrong.message or ""} if wrong else headers


def _answer_of(plan: StepPlan, request: Request) -> Answer:
    if plan.fault("empty_answer"):
        empty = Answer(usage=TokenCounts(request.input_tokens))
        return answers.completed(empty, request)
    return answers.completed(plan.answer, request) if plan.answer else answers.answer_to(request)


def _kind(fault: Fault | None) -> str:
    if fault is None:
        return "overloaded"
    return fault.error_kind or errors.KIND_BY_STATUS.get(fault.status or 0, "server_error")


def _text(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)


def _type_of(body: Any) -> str:
    return "text/plain" if isinstance(body, (str, bytes)) else "application/json"


def _dialect(route: Route, message: Message) -> VendorDialect:
    dialect = DIALECTS.get((route.vendor, route.api))
    if dialect is None or message.method != "POST":
        raise RejectedError(
            f"Invalid URL ({message.method} {message.path})", kind="not_found", rule="address"
        )
    if not isinstance(message.json, dict):
        raise RejectedError("We could not parse the JSON body of your request.", rule="JSON")
    return dialect


def _call(message: Message, route: Route, body: dict[str, Any], *, stream: bool) -> VendorRequest:
    return VendorRequest(
        vendor=route.vendor,
        account=route.account,
        api=route.api,
        path=message.path,
        model=route.model_in(body),
        stream=stream,
        query=message.query,
        headers=message.headers,
        body=body,
    )


def _received(message: Message, route: Route, *, stream: bool) -> Received:
    return Received(
        time=time.monotonic(),
        vendor=route.vendor,
        account=route.account,
        method=message.method,
        path=message.path,
        query=message.query,
        headers=message.headers,
        body=message.json,
        stream=stream,
    )
