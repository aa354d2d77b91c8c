"""The command `convert`: LiteLLM's configuration as ours; references to variables stay references."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from langchain_llmdispatch.cli.terminal import Terminal
from langchain_llmdispatch.config.litellm import read_litellm


class VariableReferences(Mapping[str, str]):
    """Variables whose values are references to themselves: `${NAME}`."""

    def __getitem__(self, name: str) -> str:
        """Return the reference."""
        return f"${{{name}}}"

    def __iter__(self) -> Iterator[str]:
        """Yield nothing: every name is there."""
        return iter(())

    def __len__(self) -> int:
        """Return 0."""
        return 0


class _PlainDumper(yaml.SafeDumper):
    """Writes what stands in several places each time anew: people edit the file."""

    def ignore_aliases(self, _: object) -> bool:
        """Return that nothing is written as a reference."""
        return True


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Write the configuration as YAML.

    Raises:
        ConfigurationError: The file is malformed, or holds settings without a counterpart.
    """
    with terminal.showing_warnings():
        fields = read_litellm(options.file, VariableReferences(), strict=not options.lenient, server=True)
    text = yaml.dump(fields, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True)
    if options.output is None:
        terminal.write(text, end="")
    else:
        Path(options.output).write_text(text, encoding="utf-8")
    return 0
