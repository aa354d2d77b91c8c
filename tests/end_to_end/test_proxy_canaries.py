"""Passwords of proxies, which proxies that fail send back, are in no error, log, repr or pickle."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, TypeAlias

import httpx
import pytest

from langchain_llmdispatch import VendorConfig
from tests.end_to_end.echoes import MODES, SILENT, SPELLINGS, EchoServer, echoing
from tests.end_to_end.test_canaries import COMMON, FOUR, failing, leaks_of

USER, PASSWORD = "uzer", "xAnary/1+Proxy=aa~12345"
CODED = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
Way: TypeAlias = Callable[[str, str], dict[str, Any]]


def by_variable(proxy: str, colour: str) -> dict[str, Any]:
    """Return the fields of a model with a proxy in the environment."""
    return {"env": {"http_proxy": proxy, "https_proxy": proxy, "NO_PROXY": ""}}


def by_client(proxy: str, colour: str) -> dict[str, Any]:
    """Return the fields of a model with a proxy in a client of the user's own."""
    if colour[0] == "a":
        config = VendorConfig(headers=COMMON, http_async_client=httpx.AsyncClient(proxy=proxy))
    else:
        config = VendorConfig(headers=COMMON, http_client=httpx.Client(proxy=proxy))
    return {"vendors": {"openai": config}}


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    """Return the proxy."""
    with echoing() as server:
        yield server


@pytest.mark.parametrize("way", [by_variable, by_client])
@pytest.mark.parametrize("colour", FOUR)
def test_echoes_of_a_proxy_s_password(
    echo: EchoServer, way: Way, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a request that a proxy forwards, nor one for a tunnel that it refuses."""
    echo.heads.clear()
    spellings = cycle(SPELLINGS)
    urls = {mode: echo.url("openai", mode, next(spellings)) for mode in MODES if mode != SILENT}
    urls["tunnel"] = "https://vendor.test/v1"
    fields = way(echo.proxy(USER, PASSWORD), colour)
    with failing("openai", urls, **fields) as model:
        assert leaks_of(model, colour, caplog, (PASSWORD, CODED)) == []
    assert CODED in echo.heads[0]
