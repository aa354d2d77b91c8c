"""Turns that Anthropic paused: `pause_turn`, of which the content is sent back as it came.

platform.claude.com/docs/en/build-with-claude/handling-stop-reasons; files of the code execution stay in the
container that the answer names (platform.claude.com/docs/en/agents-and-tools/tool-use/code-execution-tool).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call

PAUSE_TURN = "pause_turn"


def continued(call: Call, message: AIMessage) -> Call | None:
    """Return the call that continues a paused answer; None if it was not paused, or waits for tools."""
    metadata = message.response_metadata
    if metadata.get("stop_reason") != PAUSE_TURN or message.tool_calls or not message.content:
        return None
    turn = AIMessage(content=message.content)
    return replace(call, messages=[*call.messages, turn], extra=_extra(call.extra, metadata))


def _extra(extra: Mapping[str, Any], metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    container, chosen = metadata.get("container"), extra.get("container")
    identity = container.get("id") if isinstance(container, Mapping) else None
    if not identity or isinstance(chosen, str):
        return extra
    return {**extra, "container": {**chosen, "id": identity} if isinstance(chosen, Mapping) else identity}
