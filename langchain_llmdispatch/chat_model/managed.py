"""The fields of a model, and what it manages beside its calls: vendors, statistics, connections."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from langchain_core.language_models import BaseChatModel, ModelProfile
from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from langchain_llmdispatch.chat_model import late
from langchain_llmdispatch.chat_model.request import SignedMethod
from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.config.schema import ModelFields
from langchain_llmdispatch.settings import late_class, without_variables

if TYPE_CHECKING:
    from langchain_llmdispatch.chat_model.engine import Engine
    from langchain_llmdispatch.chat_model.shared_state import SharedState
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.limits.limiter import Limiter
    from langchain_llmdispatch.stats.stats import Stats
    from langchain_llmdispatch.transport.transport import Transport
    from langchain_llmdispatch.vendors.base import Vendor
else:
    SharedState = late_class("langchain_llmdispatch.chat_model.shared_state", "SharedState")


logger = logging.getLogger(__name__)
LEFT_OUT = "left_out"
"""The word of a model's JSON text that names what is not in it."""
# A loaded None means the default here: `ignore_unserializable_fields` puts it in place of an object.
_DEFAULTED = ("strategy", "custom_vendors", "clock", "rng")


class ManagedModel(ModelFields, BaseChatModel):
    """The fields of a model; its files, deployments, vendors, statistics and connections.

    Attributes:
        shared_state: What the copies of one model share; not set by hand. None makes a model of its own.
    """

    model_config = ConfigDict(ignored_types=(SignedMethod,))

    shared_state: SharedState | None = Field(default=None, exclude=True, repr=False)

    __slots__ = ("_engine",)  # pydantic's own private attributes take 2 us to read, and calls read it often
    if TYPE_CHECKING:
        _engine: Engine = PrivateAttr()  # for a type checker: no argument of the constructor

    @model_validator(mode="before")
    @classmethod
    def _load_llmdispatch_fields(cls, values: Any) -> Any:
        """Leave out what a JSON text says besides the fields; see `serialization`."""
        if not isinstance(values, Mapping) or LEFT_OUT not in values:
            return values
        if names := values[LEFT_OUT]:
            logger.warning(
                "a model was loaded from JSON, which holds no keys, headers, clients or env; keys come from "
                "the environment of the process that loads it. This one left out: %s.",
                ", ".join(map(str, names)),
            )
        return {
            name: value
            for name, value in values.items()
            if name != LEFT_OUT and not (value is None and name in _DEFAULTED)
        }

    @classmethod
    @without_variables
    def from_config(cls, config: Any, **overrides: Any) -> Self:
        """Return the model that a configuration describes.

        Args:
            config: A YAML or JSON file's path, a mapping, or a `DispatcherConfig`.
            overrides: Fields that win over the configuration's; in `env`, `${VAR}` is looked up.

        Raises:
            ConfigurationError: The file cannot be read, or a field is wrong.
        """
        loaded = late.configuration.DispatcherConfig.load(config, overrides.get("env"))
        fields = {name: getattr(loaded, name) for name in loaded.model_fields_set - {"server"}}
        return cls(**{**fields, **overrides})

    @classmethod
    @without_variables
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
        fields = late.litellm.read_litellm(source, variables, strict=strict, custom_vendors=custom)
        return cls.from_config(late.configuration.DispatcherConfig.checked(fields), env=env, **overrides)

    def _resolve_model_profile(self) -> ModelProfile | None:
        return self._engine.registry.profile()

    @property
    def _transport(self) -> Transport:
        """The connections, to look at from a debugger."""
        return self._engine.transport

    @property
    def _limiter(self) -> Limiter:
        """The limits, to look at from a debugger."""
        return self._engine.limiter

    def deployments(self) -> Sequence[Target]:
        """Return the targets of this model, those of its routes included, in configured order."""
        return self._engine.registry.all

    def register_vendor(self, vendor: Vendor) -> None:
        """Add a vendor of your own, or replace one, for this model alone."""
        self._engine.registry.register(vendor)

    def get_vendors(self) -> list[str]:
        """Return the names of the vendors that this model can use."""
        return self._engine.registry.vendor_names()

    def get_vendor(self, name: str) -> Vendor:
        """Return a vendor by name or alias.

        Raises:
            ConfigurationError: There is none; the message names the nearest.
        """
        return self._engine.registry.resolver.vendors.get(name)

    def is_available(self, vendor: str) -> bool:
        """Return whether the vendor is configured and at least one of its deployments may be tried now."""
        return self._engine.is_available(vendor)

    def get_stats(self) -> Stats:
        """Return a snapshot of the statistics; it stays empty where `enable_metrics=False`."""
        engine = self._engine
        stats = late.stats.Stats() if engine.counters is None else engine.counters.snapshot()
        states = [state for budget in engine.spending.budgets for state in budget.states(engine.clock.now())]
        return replace(stats, budgets=tuple(states)) if states else stats

    def reset_stats(self) -> None:
        """Count from zero again."""
        if self._engine.counters is not None:
            self._engine.counters.reset()

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show deployments, strategy, what else was set to a plain value, and what is shared over Redis."""
        yield from late.fields.shown_fields(self)
        engine = getattr(self, "_engine", None)  # none before it is assembled
        if engine is not None and (shared := engine.shared_over()):
            yield "shared", shared

    def __str__(self) -> str:
        """Return the same as `repr`."""
        return repr(self)

    def _repr_html_(self) -> str:
        return late.html.model_html(
            self, self.deployments(), self.get_stats(), self._engine.health, self.clock
        )

    def close(self) -> None:
        """Close the connections, and keep nothing of conversations; a later call opens new ones."""
        self._engine.threads.clear()
        self._engine.transport.close()

    async def aclose(self) -> None:
        """Close the connections, those of the running event loop included; see `close`."""
        self._engine.threads.clear()
        await self._engine.transport.aclose()

    def __enter__(self) -> Self:
        """Return the model, which is closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
