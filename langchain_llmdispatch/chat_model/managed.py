"""What a model shows and manages beside its calls: deployments, vendors, statistics, connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from langchain_core.language_models import BaseChatModel
from pydantic import PrivateAttr

from langchain_llmdispatch.chat_model.copies import CopiedFields
from langchain_llmdispatch.chat_model.engine import Engine
from langchain_llmdispatch.chat_model.html import model_html
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.stats.stats import Stats
from langchain_llmdispatch.transport.transport import Transport
from langchain_llmdispatch.vendors.base import Vendor


class ManagedModel(CopiedFields, BaseChatModel):
    """Deployments, vendors, statistics, connections of a chat model; `DispatcherChatModel` adds the calls."""

    _engine: Engine = PrivateAttr()

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
        stats = Stats() if engine.counters is None else engine.counters.snapshot()
        states = [state for budget in engine.spending.budgets for state in budget.states(engine.clock.now())]
        return replace(stats, budgets=tuple(states)) if states else stats

    def reset_stats(self) -> None:
        """Count from zero again."""
        if self._engine.counters is not None:
            self._engine.counters.reset()

    def _repr_html_(self) -> str:
        return model_html(self, self.deployments(), self.get_stats(), self._engine.health, self.clock)

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._engine.transport.close()

    async def aclose(self) -> None:
        """Close the connections, those of the running event loop included."""
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
