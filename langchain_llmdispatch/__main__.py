"""The command line: answer a question, list vendors, check a configuration, replay recorded calls.

    python -m langchain_llmdispatch "question"        streams the answer; `-` reads standard input
    python -m langchain_llmdispatch vendors           which vendors are configured (no keys are shown)
    python -m langchain_llmdispatch check FILE        validates a configuration file
    python -m langchain_llmdispatch replay JOURNAL -c FILE   what the configuration would have done with calls

Exit codes: 0 done, 1 the call failed, 2 usage or configuration is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.config.schema import DispatcherConfig
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.errors import ConfigurationError, DispatchError
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.langchain.vendor import LangChainVendor

LOCAL_MODEL = "local:qwen2.5-coder-0.5b"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except ConfigurationError as error:
        return _fail(str(error), 2)
    except DispatchError as error:
        return _fail(f"{type(error).__name__}: {error}", 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:  # the reader (`head`) has closed its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _fail(text: str, code: int) -> int:
    print("\n".join(f"llmdispatch: {line}" for line in text.splitlines()), file=sys.stderr)
    return code


def _run(arguments: list[str]) -> int:
    commands = {"vendors": _vendors, "check": _check, "replay": _replay}
    if arguments and arguments[0] in commands:
        return commands[arguments[0]](arguments[1:])
    return _answer(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m langchain_llmdispatch",
        description="Answer a question by a vendor with a key, or else by a model on this machine.",
        epilog="Other commands: vendors; check FILE; replay JOURNAL -c FILE.",
    )
    parser.add_argument("question", help="the question; - reads it from standard input")
    parser.add_argument("-m", "--model", action="append", help="vendor:model; repeat it for fallbacks")
    parser.add_argument("-c", "--config", help="a YAML or JSON configuration file")
    parser.add_argument("--json", action="store_true", help="print the answer and its metadata as JSON")
    parser.add_argument("--explain", action="store_true", help="print what would be tried; send nothing")
    return parser


def _answer(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    question = sys.stdin.read() if options.question == "-" else options.question
    if not question.strip():
        raise ConfigurationError("the question is empty.")
    with _model(options) as model:
        if options.explain:
            _print(str(model.explain(question)))
        elif options.json:
            _print(_as_json(model.invoke(question)))
        else:
            _stream(model, question)
    return 0


def _model(options: argparse.Namespace) -> DispatcherChatModel:
    fields: dict[str, Any] = {}
    if options.model:
        fields = {"model": options.model[0], "models": options.model[1:]}
    if options.config:
        return DispatcherChatModel.from_config(options.config, **fields)
    if not fields and not _is_any_configured():
        fields = {"model": LOCAL_MODEL}
    return DispatcherChatModel(**fields)


def _stream(model: DispatcherChatModel, question: str) -> None:
    for chunk in model.stream(question):
        print(chunk.text, end="", flush=True)
    print()


def _as_json(message: Any) -> str:
    parts = {"text": message.text, "usage": message.usage_metadata, "metadata": message.response_metadata}
    return json.dumps(parts, ensure_ascii=False, indent=2)


def _resolver() -> Resolver:
    return Resolver(VendorTable(), {}, environment())


def _is_any_configured() -> bool:
    resolver = _resolver()
    vendors = resolver.vendors.all()
    return any(vendor.default_model and resolver.is_configured(vendor) for vendor in vendors)


def _vendors(arguments: list[str]) -> int:
    if arguments:
        raise ConfigurationError(f"vendors takes no arguments; got {arguments[0]!r}.")
    resolver = _resolver()
    for vendor in resolver.vendors.all():
        if not isinstance(vendor, LangChainVendor):
            _print(f"{vendor.name:<12} {_state(vendor, resolver)}")
    return 0


def _state(vendor: Vendor, resolver: Resolver) -> str:
    if vendor.setup:
        return vendor.setup
    if resolver.is_configured(vendor):
        return "configured"
    variables = vendor.environment.keys or vendor.environment.urls
    return f"set {' or '.join(variables[:2])}" if variables else "-"


def _check(arguments: list[str]) -> int:
    if len(arguments) != 1:
        raise ConfigurationError("check takes one argument: the configuration file.")
    config = DispatcherConfig.load(arguments[0])
    model = DispatcherChatModel.from_config(config)
    names = ", ".join(target.name for target in model.deployments())
    _print(f"{arguments[0]}: valid. Deployments: {names}")
    return 0


def _replay(arguments: list[str]) -> int:
    from langchain_llmdispatch.testing.policy_replay import command  # noqa: PLC0415 - one command needs it

    return command.run(arguments, _print)


def _print(text: str) -> None:
    print(text)


if __name__ == "__main__":
    sys.exit(main())
