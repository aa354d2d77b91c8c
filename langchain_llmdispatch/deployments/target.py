"""Targets: deployments resolved. Their vendor, address, key, capabilities and price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.catalog.price_list import deployment_price
from langchain_llmdispatch.catalog.prices import DeploymentPrice
from langchain_llmdispatch.catalog.terms import PLAIN, Terms
from langchain_llmdispatch.deployments.deployment import Deployment, VendorConfig
from langchain_llmdispatch.types import Endpoint, TimeLimits
from langchain_llmdispatch.vendors.base import Vendor


@dataclass(frozen=True, slots=True)
class Target:
    """One deployment, resolved: everything a call needs, nothing left to look up.

    Attributes:
        name: The deployment's name, unique within a model.
        vendor: The vendor's codec and facts.
        model: The vendor's own model id.
        endpoint: Its address and key.
        deployment: What the user configured.
        config: The vendor's configuration, for limits that all its deployments share.
        facts: What the model can do.
        timeouts: Its own time limits in seconds; the model's hold where one is missing.
        account: An opaque id of vendor and key: deployments with the same one share a quota. Holds no part of
            the key.
        key: Identifies it where several models share limits or health: name and account.
        limited: Whether its deployment or its account has limits (rpm, tpm, concurrency).
        variables: Variables that may name proxies on the way to it, whose passwords are secrets.
        price: What it costs.
    """

    name: str
    vendor: Vendor
    model: str
    endpoint: Endpoint
    deployment: Deployment
    config: VendorConfig
    facts: ModelFacts
    timeouts: Mapping[str, float] = field(default_factory=dict)
    account: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    key: tuple[str, str] = field(init=False, repr=False, compare=False)
    limited: bool = field(init=False, repr=False, compare=False)
    price: DeploymentPrice = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own, common = self.deployment, self.config
        limits = (own.rpm, own.tpm, own.max_concurrency, common.rpm, common.tpm)
        url, billing = self.endpoint.base_url, self.vendor.billing
        geography = (own.geography or billing.geography(url)).replace("global", "")
        price = deployment_price(
            self.vendor.listing,
            self.model,
            base_url=url,
            terms=Terms(geography=geography) if geography else PLAIN,
            is_free=self.vendor.is_free(self.model, url),
            input_price=own.input_price,
            output_price=own.output_price,
        )
        object.__setattr__(self, "key", (self.name, self.account))
        object.__setattr__(self, "price", price)
        object.__setattr__(self, "limited", any(limit is not None for limit in limits))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it without keys, headers, query and environment; `Deployment` leaves out its own."""
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        bare = replace(self.endpoint, api_key=None, token_provider=None, headers={}, query={})
        return _rebuilt, ({**given, "endpoint": bare, "variables": {}},)

    def __copy__(self) -> Target:
        """Return the target itself: it does not change."""
        return self

    def __deepcopy__(self, _: Any) -> Target:
        """Return the target itself: it does not change."""
        return self

    def is_of(self, vendor: str) -> bool:
        """Return whether `vendor` is the name or an alias of the target's vendor."""
        word = vendor.casefold()
        return word == self.vendor.name or word in self.vendor.aliases

    def on(self, terms: Terms) -> Target:
        """Return the target at the price of other terms (`Terms(tier="batch")`); its own prices stay."""
        other = replace(self)
        object.__setattr__(other, "price", self.price.on(terms))
        return other

    def limits(self, common: TimeLimits) -> TimeLimits:
        """Return the time limits of a call on this target: its own over the model's."""
        own = self.timeouts
        return TimeLimits(
            timeout=own.get("timeout", common.timeout),
            deadline=common.deadline,
            first_token=own.get("first_token", common.first_token),
            stream_idle=own.get("stream_idle", common.stream_idle),
        )


def _rebuilt(given: Mapping[str, Any]) -> Target:
    return Target(**given)


def unique_names(targets: Sequence[Target]) -> Sequence[Target]:
    """Return the targets, all with names of their own: a repeated one gets `#2`, `#3`."""
    seen: dict[str, int] = {}
    out = []
    for target in targets:
        count = seen[target.name] = seen.get(target.name, 0) + 1
        out.append(target if count == 1 else replace(target, name=f"{target.name}#{count}"))
    return out
