"""Frozen values that every layer uses: requests, compiled calls, records of attempts, sums of spending.

This module has no behaviour beyond its values and imports nothing of ours. LangChain's messages are the
vocabulary for conversations; there is no second message model here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from operator import add, sub
from typing import Any, Literal, Self, TypeAlias

from langchain_core.messages import BaseMessage
from pydantic import SecretStr

FinishReason: TypeAlias = Literal[
    "stop", "length", "tool_call", "content_filter", "refusal", "context_exceeded", "other"
]
"""`normalized_finish_reason` in LangChain's common words; `error`, the last of them, is raised."""
OutputMethod: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]
RUN_CHOICES = "llmdispatch"
"""The key of what a run chose in its `configurable`, in the run's metadata."""
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""The default size limit of a response: no text comes near it, and a generated image takes 10 to 30 MB."""
UnsupportedParams: TypeAlias = Literal["adapt", "drop", "raise"]

try:
    __version__ = version("langchain-llmdispatch")
except PackageNotFoundError:  # a checkout on the path, not installed
    __version__ = "0.0.0"


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the caller gave it: no vendor's dialect.

    Attributes:
        name: The caller's name for it.
        description: Its description for the model; may be empty.
        parameters: JSON Schema of the arguments, an object schema.
        strict: Whether arguments must follow the schema exactly; None leaves it to the vendor.
        extras: Vendor hints that ride along (`cache_control`, `defer_loading`).
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    strict: bool | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """The caller's constraint on tool use.

    Attributes:
        mode: `auto` (model decides), `none` (no calls), `any` (at least one), `tool` (this one), `validated`
            (as `auto`, with arguments that follow the schema).
        name: The tool's name where mode is `tool`.
        server: The tool where mode is `tool` and a vendor runs it itself, as it stands among `server_tools`.
        allowed: The only tools that may be called, by name; empty for all.
    """

    mode: Literal["auto", "none", "any", "tool", "validated"]
    name: str | None = None
    server: Mapping[str, Any] | None = field(default=None, repr=False)  # it may hold a token
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The shape an answer must have.

    Attributes:
        name: A short name for the schema.
        schema: JSON Schema, or None for "any JSON object" (JSON mode).
        strict: Whether the vendor must enforce it; None leaves it to the vendor.
        method: The caller's choice of method; None means the best that each target has.
    """

    name: str
    schema: Mapping[str, Any] | None
    strict: bool | None = None
    method: OutputMethod | None = None


@dataclass(frozen=True, slots=True)
class Scopes:
    """The words of a request that are for one vendor only.

    Attributes:
        model: Words by vendor, from the model's `vendor_params`.
        call: Words by vendor, from those of the call.
        first: Where the first choice of the call is reached (`origin_of`): its `extra_headers`, `extra_body`
            and `extra_query` go there, and nowhere else.
        vendors: The vendors of the call's deployments.
        owned: Words that one of those vendors owns.
    """

    model: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    call: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    first: str = ""
    vendors: frozenset[str] = frozenset()
    owned: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request of a caller, frozen: everything that policy and codecs need, vendor-neutral.

    Attributes:
        messages: The conversation as the caller gave it. Never mutated.
        params: Neutral parameters by name (`temperature`, `max_tokens`, `top_p`, `stop`, `seed`, `user`,
            `reasoning_effort`, `logprobs`, ...); absent ones are not in the mapping.
        tools: Tools in neutral form.
        server_tools: Vendor-run tools, as the caller wrote them (`{"type": "web_search", ...}`).
        tool_choice: The caller's constraint on tool use.
        parallel_tool_calls: Whether several calls in one turn are allowed; None leaves it to the vendor.
        output: The shape the answer must have.
        extra: The caller's other words, compiled per target: those of its vendor go into the body.
        stream: Whether the answer is streamed.
        unsupported_params: What happens to a parameter that a target cannot take.
        route: The alias or model string that the caller named, if any.
        tags: Tags of the run, for routing rules.
        metadata: Metadata of the run, for routing rules.
        defaults: Names in `params` and `extra` that the model chose and not the call: a deployment's own win.
        resume_from: The vendor's id of an answer in the background that is taken up; no new one is made.
        cancel_at_deadline: Whether an answer in the background that is still to come then is cancelled.
        scopes: Words that are for one vendor only; None if there are none.
    """

    messages: Sequence[BaseMessage]
    params: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[ToolSpec] = ()
    server_tools: Sequence[Mapping[str, Any]] = field(default=(), repr=False)  # they may hold tokens
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputSchema | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)  # they may hold tokens
    stream: bool = False
    unsupported_params: UnsupportedParams = "adapt"
    route: str | None = None
    tags: frozenset[str] = frozenset()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    defaults: frozenset[str] = frozenset()
    resume_from: str | None = None
    cancel_at_deadline: bool = False
    scopes: Scopes | None = field(default=None, repr=False)

    def over(self, own: Mapping[str, Any], chosen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return parameters over a deployment's own ones, but those that are only the model's under them.

        Args:
            own: The deployment's parameters.
            chosen: `params` or `extra` of this request.
        """
        if not own:
            return chosen
        defaults = self.defaults
        above = {name: value for name, value in chosen.items() if name not in own or name not in defaults}
        return {**under(own, above), **above}


OF_THINKING = frozenset(
    {"thinking", "reasoning_effort", "thinking_budget", "thinking_level", "thinking_config", "reasoning"}
)
"""Words for one choice: how much a model thinks."""


def under(lower: Mapping[str, Any], higher: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the words of a lower level that those of a higher one leave: one choice is made by one level."""
    if OF_THINKING.isdisjoint(higher) or OF_THINKING.isdisjoint(lower):
        return lower
    return {name: value for name, value in lower.items() if name not in OF_THINKING}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one deployment is reached and with which credentials.

    Attributes:
        base_url: Absolute URL without a trailing slash.
        api_key: The key, unwrapped only where a request is built; None for servers without one.
        headers: Headers the user adds to each request.
        query: Parameters that the user adds to the URL of each request.
        api_version: The vendor's version string where it has one.
        token_provider: Returns a fresh bearer token per request (Azure Entra); wins over `api_key`.
    """

    base_url: str
    api_key: SecretStr | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # they may hold keys
    query: Mapping[str, Any] = field(default_factory=dict, repr=False)  # as above
    api_version: str | None = None
    token_provider: Callable[[], str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """One request compiled for one target: a codec's input.

    Its history, parameters and tools are legal for the target; the codec only writes them in the vendor's
    format.

    Attributes:
        model: The vendor's own model id.
        endpoint: Where it goes.
        messages: Compiled history (see `vendors/history/compile.py` for its invariants).
        params: Neutral parameter names that this target takes.
        tools: Tools whose names and schemas this vendor accepts.
        server_tools: Tools that this vendor runs itself, verbatim.
        tool_choice: Only a mode that this target accepts.
        parallel_tool_calls: Only set where the target has the switch.
        output: Output shape with a definite method.
        extra: Body fields merged last, by their places; and words that steer the codec (`Word.switch`).
        stream: Whether the answer is streamed.
        tool_names: Vendor's tool name -> caller's, where they differ.
        argument_names: By the vendor's tool name: vendor's names of arguments -> caller's, where they differ.
        max_response_bytes: The most bytes that the response, or one event of it, may have.
        most_output: Tokens that the model writes at most, or None if unknown.
        prompt_cache: Whether the beginning of the prompt is to be cached, and for how long; None: as it is.
        cache_key: What requests with the same beginning share, where that is to be cached.
        deployment: The name of the deployment, which marks its own answers in the history; empty: no answer
            of it is relied on.
        continues: The id of an answer that the vendor has stored: only what follows it is sent.
    """

    model: str
    endpoint: Endpoint
    messages: Sequence[BaseMessage]
    params: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[ToolSpec] = ()
    server_tools: Sequence[Mapping[str, Any]] = field(default=(), repr=False)  # they may hold tokens
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputSchema | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)  # they may hold tokens
    stream: bool = False
    tool_names: Mapping[str, str] = field(default_factory=dict)
    argument_names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    max_response_bytes: int = MAX_RESPONSE_BYTES
    most_output: int | None = None
    prompt_cache: bool | Literal["5m", "1h"] | None = None
    cache_key: str = ""
    deployment: str = ""
    continues: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was altered so that a request fits a target.

    Attributes:
        kind: A stable word, such as `reasoning_dropped` or `temperature_dropped`.
        detail: One readable line. Never holds message text or keys.
        lossy: Whether information the caller gave does not reach the model.
        index: The message's place in the caller's history, or None for parameters and tools.
    """

    kind: str
    detail: str
    lossy: bool = False
    index: int | None = None


@dataclass(frozen=True, slots=True)
class LimitState:
    """A limit as a vendor's headers state it.

    Attributes:
        kind: `requests` or `tokens`.
        remaining: How much is left in the window, or None if unknown.
        limit: The size of the window's budget, or None if unknown.
        reset_after: Seconds until the budget is whole again, or None if unknown.
    """

    kind: Literal["requests", "tokens"]
    remaining: int | None
    limit: int | None = None
    reset_after: float | None = None


@dataclass(frozen=True)
class AttemptRecord:
    """The result of one attempt: of a request that left the process, or was about to.

    Attributes:
        vendor: The vendor's name.
        model: The vendor's model id.
        deployment: The deployment's name.
        status: HTTP status, or None where no answer came.
        error: The error's class name, or None on success.
        wait_ms: Milliseconds slept or queued before sending.
        latency_ms: Milliseconds from sending to the end of the answer.
        ttft_ms: Milliseconds from sending to the first content, where streamed.
        request_id: The vendor's id for the request.
        started_ms: Milliseconds from the call's start until this began, its own wait not included; hedged
            requests overlap.
        cost_usd: US dollars that the vendor bills, as text; by estimate where it was left, cut or timed out.
            None where it was refused, or nothing is known.
    """

    vendor: str
    model: str
    deployment: str
    status: int | None = None
    error: str | None = None
    wait_ms: int = 0
    latency_ms: int = 0
    ttft_ms: int | None = None
    request_id: str | None = None
    started_ms: int = 0
    cost_usd: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON-safe values, keys as in `response_metadata`."""
        return dict(vars(self))


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """The time limits of a call; every value in seconds, None for no bound.

    Attributes:
        timeout: One attempt: to the whole answer, or, streamed, to its first content.
        deadline: The whole call: queueing, sleeping, connecting, streaming.
        first_token: Streamed: from sending to the first content (reasoning counts).
        stream_idle: Streamed: between two pieces of content.
    """

    timeout: float | None = 120.0
    deadline: float | None = 600.0
    first_token: float | None = None
    stream_idle: float | None = 120.0


@dataclass(frozen=True, slots=True)
class Summable:
    """A value whose fields are all sums: values of one class add and subtract."""

    def __add__(self, other: Self) -> Self:
        """Return both taken together."""
        return self._combined(other, add)

    def __sub__(self, earlier: Self) -> Self:
        """Return what was added since an earlier snapshot of the same sums."""
        return self._combined(earlier, sub)

    def _combined(self, other: Self, combine: Callable[[Any, Any], Any]) -> Self:
        names = [each.name for each in fields(self)]
        return replace(self, **{name: combine(getattr(self, name), getattr(other, name)) for name in names})


@dataclass(frozen=True, slots=True)
class Spending(Summable):
    """Tokens and dollars of some requests, as their vendors reported them.

    Attributes:
        input_tokens: Tokens of prompts, cached ones and failed requests included.
        output_tokens: Tokens of answers, reasoning and failed requests included.
        cached_tokens: Tokens of prompts that were read from a vendor's cache.
        reasoning_tokens: Tokens of answers that were reasoning.
        wasted_tokens: Tokens of requests that brought no answer.
        cost: US dollars, exactly, failed requests included; unknown prices are not in it.
        wasted: US dollars of requests that brought no answer.
        estimated: US dollars of `cost` that were counted by estimate: their vendors did not report them.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    wasted_tokens: int = 0
    cost: Decimal = Decimal(0)
    wasted: Decimal = Decimal(0)
    estimated: Decimal = Decimal(0)

    @property
    def total_tokens(self) -> int:
        """Tokens in and out."""
        return self.input_tokens + self.output_tokens

    @property
    def cost_usd(self) -> float:
        """US dollars, failed requests included; unknown prices are not in it. `cost` is exact."""
        return float(self.cost)

    @property
    def wasted_usd(self) -> float:
        """US dollars of requests that brought no answer."""
        return float(self.wasted)
