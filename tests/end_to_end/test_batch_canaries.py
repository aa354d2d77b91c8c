"""Credentials, echoed by servers, in batches: the journal, the results, the log, and what ends a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from langchain_llmdispatch.batch import run_batch
from langchain_llmdispatch.errors import DispatchError
from langchain_llmdispatch.testing import Cassette
from tests.canaries import found, shown_by
from tests.cases import each
from tests.end_to_end.echoes import EchoServer, echoing
from tests.end_to_end.test_canaries import SENT, failing


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    """Return the server."""
    with echoing() as server:
        yield server


@pytest.mark.parametrize("via", ["live", "batch"])
@each("vendor", ["openai", "anthropic", "google"])
@each("mode, spelling", [("auth", "raw"), ("server", "url")])
def test_batches_show_no_credential(
    echo: EchoServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    via: str,
    vendor: str,
    mode: str,
    spelling: str,
) -> None:
    """Whether the rows are called live or sent as a job, in frames of an error that ends the run, too."""
    caplog.set_level(logging.DEBUG, "langchain_llmdispatch")
    folder = tmp_path / f"{vendor}-{mode}"
    folder.mkdir()
    raised: list[BaseException] = []
    echo.heads.clear()
    with failing(vendor, {mode: echo.url(vendor, mode, spelling)}) as model:
        try:
            run_batch(model, ["say hello"], folder / "out.jsonl", via=via, clock=model.clock, max_tries=1)
        except DispatchError as error:  # a job may have been created: a later run goes on
            raised.append(error)
    files = [(file.name, file.read_bytes().decode("latin-1")) for file in folder.iterdir()]
    assert echo.heads
    assert found(SENT, [*files, ("log", caplog.text), *shown_by(*raised)]) == []
    assert "say hello" not in caplog.text


@each("vendor", ["openai", "anthropic", "google"])
def test_cassettes_of_jobs_hold_no_credential(echo: EchoServer, tmp_path: Path, vendor: str) -> None:
    """What a deployment adds to the requests of its jobs is known to a recording, as that of its calls is."""
    folder, path = tmp_path / vendor, tmp_path / f"{vendor}.yaml"
    folder.mkdir()
    with (
        Cassette(path, mode="rewrite", environment={}),
        failing(vendor, {"server": echo.url(vendor, "server")}) as model,
        suppress(DispatchError),
    ):
        run_batch(model, ["say hello"], folder / "out.jsonl", via="batch", clock=model.clock, max_tries=1)
    text = path.read_text(encoding="utf-8")
    assert "x-tenant" in text
    assert found(SENT, [("cassette", text)]) == []
