"""Whose a block or a file is: the input blocks of one vendor, and the forms of vendors' file ids.

Sources: the input types of the `openai` (`ResponseInputItemParam`), `anthropic` (`BetaContentBlockParam`) and
`google-genai` (`Part`) packages, of Bedrock's Converse API and of Cohere's v2 chat; ids as those APIs return
them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from langchain_llmdispatch.vendors.history.blocks import Block

OPENAI_ITEMS = frozenset(
    {
        "additional_tools", "apply_patch_call_output", "compaction", "compaction_trigger",
        "computer_call_output", "configuration_update", "item_reference", "local_shell_call_output",
        "mcp_approval_response", "program_output", "shell_call_output", "tool_search_output",
    }
)  # fmt: skip
"""Blocks that are input items of their own in OpenAI's Responses API, wherever LangChain's users put them."""
_ANTHROPIC = ("container_upload", "search_result", "tool_addition", "tool_reference", "tool_removal")
TOOL_CHANGES = frozenset({"tool_addition", "tool_removal"})
"""Blocks of system messages that change the tools within a conversation (Anthropic)."""
_GEMINI = (
    "codeExecutionResult", "executableCode", "fileData", "functionCall", "functionResponse", "inlineData",
    "toolCall", "toolResponse",
)  # fmt: skip
_OWNERS: Mapping[str, str] = {
    **dict.fromkeys(OPENAI_ITEMS, "openai"),
    **dict.fromkeys(_ANTHROPIC, "anthropic"),
    **dict.fromkeys(_GEMINI, "google_genai"),
    **{re.sub(r"[A-Z]", lambda upper: f"_{upper[0].lower()}", name): "google_genai" for name in _GEMINI},
    **dict.fromkeys(("cachePoint", "guardContent"), "bedrock_converse"),
}
ASIDES = frozenset(
    {"cachePoint", "compaction_trigger", "configuration_update", "search_result", "guardContent"}
)
"""Blocks that may be left out: marks, settings, and texts that stay as text."""

_FILES: Mapping[str, re.Pattern[str]] = {
    "openai": re.compile(r"(?:file|assistant)-"),
    "anthropic": re.compile(r"file_01"),
    "google_genai": re.compile(r"files/|https?://generativelanguage\.googleapis\.com/|gs://"),
}


def kind_of(value: Mapping[str, Any]) -> str:
    """Return the word that identifies a vendor's block: its `type`, or its first key (Gemini, Bedrock)."""
    return str(value.get("type") or next(iter(value), ""))


def owner_of(value: Mapping[str, Any]) -> str:
    """Return the provider whose a block is; empty if no vendor is known to own it."""
    kind = kind_of(value)
    if kind == "document":
        return "anthropic" if "source" in value else "cohere" if "document" in value else ""
    return _OWNERS.get(kind, "")


def file_owner(block: Block) -> str:
    """Return the provider that holds the file which a media block names; empty if that is not to be seen."""
    name = str(block.get("file_id") or block.get("url") or "")
    return next((owner for owner, form in _FILES.items() if form.match(name)), "")


def may_read(provider: str, block: Block) -> bool:
    """Return whether a provider can read the file which a media block names, if it names one.

    An id of no known form may be that of any vendor that has files.
    """
    owner = file_owner(block)
    if block.get("file_id"):
        return provider in _FILES and owner in {"", provider}
    return owner in {"", provider}
