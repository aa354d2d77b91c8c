"""LiteLLM's `config.yaml`, carried over into our fields."""

from __future__ import annotations

import warnings
from collections import ChainMap
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from langchain_llmdispatch.config.files import bounded, parsed
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.vendors.base import Vendor

_FIELDS = {
    "api_key": "api_key",
    "api_base": "base_url",
    "api_version": "api_version",
    "rpm": "rpm",
    "tpm": "tpm",
    "weight": "weight",
    "timeout": "timeout",
    "max_parallel_requests": "max_concurrency",
}
_PRICES = {"input_cost_per_token": "input_price", "output_cost_per_token": "output_price"}
_PARAMS = frozenset(["temperature", "max_tokens", "top_p", "seed", "stop", "reasoning_effort"])
_STRATEGIES = {
    "simple-shuffle": "weighted",
    "least-busy": "least_busy",
    "latency-based-routing": "lowest_latency",
    "cost-based-routing": "lowest_cost",
    "usage-based-routing": "least_busy",
    "usage-based-routing-v2": "least_busy",
}


def read_litellm(
    source: str | Path | Mapping[str, Any],
    environment: Mapping[str, str],
    *,
    strict: bool = True,
    custom_vendors: Iterable[Vendor] = (),
) -> dict[str, Any]:
    """Return our fields for a LiteLLM `config.yaml`.

    Args:
        source: The file, or its mapping.
        environment: Where `os.environ/NAME` is looked up.
        strict: Whether a setting with no counterpart here is an error; otherwise it is warned of.
        custom_vendors: Vendors besides the built-in ones and those of packages.

    Raises:
        ConfigurationError: The file is malformed, or (strict) holds settings that cannot be carried over; all
            of them are listed.
    """
    config = bounded(parsed(source))
    own = _mapping(config.get("environment_variables") or {}, "environment_variables")
    named = {name: str(value) for name, value in own.items()}
    variables = ChainMap(named, cast("dict[str, str]", environment))  # theirs win, as there; it is only read
    importer = _LiteLLM(variables, VendorTable(custom_vendors))
    fields = importer.fields(config)
    if importer.unknown:
        text = f"LiteLLM settings without a counterpart: {', '.join(sorted(importer.unknown))}"
        if strict:
            raise ConfigurationError(f"{text}. Pass strict=False to leave them out.")
        if not fields["routes"]:
            raise ConfigurationError(f"no deployment is left. {text}")
        warnings.warn(text, stacklevel=3)
    return fields


class _LiteLLM:
    """Reads one LiteLLM configuration, and collects the settings that have no counterpart."""

    def __init__(self, environment: Mapping[str, str], vendors: VendorTable) -> None:
        self._environment, self._vendors = environment, vendors
        self.unknown: set[str] = set()

    def fields(self, config: Mapping[str, Any]) -> dict[str, Any]:
        groups: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        for number, entry in enumerate(_list(config.get("model_list"), "model_list")):
            where = f"model_list[{number}]"
            if "*" in f"{_mapping(entry, where).get('model_name')}{entry.get('litellm_params')}":
                self.unknown.add(f"{where} (a wildcard)")
                continue
            alias, order, deployment = self._deployment(entry, where)
            groups.setdefault(alias, []).append((order, deployment))
        if not groups and not self.unknown:
            raise ConfigurationError("model_list is empty or missing.")
        self._note("", config, ["model_list", "general_settings", "environment_variables", *_SECTIONS])
        router, settings = (_mapping(config.get(section) or {}, section) for section in _SECTIONS)
        general = _mapping(config.get("general_settings") or {}, "general_settings")
        # The rest of it is about the proxy server: its keys, its database, its alerts.
        self.unknown |= {f"general_settings.{name}" for name in _OF_ROUTING if name in general}
        fields = {**self._router(router), **self._settings(settings)}
        shuffles = fields["strategy"] == "weighted"
        if not shuffles and any(len({order for order, _ in group}) > 1 for group in groups.values()):
            self.unknown.add("order (with this routing_strategy)")
        routes = {alias: _ranked(group, shuffles=shuffles) for alias, group in groups.items()}
        spares = self._fallbacks(router, settings, routes)
        if not shuffles and any(spares.values()):
            self.unknown.add("fallbacks (with this routing_strategy)")
        routes = {alias: [*own, *spares[alias]] for alias, own in routes.items()}
        for alias, group in _mapping(router.get("model_group_alias") or {}, "model_group_alias").items():
            name = group if isinstance(group, str) else _mapping(group, "model_group_alias").get("model")
            if name in routes:
                routes[alias] = routes[name]
            else:
                self.unknown.add(f"model_group_alias.{alias} (no group {name!r})")
        return {"routes": routes, "model": next(iter(routes), None), **fields}

    def _fallbacks(
        self,
        router: Mapping[str, Any],
        settings: Mapping[str, Any],
        routes: Mapping[str, list[dict[str, Any]]],
    ) -> dict[str, list[dict[str, Any]]]:
        """Return the deployments that serve each group when all of its own have failed: by weight 0, last."""
        chains: dict[str, Any] = {}
        for section in (settings, router):  # the router's own win
            common = section.get("default_fallbacks") or []
            chains = {**chains, **(dict.fromkeys(routes, common) if common else {})}
            for item in _list(section.get("fallbacks"), "fallbacks"):
                chains |= _mapping(item, "fallbacks")
        rest = chains.pop("*", None)
        if rest is not None:
            chains = {**dict.fromkeys(routes, rest), **chains}
        spares: dict[str, list[dict[str, Any]]] = {alias: [] for alias in routes}
        for alias, chain in chains.items():
            others = [chain] if isinstance(chain, str) else _list(chain, f"fallbacks.{alias}")
            for name in [alias, *others]:
                if not isinstance(name, str) or name not in routes:
                    shown = repr(name) if isinstance(name, str) else f"in a {type(name).__name__}"
                    self.unknown.add(f"fallbacks.{alias} (no group {shown})")
            known = [name for name in others if isinstance(name, str) and name in routes and name != alias]
            if alias in routes:
                spares[alias] = [{**spare, "weight": 0} for name in known for spare in routes[name]]
        return spares

    def _deployment(self, entry: Mapping[str, Any], where: str) -> tuple[str, float, dict[str, Any]]:
        beside = {name: value for name, value in entry.items() if name in _BESIDE}
        self._note(f"{where}.", entry, ["model_name", "litellm_params", "model_info", *_BESIDE])
        params = {**beside, **_mapping(entry.get("litellm_params") or {}, f"{where}.litellm_params")}
        alias = str(entry.get("model_name") or params.get("model"))
        fields: dict[str, Any] = {"model": self._model(str(params.pop("model", "")), params)}
        order = _number(params.pop("order", 0), f"{where}.order")
        fields |= {_FIELDS[name]: self._value(value) for name, value in params.items() if name in _FIELDS}
        if own := {name: value for name, value in params.items() if name in _PARAMS}:
            fields["params"] = own
        self._note("litellm_params.", params, _FIELDS.keys() | _PARAMS)
        info = _mapping(entry.get("model_info") or {}, f"{where}.model_info")
        fields |= {
            ours: _number(info[theirs], f"{where}.model_info.{theirs}") * 1_000_000
            for theirs, ours in _PRICES.items()
            if theirs in info
        }
        return alias, order, fields

    def _model(self, text: str, params: Mapping[str, Any]) -> str:
        prefix, found, rest = text.partition("/")
        if not found:
            return text
        for vendors in (self._vendors.known, self._vendors.all):
            if (vendor := _vendor(prefix, vendors(), has_address="api_base" in params)) is not None:
                return f"{vendor.name}:{rest}"
        raise ConfigurationError(f"model {text!r}: LiteLLM's {prefix!r} has no counterpart here.")

    def _value(self, value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("os.environ/"):
            return value
        name = value.removeprefix("os.environ/")
        if name not in self._environment:
            raise ConfigurationError(f"the variable {name} is not set.")
        return self._environment[name]

    def _router(self, router: Mapping[str, Any]) -> dict[str, Any]:
        own = [
            *("routing_strategy", "num_retries", "timeout"),
            *("fallbacks", "default_fallbacks", "model_group_alias"),
        ]
        self._note("router_settings.", router, own)
        fields = _retries_and_timeout(router, "timeout")
        strategy = str(router.get("routing_strategy") or "simple-shuffle")
        if strategy not in _STRATEGIES:
            self.unknown.add(f"router_settings.routing_strategy={strategy}")
        return {**fields, "strategy": _STRATEGIES.get(strategy, "weighted")}

    def _settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        self._note("litellm_settings.", settings, _OF_SETTINGS)
        fields = _retries_and_timeout(settings, "request_timeout")
        if settings.get("drop_params"):
            fields["unsupported_params"] = "drop"
        return fields

    def _note(self, where: str, settings: Mapping[str, Any], known: Collection[str]) -> None:
        self.unknown |= {f"{where}{name}" for name in settings if name not in known}


_OF_SETTINGS = ("drop_params", "request_timeout", "num_retries", "fallbacks", "default_fallbacks")
_OF_ROUTING = (
    *("completion_model", "fallbacks", "default_fallbacks", "max_parallel_requests"),
    *("global_max_parallel_requests", "infer_model_from_keys"),
)
_BESIDE = ("rpm", "tpm", "weight", "max_parallel_requests", "order")  # taken beside `litellm_params`, too
_SECTIONS = ("router_settings", "litellm_settings")


def _vendor(prefix: str, vendors: Iterable[Vendor], *, has_address: bool) -> Vendor | None:
    """Return the vendor that LiteLLM's `prefix` means: with an address, one that has none of its own."""
    named = [vendor for vendor in vendors if prefix in vendor.litellm_names]
    unplaced = [v for v in named if v.base_url is None and not v.environment.urls]
    usual = [vendor for vendor in named if vendor not in unplaced]
    return next(iter((unplaced if has_address else []) + usual), None)


def _ranked(group: list[tuple[float, dict[str, Any]]], *, shuffles: bool) -> list[dict[str, Any]]:
    """Return a group's deployments by `order`.

    LiteLLM's shuffle draws by the first of weight, rpm and tpm that is set, among those of the lowest order;
    the other ones come after them: weight 0 is tried last, as configured.
    """
    ranked = sorted(group, key=lambda each: each[0])
    if not shuffles:
        return [deployment for _, deployment in ranked]
    first = [deployment for order, deployment in ranked if order == ranked[0][0]]
    by = next((word for word in ("weight", "rpm", "tpm") if any(word in each for each in first)), None)
    drawn = [each if by is None else {**each, "weight": each.get(by, 0)} for each in first]
    return drawn + [{**each, "weight": 0} for _, each in ranked[len(first) :]]


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where}: {type(value).__name__} is no mapping.")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise ConfigurationError(f"{where}: {type(value).__name__} is no list.")
    return value or []


def _number(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{where}: {type(value).__name__} is no number.") from None


def _retries_and_timeout(settings: Mapping[str, Any], timeout: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if "num_retries" in settings:
        fields["retry_policy"] = {"max_retries": int(_number(settings["num_retries"], "num_retries"))}
    if timeout in settings:
        fields["timeout"] = _number(settings[timeout], timeout)
    return fields
