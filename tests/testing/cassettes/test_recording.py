"""Recording passes bodies on at once, and keeps how they ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch import DispatcherChatModel, StreamInterruptedError
from langchain_llmdispatch.testing import (
    Cassette,
)
from langchain_llmdispatch.testing.cassettes.file import Tape
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.testing.models import deployment, model_of


def test_a_broken_stream_is_recorded_as_broken(server: LoopbackServer, path: Path) -> None:
    """What ended early when it was recorded ends early when it is replayed; a whole answer does not."""
    server.script("openai", [Fault.cut(after_events=4)])
    for mode in ("rewrite", "none"):
        with model_of(deployment(server, "openai")) as model, Cassette(path, mode=mode):
            with pytest.raises(StreamInterruptedError):
                list(model.stream("say one two three four five"))
    assert Tape.read(path).interactions[0].response["cut"] is True
    with model_of(deployment(server, "openai")) as model, Cassette(path, mode="rewrite"):
        list(model.stream("hello"))
    assert "cut" not in Tape.read(path).interactions[0].response


def test_leaving_a_stream_early_replays(server: LoopbackServer, path: Path) -> None:
    """A consumer that stops reading leaves a recording that serves one that stops there too."""
    for mode in ("rewrite", "none"):
        with model_of(deployment(server, "openai")) as model, Cassette(path, mode=mode):
            stream = model.stream("say one two three four five")
            chunk: AIMessageChunk = next(stream)
            assert chunk.text
            stream.close()


def test_streams_are_not_held_back_while_they_are_recorded(server: LoopbackServer, path: Path) -> None:
    """The first chunk is there before the server has sent the last: recording does not buffer."""
    server.script("openai", [Fault.stall(after_events=4)])
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={})
    with model, Cassette(path, mode="rewrite") as cassette:
        stream = model.stream("say one two three four five")
        assert next(stream).text
        stream.close()
        cassette.discard()
