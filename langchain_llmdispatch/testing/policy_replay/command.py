"""The command `replay`: what other configurations would have done with a journal's calls."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing.policy_replay.journal import Journal
from langchain_llmdispatch.testing.policy_replay.policies import replay


def run(arguments: Sequence[str], write: Callable[[str], None]) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: The words after `replay`.
        write: Prints a text.

    Raises:
        ConfigurationError: A file is missing, empty or wrong.
    """
    options = _parser().parse_args(arguments)
    cassettes = [path for path in options.journal if Path(path).suffix in {".yaml", ".yml"}]
    journals = [path for path in options.journal if path not in cassettes]
    calls = [*Journal.load(*journals), *Journal.from_cassettes(*cassettes)]
    if not calls:
        raise ConfigurationError(f"there are no calls in {', '.join(options.journal)}.")
    result = replay(calls, *options.config, seed=options.seed)
    write(json.dumps(result.to_dict(), ensure_ascii=False, indent=2) if options.json else str(result))
    if options.plot:
        result.plot(options.plot)
        if not options.json:
            write(f"\nPicture: {options.plot}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m langchain_llmdispatch replay",
        description="Run recorded calls through other configurations, in virtual time; nothing is sent.",
    )
    parser.add_argument("journal", nargs="+", help="journals (JSONL) or cassettes (YAML)")
    parser.add_argument("-c", "--config", action="append", required=True, help="a configuration; repeatable")
    parser.add_argument("--plot", help="write a picture to this file (.png, .svg, .pdf)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--seed", type=int, default=0, help="seed of what is drawn (default 0)")
    return parser
