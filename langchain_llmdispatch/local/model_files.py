"""Model files on this machine: where they are looked for, how they are checked, and their download.

Every file is checked against a pinned SHA-256 before use, except one that the user names in
`LLMDISPATCH_LOCAL_MODEL`.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from langchain_llmdispatch.errors import LocalModelError
from langchain_llmdispatch.local.download import SOURCES, Sink, Source
from langchain_llmdispatch.local.models import DEFAULT_MODEL, LOCAL_MODELS, LocalModel, get_model

PATH_VARIABLE = "LLMDISPATCH_LOCAL_MODEL"

_LOG = logging.getLogger(__name__)
_UPDATE = 0.2  # seconds between two updates of the progress


def cache_folder() -> Path:
    """Return the folder that keeps model files, in the user's cache folder; it may not exist yet.

    Raises:
        LocalModelError: The extra is not installed.
    """
    try:
        import platformdirs
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
    """Return whether the file holds exactly the pinned bytes; reads it only if the size is right."""
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
            failures.append(error.message)
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
            import fcntl

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
        if now - last >= _UPDATE or count == model.size:
            last = now
            end = "\n" if count == model.size else ""
            sys.stderr.write(f"\r{model.name}: {count // 10**6} of {model.size // 10**6} MB{end}")
            sys.stderr.flush()

    return report
