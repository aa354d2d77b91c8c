"""Other HTTP clients go through the same cassette."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from langchain_llmdispatch.testing import (
    Cassette,
    UnmatchedRequestError,
)
from langchain_llmdispatch.testing.cassettes.file import dump_yaml
from tests.loopback.server import LoopbackServer


def test_other_clients_pass_through_vcrpy(server: LoopbackServer, path: Path) -> None:
    """A tool's request to a host that was not recorded fails too; a server inside the test is let through."""
    with Cassette(path) as cassette, httpx.Client() as client:
        with pytest.raises(UnmatchedRequestError):
            client.get("https://weather.example/today")
        assert client.get(f"{server.url}/nowhere").status_code == 404
        assert httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(204))).get(
            "https://x.example"
        )
        cassette.discard()
    path.write_text(
        dump_yaml(
            {
                "cassette": 1,
                "interactions": [
                    {
                        "vendor": "weather.example",
                        "request": {"method": "GET", "url": "https://weather.example/today", "headers": {}},
                        "response": {"status": 200, "headers": {}, "body": {"degrees": 3}},
                    }
                ],
            }
        )
    )
    with Cassette(path, strict=True), httpx.Client() as client:
        assert client.get("https://weather.example/today").json() == {"degrees": 3}
