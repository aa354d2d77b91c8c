"""The command `schema`: the JSON schema of a configuration file, for editors."""

from __future__ import annotations

import argparse
import json

from langchain_llmdispatch.cli.terminal import Terminal
from langchain_llmdispatch.config.configuration import DispatcherConfig


def run(_: argparse.Namespace, terminal: Terminal) -> int:
    """Print the schema; `docs/dispatch.schema.json` is the same."""
    terminal.write(json.dumps(DispatcherConfig.model_json_schema(), indent=1, sort_keys=True))
    return 0
