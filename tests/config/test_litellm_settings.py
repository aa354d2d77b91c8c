"""LiteLLM's `router_settings`, `litellm_settings` and `general_settings`, word by word."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from langchain_llmdispatch import ConfigurationError
from langchain_llmdispatch.config.configuration import DispatcherConfig
from langchain_llmdispatch.config.litellm import read_litellm
from tests.cases import each

ROWS = [
    {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_key": "k"}} for name in ("a", "b")
]
BASE: dict[str, Any] = {"model_list": ROWS}


def read(sections: dict[str, Any], **variables: str) -> dict[str, Any]:
    """Return the fields of a configuration with these sections; they are those of a model."""
    fields = read_litellm({**BASE, **sections}, variables)
    DispatcherConfig.checked(fields)
    return fields


@pytest.mark.parametrize("section", ["router_settings", "litellm_settings"])
@each(
    "words, fields",
    [
        ({"routing_strategy": "latency-based-routing"}, {"strategy": "lowest_latency"}),
        ({"routing_strategy": "usage-based-routing-v2"}, {"strategy": "least_busy"}),
        ({"num_retries": 4}, {"retry_policy": {"max_retries": 4}}),
        ({"num_retries": 1, "retry_after": 3}, {"retry_policy": {"max_retries": 1, "initial_delay": 3, "jitter": False}}),
        ({"timeout": "9"}, {"timeout": 9}),
        ({"request_timeout": 7}, {"timeout": 7}),
        ({"request_timeout": 7, "timeout": 9}, {"timeout": 9}),
        ({"stream_timeout": 5}, {"first_token_timeout": 5, "stream_idle_timeout": 5}),
        ({"drop_params": True}, {"unsupported_params": "drop"}),
        ({"set_verbose": True}, {"enable_logging": True}),
        ({"debug_level": "DEBUG"}, {"enable_logging": True}),
        ({"enable_mid_stream_fallback_continuation": True}, {"on_stream_error": "resume"}),
        ({"ignore_invalid_deployments": False}, {"missing_keys": "raise"}),
        ({"default_litellm_params": {"temperature": 0.5}}, {"temperature": 0.5}),
        ({"retry_policy": {"TimeoutErrorRetries": 3, "RateLimitErrorRetries": 3, "InternalServerErrorRetries": 3}}, {"retry_policy": {"max_retries": 3}}),
        (
            {"num_retries": 2, "retry_policy": {"TimeoutErrorRetries": 0, "AuthenticationErrorRetries": 0}},
            {"retry_policy": {"max_retries": 2, "retryable_errors": ["rate limit", "server error", "connection", "malformed response", "empty answer"]}},
        ),
        ({"cache": False, "set_verbose": False, "success_callback": [], "disable_cooldowns": None}, {"strategy": "weighted"}),
    ],
)  # fmt: skip
def test_words_of_both_sections_become_fields(
    section: str, words: dict[str, Any], fields: dict[str, Any]
) -> None:
    """What is off has no effect, and none is noted."""
    found = read({section: words})
    assert {name: found.get(name) for name in fields} == fields
    assert found.keys() <= {"routes", "model", "strategy", *fields}


def test_the_router_s_words_win() -> None:
    """As LiteLLM documents it."""
    both = {"litellm_settings": {"num_retries": 1}, "router_settings": {"num_retries": 5}}
    assert read(both)["retry_policy"] == {"max_retries": 5}


def test_deployments_have_a_usual_concurrency() -> None:
    """The router's, or the proxy's; a row's own wins."""
    rows = [*ROWS, {"model_name": "c", "litellm_params": {"model": "openai/c", "max_parallel_requests": 2}}]
    for more in (
        {"router_settings": {"default_max_parallel_requests": 8}},
        {"general_settings": {"max_parallel_requests": 8}},
    ):
        routes = read({**more, "model_list": rows})["routes"]
        assert [group[0]["max_concurrency"] for group in routes.values()] == [8, 8, 2]


@each(
    "sections, message",
    [
        ({"router_settings": {"cooldown_time": 30, "allowed_fails": 3}}, "cooldown_time .breakers"),
        ({"router_settings": {"routing_strategy_args": {"ttl": 9}}}, "strategies have no arguments"),
        ({"router_settings": {"max_fallbacks": 9}}, "max_attempts"),
        ({"router_settings": {"optional_pre_call_checks": ["prompt_caching"]}}, "thread_id"),
        ({"litellm_settings": {"context_window_fallbacks": [{"a": ["b"]}]}}, "they serve when all others"),
        ({"general_settings": {"master_key": "sk-1", "alerting": ["slack"]}}, "server, .*alerting, general_settings.master_key"),
    ],
)  # fmt: skip
def test_what_works_in_another_way_is_warned_of(sections: dict[str, Any], message: str) -> None:
    """It is no error."""
    with pytest.warns(UserWarning, match=message):
        read(sections)


def test_groups_for_long_prompts_are_further_deployments() -> None:
    """The router chooses by the window anyway."""
    with pytest.warns(UserWarning, match="context_window_fallbacks"):
        routes = read({"router_settings": {"context_window_fallbacks": [{"a": ["b"]}]}})["routes"]
    assert [(each["model"], each.get("weight")) for each in routes["a"]] == [
        ("openai:a", None),
        ("openai:b", 0),
    ]
    both = {"context_window_fallbacks": [{"a": ["b"]}], "fallbacks": [{"a": ["b"]}]}
    assert len(read({"router_settings": both})["routes"]["a"]) == 2  # and no warning


@each(
    "sections, message",
    [
        ({"router_settings": {"disable_cooldowns": True}}, "router_settings.disable_cooldowns"),
        ({"router_settings": {"enable_tag_filtering": True}}, "enable_tag_filtering .routing_rules"),
        ({"router_settings": {"provider_budget_config": {"openai": {"budget_limit": 1}}}}, "scope='vendor'"),
        (
            {"router_settings": {"optional_pre_call_checks": ["forward_client_headers_by_model_group"]}},
            "forward_client",
        ),
        (
            {"router_settings": {"retry_policy": {"TimeoutErrorRetries": 3, "RateLimitErrorRetries": 1}}},
            "one number",
        ),
        (
            {"router_settings": {"retry_policy": {"AuthenticationErrorRetries": 3}}},
            "such errors are not retried",
        ),
        ({"router_settings": {"default_litellm_params": {"mock": 1}}}, "default_litellm_params.mock"),
        ({"litellm_settings": {"content_policy_fallbacks": [{"a": ["b"]}]}}, "escalate_when"),
        ({"litellm_settings": {"callbacks": ["otel"]}}, "callbacks .the extras .otel"),
        ({"litellm_settings": {"cache": True}}, "cache .of answers. .LangChain's set_llm_cache"),
        ({"litellm_settings": {"max_budget": 9}}, "max_budget .Budget"),
        ({"litellm_settings": {"no_such_word": 1}}, "litellm_settings.no_such_word"),
        ({"general_settings": {"global_max_parallel_requests": 9}}, "global_max_parallel_requests"),
        ({"guardrails": [{"guardrail_name": "x"}]}, "counterpart: guardrails"),
    ],
)
def test_what_has_no_counterpart_is_an_error(sections: dict[str, Any], message: str) -> None:
    """With its place, and with what to do instead."""
    with pytest.raises(ConfigurationError, match=message):
        read(sections)


# The parameters of `litellm.Router` 1.110.2, and further words of the documentation's `litellm_settings`.
ROUTER = """assistants_config search_tools guardrail_list redis_url redis_host redis_port redis_password redis_db
cache_responses cache_kwargs caching_groups client_ttl polling_interval default_priority num_retries max_fallbacks timeout
stream_timeout default_litellm_params default_max_parallel_requests set_verbose debug_level default_fallbacks fallbacks
context_window_fallbacks content_policy_fallbacks model_group_alias enable_pre_call_checks enable_tag_filtering
tag_filtering_match_any tag_routing_prefix plugins retry_after retry_policy model_group_retry_policy allowed_fails
allowed_fails_policy cooldown_time disable_cooldowns fallback_on_unsupported_params routing_strategy
optional_pre_call_checks routing_strategy_args routing_groups provider_budget_config alerting_config
router_general_settings deployment_affinity_ttl_seconds model_group_affinity_config ignore_invalid_deployments
enable_health_check_routing health_check_staleness_threshold health_check_ignore_transient_errors
background_health_check_model_groups enable_weighted_failover enable_mid_stream_fallback_continuation weights"""
LITELLM = """success_callback failure_callback callbacks service_callbacks turn_off_message_logging modify_params
enable_preview_features redact_user_api_key_info mcp_aliases langfuse_default_tags json_logs request_timeout force_ipv4
cache cache_params drop_params disable_end_user_cost_tracking key_generation_settings enable_json_schema_validation
default_internal_user_params max_budget budget_duration ssl_verify custom_provider_map telemetry"""
VALUES: dict[str, Any] = {
    "num_retries": 1,
    "max_fallbacks": 1,
    "timeout": 1,
    "request_timeout": 1,
    "stream_timeout": 1,
    "retry_after": 1,
    "default_max_parallel_requests": 1,
    "default_litellm_params": {"temperature": 1},
    "debug_level": "DEBUG",
    "default_fallbacks": ["b"],
    "fallbacks": [{"a": ["b"]}],
    "context_window_fallbacks": [{"a": ["b"]}],
    "model_group_alias": {"c": "a"},
    "retry_policy": {"TimeoutErrorRetries": 1},
    "routing_strategy": "least-busy",
    "optional_pre_call_checks": ["session_affinity"],
    "redis_url": "redis://h/0",
    "redis_host": "h",
    "cache_kwargs": {"ssl": True},
    "cache_params": {"type": "redis"},
}
# What always holds here, so that there is nothing to carry over, and what only means something beside another word.
HELD = {
    *("client_ttl", "enable_pre_call_checks", "fallback_on_unsupported_params", "modify_params", "telemetry"),
    *("turn_off_message_logging", "redact_user_api_key_info", "tag_filtering_match_any", "cache_params"),
}


@each("word", [*ROUTER.split(), *LITELLM.split()])
def test_no_word_is_dropped_in_silence(word: str) -> None:
    """Each one changes the fields, is warned of, or is an error."""
    section = "router_settings" if word in ROUTER.split() else "litellm_settings"
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            fields = read_litellm({**BASE, section: {word: VALUES.get(word, True)}}, {})
        except ConfigurationError as error:
            assert word in str(error)
            return
    changed = fields != read_litellm(BASE, {})
    noted = any(word in str(each.message) for each in warned)
    assert (changed or noted) is (word not in HELD)


def test_a_converted_file_has_the_proxy_s_key() -> None:
    """And the bound of its bodies; a model has neither."""
    general = {"master_key": "os.environ/MASTER", "max_request_size_mb": 2, "completion_model": "b"}
    fields = read_litellm({**BASE, "general_settings": general}, {"MASTER": "sk-12345678"}, server=True)
    config = DispatcherConfig.checked(fields)
    assert config.server is not None
    assert [key.name for key in config.server.api_keys] == ["master"]
    assert config.server.max_body_bytes == 2 * 1024 * 1024
    assert config.model == "b"
    with pytest.warns(UserWarning, match="master_key"):
        short = read_litellm({**BASE, "general_settings": {"master_key": "sk-1234"}}, {}, server=True)
    assert "server" not in short
