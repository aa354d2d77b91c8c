"""The command `answer`: a question to a vendor, and its answer."""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
from langchain_llmdispatch.cli.terminal import Terminal
from langchain_llmdispatch.cli.vendors import is_any_configured
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.local.models import DEFAULT_MODEL


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the answer, or the plan of the call."""
    messages = _messages(options, terminal)
    with model_of(options) as model:
        if options.explain:
            terminal.write(str(model.explain(messages)))
        elif options.json:
            terminal.write(_as_json(model.invoke(messages), ascii_only=not terminal.takes_any_text))
        else:
            for chunk in model.stream(messages):
                terminal.write(chunk.text, end="")
            terminal.write("")
    return 0


def _messages(options: argparse.Namespace, terminal: Terminal) -> list[BaseMessage]:
    """Return the request: the system message; what is piped in, then the question."""
    argument = options.question
    piped = terminal.read() if argument == "-" else terminal.piped()
    parts = [piped.strip(), "" if argument in {None, "-"} else argument.strip()]
    question = "\n\n".join(part for part in parts if part)
    if not question:
        raise ConfigurationError("the question is empty: pass it as an argument, or pipe it in.")
    texts = [("the question", question), ("--system", options.system or "")]
    for name, text in texts:
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ConfigurationError(f"{name} is not valid UTF-8.")
    system: list[BaseMessage] = [SystemMessage(options.system)] if options.system else []
    return [*system, HumanMessage(question)]


def model_of(options: argparse.Namespace) -> DispatcherChatModel:
    """Return the model that `--config` and `--model` describe, or one of this machine where no vendor is.

    Raises:
        ConfigurationError: There is none: no vendor is configured, and the extra `[local]` is not installed.
    """
    fields: dict[str, Any] = {}
    if options.model:
        fields = {"model": options.model[0], "models": options.model[1:]}
    if options.config:
        return DispatcherChatModel.from_config(options.config, **fields)
    if not fields and not is_any_configured() and find_spec("xllamacpp") is not None:
        fields = {"model": f"local:{DEFAULT_MODEL}"}
    return DispatcherChatModel(**fields)


def _as_json(message: AIMessage, *, ascii_only: bool) -> str:
    parts = {"text": message.text, "usage": message.usage_metadata, "metadata": message.response_metadata}
    return json.dumps(parts, ensure_ascii=ascii_only, indent=2)
