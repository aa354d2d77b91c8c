"""Answers in the background: created once, polled, streamed again, cancelled, taken up again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage

from langchain_llmdispatch import (
    Budget,
    Deployment,
    DispatcherChatModel,
    RetryPolicy,
    VendorConfig,
    errors,
)
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
from tests.models import COLOURS, model_of

ITEM = {
    "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
    "content": [{"type": "output_text", "text": "Four.", "annotations": []}],
}  # fmt: skip
USAGE = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
WHOLE = ("invoke", "ainvoke")
STREAMED = ("stream", "astream")


def reply(status: str, **fields: Any) -> dict[str, Any]:
    """Return a response in a status."""
    done = {"output": [ITEM], "usage": USAGE} if status == "completed" else {"output": [], "usage": None}
    return {"id": "resp_1", "object": "response", "status": status, "model": "gpt-5.4-mini", **done, **fields}


def event(number: int, kind: str, **fields: Any) -> bytes:
    """Return an event of a stream."""
    data = {"type": f"response.{kind}", "sequence_number": number, **fields}
    return f"event: response.{kind}\ndata: {json.dumps(data)}\n\n".encode()


PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
EVENTS = [
    event(0, "created", response=reply("queued")),
    event(1, "queued", response=reply("queued")),
    event(2, "in_progress", response=reply("in_progress")),
    event(3, "output_item.added", output_index=0, item={**ITEM, "content": []}),
    event(4, "output_text.delta", delta="Fo", **PLACE),
    event(5, "output_text.delta", delta="ur.", **PLACE),
    event(6, "completed", response=reply("completed")),
]


class Broken(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that breaks off after some bytes."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces, and fail."""
        yield from self._pieces
        raise httpx.ReadError("broken")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces, and fail."""
        for piece in self._pieces:
            yield piece
        raise httpx.ReadError("broken")


def events(*frames: bytes, broken: bool = False) -> httpx.Response:
    """Return a stream."""
    headers = {"content-type": "text/event-stream"}
    body: Any = {"stream": Broken(frames)} if broken else {"content": b"".join(frames)}
    return httpx.Response(200, headers=headers, **body)


def in_state(status: str, **fields: Any) -> httpx.Response:
    """Return a response in a status, as JSON."""
    return httpx.Response(200, json=reply(status, **fields))


def failed(status: int) -> httpx.Response:
    """Return an error."""
    return httpx.Response(status, json={"error": {"message": "no", "type": "x", "code": None}})


class Vendor:
    """OpenAI, with answers by script; the last one repeats."""

    def __init__(self, *script: httpx.Response | Exception | Callable[[], httpx.Response]) -> None:
        self._script = list(script)
        self.arrived: list[str] = []
        self.bodies: list[Any] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        query = request.url.query.decode()
        path = request.url.path.removeprefix("/v1/responses")
        self.arrived.append(f"{request.method} {path}{'?' if query else ''}{query}".strip())
        self.bodies.append(json.loads(request.content) if request.content else None)
        if path.endswith("/cancel"):
            return in_state("cancelled")
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        found = step() if callable(step) else step
        if isinstance(found, BaseException):
            raise found
        return found

    @property
    def created(self) -> int:
        """How many answers were created."""
        return self.arrived.count("POST")


def model(vendor: Vendor, *more: Deployment, **fields: Any) -> DispatcherChatModel:
    """Return a model of one deployment of this vendor, and others."""
    mock = httpx.MockTransport(vendor.answer)
    config = VendorConfig(
        http_client=httpx.Client(transport=mock), http_async_client=httpx.AsyncClient(transport=mock)
    )
    first = Deployment("openai:gpt-5.4-mini", name="a", api_key="sk-1", params={"background": True})
    return model_of(first, *more, vendors={"openai": config}, deadline=60, **fields)


@each("colour", COLOURS)
def test_it_is_created_once_and_polled(colour: str) -> None:
    """Polls are no attempts: one request is counted, and the answer is the last poll's."""
    vendor = Vendor(
        in_state("queued"), in_state("in_progress"), in_state("in_progress"), in_state("completed")
    )
    if "stream" in colour:
        vendor = Vendor(events(*EVENTS))
    with model(vendor) as dispatcher:
        message = COLOURS[colour](dispatcher, "2+2?")
        stats = dispatcher.get_stats()
    assert (message.text, message.usage_metadata["total_tokens"]) == ("Four.", 7)
    assert vendor.arrived == (["POST"] if "stream" in colour else ["POST", *["GET /resp_1"] * 3])
    assert vendor.bodies[0]["background"] is True
    assert "store" not in vendor.bodies[0]
    facts = message.response_metadata
    assert (facts["finish_state"], len(facts["llmdispatch"]["attempts"])) == ("complete", 1)
    assert (stats.total_requests, stats.successful_requests) == (1, 1)


@pytest.mark.parametrize("colour", WHOLE)
def test_still_queued_at_the_deadline(colour: str) -> None:
    """The error has the id and takes the answer up again, at its deployment; nothing else is tried."""
    vendor = Vendor(lambda: in_state("queued" if clock.monotonic() < 60 else "completed"))
    spare = Deployment("openai:gpt-5.4-mini", name="b", api_key="sk-2")
    clock = FakeClock()
    with model(vendor, spare, clock=clock) as dispatcher:
        with pytest.raises(errors.PendingAnswerError) as caught:
            COLOURS[colour](dispatcher, "2+2?")
        assert (caught.value.response_id, caught.value.deployment) == ("resp_1", "a")
        assert not caught.value.is_retryable
        assert 59 < clock.monotonic() <= 60
        assert len(vendor.arrived) < 20
        message = dispatcher.invoke("2+2?", resume_from=caught.value)
    assert message.text == "Four."
    assert vendor.created == 1
    assert message.response_metadata["llmdispatch"]["deployment"] == "a"


@each("colour", [*WHOLE, *STREAMED])
def test_it_is_taken_up_by_its_id(colour: str) -> None:
    """Nothing is sent anew; a stream begins at its first event."""
    vendor = Vendor(events(*EVENTS) if "stream" in colour else in_state("completed"))
    with model(vendor) as dispatcher:
        bound = dispatcher.bind(resume_from="resp_1")
        message = COLOURS[colour](bound, "2+2?")
    assert message.text == "Four."
    assert vendor.arrived == ["GET /resp_1?stream=true" if "stream" in colour else "GET /resp_1"]


@pytest.mark.parametrize("colour", STREAMED)
def test_a_stream_that_can_no_longer_be_taken_up_is_polled(colour: str) -> None:
    """OpenAI streams an answer again for five minutes."""
    vendor = Vendor(failed(400), in_state("in_progress"), in_state("completed"))
    with model(vendor) as dispatcher:
        message = COLOURS[colour](dispatcher.bind(resume_from="resp_1"), "2+2?")
    assert (message.text, message.usage_metadata["total_tokens"]) == ("Four.", 7)
    assert vendor.arrived == ["GET /resp_1?stream=true", "GET /resp_1", "GET /resp_1"]


@each("colour", STREAMED)
@each("cut", [1, 3, 5, 6])
@each("broken", [True, False])
def test_a_stream_goes_on_after_its_last_event(colour: str, cut: int, broken: bool) -> None:
    """Over another connection, with what it breaks off in; no text is lost or repeated."""
    vendor = Vendor(
        events(*EVENTS[:cut], EVENTS[cut][:30], broken=broken), failed(503), events(*EVENTS[cut:])
    )
    with model(vendor) as dispatcher:
        message = COLOURS[colour](dispatcher, "2+2?")
    assert message.text == "Four."
    assert vendor.arrived == ["POST", *[f"GET /resp_1?stream=true&starting_after={cut - 1}"] * 2]
    assert len(message.response_metadata["llmdispatch"]["attempts"]) == 1


@pytest.mark.parametrize("colour", STREAMED)
def test_a_stream_that_ends_for_good_after_content(colour: str) -> None:
    """What was handed over is on the error, and so is the id."""
    vendor = Vendor(events(*EVENTS[:5], broken=True), failed(400))
    with model(vendor) as dispatcher, pytest.raises(errors.StreamInterruptedError) as caught:
        COLOURS[colour](dispatcher, "2+2?")
    assert (caught.value.partial.text, caught.value.response_id) == ("Fo", "resp_1")
    assert vendor.created == 1


@pytest.mark.parametrize("colour", WHOLE)
def test_polls_that_fail(colour: str) -> None:
    """Some in a row are tolerated; then the error takes it up again, and nothing is created anew."""
    some = [failed(404), failed(503), httpx.Response(200, text="<html>"), httpx.ConnectError("no")]
    vendor = Vendor(in_state("queued"), *some, in_state("completed"))
    with model(vendor) as dispatcher:
        assert COLOURS[colour](dispatcher, "2+2?").text == "Four."
    vendor = Vendor(in_state("queued"), failed(503))
    with model(vendor) as dispatcher, pytest.raises(errors.PendingAnswerError, match="cannot be read"):
        COLOURS[colour](dispatcher, "2+2?")
    assert (vendor.created, len(vendor.arrived)) == (1, 7)


@pytest.mark.parametrize("colour", WHOLE)
def test_an_answer_that_fails(colour: str) -> None:
    """The vendor's error decides as always; one that was cancelled elsewhere is not made anew."""
    error = {"code": "server_error", "message": "oops"}
    vendor = Vendor(in_state("queued"), in_state("failed", error=error), in_state("completed"))
    with model(vendor) as dispatcher:
        message = COLOURS[colour](dispatcher, "2+2?")
    assert [a["error"] for a in message.response_metadata["llmdispatch"]["attempts"]] == ["ServerError", None]
    vendor = Vendor(in_state("queued"), in_state("cancelled"))
    with model(vendor) as dispatcher, pytest.raises(errors.VendorError, match="cancelled"):
        COLOURS[colour](dispatcher, "2+2?")
    assert vendor.arrived == ["POST", "GET /resp_1"]


def leave() -> httpx.Response:
    """Press Ctrl-C."""
    raise KeyboardInterrupt


def test_ctrl_c_cancels_it() -> None:
    """The work is not left running."""
    vendor = Vendor(in_state("queued"), leave)
    with model(vendor) as dispatcher, pytest.raises(KeyboardInterrupt):
        dispatcher.invoke("2+2?")
    assert vendor.arrived == ["POST", "GET /resp_1", "POST /resp_1/cancel"]


def test_a_cancelled_task_cancels_it() -> None:
    """While it waits for the next poll."""

    class Waiting(FakeClock):
        async def asleep(self, seconds: float) -> None:
            await asyncio.Event().wait()

    async def run(dispatcher: DispatcherChatModel) -> None:
        task = asyncio.create_task(dispatcher.ainvoke("2+2?"))
        while not vendor.arrived:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    vendor = Vendor(in_state("queued"))
    with model(vendor, clock=Waiting()) as dispatcher:
        asyncio.run(run(dispatcher))
    assert vendor.arrived == ["POST", "POST /resp_1/cancel"]


@pytest.mark.parametrize("colour", STREAMED)
def test_a_closed_stream_cancels_it(colour: str) -> None:
    """The caller leaves after the first piece."""

    async def leave(dispatcher: DispatcherChatModel) -> None:
        chunks = dispatcher.astream("2+2?")
        assert (await anext(chunks)).text == "Fo"
        await chunks.aclose()

    vendor = Vendor(events(*EVENTS[:6], broken=True))
    with model(vendor) as dispatcher:
        if colour == "stream":
            chunks = dispatcher.stream("2+2?")
            assert next(chunks).text == "Fo"
            chunks.close()
        else:
            asyncio.run(leave(dispatcher))
    assert vendor.arrived == ["POST", "POST /resp_1/cancel"]


@pytest.mark.parametrize("colour", WHOLE)
def test_the_deadline_cancels_it_where_that_is_wanted(colour: str) -> None:
    """`on_deadline="cancel"`."""
    vendor = Vendor(in_state("queued"))
    with model(vendor) as dispatcher, pytest.raises(errors.PendingAnswerError):
        COLOURS[colour](dispatcher.bind(on_deadline="cancel"), "2+2?")
    assert vendor.arrived[-1] == "POST /resp_1/cancel"


def test_wrong_words() -> None:
    """They are named, and nothing is sent."""
    vendor = Vendor(in_state("completed"))
    with model(vendor) as dispatcher:
        with pytest.raises(errors.ConfigurationError, match="resume_from=7"):
            dispatcher.invoke("2+2?", resume_from=7)
        with pytest.raises(errors.ConfigurationError, match="on_deadline='stop'"):
            dispatcher.invoke("2+2?", on_deadline="stop")
    assert vendor.arrived == []


def test_other_vendors_have_none() -> None:
    """An answer can be taken up where it was made only."""
    other = Deployment("anthropic:claude-haiku-4-5", name="b", api_key="sk-2", base_url="http://127.0.0.1:9")
    with model_of(other) as dispatcher, pytest.raises(errors.DispatchError, match="background"):
        dispatcher.invoke("2+2?", resume_from="resp_1")


def test_azure_has_them_at_its_own_path() -> None:
    """Under the resource, with the API version."""
    arrived: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        arrived.append(f"{request.method} {request.url.raw_path.decode()}")
        return in_state("queued" if request.method == "POST" else "completed")

    client = httpx.Client(transport=httpx.MockTransport(answer))
    target = Deployment(
        "azure:gpt-5.4-mini", api_key="k", base_url="https://x.openai.azure.com", params={"background": True}
    )
    config = VendorConfig(http_client=client, api_version="preview")
    with model_of(target, vendors={"azure": config}) as dispatcher:
        message: AIMessage = dispatcher.invoke("2+2?")
    assert message.text == "Four."
    assert arrived == [
        "POST /openai/v1/responses?api-version=preview",
        "GET /openai/v1/responses/resp_1?api-version=preview",
    ]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("how", ["read", "timeout", "504", "cut"])
def test_a_creation_that_was_not_confirmed_is_not_repeated(colour: str, how: str) -> None:
    """Its answer may be under way: neither here nor elsewhere, whatever the retry policy."""
    cut = events(EVENTS[0][:20]) if "stream" in colour else httpx.Response(200, text='{"id": "resp')
    lost: dict[str, Any] = {
        "read": httpx.ReadError("reset"),
        "timeout": httpx.ReadTimeout("slow"),
        "504": failed(504),
        "cut": cut,
    }
    vendor = Vendor(lost[how], in_state("completed"))
    spare = Deployment("openai:gpt-5.4-mini", name="b", api_key="sk-2")
    policy = RetryPolicy(jitter=False, retry_on=lambda _: True)
    with model(vendor, spare, retry_policy=policy) as dispatcher:
        with pytest.raises(
            errors.DispatchError, match="is not known, so it is not requested again"
        ) as caught:
            COLOURS[colour](dispatcher, "2+2?")
    assert (caught.value.code, vendor.created) == ("unconfirmed", 1)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_creation_that_was_refused_is_repeated(colour: str) -> None:
    """The vendor's own error, or no connection at all, shows that there is no answer."""
    whole = events(*EVENTS) if "stream" in colour else in_state("completed")
    for refusal in (failed(503), failed(429), httpx.ConnectError("no")):
        vendor = Vendor(refusal, whole)
        with model(vendor) as dispatcher:
            assert COLOURS[colour](dispatcher, "2+2?").text == "Four."
        assert vendor.created == 2


@pytest.mark.parametrize("colour", WHOLE)
def test_an_answer_that_failed_is_not_read_again(colour: str) -> None:
    """What was taken up is over; the caller decides whether to begin anew."""
    vendor = Vendor(in_state("failed", error={"code": "server_error", "message": "oops"}))
    with model(vendor) as dispatcher, pytest.raises(errors.VendorError, match="oops"):
        COLOURS[colour](dispatcher.bind(resume_from="resp_1"), "2+2?")
    assert vendor.arrived == ["GET /resp_1"]


class Ids(BaseCallbackHandler):
    """Keeps what is known of answers in the background, and what their vendor had received by then."""

    run_inline = True

    def __init__(self, vendor: Vendor) -> None:
        self.vendor, self.found = vendor, []

    def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
        """Keep an event."""
        if name == "llmdispatch.background":
            self.found.append((data["deployment"], data["response_id"], list(self.vendor.arrived)))


@pytest.mark.parametrize("colour", COLOURS)
def test_handlers_get_the_id_before_it_is_waited_for(colour: str) -> None:
    """Once, so that another process can take the answer up."""
    vendor = Vendor(in_state("queued"), in_state("in_progress"), in_state("completed"))
    if "stream" in colour:
        vendor = Vendor(events(*EVENTS))
    ids = Ids(vendor)
    with model(vendor) as dispatcher:
        COLOURS[colour](dispatcher.with_config(callbacks=[ids]), "2+2?")
    assert ids.found == [("a", "resp_1", ["POST"])]


@pytest.mark.parametrize("colour", WHOLE)
def test_an_answer_is_paid_once(colour: str) -> None:
    """By the call that has it: one that leaves it to come is charged nothing."""
    vendor = Vendor(lambda: in_state("queued" if clock.monotonic() < 60 else "completed"))
    clock, budget = FakeClock(), Budget(1.0, "day")
    with model(vendor, clock=clock, budget=budget) as dispatcher:
        with pytest.raises(errors.PendingAnswerError) as caught:
            COLOURS[colour](dispatcher, "2+2?")
        state = budget.state(clock.now())
        assert (state.spent_usd, state.held_usd) == (0, 0)
        assert dispatcher.get_stats().cost == 0
        message = dispatcher.invoke("2+2?", resume_from=caught.value)
        cost = message.response_metadata["llmdispatch"]["cost_usd"]
        assert str(budget.state(clock.now()).spent_usd) == str(dispatcher.get_stats().cost) == cost
