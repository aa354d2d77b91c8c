"""From LangChain's input, config and keywords to one frozen `ChatRequest`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, update_wrapper
from reprlib import Repr
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config

from langchain_llmdispatch.chat_model import first_call
from langchain_llmdispatch.chat_model.call_words import checked_words, scopes_of
from langchain_llmdispatch.chat_model.run_options import CHOICES, OPTIONS, warn_of_near_misses
from langchain_llmdispatch.config.schema import PARAMETERS, ModelFields
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.types import ChatRequest, Scopes, UnsupportedParams, under
from langchain_llmdispatch.vendors.parameters import ALIASES, NEUTRAL
from langchain_llmdispatch.vendors.prompt_cache import NAME as PROMPT_CACHE
from langchain_llmdispatch.vendors.prompt_cache import checked_prompt_cache
from langchain_llmdispatch.vendors.word_secrets import shown_masked

if TYPE_CHECKING:
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.vendors import parameter_values
    from langchain_llmdispatch.vendors.compile import neutral_choice, neutral_tools
else:
    parameter_values = LateModule("langchain_llmdispatch.vendors.parameter_values")
    neutral_choice = LateModule("langchain_llmdispatch.vendors.compile.neutral_choice")
    neutral_tools = LateModule("langchain_llmdispatch.vendors.compile.neutral_tools")


_F = TypeVar("_F", bound=Callable[..., Any])
# What LangChain and agents put among the keywords for themselves; it is not sent.
_IGNORED = frozenset(
    ["ls_structured_output_format", "structured_output_format", "stream", "callbacks", "tags"]
)
# Parameters that tracers show.
_TRACED: Mapping[str, Literal["ls_temperature", "ls_max_tokens", "ls_stop"]] = {
    "temperature": "ls_temperature",
    "max_tokens": "ls_max_tokens",
    "stop": "ls_stop",
}
_TOOL_WORDS = frozenset(["tools", "tool_choice", "response_format", "parallel_tool_calls", "strict"])
_SECRET_WORDS = frozenset(
    ["extra_headers", "extra_query", "extra_body", "mcp_servers", "tools", "vendor_params"]
)
_RESUMING = frozenset(["resume_from", "on_deadline"])
_NEVER_SCOPED = _IGNORED | _TOOL_WORDS | NEUTRAL | _RESUMING | {"n"}


@dataclass(frozen=True, slots=True)
class RequestDefaults:
    """The defaults of every request of a model; the keywords of a call win.

    Attributes:
        params: The model's own parameters, by neutral name.
        unsupported_params: What happens to parameters that a target cannot take.
        route: The route or model string that the model is for, or None.
        kwargs: Keywords of every call, under its own.
        vendor_params: Words for one vendor only, by vendor.
        names: What the model chose, by either.
    """

    params: Mapping[str, Any]
    unsupported_params: UnsupportedParams = "adapt"
    route: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    vendor_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", frozenset([*self.params, *map(_neutral_name, self.kwargs)]))

    @classmethod
    def of(cls, fields: ModelFields) -> RequestDefaults:
        """Return the defaults that the fields hold."""
        params = {name: getattr(fields, name) for name in PARAMETERS}
        kwargs, parallel = fields.model_kwargs, fields.parallel_tool_calls
        return cls(
            {name: value for name, value in params.items() if value not in (None, [])},
            fields.unsupported_params,
            fields.model if isinstance(fields.model, str) else None,
            kwargs if parallel is None else {"parallel_tool_calls": parallel, **kwargs},
            fields.vendor_params,
        )

    def freeze(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        kwargs: Mapping[str, Any],
        *,
        route: str | None = None,
        stream: bool = False,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        chosen: Collection[str] | None = None,
    ) -> ChatRequest:
        """Return the request that the messages and keywords of a call mean.

        Args:
            messages: The conversation.
            stop: Stop sequences of the call; an empty list means none.
            kwargs: The call's keywords: neutral parameters, tools, and fields for the vendor's body.
            route: The route, deployment or model that the call names, or None for the model's own.
            stream: Whether the answer is streamed.
            tags: The run's tags.
            metadata: The run's metadata.
            chosen: The keywords that are the call's, where `kwargs` holds the model's own as well.

        Raises:
            ConfigurationError: `n` above 1, which no vendor-neutral answer can hold; or a parameter's value
                is not of its type.
            ValueError: `tool_choice` names a tool that is not bound.
        """
        return ChatRequest(
            messages=messages,
            params=self._params(stop, kwargs) if kwargs or stop is not None else self.params,
            stream=stream,
            unsupported_params=self.unsupported_params,
            route=route or self.route,
            tags=frozenset(tags),
            metadata=metadata or {},
            defaults=self._defaults(kwargs if chosen is None else chosen, stop),
            scopes=self._scopes(kwargs) if kwargs or self.vendor_params else None,
            **(_of_keywords(kwargs) if kwargs else {}),
        )

    def _scopes(self, kwargs: Mapping[str, Any]) -> Scopes | None:
        """Return the words for one vendor only, of the model and of a call; None if there are none."""
        if kwargs.keys() <= _NEVER_SCOPED and not self.vendor_params:
            return None
        return scopes_of(self.vendor_params, kwargs)

    def traced(
        self, target: Target, stop: Sequence[str] | None, kwargs: Mapping[str, Any]
    ) -> LangSmithParams:
        """Return what tracers show of a call before it is made.

        Args:
            target: The deployment that is planned: its own parameters count.
            stop: As for `freeze`.
            kwargs: The call's keywords.
        """
        own = target.deployment.params
        params = self.params
        if own or self.kwargs or kwargs or stop is not None:
            model = {**params, **self.kwargs}
            params = self._params(stop, {**model, **own, **kwargs})
        traced = LangSmithParams(
            ls_model_type="chat", ls_provider=target.vendor.traced_as, ls_model_name=target.model
        )
        if params:
            for name, value in params.items():
                if (key := _TRACED.get(ALIASES.get(name, name))) is not None:
                    traced[key] = value
        return traced

    def _defaults(self, chosen: Collection[str], stop: Sequence[str] | None) -> frozenset[str]:
        """Return the names of parameters that the model chose and the call did not."""
        if not chosen and stop is None:
            return self.names
        return self.names.difference(map(_neutral_name, chosen), () if stop is None else ("stop",))

    def _params(self, stop: Sequence[str] | None, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in kwargs.items() if name in NEUTRAL}
        own = {_neutral_name(name): value for name, value in _converted(given).items()}
        checked_prompt_cache(own.get(PROMPT_CACHE))
        if (ends := own.get("stop") if stop is None else stop) is not None:
            own["stop"] = _stop_words(ends)
        return {
            name: value
            for name, value in {**under(self.params, own), **own}.items()
            if value is not None and not (isinstance(value, list) and not value)
        }


def _converted(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return parameter_values.converted(given, ALIASES) if given else given


def _of_keywords(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request that come from a call's keywords, parameters aside."""
    if kwargs.get("n") not in {None, 1}:
        raise ConfigurationError(f"n={kwargs['n']!r}: one answer per call; use batch() for several.")
    extra = {name: value for name, value in kwargs.items() if name not in _NEVER_SCOPED}
    tools, choice, output = kwargs.get("tools"), kwargs.get("tool_choice"), kwargs.get("response_format")
    own, server_tools = neutral_tools.neutral_tools(tools, strict=kwargs.get("strict")) if tools else ((), ())
    return {
        "tools": own,
        "server_tools": server_tools,
        "tool_choice": neutral_choice.neutral_choice(choice, own, server_tools) if choice else None,
        "parallel_tool_calls": kwargs.get("parallel_tool_calls", neutral_choice.parallel_of(choice)),
        "output": None if output is None else neutral_tools.neutral_output(output),
        "extra": checked_words(extra) if extra else extra,
        **(_of_background(kwargs) if not _RESUMING.isdisjoint(kwargs) else {}),
    }


def _of_background(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request about an answer in the background.

    Raises:
        ConfigurationError: `resume_from` names no answer, or `on_deadline` is not known.
    """
    source, on_deadline = kwargs.get("resume_from"), kwargs.get("on_deadline")
    answer = getattr(source, "response_id", source)
    if answer is not None and not (isinstance(answer, str) and answer):
        raise ConfigurationError(f"resume_from={source!r} is neither a response's id nor an error with one.")
    if on_deadline not in {None, "keep", "cancel"}:
        raise ConfigurationError(f"on_deadline={on_deadline!r} is not known: 'keep' or 'cancel'.")
    return {"resume_from": answer, "cancel_at_deadline": on_deadline == "cancel"}


def _stop_words(given: Any) -> list[str]:
    """Return stop sequences as a list; one alone may be a text.

    Raises:
        ConfigurationError: They are something else.
    """
    words = [given] if isinstance(given, str) and given else given
    if not isinstance(words, (str, Sequence)) or not all(isinstance(word, str) for word in words):
        raise ConfigurationError(f"stop={Repr().repr(given)} is neither a text nor a list of texts.")
    return list(words)


def _neutral_name(word: str) -> str:
    return ALIASES.get(word, word)


def messages_of(given: LanguageModelInput) -> list[BaseMessage]:
    """Return the messages of an input as `invoke` takes it: text, messages, or a prompt."""
    if isinstance(given, PromptValue):
        return given.to_messages()
    return convert_to_messages([given] if isinstance(given, str) else given)


def passable(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the keywords of a call as LangChain passes them on: its own `metadata` are the run's.

    What holds credentials is shown without them from here on, in every frame.
    """
    for name in _SECRET_WORDS.intersection(kwargs) if kwargs else ():
        kwargs[name] = shown_masked(name, kwargs[name])
    if "metadata" in kwargs:
        kwargs["request_metadata"] = kwargs.pop("metadata")
    return kwargs


def with_choices(config: RunnableConfig | None) -> RunnableConfig | None:
    """Return a config whose metadata hold what the run, or the run around it, chose in its `configurable`."""
    if "sync" not in first_call.imported:
        first_call.import_for_first_call()
    around = var_child_runnable_config.get() or {}
    if not around and not config:
        return config
    configurable = {**(around.get("configurable") or {}), **((config or {}).get("configurable") or {})}
    if not configurable:
        return config
    chosen = {name: configurable[name] for name in OPTIONS if configurable.get(name) is not None}
    warn_of_near_misses(configurable)
    if not chosen:
        return config
    metadata = (config or {}).get("metadata") or around.get("metadata") or {}
    return {**(config or {}), "metadata": {**metadata, CHOICES: chosen}}


class SignedMethod:
    """A method that shows its signature at once: LangChain inspects it in every call, which takes 20 us else.

    Args:
        method: The function.
    """

    def __init__(self, method: Callable[..., Any]) -> None:
        update_wrapper(self, method)
        self._method, signature = method, inspect.signature(method)
        own = list(signature.parameters.values())[1:]  # without the model
        members = {"__signature__": signature.replace(parameters=own)}
        self._bound = cast("type[partial[Any]]", type(method.__name__, (partial,), members))

    def __get__(self, model: object, owner: type) -> Callable[..., Any]:
        """Return the method of a model; the method itself where the class is looked at."""
        return self if model is None else self._bound(self._method, model)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, the model first."""
        return self._method(*args, **kwargs)


def with_signature(method: _F) -> _F:
    """Return the method as one that shows its signature; see `SignedMethod`."""
    return cast("_F", SignedMethod(method))
