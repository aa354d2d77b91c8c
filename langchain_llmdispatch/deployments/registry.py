"""The targets of one model: the default ones, those of its routes, and those that a call names."""

from __future__ import annotations

import dataclasses
import threading
import warnings
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import cast

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.model_profile import ModelProfile

from langchain_llmdispatch.catalog.models import shared_profile
from langchain_llmdispatch.deployments.deployment import Deployment
from langchain_llmdispatch.deployments.resolver import NO_KEY, Resolver
from langchain_llmdispatch.deployments.target import Target, unique_names
from langchain_llmdispatch.errors import ConfigurationError, MissingKeyError
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
        missing_keys: Whether a deployment without a key is left out (`skip`) while another one is left, or an
            error (`raise`).

    Attributes:
        resolver: Makes the targets.
        routes: The targets of each route.
        default: The targets of a call that names none, those ruled out by `allowed_vendors` included.
        serving: Those of `default` that `allowed_vendors` allows.
        all: Every target once: the default ones and those of routes.
        left_out: The deployments without a key, by route (None for the default ones): name and reason.
        fingerprint: Identifies the targets in cache keys: names, models, addresses, parameters; no keys.

    Raises:
        ConfigurationError: A vendor, key, address or route is missing or contradictory.
    """

    routes: Mapping[str, Sequence[Target]]
    default: Sequence[Target]
    serving: Sequence[Target]
    all: Sequence[Target]
    left_out: Mapping[str | None, Sequence[tuple[str, str]]]
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
        missing_keys: str = "raise",
    ) -> None:
        self.resolver, self._skips = resolver, missing_keys == "skip"
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

    def targets(self, name: str | None) -> Sequence[Target]:
        """Return the targets for a call, in configured order, also those that `allowed_vendors` rules out.

        Args:
            name: A route, a deployment's name, or a model; None for the model's own.

        Raises:
            ConfigurationError: Nothing of that name is known.
        """
        if name is None:
            return self.default
        if name in self.routes:
            return self.routes[name]
        found = self._named.get(name)
        if found is None:
            found = self._find(name)
            with self._lock:
                if len(self._named) >= _MOST_NAMED:
                    self._named.clear()
                self._named[name] = found
        return found

    def usable(self, name: str) -> Sequence[Target]:
        """Return the targets for a call, as `targets` does, but only those that `allowed_vendors` allows.

        Raises:
            ConfigurationError: As for `targets`; or none of them is allowed.
        """
        found = self.targets(name)
        allowed = found if self._allowed is None else tuple(filter(self._is_allowed, found))
        if not allowed:
            raise ConfigurationError(f"model {name!r}: allowed_vendors={list(self._allowed or ())}.")
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
        left_out: dict[str | None, list[tuple[str, str]]] = {}
        self.routes = {
            alias: unique_names(self._targets(deployments, named, left_out.setdefault(alias, [])))
            for alias, deployments in self._deployments_of.items()
        }
        self.default = tuple(self._default_targets(named, left_out))
        self.left_out = left_out
        _warn_of(left_out)
        self.serving = tuple(target for target in self.default if self._is_allowed(target))
        if self.default and not self.serving:
            raise ConfigurationError(f"allowed_vendors={list(self._allowed or ())} leaves no deployment.")
        once = {target.name: target for target in self.serving}
        for targets in self.routes.values():
            for target in targets:
                once.setdefault(target.name, target)
        self.all = tuple(once.values())
        self.fingerprint = tuple(map(fingerprint, self.all))

    def _default_targets(
        self, named: dict[str, Target], left_out: dict[str | None, list[tuple[str, str]]]
    ) -> Sequence[Target]:
        model, own = self._model, list(self._models)
        route = model if isinstance(model, str) and model in self.routes else None
        if route is None and model is not None:
            own = [Deployment(model) if isinstance(model, str) else model, *own]
        if route is None and not own:
            route = next(iter(self.routes), None)
            if route is None:
                return sorted(unique_names(self._from_environment()), key=self._rank)
        first = () if route is None else self.routes[route]
        missing = left_out[None] = list(left_out[route]) if route is not None else []
        rest = self._targets(own, named, missing, needed=not first)
        return sorted(unique_names([*first, *rest]), key=self._rank)

    def _targets(
        self,
        deployments: Sequence[Deployment],
        named: dict[str, Target],
        left_out: list[tuple[str, str]],
        *,
        needed: bool = True,
    ) -> list[Target]:
        """Return the targets of deployments; those without a key are added to `left_out`.

        Raises:
            MissingKeyError: None is left though one is `needed`, or a missing key is an error here.
        """
        found: list[Target] = []
        first: MissingKeyError | None = None
        for each in deployments:
            try:
                found.append(self._target(each, named))
            except MissingKeyError as error:
                if not self._skips:
                    raise
                first = first or error
                left_out.append((each.name or str(each.model), str(error).removesuffix(f" {NO_KEY}")))
        if first is not None and needed and not found:
            raise first
        return found

    def _from_environment(self) -> Sequence[Target]:
        vendors = self.resolver.vendors
        found = self._configured(vendors.known()) or self._configured(vendors.all())
        if not found:
            known = [v.environment for v in vendors.known() if v.default_model is not None and v.needs_key]
            names = [key for environment in known for key in environment.keys[:1]]
            hosts = [v for v in vendors.known() if v.needs_key and v.default_model is None]
            ready = [v for v in hosts if v.base_url is not None and self.resolver.is_configured(v)]
            if ready:
                raise ConfigurationError(
                    f"no model is configured: {self.resolver.key_variable(ready[0])} is set: "
                    f"write model='{ready[0].name}:<model>'."
                )
            raise MissingKeyError(
                "no model is configured: pass model='vendor:model', or set one of "
                f"{', '.join(names)} (a .env file works too). {NO_KEY}"
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

    def _find(self, name: str) -> tuple[Target, ...]:
        for target in self.all:
            if name in {target.name, f"{target.vendor.name}/{target.model}"}:
                return (target,)
        same_model = tuple(target for target in self.serving if target.model == name)
        if same_model:
            return same_model
        vendor, model = self._meant(name)
        target = self._sibling(vendor, model) or self.resolver.target(Deployment(name))
        if not self._is_allowed(target):
            raise ConfigurationError(
                f"model {name!r} is {target.vendor.name}'s; allowed_vendors={list(self._allowed or ())}."
            )
        return (target,)

    def _sibling(self, vendor: Vendor, model: str) -> Target | None:
        """Return another model on the endpoint of a deployment, or None if the vendor has none here."""
        for target in self.serving:
            if target.vendor is vendor:
                name = f"{vendor.name}:{model}"
                return dataclasses.replace(target, name=name, model=model, facts=vendor.facts(model))
        return None

    def _meant(self, name: str) -> tuple[Vendor, str]:
        """Return vendor and model of a name in a call.

        `vendor:model` is taken literally. A bare name means the only vendor in use, unless it is well known
        to be the model of another vendor that is configured.
        """
        vendors = {target.vendor.name: target.vendor for target in self.serving if not target.vendor.runs}
        only = next(iter(vendors.values())) if len(vendors) == 1 else None
        resolver, (head, colon, _) = self.resolver, name.partition(":")
        if only is None or (colon and resolver.vendors.find(head) is not None):
            return resolver.split(name)
        found = None if only.slashed_names else resolver.recognise(name)
        if found is not None and (found[0].name in vendors or resolver.is_configured(found[0])):
            return found
        hint = nearest(name, self.routes)
        if hint and only.capabilities(name) is None:
            raise ConfigurationError(
                f"no route is called {name!r}.{hint} Write '{only.name}:{name}' for a model of that name."
            )
        return only, name


def _warn_of(left_out: Mapping[str | None, Sequence[tuple[str, str]]]) -> None:
    reasons = dict(each for missing in left_out.values() for each in missing)
    for name, reason in reasons.items():
        warnings.warn(
            f"{name} is left out: {reason} With missing_keys='raise' this is an error.", stacklevel=2
        )


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
