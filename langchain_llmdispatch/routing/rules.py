"""Routing rules: which deployments serve which requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from langchain_llmdispatch.deployments import Settings
from langchain_llmdispatch.errors import ConfigurationError


class RoutingRule(Settings):
    """Sends the requests that match it to a vendor, a deployment or a route. Every condition must hold.

    Attributes:
        vendor: The vendor whose deployments go first; one of vendor, deployment, route.
        deployment: The deployment that goes first.
        route: The route whose deployments go first.
        model_pattern: Glob on the model asked for; without wildcards a prefix (`gpt-4` matches `gpt-4-turbo`).
        max_tokens: Matches requests for at most this many output tokens.
        min_input_tokens: Matches prompts of at least this many tokens, by estimate.
        max_input_tokens: Matches prompts of at most this many tokens, by estimate.
        has_tools: Matches requests with (or without) tools.
        has_images: Matches requests with (or without) images.
        tags: Matches runs that carry all of these tags.
        metadata: Matches runs whose metadata hold all of these values.
        priority: Higher ones are looked at first.
        enabled: Whether the rule counts.
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
        given = [name for name in ("vendor", "deployment", "route") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigurationError(
                f"RoutingRule needs exactly one of vendor, deployment, route; got {', '.join(given) or 'none'}."
            )
        return self
