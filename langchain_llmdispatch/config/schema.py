"""One schema for constructor, file and mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.config.files import read_config
from langchain_llmdispatch.deployments.deployment import Deployment, VendorConfig
from langchain_llmdispatch.dispatch.cascade import EscalateWhen, check_escalation
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.routing import RoutingRule, Strategy, check_strategy
from langchain_llmdispatch.settings import Settings
from langchain_llmdispatch.types import UnsupportedParams
from langchain_llmdispatch.vendors.base import Vendor

ModelLike: TypeAlias = str | Deployment | BaseChatModel
"""What may stand for a deployment: `vendor:model`, a `Deployment`, any LangChain chat model."""


def as_deployments(value: Any) -> Any:
    """Return `value` with each thing that stands for a deployment made one."""
    if isinstance(value, (str, Runnable)):
        return Deployment(value)
    if isinstance(value, Mapping):
        return Deployment(**value)
    return value


class DispatchFields(BaseModel):
    """The fields that `DispatcherChatModel` and `DispatcherConfig` share: written once, so they cannot drift.

    Attributes:
        model: `vendor:model`, a well-known model name, or the name of a route. Tried first.
        models: The deployments, in order of preference.
        routes: Aliases for lists of deployments; `model="fast"` asks for one.
        vendors: Credentials and limits per vendor.
        custom_vendors: Vendors of your own, named like the built-in ones; one of the same name replaces it.
            Installed packages offer theirs by the entry-point group `langchain_llmdispatch.vendors`.
        default_vendor: The vendor whose deployments are tried first.
        fallback_vendor: The vendor whose deployments are tried last.
        routing_rules: Who serves which requests.
        strategy: How deployments are ordered.
        retry_policy: When and how one deployment is asked again.
        max_attempts: Requests that may leave the process for one call, over retries, fallbacks and hedges.
        timeout: Seconds for one attempt; streamed, until its first content.
        deadline: Seconds for the whole call: queueing, sleeping, connecting, streaming.
        first_token_timeout: Seconds from sending to the first streamed content; reasoning counts.
        stream_idle_timeout: Seconds between two pieces of streamed content; keep-alives do not count.
        on_stream_error: What happens when a stream breaks after content: `raise`, or `resume` elsewhere.
        hedge_after: Seconds without a first token after which a second deployment is tried as well.
        escalate_when: Which answers send a call on to the next deployment: `refusal`, `length`,
            `invalid_schema`, a function of the message, or several of these. Streams are held back until an
            answer is accepted; if none is, the last one is returned (`llmdispatch.accepted` is false).
        budget_usd: US dollars that one call may cost at worst; a dearer one is refused before sending.
        temperature: Sampling temperature.
        max_tokens: Tokens of the answer at most.
        top_p: Nucleus sampling.
        stop: Sequences that end the answer.
        seed: Seed for vendors that sample reproducibly.
        user: An id of the end user, for vendors' abuse detection.
        streaming: Whether `invoke` streams underneath.
        unsupported_params: Whether what a target cannot take is adapted, dropped, or an error.
        allowed_vendors: The only vendors that may see a conversation; None allows all configured ones.
        enable_logging: Print readable logs of decisions (never prompts or keys).
        enable_metrics: Keep statistics.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True)

    model: str | Deployment | BaseChatModel | None = None
    models: Sequence[Deployment] = ()
    routes: Mapping[str, Sequence[Deployment]] = Field(default_factory=dict)
    vendors: Mapping[str, VendorConfig] = Field(default_factory=dict)
    custom_vendors: Sequence[Vendor] = Field(default=(), exclude=True, repr=False)
    default_vendor: str | None = None
    fallback_vendor: str | None = None
    routing_rules: Sequence[RoutingRule] = ()
    strategy: Strategy = "ordered"
    retry_policy: RetryPolicy = Field(default_factory=RetryPolicy)
    max_attempts: int = Field(default=6, ge=1)
    timeout: float | None = Field(default=120.0, gt=0)
    deadline: float | None = Field(default=600.0, gt=0)
    first_token_timeout: float | None = Field(default=None, gt=0)
    stream_idle_timeout: float | None = Field(default=120.0, gt=0)
    on_stream_error: Literal["raise", "resume"] = "raise"
    hedge_after: float | None = Field(default=None, ge=0)
    escalate_when: EscalateWhen | None = None
    budget_usd: float | None = Field(default=None, ge=0)
    temperature: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, gt=0)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: Sequence[str] | None = None
    seed: int | None = None
    user: str | None = None
    streaming: bool = False
    unsupported_params: UnsupportedParams = "adapt"
    allowed_vendors: Sequence[str] | None = None
    enable_logging: bool = False
    enable_metrics: bool = True

    @field_validator("model", mode="before")
    @classmethod
    def _own_model(cls, value: Any) -> Any:
        is_bare = isinstance(value, Runnable) and not isinstance(value, BaseChatModel)
        return Deployment(value) if is_bare else value

    @field_validator("models", mode="before")
    @classmethod
    def _models(cls, value: Any) -> Any:
        if isinstance(value, (str, Mapping, Deployment, Runnable)):
            value = [value]
        return tuple(as_deployments(item) for item in value)

    @field_validator("routes", mode="before")
    @classmethod
    def _routes(cls, value: Any) -> Any:
        return {alias: cls._models(items) for alias, items in value.items()}

    @field_validator("stop", mode="before")
    @classmethod
    def _stop(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("escalate_when", mode="before")
    @classmethod
    def _escalate_when(cls, value: Any) -> Any:
        return check_escalation(value)

    @field_validator("strategy", mode="before")
    @classmethod
    def _strategy(cls, value: Any) -> Any:
        return check_strategy(value)


class DispatcherConfig(DispatchFields, Settings):
    """What a configuration file holds; the fields of `DispatcherChatModel`."""

    @classmethod
    def load(cls, source: Any, variables: Mapping[str, str] | None = None) -> DispatcherConfig:
        """Return the configuration in a YAML or JSON file or a mapping, `${ENV}` references resolved.

        Args:
            source: A path, a mapping, or a `DispatcherConfig` (returned as it is).
            variables: Where references are looked up; default: the environment over `.env`.

        Raises:
            ConfigurationError: The file is missing or malformed, a variable is not set, or a field is wrong.
        """
        if isinstance(source, cls):
            return source
        variables = environment() if variables is None else variables
        return cls.checked(read_config(source, variables))

    @classmethod
    def checked(cls, fields: Mapping[str, Any]) -> DispatcherConfig:
        """Return the configuration with these fields.

        Raises:
            ConfigurationError: A field is wrong; one line each, never with a value that may be a key.
        """
        try:
            return cls(**fields)
        except ValidationError as error:
            raise ConfigurationError(explain_validation(error)) from None


def explain_validation(error: ValidationError) -> str:
    """Return a validation error as one line per field."""
    lines = []
    for detail in error.errors(include_input=False, include_url=False, include_context=False):
        where = ".".join(str(part) for part in detail["loc"])
        text = detail["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {text}" if where else text)
    return "\n".join(lines)
