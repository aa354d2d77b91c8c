"""Words for one vendor only: vendors by their names, and the first choice of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langchain_llmdispatch.deployments.registry import DeploymentRegistry
from langchain_llmdispatch.routing.decision import RoutingRequest
from langchain_llmdispatch.routing.first_choice import first_choice
from langchain_llmdispatch.routing.router import Router
from langchain_llmdispatch.types import Scopes
from langchain_llmdispatch.vendors.compile.server_tools import has_owner
from langchain_llmdispatch.vendors.compile.words import origin_of

_FIELD = "vendor_params"


def scoped(routing: RoutingRequest, router: Router, registry: DeploymentRegistry) -> RoutingRequest:
    """Return what a decision depends on, with the request's scopes complete.

    Raises:
        ConfigurationError: `vendor_params` names a vendor that is not known.
    """
    request = routing.request
    belongs = bool(request.extra) or any(map(has_owner, request.server_tools))
    if (scopes := request.scopes) is None:
        if not belongs:
            return routing
        scopes = Scopes()
    vendors = frozenset(target.vendor.name for target in routing.targets)
    model, call = _named(scopes.model, registry), _named(scopes.call, registry)
    scopes = replace(scopes, model=model, call=call, vendors=vendors, owned=_owned(routing))
    if belongs and (first := first_choice(router, routing)) is not None:
        scopes = replace(scopes, first=origin_of(first.vendor, first.endpoint.base_url))
    return replace(routing, request=replace(request, scopes=scopes))


def _owned(routing: RoutingRequest) -> frozenset[str]:
    """Return the words of a call that a vendor of its deployments owns, vendors of third parties included."""
    own = {target.vendor.words for target in routing.targets}
    return frozenset(name for name in routing.request.extra if any(words.find(name) for words in own))


def check_vendors(params: Mapping[str, Mapping[str, Any]], registry: DeploymentRegistry) -> None:
    """Check that `vendor_params` names vendors that are known.

    Raises:
        ConfigurationError: It does not; the message names the nearest.
    """
    _named(params, registry)


def _named(params: Mapping[str, Mapping[str, Any]], registry: DeploymentRegistry) -> Mapping[str, Any]:
    """Return words by the vendors' own names; a LangChain model's vendor goes by the name that it states."""
    if not params:
        return params
    stated = {target.vendor.traced_as for target in registry.all if target.vendor.runs}
    found: dict[str, Mapping[str, Any]] = {}
    for word, own in params.items():
        name = word if word in stated else registry.resolver.vendor(word, field=_FIELD).name
        found[name] = {**found.get(name, {}), **own}
    return found
