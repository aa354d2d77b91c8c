"""LangChain's standard integration suite, once per vendor, against the loopback vendors.

Each test has its own event loop. The suites fetch small media from the web; here they get tiny ones from
memory, since no test may leave this machine.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.integration_tests import chat_models as suite

from langchain_llmdispatch import DispatcherChatModel
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS
from tests.standard.vendors import STANDARD, VendorSuite

_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class _Asset:
    """What the suites read of a download."""

    content = _PNG
    status_code = 200

    def raise_for_status(self) -> None:
        """Succeed."""


class _Web:
    """Stands in for the web that the suites download from."""

    @staticmethod
    def get(url: str, **_: Any) -> _Asset:
        """Return a tiny file."""
        return _Asset()


@pytest.fixture(autouse=True)
def _no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "httpx", _Web)
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "llmdispatch-tests")


_SERVER: list[LoopbackServer] = []


@pytest.fixture(autouse=True, scope="session")
def _serve(loopback: LoopbackServer) -> Iterator[None]:
    _SERVER.append(loopback)
    yield
    _SERVER.clear()


class _Integration(VendorSuite, ChatModelIntegrationTests):
    """What all vendors' classes share."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**self.fields(_SERVER[0].base_url(self.vendor)), "api_key": "key"}

    @property
    def model_override_value(self) -> str | None:
        return STANDARD[self.vendor].override

    @property
    def has_tool_choice(self) -> bool:
        return STANDARD[self.vendor].tool_choice

    @property
    def supported_usage_metadata_details(self) -> dict[str, Any]:
        details = list(STANDARD[self.vendor].details)
        return {"invoke": details, "stream": details}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        # Vendors cache long prompts only, and Gemini reports no cache that was not read.
        return self._ask("What is in the cache? " * 300, stream=stream)

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        return self._ask("Put this into the cache.", stream=stream)

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._ask("Think before you answer.", stream=stream, **STANDARD[self.vendor].reasoning)

    def _ask(self, text: str, *, stream: bool, **kwargs: Any) -> AIMessage:
        model = DispatcherChatModel(**self.chat_model_params)
        return COLOURS["stream" if stream else "invoke"](model, text, **kwargs)


def _suite(vendor: str) -> type[_Integration]:
    flags = {flag: property(lambda _self: True) for flag in STANDARD[vendor].flags}
    body = {"vendor": vendor, "__module__": __name__, **flags}
    return type(f"TestIntegration{vendor.title()}", (_Integration,), body)


for _vendor in STANDARD:
    globals()[f"TestIntegration{_vendor.title()}"] = _suite(_vendor)
