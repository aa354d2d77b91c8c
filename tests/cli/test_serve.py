"""`serve`: what is refused before anything is bound, and a server that ends gracefully."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_llmdispatch.__main__ import main
from tests.server.running import wait_until

ROOT = Path(__file__).parents[2]
CONFIG = """
models:
- {{model: 'compatible:qwen3', api_key: k, base_url: '{url}'}}
server:
  host: {host}
  port: {port}
  api_keys: {keys}
"""
ANY = "0.0.0.0"  # noqa: S104 - it is refused
NOWHERE = "http://127.0.0.1:9"


def config_file(folder: Path, url: str = NOWHERE, **fields: Any) -> Path:
    """Return a configuration with a section `server`."""
    file = folder / "dispatch.yaml"
    file.write_text(CONFIG.format(**{"url": url, "host": "127.0.0.1", "port": 0, "keys": "[]", **fields}))
    return file


def test_another_address_needs_keys(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The message names the field to set."""
    assert main(["serve", "--config", str(config_file(tmp_path, host=ANY))]) == 2
    assert "set server.api_keys" in capsys.readouterr().err


def test_a_misspelt_field_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With the nearest right one."""
    file = config_file(tmp_path)
    file.write_text(file.read_text().replace("port", "prt"))
    assert main(["serve", "--config", str(file)]) == 2
    assert "Did you mean 'port'" in capsys.readouterr().err


def test_a_variable_without_a_value_is_no_key(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty key would admit every client."""
    monkeypatch.setenv("CLIENT_KEY", "")
    assert main(["serve", "--config", str(config_file(tmp_path, host=ANY, keys='["${CLIENT_KEY}"]'))]) == 2
    assert "server.api_keys.0.key: is no key" in capsys.readouterr().err


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One line, and no trace of uvicorn's."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "--config", str(config_file(tmp_path, port=port))]) == 2
    assert f"127.0.0.1:{port} cannot be bound" in capsys.readouterr().err


# -- a process ---------------------------------------------------------------------------------------------


class Gated(ThreadingHTTPServer):
    """A vendor whose streams go on when they are let."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Stream)
        self.goes_on = threading.Event()


class Stream(BaseHTTPRequestHandler):
    """One piece, and the rest later."""

    def do_POST(self) -> None:
        gate = self.server
        assert isinstance(gate, Gated)
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            self.wfile.write(event({"role": "assistant", "content": "One"}))
            gate.goes_on.wait(60)
            self.wfile.write(event({"content": " two"}) + event({}, "stop") + b"data: [DONE]\n\n")
        except OSError:
            pass

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
        """Print nothing."""


def event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    """Return an event of a chat completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    fields = {"id": "1", "object": "chat.completion.chunk", "model": "qwen3", "choices": [choice]}
    return f"data: {json.dumps(fields)}\n\n".encode()


@contextmanager
def vendor() -> Iterator[Gated]:
    """Run a gated vendor."""
    with Gated() as gated:
        thread = threading.Thread(target=gated.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield gated
        finally:
            gated.goes_on.set()
            gated.shutdown()
            thread.join()


@contextmanager
def served(folder: Path, gated: Gated) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `serve` in a process; yield it and its address."""
    file = config_file(folder, f"http://127.0.0.1:{gated.server_address[1]}/v1")
    command = [sys.executable, "-m", "langchain_llmdispatch", "serve", "--config", str(file)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().removeprefix("serving on ").strip()
        finally:
            process.kill()


def refuses(url: str) -> bool:
    """Return whether a server takes no new connections."""
    host, port = httpx.URL(url).host, httpx.URL(url).port or 0
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) != 0


BODY = {"model": "default", "messages": [{"role": "user", "content": "hi"}], "stream": True}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_a_signal_lets_answers_end(tmp_path: Path) -> None:
    """No new connections; the stream under way comes whole, and the process ends with 0."""
    with (
        vendor() as gated,
        served(tmp_path, gated) as (process, url),
        httpx.stream("POST", f"{url}/chat/completions", json=BODY, timeout=60) as answer,
    ):
        lines = answer.iter_lines()
        first = next(lines)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(url))
        gated.goes_on.set()
        rest = list(lines)
        assert process.wait(60) == 0
    assert '"One"' in first
    assert any('" two"' in line for line in rest)
    assert "data: [DONE]" in rest


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """Whichever they are: the stream under way breaks."""
    with vendor() as gated, served(tmp_path, gated) as (process, url):
        with (
            pytest.raises(httpx.RemoteProtocolError),
            httpx.stream("POST", f"{url}/chat/completions", json=BODY, timeout=60) as answer,
        ):
            lines = answer.iter_lines()
            next(lines)
            process.send_signal(signal.SIGINT)
            wait_until(lambda: refuses(url))
            process.send_signal(signal.SIGTERM)
            list(lines)
        assert process.wait(60) == -signal.SIGTERM
