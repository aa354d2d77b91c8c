"""LangChain's standard integration suite for ChatOpenAI, whose server is ours: see `app.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_llmdispatch import DispatcherChatModel
from tests.loopback.server import LoopbackServer
from tests.models import deployment
from tests.server.running import running

_URLS: list[str] = []
_CLIENTS: dict[str, Any] = {}
_ALONE = httpx.Limits(max_keepalive_connections=0)  # no socket is left to the collector
# ChatOpenAI shares one asynchronous client between event loops, and warns of what the suite passes.
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def _serve(loopback: LoopbackServer) -> Iterator[None]:
    model = DispatcherChatModel(models=[deployment(loopback, "google")], env={})
    with running(model, api_keys=["client-key"]) as url:
        _URLS.append(url)
        with httpx.Client(limits=_ALONE) as client:
            _CLIENTS.update(http_client=client, http_async_client=httpx.AsyncClient(limits=_ALONE))
            yield
    _URLS.clear()
    _CLIENTS.clear()


class TestChatOpenAIThroughTheServer(ChatModelIntegrationTests):
    """OpenAI's client, our endpoint, Gemini's wire format behind it."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        named = {"model": "default", "base_url": _URLS[0], "api_key": "client-key", "stream_usage": True}
        return {**named, **_CLIENTS}

    @property
    def supports_image_inputs(self) -> bool:
        return False  # the suite fetches one from the web

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "google"
