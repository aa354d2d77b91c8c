"""One loopback server for the whole run; no other network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.loopback.server import LoopbackServer

collect_ignore = ["sample_project"]  # a project of its own, run by tests/testing/test_plugin.py


@pytest.fixture(scope="session")
def loopback() -> Iterator[LoopbackServer]:
    """Return a server with every vendor's wire format."""
    with LoopbackServer() as server:
        yield server


@pytest.fixture
def server(loopback: LoopbackServer) -> Iterator[LoopbackServer]:
    """Return the server with empty scripts and journal."""
    loopback.clear()
    yield loopback
    loopback.clear()
