"""`DispatcherChatModel`: LangChain's face. It freezes requests and hands them to the drivers."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from langchain_llmdispatch.callbacks.events import Run, ambient_run
from langchain_llmdispatch.chat_model.call import RoutedChatModel, options_of
from langchain_llmdispatch.chat_model.request import freeze
from langchain_llmdispatch.chat_model.run_context import inspected
from langchain_llmdispatch.chat_model.structured_output import OutputMethod, structured_output
from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.config.litellm import read_litellm
from langchain_llmdispatch.config.schema import DispatcherConfig
from langchain_llmdispatch.deployments.deployment import Deployment, without_secrets
from langchain_llmdispatch.deployments.registry import DeploymentRegistry
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.drivers.drivers import AsyncDriver, SyncDriver
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.settings import check_fields
from langchain_llmdispatch.transport.transport import Transport
from langchain_llmdispatch.types import ChatRequest
from langchain_llmdispatch.vendors.compile.neutral_tools import bound_tools, neutral_choice, neutral_tools
from langchain_llmdispatch.version import __version__

if TYPE_CHECKING:
    from types import TracebackType

    from langchain_core.language_models.model_profile import ModelProfile

    from langchain_llmdispatch.callbacks.events import RunManager
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.vendors.base import Vendor

_PARAMETERS = ("temperature", "max_tokens", "top_p", "stop", "seed", "user")
_ALIASES = {"request_timeout": "timeout", "model_name": "model", "max_completion_tokens": "max_tokens"}


class DispatcherChatModel(RoutedChatModel):
    """One chat model over every vendor: it routes, retries, falls back, limits and counts.

    Example:
        ```python
        from langchain_llmdispatch import DispatcherChatModel

        model = DispatcherChatModel(models=["openai:gpt-6-luna", "anthropic:claude-haiku-5-5"])
        print(model.invoke("What is the capital of France?").text)
        ```

    Without `model`, `models` and `routes` it uses one deployment per vendor that has a key in the environment
    or in `.env`. All fields are those of `DispatchFields` and of LangChain's `BaseChatModel`, and:

    Attributes:
        api_key: The key for `model`, where the vendor's own is not in the environment.
        base_url: The address for `model`.
        max_retries: Shorthand for `retry_policy.max_retries`.
        limiter: The keeper of the limits, where models are to share them; default: one of its own.

    Raises:
        ValueError: A field is unknown, contradictory or malformed; the message names it and the nearest
            right one (pydantic's `ValidationError`, or `ConfigurationError`).
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True, extra="forbid")

    api_key: SecretStr | Callable[[], str] | None = Field(default=None, repr=False)
    base_url: str | None = None
    max_retries: int | None = Field(default=None, ge=0)
    env: Mapping[str, str] | None = Field(default=None, exclude=True, repr=False)
    limiter: Limiter | None = Field(default=None, exclude=True, repr=False)

    _transport: Transport = PrivateAttr()
    _sync: SyncDriver = PrivateAttr()
    _async: AsyncDriver = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _check_llmdispatch_fields(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        values = {_ALIASES.get(name, name): value for name, value in values.items()}
        check_fields(cls.__name__, values, (*cls.model_fields, *_ALIASES))
        return values

    @model_validator(mode="after")
    def _assemble_llmdispatch(self) -> DispatcherChatModel:
        self._add_version("langchain-llmdispatch", __version__)
        self._registry = self._deployment_registry()
        self._warn_of_repeats()
        self._observe(self.clock, metrics=self.enable_metrics, console=self.enable_logging)
        self._route_by(self.max_retries)
        self._connect()
        if self.profile is None:
            self.profile = self._registry.profile()
        return self

    def _deployment_registry(self) -> DeploymentRegistry:
        variables = self.env if self.env is not None else environment()
        return DeploymentRegistry(
            Resolver(VendorTable(self.custom_vendors), self.vendors, variables),
            model=self._first_deployment(),
            models=self.models,
            routes=self.routes,
            default_vendor=self.default_vendor,
            fallback_vendor=self.fallback_vendor,
            allowed_vendors=self.allowed_vendors,
        )

    def _first_deployment(self) -> Deployment | str | None:
        """Return the deployment that `model`, `api_key` and `base_url` describe, or the route it names."""
        own = Deployment(self.model) if isinstance(self.model, BaseChatModel) else self.model
        fields = {"api_key": self.api_key, "base_url": self.base_url}
        given = {name: value for name, value in fields.items() if value is not None}
        if not given:
            return own
        if own is None or own in self.routes:
            raise ConfigurationError(
                "api_key and base_url belong to `model`; give the model, or a Deployment."
            )
        own = Deployment(own) if isinstance(own, str) else own
        return Deployment(**{**{name: getattr(own, name) for name in own.model_fields_set}, **given})

    def _warn_of_repeats(self) -> None:
        """Warn of LangChain chat models whose own retries cannot be switched off."""
        for target in self._registry.all:
            repeats = getattr(target.vendor, "requests", 1)
            if repeats > 1:
                warnings.warn(
                    f"{target.name} repeats requests by itself ({target.vendor.retries}), which cannot be "
                    f"switched off from here: one call may send {repeats * self.max_attempts} requests "
                    f"({self.max_attempts} attempts x {repeats}). Switch it off on the model, or lower "
                    "max_attempts.",
                    stacklevel=2,
                )

    def _connect(self) -> None:
        self._transport = Transport()
        self._limiter = limiter = self.limiter or Limiter(clock=self.clock)
        self._sync, self._async = SyncDriver(self._transport, limiter), AsyncDriver(self._transport, limiter)

    @classmethod
    def from_config(cls, config: Any, **overrides: Any) -> DispatcherChatModel:
        """Return the model that a configuration describes.

        Args:
            config: A YAML or JSON file's path, a mapping, or a `DispatcherConfig`.
            overrides: Fields that win over the configuration's.

        Raises:
            ConfigurationError: The file cannot be read, or a field is wrong.
        """
        held = DispatcherConfig.load(config)
        fields = {name: getattr(held, name) for name in held.model_fields_set}
        return cls(**{**fields, **overrides})

    @classmethod
    def from_litellm_config(
        cls, source: Any, *, strict: bool = True, env: Mapping[str, str] | None = None, **overrides: Any
    ) -> DispatcherChatModel:
        """Return the model that a LiteLLM `config.yaml` describes.

        Args:
            source: The file's path, or its mapping.
            strict: Whether a setting with no counterpart here is an error that lists all such settings;
                otherwise it is warned of and left out.
            env: Where `os.environ/NAME` is looked up; default: the environment over `.env`.
            overrides: Fields that win over the configuration's.

        Raises:
            ConfigurationError: The file is malformed, or (strict) holds settings without a counterpart.
        """
        fields = read_litellm(source, environment() if env is None else env, strict=strict)
        return cls.from_config(DispatcherConfig.checked(fields), env=env, **overrides)

    @inspected
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request, dispatch, run = self._begin(messages, stop, kwargs, run_manager, stream=False)
        return self._sync.generate(dispatch, request, run)

    @inspected
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request, dispatch, run = self._begin(messages, stop, kwargs, run_manager, stream=False)
        return await self._async.generate(dispatch, request, run)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request, dispatch, run = self._begin(messages, stop, kwargs, run_manager, stream=True)
        return self._sync.stream(dispatch, request, run)

    def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request, dispatch, run = self._begin(messages, stop, kwargs, run_manager, stream=True)
        return self._async.stream(dispatch, request, run)

    def _begin(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
        run_manager: RunManager | None,
        *,
        stream: bool,
    ) -> tuple[ChatRequest, Dispatch, Run]:
        run = ambient_run(run_manager, stream=stream)
        kwargs = {**self.model_kwargs, **kwargs}
        options = options_of(run.metadata).under(kwargs)
        wanted = kwargs.pop("model", None) or options.route
        request = self._request(messages, stop, kwargs, run, wanted=wanted, stream=stream)
        return request, self._dispatch(request, wanted, options, run), run

    def _request(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        kwargs: Mapping[str, Any],
        run: Run,
        *,
        wanted: str | None,
        stream: bool,
    ) -> ChatRequest:
        return freeze(
            messages,
            stop,
            kwargs,
            defaults=self._defaults(),
            stream=stream,
            unsupported_params=self.unsupported_params,
            route=wanted or (self.model if isinstance(self.model, str) else None),
            tags=run.tags,
            metadata=run.metadata,
        )

    def _defaults(self) -> dict[str, Any]:
        return {name: value for name in _PARAMETERS if (value := getattr(self, name)) is not None}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with tools bound, in neutral form: each vendor's dialect is spoken per attempt.

        Args:
            tools: Functions, pydantic classes, TypedDicts, `BaseTool`s, JSON schemas, or vendors' own
                server-side tools as dicts.
            tool_choice: `"auto"`, `"none"`, `"any"`/`"required"`/`True`, a tool's name, or a vendor's dict.
            kwargs: Further keywords for each call (`strict`, `parallel_tool_calls`, `response_format`, ...).

        Raises:
            ValueError: `tool_choice` names a tool that is not among `tools`.
        """
        bound = bound_tools(tools, strict=kwargs.get("strict"))
        if tool_choice is not None:
            neutral_choice(tool_choice, neutral_tools(bound)[0])
            kwargs["tool_choice"] = tool_choice
        return super().bind(tools=bound, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: OutputMethod | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return a runnable whose answers have the shape of `schema`, whichever vendor answers.

        Args:
            schema: A pydantic class, TypedDict, or JSON schema with a title.
            include_raw: Return `{"raw", "parsed", "parsing_error"}` instead of the parsed answer alone.
            method: `json_schema`, `function_calling` or `json_mode`; None lets each target use its best.
            strict: Whether the vendor must enforce the schema.
            kwargs: Further keywords for each call.

        Raises:
            ValueError: `strict` with `json_mode`, or a schema without a name.
        """
        return structured_output(
            self, schema, include_raw=include_raw, method=method, strict=strict, kwargs=kwargs
        )

    def register_vendor(self, vendor: Vendor) -> None:
        """Add a vendor of your own, or replace one, for this model alone."""
        self._registry.register(vendor)

    def get_vendors(self) -> list[str]:
        """Return the names of the vendors that this model can speak to."""
        return self._registry.vendor_names()

    def get_vendor(self, name: str) -> Vendor:
        """Return a vendor by name or alias.

        Raises:
            ConfigurationError: There is none; the message names the nearest.
        """
        return self._registry.resolver.vendors.get(name)

    def is_available(self, vendor: str) -> bool:
        """Return whether the vendor is configured and at least one of its deployments may be tried now."""
        return self._registry.is_available(vendor) and self._may_be_tried(vendor)

    def deployments(self) -> Sequence[Target]:
        """Return the targets of this model, those of its routes included, in configured order."""
        return self._registry.all

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._transport.close()

    async def aclose(self) -> None:
        """Close the connections, those of the running event loop included."""
        await self._transport.aclose()

    def __enter__(self) -> Self:
        """Use it as a context manager to close it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    async def __aenter__(self) -> Self:
        """Use it as an async context manager to close it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.aclose()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # noqa: ARG002
        """Return a model of its own with some fields changed: nothing is shared but what was handed in."""
        fields = {name: getattr(self, name) for name in self.model_fields_set if name != "profile"}
        return type(self)(**{**fields, **(update or {})})

    def __copy__(self) -> Self:
        """Copy by configuration: connections are not shared."""
        return self.model_copy()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy by configuration: clients and locks have no deep copy."""
        return self.model_copy()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the configuration: no connections, no keys; keys come from the environment again."""
        state = super().__getstate__()
        return {
            **state,
            "__pydantic_private__": None,
            "__dict__": _without_secrets(state["__dict__"]),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickle, and assemble anew."""
        super().__setstate__(state)
        super().__init__(**{k: v for k, v in state["__dict__"].items() if k in self.model_fields_set})

    @property
    def _llm_type(self) -> str:
        return "llmdispatch-chat"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {
            "model": self.model if isinstance(self.model, str) else None,
            "deployments": self._registry.fingerprint(),
            "model_kwargs": dict(self.model_kwargs),
            **self._defaults(),
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        target = self._registry.planned(kwargs.get("model"))
        params = LangSmithParams(ls_model_type="chat")
        params["ls_provider"] = target.vendor.traced_as if target else "llmdispatch"
        params["ls_model_name"] = target.model if target else kwargs.get("model") or "unknown"
        if (temperature := kwargs.get("temperature", self.temperature)) is not None:
            params["ls_temperature"] = temperature
        if (max_tokens := kwargs.get("max_tokens", self.max_tokens)) is not None:
            params["ls_max_tokens"] = max_tokens
        if sequences := stop or self.stop:
            params["ls_stop"] = list(sequences)
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        return self._registry.profile()

    def get_token_ids(self, text: str) -> list[int]:
        """Return one id per estimated token: no vendor publishes ids, and no tokenizer is downloaded."""
        return list(range(self.get_num_tokens(text)))

    def get_num_tokens(self, text: str) -> int:
        """Return the estimated number of tokens in `text`: about four characters each."""
        return count_tokens_approximately([text])

    def get_num_tokens_from_messages(
        self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Return the estimated number of tokens in a conversation, tools included."""
        return count_tokens_approximately(messages, tools=list(tools) if tools else None)


def _without_secrets(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's fields as they may be pickled: no keys, headers or clients."""
    own = fields["model"]
    return {
        **fields,
        "api_key": None,
        "env": None,
        "model": without_secrets(own) if isinstance(own, Deployment) else own,
        "models": tuple(map(without_secrets, fields["models"])),
        "routes": {alias: tuple(map(without_secrets, each)) for alias, each in fields["routes"].items()},
        "vendors": {name: without_secrets(config) for name, config in fields["vendors"].items()},
    }
