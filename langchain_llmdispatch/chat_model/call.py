"""Who answers: the part of the chat model that decides, explains and learns.

`RoutedChatModel` stands between `ObservedChatModel` and `DispatcherChatModel`. It holds what routing knows of
the past (health, affinity, budgets), asks the `Router` before each call, and lets a run choose a few things
for itself: `config={"configurable": {...}}`. LangChain hands a model its run's metadata but not its
`configurable`, so these choices travel in the metadata, under `CHOICES`.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from pydantic import Field, PrivateAttr

from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.budgets.call_budget import CallBudget
from langchain_llmdispatch.callbacks.events import Run
from langchain_llmdispatch.callbacks.logs import LOGGER
from langchain_llmdispatch.chat_model.run_context import ObservedChatModel
from langchain_llmdispatch.chat_model.run_options import OPTIONS, RunOptions
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.config.schema import DispatchFields
from langchain_llmdispatch.deployments.registry import DeploymentRegistry
from langchain_llmdispatch.dispatch.call_state import CallState
from langchain_llmdispatch.dispatch.cascade import Cascade
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.dispatch.observer import Observers
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.dispatch.retry_budget import RetryBudget
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.routing.affinity import Affinity
from langchain_llmdispatch.routing.forecast import Forecast
from langchain_llmdispatch.routing.needs import Needs
from langchain_llmdispatch.routing.plan import Plan, make_plan
from langchain_llmdispatch.routing.router import Ask, Router
from langchain_llmdispatch.routing.rules import is_vendor
from langchain_llmdispatch.types import ChatRequest, TimeLimits

CHOICES = "llmdispatch"
"""Where a run's own choices stand among its metadata."""

_NONE = RunOptions()


@dataclass(frozen=True, slots=True)
class _Desk:
    """What a model routes with. One object, because pydantic is slow to find private attributes."""

    router: Router
    policy: CallPolicy
    fleet: DeploymentRegistry
    health: Health
    affinity: Affinity
    retry_budget: RetryBudget


class RoutedChatModel(DispatchFields, ObservedChatModel):
    """A chat model that decides who answers, and can say so beforehand.

    Attributes:
        model_kwargs: Fields for the vendor's request body, verbatim.
        clock: The source of time.
        rng: The source of randomness: order and jitter.
        health: What is known of the deployments, where models are to share it; default: one of its own.
        budget: Dollars per period, shared by the models that hold the object.
    """

    model_kwargs: Mapping[str, Any] = Field(default_factory=dict)
    clock: Clock = Field(default_factory=Clock, exclude=True, repr=False)
    rng: random.Random = Field(default_factory=random.Random, exclude=True, repr=False)
    health: Health | None = Field(default=None, exclude=True, repr=False)
    budget: Budget | None = Field(default=None, exclude=True, repr=False)

    _registry: DeploymentRegistry = PrivateAttr()
    _limiter: Limiter = PrivateAttr()
    _desk: _Desk = PrivateAttr()

    def _route_by(self, retries: int | None) -> None:
        """Make ready what routing needs; the fleet is there already.

        Args:
            retries: `max_retries` where it overrides the policy's.

        Raises:
            ConfigurationError: A rule leads nowhere.
        """
        fleet = self._registry
        router = Router(
            self.strategy,
            rules=self.routing_rules,
            default_vendor=self.default_vendor,
            fallback_vendor=self.fallback_vendor,
            allowed_vendors=self.allowed_vendors,
        )
        router.check(fleet.all, fleet.routes)
        self._check_rules()
        policy = self.retry_policy
        if retries is not None:
            policy = policy.model_copy(update={"max_retries": retries})
        times = TimeLimits(self.timeout, self.deadline, self.first_token_timeout, self.stream_idle_timeout)
        resume, cascade = self.on_stream_error == "resume", Cascade.of(self.escalate_when)
        self._desk = _Desk(
            router,
            CallPolicy(policy, self.max_attempts, times, resume, cascade, self.hedge_after),
            fleet,
            self.health if self.health is not None else Health(rng=self.rng),
            Affinity(),
            RetryBudget(),
        )

    def _check_rules(self) -> None:
        for rule in self.routing_rules:
            if rule.vendor is not None:
                self._registry.resolver.vendor(rule.vendor, field="routing_rules")

    # -- one call ----------------------------------------------------------------------------------

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
        """Return the call, frozen; `wanted` is the route, deployment or model it asks for."""
        raise NotImplementedError

    def _dispatch(self, request: ChatRequest, wanted: str | None, options: RunOptions, run: Run) -> Dispatch:
        """Decide who is asked for `request`, and return its attempts.

        Args:
            request: The call, frozen.
            wanted: The route, deployment or model that the call asks for, or None.
            options: What the call chose for itself.
            run: The LLM run.

        Raises:
            ConfigurationError: Nothing of the wanted name is known.
        """
        desk = self._desk
        ask = self._ask(desk, request, wanted, options, self.rng)
        decision = desk.router.decide(ask)
        if desk.router.takes_turns and decision.targets:
            desk.health.chosen(decision.targets[0])
        purse = self._call_budget(ask.forecast, options)
        health = desk.health
        call = CallState(
            request,
            decision.targets,
            _within(desk.policy, options),
            self.clock,
            waits=decision.waits,
            thread=ask.thread,
            observers=self._observers_of(desk, run, purse, ask.thread),
            send_checks=(health.check,) if purse is None else (purse.reserve, health.check),
        )
        return Dispatch(
            call,
            rng=ask.rng,
            refusal=None if decision.targets else decision.error(),
            queue_wait=self._limiter.readiness(request),
            breaker_wait=health.breaker_wait,
            retry_budget=desk.retry_budget,
        )

    def _ask(
        self,
        desk: _Desk,
        request: ChatRequest,
        wanted: str | None,
        options: RunOptions,
        rng: random.Random,
    ) -> Ask:
        needs, health, fleet = Needs(request), desk.health, desk.fleet
        wanted = wanted or options.route
        forecast = Forecast(needs, health, self.clock.monotonic(), self.clock.now())
        thread = options.thread_id
        targets = fleet.targets(wanted)
        return Ask(
            needs=needs,
            targets=targets,
            forecast=forecast,
            rng=random.Random(options.seed) if options.seed is not None else rng,
            health=health,
            model=wanted or request.route or (targets[0].model if targets else ""),
            allowed_vendors=options.allowed_vendors,
            thread=None if thread is None else f"{request.route or ''}\0{thread}",
            limit=self._limit(options, whole=False),
            longest_wait=self.retry_policy.max_retry_after,
            affinity=desk.affinity,
            pool=fleet.all if self.routing_rules else (),
            routes=fleet.routes,
        )

    def _limit(self, options: RunOptions, *, whole: bool) -> Decimal | None:
        """Return the dollars that a call may cost; `whole`: by its own limits alone, without the period's."""
        if self.budget_usd is None and options.max_cost is None and (whole or self.budget is None):
            return None
        amounts = [Decimal(str(usd)) for usd in (self.budget_usd, options.max_cost) if usd is not None]
        if self.budget is not None and not whole:
            amounts.append(self.budget.left(self.clock.now()))
        return min(amounts, default=None)

    def _call_budget(self, forecast: Forecast, options: RunOptions) -> CallBudget | None:
        limit = self._limit(options, whole=True)
        if limit is None and self.budget is None:
            return None
        return CallBudget(
            forecast.worst, limit=limit, budgets=(self.budget,) if self.budget is not None else ()
        )

    def _observers_of(
        self, desk: _Desk, run: Run, call_budget: CallBudget | None, thread: str | None
    ) -> Observers:
        """Return the observers of a call."""
        affinity = desk.affinity if thread is not None else None
        log = self._log if self._log.console or LOGGER.isEnabledFor(logging.INFO) else self._log.failures
        return Observers(self._counters, log, run.observer, desk.health, affinity, call_budget)

    def _may_be_tried(self, vendor: str) -> bool:
        """Whether a deployment of the vendor may be asked now; true where it has none that could be out."""
        desk, now = self._desk, self.clock.monotonic()
        own = [target for target in desk.fleet.all if is_vendor(target, vendor)]
        return not own or any(desk.health.blocked(target, now)[0] <= 0 for target in own)

    # -- beforehand --------------------------------------------------------------------------------

    def explain(
        self,
        messages: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Plan:
        """Return what a call with these arguments would do; nothing is sent, learned or reserved.

        Args:
            messages: As for `invoke`.
            config: As for `invoke`; its tags, metadata and `configurable` count.
            stop: As for `invoke`.
            kwargs: As for `invoke`; what `bind_tools` binds goes here, too.

        Raises:
            ConfigurationError: `model=` names nothing that is known.
        """
        config = with_choices(config) or {}
        options = options_of(config.get("metadata") or {})
        kwargs = {**self.model_kwargs, **kwargs}
        options = options.under(kwargs)
        wanted, stream = kwargs.pop("model", None), bool(kwargs.pop("stream", False))
        run = Run(None)
        run.tags, run.metadata = config.get("tags") or (), config.get("metadata") or {}
        conversation = self._convert_input(messages).to_messages()
        request = self._request(
            conversation, stop, kwargs, run, wanted=wanted or options.route, stream=stream
        )
        rng = random.Random()
        rng.setstate(self.rng.getstate())  # what the next call will draw, without drawing it
        desk = self._desk
        return make_plan(
            desk.router,
            self._ask(desk, request, wanted, options, rng),
            _within(desk.policy, options),
            headroom=self._limiter.headroom,
            repeats=self.on_stream_error == "resume" and request.stream,
        )

    # -- a run's own choices -----------------------------------------------------------------------

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's signature
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Return the answer; see `BaseChatModel.invoke`."""
        return super().invoke(input, with_choices(config), stop=stop, **kwargs)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's signature
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Return the answer; see `BaseChatModel.ainvoke`."""
        return await super().ainvoke(input, with_choices(config), stop=stop, **kwargs)

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's signature
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream the answer; see `BaseChatModel.stream`."""
        return super().stream(input, with_choices(config), stop=stop, **kwargs)

    def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's signature
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Stream the answer; see `BaseChatModel.astream`."""
        return super().astream(input, with_choices(config), stop=stop, **kwargs)


def _within(policy: CallPolicy, options: RunOptions) -> CallPolicy:
    """Return the policy with the call's own times, if it has some."""
    own = {"deadline": options.deadline, "timeout": options.timeout}
    chosen = {name: float(seconds) for name, seconds in own.items() if seconds is not None}
    return replace(policy, times=replace(policy.times, **chosen)) if chosen else policy


def with_choices(config: RunnableConfig | None) -> RunnableConfig | None:
    """Return the config with what its run (or the run around it) chose for itself put into its metadata."""
    around = var_child_runnable_config.get()
    inherited = around.get("configurable") if around else None
    own = config.get("configurable") if config else None
    if not inherited and not own:
        return config
    configurable = {**(inherited or {}), **(own or {})}
    chosen = {name: configurable[name] for name in OPTIONS if configurable.get(name) is not None}
    if not chosen:
        return config
    given = config or {}
    metadata = given.get("metadata") or (around or {}).get("metadata") or {}
    return {**given, "metadata": {**metadata, CHOICES: chosen}}


def options_of(metadata: Mapping[str, Any]) -> RunOptions:
    """Return what a run chose for itself.

    Raises:
        ConfigurationError: A choice is of the wrong kind.
    """
    chosen = metadata.get(CHOICES)
    return RunOptions.of(chosen) if isinstance(chosen, Mapping) else _NONE
