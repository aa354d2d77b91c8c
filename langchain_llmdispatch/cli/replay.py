"""The command `replay`: what other configurations would have done with a journal's calls."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from langchain_llmdispatch.cli.terminal import Terminal
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing.policy_replay.journal import Journal
from langchain_llmdispatch.testing.policy_replay.policies import replay


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the comparison.

    Raises:
        ConfigurationError: A file is missing, empty or wrong.
    """
    cassettes = [path for path in options.journal if Path(path).suffix in {".yaml", ".yml"}]
    journals = [path for path in options.journal if path not in cassettes]
    calls = [*Journal.load(*journals), *Journal.from_cassettes(*cassettes)]
    if not calls:
        raise ConfigurationError(f"there are no calls in {', '.join(options.journal)}.")
    result = replay(calls, *options.config, seed=options.seed)
    terminal.write(json.dumps(result.to_dict(), indent=2) if options.json else str(result))
    if options.plot:
        result.plot(options.plot)
        if not options.json:
            terminal.write(f"\nPicture: {options.plot}")
    return 0
