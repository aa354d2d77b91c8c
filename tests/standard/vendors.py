"""What each vendor is called, and which of the standard suites' flags it has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_llmdispatch import DispatcherChatModel


@dataclass(frozen=True)
class Standard:
    """One vendor's line in the standard suites.

    Attributes:
        model: The model that is used.
        override: Another model of the vendor, for the per-call override.
        flags: Names of the suites' flags that are true for it.
        reasoning: Keywords that make it think, where the API shows reasoning tokens.
        details: Usage details that the vendor reports.
        tool_choice: Whether the vendor can be made to call a tool.
    """

    model: str
    override: str
    flags: frozenset[str]
    reasoning: dict[str, object] = field(default_factory=dict)
    details: tuple[str, ...] = ()
    tool_choice: bool = True


_COMMON = frozenset(["supports_json_mode"])
_IMAGES = frozenset(["supports_image_inputs", "supports_image_urls"])
_ANTHROPIC = frozenset(["supports_anthropic_inputs"])

STANDARD: dict[str, Standard] = {
    "openai": Standard(
        "gpt-5.4-mini",
        "gpt-5.4-nano",
        _COMMON
        | _IMAGES
        | _ANTHROPIC
        | {"supports_pdf_inputs", "supports_audio_inputs", "supports_image_tool_message"},
        {"reasoning_effort": "low"},
        ("reasoning_output", "cache_read_input"),
    ),
    "anthropic": Standard(
        "claude-haiku-4-5",
        "claude-sonnet-4-6",
        _IMAGES  # the API has no JSON mode
        | _ANTHROPIC
        | {"supports_pdf_inputs", "supports_image_tool_message", "supports_pdf_tool_message"},
        {},
        ("cache_read_input", "cache_creation_input"),
    ),
    "google": Standard(
        "gemini-2.5-flash",
        "gemini-2.5-pro",
        _COMMON
        | _IMAGES
        | _ANTHROPIC
        | {
            "supports_pdf_inputs",
            "supports_audio_inputs",
            "supports_video_inputs",
            "supports_image_tool_message",
            "supports_pdf_tool_message",
        },
        {"reasoning_effort": "low"},
        ("reasoning_output", "cache_read_input"),
    ),
    "azure": Standard(
        "gpt-5.4-mini",
        "gpt-5.4-nano",
        _COMMON | _IMAGES | _ANTHROPIC | {"supports_image_tool_message"},
        {"reasoning_effort": "low"},
        ("reasoning_output", "cache_read_input"),
    ),
    "cohere": Standard(
        "command-a-03-2025",
        "command-r-08-2024",
        _COMMON | _ANTHROPIC,
        {},
        ("cache_read_input",),
    ),
    "huggingface": Standard(
        "openai/gpt-oss-120b",
        "openai/gpt-oss-20b",
        _COMMON | _ANTHROPIC,
        {"reasoning_effort": "low"},
        ("cache_read_input",),
    ),
    "ollama": Standard(
        "llama3.1",
        "llama3.2",
        _COMMON | _ANTHROPIC | {"supports_image_inputs"},
        tool_choice=False,  # the API has no such field
    ),
    "compatible": Standard(
        "qwen3-4b",
        "qwen3-8b",
        _COMMON | _IMAGES | _ANTHROPIC,
    ),
}


class VendorSuite:
    """What the standard suites share.

    Attributes:
        vendor: The vendor.
    """

    vendor = ""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """The class under test."""
        return DispatcherChatModel

    def fields(self, base_url: str) -> dict[str, Any]:
        """Return the model's fields, with the vendor at this address."""
        return {"model": f"{self.vendor}:{STANDARD[self.vendor].model}", "base_url": base_url, "env": {}}
