"""Who spends: the accounts of a call in budgets of each scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_llmdispatch.deployments.target import Target

SCOPES = ("run", "thread", "user", "tag", "deployment", "vendor", "model")
METADATA = "metadata:"
OF_TARGETS = frozenset({"deployment", "vendor", "model"})
"""Scopes in which each deployment of a call may spend from another account."""
_USERS = ("user_id", "user", "ls_user_id")


@dataclass(frozen=True, slots=True)
class Spender:
    """Who spends in a call.

    Attributes:
        run: The id of the outermost run that the call belongs to.
        thread: The id of its conversation.
        user: The end user.
        tags: The tags of its run.
        metadata: The metadata of its run.
    """

    run: str = ""
    thread: str = ""
    user: str = ""
    tags: frozenset[str] = frozenset()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def accounts(self, scope: str | None, target: Target | None = None) -> Sequence[str]:
        """Return the accounts that a call spends from, mostly one; calls without a value share one.

        Args:
            scope: The budget's scope, or None.
            target: Where a request goes, for scopes of deployments; None if that is not decided.
        """
        if scope is None:
            return ("",)
        if scope == "tag":
            own = target.deployment.tags if target is not None else frozenset()
            return sorted(tag for tag in self.tags | own if not tag.startswith("seq:step:")) or ("",)
        if scope.startswith(METADATA):
            return (str(self.metadata.get(scope.removeprefix(METADATA)) or ""),)
        if scope not in OF_TARGETS:
            return (getattr(self, scope),)
        if target is None:
            return ()
        names = {"deployment": target.name, "vendor": target.vendor.name, "model": target.model}
        return (names[scope],)


def user_of(params: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """Return the end user of a call: its `user` parameter, or `user_id` of its run's metadata."""
    given = params.get("user") or next((metadata[name] for name in _USERS if metadata.get(name)), "")
    return str(given)


NO_SPENDER = Spender()
"""Where no budget has a scope."""
