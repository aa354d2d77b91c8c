"""The rows of LiteLLM's `model_list` as deployments.

Sources: docs.litellm.ai, `/docs/proxy/configs`, `/docs/proxy/config_settings`, `/docs/proxy/load_balancing`,
and the types of litellm 1.110 (`types/router.py`, `GenericLiteLLMParams`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_llmdispatch.config.litellm_report import (
    LiteLLMReport,
    LiteLLMVariables,
    is_off,
    list_of,
    mapping_of,
    number_of,
)
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.langchain.packages import through_package
from langchain_llmdispatch.vendors.parameters import NEUTRAL

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "api_key": ("api_key",),
    "api_base": ("base_url",),
    "base_url": ("base_url",),
    "api_version": ("api_version",),
    "organization": ("organization",),
    "rpm": ("rpm",),
    "tpm": ("tpm",),
    "weight": ("weight",),
    "timeout": ("timeout",),
    "request_timeout": ("timeout",),
    "stream_timeout": ("first_token_timeout", "stream_idle_timeout"),
    "max_parallel_requests": ("max_concurrency",),
    "tags": ("tags",),
    "headers": ("headers",),
    "extra_headers": ("headers",),
    "extra_query": ("query",),
}
_PRICES = {"input_cost_per_token": "input_price", "output_cost_per_token": "output_price"}
_BESIDE = ("rpm", "tpm", "weight", "max_parallel_requests", "order")  # taken beside `litellm_params`, too
_OWN = frozenset({"model_name", "litellm_params", "model_info", *_BESIDE})
_READ = frozenset({"model", "order", "custom_llm_provider", "litellm_credential_name"})
_TOKENS = "api_key: a function that returns a token"
_INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("num_retries", "max_retries"), "retries are the model's: retry_policy"),
    **dict.fromkeys(("max_budget", "budget_duration"), "Budget(usd, per, scope='deployment')"),
    **dict.fromkeys(("azure_ad_token", "tenant_id", "client_id", "client_secret"), _TOKENS),
    "drop_params": "unsupported_params is the model's",
    "fallbacks": "fallbacks of a group: router_settings.fallbacks",
    "mock_response": "the testing kit's faults and cassettes",
}  # fmt: skip
# Of `model_info`: what a model can do, by the name in LangChain's profile.
_PROFILE = {
    "max_input_tokens": "max_input_tokens",
    "max_output_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "supports_vision": "image_inputs",
    "supports_pdf_input": "pdf_inputs",
    "supports_audio_input": "audio_inputs",
    "supports_function_calling": "tool_calling",
    "supports_tool_choice": "tool_choice",
    "supports_response_schema": "structured_output",
    "supports_reasoning": "reasoning_output",
}
_CHATS = (None, "", "chat", "completion", "responses")


@dataclass(frozen=True, slots=True)
class LiteLLMRow:
    """One deployment of a group.

    Attributes:
        group: The group's name.
        order: Its order in the group; the lowest is tried first.
        deployment: The fields of our `Deployment`.
    """

    group: str
    order: float
    deployment: dict[str, Any] = field(default_factory=dict)


class LiteLLMRows:
    """Reads the rows.

    Args:
        variables: Where references are looked up.
        vendors: The vendors that prefixes mean.
        report: Where settings without a counterpart are noted.
        credentials: LiteLLM's `credential_list`.
    """

    def __init__(
        self, variables: LiteLLMVariables, vendors: VendorTable, report: LiteLLMReport, credentials: Any
    ) -> None:
        self._variables, self._vendors, self._report = variables, vendors, report
        self._credentials = {
            str(each.get("credential_name")): mapping_of(
                each.get("credential_values") or {}, "credential_values"
            )
            for item in list_of(credentials, "credential_list")
            for each in [mapping_of(item, "credential_list")]
        }

    def rows(self, model_list: Any) -> list[LiteLLMRow]:
        """Return the rows that can be deployments; the others are noted."""
        found = [
            self._row(entry, f"model_list[{number}]")
            for number, entry in enumerate(list_of(model_list, "model_list"))
        ]
        return [row for row in found if row is not None]

    def _row(self, entry: Any, where: str) -> LiteLLMRow | None:
        fields = mapping_of(entry, where)
        params = self._params(fields, where)
        if "*" in f"{fields.get('model_name')}{params.get('model')}":
            self._report.add(f"{where} (a wildcard)")
            return None
        info = mapping_of(fields.get("model_info") or {}, f"{where}.model_info")
        vendor, model = self._model(params, where)
        if model is None or not self._chats(info, where):
            return None
        self._report.add_unknown(f"{where}.", fields, _OWN)
        deployment = {"model": model, **self._deployment(params, vendor, f"{where}.litellm_params")}
        deployment |= self._described(info, f"{where}.model_info")
        order = number_of(params.get("order", 0), f"{where}.order")
        return LiteLLMRow(str(fields.get("model_name") or params.get("model")), order, deployment)

    def _params(self, fields: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return `litellm_params`, with the credential that it names, and what stands beside it."""
        own = mapping_of(fields.get("litellm_params") or {}, f"{where}.litellm_params")
        beside = {name: value for name, value in fields.items() if name in _BESIDE}
        name, held = own.get("litellm_credential_name"), dict[str, Any]()
        if name is not None and (held := dict(self._credentials.get(str(name), {}))) == {}:
            self._report.add(f"{where}.litellm_params.litellm_credential_name", f"no credential {name!r}")
        return {**held, **beside, **own}

    def _chats(self, info: Mapping[str, Any], where: str) -> bool:
        """Return whether the row is a chat model, and note it if not."""
        if (mode := info.get("mode")) not in _CHATS:
            self._report.add(f"{where} (mode {mode})")
            return False
        return True

    # -- the model -------------------------------------------------------------------------------------

    def _model(self, params: Mapping[str, Any], where: str) -> tuple[Vendor | None, str | None]:
        """Return the vendor, where a prefix names one, and our name of the model, or None and None."""
        text, provider = str(params.get("model", "")), params.get("custom_llm_provider")
        if provider and not text.startswith(f"{provider}/"):
            text = f"{provider}/{text}"
        prefix, found, rest = text.partition("/")
        if not found:
            return None, text
        address = not is_off(params.get("api_base")) or not is_off(params.get("base_url"))
        for vendors in (self._vendors.known, self._vendors.all):
            if (vendor := _vendor(prefix, vendors(), has_address=address)) is not None:
                return vendor, f"{vendor.name}:{rest}"
        hint = through_package(prefix, rest) or f"{prefix!r} has no counterpart here"
        self._report.add(f"{where}.litellm_params.model={text}", hint.removesuffix("."))
        return None, None

    # -- its settings ----------------------------------------------------------------------------------

    def _deployment(self, params: Mapping[str, Any], vendor: Vendor | None, where: str) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        words: dict[str, Any] = {}
        for name, given in params.items():
            value = self._variables.value(given)
            if name in _READ or value is None:
                continue
            if name in _FIELDS:
                fields |= dict.fromkeys(_FIELDS[name], value)
            elif name in _PRICES:
                fields[_PRICES[name]] = _per_million(value, f"{where}.{name}")
            elif name == "extra_body":
                words |= mapping_of(value, f"{where}.{name}")
            elif name == "cache_control_injection_points":
                words["prompt_cache"] = True
            elif name in NEUTRAL or (vendor is not None and vendor.words.find(name, value) is not None):
                words[name] = value
            elif not is_off(value):
                self._report.add(f"{where}.{name}", _INSTEAD.get(name, ""))
        return {**fields, "params": words} if words else fields

    def _described(self, info: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return what `model_info` holds: name, prices, abilities; other words have no effect there."""
        fields: dict[str, Any] = {} if is_off(info.get("id")) else {"name": str(info["id"])}
        profile: dict[str, Any] = {}
        for name, value in info.items():
            if name in _PRICES and value is not None:
                fields[_PRICES[name]] = _per_million(value, f"{where}.{name}")
            elif name in _PROFILE and value is not None:
                profile[_PROFILE[name]] = value
            elif "cost" in name and not is_off(value):
                self._report.add(f"{where}.{name}", "prices are input_price and output_price")
        if not is_off(info.get("base_model")):
            self._report.different[f"{where}.base_model"] = "prices by it: input_price and output_price"
        if "max_output_tokens" in info:
            profile["max_output_tokens"] = info["max_output_tokens"]
        return {**fields, "profile": profile} if profile else fields


def _per_million(value: Any, where: str) -> float:
    return number_of(value, where) * 1_000_000


def _vendor(prefix: str, vendors: Iterable[Vendor], *, has_address: bool) -> Vendor | None:
    """Return the vendor that LiteLLM's `prefix` means: with an address, one that has none of its own."""
    named = [vendor for vendor in vendors if prefix in vendor.litellm_names]
    unplaced = [v for v in named if v.base_url is None and not v.environment.urls]
    usual = [vendor for vendor in named if vendor not in unplaced]
    return next(iter((unplaced if has_address else []) + usual), None)
