"""A JupyterLab of our own, and pages of it in Chromium.

Notebooks are run once (from their recordings), then opened three times: trusted in the light and in the dark theme, and
as a notebook of another user, which JupyterLab cleans of style sheets.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "screenshots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SETTINGS: dict[str, dict[str, Any]] = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight are on the page, too
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
WAIT_MS = 120_000


def browser_path() -> str | None:
    """Return Chromium's path; None where there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


class Lab:
    """A running JupyterLab over copies of the notebooks.

    Args:
        home: An empty folder for the copies, settings and keys.
    """

    def __init__(self, home: Path) -> None:
        self._home, self._root, self._token = home, home / "root", secrets.token_hex()
        for name in ("notebooks", "cassettes"):
            shutil.copytree(ROOT / name, self._root / name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.env = os.environ | {
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "IPYTHONDIR": str(home / "ipython"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }

    @contextmanager
    def running(self) -> Iterator[Lab]:
        """Start it, and stop it at the end."""
        options = [
            f"--ServerApp.root_dir={self._root}",
            f"--ServerApp.port={self._port}",
            *("--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0", "--ServerApp.open_browser=False"),
            *(
                f"--IdentityProvider.token={self._token}",
                "--ServerApp.allow_root=True",
                "--ServerApp.terminals_enabled=False",
            ),
        ]
        with (self._home / "lab.log").open("w") as log:
            command = [sys.executable, "-m", "jupyterlab", *options]
            process = subprocess.Popen(command, env=self.env, cwd=self._home, stdout=log, stderr=log)
            try:
                self._wait(process)
                yield self
            finally:
                process.terminate()
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:  # kernels that do not end are no fault of a display
                    process.kill()
                    process.wait()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        pause = threading.Event()
        while process.poll() is None:
            try:
                self._call("GET", "status")
            except OSError:
                pause.wait(0.2)
            else:
                return
        raise AssertionError(f"JupyterLab has ended:\n{(self._home / 'lab.log').read_text()}")

    def _call(self, method: str, path: str) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/api/{path}", method=method)
        request.add_header("Authorization", f"token {self._token}")
        with urllib.request.build_opener().open(request, timeout=30) as response:
            return json.loads(response.read() or "null")

    # -- notebooks ---------------------------------------------------------------------------------

    def run(self, name: str) -> dict[str, Any]:
        """Run a notebook and keep it twice, trusted and not; return it with its outputs."""
        import nbformat
        from nbclient import NotebookClient
        from nbformat.sign import NotebookNotary

        path = self._root / "notebooks" / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute(
            env=self.env
        )
        for trust in ("trusted", "untrusted"):
            notebook.metadata["opened"] = trust
            nbformat.write(notebook, path.with_name(f"{name}.{trust}.ipynb"))
            if trust == "trusted":
                NotebookNotary(data_dir=str(self._home / "data")).sign(notebook)
        return dict(notebook)

    def use_theme(self, theme: str) -> None:
        """Choose the theme of pages that are opened from now on: `Light` or `Dark`."""
        chosen = SETTINGS | {"apputils-extension/themes": {"theme": f"JupyterLab {theme}"}}
        for name, values in chosen.items():
            path = self._home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values), encoding="utf-8")

    @contextmanager
    def opened(self, browser: Browser, name: str, picture: str, *, width: int = 1000) -> Iterator[Page]:
        """Open a notebook, wait until all of it is shown, and take its picture."""
        page = browser.new_page(viewport={"width": width, "height": 900})
        try:
            page.goto(
                f"http://127.0.0.1:{self._port}/doc/tree/notebooks/{name}.ipynb?reset&token={self._token}",
                timeout=WAIT_MS,
            )
            page.wait_for_selector(".jp-Notebook .jp-OutputArea-output", timeout=WAIT_MS)
            page.wait_for_function(_SETTLED, timeout=WAIT_MS)
            height = page.evaluate(_HEIGHT)
            page.set_viewport_size({"width": width, "height": min(height + 160, 16_000)})
            page.wait_for_function(_SETTLED, timeout=WAIT_MS)
            SCREENSHOTS.mkdir(exist_ok=True)
            page.screenshot(path=SCREENSHOTS / f"{picture}.png")
            yield page
        finally:
            page.close()
            for session in self._call("GET", "sessions"):
                self._call("DELETE", f"sessions/{session['id']}")


# MathJax, pictures and Markdown come late: the page is settled when nothing has changed for a second.
_SETTLED = """() => {
  const seen = document.querySelector('.jp-Notebook').innerHTML, now = Date.now();
  if (window.seenLast !== seen) { window.seenLast = seen; window.seenAt = now; }
  return now - window.seenAt > 1500 && !document.querySelector('.jp-Notebook .jp-mod-rendering');
}"""
_HEIGHT = (
    "() => Math.max(...[...document.querySelectorAll('.jp-WindowedPanel-outer')].map(e => e.scrollHeight))"
)
