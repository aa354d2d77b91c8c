"""OpenAI, and the base of every vendor with its chat completions."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_llmdispatch.errors import MalformedResponseError, VendorError
from langchain_llmdispatch.internal.json_format import parse_json
from langchain_llmdispatch.types import LimitState
from langchain_llmdispatch.vendors.base import (
    Environment,
    HistoryRules,
    Listing,
    OwnedWords,
    ParameterRules,
    PortableTool,
    SchemaDialect,
    Vendor,
    bearer,
    custom_headers,
    guards_answer,
    json_request,
)
from langchain_llmdispatch.vendors.billing import Billing
from langchain_llmdispatch.vendors.errors import ErrorContext, guards_error
from langchain_llmdispatch.vendors.history.threads import Thread
from langchain_llmdispatch.vendors.openai import rules
from langchain_llmdispatch.vendors.openai.background import ResponsesInBackground
from langchain_llmdispatch.vendors.openai.batches import FileBatches
from langchain_llmdispatch.vendors.openai.billing import OpenAIBilling
from langchain_llmdispatch.vendors.openai.chat_answer import chat_message
from langchain_llmdispatch.vendors.openai.chat_request import DIALECTS, Dialect, chat_body
from langchain_llmdispatch.vendors.openai.chat_stream import ChatStreamDecoder
from langchain_llmdispatch.vendors.openai.errors import error_body, error_inside, error_of, is_inner_failure
from langchain_llmdispatch.vendors.openai.portable_tools import PORTABLE
from langchain_llmdispatch.vendors.openai.prompt_cache import cache_words
from langchain_llmdispatch.vendors.openai.responses_answer import response_message
from langchain_llmdispatch.vendors.openai.responses_input import only_here
from langchain_llmdispatch.vendors.openai.responses_request import (
    CONTINUES,
    COUNTED,
    LEAST_TOKENS,
    NOT_TAKEN,
    responses_body,
    stored_answer,
)
from langchain_llmdispatch.vendors.openai.responses_stream import ResponsesStreamDecoder
from langchain_llmdispatch.vendors.openai.words import WORDS
from langchain_llmdispatch.vendors.server_state import host_of

if TYPE_CHECKING:
    import httpx
    from langchain_core.messages import AIMessage

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.background import BackgroundAnswers
    from langchain_llmdispatch.vendors.base import StreamDecoder
    from langchain_llmdispatch.vendors.batches import BatchApi


class ChatCompletions(Vendor):
    """A vendor of the OpenAI family. Subclasses define its address, its dialect and its credentials."""

    billing: ClassVar[Billing] = OpenAIBilling()

    # -- what differs ------------------------------------------------------------------------------

    def dialect(self, call: Call) -> Dialect:
        """Return how the server of `call` spells things."""
        return Dialect(text_parts=False)

    def url(self, call: Call, path: str = "chat/completions") -> str:
        """Return the URL of `path` of the API."""
        # Consoles show the whole URL, and people copy it.
        return f"{call.endpoint.base_url.rstrip('/').removesuffix('/chat/completions')}/{path}"

    def credentials(self, call: Call) -> dict[str, str]:
        """Return the headers that authorize the request."""
        return bearer(call.endpoint)

    def provider_of(self, call: Call) -> str:
        """Return the block translator that reads the answer."""
        return self.provider or self.name

    def extras(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return metadata that only the response's headers hold."""
        return {}

    # -- the codec ---------------------------------------------------------------------------------

    def encode_request(self, call: Call) -> httpx.Request:
        """Return a POST with credentials; the user's own headers win."""
        path, body = self.encode_body(call)
        url, own = self.url(call, path), call.endpoint
        # Calls of tools without text have null for it; what a thread holds is text, arguments as well.
        finite = "messages" if call.messages.__class__ is Thread and not call.extra else ""
        return json_request(
            url, lambda: {**self.credentials(call), **custom_headers(own)}, body, finite=finite
        )

    def encode_body(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Return the path of the API that `call` goes to, and the body for it."""
        return "chat/completions", chat_body(call, self.dialect(call))

    @guards_answer
    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        """Return the message in a successful response."""
        context = ErrorContext(self, call, headers)
        try:
            reply = parse_json(body)
        except ValueError as cause:
            raise context.error(MalformedResponseError, f"the answer is not JSON: {cause}") from cause
        if (
            not isinstance(reply, Mapping)
            or reply.get("error")
            or ("base_resp" in reply and is_inner_failure(reply))
        ):
            raise error_inside(context, error_body(reply))
        return self.decode_reply(call, reply, headers)

    def decode_reply(self, call: Call, reply: Mapping[str, Any], headers: Mapping[str, str]) -> AIMessage:
        """Return the message in the JSON object of a successful response.

        Raises:
            MalformedResponseError: It is no answer.
        """
        choices = reply.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            raise self._malformed(call, headers, "the answer has no choices")
        message = chat_message(
            reply,
            choices[0],
            provider=self.provider_of(call),
            model=call.model,
            names=call.tool_names,
            host=host_of(call.endpoint.base_url),
        )
        message.response_metadata.update(self.extras(headers))
        return message

    def _malformed(self, call: Call, headers: Mapping[str, str], message: str) -> VendorError:
        return ErrorContext(self, call, headers).error(MalformedResponseError, message)

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> StreamDecoder:
        """Return a decoder for a streamed chat completion."""
        provider, extras = self.provider_of(call), self.extras(headers)
        return ChatStreamDecoder(self, call, headers, provider=provider, extras=extras)

    @guards_error
    def decode_error(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
        """Return the error by the tables of `openai/errors.py`."""
        return error_of(self, call, status, headers, body)

    def limits(self, headers: Mapping[str, str]) -> Sequence[LimitState]:
        """Return the limits of requests and tokens in `x-ratelimit-*`; negative numbers mean unknown."""
        return [state for kind in ("requests", "tokens") if (state := _limit(headers, kind))]


class OpenAIVendor(ChatCompletions):
    """OpenAI: chat completions, and the Responses API for models and features that need it."""

    name = "openai"
    provider = "openai"
    base_url: ClassVar[str | None] = "https://api.openai.com/v1"
    environment = Environment(
        keys=("OPENAI_API_KEY",),
        urls=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        timeout="OPENAI_TIMEOUT",
        accounts=(
            ("OPENAI_ORG_ID", "OpenAI-Organization"),
            ("OPENAI_ORGANIZATION", "OpenAI-Organization"),
            ("OPENAI_PROJECT_ID", "OpenAI-Project"),
        ),
        gateway="openai/v1",
    )
    model_names: ClassVar[tuple[str, ...]] = (
        "gpt-[0-9]*",
        "chatgpt-*",
        "o[1-9]*",
        "codex-*",
        "computer-use-*",
        "ft:gpt-*",
    )
    default_model: ClassVar[str | None] = "gpt-6-luna"
    listing: ClassVar[Listing] = rules.LISTING
    litellm_names: ClassVar[tuple[str, ...]] = ("openai",)
    parameters: ClassVar[ParameterRules] = rules.PARAMETERS
    words: ClassVar[OwnedWords] = WORDS
    schemas: ClassVar[SchemaDialect] = rules.SCHEMAS
    history: ClassVar[HistoryRules] = HistoryRules(
        provider="openai",
        names="slug",
        # Longer ids are refused; anything printable is taken.
        tool_id=re.compile(r"[!-~]{1,40}\Z"),
        user_media=frozenset({"image", "image_url", "pdf", "pdf_url", "audio", "file"}),
        reasoning="signed",
        blank_text=True,
    )
    server_tools = (
        "web_search",
        "web_search_preview*",
        "web_search_????_??_??",
        "file_search",
        "code_interpreter",
        "image_generation",
        "mcp",
        "computer",
        "computer[-_]use*",
        "local_shell",
        "shell",
        "apply_patch",
        "tool_search",
        "programmatic_tool_calling",
        "namespace",
        "custom",
    )
    portable_tools: ClassVar[Mapping[str, PortableTool]] = PORTABLE

    def dialect(self, call: Call) -> Dialect:
        """Return OpenAI's own spelling by the catalog; unknown models are taken for new ones."""
        known = self.facts(call.model)
        return DIALECTS[known.max_tokens_field == "max_tokens", known.system_role]

    def uses_responses(self, call: Call) -> bool:
        """Return whether `call` goes to the Responses API rather than to chat completions.

        The caller's `use_responses_api` decides; else fields and tools that only this API has; else the
        catalog: the model is served there always, or with tools unless its reasoning is switched off.
        """
        if call.extra or call.params:
            for fields in (call.extra, call.params):
                if (flag := fields.get("use_responses_api")) is not None:
                    return bool(flag)
            if call.extra.get(CONTINUES) or self._of_api(call, "responses"):
                return True
        if call.server_tools:
            return True
        for message in () if call.messages.__class__ is Thread else call.messages:
            if type(message.content) is list and only_here(message.content):
                return True
        use = self.facts(call.model).responses_api
        if use == "tools":
            return bool(call.tools) and call.params.get("reasoning_effort") != "none"
        return use == "always"

    count_field: ClassVar[str | None] = "input_tokens"

    def encode_count(self, call: Call) -> httpx.Request | None:
        """Return the request to `POST /responses/input_tokens`, whichever API the call itself goes to."""
        made = responses_body(call, self.listing)
        counted = {name: value for name, value in made.items() if name in COUNTED}
        url, own = self.url(call, "responses/input_tokens"), call.endpoint
        return json_request(url, lambda: {**self.credentials(call), **custom_headers(own)}, counted)

    def background(self, call: Call) -> BackgroundAnswers | None:
        """Return how answers of the Responses API are fetched that are made in the background."""
        background = call.extra.get("background") is True and self.uses_responses(call)
        return ResponsesInBackground(self, call) if background else None

    def batch_api(self, call: Call) -> BatchApi | None:
        """Return OpenAI's Batch API, for either API of answers."""
        return FileBatches(self, call)

    def refused(self, call: Call) -> Collection[str]:
        """Return the parameters and words that only the other API takes."""
        foreign = NOT_TAKEN & call.params.keys()
        if not foreign and not call.extra:
            return ()
        if self.uses_responses(call):
            return foreign.union(self._of_api(call, "chat")) if call.extra else foreign
        return self._of_api(call, "responses")

    def _of_api(self, call: Call, api: str) -> list[str]:
        """Return those of the call's own words that only one API has."""
        found = ((name, self.words.find(name)) for name in call.extra)
        return [name for name, word in found if word is not None and word.apis == {api}]

    def stored_answer(self, call: Call) -> str:
        """Return the id of an answer that the Responses API goes on from; see `stored_answer` there."""
        stored = stored_answer(call)
        return stored if stored and self.uses_responses(call) else ""

    def least_tokens(self, call: Call) -> int:
        """Return the smallest `max_tokens`, which is higher in the Responses API."""
        return LEAST_TOKENS if self.uses_responses(call) else super().least_tokens(call)

    def encode_body(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Return the path of Responses or of chat completions, and the body for it."""
        if self.uses_responses(call):
            path, body = "responses", responses_body(call, self.listing)
        else:
            path, body = super().encode_body(call)
        if call.prompt_cache is not None:
            body = {**self.cache_words(call), **body}  # the caller's own words win
        return path, body

    def cache_words(self, call: Call) -> dict[str, Any]:
        """Return the words for the prompt cache that a call sets."""
        cache = call.prompt_cache
        return {} if cache is None else cache_words(cache, call.cache_key, call.model)

    def decode_reply(self, call: Call, reply: Mapping[str, Any], headers: Mapping[str, str]) -> AIMessage:
        """Return the message in the JSON object of either API."""
        if self.uses_responses(call):
            return response_message(ErrorContext(self, call, headers), reply)
        return super().decode_reply(call, reply, headers)

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> StreamDecoder:
        """Return a decoder for the stream of either API."""
        if self.uses_responses(call):
            return ResponsesStreamDecoder(self, call, headers)
        return super().stream_decoder(call, headers)


# -- limits --------------------------------------------------------------------------------------------

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def _limit(headers: Mapping[str, str], kind: Any) -> LimitState | None:
    remaining = _count(headers.get(f"x-ratelimit-remaining-{kind}"))
    if remaining is None:
        return None
    return LimitState(
        kind=kind,
        remaining=remaining,
        limit=_count(headers.get(f"x-ratelimit-limit-{kind}")),
        reset_after=duration(headers.get(f"x-ratelimit-reset-{kind}")),
    )


def _count(text: str | None) -> int | None:
    # Azure has sent -1 for "unknown"; OpenRouter and others send decimals.
    try:
        value = int(float(text or ""))
    except (ValueError, OverflowError):
        return None
    return value if value >= 0 else None


def duration(text: str | None) -> float | None:
    """Return seconds of "6m0s", "28ms", "7.66s" (OpenAI, Groq) or "7" (Azure); None if it is no time."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        parts = _DURATION.findall(text)
        return sum(float(n) * _SECONDS[unit] for n, unit in parts) if parts else None
    return seconds if seconds >= 0 else None
