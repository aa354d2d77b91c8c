"""The command `check`: whether configuration files are right, without the keys that they name."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from langchain_llmdispatch.catalog.retirements import NOTICE_DAYS
from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
from langchain_llmdispatch.cli.pins import pins_in
from langchain_llmdispatch.cli.terminal import Terminal
from langchain_llmdispatch.config.configuration import DispatcherConfig
from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.config.files import parsed
from langchain_llmdispatch.config.litellm import read_litellm
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.errors import ConfigurationError

_STANDS_IN = "stands-in-for-what-is-not-set"
_ADDRESS = "http://127.0.0.1:9/v1"
_REDIS = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "6379", "REDIS_URL": "redis://127.0.0.1:6379/0"}
_LITELLM = frozenset({"model_list", "litellm_settings", "router_settings", "general_settings", "include"})


class StandIns(Mapping[str, str]):
    """Variables, with something in place of those that are not set; `missing` collects their names.

    Args:
        known: The variables that are set.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known
        self.missing: list[str] = []

    def __getitem__(self, name: str) -> str:
        """Return the variable, or what stands in for it."""
        if name in self._known:
            return self._known[name]
        self.missing.append(name)
        if name in _REDIS:
            return _REDIS[name]
        return _ADDRESS if name.endswith(("URL", "BASE", "ENDPOINT", "HOST")) else _STANDS_IN

    def get(self, name: str, default: Any = None, /) -> Any:
        """Return the variable, its default, or what stands in for it."""
        return self._known.get(name, default) if default is not None else self[name]

    def __contains__(self, _: object) -> bool:
        """Every variable is there."""
        return True

    def __iter__(self) -> Iterator[str]:
        """Yield those that are set."""
        return iter(self._known)

    def __len__(self) -> int:
        """Return how many are set."""
        return len(self._known)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print what each file holds, or what is wrong with it, and which models are about to be retired.

    In folders, code, notebooks and cassettes only the names of models are looked at.

    Raises:
        ConfigurationError: A file is wrong; those before it were printed.
    """
    now, found = datetime.now(UTC), 0
    for file in options.files:
        if _is_config(file):
            with terminal.showing_warnings():
                text = _checked(file)
            terminal.write(f"{file}: {text}")
        for line in (pins := list(pins_in(Path(file), now))):
            terminal.write(line)
        found += len(pins)
        if not pins and not _is_config(file):
            terminal.write(f"{file}: no model that is retired, or will be in {NOTICE_DAYS} days")
    return int(bool(found) and options.strict)


def _is_config(file: str) -> bool:
    """Return whether a path is to be read as a configuration: no folder, no code, no cassette."""
    path = Path(file)
    if path.is_dir() or path.suffix not in {".yaml", ".yml", ".json", ""}:
        return False
    try:
        return "interactions" not in parsed(path)
    except ConfigurationError:  # what is wrong with it is reported where it is read
        return True


def _checked(file: str) -> str:
    set_here = environment()
    variables = StandIns(set_here)
    names = [target.name for target in _model(file, variables, set_here).deployments()]
    missing = sorted(set(variables.missing))
    note = f" Not set here: {', '.join(missing)}." if missing else ""
    return f"valid. Deployments: {', '.join(names)}.{note}"


def _model(file: str, variables: StandIns, set_here: Mapping[str, str]) -> DispatcherChatModel:
    try:
        if parsed(file).keys() & _LITELLM:
            config = DispatcherConfig.checked(read_litellm(file, variables))
        else:
            config = DispatcherConfig.load(file, variables)
        return DispatcherChatModel.from_config(config, env=_with_keys(set_here))
    except ConfigurationError as error:
        text = str(error)
        raise ConfigurationError(text if text.startswith(file) else f"{file}: {text}") from None


def _with_keys(set_here: Mapping[str, str]) -> dict[str, str]:
    """Return variables with something in place of the keys and addresses that vendors lack."""
    found = dict(set_here)
    for vendor in VendorTable().all():
        own = vendor.environment
        urls = () if vendor.base_url else own.urls
        for names, value in ((own.keys, _STANDS_IN), (urls, _ADDRESS)):
            if names and not any(name in found for name in names):
                found[names[0]] = value
    return found
