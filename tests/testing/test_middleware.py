"""`NoNetwork`: no request of a model leaves."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from langchain_llmdispatch import (
    errors,
)
from langchain_llmdispatch.testing import (
    CallLeftError,
    Faults,
    NoNetwork,
)
from tests.loopback.server import LoopbackServer
from tests.testing.models import deployment, model_of


def test_nothing_may_leave(server: LoopbackServer) -> None:
    """A request fails at once, causes no fallback, and fails the test at the end if it was swallowed."""
    with model_of(deployment(server, "openai"), deployment(server, "anthropic")) as model:
        with pytest.raises(CallLeftError, match="openai:gpt"), NoNetwork() as guard:
            model.invoke("hello")
        assert len(guard.tried) == 1
        with pytest.raises(CallLeftError, match=r"1 request\(s\) to the network"), NoNetwork():
            with suppress(CallLeftError):
                asyncio.run(model.ainvoke("hello"))
        with NoNetwork(), Faults() as faults:
            faults.fail("openai:*", status=400)
            with pytest.raises(errors.InvalidRequestError):
                model.invoke("hello")
    assert server.requests == []
