"""Record `cassettes/` with the package's own testing kit.

    python scripts/record_cassettes.py                     the model server on this machine, each interface
    python scripts/record_cassettes.py --vendor anthropic  a real vendor, with its key from the environment
    python scripts/record_cassettes.py --only plain        one conversation

Exit codes: 0 done, 1 a conversation failed, 2 a key is missing.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
import tomllib
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from langchain_llmdispatch import ConfigurationError
from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.config.schema import explain_validation
from langchain_llmdispatch.local.server import base_url
from langchain_llmdispatch.testing import Cassette
from langchain_llmdispatch.vendors import builtin_vendors
from tests.scenarios import SCENARIOS, SERVERS, Server

CASSETTES = ROOT / "cassettes"
NOTE = "one thread of {machine}; temperature 0"


def main() -> int:
    """Record what the arguments name."""
    parser = argparse.ArgumentParser(description="Record cassettes/ with the package's own testing kit.")
    parser.add_argument("--vendor", default="local", help="local, or a vendor whose key is set")
    parser.add_argument("--model", help="the vendor's model id; default: the vendor's default model")
    parser.add_argument(
        "--only", action="append", choices=list(SCENARIOS), help="one conversation; repeatable"
    )
    options = parser.parse_args()
    try:
        servers = _servers(options.vendor, options.model)
    except (ConfigurationError, ValidationError) as error:
        text = explain_validation(error) if isinstance(error, ValidationError) else str(error)
        print(text, file=sys.stderr)
        return 2
    failed = [name for server in servers for name in options.only or SCENARIOS if not _record(server, name)]
    return 1 if failed else 0


def _servers(vendor: str, model: str | None) -> list[Server]:
    if vendor == "local":
        return list(SERVERS.values())
    known = builtin_vendors()
    if vendor not in known:
        raise ConfigurationError(f"vendor {vendor!r} is not known; known: {', '.join(known)}")
    model = model or known[vendor].default_model
    if model is None:
        raise ConfigurationError(f"{vendor} has no default model: give --model")
    server = Server(vendor, f"{vendor}:{model}", skipped={"too-long": "its window is too large to fill"})
    server.chat_model(env=environment())  # a missing key is an error before anything is sent
    return [server]


def _record(server: Server, name: str) -> bool:
    if name in server.skipped:
        print(f"{server.name}/{name}: skipped, {server.skipped[name]}")
        return True
    local = server.base_url is not None
    address = (
        (base_url() if server.base_url.endswith("/v1") else base_url().removesuffix("/v1")) if local else None
    )
    about = _about() if local else f"{server.name}'s own API"
    cassette = Cassette(
        CASSETTES / server.name / f"{name}.yaml",
        mode="rewrite",
        served_by=about,
        note=NOTE.format(machine=platform.machine()) if local else None,
    )
    cassette.tape.by = f"langchain-llmdispatch {_project_version()}"
    began = time.monotonic()
    try:
        with server.chat_model(address, env={} if local else environment()) as model, cassette:
            SCENARIOS[name](model)
    except Exception as error:  # noqa: BLE001 - one conversation's failure does not stop the others
        print(f"{server.name}/{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return False
    print(f"{server.name}/{name}: {time.monotonic() - began:.1f} s")
    return True


def _about() -> str:
    model = "Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, with this package's chat template"
    return f"llama.cpp server (xllamacpp {version('xllamacpp')}): {model}"


def _project_version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


if __name__ == "__main__":
    sys.exit(main())
