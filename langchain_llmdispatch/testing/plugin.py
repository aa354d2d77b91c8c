"""The pytest plugin: marker `llmdispatch_cassette`, and fixtures for cassettes, faults, time and the network.

Loaded by pytest's entry point in every run of an environment that has this package, so it imports nothing of
it until a test uses it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from langchain_llmdispatch.testing.cassettes.cassette import Cassette
    from langchain_llmdispatch.testing.clock import FakeClock
    from langchain_llmdispatch.testing.faults.faults import Faults
    from langchain_llmdispatch.testing.middleware import NoNetwork

MARKER = "llmdispatch_cassette"
_MODES = ("none", "once", "rewrite", "verify")
_FAILED = pytest.StashKey[bool]()
_WRITTEN = pytest.StashKey[set[Path]]()
_EXTENSION = ".llm.yaml"  # not pytest-recording's, whose files may stand beside ours


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("llmdispatch", "cassettes of langchain-llmdispatch")
    group.addoption(
        "--llmdispatch-record",
        choices=_MODES,
        default=None,
        help="none: replay only (default); once: record what has no file; rewrite: record anew; "
        "verify: send each request and compare. Also: the variable LLMDISPATCH_RECORD; then the marker's "
        "mode=..., then the ini option llmdispatch_record.",
    )
    parser.addini("llmdispatch_record", "record mode where nothing else sets it", default="none")
    parser.addini(
        "llmdispatch_cassette_dir", "folder of cassettes, below each test's own folder", default="cassettes"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(name=None, **options): replay this test from a cassette; options as for `Cassette`.",
    )
    config.stash[_WRITTEN] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Note whether a test has failed: then nothing is recorded."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(scope="session")
def llmdispatch_config() -> Mapping[str, Any]:
    """Return options for every cassette, as for `Cassette`; override it in a conftest.

    Besides those: `directory`, the folder of the cassettes.
    """
    return {}


@pytest.fixture(autouse=True)
def _llmdispatch_marked(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker(MARKER) is not None:
        request.getfixturevalue(MARKER)


@pytest.fixture
def llmdispatch_cassette(
    request: pytest.FixtureRequest, llmdispatch_config: Mapping[str, Any]
) -> Iterator[Cassette]:
    """Replay the test's model calls from its cassette, or record them; return the `Cassette`."""
    from langchain_llmdispatch.settings import check_fields
    from langchain_llmdispatch.testing.cassettes.cassette import Cassette

    marker = request.node.get_closest_marker(MARKER)
    options = {**llmdispatch_config, **(marker.kwargs if marker else {})}
    if request.node.get_closest_marker("vcr") and "vcr" in request.fixturenames:
        request.getfixturevalue("vcr")  # pytest-recording's goes beneath ours, for other clients' requests
        options.setdefault("other_hosts", "pass")
    name = options.pop("name", None) or (marker.args[0] if marker and marker.args else None)
    path = _path(request, name, options.pop("directory", None))
    mode = _mode(request.config, options.pop("mode", None))
    known = {*signature(Cassette).parameters, "name", "directory"} - {"path", "append"}
    check_fields(MARKER, options, known)
    written = request.config.stash[_WRITTEN]
    cassette = Cassette(path, mode=mode, append=path in written, **options)
    try:
        with cassette:
            yield cassette
            if request.node.stash.get(_FAILED, False):
                cassette.discard()
    finally:
        if cassette.written:
            written.add(path)


def _mode(config: pytest.Config, own: Any) -> Any:
    """Return the record mode: of the command line, the environment, the test or the project."""
    chosen = config.getoption("--llmdispatch-record") or os.environ.get("LLMDISPATCH_RECORD")
    return chosen or own or config.getini("llmdispatch_record")


def _path(request: pytest.FixtureRequest, name: str | None, directory: Any) -> Path:
    """Return a test's file: `cassettes/<module>/<class>.<test>.llm.yaml` beside it, or by its name."""
    folder: Path = request.path.parent / (directory or request.config.getini("llmdispatch_cassette_dir"))
    if name:
        return folder / (name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    parts = request.node.nodeid.partition("::")[2].replace("::", ".")
    return folder / request.path.stem / (re.sub(r"[^\w.\-]+", "-", parts).strip("-") + _EXTENSION)


@pytest.fixture
def llmdispatch_faults() -> Iterator[Faults]:
    """Return a `Faults` for every model while the test runs."""
    from langchain_llmdispatch.testing.faults.faults import Faults

    with Faults() as faults:
        yield faults


@pytest.fixture
def llmdispatch_clock() -> Iterator[FakeClock]:
    """Return a `FakeClock` that is substituted for the real clock in every model while the test runs."""
    from langchain_llmdispatch.testing.clock import FakeClock, use_clock

    clock = FakeClock()
    with use_clock(clock):
        yield clock


@pytest.fixture
def llmdispatch_no_network() -> Iterator[NoNetwork]:
    """Fail the test if a model is about to reach the network."""
    from langchain_llmdispatch.testing.middleware import NoNetwork

    with NoNetwork() as guard:
        yield guard
