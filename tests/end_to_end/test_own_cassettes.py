"""The repository's own cassettes replay: what real servers sent, in pieces of any size, without a network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from langchain_llmdispatch.testing import Cassette, NoNetwork
from langchain_llmdispatch.testing.cassettes.file import Tape
from langchain_llmdispatch.testing.cassettes.secrets import Secrets
from tests.cases import each
from tests.scenarios import SCENARIOS, SERVERS, Server

CASSETTES = Path(__file__).parents[2] / "cassettes"
ALL = sorted(CASSETTES.glob("*/*.yaml"))
FILES = [file for file in ALL if file.parent.name != "notebooks"]  # those are replayed by the notebooks


@each("size", [None, 1, 7])
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_what_real_servers_said(file: Path, size: int | None) -> None:
    """Each recorded conversation runs as it did, and uses all that was recorded."""
    held = Tape.read(file).interactions[0]
    server = SERVERS.get(file.parent.name) or Server(held.vendor, f"{held.vendor}:{held.model}")
    with server.chat_model() as model, NoNetwork(), Cassette(file, piece_size=size, strict=True):
        SCENARIOS[file.stem](model)


@each("file", ALL)
def test_each_file_says_where_it_came_from(file: Path) -> None:
    """What served it, which version, when; and no secret, no path of a machine."""
    tape, text = Tape.read(file), file.read_text(encoding="utf-8")
    assert re.search(r"\d+\.\d+|own API", tape.served_by or "")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d UTC", tape.recorded or "")
    assert re.fullmatch(r"langchain-llmdispatch \d+\.\d+\.\d+", tape.by)
    Secrets().check(tape.to_dict(), text, file.name)
    assert not re.search(r"/(?:home|root|tmp|Users|work)/", text)
    assert len(text) < (80_000 if file.parent.name == "notebooks" else 40_000)


def test_every_conversation_of_every_server_is_there() -> None:
    """What is missing has its reason."""
    missing = [
        f"{server.name}/{name}"
        for server in SERVERS.values()
        for name in SCENARIOS
        if name not in server.skipped and not (CASSETTES / server.name / f"{name}.yaml").is_file()
    ]
    assert missing == []
