"""Model files: where they are looked for, how they are checked, and a download that is whole or not at all."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from langchain_llmdispatch.errors import LocalModelError
from langchain_llmdispatch.local.download import Sink
from langchain_llmdispatch.local.model_files import PATH_VARIABLE, fetch_model, find_model, identify
from langchain_llmdispatch.local.models import LocalModel
from tests.local.tiny import BYTES, MODELS, TINY, endless, fetch, good, offline, wrong


def test_the_users_file_comes_first_and_is_not_checked(tmp_path: Path) -> None:
    """A file that the user names is used as it is."""
    own = tmp_path / "own.gguf"
    own.write_bytes(b"anything")
    environ = {PATH_VARIABLE: str(own)}
    assert find_model(cache=tmp_path, environ=environ) == own
    assert fetch_model(cache=tmp_path, environ=environ, sources=[offline]) == own


def test_the_users_file_does_not_pose_as_another_model(tmp_path: Path) -> None:
    """It stands for the default model only."""
    own = tmp_path / "own.gguf"
    own.write_bytes(b"anything")
    with pytest.raises(LocalModelError, match="'smollm2' is not on this machine"):
        find_model("smollm2", cache=tmp_path, environ={PATH_VARIABLE: str(own)})


def test_a_missing_user_file_is_an_error_not_a_download(tmp_path: Path) -> None:
    """A wrong path is named; nothing is fetched in its place."""
    with pytest.raises(LocalModelError, match=rf"{PATH_VARIABLE} is '/no/such.gguf'.*set it to a .gguf"):
        fetch_model(cache=tmp_path, environ={PATH_VARIABLE: "/no/such.gguf"}, sources=[good])


def test_the_cache_comes_before_any_source(tmp_path: Path) -> None:
    """A file in the cache with the right hash is used."""
    (tmp_path / TINY.file).write_bytes(BYTES)
    assert fetch(tmp_path, offline) == tmp_path / TINY.file
    assert find_model("tiny", cache=tmp_path, environ={}, models=MODELS) == tmp_path / TINY.file


def test_find_never_downloads_and_says_how_to(tmp_path: Path) -> None:
    """The error names the function that downloads."""
    with pytest.raises(LocalModelError, match=r"fetch_model\('tiny'\) downloads"):
        find_model("tiny", cache=tmp_path, environ={}, models=MODELS)


@pytest.mark.parametrize("damage", [BYTES[:-1], BYTES[:-1] + b"!"], ids=["short", "same size"])
def test_a_damaged_file_is_refused_and_replaced(tmp_path: Path, damage: bytes) -> None:
    """A file with another hash is an error when looked for, and replaced when fetched."""
    (tmp_path / TINY.file).write_bytes(damage)
    with pytest.raises(LocalModelError, match="damaged"):
        find_model("tiny", cache=tmp_path, environ={}, models=MODELS)
    assert fetch(tmp_path, good).read_bytes() == BYTES


def test_identify_goes_by_content(tmp_path: Path) -> None:
    """A pinned model is recognised under any name."""
    path = tmp_path / "renamed.bin"
    path.write_bytes(BYTES)
    assert identify(path, MODELS) is TINY
    path.write_bytes(BYTES + b"!")
    assert identify(path, MODELS) is None


@pytest.mark.parametrize("first", [offline, wrong, endless])
def test_the_next_source_is_tried_and_nothing_is_left_over(tmp_path: Path, first: Any) -> None:
    """Sources that fail, lie or never end are followed by the next one; no part file stays."""
    assert fetch(tmp_path, first, good).read_bytes() == BYTES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.gguf", "tiny.lock"]


def test_when_all_sources_fail_each_reason_is_named(tmp_path: Path) -> None:
    """The error lists every source's reason and the way out."""
    with pytest.raises(LocalModelError) as caught:
        fetch(tmp_path, offline, wrong)
    text = str(caught.value)
    assert "no network here" in text
    assert f"expected {TINY.sha256[:12]}" in text
    assert PATH_VARIABLE in text
    assert not (tmp_path / TINY.file).exists()


def test_a_source_that_crashes_leaves_no_part_behind(tmp_path: Path) -> None:
    """Ctrl-C removes the part file."""

    def interrupted(model: LocalModel, sink: Sink) -> None:
        sink.write(b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, interrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.lock"]


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """The error names the path and what to check."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalModelError, match=r"cannot write .*; free space or check permissions"):
        fetch(tmp_path / "file" / "cache", good)


@pytest.mark.skipif(sys.platform == "win32", reason="no lock on Windows, only the rename")
def test_many_threads_download_once(tmp_path: Path) -> None:
    """The lock lets one download; the others find the file."""
    calls = []

    def counted(model: LocalModel, sink: Sink) -> None:
        calls.append(1)
        good(model, sink)

    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: fetch(tmp_path, counted), range(16)))
    assert paths == {tmp_path / TINY.file}
    assert len(calls) == 1


def test_progress_is_shown_only_when_switched_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal or `verbose` stderr stays empty."""
    fetch(tmp_path / "a", good)
    assert capsys.readouterr().err == ""
    fetch(tmp_path / "b", good, verbose=True)
    out, err = capsys.readouterr()
    assert "tiny: 0 of 0 MB" in err
    assert out == ""
