"""Anthropic's Messages API."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_llmdispatch.types import LimitState
from langchain_llmdispatch.vendors.anthropic import rules
from langchain_llmdispatch.vendors.anthropic.answer import PROVIDER, decode_answer
from langchain_llmdispatch.vendors.anthropic.batches import MessageBatches
from langchain_llmdispatch.vendors.anthropic.billing import AnthropicBilling
from langchain_llmdispatch.vendors.anthropic.errors import error_of
from langchain_llmdispatch.vendors.anthropic.paused import continued
from langchain_llmdispatch.vendors.anthropic.portable_tools import PORTABLE
from langchain_llmdispatch.vendors.anthropic.prompt_cache import mark
from langchain_llmdispatch.vendors.anthropic.request import betas, body
from langchain_llmdispatch.vendors.anthropic.stream import AnthropicStreamDecoder
from langchain_llmdispatch.vendors.anthropic.words import WORDS
from langchain_llmdispatch.vendors.base import (
    Environment,
    HistoryRules,
    Listing,
    ModelFacts,
    OwnedWords,
    ParameterRules,
    PortableTool,
    SchemaDialect,
    ToolNameRules,
    Vendor,
    custom_headers,
    guards_answer,
    json_request,
)
from langchain_llmdispatch.vendors.billing import Billing
from langchain_llmdispatch.vendors.errors import ErrorContext, guards_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import httpx
    from langchain_core.messages import AIMessage

    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call, Endpoint
    from langchain_llmdispatch.vendors.base import StreamDecoder
    from langchain_llmdispatch.vendors.batches import BatchApi

_MEDIA = frozenset({"image", "image_url", "pdf", "pdf_url"})
_BEARER = "Bearer "
_OAUTH = "sk-ant-oat"
_DATED = "20" + "[0-9]" * 6
_TOOLS = (
    "web_search", "web_fetch", "code_execution", "text_editor", "bash", "computer", "computer_toolset",
    "browser_toolset", "memory", "advisor",
)  # fmt: skip


class AnthropicVendor(Vendor):
    """Claude models, over `POST /v1/messages`."""

    name: ClassVar[str] = "anthropic"
    aliases: ClassVar[tuple[str, ...]] = ("claude",)
    provider: ClassVar[str] = PROVIDER
    base_url: ClassVar[str | None] = "https://api.anthropic.com"
    environment: ClassVar[Environment] = Environment(
        keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        urls=("ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL"),
        timeout="ANTHROPIC_TIMEOUT",
        bearers=("ANTHROPIC_AUTH_TOKEN",),
        gateway="anthropic",
    )
    model_names: ClassVar[tuple[str, ...]] = ("claude-*",)
    default_model: ClassVar[str | None] = "claude-haiku-5-5"
    api_version: ClassVar[str | None] = "2023-06-01"
    listing: ClassVar[Listing] = rules.LISTING
    # Measured against Anthropic's own counts: `_get_approximate_token_counter` of langchain's summarization.
    characters_per_token: ClassVar[float] = 3.3
    billing: ClassVar[Billing] = AnthropicBilling()
    litellm_names: ClassVar[tuple[str, ...]] = ("anthropic",)
    parameters: ClassVar[ParameterRules] = rules.PARAMETERS
    words: ClassVar[OwnedWords] = WORDS
    tool_names: ClassVar[ToolNameRules] = rules.TOOL_NAMES
    schemas: ClassVar[SchemaDialect] = rules.SCHEMAS
    history: ClassVar[HistoryRules] = HistoryRules(
        provider=PROVIDER,
        system="leading",
        alternate=True,
        first_user=True,
        last_user=True,
        names="drop",
        tool_id=re.compile(r"\A[a-zA-Z0-9_-]+\Z"),
        user_media=_MEDIA,
        tool_media=_MEDIA,
        reasoning="signed",
        same_model=True,
        thinking_first=True,
        cache_control=True,
        citations=True,
    )
    # Each is dated without hyphens; OpenAI has tools of the same names with other dates.
    server_tools: ClassVar[tuple[str, ...]] = (
        *(f"{tool}_{_DATED}" for tool in _TOOLS), "tool_search_tool_*", "mcp_toolset",
    )  # fmt: skip
    pauses: ClassVar[bool] = True
    portable_tools: ClassVar[Mapping[str, PortableTool]] = PORTABLE

    def history_for(self, facts: ModelFacts) -> HistoryRules:
        """Return the rules of models that take system messages, and changes of tools, where they stand."""
        if not facts.mid_system:
            return self.history
        return _WITH_TOOL_CHANGES if facts.mid_tools else _PLACED

    def encode_request(self, call: Call) -> httpx.Request:
        """Return the HTTP request for `call`."""
        made = self._body(call)
        return json_request(
            _url(call.endpoint.base_url), lambda: self._headers(call, betas(call, made)), made
        )

    def _body(self, call: Call) -> dict[str, Any]:
        made = body(call, self.facts(call.model))
        if call.prompt_cache:
            mark(made, call.prompt_cache)
        return made

    def _headers(self, call: Call, beta_features: Iterable[str]) -> dict[str, str]:
        """Return the headers; the only place where the key is unwrapped."""
        endpoint = call.endpoint
        headers = {"anthropic-version": endpoint.api_version or self.api_version or "", **_auth(endpoint)}
        own = custom_headers(endpoint)
        named = [name.strip() for name in own.pop("anthropic-beta", "").split(",") if name.strip()]
        features = dict.fromkeys((*named, *beta_features))
        if features:
            headers["anthropic-beta"] = ",".join(features)
        return {**headers, **own}

    count_field: ClassVar[str | None] = "input_tokens"

    def encode_count(self, call: Call) -> httpx.Request | None:
        """Return the request to the counting endpoint, which refuses what is about the answer alone.

        Source: `messages.count_tokens` of Anthropic's SDK.
        """
        made = body(call, self.facts(call.model))
        counted = {name: value for name, value in made.items() if name in rules.COUNTED}
        url = f"{_url(call.endpoint.base_url)}/count_tokens"
        return json_request(url, lambda: self._headers(call, betas(call, counted)), counted)

    def batch_api(self, call: Call) -> BatchApi | None:
        """Return Message Batches."""
        return MessageBatches(
            call,
            f"{_url(call.endpoint.base_url)}/batches",
            lambda features: self._headers(call, filter(None, features.split(","))),
            self._batched,
        )

    def _batched(self, call: Call) -> tuple[dict[str, Any], str]:
        """Return a call's body, without what streams it, and its beta features."""
        made = self._body(call)
        made.pop("stream", None)
        return made, ",".join(betas(call, made))

    @guards_answer
    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        """Return the message in a successful response."""
        return decode_answer(ErrorContext(self, call, headers), body)

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> StreamDecoder:
        """Return a fresh decoder for one streamed answer."""
        return AnthropicStreamDecoder(self, call, headers)

    def continued(self, call: Call, message: AIMessage) -> Call | None:
        """Return the call with the content of a `pause_turn` sent back."""
        return continued(call, message)

    @guards_error
    def decode_error(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
        """Return the error that a response with an error status means; see `anthropic/errors.py`."""
        return error_of(self, call, status, headers, body)

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """Return Anthropic's id for the request; a gateway's own `x-request-id` serves in its place."""
        return headers.get("request-id") or headers.get("x-request-id")

    def limits(self, headers: Mapping[str, str]) -> Sequence[LimitState]:
        """Return the limits in the `anthropic-ratelimit-*` headers, one state for each kind."""
        return [state for name in _LIMITS if (state := _limit(headers, name)) is not None]


def _auth(endpoint: Endpoint) -> dict[str, str]:
    if endpoint.token_provider:
        return {"authorization": _BEARER + endpoint.token_provider()}
    if endpoint.api_key is None:
        return {}
    key = endpoint.api_key.get_secret_value()
    if key.startswith(_BEARER):
        return {"authorization": key}
    # OAuth tokens and gateways' tokens (ANTHROPIC_AUTH_TOKEN) are bearers, API keys are not.
    return {"authorization": _BEARER + key} if key.startswith(_OAUTH) else {"x-api-key": key}


def _url(base: str) -> str:
    # People write the base with and without the version.
    return f"{base}/messages" if base.endswith("/v1") else f"{base}/v1/messages"


# `requests`, and tokens three ways: all, input, output. Whichever is used up first holds.
_LIMITS = ("requests", "tokens", "input-tokens", "output-tokens")


def _limit(headers: Mapping[str, str], name: str) -> LimitState | None:
    prefix = f"anthropic-ratelimit-{name}-"
    left, limit = _count(headers.get(prefix + "remaining")), _count(headers.get(prefix + "limit"))
    if left is None and limit is None:
        return None
    reset = _seconds_until(headers.get(prefix + "reset"), headers.get("date"))
    return LimitState("requests" if name == "requests" else "tokens", left, limit, reset)


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _seconds_until(moment: str | None, now: str | None) -> float | None:
    """Return the seconds from the response's own `date` to an RFC 3339 moment; codecs have no clock."""
    if not moment or not now:
        return None
    try:
        until, since = datetime.fromisoformat(moment), parsedate_to_datetime(now)
    except ValueError:
        return None
    return max(0.0, (_aware(until) - _aware(since)).total_seconds())


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_PLACED = replace(AnthropicVendor.history, system="placed")
_WITH_TOOL_CHANGES = replace(_PLACED, tool_changes=True)
