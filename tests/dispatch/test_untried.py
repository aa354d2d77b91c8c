"""The final error names why other deployments were not tried."""

from __future__ import annotations

import pickle

import pytest
from langchain_core.messages import HumanMessage

from langchain_llmdispatch import AllDeploymentsFailedError
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, deployment, model_of

IMAGE = HumanMessage(
    [{"type": "text", "text": "hi"}, {"type": "image", "base64": "aGk=", "mime_type": "image/png"}]
)


@each("colour", COLOURS)
def test_who_cannot_serve_the_request_is_named(server: LoopbackServer, colour: str) -> None:
    """With the reason that `explain()` gives; copies of the error keep it."""
    server.script("openai", [Fault.error("auth")])
    blind = deployment(server, "compatible", "blind", profile={"image_inputs": False})
    with model_of(deployment(server, "openai"), blind) as model:
        reason = model.explain([IMAGE]).excluded[0].reason
        with pytest.raises(AllDeploymentsFailedError) as raised:
            COLOURS[colour](model, [IMAGE])
    assert raised.value.left_out == {"blind": reason}
    assert f"; not tried: blind ({reason})" in str(raised.value)
    assert pickle.loads(pickle.dumps(raised.value)).left_out == {"blind": reason}


@each("colour", COLOURS)
def test_what_there_were_no_attempts_for_is_named(server: LoopbackServer, colour: str) -> None:
    """The bound is named, too."""
    server.script("openai", [Fault.error("auth")])
    with model_of(deployment(server, "openai"), deployment(server, "cohere"), max_attempts=1) as model:
        with pytest.raises(
            AllDeploymentsFailedError, match=r"not tried: cohere \(max_attempts=1 is used up\)"
        ):
            COLOURS[colour](model, "hi")


def test_a_window_that_is_no_larger_is_named(server: LoopbackServer) -> None:
    """It could not have taken what was too long for the first."""
    server.script("openai", [Fault.error("context_overflow")])
    small = deployment(server, "compatible", "small", profile={"max_input_tokens": 1000})
    with model_of(deployment(server, "openai"), small) as model:
        with pytest.raises(AllDeploymentsFailedError, match=r"small \(its context window is no larger\)"):
            model.invoke("hi")


def test_long_lists_are_cut(server: LoopbackServer) -> None:
    """The message stays readable; the attribute has them all."""
    server.script("openai", [Fault.error("auth")])
    others = [deployment(server, "compatible", f"n{number}") for number in range(12)]
    with model_of(deployment(server, "openai"), *others, max_attempts=1) as model:
        with pytest.raises(AllDeploymentsFailedError, match=r"n7 \([^)]*\), 4 more") as raised:
            model.invoke("hi")
    assert len(raised.value.left_out) == 12
