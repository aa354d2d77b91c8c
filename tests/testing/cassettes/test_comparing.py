"""Mode `verify`: live responses beside the recorded ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from langchain_llmdispatch.testing import (
    Cassette,
)
from langchain_llmdispatch.testing.cassettes.comparing import RecordingOutdatedError
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.testing.models import COLOURS, answer, deployment, model_of


@pytest.mark.parametrize("colour", COLOURS)
def test_verify_asks_again_and_shows_the_difference(server: LoopbackServer, path: Path, colour: str) -> None:
    """Other words are fine; another status or a field that is gone is not. The test sees the recording."""
    with model_of(deployment(server, "openai")) as model:
        server.script("openai", [Answer("recorded words")])
        with Cassette(path, mode="rewrite"):
            answer(model, colour)
        server.script("openai", [Answer("quite other words today")])
        with Cassette(path, mode="verify"):
            assert answer(model, colour).text == "recorded words"
        assert len(server.requests) == 2
        server.script("openai", [Fault.error("overloaded")])
        with pytest.raises(RecordingOutdatedError, match="#1 status: recorded 200, now 503"):
            with Cassette(path, mode="verify"):
                answer(model, colour)
        path.write_text(path.read_text().replace("finish_reason:", "finish_reason_old:", 1))
        with Cassette(path, mode="verify") as cassette:
            answer(model, colour)
            found = [line for line in cassette.differences if "finish_reason_old" in line]
            assert found
            cassette.discard()
