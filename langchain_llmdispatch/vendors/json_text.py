"""The JSON value in an answer's text, past reasoning, prose and fences. What is open at its end has none.

Servers without a reasoning parser (LM Studio, llama.cpp, MLX) put a model's reasoning into the text, and
models without a grammar add a sentence or a fence. Nothing is completed: half a value is no value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from langchain_core.utils.json import parse_json_markdown

from langchain_llmdispatch.internal.json_format import parse_json

# What ends the reasoning in the text of models whose server does not take it out: DeepSeek R1, QwQ, Qwen (the
# opening tag is often part of the prompt), Magistral, Seed-OSS, Kimi, gpt-oss (harmony), Gemma.
_ENDS = re.compile(
    r"</(?:seed:)?(?:think|thinking|thought|thoughts|reasoning|reflection|analysis)>|\[/THINK\]"
    r"|<\|(?:end_of_thought|/think)\|>|◁/think▷|<\|channel\|>final<\|message\|>|<channel\|>",
    re.IGNORECASE,
)
_BEGINS = re.compile(
    r"<(?:seed:)?(?:think|thinking|thought|thoughts|reasoning|reflection|analysis)>|\[THINK\]"
    r"|<\|(?:begin_of_thought|think)\|>|◁think▷|<\|channel\|>analysis<\|message\|>|<\|channel>thought",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```(?:json[5c]?)?\s*\Z", re.IGNORECASE)
_FENCED = re.compile(r"\A```\w*\s+(.*?)\s*```\Z", re.DOTALL)
_OPENS = frozenset("{[")
_JSON_BEGINS = ("{", "[", "```")
_HALF_NUMBER = re.compile(r"(?<![\w\".+-])-?\d[\d.eE+-]*\Z")
_TOKEN = re.compile(r'[{}\[\]"]|\\.', re.DOTALL)


class _Segment(NamedTuple):
    """A bracketed part of a text, from its bracket to the one that closes it."""

    start: int
    text: str


def whole_value(text: str) -> Any:
    """Return the JSON value in `text`.

    Args:
        text: JSON alone; or one JSON object after reasoning, in a fence, or within prose.

    Raises:
        ValueError: There is none, it is open at its end, or there are several.
    """
    try:
        return parse_json(text)
    except ValueError:
        body = _past_reasoning(text)
    if body is None:
        raise ValueError("the reasoning never ends")
    fenced = _FENCED.match(body.strip())
    try:
        return parse_json(fenced[1] if fenced else body)
    except ValueError:
        return _only_object(body)


def partial_value(text: str) -> Any:
    """Return what a text that is still streamed holds so far, strings as far as they came; None for nothing.

    A number at the end is left out: more digits may come.
    """
    body = _past_reasoning(text)
    if body is None:
        return None
    try:
        return parse_json_markdown(_HALF_NUMBER.sub("", body))
    except (ValueError, RecursionError):
        return None


def _past_reasoning(text: str) -> str | None:
    """Return what follows the reasoning in `text`; None if it is still open."""
    begun = _BEGINS.match(text.lstrip())
    if not begun and text.lstrip().startswith(_JSON_BEGINS):
        return text  # JSON from the start: a tag is part of a string in it
    place = max((found.end() for found in _ENDS.finditer(text)), default=0)
    rest = text[place:]
    return None if _BEGINS.match(rest.lstrip()) else rest


def _only_object(text: str) -> Any:
    segments = [(part, value) for part in _segments(text) if isinstance(value := _read(part), dict)]
    fenced = [found for found in segments if _FENCE.search(text[: found[0].start])]
    found = fenced or segments
    if len(found) != 1:
        raise ValueError("there are several JSON objects" if found else "there is no JSON object")
    return found[0][1]


def _read(segment: _Segment) -> Any:
    try:
        return parse_json(segment.text)
    except ValueError:
        return None  # braces of the prose


def _segments(text: str) -> Iterator[_Segment]:
    """Yield the outermost bracketed parts; nothing within one counts, so that no part passes for the whole.

    Raises:
        ValueError: The last one is open.
    """
    depth, start, quoted = 0, 0, False
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark == '"':
            quoted = bool(depth) and not quoted
        elif quoted or len(mark) > 1:
            continue
        elif mark in _OPENS:
            start = start if depth else token.start()
            depth += 1
        elif depth:
            depth -= 1
            if not depth:
                yield _Segment(start, text[start : token.end()])
    if depth:
        raise ValueError("the JSON is open at its end")
