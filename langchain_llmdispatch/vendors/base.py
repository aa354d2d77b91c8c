"""What a vendor is: the codec from LangChain's messages to a vendor's bytes and back.

A vendor is pure. It turns a compiled `Call` into an `httpx.Request`, bytes into messages and chunks, and
an error response into an error of our tree. It holds no client, no clock and no state; a stream's decoder
is an object of its own. `httpx.Request` is used as a value only.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import httpx

from langchain_llmdispatch.catalog.models import profile
from langchain_llmdispatch.errors import VendorError, redact
from langchain_llmdispatch.framing import dump_json

if TYPE_CHECKING:
    from langchain_core.language_models.model_profile import ModelProfile
    from langchain_core.messages import AIMessage, AIMessageChunk

    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.types import Call, Endpoint, LimitState
    from langchain_llmdispatch.vendors.compile.parameters import ParameterRules


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment variables in which people keep a vendor's settings, preferred one first.

    Attributes:
        keys: Names for the API key.
        urls: Names for the base URL.
        versions: Names for the API version.
        timeout: Name for the timeout of one attempt, in seconds.
        bearers: Those of `keys` that hold a bearer token rather than a key.
    """

    keys: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    timeout: str = ""
    bearers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryRules:
    """What a vendor accepts as history, as data for `vendors/history.py`.

    Attributes:
        provider: The `model_provider` that the vendor's own messages carry.
        system: `anywhere`, or `leading`: only one, at the front; later ones become tagged user turns.
        alternate: Neighbouring turns of one role must be merged.
        first_user: The first turn after the system message must be the user's.
        last_user: An assistant turn may not be the last (no prefill).
        names: `slug`: message names are kept, spelled `[a-zA-Z0-9_-]{1,64}`; `drop`: the field is refused.
        tool_id: What a tool-call id must match; other ids are rewritten, call and result alike.
        user_media: Media kinds that a user turn may hold, of `image image_url pdf pdf_url audio video file`.
        tool_media: Media kinds that a tool result may hold; others move to a user turn after it.
        reasoning: `signed`: native signed reasoning goes back unchanged; `text`: native reasoning text goes
            back; `drop`: none does.
        same_model: Native reasoning is only valid for the very model that wrote it.
        call_signature: Placeholder signature for tool calls that came from elsewhere (Gemini), or None.
        cache_control: Prompt-cache markers on blocks are understood.
        blank_text: Blank text blocks are accepted.
        citations: The vendor's own citations may go back in assistant text.
        verbatim: The vendor's own answers go back as they were, where their calls need no change.
    """

    provider: str
    system: Literal["anywhere", "leading"] = "anywhere"
    alternate: bool = False
    first_user: bool = False
    last_user: bool = False
    names: Literal["slug", "drop"] = "drop"
    tool_id: re.Pattern[str] | None = None
    user_media: frozenset[str] = frozenset({"image", "image_url"})
    tool_media: frozenset[str] = frozenset()
    reasoning: Literal["signed", "text", "drop"] = "drop"
    same_model: bool = False
    call_signature: str | None = None
    cache_control: bool = False
    blank_text: bool = False
    citations: bool = False
    verbatim: bool = False


class StreamDecoder(Protocol):
    """A stream's decoder: bytes in, chunks out, truncation noticed.

    The last chunk it ever returns, from `feed` or `close`, has `chunk_position="last"` and is the only one
    with usage, `finish_reason`, `model_name` and `id`; every chunk names its `model_provider`.
    """

    @property
    def finished(self) -> bool:
        """Whether the answer is whole; what may still come is bookkeeping (usage, `[DONE]`)."""

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


class Vendor(ABC):
    """A vendor of chat models. Subclass it and hand it to `register_vendor` to add one.

    Class attributes describe, methods encode and decode. Subclasses of the OpenAI family differ mostly in
    the former.
    """

    name: ClassVar[str]
    """What people write before the colon in `vendor:model`."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other words for the same vendor."""
    provider: ClassVar[str] = ""
    """`response_metadata["model_provider"]`: LangChain's block translator; the name if empty."""
    base_url: ClassVar[str | None] = None
    """Default base URL, or None where the user must give one."""
    environment: ClassVar[Environment] = Environment()
    needs_key: ClassVar[bool] = True
    local: ClassVar[bool] = False
    """Runs on the user's own machine: costs nothing, sends nothing away."""
    model_names: ClassVar[tuple[str, ...]] = ()
    """Globs of model names that are well known to be this vendor's."""
    slashed_names: ClassVar[bool] = False
    """Its model ids hold slashes of their own (`openai/gpt-oss-20b` on Hugging Face)."""
    default_model: ClassVar[str | None] = None
    """What is asked where only the vendor's key is known."""
    api_version: ClassVar[str | None] = None
    history: ClassVar[HistoryRules] = HistoryRules(provider="")
    server_tools: ClassVar[tuple[str, ...]] = ()
    """Globs of the `type` of tools that this vendor runs itself."""
    parameters: ClassVar[ParameterRules | None] = None
    """The parameters that it takes, for a vendor that `parameters.RULES` does not know; None looks there."""
    runs: ClassVar[bool] = False
    """It answers by itself, through `generate` and its kin, instead of over HTTP."""

    @property
    def catalog(self) -> str:
        """The name under which the catalog and the price data know its models."""
        return self.name

    @property
    def traced_as(self) -> str:
        """The name by which tracers know it: `ls_provider` of its LangChain integration."""
        return self.catalog or self.name

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

    def capabilities(self, model: str) -> ModelProfile | None:
        """Return what `model` can do, by the catalog; None if unknown (then it is assumed able)."""
        return profile(self.catalog, model)

    def refused(self, call: Call) -> Collection[str]:  # noqa: ARG002 - for subclasses
        """Return those of the call's parameters for which the API that it goes to has no word.

        For vendors with several APIs; what a vendor or model never takes is data in `parameters.RULES`.
        """
        return ()

    # -- vendors that answer by themselves ----------------------------------------------------------

    def generate(self, call: Call, timeout: float | None) -> AIMessage:
        """Return the answer, `timeout` seconds at most.

        Raises:
            DispatchError: There is none.
        """
        raise NotImplementedError

    async def agenerate(self, call: Call, timeout: float | None) -> AIMessage:  # noqa: ASYNC109 - told, not kept
        """Return the answer; the driver keeps the time."""
        raise NotImplementedError

    def stream(self, call: Call, timeout: float | None) -> Generator[Any, None, None]:
        """Yield the pieces of an answer, whatever `stream_decoder` is fed with."""
        raise NotImplementedError

    def astream(self, call: Call, timeout: float | None) -> AsyncGenerator[Any, None]:
        """Yield the pieces of an answer; the driver keeps the time."""
        raise NotImplementedError

    # -- bookkeeping in headers --------------------------------------------------------------------

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """Return the vendor's id for the request."""
        return headers.get("x-request-id") or headers.get("request-id")

    def limits(self, headers: Mapping[str, str]) -> Sequence[LimitState]:  # noqa: ARG002 - for subclasses
        """Return what the headers say about remaining requests and tokens."""
        return ()

    def schema_with_tools(self, model: str, facts: ModelFacts) -> bool:  # noqa: ARG002 - for subclasses
        """Return whether an answer schema and tools may stand in one request."""
        return True

    def normalise_url(self, url: str) -> str:
        """Return the base URL meant by an environment variable's value (`OLLAMA_HOST` may lack a scheme)."""
        return url

    def __repr__(self) -> str:
        """Name the vendor."""
        return f"<vendor {self.name}>"


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The parts of a vendor's error that decide what it means.

    Attributes:
        message: For people.
        type: The vendor's error type, lower case, or empty.
        code: The vendor's error code, or empty.
        details: Whatever structured details came along.
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
    """Make an error of class `cls` with everything the vendor said, redacted.

    Args:
        cls: The class that status and code stand for.
        vendor: Who said it.
        call: What it was said of; its key is removed from the text.
        body: The parts of the error.
        status: HTTP status, or None for errors inside a stream.
        headers: Response headers: `retry-after`, `x-should-retry` and the request id are read.
        wait: Seconds to wait where the body says so (Gemini); headers win.
    """
    headers = headers or {}
    key = call.endpoint.api_key
    error = cls(
        redact(body.message or "no message", key.get_secret_value() if key else None),
        vendor=vendor.name,
        status_code=status,
        code=body.code or body.type or None,
        request_id=vendor.request_id(headers),
        retry_after=(said if (said := retry_after(headers)) is not None else wait),
    )
    # The vendor knows best whether asking again helps (OpenAI and Anthropic send this header).
    word = headers.get("x-should-retry")
    if word in {"true", "false"}:
        error.is_retryable = word == "true" and (error.is_retryable or status != 400)  # noqa: PLR2004
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `retry-after-ms` or `retry-after` (seconds, decimals, date) asks to wait.

    A date is read against the response's own `date` header. None if absent or unreadable.
    """
    ms, text = _number(headers.get("retry-after-ms")), headers.get("retry-after")
    if ms is not None:
        return ms / 1000
    if text is None or (seconds := _number(text)) is not None:
        return seconds if text is not None else None
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(headers["date"])
    except (KeyError, TypeError, ValueError):
        return None
    return max(0.0, (until - now).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < float("inf") else None


def bearer(endpoint: Endpoint) -> dict[str, str]:
    """Return the header with the bearer token or key of `endpoint`; none where it has neither."""
    if endpoint.token_provider:
        return {"authorization": f"Bearer {endpoint.token_provider()}"}
    if endpoint.api_key:
        return {"authorization": f"Bearer {endpoint.api_key.get_secret_value()}"}
    return {}


@lru_cache(maxsize=512)
def _url(url: str) -> httpx.URL:
    return httpx.URL(url)


def json_request(url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> httpx.Request:
    """Return a POST of `body` as JSON, the cheap way: a ready URL, all headers in one go, a ready body.

    Measured at about a sixth of `Client.build_request`. `None` values in `headers` are not allowed.
    """
    where, content = _url(url), dump_json(body)
    fields = {
        "accept": "*/*",
        "content-type": "application/json",
        "user-agent": "langchain-llmdispatch",
        **headers,
    }
    given = {name.lower() for name in headers}
    first = [] if "host" in given else [("Host", where.netloc.decode("ascii"))]
    last = [] if "content-length" in given else [("Content-Length", str(len(content)))]
    own = httpx.Headers([*first, *fields.items(), *last])
    request = httpx.Request("POST", where, headers=own, stream=httpx.ByteStream(content))
    request.read()  # so that `content` may be asked for, as of any request with a body
    return request
