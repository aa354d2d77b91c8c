"""One schema for constructor, file and mapping: `DispatchFields`, and what only one of them can hold."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import Runnable
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    field_validator,
    model_validator,
)

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.config.partner_words import read_partner_words
from langchain_llmdispatch.config.redis import Redis
from langchain_llmdispatch.deployments.credentials import Headers, Key, Url, Words
from langchain_llmdispatch.deployments.deployment import Deployment, VendorConfig
from langchain_llmdispatch.dispatch.cascade import EscalateWhen, check_escalation
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.dispatch.retry_quota import RetryQuota
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.routing import RoutingRule, Strategy, check_strategy
from langchain_llmdispatch.settings import NONE, Checked, Converted, FrozenDict, late_class
from langchain_llmdispatch.types import MAX_RESPONSE_BYTES, UnsupportedParams
from langchain_llmdispatch.vendors.client_words import check_words, checked_vendor_params
from langchain_llmdispatch.vendors.langchain.pacing import deferred
from langchain_llmdispatch.vendors.parameters import NEUTRAL
from langchain_llmdispatch.vendors.prompt_cache import PromptCache, checked_prompt_cache
from langchain_llmdispatch.vendors.word_secrets import WordDict

if TYPE_CHECKING:
    from langchain_llmdispatch.budgets.budget import Budget
    from langchain_llmdispatch.budgets.state import BudgetState
    from langchain_llmdispatch.health.health import Health
    from langchain_llmdispatch.limits.limiter import Limiter
    from langchain_llmdispatch.vendors.base import Vendor
else:
    Budget = late_class("langchain_llmdispatch.budgets.budget", "Budget")
    BudgetState = late_class("langchain_llmdispatch.budgets.state", "BudgetState")
    Health = late_class("langchain_llmdispatch.health.health", "Health")
    Limiter = late_class("langchain_llmdispatch.limits.limiter", "Limiter")
    Vendor = late_class("langchain_llmdispatch.vendors.base", "Vendor")


def _deployment(value: Any) -> Any:
    """Return the fields of the deployment that a string or a LangChain model stands for."""
    return {"model": value} if isinstance(value, (str, Runnable)) else value


def _deployments(value: Any) -> Any:
    one = isinstance(value, (str, Mapping, Deployment, Runnable))
    if not one and not isinstance(value, (list, tuple)):
        raise ConfigurationError(f"{type(value).__name__} is no list of deployments.")
    return [value] if one else value


def _model(value: Any) -> Any:
    if value is not None and not isinstance(value, (str, Mapping, Deployment, Runnable)):
        raise ConfigurationError(f"{type(value).__name__} is no model: write 'vendor:model'.")
    bound = isinstance(value, (Mapping, Runnable)) and not isinstance(value, BaseChatModel)
    return Deployment(**_deployment(value)) if bound else value


def _vendor_params(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return WordDict(checked_vendor_params(value))


def _model_kwargs(value: Mapping[str, Any]) -> Mapping[str, Any]:
    check_words(value, "model_kwargs")
    return value


_FROZEN, _TUPLE = AfterValidator(FrozenDict), AfterValidator(tuple)
_EMPTY: Any = ()
_EMPTY_DICT: Any = FrozenDict
_RETRY_POLICY: Any = RetryPolicy
_RETRY_QUOTA: Any = RetryQuota
_Fields: TypeAlias = Mapping[str, Any]  # of a model of ours, as files hold them
Deployable: TypeAlias = str | Deployment | Runnable[Any, Any] | _Fields
"""What stands for a deployment: `vendor:model`, a LangChain chat model, its fields."""
if TYPE_CHECKING:
    _Model: TypeAlias = Converted[str | Deployment | BaseChatModel | None, Deployable | None]
    _Several: TypeAlias = Sequence[Deployable] | Deployable
    Deployments: TypeAlias = Converted[Sequence[Deployment], _Several]
    _Routes: TypeAlias = Converted[Mapping[str, Sequence[Deployment]], Mapping[str, _Several]]
    _Vendors: TypeAlias = Converted[Mapping[str, VendorConfig], Mapping[str, VendorConfig | _Fields]]
    _Rules: TypeAlias = Converted[Sequence[RoutingRule], Sequence[RoutingRule | _Fields]]
    _Retries: TypeAlias = Converted[RetryPolicy, RetryPolicy | _Fields]
    _Quota: TypeAlias = Converted[RetryQuota | None, RetryQuota | _Fields | None]
else:
    _Model = Annotated[
        str | Deployment | InstanceOf[BaseChatModel] | None,
        BeforeValidator(_model, json_schema_input_type=str | Deployment | None),
    ]
    Deployments = Annotated[
        Sequence[
            Annotated[Deployment, BeforeValidator(_deployment, json_schema_input_type=str | Deployment)]
        ],
        BeforeValidator(_deployments, json_schema_input_type=str | Deployment | list[str | Deployment]),
        _TUPLE,
    ]
    _Routes = Annotated[Mapping[str, Deployments], _FROZEN]
    _Vendors = Annotated[Mapping[str, VendorConfig], _FROZEN]
    _Rules = Annotated[Sequence[RoutingRule], _TUPLE]
    _Retries, _Quota = RetryPolicy, RetryQuota | None


class DispatchFields(Checked):
    """The fields that `DispatcherChatModel` and `DispatcherConfig` share: written once, so they cannot drift.

    Attributes:
        model: `vendor:model`, a well-known model name, or the name of a route. Tried first.
        models: The deployments, in order of preference: `"openai:gpt-6-luna"`,
            `Deployment("openai:gpt-6-luna", rpm=50)`, or any LangChain chat model.
        routes: Lists of deployments by name: `{"fast": [...], "smart": [...]}`; `model="fast"` chooses one.
        vendors: Credentials and limits per vendor: `{"openai": VendorConfig(api_key=..., rpm=500)}`.
        custom_vendors: Vendors of your own, named like the built-in ones; one of the same name replaces it.
            Installed packages offer theirs by the entry-point group `langchain_llmdispatch.vendors`.
        default_vendor: The vendor whose deployments are tried first.
        fallback_vendor: The vendor whose deployments are tried last.
        routing_rules: Which deployments serve which requests: `RoutingRule(vendor="google", has_tools=True)`.
        strategy: How deployments are ordered: `ordered` (as written), `weighted`, `round_robin`,
            `least_busy`, `lowest_latency`, `lowest_cost`, `balanced`, weights and ceilings (`{"cost": 0.5,
            "latency": 0.5, "max_cost_usd": 0.01}`), or a function.
        retry_policy: When and how the same deployment is tried again.
        retry_quota: The share of all calls that may be retries, so that they cannot overload a vendor that
            struggles; by default a fifth, and one a second besides. None for no bound.
        max_attempts: Requests that may leave the process for one call, over retries, fallbacks, hedges and
            last resorts; deployments that share a refused key take at most two of them.
        timeout: Seconds for one attempt; streamed, until its first content.
        deadline: Seconds for the whole call: queueing, sleeping, connecting, streaming. Time in which
            the reader of a stream does not wait for its next chunk counts in none of the limits. A sync call
            of a LangChain chat model cannot be interrupted: there, the model's own timeout bounds it.
        first_token_timeout: Seconds from sending to the first streamed content; reasoning counts.
        stream_idle_timeout: Seconds between two pieces of streamed content; keep-alives do not count.
        wait_for_preferred: Seconds that a call waits for its first choice while that is rate limited (by our
            own limits, or a vendor's `Retry-After`), instead of moving on.
        on_stream_error: What happens when a stream breaks after content: `raise`, or `resume` elsewhere.
        hedge_after: Seconds without a first token after which a second deployment is tried as well.
        max_response_bytes: The most bytes of a response, unpacked, and of one event of a stream; a whole
            stream may have four times as many. A longer one is a `ResponseTooLargeError`.
        escalate_when: Which answers send a call on to the next deployment: `refusal`, `length`,
            `invalid_schema`, a function of the message, or several of these. Streams are held back until an
            answer is accepted; if none is, the last one is returned (`llmdispatch.accepted` is false).
        budget_usd: US dollars that one call may cost at worst; a dearer one is refused before sending.
        on_budget: What happens near the end of a budget (`Budget.near`): `raise` (nothing, until a call does
            not fit and is refused), `cheaper` (cheaper deployments first, one step less of reasoning effort),
            or a function of the `BudgetState` that returns one of these, None, or a route's name.
        temperature: Sampling temperature, from 0; left to the vendor by default.
        max_tokens: Tokens of the answer at most.
        top_p: Nucleus sampling: the share of probability that is sampled from, 0 to 1.
        stop: Sequences that end the answer.
        seed: Seed for vendors that sample reproducibly.
        user: An id of the end user, for vendors' abuse detection.
        top_k: Sampling from the k likeliest tokens.
        presence_penalty: Against words that have occurred.
        frequency_penalty: Against words by how often they have occurred.
        logprobs: Whether log probabilities come with the answer.
        top_logprobs: How many alternatives come with each of them.
        logit_bias: Bias by token, for vendors of OpenAI's format.
        reasoning_effort: `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`, or the nearest to it.
        thinking: Whether and how a model thinks, in any vendor's form: a boolean, `{"type": "enabled",
            "budget_tokens": 4096}`, `{"thinking_budget": 4096}`.
        verbosity: `low`, `medium` or `high` (OpenAI).
        service_tier: `auto`, `default`, `flex`, `priority`, or the vendor's word for it.
        parallel_tool_calls: Whether several tools may be called in one turn; None leaves it to the vendor.
        prompt_cache: Whether the beginning of prompts is cached, and for how long: True, `5m`, `1h` or False.
            Breakpoints for Anthropic, a key and a lifetime for OpenAI and Azure; others need no word for it.
        vendor_params: Words for one vendor only: `{"anthropic": {"betas": [...]}}`.
        streaming: Whether `invoke` streams underneath.
        unsupported_params: Whether what a target cannot take is adapted, dropped, or an error.
        allowed_vendors: The only vendors that may see a conversation, `["openai"]`; None allows all that are
            configured.
        missing_keys: Whether a deployment that lacks its key is left out with a warning while another one is
            left (`skip`; `explain()` lists it), or an error (`raise`).
        count_tokens: Whether `get_num_tokens_from_messages` estimates, or counts at the planned vendor's own
            endpoint (`exact`), where it has one.
        redis: Where limits, health and budgets are shared by processes: a URL, or fields of `RedisConfig`.
            Without it the variable `LLMDISPATCH_REDIS_URL` counts, unless it is False. A `limiter`, `health`
            or `budget` that is handed in wins.
        enable_logging: Print readable logs of decisions (never prompts or keys).
        enable_metrics: Keep statistics.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True)
    _positional: ClassVar[str | None] = "model"

    model: _Model = Field(default=NONE, kw_only=False)
    models: Deployments = Field(default=_EMPTY)
    routes: _Routes = Field(default_factory=_EMPTY_DICT)
    vendors: _Vendors = Field(default_factory=_EMPTY_DICT)
    custom_vendors: Annotated[Sequence[Vendor], _TUPLE] = Field(default=(), exclude=True, repr=False)
    default_vendor: str | None = None
    fallback_vendor: str | None = None
    routing_rules: _Rules = Field(default=_EMPTY)
    strategy: Annotated[Strategy, BeforeValidator(check_strategy)] = "ordered"
    retry_policy: _Retries = Field(default_factory=_RETRY_POLICY)
    retry_quota: _Quota = Field(default_factory=_RETRY_QUOTA)
    max_attempts: int = Field(default=6, ge=1)
    timeout: float | None = Field(default=120.0, gt=0)
    deadline: float | None = Field(default=600.0, gt=0)
    first_token_timeout: float | None = Field(default=None, gt=0)
    stream_idle_timeout: float | None = Field(default=120.0, gt=0)
    wait_for_preferred: float = Field(default=0.0, ge=0)
    on_stream_error: Literal["raise", "resume"] = "raise"
    hedge_after: float | None = Field(default=None, ge=0)
    max_response_bytes: int = Field(default=MAX_RESPONSE_BYTES, gt=0)
    escalate_when: Annotated[EscalateWhen | None, BeforeValidator(check_escalation)] = None
    budget_usd: float | None = Field(default=None, ge=0)
    on_budget: Literal["raise", "cheaper"] | Callable[[BudgetState], str | None] = "raise"
    temperature: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, gt=0)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: Sequence[str] | None = None
    seed: int | None = None
    user: str | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | int | None = None
    top_logprobs: int | None = Field(default=None, ge=0)
    logit_bias: Mapping[str, float] | None = None
    reasoning_effort: str | None = None
    thinking: bool | str | Mapping[str, Any] | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    parallel_tool_calls: bool | None = None
    prompt_cache: Annotated[PromptCache | None, BeforeValidator(checked_prompt_cache)] = None
    vendor_params: Annotated[Words, AfterValidator(_vendor_params)] = Field(default_factory=dict)
    streaming: bool = False
    unsupported_params: UnsupportedParams = "adapt"
    allowed_vendors: Sequence[str] | None = None
    missing_keys: Literal["skip", "raise"] = "skip"
    count_tokens: Literal["estimate", "exact"] = "estimate"
    redis: Redis = Field(default=NONE, repr=False)
    enable_logging: bool = False
    enable_metrics: bool = True

    @field_validator("stop", mode="before", json_schema_input_type=str | Sequence[str] | None)
    @classmethod
    def _stop(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


PARAMETERS = tuple(name for name in DispatchFields.model_fields if name in NEUTRAL)
"""The fields that are parameters of each request."""


class ModelFields(DispatchFields):
    """The fields of `DispatcherChatModel`: those of a configuration, and what only its constructor takes.

    Attributes:
        api_key: The key for `model`, where the vendor's own is not in the environment.
        base_url: The address for `model`.
        default_headers: Headers of each request to `model`.
        default_query: Parameters of the URL of each request to `model`.
        organization: The OpenAI organization for `model`.
        api_version: The API version for `model` (Azure, Anthropic).
        max_retries: Shorthand for `retry_policy.max_retries`.
        model_kwargs: Words of every call, as `invoke` takes them.
        env: Variables with keys and addresses, instead of the process's and those of `.env`.
        clock: The source of time.
        rng: The source of randomness: order and jitter.
        limiter: The limits, where models share them; default: one of its own.
        health: The health of the deployments, where models share it; default: one of its own.
        budget: Dollars and tokens per call, run or period, shared by the models that hold it; or several.
        rate_limiter: LangChain's; each call waits for it once, within its deadline.
    """

    api_key: Key = Field(default=NONE, repr=False)
    base_url: Url = None
    max_retries: int | None = Field(default=None, ge=0)
    model_kwargs: Annotated[Words, AfterValidator(_model_kwargs)] = Field(default_factory=dict)
    default_headers: Headers | None = Field(default=None, exclude=True, repr=False)
    default_query: Mapping[str, Any] | None = Field(default=None, exclude=True, repr=False)
    organization: str | None = None
    api_version: str | None = None
    env: Mapping[str, str] | None = Field(default=None, exclude=True, repr=False)
    clock: Clock = Field(default_factory=Clock, exclude=True, repr=False)
    rng: random.Random = Field(default_factory=forks.OwnRandom, exclude=True, repr=False)
    limiter: Limiter | None = Field(default=None, exclude=True, repr=False)
    health: Health | None = Field(default=None, exclude=True, repr=False)
    budget: Budget | Sequence[Budget] | None = Field(default=None, exclude=True, repr=False)
    rate_limiter: Annotated[BaseRateLimiter | None, AfterValidator(deferred)] = Field(
        default=None, exclude=True, repr=False
    )

    @model_validator(mode="before")
    @classmethod
    def _check_llmdispatch_fields(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        if not values.keys() <= cls.model_fields.keys():
            values = read_partner_words(cls.__name__, values, cls.model_fields)
        return values
