"""The fleet of one model: its targets, by name, route and vendor, and what a call may ask for."""

from __future__ import annotations

import dataclasses
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel

from langchain_llmdispatch.catalog.models import facts, profile, shared_profile
from langchain_llmdispatch.deployments.deployment import Deployment, VendorConfig
from langchain_llmdispatch.deployments.target import Resolver, Target, unique_names
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.settings import nearest
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.langchain.vendor import LangChainVendor

if TYPE_CHECKING:
    from langchain_core.language_models.model_profile import ModelProfile

    from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
    from langchain_llmdispatch.vendors.base import Vendor

# Ad hoc targets (`model="..."` per call) that are remembered; a bound, so that memory stays flat.
_REMEMBERED = 256


class DeploymentRegistry:
    """Resolves what a model's fields describe, once, at construction; nothing here sends or waits.

    Args:
        model: The model whose fields are read.
        environment: Where keys and addresses are looked up.

    Raises:
        ConfigurationError: A vendor, key, address or route is missing or contradictory.
    """

    def __init__(self, model: DispatcherChatModel, environment: Mapping[str, str]) -> None:
        self._model = model
        self._environment = environment
        self._vendors = {**builtin_vendors(), LangChainVendor.name: LangChainVendor()}
        self._lock = threading.Lock()
        self._ad_hoc: dict[str, tuple[Target, ...]] = {}
        self._held: dict[int, Target] = {}
        self._fingerprint: list[str] | None = None
        self._check_words()
        self._resolve()

    # -- what a call asks for ----------------------------------------------------------------------

    def targets(self, wanted: str | None) -> Sequence[Target]:
        """Return the targets for a call, in configured order, also those that `allowed_vendors` rules out.

        Args:
            wanted: A route, a deployment's name, or a model; None for the model's own.

        Raises:
            ConfigurationError: Nothing of that name is known.
        """
        if wanted is None:
            return self._default
        if wanted in self._routes:
            return self._routes[wanted]
        found = self._ad_hoc.get(wanted)
        if found is None:
            found = self._named(wanted)
            with self._lock:
                if len(self._ad_hoc) >= _REMEMBERED:
                    self._ad_hoc.clear()
                self._ad_hoc[wanted] = found
        return found

    def planned(self, wanted: str | None) -> Target | None:
        """Return who would be tried first by configured order, or None if `wanted` is unknown."""
        try:
            targets = self.targets(wanted) if wanted is not None else self._serving
        except ConfigurationError:
            return None
        return targets[0] if targets else None

    def all(self) -> Sequence[Target]:
        """Return every target once: the default ones and those of routes."""
        seen = {target.name: target for target in self._serving}
        for targets in self._routes.values():
            for target in targets:
                seen.setdefault(target.name, target)
        return tuple(seen.values())

    @property
    def routes(self) -> Mapping[str, Sequence[Target]]:
        """The targets of each route."""
        return self._routes

    def profile(self) -> ModelProfile | None:
        """Return what all default targets share."""
        return shared_profile(_profile_of(target) for target in self._serving)

    def fingerprint(self) -> list[str]:
        """Return what identifies the targets in cache keys: names, models, addresses, parameters; no keys."""
        if self._fingerprint is None:  # LangChain asks at every call
            self._fingerprint = [
                f"{t.name}={t.vendor.name}:{t.model}@{t.endpoint.base_url or t.account} "
                f"{sorted(t.deployment.params.items())}"
                for t in self.all()
            ]
        return list(self._fingerprint)

    # -- vendors -----------------------------------------------------------------------------------

    def register(self, vendor: Vendor) -> None:
        """Add a vendor, or replace one, and resolve everything anew."""
        self._vendors[vendor.name] = vendor
        self._resolve()

    def vendor_names(self) -> list[str]:
        """Return the names of the vendors that are in use or configured."""
        used = {target.vendor.name for target in self.all()}
        return [name for name, v in self._vendors.items() if name in used or self._resolver.is_configured(v)]

    def vendor(self, name: str) -> Vendor:
        """Return a vendor by name or alias."""
        found = self._resolver.find(name)
        if found is None:
            raise ConfigurationError(f"vendor {name!r} is not known.{nearest(name, self._vendors)}")
        return found

    def is_available(self, name: str) -> bool:
        """Return whether a vendor is configured or has a deployment."""
        vendor = self._resolver.find(name)
        if vendor is None:
            return False
        in_use = any(target.vendor.name == vendor.name for target in self.all())
        return in_use or self._resolver.is_configured(vendor)

    # -- resolution --------------------------------------------------------------------------------

    def _check_words(self) -> None:
        """Check vendor names in fields before anything is resolved, so that the message names the field."""
        model = self._model
        fields: dict[str, Sequence[str]] = {
            "vendors": tuple(model.vendors),
            "default_vendor": [model.default_vendor] if model.default_vendor else [],
            "fallback_vendor": [model.fallback_vendor] if model.fallback_vendor else [],
            "allowed_vendors": model.allowed_vendors or [],
        }
        resolver = Resolver(self._vendors, {}, {})
        for name, words in fields.items():
            for word in words:
                if resolver.find(word) is None:
                    raise ConfigurationError(
                        f"{name}: vendor {word!r} is not known.{nearest(word, self._vendors)}"
                    )

    def _resolve(self) -> None:
        model = self._model
        self._resolver = Resolver(self._vendors, self._configs(), self._environment)
        self._ad_hoc, self._fingerprint = {}, None
        named: dict[str, Target] = {}
        self._routes = {
            alias: unique_names([self._target(d, named) for d in deployments])
            for alias, deployments in model.routes.items()
        }
        self._default = tuple(self._default_targets(named))
        self._serving = tuple(target for target in self._default if self._is_allowed(target))

    def _configs(self) -> dict[str, VendorConfig]:
        resolver = Resolver(self._vendors, {}, {})
        configs = {}
        for word, config in self._model.vendors.items():
            found = resolver.find(word)
            configs[found.name if found else word] = config
        return configs

    def _default_targets(self, named: dict[str, Target]) -> Sequence[Target]:
        model = self._model
        first: Sequence[Target] = ()
        if isinstance(model.model, str) and model.model in self._routes:
            first = self._routes[model.model]
        elif model.model is not None:
            first = [self._target(self._own_deployment(), named)]
        elif model.api_key is not None or model.base_url is not None:
            raise ConfigurationError(
                "api_key and base_url belong to `model`; give the model, or a Deployment."
            )
        rest: Sequence[Target] = [self._target(d, named) for d in model.models]
        if not first and not rest:
            rest = self._routes[next(iter(self._routes))] if self._routes else self._from_environment()
        return self._by_vendor(unique_names([*first, *rest]))

    def _own_deployment(self) -> Deployment:
        model = self._model
        own = model.model if isinstance(model.model, Deployment) else Deployment(model.model)
        given = {
            name: value for name in ("api_key", "base_url") if (value := getattr(model, name)) is not None
        }
        return Deployment(**{**_fields(own), **given}) if given else own

    def _from_environment(self) -> Sequence[Target]:
        found = [
            self._resolver.target(Deployment(f"{vendor.name}:{vendor.default_model}"))
            for vendor in self._resolver.configured()
            if vendor.default_model is not None
        ]
        if not found:
            names = [key for vendor in self._vendors.values() for key in vendor.environment.keys[:1]]
            raise ConfigurationError(
                "no model is configured: pass model='vendor:model', or set one of "
                f"{', '.join(names)} (a .env file works too)."
            )
        return found

    def _by_vendor(self, targets: Sequence[Target]) -> Sequence[Target]:
        def rank(target: Target) -> int:
            if self._is(target, self._model.default_vendor):
                return 0
            return 2 if self._is(target, self._model.fallback_vendor) else 1

        if targets and not any(map(self._is_allowed, targets)):
            allowed = list(self._model.allowed_vendors or ())
            raise ConfigurationError(f"allowed_vendors={allowed} leaves no deployment.")
        return sorted(targets, key=rank)

    def _is_allowed(self, target: Target) -> bool:
        allowed = self._model.allowed_vendors
        return allowed is None or any(self._is(target, word) for word in allowed)

    def _is(self, target: Target, word: str | None) -> bool:
        return word is not None and (word == target.vendor.name or word in target.vendor.aliases)

    def _target(self, deployment: Deployment, named: dict[str, Target]) -> Target:
        """Return the deployment's target; one that is written in several places is one target."""
        if isinstance(deployment.model, BaseChatModel):
            return self._held_target(deployment)
        target = self._resolver.target(deployment)
        known = named.setdefault(target.name, target)
        return known if known.deployment == deployment else target

    def _held_target(self, deployment: Deployment) -> Target:
        """Return the target of a LangChain chat model; one object is looked into, and warned of, once."""
        known = self._held.get(id(deployment.model))
        if known is not None and known.deployment == deployment:
            return known
        target = self._held[id(deployment.model)] = self._resolver.target(deployment)
        vendor, most = target.vendor, self._model.max_attempts
        if isinstance(vendor, LangChainVendor) and vendor.requests > 1 and known is None:
            warnings.warn(
                f"{target.name} asks again by itself ({vendor.retries}), which cannot be switched off from "
                f"here: this call may send {vendor.requests * most} requests ({most} attempts x "
                f"{vendor.requests}). Switch it off on the model, or lower max_attempts.",
                stacklevel=2,
            )
        return target

    def _named(self, wanted: str) -> tuple[Target, ...]:
        for target in self.all():
            if wanted in {target.name, f"{target.vendor.name}/{target.model}"}:
                return (target,)
        same_model = tuple(target for target in self._serving if target.model == wanted)
        if same_model:
            return same_model
        sibling = self._sibling(wanted)
        if sibling is not None:
            return (sibling,)
        target = self._resolver.target(Deployment(wanted))
        if not self._is_allowed(target):
            allowed = list(self._model.allowed_vendors or ())
            raise ConfigurationError(
                f"model {wanted!r} is {target.vendor.name}'s; allowed_vendors={allowed}."
            )
        return (target,)

    def _sibling(self, wanted: str) -> Target | None:
        """Return another model on an endpoint of this fleet, or None if the vendor meant is not in it."""
        vendor, model = self._meant(wanted)
        for target in self._serving:
            if target.vendor is vendor:
                name = f"{vendor.name}:{model}"
                return dataclasses.replace(target, name=name, model=model, facts=facts(vendor.catalog, model))
        return None

    def _meant(self, wanted: str) -> tuple[Vendor, str]:
        """Return vendor and model of a name given at call time.

        `vendor:model` is taken at its word. A bare name means the fleet's only vendor, unless it is well
        known to be another's that is configured.
        """
        head, colon, model = wanted.partition(":")
        explicit = self._resolver.find(head) if colon else None
        if explicit is not None:
            return explicit, model
        vendors = {target.vendor.name: target.vendor for target in self._serving if not target.vendor.runs}
        only = next(iter(vendors.values())) if len(vendors) == 1 else None
        if only is not None and only.slashed_names:
            return only, wanted
        try:
            vendor, model = self._resolver.split(wanted)
        except ConfigurationError:
            if only is None:
                raise
            return only, wanted
        known = vendor.name in vendors or self._resolver.is_configured(vendor)
        return (vendor, model) if known or only is None else (only, wanted)

    def without_keys(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return a model's fields as they may be pickled: no keys, no clients."""
        vendors = {k: v.model_copy(update=dict.fromkeys(_SECRET, None)) for k, v in fields["vendors"].items()}
        routes = {alias: [_keyless(d) for d in deps] for alias, deps in fields["routes"].items()}
        own = fields["model"]
        return {
            **fields,
            "api_key": None,
            "env": None,
            "model": _keyless(own) if isinstance(own, Deployment) else own,
            "models": tuple(_keyless(d) for d in fields["models"]),
            "routes": routes,
            "vendors": vendors,
        }


_SECRET = ("api_key", "http_client", "http_async_client")


def _keyless(deployment: Deployment) -> Deployment:
    return deployment.model_copy(update={"api_key": None})


def _fields(deployment: Deployment) -> dict[str, Any]:
    return {name: getattr(deployment, name) for name in deployment.model_fields_set}


def _profile_of(target: Target) -> ModelProfile | None:
    vendor, own = target.vendor, target.deployment.profile
    known = vendor.capabilities(target.model) if vendor.runs else profile(vendor.name, target.model)
    return {**(known or {}), **own} if own else known  # type: ignore[return-value] # user's keys
