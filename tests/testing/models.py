"""Models on the loopback server whose deployments have their own names, `vendor:model`."""

from __future__ import annotations

from typing import Any

from langchain_llmdispatch import Deployment, DispatcherChatModel
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS as CALLS
from tests.models import MODELS, ONE_CALL, model_of

__all__ = ["COLOURS", "STREAMS", "answer", "deployment", "model_of"]

COLOURS = ONE_CALL
STREAMS = ("stream", "astream")


def deployment(server: LoopbackServer, vendor: str, **fields: Any) -> Deployment:
    """Return a deployment on the loopback server."""
    return Deployment(f"{vendor}:{MODELS[vendor]}", base_url=server.base_url(vendor), api_key="key", **fields)


def answer(model: DispatcherChatModel, colour: str, text: str = "say one two three four five six") -> Any:
    """Return the whole answer of a call in one colour."""
    return CALLS[colour](model, text)
