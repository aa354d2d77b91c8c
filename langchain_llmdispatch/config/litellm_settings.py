"""LiteLLM's `router_settings` and `litellm_settings`, word by word.

Most words may stand in either section; those of `router_settings` win. Sources: docs.litellm.ai,
`/docs/proxy/config_settings`, `/docs/routing`, `/docs/proxy/reliability`, `/docs/proxy/caching`, and the
parameters of `litellm.Router` 1.110.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_llmdispatch.config.litellm_redis import redis_of
from langchain_llmdispatch.config.litellm_report import (
    LiteLLMReport,
    LiteLLMVariables,
    is_off,
    list_of,
    mapping_of,
    number_of,
)
from langchain_llmdispatch.config.schema import PARAMETERS

SECTIONS = ("litellm_settings", "router_settings")
_STRATEGIES = {
    "simple-shuffle": "weighted",
    "least-busy": "least_busy",
    "latency-based-routing": "lowest_latency",
    "cost-based-routing": "lowest_cost",
    "usage-based-routing": "least_busy",
    "usage-based-routing-v2": "least_busy",
}
# Read elsewhere (groups, fallbacks, Redis), or without effect here because it always holds.
_SILENT = frozenset(
    [
        *("fallbacks", "default_fallbacks", "context_window_fallbacks", "model_group_alias", "cache_params"),
        *("redis_url", "redis_host", "redis_port", "redis_password", "redis_db", "cache_kwargs"),
        *("num_retries", "retry_after", "retry_policy", "drop_params", "default_max_parallel_requests"),
        *("enable_pre_call_checks", "enable_pre_call_check", "fallback_on_unsupported_params"),
        *("modify_params", "client_ttl", "tag_filtering_match_any", "telemetry"),
        *("turn_off_message_logging", "redact_user_api_key_info", "redact_messages_in_exceptions"),
    ]
)
_BREAKERS = "breakers open by the share of failures, for 5 s and doubling"
_AFFINITY = "a thread stays on its deployment: configurable.thread_id"
_DIFFERENT: Mapping[str, str] = {
    **dict.fromkeys(("allowed_fails", "allowed_fails_policy", "cooldown_time"), _BREAKERS),
    **dict.fromkeys(("deployment_affinity_ttl_seconds", "model_group_affinity_config"), _AFFINITY),
    "routing_strategy_args": "strategies have no arguments",
    "max_fallbacks": "max_attempts bounds all requests of a call",
}
_CACHE, _EXPORT = "LangChain's set_llm_cache", "the extras [otel] and [prometheus], LangChain's callbacks"
_INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("cache_responses", "caching_groups"), _CACHE),
    **dict.fromkeys(("success_callback", "failure_callback", "callbacks", "service_callbacks"), _EXPORT),
    **dict.fromkeys(("max_budget", "budget_duration"), "Budget(usd, per)"),
    "content_policy_fallbacks": "escalate_when: [refusal]",
    "custom_provider_map": "custom_vendors",
    "enable_tag_filtering": "routing_rules with tags",
    "plugins": "strategy: a function",
    "provider_budget_config": "Budget(usd, per, scope='vendor')",
    "retry_policy": "one number of retries, or none, per kind of error",
}
_AFFINITIES = frozenset(
    [
        *("prompt_caching", "session_affinity", "deployment_affinity"),
        *("responses_api_deployment_check", "encrypted_content_affinity"),
    ]
)
_MEANT_WHEN_OFF = ("ignore_invalid_deployments",)
# Kinds of errors in LiteLLM's `retry_policy`, by our words; the other kinds are never retried here.
_KINDS = {
    "TimeoutErrorRetries": "timeout",
    "RateLimitErrorRetries": "rate limit",
    "InternalServerErrorRetries": "server error",
}
_ALWAYS = ("connection", "malformed response", "empty answer")


class LiteLLMSettings:
    """Reads both sections.

    Args:
        sections: The sections by name, in the order of `SECTIONS`.
        variables: Where references are looked up.
        report: Where settings without a counterpart are noted.
    """

    def __init__(
        self, sections: Mapping[str, Mapping[str, Any]], variables: LiteLLMVariables, report: LiteLLMReport
    ) -> None:
        self._report = report
        self._readers: Mapping[str, Callable[[str, Any], dict[str, Any]]] = {
            "routing_strategy": self._strategy,
            "request_timeout": self._timeout,
            "timeout": self._timeout,
            "stream_timeout": self._stream_timeout,
            **dict.fromkeys(("set_verbose", "json_logs", "debug_level"), self._logging),
            "enable_mid_stream_fallback_continuation": self._resume,
            "ignore_invalid_deployments": self._invalid_deployments,
            "optional_pre_call_checks": self._checks,
            "default_litellm_params": self._defaults,
            "cache": self._cache,
        }
        self.words: dict[str, Any] = {}
        self._places: dict[str, str] = {}
        for section in SECTIONS:
            for name, value in sections[section].items():
                if not is_off(value) or name in _MEANT_WHEN_OFF:
                    self.words[name] = variables.value(value)
                    self._places[name] = f"{section}.{name}"
        self._variables = variables

    def fields(self) -> dict[str, Any]:
        """Return our fields; words without a counterpart are noted."""
        fields: dict[str, Any] = {"strategy": "weighted"}
        for name, value in self.words.items():
            where, read = self._places[name], self._readers.get(name)
            if read is not None:
                fields |= read(where, value)
            elif name in _DIFFERENT:
                self._report.different[where] = _DIFFERENT[name]
            elif name not in _SILENT:
                self._report.add(where, _INSTEAD.get(name, ""))
        if "timeout" in self.words:  # wins over `request_timeout`
            fields["timeout"] = self._number("timeout")
        if self.words.get("drop_params") is True:
            fields["unsupported_params"] = "drop"
        fields |= self._retries()
        return fields | redis_of(self.words, self._places, self._variables.variables, self._report)

    def concurrency(self) -> int | None:
        """Return how many requests each deployment may have in flight, where it does not set that itself."""
        name = "default_max_parallel_requests"
        return int(self._number(name)) if name in self.words else None

    def _number(self, name: str) -> float:
        return number_of(self.words[name], name)

    # -- words -----------------------------------------------------------------------------------------

    def _strategy(self, where: str, value: Any) -> dict[str, Any]:
        if str(value) not in _STRATEGIES:
            self._report.add(f"{where}={value}")
        return {"strategy": _STRATEGIES.get(str(value), "weighted")}

    def _timeout(self, where: str, value: Any) -> dict[str, Any]:
        return {"timeout": number_of(value, where)}

    def _stream_timeout(self, where: str, value: Any) -> dict[str, Any]:
        return dict.fromkeys(("first_token_timeout", "stream_idle_timeout"), number_of(value, where))

    def _logging(self, _: str, value: Any) -> dict[str, Any]:
        return {"enable_logging": True} if value is True or value == "DEBUG" else {}

    def _resume(self, _: str, __: Any) -> dict[str, Any]:
        return {"on_stream_error": "resume"}

    def _invalid_deployments(self, _: str, value: Any) -> dict[str, Any]:
        return {"missing_keys": "skip" if value else "raise"}

    def _checks(self, where: str, value: Any) -> dict[str, Any]:
        for check in list_of(value, where):
            if check in _AFFINITIES:
                self._report.different[f"{where}={check}"] = _AFFINITY
            elif check not in {"router_budget_limiting", "enforce_model_rate_limits"}:
                self._report.add(f"{where}={check}")
        return {}

    def _defaults(self, where: str, value: Any) -> dict[str, Any]:
        """Return the parameters of every request; other words of it have no place in a model."""
        given = mapping_of(value, where)
        self._report.add_unknown(f"{where}.", given, PARAMETERS)
        return {name: inner for name, inner in given.items() if name in PARAMETERS}

    def _cache(self, where: str, _: Any) -> dict[str, Any]:
        """Note that answers are cached there, unless the cache is only LiteLLM's way to name its Redis."""
        params = mapping_of(self.words.get("cache_params") or {}, "cache_params")
        if params.get("supported_call_types") != []:
            self._report.add(f"{where} (of answers)", _CACHE)
        return {}

    # -- retries ---------------------------------------------------------------------------------------

    def _retries(self) -> dict[str, Any]:
        policy: dict[str, Any] = {}
        if "num_retries" in self.words:
            policy["max_retries"] = int(self._number("num_retries"))
        if "retry_after" in self.words:
            policy |= {"initial_delay": self._number("retry_after"), "jitter": False}
        if "retry_policy" in self.words:
            policy |= self._by_kind(policy.get("max_retries"))
        return {"retry_policy": policy} if policy else {}

    def _by_kind(self, usual: int | None) -> dict[str, Any]:
        """Return one number of retries and the kinds of errors that it is for; note what needs several."""
        where = self._places["retry_policy"]
        given = {
            name: int(number_of(value, f"{where}.{name}"))
            for name, value in mapping_of(self.words["retry_policy"], where).items()
            if value is not None
        }
        usual = given.pop("DefaultRetries", usual)
        for name in sorted(given.keys() - _KINDS.keys()):
            if given[name]:
                self._report.add(f"{where}.{name}", "such errors are not retried")
        counts = {word: given.get(name, usual) for name, word in _KINDS.items()}
        several = {count for count in (*counts.values(), usual) if count}
        if len(several) > 1:
            self._report.add(where, _INSTEAD["retry_policy"])
            return {}
        retried = [word for word, count in counts.items() if count != 0]
        found: dict[str, Any] = {"max_retries": several.pop()} if several else {"max_retries": 0}
        return found if len(retried) == len(counts) else {**found, "retryable_errors": [*retried, *_ALWAYS]}
