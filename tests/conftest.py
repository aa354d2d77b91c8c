"""One loopback server for the whole run; no other network. And what keeps ten thousand tests cheap."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.loopback.server import LoopbackServer

if TYPE_CHECKING:
    from tests.redis.process import RedisProcess

collect_ignore = ["sample_project"]  # a project of its own, run by tests/testing/test_plugin.py

# Tests of random inputs take a share of their examples, the same ones in every run; `make test-long` takes
# other ones every time, many more of them.
UNTIMED = [
    HealthCheck.too_slow,
    HealthCheck.function_scoped_fixture,
]  # a busy machine is no fault of a test's
settings.register_profile(
    "ci", max_examples=25, deadline=None, suppress_health_check=UNTIMED, derandomize=True, database=None
)
settings.register_profile("long", max_examples=500, deadline=None, suppress_health_check=UNTIMED)
settings.load_profile(os.environ.get("LLMDISPATCH_HYPOTHESIS", "ci"))

# Every client of a test that makes one of its own reads all certificates of the web: 30 ms, and loopback needs none.
if not os.environ.get("LLMDISPATCH_TEST_LOCAL"):  # that fetches a model
    os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "loopback" / "authority.pem")


def pytest_configure() -> None:
    """Take Ctrl-C in a handler of ours, which does what Python's does.

    In place of Python's own, `asyncio.run` sets one that names its task, and to take it back writes the `repr` of
    the task's result, a message or a list of chunks: a fifth of the time of tests of whole calls.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Take what collection made, a million objects, out of every later garbage collection."""
    _freeze()


@pytest.fixture(scope="module", autouse=True)
def _frozen() -> None:
    """The same for what was imported and kept since."""
    _freeze()


def _freeze() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def loopback() -> Iterator[LoopbackServer]:
    """Return a server with every vendor's wire format."""
    with LoopbackServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """Return one Redis server for all tests that do not break it; they share nothing by namespaces of their own."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed (apt install redis-server)")
    from tests.redis.process import RedisProcess

    process = RedisProcess(tmp_path_factory.mktemp("redis"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def redis_url(redis_server: RedisProcess) -> str:
    """Return the address of a Redis server."""
    return redis_server.url


@pytest.fixture
def server(loopback: LoopbackServer) -> Iterator[LoopbackServer]:
    """Return the server with empty scripts and journal."""
    loopback.clear()
    yield loopback
    loopback.clear()
