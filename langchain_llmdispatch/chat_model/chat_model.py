"""`DispatcherChatModel`: the fields and hooks of a LangChain chat model; an `Engine` serves its calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast, overload

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.tools import BaseTool
from pydantic import ConfigDict, model_validator

from langchain_llmdispatch.callbacks.events import RunManager
from langchain_llmdispatch.chat_model.answer_cache import CachedAnswers, KeyedRun
from langchain_llmdispatch.chat_model.block_events import BlockEvents
from langchain_llmdispatch.chat_model.engine import Engine
from langchain_llmdispatch.chat_model.fields import changed
from langchain_llmdispatch.chat_model.many_calls import ManyCalls
from langchain_llmdispatch.chat_model.request import RequestDefaults, messages_of, passable, with_choices
from langchain_llmdispatch.chat_model.run_context import (
    StreamRun,
    is_invoked,
    set_run,
    settled,
    settled_stream,
    take_run,
    with_signature,
)
from langchain_llmdispatch.chat_model.serialization import SerializedFields
from langchain_llmdispatch.chat_model.structured_output import OutputMethod, structured_output
from langchain_llmdispatch.chat_model.tokens import TokenCounting
from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.config.litellm import read_litellm
from langchain_llmdispatch.config.schema import DispatcherConfig
from langchain_llmdispatch.dispatch.report import combined_outputs
from langchain_llmdispatch.routing.plan import Plan
from langchain_llmdispatch.types import __version__
from langchain_llmdispatch.vendors.compile.neutral_choice import neutral_choice
from langchain_llmdispatch.vendors.compile.neutral_tools import bound_tools, neutral_tools
from langchain_llmdispatch.vendors.word_secrets import masked

_Shape = TypeVar("_Shape")


class DispatcherChatModel(SerializedFields, CachedAnswers, BlockEvents, TokenCounting, ManyCalls):
    """One chat model over every vendor: it routes, retries, falls back, limits and counts.

    Example:
        ```python
        from langchain_llmdispatch import DispatcherChatModel

        model = DispatcherChatModel(models=["openai:gpt-6-luna", "anthropic:claude-haiku-5-5"])
        print(model.invoke("What is the capital of France?").text)
        ```

    Without `model`, `models` and `routes` it uses one deployment per vendor that has a key in the environment
    or in `.env`. Its fields are those of `ModelFields` and of LangChain's `BaseChatModel`. Parameters of
    requests (`temperature`, `stop`, ...) may be changed later; the other fields are read at construction, and
    `model_copy(update={...})` makes a model with other ones.

    Raises:
        ConfigurationError: A field is unknown, contradictory or malformed; the message names it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True, extra="forbid")

    @model_validator(mode="after")
    def _assemble_llmdispatch(self) -> Self:
        self._add_version("langchain-llmdispatch", __version__)
        self._engine = Engine(self)
        self.__dict__["shared_state"] = self._engine.shared_state
        if self.profile is None:
            self.profile = self._engine.registry.profile()
        return self

    if not TYPE_CHECKING:  # type checkers then know the fields' own types

        def __setattr__(self, name: str, value: Any) -> None:
            """Change a field that is read in each call, or one of LangChain's.

            Raises:
                ConfigurationError: The field is read at construction only.
            """
            if name not in _OWN_FIELDS:
                super().__setattr__(name, value)
            else:
                super().__setattr__(name, changed(name, value))
                self.__dict__.pop("_serialized", None)  # LangChain's copy of the configuration
                self._engine.requests = RequestDefaults.of(self)

    @classmethod
    def from_config(cls, config: Any, **overrides: Any) -> Self:
        """Return the model that a configuration describes.

        Args:
            config: A YAML or JSON file's path, a mapping, or a `DispatcherConfig`.
            overrides: Fields that win over the configuration's; in `env`, `${VAR}` is looked up.

        Raises:
            ConfigurationError: The file cannot be read, or a field is wrong.
        """
        loaded = DispatcherConfig.load(config, overrides.get("env"))
        fields = {name: getattr(loaded, name) for name in loaded.model_fields_set - {"server"}}
        return cls(**{**fields, **overrides})

    @classmethod
    def from_litellm_config(
        cls, source: Any, *, strict: bool = True, env: Mapping[str, str] | None = None, **overrides: Any
    ) -> Self:
        """Return the model that a LiteLLM `config.yaml` describes.

        Args:
            source: The file's path, or its mapping.
            strict: Whether settings with no counterpart here are an error; else they are warned of.
            env: Where `os.environ/NAME` is looked up; default: the environment over `.env`.
            overrides: Fields that win over the configuration's.

        Raises:
            ConfigurationError: The file is malformed, or (strict) holds settings without a counterpart.
        """
        variables, custom = environment() if env is None else env, overrides.get("custom_vendors", ())
        fields = read_litellm(source, variables, strict=strict, custom_vendors=custom)
        return cls.from_config(DispatcherConfig.checked(fields), env=env, **overrides)

    # -- LangChain's hooks -------------------------------------------------------------------------

    @with_signature
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        engine = self._engine
        return engine.sync.generate(*engine.begin(messages, stop, kwargs, run_manager))

    @with_signature
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        engine = self._engine
        answer = engine.asynchronous.generate(*engine.begin(messages, stop, kwargs, run_manager))
        return await settled(answer, run_manager)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = messages, stop, kwargs, run_manager or take_run()
        entry = self._cache_entry(*call)
        return self._engine.stream(*call) if entry is None else entry.stream(self._engine.stream, *call)

    def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call = messages, stop, kwargs, run_manager or take_run()
        entry, live = self._cache_entry(*call), self._engine.astream
        chunks = live(*call) if entry is None else entry.astream(live, *call)
        return settled_stream(chunks, call[-1]) if is_invoked(call[-1]) else chunks

    def _should_stream(
        self, *, async_api: bool, run_manager: RunManager | None = None, **kwargs: Any
    ) -> bool:
        streams = super()._should_stream(async_api=async_api, run_manager=run_manager, **kwargs)
        if streams and run_manager is not None:  # `_stream` comes next, and does not get it
            set_run(run_manager)
        return streams

    def _should_use_protocol_streaming(
        self, *, async_api: bool, run_manager: RunManager | None = None, **kwargs: Any
    ) -> bool:
        uses = super()._should_use_protocol_streaming(async_api=async_api, run_manager=run_manager, **kwargs)
        if uses:
            set_run(run_manager)
        return uses

    @property
    def _llm_type(self) -> str:
        return "llmdispatch-chat"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return self._engine.identity()

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        shown = masked(kwargs) if kwargs else kwargs  # for traces and keys of caches
        return super()._get_invocation_params(stop, **shown)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self._engine.traced(stop, kwargs)

    def _combine_llm_outputs(self, _llm_outputs: list[dict[str, Any] | None], /) -> dict[str, Any]:
        return combined_outputs(_llm_outputs)

    def _resolve_model_profile(self) -> ModelProfile | None:
        return self._engine.registry.profile()

    # -- calls -------------------------------------------------------------------------------------

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Return the answer; see `BaseChatModel.invoke`."""
        prepared = with_choices(config)
        with (
            nullcontext()
            if self.cache in (None, False) and get_llm_cache() is None
            else KeyedRun(self, prepared)
        ):
            return super().invoke(input, prepared, **passable(kwargs))

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Return the answer; see `BaseChatModel.ainvoke`."""
        await self._engine.ready()
        prepared = with_choices(config)
        with (
            nullcontext()
            if self.cache in (None, False) and get_llm_cache() is None
            else KeyedRun(self, prepared)
        ):
            return await super().ainvoke(input, prepared, **passable(kwargs))

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """Stream the answer; see `BaseChatModel.stream`."""
        with StreamRun(self, with_choices(config), CallbackManagerForLLMRun) as prepared:
            yield from super().stream(input, prepared, **passable(kwargs))

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        """Stream the answer; see `BaseChatModel.astream`."""
        await self._engine.ready()
        with StreamRun(self, with_choices(config), AsyncCallbackManagerForLLMRun) as prepared:
            chunks = cast(
                "AsyncGenerator[AIMessageChunk]",
                super().astream(input, prepared, **passable(kwargs)),
            )
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield chunk

    def explain(
        self, messages: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Plan:
        """Return what a call with these arguments would do; nothing is sent, learned or reserved.

        Args:
            messages: As for `invoke`.
            config: As for `invoke`; its tags, metadata and `configurable` count.
            kwargs: As for `invoke`; what `bind_tools` binds goes here, too.

        Raises:
            ConfigurationError: `model=` names nothing that is known.
        """
        run = ensure_config(with_choices(config))
        tags, metadata = [*run["tags"], *(self.tags or ())], {**run["metadata"], **(self.metadata or {})}
        return self._engine.explain(messages_of(messages), kwargs, tags=tags, metadata=metadata)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with tools bound, in neutral form: they are compiled for each vendor per attempt.

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
            neutral_choice(tool_choice, *neutral_tools(bound))
            kwargs["tool_choice"] = tool_choice
        return super().bind(tools=bound, **kwargs)

    @overload
    def with_structured_output(
        self,
        schema: type[_Shape],
        *,
        include_raw: Literal[False] = False,
        method: OutputMethod | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, _Shape]: ...
    @overload
    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: OutputMethod | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any]]: ...
    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: OutputMethod | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable whose answers follow `schema`, whichever vendor answers.

        Args:
            schema: A pydantic class, TypedDict, or JSON schema with a title.
            include_raw: Return `{"raw", "parsed", "parsing_error"}` instead of the parsed answer alone.
            method: `json_schema`, `function_calling` or `json_mode`; None chooses the best for each target.
            strict: Whether the vendor must enforce the schema.
            kwargs: Further keywords for each call.

        Raises:
            ValueError: `strict` with `json_mode`, or a schema without a name.
        """
        return structured_output(
            self, schema, include_raw=include_raw, method=method, strict=strict, kwargs=kwargs
        )


_OWN_FIELDS = frozenset(DispatcherChatModel.model_fields) - frozenset(BaseChatModel.model_fields)
