"""Routing rules: which requests prefer which deployments."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.settings import Settings
from langchain_llmdispatch.types import ChatRequest

if TYPE_CHECKING:
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.routing.needs import Needs


class RoutingRule(Settings):
    """Prefers a vendor, a deployment or a route for the requests that match. Every condition must hold.

    The first rule that matches applies, by priority and then by order. Its deployments are tried first; the
    others follow as fallbacks.

    Attributes:
        vendor: The vendor whose deployments are tried first; one of vendor, deployment, route.
        deployment: The deployment that is tried first, by name; or those that have this tag.
        route: The route whose deployments are tried first.
        model_pattern: Glob on the model that the call names; without wildcards a prefix: `gpt-4` matches
            `gpt-4-turbo`.
        max_tokens: Matches requests for at most this many output tokens; not those that set no limit.
        min_input_tokens: Matches prompts of at least this many tokens, by estimate.
        max_input_tokens: Matches prompts of at most this many tokens, by estimate.
        has_tools: Matches requests with (or without) tools.
        has_images: Matches requests with (or without) images.
        tags: Matches runs that have all of these tags.
        metadata: Matches runs whose metadata hold all of these values.
        priority: Rules of higher priority are matched first.
        enabled: Whether the rule applies.
    """

    vendor: str | None = None
    deployment: str | None = None
    route: str | None = None
    model_pattern: str | None = None
    max_tokens: int | None = Field(default=None, gt=0)
    min_input_tokens: int | None = Field(default=None, ge=0)
    max_input_tokens: int | None = Field(default=None, ge=0)
    has_tools: bool | None = None
    has_images: bool | None = None
    tags: frozenset[str] | None = None
    metadata: Mapping[str, Any] | None = None
    priority: int = 0
    enabled: bool = True

    @model_validator(mode="after")
    def _one_destination(self) -> RoutingRule:
        given = [name for name in _DESTINATIONS if getattr(self, name) is not None]
        if len(given) != 1:
            got = ", ".join(given) or "none"
            raise ConfigurationError(
                f"RoutingRule needs exactly one of vendor, deployment, route; got {got}."
            )
        return self

    @property
    def destination(self) -> str:
        """What it prefers, in words: `vendor anthropic`."""
        return next(f"{name} {word}" for name in _DESTINATIONS if (word := getattr(self, name)) is not None)

    def matches(self, needs: Needs, model: str) -> bool:
        """Return whether every condition holds.

        Args:
            needs: What the request needs.
            model: The model that the call names.
        """
        return (
            (self.model_pattern is None or matches_model(self.model_pattern, model))
            and self._matches_size(needs)
            and (self.has_tools is None or self.has_tools == needs.has_tools)
            and (self.has_images is None or self.has_images == needs.has_images)
            and self.matches_run(needs.request)
        )

    def matches_run(self, request: ChatRequest) -> bool:
        """Return whether the conditions on the run hold: its tags and metadata."""
        return (self.tags is None or self.tags <= request.tags) and (
            self.metadata is None or _holds(request.metadata, self.metadata)
        )

    def _matches_size(self, needs: Needs) -> bool:
        limit = needs.output_limit
        if self.max_tokens is not None and (limit is None or limit > self.max_tokens):
            return False
        if self.min_input_tokens is not None and needs.tokens < self.min_input_tokens:
            return False
        return self.max_input_tokens is None or needs.tokens <= self.max_input_tokens

    def prefers(self, target: Target) -> bool:
        """Return whether the target is of the vendor or deployment that the rule names."""
        if self.vendor is not None:
            return target.is_of(self.vendor)
        return self.deployment is not None and self.deployment in {target.name, *target.deployment.tags}


_DESTINATIONS = ("vendor", "deployment", "route")
_WILDCARDS = frozenset("*?[")


def matches_model(pattern: str, model: str) -> bool:
    """Return whether a model's name, with or without its vendor, matches a glob or begins with a prefix."""
    pattern, model = pattern.casefold(), model.casefold()
    names = {model, model.partition(":")[2] or model, model.partition("/")[2] or model}
    if _WILDCARDS.isdisjoint(pattern):
        return any(name.startswith(pattern) for name in names)
    return any(fnmatchcase(name, pattern) for name in names)


def _holds(metadata: Mapping[str, Any], required: Mapping[str, Any]) -> bool:
    return all(name in metadata and metadata[name] == value for name, value in required.items())
