"""The calls of one model: requests are frozen, deployments decided, attempts driven, results counted."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LangSmithParams
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk

from langchain_llmdispatch.callbacks.events import Run, RunManager
from langchain_llmdispatch.callbacks.logs import LOGGER, CallLog
from langchain_llmdispatch.chat_model import first_call
from langchain_llmdispatch.chat_model.call_policy import policy_of, warn_of_repeats, within
from langchain_llmdispatch.chat_model.request import RequestDefaults
from langchain_llmdispatch.chat_model.run_options import CHOICES, NO_OPTIONS, RunOptions, options_of
from langchain_llmdispatch.chat_model.scoped_words import check_vendors, scoped
from langchain_llmdispatch.chat_model.shared_state import SharedState
from langchain_llmdispatch.chat_model.spending import ModelBudgets
from langchain_llmdispatch.config.schema import DispatchFields, ModelFields
from langchain_llmdispatch.deployments.registry import DeploymentRegistry, fingerprint
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.call_state import CallState
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.dispatch.observer import Observers
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.drivers.async_driver import AsyncDriver
from langchain_llmdispatch.drivers.sync_driver import SyncDriver
from langchain_llmdispatch.errors import ConfigurationError, InvalidRequestError
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.routing.decision import RoutingRequest
from langchain_llmdispatch.routing.first_choice import same_draws
from langchain_llmdispatch.routing.router import Router
from langchain_llmdispatch.types import ChatRequest
from langchain_llmdispatch.vendors.history.threads import SHORTEST, ThreadCache
from langchain_llmdispatch.vendors.word_secrets import masked

if TYPE_CHECKING:
    from langchain_llmdispatch.routing import plan
else:
    plan = LateModule("langchain_llmdispatch.routing.plan")

_INFO = logging.INFO
# The fields of a request that change its answer, besides messages and words.
_ANSWERING = ("tools", "server_tools", "tool_choice", "parallel_tool_calls", "output", "unsupported_params")

_ANY = (HumanMessage(""),)  # messages that are not looked at


class Engine:
    """Serves the calls of one model, and holds what outlives them: limits, health, statistics, connections.

    Args:
        fields: The configuration; it is read here, and not later.

    Attributes:
        shared_state: What copies of the model share.
        registry: The deployments.
        requests: The defaults of every request; may be replaced.
        clock: The source of time.
        limiter: The limits.
        health: The health of the deployments.
        counters: The statistics; None where they are switched off.
        transport: The connections.
        spending: The budgets.
        threads: What is kept of long conversations.
        sync: Drives calls in the caller's thread.
        asynchronous: Drives calls in the caller's task.

    Raises:
        ConfigurationError: Fields are contradictory, or name something that is not known.
    """

    def __init__(self, fields: ModelFields) -> None:
        shared = SharedState.of(fields)
        self.shared_state, self.clock = shared, fields.clock
        self.registry, self.requests = shared.registry_of(fields), RequestDefaults.of(fields)
        self.limiter, self.health, budgets = shared.parts_of(fields)
        self._send_checks, self._breaker_wait = (self.health.check,), self.health.breaker_wait
        self.counters = shared.counters if fields.enable_metrics else None
        self.transport = shared.transport
        for config in fields.vendors.values():
            self.transport.renew_in_children(config.http_client, config.http_async_client)
        pacer = getattr(fields.rate_limiter, "inner", None)
        self.sync = SyncDriver(self.transport, self.limiter, pacer)
        self.asynchronous = AsyncDriver(self.transport, self.limiter, pacer)
        log = CallLog(console=fields.enable_logging)
        self._observers = Observers(self.counters, log, self.health)
        self._quiet_observers = Observers(self.counters, log.failures, self.health)
        self._prints, self.threads = log.console, ThreadCache()
        self._affinity, self._warmth, self._rng = shared.affinity, shared.warmth, fields.rng
        self._retry_balance = shared.retry_balance_of(fields)
        self.spending = ModelBudgets(budgets, fields.budget_usd, fields.on_budget)
        self._policy = policy_of(fields, fields.max_retries)
        self._router = _router(fields, self.registry)
        check_vendors(self.requests.vendor_params, self.registry)
        self._has_rules = bool(fields.routing_rules)
        warn_of_repeats(self.registry.all, fields.max_attempts)

    async def ready(self) -> None:
        """Import what async calls import off the event loop, once in a process: it takes 0.1 s and more."""
        if "async" not in first_call.imported:
            await asyncio.to_thread(first_call.import_for_first_async_call)

    def identity(self) -> dict[str, Any]:
        """Return what changes answers, for cache keys and traces; no keys."""
        requests = self.requests
        return {
            "model": requests.route,
            "deployments": list(self.registry.fingerprint),
            "model_kwargs": masked(requests.kwargs) if requests.kwargs else {},
            **requests.params,
        } | ({"vendor_params": masked(requests.vendor_params)} if requests.vendor_params else {})

    def answer_identity(
        self,
        stop: Sequence[str] | None,
        kwargs: dict[str, Any],
        tags: Sequence[str],
        metadata: Mapping[str, Any],
    ) -> list[str]:
        """Return what the answer of a call depends on, messages and the model's own fields aside."""
        request, named, options = self._freeze(_ANY, stop, kwargs, tags, metadata, stream=False)
        targets = self.registry.targets(named)
        parts = [*map(fingerprint, targets), *(self.registry.fingerprint if self._has_rules else ())]
        words = (request.params, request.extra, dict.fromkeys(request.defaults))
        parts += [repr(sorted(each.items())) for each in words]
        scopes = request.scopes and (request.scopes.model, request.scopes.call)
        parts += [repr(scopes), *(repr(getattr(request, name)) for name in _ANSWERING)]
        return [*parts, repr(self._router.matches_run(request)), repr(options.allowed_vendors)]

    # -- calls -------------------------------------------------------------------------------------

    def begin(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        kwargs: dict[str, Any],
        manager: RunManager | None,
        *,
        stream: bool = False,
    ) -> tuple[Dispatch, Run]:
        """Return what a driver needs for a call: the attempts and LangChain's run.

        Args:
            messages: The conversation.
            stop: Stop sequences of the call; an empty list means none.
            kwargs: The keywords of the call.
            manager: LangChain's manager of the run, or None.
            stream: Whether the answer is streamed.

        Raises:
            ConfigurationError: `model=` names nothing that is known, or a keyword is of the wrong kind.
        """
        run = Run(manager)
        request, named, options = self._freeze(messages, stop, kwargs, run.tags, run.metadata, stream=stream)
        policy = self._policy if options is NO_OPTIONS else within(self._policy, options)
        routing = self._routing(request, named, options, policy, self._rng)
        budget = None
        if self.spending.bounds or options.max_cost is not None:
            routing, budget = self.spending.bounded(routing, options, self.registry.targets, manager)
        request, decision = routing.request, self._router.decide(routing)
        if self._router.takes_turns and decision.targets:
            self.health.take_turn(decision.targets[0])
        observers = self._observers if self._prints or LOGGER.isEnabledFor(_INFO) else self._quiet_observers
        affinity = None if routing.thread is None else self._affinity
        if run.observer or budget or affinity is not None:
            observers = observers.plus(run.observer, affinity, budget)
        call = CallState(
            request,
            decision.targets,
            policy,
            self.clock,
            waits=decision.waits,
            last_resorts=decision.last_resorts,
            thread=routing.thread,
            observers=observers,
            send_checks=self._send_checks if budget is None else (budget.reserve, *self._send_checks),
            estimate=routing.estimate,
            budget=budget,
            first_choice=next(iter(routing.targets), None),
            warmth=None if routing.thread is None else self._warmth,
            left_out=decision.excluded,
        )
        dispatch = Dispatch(
            call,
            rng=routing.rng,
            refusal=None if decision.targets else decision.error(),
            queue_wait=self.limiter.readiness(request),
            breaker_wait=self._breaker_wait,
            retry_balance=self._retry_balance,
        )
        return dispatch, run

    def stream(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        kwargs: dict[str, Any],
        manager: RunManager | None,
    ) -> Iterator[ChatGenerationChunk]:
        """Return the chunks of a call; see `begin`."""
        return self.sync.stream(*self.begin(messages, stop, kwargs, manager, stream=True))

    def astream(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        kwargs: dict[str, Any],
        manager: RunManager | None,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Return the chunks of a call; see `begin`."""
        return self.asynchronous.stream(*self.begin(messages, stop, kwargs, manager, stream=True))

    def routing_of(
        self,
        messages: Sequence[BaseMessage],
        kwargs: dict[str, Any],
        *,
        tags: Sequence[str],
        metadata: Mapping[str, Any],
    ) -> tuple[RoutingRequest, RunOptions]:
        """Return everything that the decision about a call depends on, and its options; see `begin`."""
        stop = kwargs.pop("stop", None)
        request, named, options = self._freeze(messages, stop, kwargs, tags, metadata, stream=False)
        return self._routing(request, named, options, within(self._policy, options), self._rng), options

    def decide(self, routing: RoutingRequest) -> Sequence[Target]:
        """Return the deployments that a call tries, in order; where they take turns, a turn is taken."""
        targets = self._router.decide(routing).targets
        if self._router.takes_turns and targets:
            self.health.take_turn(targets[0])
        return targets

    def apart(self, routing: RoutingRequest, target: Target) -> Attempt:
        """Return an attempt whose request is sent elsewhere: it is counted, and changes nothing else."""
        counters = Observers() if self.counters is None else Observers(self.counters)
        call = CallState(routing.request, [target], self._policy, self.clock, observers=counters)
        return Attempt(call, call.candidates[0], 1)

    def explain(
        self,
        messages: Sequence[BaseMessage],
        kwargs: dict[str, Any],
        *,
        tags: Sequence[str],
        metadata: Mapping[str, Any],
    ) -> plan.Plan:
        """Return what a call with these arguments would do; nothing is sent, learned or reserved.

        Raises:
            ConfigurationError: `model=` names nothing that is known.
        """
        stream, stop = bool(kwargs.pop("stream", False)), kwargs.pop("stop", None)
        request, named, options = self._freeze(messages, stop, kwargs, tags, metadata, stream=stream)
        policy, balance, now = within(self._policy, options), self._retry_balance, self.clock.monotonic()
        routing = self._routing(request, named, options, policy, same_draws(self._rng))
        budget = None
        if self.spending.bounds or options.max_cost is not None:
            routing, budget = self.spending.bounded(routing, options, self.registry.targets)
        return plan.make_plan(
            self._router,
            routing,
            policy,
            budget=budget,
            headroom=self.limiter.headroom,
            queue_wait=self.limiter.readiness(request),
            retries_left=None if balance is None else balance.left(now),
            repeats=(policy.resume and request.stream) or self._may_pause(request),
            without_key=self.registry.left_out.get(named, ()),
            shared=self.shared_over(),
        )

    def shared_over(self) -> str:
        """Return what is shared over Redis and where, in one line; an empty text if nothing is."""
        if self.limiter.shared is None and type(self.health) is Health and not self.spending.budgets:
            return ""
        from langchain_llmdispatch.chat_model.shared_redis import sharing

        return sharing(self.limiter, self.health, self.spending.budgets)

    def _may_pause(self, request: ChatRequest) -> bool:
        """Return whether a vendor may pause the answer, which further requests then continue."""
        return bool(request.server_tools) and any(each.vendor.pauses for each in self.registry.all)

    def is_available(self, vendor: str) -> bool:
        """Return whether the vendor is configured and at least one of its deployments may be tried now."""
        if not self.registry.is_available(vendor):
            return False
        now, own = self.clock.monotonic(), [each for each in self.registry.all if each.is_of(vendor)]
        return not own or any(self.health.blocked(target, now)[0] <= 0 for target in own)

    def _freeze(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        kwargs: dict[str, Any],
        tags: Sequence[str],
        metadata: Mapping[str, Any],
        *,
        stream: bool,
    ) -> tuple[ChatRequest, str | None, RunOptions]:
        """Return the request, the name that the call gives to its model, and the options of its run."""
        if len(messages) >= SHORTEST:
            messages = self.threads.known(messages, self.clock.monotonic())
        chosen = kwargs
        if self.requests.kwargs:
            kwargs = {**self.requests.kwargs, **kwargs}
        options = options_of(metadata, kwargs) if kwargs or CHOICES in metadata else NO_OPTIONS
        named = kwargs.pop("model", None) or options.route
        if named is None and "resume_from" in kwargs:  # an error names the deployment that has the answer
            named = getattr(kwargs["resume_from"], "deployment", None)
        request = self.requests.freeze(
            messages, stop, kwargs, route=named, stream=stream, tags=tags, metadata=metadata, chosen=chosen
        )
        return request, named, options

    def planned(self, named: str | None) -> Target | None:
        """Return the deployment that a call naming `named` tries first, as far as known before it is made.

        It is the first in configured order that is allowed and that no breaker keeps out; None for a name
        that is not known.
        """
        try:
            targets = self.registry.serving if named is None else self.registry.usable(named)
        except ConfigurationError:
            return None
        if self.health.all_available:
            return targets[0]
        now, blocked = self.clock.monotonic(), self.health.blocked
        return next((target for target in targets if blocked(target, now)[0] <= 0), targets[0])

    def traced(self, stop: Sequence[str] | None, kwargs: Mapping[str, Any]) -> LangSmithParams:
        """Return what tracers show of a call before it is made; see `RequestDefaults.traced`."""
        target = self.planned(named := kwargs.get("model"))
        if target is None:  # the call itself raises
            return LangSmithParams(ls_model_type="chat", ls_provider="llmdispatch", ls_model_name=str(named))
        return self.requests.traced(target, stop, kwargs)

    def _routing(
        self,
        request: ChatRequest,
        named: str | None,
        options: RunOptions,
        policy: CallPolicy,
        rng: random.Random,
    ) -> RoutingRequest:
        """Return everything that the decision about a request depends on."""
        if not request.messages:
            raise InvalidRequestError("messages is empty: a call needs one at least")
        registry, thread = self.registry, options.thread_id
        targets = registry.default if named is None else registry.targets(named)
        routing = RoutingRequest(
            request,
            targets,
            now=self.clock.monotonic(),
            at=self.clock.now(),
            rng=rng if options.seed is None else random.Random(options.seed),
            health=self.health,
            model=request.route or (targets[0].model if targets else ""),
            allowed_vendors=options.allowed_vendors,
            thread=None if thread is None else f"{request.route or ''}\0{thread}",
            longest_wait=max(policy.retries.max_retry_after, policy.wait_for_preferred),
            patience=policy.wait_for_preferred,
            affinity=self._affinity,
            warmth=self._warmth,
            pool=registry.all if self._has_rules else (),
            routes=self.registry.routes,
        )
        if request.scopes is None and not request.server_tools:
            return routing
        return scoped(routing, self._router, registry)


def _router(fields: DispatchFields, registry: DeploymentRegistry) -> Router:
    """Return the router of a model.

    Raises:
        ConfigurationError: A rule leads to a vendor, deployment or route that is not known.
    """
    for rule in fields.routing_rules:
        if rule.vendor is not None:
            registry.resolver.vendor(rule.vendor, field="routing_rules")
    router = Router(
        fields.strategy,
        rules=fields.routing_rules,
        default_vendor=fields.default_vendor,
        fallback_vendor=fields.fallback_vendor,
        allowed_vendors=fields.allowed_vendors,
    )
    router.check(registry.all, registry.routes)
    return router
