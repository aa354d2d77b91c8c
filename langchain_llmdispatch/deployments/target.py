"""Targets: deployments made ready. Who speaks for them, where they are, what they can do and cost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import httpx
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from langchain_llmdispatch.catalog.models import ModelFacts, facts
from langchain_llmdispatch.catalog.prices import PriceTag
from langchain_llmdispatch.deployments.deployment import (
    ApiKey,
    Deployment,
    VendorConfig,
    check_url,
    is_placeholder,
)
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.settings import nearest
from langchain_llmdispatch.types import Endpoint, TimeLimits
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.langchain.vendor import HAND_IN, LangChainVendor

# What only means something where this package makes the request.
_ITS_OWN = ("api_key", "base_url", "headers", "api_version")


@dataclass(frozen=True, slots=True)
class Target:
    """One deployment, resolved: everything a call needs, nothing left to look up.

    Attributes:
        name: The deployment's name, unique within a model.
        vendor: The codec that speaks for it.
        model: The vendor's own model id.
        endpoint: Where it is, with which key.
        deployment: What the user configured.
        config: The vendor's configuration, for limits that all its deployments share.
        facts: What the model can do.
        timeouts: Its own time limits; None fields fall to the model's.
        account: An opaque word for vendor and key: what shares one quota. Holds no part of the key.
        key: What it is known by where several models share something: its name and account.
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
    key: tuple[str, str] = field(init=False, repr=False, compare=False)
    price: PriceTag = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = self.deployment
        price = PriceTag(
            self.vendor.catalog or self.vendor.name,
            self.model,
            base_url=self.endpoint.base_url,
            input_price=own.input_price,
            output_price=own.output_price,
        )
        object.__setattr__(self, "key", (self.name, self.account))
        object.__setattr__(self, "price", price)

    def limits(self, common: TimeLimits) -> TimeLimits:
        """Return the time limits of a call on this target: its own ones over the model's."""
        own = self.timeouts
        if not own:
            return common
        return TimeLimits(
            timeout=own.get("timeout", common.timeout),
            deadline=common.deadline,
            first_token=own.get("first_token", common.first_token),
            stream_idle=own.get("stream_idle", common.stream_idle),
        )


class Resolver:
    """Makes targets of what people write: strings, deployments, chat models.

    Args:
        vendors: The vendors by name.
        configs: Settings per vendor.
        environment: Variables to find keys and addresses in; never read from anywhere else.
    """

    def __init__(
        self,
        vendors: Mapping[str, Vendor],
        configs: Mapping[str, VendorConfig],
        environment: Mapping[str, str],
    ) -> None:
        self._vendors, self._configs, self._environment = vendors, configs, environment

    def target(self, deployment: Deployment) -> Target:
        """Return the target for a deployment.

        Raises:
            ConfigurationError: Vendor unknown, key or address missing.
        """
        if isinstance(deployment.model, BaseChatModel):
            return self._held(deployment, LangChainVendor.of(deployment.model))
        vendor, model = self.split(deployment.model)
        if isinstance(vendor, LangChainVendor):
            raise ConfigurationError(f"model {deployment.model!r}: {HAND_IN}.")
        config = self._configs.get(vendor.name, VendorConfig())
        endpoint = self._endpoint(vendor, deployment, config)
        return Target(
            name=deployment.name or f"{vendor.name}:{model}",
            vendor=vendor,
            model=model,
            endpoint=endpoint,
            deployment=deployment,
            config=config,
            facts=facts(vendor.catalog, model),
            timeouts=self._timeouts(vendor, deployment, config),
            account=_account(vendor, endpoint),
        )

    def _held(self, deployment: Deployment, vendor: LangChainVendor) -> Target:
        own = [name for name in _ITS_OWN if getattr(deployment, name)]
        if own:
            raise ConfigurationError(
                f"Deployment.{own[0]} has no effect on a LangChain chat model: set it on the model itself."
            )
        config = self._configs.get(vendor.name, VendorConfig())
        return Target(
            name=deployment.name or f"{vendor.name}:{vendor.model_name}",
            vendor=vendor,
            model=vendor.model_name,
            endpoint=Endpoint(base_url=""),
            deployment=deployment,
            config=config,
            facts=vendor.facts(),
            timeouts=self._timeouts(vendor, deployment, config),
            account=f"{vendor.name}-{vendor.identity()}",
        )

    def split(self, text: str) -> tuple[Vendor, str]:
        """Return vendor and model id of `vendor:model`, `vendor/model` or a well-known model name.

        Raises:
            ConfigurationError: No vendor is named or known for it.
        """
        for separator in (":", "/"):
            head, found, model = text.partition(separator)
            if found and (vendor := self.find(head)) is not None:
                if not model:
                    raise ConfigurationError(
                        f"model {text!r} names a vendor but no model; write 'vendor:model'."
                    )
                return vendor, model
        for vendor in self._vendors.values():
            if any(fnmatchcase(text.casefold(), pattern) for pattern in vendor.model_names):
                return vendor, text
        head = text.partition(":")[0]
        hint = nearest(head, self._vendors) if ":" in text else ""
        raise ConfigurationError(
            f"model {text!r}: no vendor is known for it.{hint} Write 'vendor:model' with one of "
            f"{', '.join(sorted(self._vendors))}."
        )

    def find(self, word: str) -> Vendor | None:
        """Return the vendor of that name or alias, or None."""
        word = word.casefold()
        if word in self._vendors:
            return self._vendors[word]
        return next((v for v in self._vendors.values() if word in v.aliases), None)

    def configured(self) -> list[Vendor]:
        """Return the vendors that can be used without further settings, in the table's order."""
        return [vendor for vendor in self._vendors.values() if self.is_configured(vendor)]

    def is_configured(self, vendor: Vendor) -> bool:
        """Return whether a key (or, where none is needed, an address) is known for the vendor."""
        config = self._configs.get(vendor.name)
        if vendor.needs_key:
            has_key = self._key(vendor, config) is not None
            return has_key and self._url(vendor, None, config) is not None
        names = vendor.environment.urls + vendor.environment.keys
        return config is not None or self._variable(names) is not None

    def _endpoint(self, vendor: Vendor, deployment: Deployment, config: VendorConfig) -> Endpoint:
        url = self._url(vendor, deployment.base_url, config)
        if url is None:
            raise ConfigurationError(_missing("base_url", vendor, vendor.environment.urls))
        key = self._key_for(vendor, deployment, config, url)
        if key is None and vendor.needs_key:
            raise ConfigurationError(_missing("api_key", vendor, vendor.environment.keys))
        version = (
            deployment.api_version
            or config.api_version
            or self._variable(vendor.environment.versions)
            or vendor.api_version
        )
        is_key = isinstance(key, SecretStr) or key is None
        return Endpoint(
            base_url=url,
            api_key=key if is_key else None,  # type: ignore[arg-type] # narrowed by is_key
            headers={**config.headers, **deployment.headers},
            api_version=version,
            token_provider=None if is_key else key,  # type: ignore[arg-type] # narrowed by is_key
        )

    def _key(self, vendor: Vendor, config: VendorConfig | None) -> ApiKey | None:
        key = config.api_key if config else None
        if key is not None and not (isinstance(key, SecretStr) and is_placeholder(key.get_secret_value())):
            return key
        names = vendor.environment
        for name in names.keys:
            if found := self._variable([name]):
                return SecretStr(f"Bearer {found}" if name in names.bearers else found)
        return None

    def _key_for(
        self, vendor: Vendor, deployment: Deployment, config: VendorConfig, url: str
    ) -> ApiKey | None:
        if deployment.api_key is not None:
            return deployment.api_key
        loopback = httpx.URL(url).host in {"127.0.0.1", "localhost", "::1"}
        none = SecretStr("none") if vendor.needs_key and loopback else None
        if deployment.base_url is None or config.api_key is not None:
            return self._key(vendor, config) or none
        # A key from the environment belongs to the vendor's own host; it is not sent to another one.
        if vendor.base_url is None or _host(url) in {_host(vendor.base_url), self._own_host(vendor, config)}:
            return self._key(vendor, config) or none
        if loopback or not vendor.needs_key:
            return none
        raise ConfigurationError(
            f"deployment {deployment.name or deployment.model!r} has a base_url of its own but no api_key: "
            f"{vendor.name}'s key from the environment is not sent to {_host(url)}. Pass api_key=..."
        )

    def _own_host(self, vendor: Vendor, config: VendorConfig) -> str | None:
        url = self._url(vendor, None, config)
        return _host(url) if url else None

    def _url(self, vendor: Vendor, own: str | None, config: VendorConfig | None) -> str | None:
        url = own or (config.base_url if config else None)
        if url is None and (found := self._variable(vendor.environment.urls)):
            url = check_url(vendor.normalise_url(found))
        return url or vendor.base_url

    def _variable(self, names: Sequence[str]) -> str | None:
        for name in names:
            value = self._environment.get(name, "").strip()
            if value and not is_placeholder(value):
                return value
        return None

    def _timeouts(self, vendor: Vendor, deployment: Deployment, config: VendorConfig) -> dict[str, float]:
        values = {
            "timeout": deployment.timeout or config.timeout or self._timeout(vendor),
            "first_token": deployment.first_token_timeout,
            "stream_idle": deployment.stream_idle_timeout,
        }
        return {name: value for name, value in values.items() if value is not None}

    def _timeout(self, vendor: Vendor) -> float | None:
        name = vendor.environment.timeout
        text = self._environment.get(name, "").strip() if name else ""
        if not text:
            return None
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if seconds <= 0:
            raise ConfigurationError(f"{name}={text!r} is no positive number of seconds.")
        return seconds


def _host(url: str) -> str:
    parsed = httpx.URL(url)
    return f"{parsed.scheme}://{parsed.host}:{parsed.port or ''}"


def _missing(field_name: str, vendor: Vendor, variables: Sequence[str]) -> str:
    where = f" or set {' or '.join(variables)}" if variables else ""
    return f"{vendor.name} has no {field_name}: pass {field_name}=...{where} (a .env file works too)."


def _account(vendor: Vendor, endpoint: Endpoint) -> str:
    key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
    digest = hashlib.sha256(f"{endpoint.base_url}|{key}".encode()).hexdigest()[:12]
    return f"{vendor.name}-{digest}"


def unique_names(targets: Sequence[Target]) -> Sequence[Target]:
    """Return the targets, all with names of their own: a repeated one gets `#2`, `#3`."""
    seen: dict[str, int] = {}
    out = []
    for target in targets:
        count = seen[target.name] = seen.get(target.name, 0) + 1
        out.append(target if count == 1 else replace(target, name=f"{target.name}#{count}"))
    return out
