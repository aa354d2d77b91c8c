"""`DispatcherChatModel`: the fields and hooks of a LangChain chat model; an `Engine` serves its calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast, overload

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from pydantic import ConfigDict, model_validator

from langchain_llmdispatch.callbacks.events import RunManager
from langchain_llmdispatch.chat_model import late
from langchain_llmdispatch.chat_model.answer_cache import UNKEYED, CachedAnswers, KeyedRun
from langchain_llmdispatch.chat_model.block_events import BlockEvents
from langchain_llmdispatch.chat_model.managed import ManagedModel
from langchain_llmdispatch.chat_model.many_calls import ManyCalls
from langchain_llmdispatch.chat_model.request import messages_of, passable, with_choices, with_signature
from langchain_llmdispatch.chat_model.run_context import (
    StreamRun,
    end_cancelled,
    is_invoked,
    set_run,
    settled_stream,
    take_run,
)
from langchain_llmdispatch.chat_model.serialization import SerializedFields
from langchain_llmdispatch.chat_model.tokens import TokenCounting
from langchain_llmdispatch.chat_model.unobserved import UnobservedStreams
from langchain_llmdispatch.types import OutputMethod, __version__
from langchain_llmdispatch.vendors.word_secrets import masked_words

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from langchain_llmdispatch.routing.plan import Plan

_Shape = TypeVar("_Shape")


class DispatcherChatModel(
    SerializedFields, CachedAnswers, BlockEvents, TokenCounting, ManyCalls, UnobservedStreams, ManagedModel
):
    """One chat model over every vendor: it routes, retries, falls back, limits and counts.

    Example:
        ```python
        from langchain_llmdispatch import DispatcherChatModel

        model = DispatcherChatModel(models=["openai:gpt-6-luna", "anthropic:claude-haiku-5-5"])
        print(model.invoke("What is the capital of France?").text)
        ```

    Without `model`, `models` and `routes` it uses one deployment per vendor that has a key in the environment
    or in `.env`. LangChain's own fields (`cache`, `callbacks`, `tags`, ...) work as everywhere. Parameters of
    requests (`temperature`, `stop`, ...) may be changed later; the other fields are read at construction, and
    `model_copy(update={...})` makes a model with other ones.

    Raises:
        ConfigurationError: A field is unknown, contradictory or malformed; the message names it.

    Attributes:
        model: `vendor:model`, a well-known model name, or the name of a route.
        models: The deployments, in order of preference: `"openai:gpt-6-luna"`,
            `Deployment("openai:gpt-6-luna", rpm=50)`, or any LangChain chat model.
        routes: Lists of deployments by name: `{"fast": [...], "smart": [...]}`; `model="fast"` chooses one.
        vendors: Credentials and limits per vendor: `{"openai": VendorConfig(api_key=..., rpm=500)}`.
        custom_vendors: Vendors of your own, named like the built-in ones; one of the same name replaces it.
        default_vendor: The vendor whose deployments are tried first.
        fallback_vendor: The vendor whose deployments are tried last.
        routing_rules: Which deployments serve which requests: `RoutingRule(vendor="google", has_tools=True)`.
        strategy: How deployments are ordered: `ordered` (as written), `weighted`, `round_robin`,
            `least_busy`, `lowest_latency`, `lowest_cost`, `balanced`, weights and ceilings (`{"cost": 0.5,
            "latency": 0.5, "max_cost_usd": 0.01}`), or a function (default 'ordered').
        retry_policy: When and how the same deployment is tried again.
        retry_quota: The share of all calls that may be retries, so that they cannot overload a vendor that
            struggles; by default a fifth, and one a second besides.
        max_attempts: Requests that may leave the process for one call, over retries, fallbacks, hedges and
            last resorts; deployments that share a refused key take at most two of them (default 6).
        timeout: Seconds for one attempt; streamed, until its first content (default 120.0).
        deadline: Seconds for the whole call: queueing, sleeping, connecting, streaming (default 600.0).
        first_token_timeout: Seconds from sending to the first streamed content; reasoning counts.
        stream_idle_timeout: Seconds between two pieces of streamed content; keep-alives do not count (default
            120.0).
        wait_for_preferred: Seconds that a call waits for its first choice while that is rate limited (by our
            own limits, or a vendor's `Retry-After`), instead of moving on (default 0.0).
        on_stream_error: What happens when a stream breaks after content: `raise`, or `resume` elsewhere
            (default 'raise').
        hedge_after: Seconds without a first token after which a second deployment is tried as well.
        max_response_bytes: The most bytes of a response, unpacked, and of one event of a stream; a whole
            stream may have four times as many (default 67108864).
        escalate_when: Which answers send a call on to the next deployment: `refusal`, `length`,
            `invalid_schema`, a function of the message, or several of these.
        budget_usd: US dollars that one call may cost at worst; a dearer one is refused before sending.
        on_budget: What happens near the end of a budget (`Budget.near`): `raise` (nothing, until a call does
            not fit and is refused), `cheaper` (cheaper deployments first, one step less of reasoning effort),
            or a function of the `BudgetState` that returns one of these, None, or a route's name (default
            'raise').
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
        vendor_params: Words for one vendor only: `{"anthropic": {"betas": [...]}}`.
        streaming: Whether `invoke` streams underneath.
        unsupported_params: Whether what a target cannot take is adapted, dropped, or an error (default
            'adapt').
        allowed_vendors: The only vendors that may see a conversation, `["openai"]`; None allows all that are
            configured.
        missing_keys: Whether a deployment that lacks its key is left out with a warning while another one is
            left (`skip`; `explain()` lists it), or an error (`raise`) (default 'skip').
        count_tokens: Whether `get_num_tokens_from_messages` estimates, or counts at the planned vendor's own
            endpoint (`exact`), where it has one (default 'estimate').
        redis: Where limits, health and budgets are shared by processes: a URL, or fields of `RedisConfig`.
        enable_logging: Print readable logs of decisions (never prompts or keys).
        enable_metrics: Keep statistics (default True).
        api_key: The key for `model`, where the vendor's own is not in the environment.
        base_url: The address for `model`.
        max_retries: Shorthand for `retry_policy.max_retries`.
        model_kwargs: Words of every call, as `invoke` takes them.
        default_headers: Headers of each request to `model`.
        default_query: Parameters of the URL of each request to `model`.
        organization: The OpenAI organization for `model`.
        api_version: The API version for `model` (Azure, Anthropic).
        env: Variables with keys and addresses, instead of the process's and those of `.env`.
        clock: The source of time.
        rng: The source of randomness: order and jitter.
        limiter: The limits, where models share them; default: one of its own.
        health: The health of the deployments, where models share it; default: one of its own.
        budget: Dollars and tokens per call, run or period, shared by the models that hold it; or several.
        rate_limiter: LangChain's; each call waits for it once, within its deadline.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True, extra="forbid")

    @model_validator(mode="after")
    def _assemble_llmdispatch(self) -> Self:
        self._add_version("langchain-llmdispatch", __version__)
        self._engine = engine = late.engine.Engine(self)
        self.__dict__["shared_state"] = engine.shared_state
        if self.profile is None:
            self.profile = engine.registry.profile()
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
                super().__setattr__(name, late.fields.changed(name, value))
                self.__dict__.pop("_serialized", None)  # LangChain's copy of the configuration
                self._engine.requests = late.engine.RequestDefaults.of(self)

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
        try:
            answer = engine.asynchronous.generate(*engine.begin(messages, stop, kwargs, run_manager))
            return await answer
        except asyncio.CancelledError as error:
            await end_cancelled(run_manager, error)
            raise

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
        shown = masked_words(kwargs) if kwargs else kwargs  # for traces and keys of caches
        if type(self).dict is not BaseChatModel.dict:
            return super()._get_invocation_params(stop, **shown)
        # As there, but for the warnings of `dict`, which are silenced there in every call: it takes 6 us.
        return {**self.asdict(), "stop": stop, **shown}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self._engine.traced(stop, kwargs)

    def _combine_llm_outputs(self, _llm_outputs: list[dict[str, Any] | None], /) -> dict[str, Any]:
        return late.report.combined_outputs(_llm_outputs)

    # -- calls -------------------------------------------------------------------------------------

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Return the answer; see `BaseChatModel.invoke`."""
        prepared = with_choices(config)
        with UNKEYED if self.cache in (None, False) and get_llm_cache() is None else KeyedRun(self, prepared):
            return super().invoke(input, prepared, **passable(kwargs))

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Return the answer; see `BaseChatModel.ainvoke`."""
        await self._engine.ready()
        prepared = with_choices(config)
        with UNKEYED if self.cache in (None, False) and get_llm_cache() is None else KeyedRun(self, prepared):
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
        bound = late.neutral_tools.bound_tools(tools, strict=kwargs.get("strict"))
        if tool_choice is not None:
            late.neutral_choice.neutral_choice(tool_choice, *late.neutral_tools.neutral_tools(bound))
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
        return late.structured_output.structured_output(
            self, schema, include_raw=include_raw, method=method, strict=strict, kwargs=kwargs
        )


_OWN_FIELDS = frozenset(DispatcherChatModel.model_fields) - frozenset(BaseChatModel.model_fields)
