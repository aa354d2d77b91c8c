"""Any LangChain chat model as a deployment: for Bedrock, Vertex, Mistral and all that has an integration.

It is called through its own `_generate`, `_agenerate`, `_stream` and `_astream`, without callbacks: the run
is the dispatcher's, so nothing is traced or counted twice. What `invoke` of the model would do besides is
done here (its `rate_limiter`) or left out (its `cache`, its callbacks).

Time: an async answer is bounded by the driver. A sync one is bounded by the model's own timeout, which is
passed per call where the integration takes it (OpenAI, Azure, Anthropic, Google); elsewhere the end of the
time is noticed only when the model returns.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

from langchain_core.language_models import BaseChatModel

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.vendors.base import OwnedWords, ParameterRules, Vendor
from langchain_llmdispatch.vendors.compile.server_tools import CUSTOM
from langchain_llmdispatch.vendors.langchain.answer import ChunkDecoder, chunk_of, message_of
from langchain_llmdispatch.vendors.langchain.errors import model_secrets, translated
from langchain_llmdispatch.vendors.langchain.integrations import Integration, integration_of
from langchain_llmdispatch.vendors.langchain.pacing import apace, pace
from langchain_llmdispatch.vendors.langchain.request import FIELDS, KEYWORDS, can_bind, field_of, invocation
from langchain_llmdispatch.vendors.langchain.retries import without_retries
from langchain_llmdispatch.vendors.parameters import ADDRESSED

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping, Sequence

    import httpx
    from langchain_core.language_models.model_profile import ModelProfile
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
from langchain_llmdispatch.vendors.langchain.request import Invocation

_UNBOUNDED, _LEAST = float("inf"), 0.05  # seconds
_STATED = ("ls_model_name", "ls_provider")
HAND_IN = "a LangChain chat model is handed in itself, as in models=[ChatBedrock(...)]"
"""What to do instead of naming one by a string."""


class LangChainVendor(Vendor):
    """Answers through one LangChain chat model; `LangChainVendor.of(model)` makes it.

    Args:
        model: The chat model, or None for the vendor as such, which cannot answer.

    Attributes:
        model: The chat model, its own retries switched off as far as it allows.
        model_name: Its name, as it states it.
        requests: How many requests one call of it may still send.
        retries: What sends more than one, as text; empty if nothing does.
    """

    name = "langchain"
    needs_key = False
    runs = True
    integration: ClassVar[Integration] = integration_of("", "")

    def __init__(self, model: BaseChatModel | None = None) -> None:
        self.model_name, self.requests, self.retries = "", 1, ""
        if model is not None:
            held = without_retries(model, none=self.integration.no_retries)
            self.model, self.requests, self.retries = held.model, held.requests, held.why
            self.model_name, stated = _stated(model)
            self.traced_as = stated or self.listing.section

    @classmethod
    def of(cls, model: BaseChatModel) -> LangChainVendor:
        """Return a vendor for `model`, with its integration's rules."""
        known = integration_of(_stated(model)[1], model._llm_type)
        native = known.native
        described = {
            "provider": known.model_provider,
            "integration": known,
            "listing": known.listing,
            "history": known.history_rules(),
            "parameters": _parameters(model, known),
            "words": _words(known),
            # LangChain's own takes tools with free text as objects only.
            "server_tools": tuple(kind for kind in native.server_tools if kind != CUSTOM) if native else (),
            "portable_tools": native.portable_tools if native else {},
            "billing": known.native.billing if known.native else Vendor.billing,
        }
        vendor = cast("type[LangChainVendor]", type(cls.__name__, (cls,), described))
        return vendor(model)

    def facts(self, model: str) -> ModelFacts:
        """Return what the model takes through its integration."""
        known, own = self.integration, super().facts(model)
        return replace(
            own,
            structured_output=own.structured_output and known.takes_response_format,
            json_mode=own.json_mode and known.takes_response_format,
            forced_tool_choice=own.forced_tool_choice and can_bind(self.model),
        )

    def is_free(self, model: str, base_url: str) -> bool:
        """Return whether the integration's vendor runs the model on the user's own machines."""
        native = self.integration.native
        return native is not None and native().is_free(model, base_url)

    def identity(self) -> str:
        """Return a fingerprint of all that changes the model's answers, by its integration; without keys."""
        stated = {"type": self.model._llm_type, **self.model._identifying_params}
        text = f"{self.listing.section}:{self.model_name} {sorted(stated.items(), key=str)}"
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]

    def own_secrets(self) -> Sequence[str]:
        """Return the model's keys and what else its errors must not show."""
        return tuple(model_secrets(self.model))

    # -- answering ---------------------------------------------------------------------------------

    def generate(self, call: Call, timeout: float | None) -> AIMessage:
        """Return the model's whole answer.

        Raises:
            DispatchError: What the model's error means.
        """
        arguments = invocation(self.model, self.integration, call, self._paused(timeout))
        try:
            result = _generate(arguments)
        except Exception as error:
            failure = translated(error, self.model)
        else:
            return message_of(result, call, self.integration)
        # Raised here, so that the original, which holds the request, is not in the chain.
        raise failure

    async def agenerate(self, call: Call, timeout: float | None) -> AIMessage:
        """Return the model's whole answer; see `generate`."""
        arguments = invocation(self.model, self.integration, call, timeout)
        try:
            await self._apause(timeout)
            result = await _agenerate(arguments)
        except Exception as error:
            failure = translated(error, self.model)
        else:
            return message_of(result, call, self.integration)
        raise failure

    def stream(self, call: Call, timeout: float | None) -> Generator[ChatGenerationChunk, None, None]:
        """Yield the model's chunks, for `stream_decoder`; a model that does not stream gives one.

        Raises:
            DispatchError: What the model's error means.
        """
        arguments = invocation(self.model, self.integration, call, self._paused(timeout))
        try:
            if self._streams():
                yield from arguments.model._stream(
                    arguments.messages, stop=arguments.stop, **arguments.kwargs
                )
            else:
                yield chunk_of(_generate(arguments), call, self.integration)
        except Exception as error:
            failure = translated(error, self.model)
        else:
            return
        raise failure

    async def astream(
        self,
        call: Call,
        timeout: float | None,
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        """Yield the model's chunks; see `stream`."""
        arguments = invocation(self.model, self.integration, call, timeout)
        try:
            await self._apause(timeout)
            if self._streams(both=True):
                async for chunk in arguments.model._astream(
                    arguments.messages, stop=arguments.stop, **arguments.kwargs
                ):
                    yield chunk
            else:
                yield chunk_of(await _agenerate(arguments), call, self.integration)
        except Exception as error:
            failure = translated(error, self.model)
        else:
            return
        raise failure

    def _streams(self, *, both: bool = False) -> bool:
        """Whether the model streams; `both`: its async side counts, too."""
        cls, off = type(self.model), self.model.disable_streaming
        own = cls._stream is not BaseChatModel._stream
        aown = both and cls._astream is not BaseChatModel._astream
        return off is not True and (own or aown)

    def _paused(self, timeout: float | None) -> float | None:
        """Wait for the model's rate limiter, and return what is left of `timeout`: its own wait has no bound.

        Raises:
            AttemptTimeoutError: The limiter admits no request in time.
        """
        limiter = self.model.rate_limiter
        if limiter is None:
            return timeout
        waited = pace(limiter, _UNBOUNDED if timeout is None else timeout)
        return timeout if timeout is None else max(timeout - waited, _LEAST)

    async def _apause(self, timeout: float | None) -> None:
        if self.model.rate_limiter is not None:
            await apace(self.model.rate_limiter, _UNBOUNDED if timeout is None else timeout)

    # -- the codec ---------------------------------------------------------------------------------

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> ChunkDecoder:
        """Return a decoder of one answer's chunks."""
        return ChunkDecoder(call, self.integration)

    def capabilities(self, model: str) -> ModelProfile | None:
        """Return the profile that the model declares."""
        if not self.model_name:
            return None
        declared = dict(self.model.profile or {})
        if not can_bind(self.model):
            declared["tool_calling"] = False
        return cast("ModelProfile", declared) if declared else None

    def encode_request(self, call: Call) -> httpx.Request:
        """Refuse: nothing is sent from here."""
        _no_http()

    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        """Refuse: nothing is received here."""
        _no_http()

    def decode_error(
        self,
        call: Call,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
    ) -> VendorError:
        """Refuse: nothing is received here."""
        _no_http()


def _no_http() -> NoReturn:
    raise ConfigurationError(HAND_IN)


def _generate(arguments: Invocation) -> ChatResult:
    model, messages = arguments.model, arguments.messages
    return model._generate(messages, stop=arguments.stop, **arguments.kwargs)


async def _agenerate(arguments: Invocation) -> ChatResult:
    model, messages = arguments.model, arguments.messages
    return await model._agenerate(messages, stop=arguments.stop, **arguments.kwargs)


def _stated(model: BaseChatModel) -> tuple[str, str]:
    """Return name and provider that a model states for tracers; its class and nothing where it does not."""
    try:
        params: Mapping[str, Any] = model._get_ls_params()
    except Exception:
        params = {}
    name, provider = (str(params.get(key) or "") for key in _STATED)
    named = name or next(
        (str(v) for key in ("model_id", "model", "model_name") if (v := getattr(model, key, None))), ""
    )
    return named or type(model).__name__, provider


def _words(known: Integration) -> OwnedWords:
    """Return the words that go to the model as keywords of its call, under their own names."""
    if known.native is None:
        return OwnedWords(takes_unknown=True)
    return known.native.words.flat(*(ADDRESSED if known.takes_keywords else ()))


def _parameters(model: BaseChatModel, known: Integration) -> ParameterRules:
    rules = known.native.parameters if known.native else Vendor.parameters
    by_keyword = KEYWORDS.get(known.model_provider, rules.takes) if known.takes_keywords else frozenset()
    by_field = {name for name in FIELDS if field_of(model, name)}
    return replace(
        rules,
        takes=frozenset({"stop"}) | by_keyword | by_field,
        parallel_switch=known.takes_parallel_switch,
        choices=rules.choices & {"server", "named_server"},
    )
