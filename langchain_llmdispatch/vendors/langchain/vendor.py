"""Any LangChain chat model as a deployment: for Bedrock, Vertex, Mistral and all that has an integration.

It is asked through its own `_generate`, `_agenerate`, `_stream` and `_astream`, without callbacks: the run
is the router's, so nothing is traced or counted twice. What `invoke` of the model would do besides is done
here (its `rate_limiter`) or left out (its `cache`, its callbacks).

Time: an async answer is bounded by the driver. A sync one is bounded by the model's own timeout, which is
told per call where the integration takes it (OpenAI, Azure, Anthropic, Google); elsewhere the router sees
that time is up only when the model returns.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from langchain_core.language_models import BaseChatModel

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.vendors.base import ParameterRules, Vendor
from langchain_llmdispatch.vendors.langchain.answer import ChunkReader, chunk_of, message_of
from langchain_llmdispatch.vendors.langchain.errors import translated
from langchain_llmdispatch.vendors.langchain.integrations import Provider, provider_of
from langchain_llmdispatch.vendors.langchain.request import FIELDS, KEYWORDS, can_bind, field_of, question
from langchain_llmdispatch.vendors.langchain.retries import calmed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping

    import httpx
    from langchain_core.language_models.model_profile import ModelProfile
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.langchain.request import Question

_STATED = ("ls_model_name", "ls_provider")
HAND_IN = "a LangChain chat model is handed in itself, as in models=[ChatBedrock(...)]"
"""What to do instead of naming one by a string."""


class LangChainVendor(Vendor):
    """Speaks through one LangChain chat model; `LangChainVendor.of(model)` makes it.

    Args:
        model: The chat model, or None for the vendor as such, which speaks for nobody.

    Attributes:
        model: The chat model, its own retries switched off as far as it allows.
        model_name: What it says it is.
        requests: How many requests one call of it may still send.
        retries: What sends more than one, for people; empty if nothing does.
    """

    name = "langchain"
    needs_key = False
    runs = True
    provider_facts: ClassVar[Provider] = provider_of("", "")

    def __init__(self, model: BaseChatModel | None = None) -> None:
        self.model_name, self._stated_provider, self.requests, self.retries = "", "", 1, ""
        if model is not None:
            held = calmed(model, none=self.provider_facts.no_retries)
            self.model, self.requests, self.retries = held.model, held.requests, held.why
            self.model_name, self._stated_provider = _stated(model)

    @classmethod
    def of(cls, model: BaseChatModel) -> LangChainVendor:
        """Return a vendor for `model`, with its integration's rules."""
        known = provider_of(_stated(model)[1], model._llm_type)  # noqa: SLF001 - the contract of integrations
        described = {
            "provider": known.answers_as,
            "provider_facts": known,
            "listing": known.listing,
            "history": known.rules(),
            "parameters": _parameters(model, known),
            "server_tools": known.kin.server_tools if known.kin else (),
        }
        return type(cls.__name__, (cls,), described)(model)  # type: ignore[no-any-return]

    @property
    def traced_as(self) -> str:
        """The name by which tracers know it: what the integration states."""
        return self._stated_provider or self.listing.section

    def facts(self, model: str) -> ModelFacts:
        """Return what the model takes through its integration."""
        known, own = self.provider_facts, super().facts(model)
        return replace(
            own,
            structured_output=own.structured_output and known.formats,
            json_mode=own.json_mode and known.formats,
            forced_tool_choice=own.forced_tool_choice and can_bind(self.model),
        )

    def is_free(self, model: str, base_url: str) -> bool:
        """Return whether the integration's vendor runs the model on the user's own machines."""
        kin = self.provider_facts.kin
        return kin is not None and kin().is_free(model, base_url)

    def identity(self) -> str:
        """Return a word for all that changes the model's answers, as its integration states it; no keys."""
        stated = {"type": self.model._llm_type, **self.model._identifying_params}  # noqa: SLF001 - their contract
        text = f"{self.listing.section}:{self.model_name} {sorted(stated.items(), key=str)}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    # -- asking ------------------------------------------------------------------------------------

    def generate(self, call: Call, timeout: float | None) -> AIMessage:
        """Return the model's whole answer.

        Raises:
            DispatchError: What the model's error means.
        """
        asked = question(self.model, self.provider_facts, call, timeout)
        try:
            self._pause()
            result = _ask(asked)
        except Exception as error:  # noqa: BLE001 - integrations raise anything
            failure = translated(error, self.model)
        else:
            return message_of(result, call, self.provider_facts)
        # Raised here, so that the original, which holds the request, is not in the chain.
        raise failure

    async def agenerate(self, call: Call, timeout: float | None) -> AIMessage:  # noqa: ASYNC109 - told, not kept
        """Return the model's whole answer; see `generate`."""
        asked = question(self.model, self.provider_facts, call, timeout)
        try:
            await self._apause()
            result = await _aask(asked)
        except Exception as error:  # noqa: BLE001 - integrations raise anything
            failure = translated(error, self.model)
        else:
            return message_of(result, call, self.provider_facts)
        raise failure

    def stream(self, call: Call, timeout: float | None) -> Generator[ChatGenerationChunk, None, None]:
        """Yield the model's chunks, for `stream_decoder`; a model that does not stream gives one.

        Raises:
            DispatchError: What the model's error means.
        """
        asked = question(self.model, self.provider_facts, call, timeout)
        try:
            self._pause()
            if self._streams():
                yield from asked.model._stream(asked.messages, stop=asked.stop, **asked.kwargs)  # noqa: SLF001
            else:
                yield chunk_of(_ask(asked), call, self.provider_facts)
        except Exception as error:  # noqa: BLE001 - integrations raise anything
            failure = translated(error, self.model)
        else:
            return
        raise failure

    async def astream(
        self,
        call: Call,
        timeout: float | None,  # noqa: ASYNC109 - told, not kept
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        """Yield the model's chunks; see `stream`."""
        asked = question(self.model, self.provider_facts, call, timeout)
        try:
            await self._apause()
            if self._streams(both=True):
                async for chunk in asked.model._astream(asked.messages, stop=asked.stop, **asked.kwargs):  # noqa: SLF001
                    yield chunk
            else:
                yield chunk_of(await _aask(asked), call, self.provider_facts)
        except Exception as error:  # noqa: BLE001 - integrations raise anything
            failure = translated(error, self.model)
        else:
            return
        raise failure

    def _streams(self, *, both: bool = False) -> bool:
        """Whether the model streams; `both`: its async side counts, too."""
        cls, off = type(self.model), self.model.disable_streaming
        own = cls._stream is not BaseChatModel._stream  # noqa: SLF001 - how LangChain itself tells
        aown = both and cls._astream is not BaseChatModel._astream  # noqa: SLF001
        return off is not True and (own or aown)

    def _pause(self) -> None:
        if self.model.rate_limiter is not None:
            self.model.rate_limiter.acquire(blocking=True)

    async def _apause(self) -> None:
        if self.model.rate_limiter is not None:
            await self.model.rate_limiter.aacquire(blocking=True)

    # -- the codec ---------------------------------------------------------------------------------

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> ChunkReader:  # noqa: ARG002 - no headers here
        """Return a reader of one answer's chunks."""
        return ChunkReader(call, self.provider_facts)

    def capabilities(self, model: str) -> ModelProfile | None:  # noqa: ARG002 - it has one model
        """Return what the model says of itself."""
        if not self.model_name:
            return None
        said = dict(self.model.profile or {})
        return {**said, "tool_calling": False} if not can_bind(self.model) else said or None  # type: ignore[return-value]

    def encode_request(self, call: Call) -> httpx.Request:  # noqa: ARG002 - there is none
        """Refuse: nothing is sent from here."""
        _no_http()

    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:  # noqa: ARG002
        """Refuse: nothing is received here."""
        _no_http()

    def decode_error(
        self,
        call: Call,  # noqa: ARG002
        status: int,  # noqa: ARG002
        headers: Mapping[str, str],  # noqa: ARG002
        body: bytes,  # noqa: ARG002
    ) -> VendorError:
        """Refuse: nothing is received here."""
        _no_http()


def _no_http() -> NoReturn:
    raise ConfigurationError(HAND_IN)


def _ask(asked: Question) -> ChatResult:
    return asked.model._generate(asked.messages, stop=asked.stop, **asked.kwargs)  # noqa: SLF001 - their contract


async def _aask(asked: Question) -> ChatResult:
    return await asked.model._agenerate(asked.messages, stop=asked.stop, **asked.kwargs)  # noqa: SLF001


def _stated(model: BaseChatModel) -> tuple[str, str]:
    """Return name and provider that a model states for tracers; its class and nothing where it does not."""
    try:
        said: Mapping[str, Any] = model._get_ls_params()  # noqa: SLF001 - their contract
    except Exception:  # noqa: BLE001 - a convenience for tracers; integrations may fail in it
        said = {}
    name, provider = (str(said.get(key) or "") for key in _STATED)
    named = name or next(
        (str(v) for key in ("model_id", "model", "model_name") if (v := getattr(model, key, None))), ""
    )
    return named or type(model).__name__, provider


def _parameters(model: BaseChatModel, known: Provider) -> ParameterRules:
    rules = known.kin.parameters if known.kin else Vendor.parameters
    by_keyword = KEYWORDS.get(known.answers_as, rules.takes) if known.keywords else frozenset()
    by_field = {name for name in FIELDS if field_of(model, name)}
    return replace(
        rules,
        takes=frozenset({"stop"}) | by_keyword | by_field,
        parallel_switch=known.switches,
    )
