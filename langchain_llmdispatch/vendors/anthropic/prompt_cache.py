"""Breakpoints of Anthropic's prompt cache: at the ends of the tools, the system message and the last turns.

platform.claude.com/docs/en/build-with-claude/prompt-caching: a request has four breakpoints at most, a longer
lifetime must not follow a shorter one, and each breakpoint finds what was cached up to 20 blocks before it.
Prompts below a model's least size are processed without caching: 512 tokens (Opus 5, Fable 5, Mythos 5),
4,096 (Opus 4.5 to 4.7, Haiku 4.5), 2,048 (Haiku 3.5), 1,024 (others).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_llmdispatch.vendors.prompt_cache import PromptCache

Body = dict[str, Any]
_MARK = "cache_control"
_MOST = 4
_MARKED_TURNS = 2
_MARKABLE = frozenset({"text", "image", "document", "tool_use", "tool_result", "search_result"})
_SECONDS = {"5m": 300, "1h": 3600}


def mark(body: Body, cache: PromptCache) -> None:
    """Place breakpoints in a request's body, beside the user's own, which stay as they are.

    The end of the last turn comes first, then the system message, the tools, and the turn before: those are
    what the next request of a conversation, of another thread and after a long turn find.
    """
    if not cache:
        return
    ttl = cache if isinstance(cache, str) else "5m"
    left = _MOST - len(_own(body)) - (_MARK in body)
    turns = _last_turns(body)[::-1]
    last = turns[:1] if _MARK not in body else []  # Anthropic itself marks the end of such a request
    places: list[int | str] = [*last, "system", "tools", *turns[1:]]
    for place in places:
        if left <= 0:
            return
        left -= _marked(body, place, ttl)


def _own(body: Body) -> list[tuple[int, str]]:
    """Return the breakpoints of a body, each with its place in the order in which prompts are cached."""
    return [
        (number, str(block[_MARK].get("ttl") or "5m"))
        for number, block in enumerate(_blocks(body))
        if isinstance(block, dict) and isinstance(block.get(_MARK), dict)
    ]


def _blocks(body: Body) -> Iterator[Any]:
    yield from body.get("tools") or ()
    for content in (body.get("system"), *(turn["content"] for turn in body["messages"])):
        for block in content if isinstance(content, list) else ():
            yield block
            inner = block.get("content") if isinstance(block, dict) else None
            if isinstance(inner, list) and block.get("type") == "tool_result":
                yield from inner


def _last_turns(body: Body) -> list[int]:
    """Return the places of the last turns of the user's."""
    turns = [number for number, turn in enumerate(body["messages"]) if turn["role"] == "user"]
    return turns[-_MARKED_TURNS:]


def _marked(body: Body, place: int | str, ttl: str) -> bool:
    """Place a breakpoint, and return whether it could be placed."""
    holder: Any = body if isinstance(place, str) else body["messages"]
    before = holder.get(place) if isinstance(place, str) else holder[place]["content"]
    made = _with_mark(before, ttl, any_block=place == "tools")
    if made is None:
        return False
    turn = None if isinstance(place, str) else holder[place]
    # The turn itself is shared with the next call of its thread.
    holder[place] = made if turn is None else {**turn, "content": made}
    if _is_legal(_own(body)):
        return True
    holder[place] = before if turn is None else turn
    return False


def _with_mark(content: Any, ttl: str, *, any_block: bool) -> list[Any] | None:
    """Return content with a breakpoint on its last block, or None where there is no place for one."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content.strip() else []
    if not isinstance(content, list):
        return None
    for number in reversed(range(len(content))):
        block = content[number]
        if isinstance(block, dict) and _MARK in block:
            return None
        if isinstance(block, dict) and (any_block or _is_markable(block)):
            marked = {**block, _MARK: {"type": "ephemeral", **({"ttl": ttl} if ttl != "5m" else {})}}
            return [*content[:number], marked, *content[number + 1 :]]
    return None


def _is_markable(block: Body) -> bool:
    kind = block.get("type")
    return kind in _MARKABLE and (kind != "text" or bool(str(block.get("text") or "").strip()))


def _is_legal(marks: Sequence[tuple[int, str]]) -> bool:
    """Return whether no lifetime is longer than one before it."""
    seconds = [_SECONDS.get(ttl, 0) for _, ttl in marks]
    return seconds == sorted(seconds, reverse=True)
