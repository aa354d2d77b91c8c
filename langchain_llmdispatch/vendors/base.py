"""What a vendor is: its codec, from LangChain's messages to a vendor's bytes and back, and its facts.

A vendor is pure. It turns a compiled `Call` into an `httpx.Request`, bytes into messages and chunks, and
an error response into an error of our tree. It holds no client, no clock and no state; a stream's decoder
is an object of its own. `httpx.Request` is used as a value only.

Everything that the module of a vendor needs can be imported from here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast

import httpx

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.catalog.models import ModelFacts, facts, profile
from langchain_llmdispatch.errors import (
    DispatchError,
    InvalidRequestError,
    MalformedResponseError,
    VendorError,
)
from langchain_llmdispatch.vendors.batches import BatchApi, BatchJob, BatchLine, BatchResult
from langchain_llmdispatch.vendors.billing import Billing
from langchain_llmdispatch.vendors.environment import Environment
from langchain_llmdispatch.vendors.portable_tools import PortableTool
from langchain_llmdispatch.vendors.redaction import redact
from langchain_llmdispatch.vendors.request import bearer, custom_headers, json_request
from langchain_llmdispatch.vendors.retry_after import retry_after
from langchain_llmdispatch.vendors.rules import (
    ANY_TOOL_NAME,
    ROOT_OBJECT,
    HistoryRules,
    ParameterRules,
    SchemaDialect,
    SchemaRules,
    ToolNameRules,
)
from langchain_llmdispatch.vendors.token_counts import CountsTokens
from langchain_llmdispatch.vendors.word_secrets import secrets_of_call
from langchain_llmdispatch.vendors.words import OwnedWords, Word

if TYPE_CHECKING:
    from langchain_core.language_models.model_profile import ModelProfile
    from langchain_core.messages import AIMessage, AIMessageChunk

    from langchain_llmdispatch.types import Call, LimitState
    from langchain_llmdispatch.vendors.background import BackgroundAnswers

__all__ = [
    "ANY_TOOL_NAME",
    "LAZY_URL",
    "ROOT_OBJECT",
    "BatchApi",
    "BatchJob",
    "BatchLine",
    "BatchResult",
    "Environment",
    "ErrorBody",
    "HistoryRules",
    "Listing",
    "ModelFacts",
    "OwnedWords",
    "ParameterRules",
    "PortableTool",
    "SchemaDialect",
    "SchemaRules",
    "StreamDecoder",
    "ToolNameRules",
    "Vendor",
    "Word",
    "bearer",
    "custom_headers",
    "guards_answer",
    "json_request",
    "retry_after",
    "vendor_error",
]

Decode = TypeVar("Decode", bound=Callable[..., Any])


LAZY_URL = "local://model"
"""Stands for the address of a server on this machine that a driver starts before it sends."""


class StreamDecoder(Protocol):
    """A stream's decoder: bytes in, chunks out, truncation noticed.

    The last chunk it ever returns, from `feed` or `close`, has `chunk_position="last"` and is the only one
    with usage, `finish_reason`, `model_name` and `id`; every chunk names its `model_provider`.
    """

    @property
    def finished(self) -> bool:
        """Whether the answer is whole, however the connection ends; what may still come is bookkeeping."""

    @property
    def done(self) -> bool:
        """Whether the end marker was seen: nothing more needs reading."""

    def feed(self, data: Any) -> list[AIMessageChunk]:
        """Return the chunks that `data` completes: bytes, or what the vendor's own `stream` yields.

        Raises:
            VendorError: The vendor reported an error inside the stream, or it makes no sense.
        """

    def close(self) -> list[AIMessageChunk]:
        """Return what the end of input completes.

        Raises:
            TruncatedStreamError: The vendor's end marker never came.
        """


class Vendor(CountsTokens, ABC):
    """A vendor of chat models. Subclass it to add one: attributes describe, methods encode and decode.

    Every attribute but `name` has a default: that of a server of OpenAI's chat completions.
    """

    name: ClassVar[str]
    """The part before the colon where people write a model."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other words for the same vendor."""
    provider: ClassVar[str] = ""
    """`response_metadata["model_provider"]`: LangChain's block translator; the name if empty."""

    # -- where it is -------------------------------------------------------------------------------

    base_url: ClassVar[str | None] = None
    """Default base URL, or None where the user must give one."""
    model_in_path: ClassVar[bool] = False
    """Its URLs hold the model's name, which must therefore have no `..` among its segments."""
    domains: ClassVar[tuple[str, ...]] = ()
    """Domains of the vendor's own, where each customer has a host: a key of the environment may go there."""
    environment: ClassVar[Environment] = Environment()
    needs_key: ClassVar[bool] = True
    api_version: ClassVar[str | None] = None
    setup: ClassVar[str] = ""
    """How to set it up, in one line, where no environment variable does."""
    runs: ClassVar[bool] = False
    """It answers in this process, through `generate` and its kin, instead of over HTTP."""

    # -- its models --------------------------------------------------------------------------------

    default_model: ClassVar[str | None] = None
    """The model that is used where only the vendor's key is known."""
    model_names: ClassVar[tuple[str, ...]] = ()
    """Globs of model names that are well known to be this vendor's."""
    slashed_names: ClassVar[bool] = False
    """Its model ids hold slashes of their own (`openai/gpt-oss-20b` on Hugging Face)."""
    listing: ClassVar[Listing]
    """Where the catalog and the price data list its models; a section of the vendor's name by default."""
    billing: ClassVar[Billing] = Billing()
    """How requests and answers show what they cost."""

    litellm_names: ClassVar[tuple[str, ...]] = ()
    """The words that LiteLLM's configuration writes before its models (`gemini/...`)."""
    traced_as: str
    """The name by which tracers identify it: `ls_provider` of its LangChain integration, or the name."""
    otel_name: ClassVar[str] = ""
    """OpenTelemetry's `gen_ai.provider.name`, where it is not the vendor's name."""

    # -- what it accepts ---------------------------------------------------------------------------

    history: ClassVar[HistoryRules] = HistoryRules(provider="")
    parameters: ClassVar[ParameterRules] = ParameterRules(parallel_switch=True)
    tool_names: ClassVar[ToolNameRules] = ToolNameRules()
    schemas: ClassVar[SchemaDialect] = SchemaDialect()
    server_tools: ClassVar[tuple[str, ...]] = ()
    """Globs of the `type` of tools that this vendor runs itself; of Gemini's only key, in braces."""
    pauses: ClassVar[bool] = False
    """It may pause an answer in which its own tools run; see `continued`."""
    portable_tools: ClassVar[Mapping[str, PortableTool]] = {}
    """The portable tools that it runs, by name; see `portable_tools.py`."""
    words: ClassVar[OwnedWords] = OwnedWords(takes_unknown=True)
    """The request words that it owns."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Derive what follows from a vendor's name, unless the class states it."""
        super().__init_subclass__(**kwargs)
        own = cls.__dict__
        if "name" in own:
            cls.listing = own.get("listing") or Listing(cls.name)
            cls.traced_as = own.get("traced_as") or cls.name

    # -- the codec ---------------------------------------------------------------------------------

    @abstractmethod
    def encode_request(self, call: Call) -> httpx.Request:
        """Return the HTTP request for `call`; the only place where its key is unwrapped.

        Raises:
            UnsupportedFeatureError: The call cannot be expressed to this vendor.
        """

    @abstractmethod
    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        """Return the message in a successful response.

        Raises:
            MalformedResponseError: The body is no answer.
            VendorError: An error inside a 200.
        """

    @abstractmethod
    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> StreamDecoder:
        """Return a fresh decoder for one streamed answer."""

    @abstractmethod
    def decode_error(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
        """Return the error that a response with an error status means, by status and structured code."""

    # -- its models --------------------------------------------------------------------------------

    def capabilities(self, model: str) -> ModelProfile | None:
        """Return what `model` can do, by the catalog; None if unknown (then it is assumed able)."""
        return profile(self.listing, model)

    def history_for(self, facts: ModelFacts) -> HistoryRules:
        """Return what a model with these facts accepts as history."""
        return self.history

    def facts(self, model: str) -> ModelFacts:
        """Return what a request to `model` may contain, by the catalog; defaults if the model is unknown."""
        return facts(self.listing, model)

    def is_free(self, model: str, base_url: str) -> bool:
        """Return whether `model` at `base_url` runs on the user's own machines, where tokens cost nothing."""
        return False

    def words_at(self, base_url: str) -> OwnedWords:
        """Return the request words that the server at an address takes."""
        return self.words

    def schema_with_tools(self, model: str, facts: ModelFacts) -> bool:
        """Return whether an answer schema and tools may stand in one request."""
        return True

    def mixes_tools(self, tools: Sequence[Mapping[str, Any]], facts: ModelFacts) -> bool:
        """Return whether functions and these tools of the vendor's own may stand in one request."""
        return True

    def refused(self, call: Call) -> Collection[str]:
        """Return those of the call's parameters that the API to which it goes does not have.

        For vendors with several APIs; what a vendor never takes is in `parameters`.
        """
        return ()

    def stored_answer(self, call: Call) -> str:
        """Return the id of an answer that is stored here and that the call goes on from; empty for none."""
        return ""

    def least_tokens(self, call: Call) -> int:
        """Return the smallest output limit that the API to which a call goes takes."""
        return 1

    def continued(self, call: Call, message: AIMessage) -> Call | None:
        """Return the call that continues an answer which the vendor paused; None if it did not."""
        return None

    def background(self, call: Call) -> BackgroundAnswers | None:
        """Return how answers to `call` are fetched that are made in the background; None if they are not."""
        return None

    def batch_api(self, call: Call) -> BatchApi | None:
        """Return the batch API at the endpoint of `call`; None where there is none."""
        return None

    # -- vendors that answer in this process ---------------------------------------------------------

    def generate(self, call: Call, timeout: float | None) -> AIMessage:
        """Return the answer, within `timeout` seconds.

        Raises:
            DispatchError: The model failed.
        """
        raise NotImplementedError

    async def agenerate(self, call: Call, timeout: float | None) -> AIMessage:
        """Return the answer; the driver enforces the timeout."""
        raise NotImplementedError

    def stream(self, call: Call, timeout: float | None) -> Generator[Any, None, None]:
        """Yield the pieces of an answer, as `stream_decoder` takes them."""
        raise NotImplementedError

    def astream(self, call: Call, timeout: float | None) -> AsyncGenerator[Any, None]:
        """Yield the pieces of an answer; the driver enforces the timeout."""
        raise NotImplementedError

    # -- headers and addresses ---------------------------------------------------------------------

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """Return the vendor's id for the request."""
        return headers.get("x-request-id") or headers.get("request-id")

    def own_secrets(self) -> Sequence[str]:
        """Return what errors must not show of a vendor that runs in this process."""
        return ()

    def limits(self, headers: Mapping[str, str]) -> Sequence[LimitState]:
        """Return the remaining requests and tokens that the headers report."""
        return ()

    def normalise_url(self, url: str) -> str:
        """Return the base URL for the value of an environment variable, which may lack a scheme."""
        return url

    def __repr__(self) -> str:
        """Name the vendor."""
        return f"<vendor {self.name}>"


# -- errors --------------------------------------------------------------------------------------------

_BAD_REQUEST = 400


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The parts of a vendor's error that decide what it means.

    Attributes:
        message: For people.
        type: The vendor's error type, lower case, or empty.
        code: The vendor's error code, or empty.
        details: Structured details that came along.
    """

    message: str
    type: str = ""
    code: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def vendor_error(
    cls: type[VendorError],
    vendor: Vendor,
    call: Call,
    body: ErrorBody,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    wait: float | None = None,
) -> VendorError:
    """Make an error of class `cls` with everything that the vendor reported, redacted.

    Args:
        cls: The class that status and code stand for.
        vendor: The vendor that reported it.
        call: The call that failed; its key, token and header credentials are removed from the text.
        body: The parts of the error.
        status: HTTP status, or None for errors inside a stream.
        headers: Response headers: `retry-after`, `x-should-retry` and the request id are read.
        wait: Seconds to wait by the body (Gemini); headers win.
    """
    headers = headers or {}
    after = retry_after(headers)
    error = cls(
        redact(body.message or "no message", *secrets_of_call(call)),
        vendor=vendor.name,
        status_code=status,
        code=body.code or body.type or None,
        request_id=vendor.request_id(headers),
        retry_after=wait if after is None else after,
    )
    word = headers.get("x-should-retry")  # OpenAI and Anthropic state here whether a retry helps
    if word in {"true", "false"}:
        refused = status == _BAD_REQUEST or issubclass(cls, InvalidRequestError)
        error.is_retryable = word == "true" and (error.is_retryable or not refused)
    return error


def guards_answer(decode: Decode) -> Decode:
    """Return a vendor's `decode_response` that raises `MalformedResponseError` for JSON of another shape."""

    @wraps(decode)
    def guarded(vendor: Vendor, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        try:
            message: AIMessage = decode(vendor, call, body, headers)
        except DispatchError:
            raise
        except Exception as cause:
            text = ErrorBody(f"the answer has an unknown shape: {type(cause).__name__}")
            error = vendor_error(MalformedResponseError, vendor, call, text)
            error.request_id = vendor.request_id(headers)
            raise error from cause
        return message

    return cast("Decode", guarded)
