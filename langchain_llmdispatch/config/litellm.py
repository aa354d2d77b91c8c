"""LiteLLM's `config.yaml`, carried over into our fields."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from langchain_llmdispatch.config.files import parsed
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
    importer = _LiteLLM(environment, VendorTable(custom_vendors))
    fields = importer.fields(parsed(source))
    if importer.unknown:
        text = f"LiteLLM settings without a counterpart: {', '.join(sorted(importer.unknown))}"
        if strict:
            raise ConfigurationError(f"{text}. Pass strict=False to leave them out.")
        warnings.warn(text, stacklevel=3)
    return fields


class _LiteLLM:
    """Reads one LiteLLM configuration, and collects the settings that have no counterpart."""

    def __init__(self, environment: Mapping[str, str], vendors: VendorTable) -> None:
        self._environment, self._vendors = environment, vendors
        self.unknown: set[str] = set()

    def fields(self, config: Mapping[str, Any]) -> dict[str, Any]:
        groups: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        for entry in config.get("model_list") or []:
            alias, order, deployment = self._deployment(entry)
            groups.setdefault(alias, []).append((order, deployment))
        if not groups:
            raise ConfigurationError("model_list is empty or missing.")
        routes = {
            alias: [deployment for _, deployment in sorted(group, key=lambda each: each[0])]
            for alias, group in groups.items()
        }
        self._note("", config, ["model_list", "general_settings", "environment_variables", *_SECTIONS])
        router, settings = (config.get(section) or {} for section in _SECTIONS)
        return {
            "routes": _with_fallbacks(routes, router),
            "model": next(iter(routes)),
            **self._router(router),
            **self._settings(settings),
        }

    def _deployment(self, entry: Mapping[str, Any]) -> tuple[str, float, dict[str, Any]]:
        params = dict(entry.get("litellm_params") or {})
        alias = str(entry.get("model_name") or params.get("model"))
        fields: dict[str, Any] = {"model": self._model(str(params.pop("model", "")), params)}
        order = float(params.pop("order", 0))
        fields |= {_FIELDS[name]: self._value(value) for name, value in params.items() if name in _FIELDS}
        if own := {name: value for name, value in params.items() if name in _PARAMS}:
            fields["params"] = own
        self._note("litellm_params.", params, _FIELDS.keys() | _PARAMS)
        info = entry.get("model_info") or {}
        fields |= {
            ours: float(info[theirs]) * 1_000_000 for theirs, ours in _PRICES.items() if theirs in info
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
        own = ["routing_strategy", "num_retries", "timeout", "fallbacks", "model_group_alias"]
        self._note("router_settings.", router, own)
        fields = _retries_and_timeout(router, "timeout")
        if "routing_strategy" in router:
            fields["strategy"] = _STRATEGIES.get(router["routing_strategy"], "ordered")
        return fields

    def _settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        self._note("litellm_settings.", settings, ["drop_params", "request_timeout", "num_retries"])
        fields = _retries_and_timeout(settings, "request_timeout")
        if settings.get("drop_params"):
            fields["unsupported_params"] = "drop"
        return fields

    def _note(self, where: str, settings: Mapping[str, Any], known: Collection[str]) -> None:
        self.unknown |= {f"{where}{name}" for name in settings if name not in known}


_SECTIONS = ("router_settings", "litellm_settings")


def _vendor(prefix: str, vendors: Iterable[Vendor], *, has_address: bool) -> Vendor | None:
    """Return the vendor that LiteLLM's `prefix` means: with an address, one that has none of its own."""
    named = [vendor for vendor in vendors if prefix in vendor.litellm_names]
    unplaced = [v for v in named if v.base_url is None and not v.environment.urls]
    usual = [vendor for vendor in named if vendor not in unplaced]
    return next(iter((unplaced if has_address else []) + usual), None)


def _with_fallbacks(
    routes: dict[str, list[dict[str, Any]]], router: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    chains = {alias: chain for item in router.get("fallbacks") or [] for alias, chain in item.items()}
    out = {
        alias: [*own, *(spare for other in chains.get(alias, ()) for spare in routes.get(other, ()))]
        for alias, own in routes.items()
    }
    for alias, group in (router.get("model_group_alias") or {}).items():
        out[alias] = out[group if isinstance(group, str) else group["model"]]
    return out


def _retries_and_timeout(settings: Mapping[str, Any], timeout: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if "num_retries" in settings:
        fields["retry_policy"] = {"max_retries": int(settings["num_retries"])}
    if timeout in settings:
        fields["timeout"] = float(settings[timeout])
    return fields
