"""Configuration files: YAML and JSON, `${ENV}` references, and LiteLLM's `config.yaml`."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_llmdispatch.errors import ConfigurationError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def read_config(source: str | Path | Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the mapping that a YAML or JSON file, or a mapping, holds, its `${ENV}` references resolved.

    Args:
        source: A path ending in `.yaml`, `.yml` or `.json`, or a mapping.
        environment: Where `${NAME}` and `${NAME:-default}` are looked up.

    Raises:
        ConfigurationError: The file is missing or malformed, or a variable is not set.
    """
    held = dict(source) if isinstance(source, Mapping) else _parsed(Path(source))
    resolved = _resolved(held, environment, "")
    assert isinstance(resolved, dict)  # noqa: S101 - a mapping resolves to a mapping
    return resolved


def _parsed(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror or error}") from None
    import yaml  # noqa: PLC0415 - 20 ms of an import, and only here

    try:
        held = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: {_one_line(error)}") from None
    if not isinstance(held, Mapping):
        raise ConfigurationError(f"{path}: holds {type(held).__name__}, not a mapping of fields.")
    return held


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{getattr(error, 'problem', None) or error}{where}"


def _resolved(value: Any, environment: Mapping[str, str], field: str) -> Any:
    if isinstance(value, Mapping):
        return {k: _resolved(v, environment, f"{field}.{k}".lstrip(".")) for k, v in value.items()}
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _variable(match, environment, field), value)
    if isinstance(value, Sequence):
        return [_resolved(item, environment, f"{field}[{n}]") for n, item in enumerate(value)]
    return value


def _variable(match: re.Match[str], environment: Mapping[str, str], field: str) -> str:
    name, default = match.groups()
    found = environment.get(name)
    if found is None and default is None:
        raise ConfigurationError(f"{field}: the variable {name} is not set.")
    return found if found is not None else str(default)


# -- LiteLLM -----------------------------------------------------------------------------------------

_PREFIXES = {
    "openai": "openai",
    "azure": "azure",
    "anthropic": "anthropic",
    "gemini": "google",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "huggingface": "huggingface",
    "ollama": "ollama",
    "ollama_chat": "ollama",
}
_PARAMS = {
    "api_key": "api_key",
    "api_base": "base_url",
    "api_version": "api_version",
    "rpm": "rpm",
    "tpm": "tpm",
    "weight": "weight",
    "timeout": "timeout",
    "max_parallel_requests": "max_concurrency",
}
_STRATEGIES = {
    "simple-shuffle": "weighted",
    "least-busy": "least_busy",
    "latency-based-routing": "lowest_latency",
    "cost-based-routing": "lowest_cost",
    "usage-based-routing": "least_busy",
    "usage-based-routing-v2": "least_busy",
}
_SAMPLING = ("temperature", "max_tokens", "top_p", "seed", "stop", "reasoning_effort")
_OPENAI_HOSTS = {
    "groq",
    "openrouter",
    "mistral",
    "deepseek",
    "together_ai",
    "xai",
    "hosted_vllm",
    "openai_like",
}


def read_litellm(
    source: str | Path | Mapping[str, Any], environment: Mapping[str, str], *, strict: bool = True
) -> dict[str, Any]:
    """Return our fields for a LiteLLM `config.yaml`.

    Args:
        source: The file, or its mapping.
        environment: Where `os.environ/NAME` is looked up.
        strict: Whether a key with no counterpart here is an error; otherwise it is warned of.

    Raises:
        ConfigurationError: The file is malformed, or (strict) holds keys that cannot be carried over; all of
            them are listed.
    """
    held = dict(source) if isinstance(source, Mapping) else dict(_parsed(Path(source)))
    importer = _LiteLLM(environment)
    fields = importer.fields(held)
    if importer.unknown:
        text = f"LiteLLM settings without a counterpart: {', '.join(sorted(importer.unknown))}"
        if strict:
            raise ConfigurationError(f"{text}. Pass strict=False to leave them out.")
        warnings.warn(text, stacklevel=3)
    return fields


class _LiteLLM:
    """Reads one LiteLLM configuration, and notes what it could not carry over."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.unknown: set[str] = set()

    def fields(self, held: Mapping[str, Any]) -> dict[str, Any]:
        routes: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        for entry in held.get("model_list") or []:
            alias, order, deployment = self._deployment(entry)
            routes.setdefault(alias, []).append((order, deployment))
        ordered = {a: [d for _, d in sorted(found, key=lambda x: x[0])] for a, found in routes.items()}
        if not ordered:
            raise ConfigurationError("model_list is empty or missing.")
        router = held.get("router_settings") or {}
        settings = held.get("litellm_settings") or {}
        fields = {"routes": self._with_fallbacks(ordered, router), "model": next(iter(ordered))}
        fields.update(self._router(router))
        fields.update(self._settings(settings))
        known = {
            "model_list",
            "router_settings",
            "litellm_settings",
            "general_settings",
            "environment_variables",
        }
        self.unknown |= set(held) - known
        return fields

    def _deployment(self, entry: Mapping[str, Any]) -> tuple[str, float, dict[str, Any]]:
        params = dict(entry.get("litellm_params") or {})
        alias = str(entry.get("model_name") or params.get("model"))
        fields: dict[str, Any] = {"model": self._model(str(params.pop("model", "")), params)}
        order = float(params.pop("order", 0))
        for name, value in params.items():
            if name in _PARAMS:
                fields[_PARAMS[name]] = self._value(value)
            elif name in _SAMPLING:
                fields.setdefault("params", {})[name] = value
            else:
                self.unknown.add(f"litellm_params.{name}")
        info = entry.get("model_info") or {}
        for theirs, ours in (
            ("input_cost_per_token", "input_price"),
            ("output_cost_per_token", "output_price"),
        ):
            if theirs in info:
                fields[ours] = float(info[theirs]) * 1_000_000
        return alias, order, fields

    def _model(self, text: str, params: Mapping[str, Any]) -> str:
        prefix, found, rest = text.partition("/")
        if found and prefix in _PREFIXES:
            compatible = prefix == "openai" and "api_base" in params
            return f"{'compatible' if compatible else _PREFIXES[prefix]}:{rest}"
        if found and prefix in _OPENAI_HOSTS and "api_base" in params:
            return f"compatible:{rest}"
        if found:
            raise ConfigurationError(f"model {text!r}: LiteLLM's {prefix!r} has no counterpart here.")
        return text

    def _value(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("os.environ/"):
            name = value.removeprefix("os.environ/")
            found = self._environment.get(name)
            if found is None:
                raise ConfigurationError(f"the variable {name} is not set.")
            return found
        return value

    def _with_fallbacks(
        self, routes: dict[str, list[dict[str, Any]]], router: Mapping[str, Any]
    ) -> dict[str, list[dict[str, Any]]]:
        chains = {k: v for item in router.get("fallbacks") or [] for k, v in item.items()}
        out = {
            a: [*own, *(d for f in chains.get(a, ()) for d in routes.get(f, ()))] for a, own in routes.items()
        }
        for alias, group in (router.get("model_group_alias") or {}).items():
            out[alias] = out[group if isinstance(group, str) else group["model"]]
        return out

    def _router(self, router: Mapping[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if "routing_strategy" in router:
            fields["strategy"] = _STRATEGIES.get(router["routing_strategy"], "ordered")
        if "num_retries" in router:
            fields["retry_policy"] = {"max_retries": int(router["num_retries"])}
        if "timeout" in router:
            fields["timeout"] = float(router["timeout"])
        known = {"routing_strategy", "num_retries", "timeout", "fallbacks", "model_group_alias"}
        self.unknown |= {f"router_settings.{name}" for name in set(router) - known}
        return fields

    def _settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if settings.get("drop_params"):
            fields["unsupported_params"] = "drop"
        if "request_timeout" in settings:
            fields["timeout"] = float(settings["request_timeout"])
        if "num_retries" in settings:
            fields["retry_policy"] = {"max_retries": int(settings["num_retries"])}
        known = {"drop_params", "request_timeout", "num_retries"}
        self.unknown |= {f"litellm_settings.{name}" for name in set(settings) - known}
        return fields
