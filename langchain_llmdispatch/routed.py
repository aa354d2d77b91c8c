"""Who answers: the part of the chat model that decides, explains and learns.

`RoutedChatModel` stands between `ObservedChatModel` and `DispatcherChatModel`. It holds what routing knows of
the past (health, affinity, budgets), asks the `Router` before each call, and lets a run choose a few things
for itself: `config={"configurable": {...}}`. LangChain hands a model its run's metadata but not its
`configurable`, so these choices travel in the metadata, under `CHOICES`.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from pydantic import Field, PrivateAttr

from langchain_llmdispatch.budgets import Budget, Purse, RetryBudget
from langchain_llmdispatch.cascade import Cascade
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.config import DispatchFields
from langchain_llmdispatch.dispatch import Dispatch, Policy
from langchain_llmdispatch.errors import BreakerOpenError, ConfigurationError
from langchain_llmdispatch.events import Run
from langchain_llmdispatch.fleet import Fleet
from langchain_llmdispatch.health import Health
from langchain_llmdispatch.hedging import Hedging
from langchain_llmdispatch.limiter import Limiter
from langchain_llmdispatch.observed import ObservedChatModel
from langchain_llmdispatch.observers import Observers
from langchain_llmdispatch.routing.affinity import Affinity
from langchain_llmdispatch.routing.forecast import Forecast
from langchain_llmdispatch.routing.needs import Needs
from langchain_llmdispatch.routing.options import OPTIONS, RunOptions
from langchain_llmdispatch.routing.plan import Plan, make_plan
from langchain_llmdispatch.routing.router import Ask, Router
from langchain_llmdispatch.routing.rules import is_vendor
from langchain_llmdispatch.types import ChatRequest, TimeLimits

if TYPE_CHECKING:
    from langchain_llmdispatch.dispatch import Attempt

CHOICES = "llmdispatch"
"""Where a run's own choices stand among its metadata."""

_NONE = RunOptions()


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

    _fleet: Fleet = PrivateAttr()
    _limiter: Limiter = PrivateAttr()
    _router: Router = PrivateAttr()
    _health: Health = PrivateAttr()
    _affinity: Affinity = PrivateAttr()
    _retry_budget: RetryBudget = PrivateAttr()
    _spoken_policy: Policy = PrivateAttr()

    def _route_by(self, retries: int | None) -> None:
        """Make ready what routing needs; the fleet is there already.

        Args:
            retries: `max_retries` where it overrides the policy's.

        Raises:
            ConfigurationError: A rule leads nowhere.
        """
        self._router = Router(
            self.strategy,
            rules=self.routing_rules,
            default_vendor=self.default_vendor,
            fallback_vendor=self.fallback_vendor,
            allowed_vendors=self.allowed_vendors,
        )
        self._router.check(self._fleet.all(), self._fleet.routes)
        self._check_rules()
        self._health = self.health if self.health is not None else Health(rng=self.rng)
        self._affinity, self._retry_budget = Affinity(), RetryBudget()
        policy = self.retry_policy
        if retries is not None:
            policy = policy.model_copy(update={"max_retries": retries})
        times = TimeLimits(self.timeout, self.deadline, self.first_token_timeout, self.stream_idle_timeout)
        resume = self.on_stream_error == "resume"
        self._spoken_policy = Policy(
            policy, self.max_attempts, times, resume, Cascade.of(self.escalate_when), self._hedging()
        )

    def _hedging(self) -> Hedging | None:
        after = self.hedge_after
        return None if after is None else Hedging(after, self.hedge_budget_usd)

    def _check_rules(self) -> None:
        for rule in self.routing_rules:
            if rule.vendor is not None:
                try:
                    self._fleet.vendor(rule.vendor)
                except ConfigurationError as error:
                    raise ConfigurationError(f"routing_rules: {error}") from None

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

    def _dispatch(self, request: ChatRequest, wanted: str | None, run: Run) -> Dispatch:
        """Decide who is asked for `request`, and return its attempts.

        Args:
            request: The call, frozen.
            wanted: The route, deployment or model that the call asks for, or None.
            run: The LLM run.

        Raises:
            DispatchError: Nobody can serve it; nothing was sent.
            ConfigurationError: Nothing of the wanted name is known.
        """
        options = options_of(run.metadata)
        ask = self._ask(request, wanted, options, self.rng)
        decision = self._router.decide(ask)
        if not decision.targets:
            raise decision.error()
        if self._router.takes_turns:
            self._health.chosen(decision.targets[0])
        purse = self._purse(ask.forecast, options)
        dispatch = Dispatch(
            decision.targets,
            self._policy(options),
            clock=self.clock,
            rng=ask.rng,
            observer=self._ears(run, purse, ask.thread),
            ready_in=self._limiter.readiness(request),
            waits=decision.waits,
            clearance=self._clear if purse is None else self._clear_and_pay(purse),
            retry_budget=self._retry_budget,
        )
        dispatch.request, dispatch.thread, dispatch.worst = request, ask.thread, ask.forecast.worst
        return dispatch

    def _ask(self, request: ChatRequest, wanted: str | None, options: RunOptions, rng: random.Random) -> Ask:
        needs, health = Needs(request), self._health
        wanted = wanted or options.route
        forecast = Forecast(needs, health, self.clock.monotonic(), self.clock.now())
        thread = options.thread_id
        targets = self._fleet.targets(wanted)
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
            affinity=self._affinity,
            pool=self._fleet.all() if self.routing_rules else (),
            routes=self._fleet.routes,
        )

    def _limit(self, options: RunOptions, *, whole: bool) -> Decimal | None:
        """Return the dollars that a call may cost; `whole`: by its own limits alone, without the period's."""
        amounts = [Decimal(str(usd)) for usd in (self.budget_usd, options.max_cost) if usd is not None]
        if self.budget is not None and not whole:
            amounts.append(self.budget.left(self.clock.now()))
        return min(amounts, default=None)

    def _purse(self, forecast: Forecast, options: RunOptions) -> Purse | None:
        limit = self._limit(options, whole=True)
        if limit is None and self.budget is None:
            return None
        return Purse(forecast.worst, limit=limit, budgets=(self.budget,) if self.budget is not None else ())

    def _policy(self, options: RunOptions = _NONE) -> Policy:
        policy = self._spoken_policy
        if options.deadline is None:
            return policy
        times = policy.times
        times = TimeLimits(times.timeout, float(options.deadline), times.first_token, times.stream_idle)
        return replace(policy, times=times)

    def _ears(self, run: Run, purse: Purse | None, thread: str | None) -> Observers:
        """Return who hears of a call."""
        affinity = self._affinity if thread is not None else None
        hedging = self._spoken_policy.hedging
        return Observers(self._counters, self._log, run.observer, self._health, affinity, purse, hedging)

    def _clear(self, attempt: Attempt) -> None:
        """Keep a request back whose deployment is out while another one is left.

        Raises:
            BreakerOpenError: It is.
        """
        if self._health.quiet:
            return
        now = self.clock.monotonic()
        if not self._health.permit(attempt.target, now, last_resort=attempt.last_resort):
            raise BreakerOpenError("its breaker is open", deployment=attempt.target.name)

    def _clear_and_pay(self, purse: Purse) -> Callable[[Attempt], None]:
        def clear(attempt: Attempt) -> None:
            purse.take(attempt)
            self._clear(attempt)

        return clear

    def _may_be_tried(self, vendor: str) -> bool:
        """Whether a deployment of the vendor may be asked now; true where it has none that could be out."""
        own = [target for target in self._fleet.all() if is_vendor(target, vendor)]
        now = self.clock.monotonic()
        return not own or any(self._health.blocked(target, now)[0] <= 0 for target in own)

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
        wanted, stream = kwargs.pop("model", None), bool(kwargs.pop("stream", False))
        run = Run(None)
        run.tags, run.metadata = config.get("tags") or (), config.get("metadata") or {}
        conversation = self._convert_input(messages).to_messages()
        request = self._request(
            conversation, stop, kwargs, run, wanted=wanted or options.route, stream=stream
        )
        rng = random.Random()
        rng.setstate(self.rng.getstate())  # what the next call will draw, without drawing it
        return make_plan(
            self._router,
            self._ask(request, wanted, options, rng),
            self._policy(options),
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
