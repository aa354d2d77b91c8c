"""A real model on this machine, behind an OpenAI-compatible server: the `[local]` extra.

Nothing happens at import. The first `base_url()` finds or fetches the model file, starts the server on a
free port of 127.0.0.1, and waits until it is ready. There is one server per model and process; children of
`fork` share their parent's. It stops with the last process that uses it, or with `LocalServer.stop()`.

    >>> from langchain_llmdispatch.local import base_url
    >>> base_url()  # doctest: +SKIP
    'http://127.0.0.1:39047/v1'
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from langchain_llmdispatch.errors import LocalModelError
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.local.model_files import fetch_model, identify, missing_extra, user_file
from langchain_llmdispatch.local.models import DEFAULT_MODEL, LOCAL_MODELS, LocalModel

_FOLDER = Path(__file__).parent
_STOP_TIMEOUT = 5.0


class LocalServer:
    """One model file, served over HTTP on 127.0.0.1 from the first use of `base_url`.

    Safe to share between threads. In a child made by `fork` it is the parent's server.
    """

    def __init__(
        self,
        path: Path,
        *,
        alias: str | None = None,
        template: str | None = None,
        load_timeout: float = 120.0,
    ) -> None:
        """Describe the server; starts nothing.

        Args:
            path: The GGUF file.
            alias: The model's name in the server's answers; None means the file's stem.
            template: Jinja chat template; None takes the one inside the file.
            load_timeout: Seconds until loading counts as failed.
        """
        self.path = path
        self.alias = alias or path.stem
        self.template = template
        self.load_timeout = load_timeout
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0
        self._url = ""

    def __repr__(self) -> str:
        return f"LocalServer({self.alias!r}, {self._url or 'not started'})"

    @property
    def base_url(self) -> str:
        """The OpenAI-compatible endpoint, ending in `/v1`; starts the server if it does not run.

        Raises:
            LocalModelError: The extra is missing, or the file cannot be loaded.
        """
        with _Shared.lock:
            if not self.running:
                self._start()
            return f"{self._url}/v1"

    @property
    def running(self) -> bool:
        """Whether the server is up."""
        if self._process is None:
            return False
        if self._owner == os.getpid():
            return self._process.poll() is None
        return _listens(self._url)

    @property
    def pid(self) -> int | None:
        """Process id of the server, None while it does not run."""
        return self._process.pid if self._process is not None and self.running else None

    def stop(self) -> None:
        """Stop the server at once, requests under way too; the next `base_url` starts it again.

        In a child made by `fork` the parent's server runs on.
        """
        with _Shared.lock:
            process, self._process, self._url = self._process, None, ""
            if process is None:
                return
            _close_pipes(process)
            if self._owner == os.getpid():
                _end(process)
            else:
                process.returncode = 0  # not this process's child; keeps Popen from warning

    def _start(self) -> None:
        self.stop()  # a server that died has left its pipes open
        settings = {
            "path": str(self.path),
            "alias": self.alias,
            "template": self.template,
            "packages": _packages(),
            "load_timeout": self.load_timeout,
        }
        process = _spawn()
        try:
            self._url = self._load(process, settings)
        except BaseException:
            _close_pipes(process)
            _end(process)
            raise
        self._process, self._owner = process, os.getpid()

    def _load(self, process: subprocess.Popen[str], settings: dict[str, Any]) -> str:
        """Write the settings to the process, wait for the model to load, return the address."""
        if process.stdin is None or process.stdout is None:
            raise LocalModelError("the model server has no pipes; this is a bug in langchain-llmdispatch")
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(settings) + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            raise LocalModelError(
                f"the model server died (exit code {code}) while loading {self.path}, or needed more than "
                f"{self.load_timeout:.0f} s; check free memory and that xllamacpp runs on this processor",
            )
        reply: dict[str, str] = json.loads(line)
        if "error" in reply:
            raise LocalModelError(f"cannot load {self.path} ({reply['error']}); is it a GGUF model file?")
        return reply["url"].rstrip("/")


def _close_pipes(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


class _Shared:
    """The process's own: a lock for starting and stopping, and the servers by model name."""

    lock: ClassVar[threading.RLock] = threading.RLock()
    servers: ClassVar[dict[str, LocalServer]] = {}

    @classmethod
    def renew_lock(cls) -> None:
        """Replace a lock that another thread held when this process was forked."""
        cls.lock = threading.RLock()

    @classmethod
    def stop_all(cls) -> None:
        """Stop every server at exit; one that is just loading stops by itself when its stdin ends."""
        if cls.lock.acquire(timeout=1.0):
            for server in cls.servers.values():
                server.stop()
            cls.lock.release()


atexit.register(_Shared.stop_all)
forks.in_child(_Shared.renew_lock)


def local_server(model: str = DEFAULT_MODEL) -> LocalServer:
    """Return this process's server of the model, fetching the file first if need be; does not start it.

    Args:
        model: A name in `LOCAL_MODELS`.

    Raises:
        LocalModelError: There is no such model, or its file cannot be fetched.
    """
    with _Shared.lock:
        if model in _Shared.servers:
            return _Shared.servers[model]
    given = user_file(model)
    path = given or fetch_model(model)
    known = identify(given) if given else LOCAL_MODELS[model]
    server = LocalServer(path)
    if known:
        server = LocalServer(path, alias=known.name, template=_template(known))
    with _Shared.lock:
        return _Shared.servers.setdefault(model, server)


def base_url(model: str = DEFAULT_MODEL) -> str:
    """Return the OpenAI-compatible endpoint of a model on this machine, starting it if it does not run.

    The first call blocks for seconds (loading) or minutes (downloading), later ones take microseconds; async
    code calls it in a worker thread.

    Args:
        model: A name in `LOCAL_MODELS`.

    Raises:
        LocalModelError: The extra is missing, or the model's file cannot be fetched or loaded.
    """
    return local_server(model).base_url


def _template(model: LocalModel) -> str | None:
    if model.template is None:
        return None
    return (_FOLDER / model.template).read_text(encoding="utf-8")


def _packages() -> str:
    """Return the folder that xllamacpp is installed in, without importing it."""
    spec = importlib.util.find_spec("xllamacpp")
    if spec is None or spec.origin is None:
        raise missing_extra("xllamacpp")
    return str(Path(spec.origin).parent.parent)


def _spawn() -> subprocess.Popen[str]:
    # -P: no module beside the script may shadow one of the standard library.
    command = [sys.executable, "-P", str(_FOLDER / "server_process.py")]
    try:
        return subprocess.Popen(  # noqa: S603 - constants, no input
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except OSError as error:
        raise LocalModelError(f"cannot start the model server: {error}") from None


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_TIMEOUT)


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=1.0).close()
    except OSError:
        return False
    return True
