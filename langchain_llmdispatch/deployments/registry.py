"""The targets of one model: the default ones, those of its routes, and those that a call names."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import cast

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.model_profile import ModelProfile

from langchain_llmdispatch.catalog.models import shared_profile
from langchain_llmdispatch.deployments.deployment import Deployment
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.target import Target, unique_names
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.settings import nearest
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.redaction import credentials
from langchain_llmdispatch.vendors.word_secrets import masked

# Targets of `model="..."` in calls that are kept; a bound, so that memory stays flat.
_MOST_NAMED = 256


class DeploymentRegistry:
    """Resolves a model's deployments once, at construction; nothing here sends or waits.

    Args:
        resolver: Makes the targets.
        model: The deployment that is tried first, or the name of a route; None for neither.
        models: The deployments after it, in order of preference. Without `model`, `models` and `routes`:
            one per vendor that is configured.
        routes: Deployments by route.
        default_vendor: The vendor whose deployments go first.
        fallback_vendor: The vendor whose deployments go last.
        allowed_vendors: The only vendors that may be used, or None for all.

    Attributes:
        resolver: Makes the targets.
        routes: The targets of each route.
        default: The targets of a call that names none, those ruled out by `allowed_vendors` included.
        serving: Those of `default` that `allowed_vendors` allows.
        all: Every target once: the default ones and those of routes.
        fingerprint: Identifies the targets in cache keys: names, models, addresses, parameters; no keys.

    Raises:
        ConfigurationError: A vendor, key, address or route is missing or contradictory.
    """

    routes: Mapping[str, Sequence[Target]]
    default: Sequence[Target]
    serving: Sequence[Target]
    all: Sequence[Target]
    fingerprint: Sequence[str]

    def __init__(
        self,
        resolver: Resolver,
        *,
        model: Deployment | str | None = None,
        models: Sequence[Deployment] = (),
        routes: Mapping[str, Sequence[Deployment]] | None = None,
        default_vendor: str | None = None,
        fallback_vendor: str | None = None,
        allowed_vendors: Sequence[str] | None = None,
    ) -> None:
        self.resolver = resolver
        self._model, self._models, self._deployments_of = model, models, routes or {}
        self._default_vendor, self._fallback_vendor = default_vendor, fallback_vendor
        self._allowed = allowed_vendors
        self._renew()
        forks.in_child(self._renew)
        self._in_process: dict[int, Target] = {}
        for field in ("default_vendor", "fallback_vendor"):
            if (name := getattr(self, f"_{field}")) is not None:
                resolver.vendor(name, field=field)
        for name in allowed_vendors or ():
            resolver.vendor(name, field="allowed_vendors")
        self._resolve()

    def _renew(self) -> None:
        self._lock = threading.Lock()

    # -- what a call names -------------------------------------------------------------------------

    def targets(self, wanted: str | None) -> Sequence[Target]:
        """Return the targets for a call, in configured order, also those that `allowed_vendors` rules out.

        Args:
            wanted: A route, a deployment's name, or a model; None for the model's own.

        Raises:
            ConfigurationError: Nothing of that name is known.
        """
        if wanted is None:
            return self.default
        if wanted in self.routes:
            return self.routes[wanted]
        found = self._named.get(wanted)
        if found is None:
            found = self._find(wanted)
            with self._lock:
                if len(self._named) >= _MOST_NAMED:
                    self._named.clear()
                self._named[wanted] = found
        return found

    def usable(self, wanted: str) -> Sequence[Target]:
        """Return the targets for a call, as `targets` does, but only those that `allowed_vendors` allows.

        Raises:
            ConfigurationError: As for `targets`; or none of them is allowed.
        """
        found = self.targets(wanted)
        allowed = found if self._allowed is None else tuple(filter(self._is_allowed, found))
        if not allowed:
            raise ConfigurationError(f"model {wanted!r}: allowed_vendors={list(self._allowed or ())}.")
        return allowed

    def profile(self) -> ModelProfile | None:
        """Return what all default targets share."""
        return shared_profile(_profile_of(target) for target in self.serving)

    # -- vendors -----------------------------------------------------------------------------------

    def register(self, vendor: Vendor) -> None:
        """Add a vendor, or replace one, and resolve everything anew."""
        self.resolver.vendors.add(vendor)
        self._resolve()

    def vendor_names(self) -> list[str]:
        """Return the names of the vendors that are in use or configured, those of packages included."""
        used = {target.vendor.name for target in self.all}
        vendors = self.resolver.vendors.all()
        return [v.name for v in vendors if v.name in used or self.resolver.is_configured(v)]

    def is_available(self, name: str) -> bool:
        """Return whether a vendor is configured or has a deployment."""
        vendor = self.resolver.vendors.find(name)
        if vendor is None:
            return False
        in_use = any(target.vendor.name == vendor.name for target in self.all)
        return in_use or self.resolver.is_configured(vendor)

    # -- resolution --------------------------------------------------------------------------------

    def _resolve(self) -> None:
        self._named: dict[str, tuple[Target, ...]] = {}
        named: dict[str, Target] = {}
        self.routes = {
            alias: unique_names([self._target(each, named) for each in deployments])
            for alias, deployments in self._deployments_of.items()
        }
        self.default = tuple(self._default_targets(named))
        self.serving = tuple(target for target in self.default if self._is_allowed(target))
        if self.default and not self.serving:
            raise ConfigurationError(f"allowed_vendors={list(self._allowed or ())} leaves no deployment.")
        once = {target.name: target for target in self.serving}
        for targets in self.routes.values():
            for target in targets:
                once.setdefault(target.name, target)
        self.all = tuple(once.values())
        self.fingerprint = tuple(map(fingerprint, self.all))

    def _default_targets(self, named: dict[str, Target]) -> Sequence[Target]:
        model = self._model
        first: Sequence[Target] = ()
        if isinstance(model, str) and model in self.routes:
            first = self.routes[model]
        elif model is not None:
            first = [self._target(Deployment(model) if isinstance(model, str) else model, named)]
        rest: Sequence[Target] = [self._target(each, named) for each in self._models]
        if not first and not rest:
            rest = next(iter(self.routes.values())) if self.routes else self._from_environment()
        return sorted(unique_names([*first, *rest]), key=self._rank)

    def _from_environment(self) -> Sequence[Target]:
        vendors = self.resolver.vendors
        found = self._configured(vendors.known()) or self._configured(vendors.all())
        if not found:
            names = [key for vendor in vendors.known() for key in vendor.environment.keys[:1]]
            raise ConfigurationError(
                "no model is configured: pass model='vendor:model', or set one of "
                f"{', '.join(names)} (a .env file works too)."
            )
        return found

    def _configured(self, vendors: Sequence[Vendor]) -> Sequence[Target]:
        return [
            self.resolver.target(Deployment(f"{vendor.name}:{vendor.default_model}"))
            for vendor in vendors
            if vendor.default_model is not None and self.resolver.is_configured(vendor)
        ]

    def _rank(self, target: Target) -> int:
        if self._default_vendor is not None and target.is_of(self._default_vendor):
            return 0
        return 2 if self._fallback_vendor is not None and target.is_of(self._fallback_vendor) else 1

    def _is_allowed(self, target: Target) -> bool:
        return self._allowed is None or any(map(target.is_of, self._allowed))

    def _target(self, deployment: Deployment, named: dict[str, Target]) -> Target:
        """Return the deployment's target; one that is written in several places is one target."""
        if isinstance(deployment.model, BaseChatModel):
            known = self._in_process.get(id(deployment.model))
            if known is None or known.deployment != deployment:
                known = self._in_process[id(deployment.model)] = self.resolver.target(deployment)
            return known
        target = self.resolver.target(deployment)
        known = named.setdefault(target.name, target)
        return known if known.deployment == deployment else target

    def _find(self, wanted: str) -> tuple[Target, ...]:
        for target in self.all:
            if wanted in {target.name, f"{target.vendor.name}/{target.model}"}:
                return (target,)
        same_model = tuple(target for target in self.serving if target.model == wanted)
        if same_model:
            return same_model
        vendor, model = self._meant(wanted)
        target = self._sibling(vendor, model) or self.resolver.target(Deployment(wanted))
        if not self._is_allowed(target):
            raise ConfigurationError(
                f"model {wanted!r} is {target.vendor.name}'s; allowed_vendors={list(self._allowed or ())}."
            )
        return (target,)

    def _sibling(self, vendor: Vendor, model: str) -> Target | None:
        """Return another model on the endpoint of a deployment, or None if the vendor has none here."""
        for target in self.serving:
            if target.vendor is vendor:
                name = f"{vendor.name}:{model}"
                return dataclasses.replace(target, name=name, model=model, facts=vendor.facts(model))
        return None

    def _meant(self, wanted: str) -> tuple[Vendor, str]:
        """Return vendor and model of a name in a call.

        `vendor:model` is taken literally. A bare name means the only vendor in use, unless it is well known
        to be the model of another vendor that is configured.
        """
        vendors = {target.vendor.name: target.vendor for target in self.serving if not target.vendor.runs}
        only = next(iter(vendors.values())) if len(vendors) == 1 else None
        resolver, (head, colon, _) = self.resolver, wanted.partition(":")
        if only is None or (colon and resolver.vendors.find(head) is not None):
            return resolver.split(wanted)
        found = None if only.slashed_names else resolver.recognise(wanted)
        if found is not None and (found[0].name in vendors or resolver.is_configured(found[0])):
            return found
        hint = nearest(wanted, self.routes)
        if hint and only.capabilities(wanted) is None:
            raise ConfigurationError(
                f"no route is called {wanted!r}.{hint} Write '{only.name}:{wanted}' for a model of that name."
            )
        return only, wanted


def fingerprint(target: Target) -> str:
    """Return what identifies a target in cache keys: of its headers digests, and no credentials."""
    where = target.endpoint.base_url or target.account
    params = sorted(masked(target.deployment.params).items())
    secret = set(credentials(target.endpoint.headers))
    digests = [
        (name.lower(), sha256(value.encode()).hexdigest()[:16])
        for name, value in sorted(target.endpoint.headers.items())
        if value not in secret
    ]
    headers = f" {digests}" if digests else ""
    return f"{target.name}={target.vendor.name}:{target.model}@{where} {params}{headers}"


def _profile_of(target: Target) -> ModelProfile | None:
    known, own = target.vendor.capabilities(target.model), target.deployment.profile
    return cast("ModelProfile", {**(known or {}), **own}) if own else known
