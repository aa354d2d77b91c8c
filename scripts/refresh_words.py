"""Rewrite each vendor's words: the request words of its SDK's typed parameters, and where they go.

Run it where the vendors' SDKs are installed (`pip install openai anthropic google-genai cohere ollama
huggingface_hub`); a vendor whose SDK is not installed keeps its file. What is new or gone is printed.

    python scripts/refresh_words.py            # rewrite the files
    python scripts/refresh_words.py --check    # exit 1 if a file is out of date, write nothing
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

VENDORS = Path(__file__).resolve().parents[1] / "langchain_llmdispatch" / "vendors"
Apis = dict[str, dict[str, str]]

# The request itself, which the codecs write; not words of a caller.
STRUCTURE = frozenset(
    ["self", "model", "messages", "input", "contents", "tools", "tool_choice", "stream", "request_options",
     "extra_headers", "extra_query", "extra_body", "timeout", "token", "base_url", "api_key", "headers",
     "cookies", "format_", "n"]
)  # fmt: skip
# Fields of google-genai's config that never reach the wire.
_OF_THE_CLIENT = frozenset(["http_options", "automatic_function_calling", "should_return_http_response"])


def same(names: Iterable[str]) -> dict[str, str]:
    """Return words that stand in the body under their own names."""
    return {name: name for name in sorted(names) if name not in STRUCTURE}


def fields_of(params: Any) -> set[str]:
    """Return the keys of a TypedDict, those of its bases included."""
    return {name for cls in params.__mro__ for name in getattr(cls, "__annotations__", {})}


def openai() -> Apis:
    """Both APIs of OpenAI."""
    from openai.types.chat.completion_create_params import CompletionCreateParamsBase
    from openai.types.responses.response_create_params import ResponseCreateParamsBase

    return {
        "chat": same(fields_of(CompletionCreateParamsBase)),
        "responses": same(fields_of(ResponseCreateParamsBase)),
    }


def anthropic() -> Apis:
    """Messages, beta features included."""
    from anthropic.types.beta.message_create_params import MessageCreateParamsBase as Beta
    from anthropic.types.message_create_params import MessageCreateParamsBase

    return {"": same(fields_of(MessageCreateParamsBase) | fields_of(Beta))}


def google() -> Apis:
    """`GenerateContentConfig`, as the SDK converts it; `thinking_config` field by field."""
    from google.genai import models
    from google.genai.types import GenerateContentConfig, GenerationConfig, ThinkingConfig

    converter = ast.parse(inspect.getsource(vars(models)["_GenerateContentConfig_to_mldev"]))
    at_root = {
        node.args[1].elts[0].value
        for node in ast.walk(converter)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setv"
        if getattr(node.args[0], "id", "") == "parent_object"
    }
    words = {}
    for name in sorted({*GenerateContentConfig.model_fields, *GenerationConfig.model_fields}):
        if name not in STRUCTURE | _OF_THE_CLIENT:
            field = camel(name)
            words[name] = field if field in at_root else f"generationConfig.{field}"
    for name in sorted(ThinkingConfig.model_fields):
        words[name] = f"generationConfig.thinkingConfig.{camel(name)}"
    return {"": words}


def camel(word: str) -> str:
    """Return a word of the SDK as the API spells it."""
    head, *tail = word.split("_")
    return head + "".join(part.capitalize() for part in tail)


def cohere() -> Apis:
    """Chat of the second version."""
    from cohere.v2.client import V2Client

    return {"": same(inspect.signature(V2Client.chat).parameters)}


def ollama() -> Apis:
    """`/api/chat`, and the options of models."""
    from ollama._types import ChatRequest, Options

    options = {name: f"options.{name}" for name in sorted(Options.model_fields)}
    return {"": {**options, **same(ChatRequest.model_fields)}}


def huggingface() -> Apis:
    """Chat completions of the inference client and of TGI."""
    from huggingface_hub import InferenceClient

    return {"": same(inspect.signature(InferenceClient.chat_completion).parameters)}


READERS: dict[str, tuple[str, str, Callable[[], Apis]]] = {
    "openai": ("openai/words.json", "openai", openai),
    "huggingface": ("openai/words_of_huggingface.json", "huggingface_hub", huggingface),
    "anthropic": ("anthropic/words.json", "anthropic", anthropic),
    "google": ("google/words.json", "google-genai", google),
    "cohere": ("cohere/words.json", "cohere", cohere),
    "ollama": ("ollama/words.json", "ollama", ollama),
}


def render(package: str, apis: Apis) -> str:
    """Return a file's content, one word a line, so that a refresh reads well as a diff."""
    return json.dumps({"source": f"{package} {version(package)}", "apis": apis}, indent=1) + "\n"


def difference(old: Apis, new: Apis) -> list[str]:
    """Return what is new, gone or moved, one line each."""
    lines = []
    for api in new:
        before, after = old.get(api, {}), new[api]
        lines += [f"+ {api} {name} -> {after[name]}" for name in after if name not in before]
        lines += [f"- {api} {name}" for name in before if name not in after]
        moved = [name for name in after if before.get(name, after[name]) != after[name]]
        lines += [f"~ {api} {name} -> {after[name]}" for name in moved]
    return lines


def main(argv: list[str] | None = None) -> int:
    """Refresh or check the files; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only report whether the files are up to date")
    check, stale = parser.parse_args(argv).check, False
    for vendor, (file, package, read) in READERS.items():
        try:
            new = read()
        except ImportError:
            print(f"{vendor}: {package} is not installed", file=sys.stderr)
            continue
        target = VENDORS / file
        old = json.loads(target.read_text(encoding="utf-8"))["apis"] if target.exists() else {}
        changes = difference(old, new)
        stale = stale or bool(changes)
        print(f"{vendor} ({package} {version(package)}): {len(changes)} changes", *changes, sep="\n  ")
        if changes and not check:
            target.write_text(render(package, new), encoding="utf-8")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
