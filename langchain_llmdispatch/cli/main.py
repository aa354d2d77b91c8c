"""The commands and their options.

    llmdispatch "question"             streams an answer of a vendor with a key, or of a model on this machine
    llmdispatch vendors                which vendors are configured (no keys are shown)
    llmdispatch models [WORDS]         the catalog: windows, prices
    llmdispatch check PATH...          validates configuration files, LiteLLM's too; names models that retire
    llmdispatch schema                 the JSON schema of a configuration file, for editors
    llmdispatch convert FILE           LiteLLM's configuration as ours
    llmdispatch batch IN OUT           answers every row of a file; started again, it goes on
    llmdispatch serve                  serves OpenAI's chat completions and responses over the router
    llmdispatch replay JOURNAL -c FILE   what other configurations would have done with recorded calls

Exit codes: 0 done, 1 the call failed, 2 usage or configuration is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import langchain_llmdispatch
from langchain_llmdispatch.cli.terminal import Terminal
from langchain_llmdispatch.internal.lazy import LateModule

if TYPE_CHECKING:
    from langchain_llmdispatch import errors
else:  # it imports LangChain, which takes longer than the help
    errors = LateModule("langchain_llmdispatch.errors")

Command = Callable[[argparse.Namespace, Terminal], int]


def run(arguments: Sequence[str], terminal: Terminal | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: The words after the program's name.
        terminal: Where it reads and writes; None for the process's own.
    """
    terminal = terminal or Terminal.of_process()
    try:
        options = parser().parse_args(_with_command(arguments))
        code = _command(options.run)(options, terminal)
        terminal.flush()
    except SystemExit as stop:  # argparse has printed its help, or what is wrong
        return stop.code if isinstance(stop.code, int) else 2
    except errors.ConfigurationError as error:
        return terminal.fail(str(error), 2)
    except errors.DispatchError as error:
        return terminal.fail(f"{type(error).__name__}: {error}", 1)
    except BrokenPipeError:  # the reader (`head`) has closed its end
        terminal.discard()
        return 0
    except OSError as error:  # a full disk behind the output, an unreadable file
        terminal.discard()
        return terminal.fail(error.strerror or str(error), 1)
    return code


class _Version(argparse.Action):
    """Prints the version and ends; argparse's own action would have it looked up for each command."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        sys.stdout.write(f"{parser.prog} {langchain_llmdispatch.__version__}\n")
        parser.exit()


def _command(name: str) -> Command:
    # A command's modules are imported when it runs: `--help` is quick.
    module, _, function = name.partition(":")
    command: Command = getattr(import_module(module), function)
    return command


def _with_command(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `answer` in front where they name no command."""
    first = arguments[0] if arguments else ""
    named = first in _COMMANDS or first in {"-h", "--help", "--version"}
    return [*arguments] if named else ["answer", *arguments]


# -- options -------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="llmdispatch",
        usage='llmdispatch [options] "question"  |  llmdispatch COMMAND ...',
        description="Answer a question by a vendor with a key, or else by a model on this machine.",
        epilog="`llmdispatch COMMAND --help` describes a command; without one, `answer` is meant.",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the version")
    commands = top.add_subparsers(prog="llmdispatch", metavar="COMMAND", required=True)
    for name, (text, add, run_by) in _COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        sub.set_defaults(run=run_by)
        add(sub)
    return top


def _answer_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("question", nargs="?", help="the question; text piped in comes before it")
    sub.add_argument("-m", "--model", action="append", help="vendor:model; repeat it for fallbacks")
    sub.add_argument("-s", "--system", help="the system message")
    sub.add_argument("-c", "--config", help="a YAML or JSON configuration file")
    sub.add_argument("--json", action="store_true", help="print the answer and its metadata as JSON")
    sub.add_argument("--explain", action="store_true", help="print what would be tried; send nothing")


def _no_options(_: argparse.ArgumentParser) -> None:
    """`vendors` and `schema` have none."""


def _models_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("words", nargs="*", help="parts of names, all of which a model has")
    sub.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _check_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "files", nargs="+", metavar="FILE", help="configuration files, ours or LiteLLM's; code, folders"
    )
    sub.add_argument("--strict", action="store_true", help="exit with 1 if a model is about to be retired")


def _convert_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("file", metavar="FILE", help="LiteLLM's config.yaml")
    sub.add_argument("-o", "--output", help="where the result is written; default: standard output")
    sub.add_argument("--lenient", action="store_true", help="leave out settings without a counterpart")


_BATCH_NOTES = """\
A row is a text, a list of messages, {"id", "input", "params"}, or a line of a file for batch APIs:
{"custom_id", "method", "url", "body"}.
Started again, the same command goes on where the last one ended, however that ended.
The first Ctrl-C (or SIGTERM) takes no further row and ends what is under way; the second stops at once.

Exit codes: 0 all rows are answered, 1 rows failed or wait, 2 a file or an option is wrong, 130 interrupted.
"""


def _batch_options(sub: argparse.ArgumentParser) -> None:
    sub.epilog = _BATCH_NOTES
    sub.formatter_class = argparse.RawDescriptionHelpFormatter
    sub.add_argument("source", help="the rows: .jsonl or .parquet")
    sub.add_argument("sink", help="the results: .jsonl or .parquet; written when a run ends")
    sub.add_argument("-m", "--model", action="append", help="vendor:model; repeat it for fallbacks")
    sub.add_argument("-c", "--config", help="a YAML or JSON configuration file")
    sub.add_argument("--store", help="the journal; default: the sink's name with .sqlite")
    sub.add_argument("--max-in-flight", type=int, default=64, help="rows under way at most (default 64)")
    sub.add_argument("--max-tries", type=int, default=3, help="calls per row (default 3)")
    sub.add_argument("--max-cost", type=float, help="US dollars that the whole batch may cost")
    sub.add_argument(
        "--max-failures", type=int, default=100, help="failures in succession that end the run (default 100)"
    )
    sub.add_argument(
        "--via",
        choices=("live", "batch"),
        default="live",
        help="`batch`: the vendors' batch APIs, at half price",
    )
    sub.add_argument(
        "--deadline", type=float, default=24.0, help="hours until a vendor's batch is cancelled (default 24)"
    )
    sub.add_argument("--retry-failed", action="store_true", help="try the rows that failed again")
    sub.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="write rows, tokens, dollars and time left to standard error (default: in a terminal)",
    )
    sub.add_argument(
        "--status",
        action="store_true",
        help="print how far the batch is, its jobs at vendors and its errors; send nothing",
    )


def _serve_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("-m", "--model", action="append", help="vendor:model; repeat it for fallbacks")
    sub.add_argument("-c", "--config", help="a YAML or JSON configuration file; its section `server` counts")
    sub.add_argument("--host", help="the address to bind (default 127.0.0.1)")
    sub.add_argument("--port", type=int, help="the port to bind (default 8000)")


def _replay_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("journal", nargs="+", help="journals (JSONL) or cassettes (YAML)")
    sub.add_argument("-c", "--config", action="append", required=True, help="a configuration; repeatable")
    sub.add_argument("--plot", help="write a picture to this file (.png, .svg, .pdf)")
    sub.add_argument("--json", action="store_true", help="print JSON instead of a table")
    sub.add_argument("--seed", type=int, default=0, help="seed of what is drawn (default 0)")


_HERE = "langchain_llmdispatch.cli"
_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], str]] = {
    "answer": ("answer a question; the default", _answer_options, f"{_HERE}.answer:run"),
    "vendors": ("list the vendors, and which are configured", _no_options, f"{_HERE}.vendors:run"),
    "models": ("list models with windows and prices", _models_options, f"{_HERE}.models:run"),
    "check": (
        "validate configuration files, and find models that retire; no keys are needed",
        _check_options,
        f"{_HERE}.check:run",
    ),
    "schema": ("print the JSON schema of a configuration file", _no_options, f"{_HERE}.schema:run"),
    "convert": ("print LiteLLM's configuration as ours", _convert_options, f"{_HERE}.convert:run"),
    "batch": (
        "answer every row of a file; started again, it goes on where it ended",
        _batch_options,
        f"{_HERE}.batch:run",
    ),
    "serve": ("serve the router over HTTP, as OpenAI's API", _serve_options, f"{_HERE}.serve:run"),
    "replay": (
        "run recorded calls through other configurations, in virtual time; nothing is sent",
        _replay_options,
        f"{_HERE}.replay:run",
    ),
}
