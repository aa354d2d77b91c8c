"""Whatever a codec raises while it reads a response is the vendor's fault; what the engine raises is a bug of ours."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch import DispatcherChatModel, errors
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.vendors.openai import CompatibleVendor
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, ONE_CALL, deployment


class Fragile(CompatibleVendor):
    """A vendor of a third party whose codec has no guard of its own, and fails at one place."""

    name, aliases = "fragile", ()
    fails_at = ""

    def _fail(self, place: str) -> None:
        if place == self.fails_at:
            raise KeyError("choices")

    def encode_request(self, call: Any) -> Any:
        self._fail("request")
        return super().encode_request(call)

    def decode_response(self, call: Any, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        self._fail("answer")
        message = super().decode_response(call, body, headers)
        if self.fails_at == "usage":
            message.usage_metadata = {"input_tokens": "many", "output_tokens": None}  # type: ignore[typeddict-item] # it is wrong
        return message

    def decode_error(
        self, call: Any, status: int, headers: Mapping[str, str], body: bytes
    ) -> errors.VendorError:
        self._fail("error")
        return super().decode_error(call, status, headers, body)

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        self._fail("headers")
        return super().request_id(headers)

    def stream_decoder(self, call: Any, headers: Mapping[str, str]) -> Any:
        self._fail("decoder")
        return FragileDecoder(super().stream_decoder(call, headers), self.fails_at)


class FragileDecoder:
    """A decoder that fails at one place."""

    def __init__(self, decoder: Any, fails_at: str) -> None:
        self._decoder, self._fails_at = decoder, fails_at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def feed(self, data: bytes) -> list[AIMessageChunk]:
        if self._fails_at == "feed":
            raise AttributeError("'NoneType' object has no attribute 'get'")
        return self._decoder.feed(data)

    def close(self) -> list[AIMessageChunk]:
        if self._fails_at == "close":
            raise IndexError("list index out of range")
        return self._decoder.close()


def model_of(server: LoopbackServer, fails_at: str) -> DispatcherChatModel:
    """Return a model whose first deployment has a fragile codec."""
    vendor = Fragile()
    vendor.fails_at = fails_at
    first = deployment(server, "compatible", "first").model_copy(update={"model": "fragile:m"})
    return DispatcherChatModel(
        models=[first, deployment(server, "openai", "second")],
        custom_vendors=[vendor],
        max_retries=0,
        clock=FakeClock(),
        env={},
    )


@each("place", ["answer", "usage", "headers", "error"])
@each("colour", ["invoke", "ainvoke"])
def test_a_whole_answer_that_cannot_be_read_falls_back(
    server: LoopbackServer, place: str, colour: str
) -> None:
    """The vendor is blamed, the cause is chained, and the next deployment answers."""
    if place == "error":
        server.script("compatible", [Fault.error("server_error")], "first")
    model = model_of(server, place)
    message = COLOURS[colour](model, "hello")
    attempts = message.response_metadata["llmdispatch"]["attempts"]
    expected = "ServerError" if place == "error" else "MalformedResponseError"
    assert [attempt["error"] for attempt in attempts] == [expected, None]
    assert model.get_stats().crashed == 0


@pytest.mark.parametrize("place", ["decoder", "feed", "headers"])
@pytest.mark.parametrize("colour", ["stream", "astream"])
def test_a_stream_that_cannot_be_read_falls_back(server: LoopbackServer, place: str, colour: str) -> None:
    """Before content, another deployment's stream is handed over instead."""
    message = COLOURS[colour](model_of(server, place), "hello")
    attempts = message.response_metadata["llmdispatch"]["attempts"]
    assert [attempt["error"] for attempt in attempts] == ["MalformedResponseError", None]


@pytest.mark.parametrize("colour", ["stream", "astream"])
def test_a_stream_whose_end_cannot_be_read_is_interrupted(server: LoopbackServer, colour: str) -> None:
    """After content the error carries the partial answer, and the codec's error as its cause."""
    with pytest.raises(errors.StreamInterruptedError) as caught:
        COLOURS[colour](model_of(server, "close"), "hello")
    cause = caught.value.__cause__
    assert isinstance(cause, errors.MalformedResponseError)
    assert isinstance(cause.__cause__, IndexError)


@pytest.mark.parametrize("colour", ONE_CALL)
def test_a_bug_has_an_outcome_of_its_own(
    server: LoopbackServer, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What fails before a request is sent is raised as it is, counted as a crash, logged as an error, and no vendor's failure."""
    model = model_of(server, "request")
    with caplog.at_level(logging.INFO, "langchain_llmdispatch"), pytest.raises(KeyError):
        COLOURS[colour](model, "hello")
    stats = model.get_stats()
    assert (stats.calls.crashed, stats.calls.abandoned, stats.failures) == (1, 0, 0)
    assert [record.levelname for record in caplog.records if "crashed" in record.getMessage()] == ["ERROR"]
