"""Rows of LiteLLM's `model_list`, word by word."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmdispatch import ConfigurationError, Deployment
from langchain_llmdispatch.config.litellm import read_litellm
from tests.cases import each

VARIABLES = {"AZ": "k-az", "BASE": "https://a.example", "RPM": "7"}


def deployment(params: dict[str, Any], info: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    """Return the deployment of a configuration with one row."""
    row = {"model_name": "m", "litellm_params": params, "model_info": info or {}}
    found: dict[str, Any] = read_litellm({"model_list": [row], **config}, VARIABLES)["routes"]["m"][0]
    Deployment(**found)
    return found


GPT = "openai/gpt-6-luna"


@each(
    "params, fields",
    [
        ({"model": GPT}, {"model": "openai:gpt-6-luna"}),
        ({"model": "gpt-6-luna", "custom_llm_provider": "openai"}, {"model": "openai:gpt-6-luna"}),
        ({"model": GPT, "api_base": None}, {"model": "openai:gpt-6-luna"}),
        ({"model": GPT, "base_url": "https://x.example"}, {"model": "compatible:gpt-6-luna", "base_url": "https://x.example"}),
        (
            {"model": "azure/d", "api_base": "os.environ/BASE", "api_key": "os.environ/AZ", "api_version": "2026-01-01"},
            {"model": "azure:d", "base_url": "https://a.example", "api_key": "k-az", "api_version": "2026-01-01"},
        ),
        ({"model": "gemini/g", "rpm": "os.environ/RPM", "tpm": 9}, {"model": "google:g", "rpm": "7", "tpm": 9}),
        ({"model": "groq/llama", "max_parallel_requests": 3}, {"model": "groq:llama", "max_concurrency": 3}),
        ({"model": GPT, "timeout": 5, "stream_timeout": 2}, {"timeout": 5, "first_token_timeout": 2, "stream_idle_timeout": 2}),
        ({"model": GPT, "organization": "org-1", "tags": ["eu"]}, {"organization": "org-1", "tags": ["eu"]}),
        ({"model": GPT, "extra_headers": {"x": "os.environ/AZ"}}, {"headers": {"x": "k-az"}}),
        ({"model": GPT, "temperature": 0, "max_tokens": 9, "parallel_tool_calls": False}, {"params": {"temperature": 0, "max_tokens": 9, "parallel_tool_calls": False}}),
        ({"model": GPT, "store": True, "service_tier": "flex"}, {"params": {"store": True, "service_tier": "flex"}}),
        ({"model": "ollama/qwen", "num_ctx": 8192}, {"params": {"num_ctx": 8192}}),
        ({"model": "openai/q", "api_base": "https://x.example", "extra_body": {"guided_regex": "a"}}, {"params": {"guided_regex": "a"}}),
        ({"model": "anthropic/c", "cache_control_injection_points": [{"location": "message", "role": "system"}]}, {"params": {"prompt_cache": True}}),
        ({"model": GPT, "input_cost_per_token": 1e-6, "output_cost_per_token": "2e-6"}, {"input_price": 1.0, "output_price": 2.0}),
        ({"model": GPT, "drop_params": False, "use_in_pass_through": False}, {"model": "openai:gpt-6-luna"}),
    ],
)  # fmt: skip
def test_words_of_a_row_become_fields(params: dict[str, Any], fields: dict[str, Any]) -> None:
    """Of the deployment, or parameters of its requests; references are resolved wherever they are."""
    found = deployment(params)
    assert {name: found.get(name) for name in fields} == fields
    assert found.keys() - fields.keys() <= {"model", "api_key", "base_url", "weight"}


def test_a_row_is_described() -> None:
    """Its id is its name; prices and abilities count, words of one's own do not."""
    info = {
        "id": "luna-eu",
        "mode": "chat",
        "input_cost_per_token": 0.000002,
        "max_input_tokens": 9000,
        "max_tokens": 500,
        "max_output_tokens": 400,
        "supports_vision": False,
        "supports_function_calling": True,
        "owner": "team-a",
    }
    found = deployment({"model": GPT}, info)
    assert (found["name"], found["input_price"]) == ("luna-eu", 2.0)
    assert found["profile"] == {
        "max_input_tokens": 9000,
        "max_output_tokens": 400,
        "image_inputs": False,
        "tool_calling": True,
    }


def test_a_row_takes_what_its_credential_holds() -> None:
    """Its own words win over those of `credential_list`."""
    credentials = [
        {"credential_name": "az", "credential_values": {"api_key": "os.environ/AZ", "api_base": "https://b"}},
    ]
    params = {"model": "azure/d", "litellm_credential_name": "az", "api_base": "https://own.example"}
    found = deployment(params, credential_list=credentials)
    assert (found["api_key"], found["base_url"]) == ("k-az", "https://own.example")
    with pytest.raises(ConfigurationError, match="litellm_credential_name .no credential 'gcp'"):
        deployment({"model": GPT, "litellm_credential_name": "gcp"}, credential_list=credentials)


@each(
    "params, info, message",
    [
        (
            {"model": "bedrock/anthropic.claude"},
            {},
            "model=bedrock/anthropic.claude .pip install langchain-aws",
        ),
        ({"model": "vertex_ai/gemini-x"}, {}, "langchain-google-vertexai"),
        ({"model": "replicate/x"}, {}, "'replicate' has no counterpart here"),
        ({"model": "openai/text-embedding-3"}, {"mode": "embedding"}, r"model_list\[0\] .mode embedding"),
        ({"model": "openai/*"}, {}, "a wildcard"),
        ({"model": GPT, "num_retries": 5}, {}, "litellm_params.num_retries .retries are the model's"),
        ({"model": GPT, "max_budget": 5}, {}, "max_budget .Budget"),
        ({"model": "azure/d", "tenant_id": "t"}, {}, "tenant_id .api_key: a function"),
        ({"model": GPT, "num_ctx": 8192}, {}, "litellm_params.num_ctx"),
        ({"model": GPT, "mock_response": "hi"}, {}, "mock_response"),
        ({"model": GPT}, {"cache_read_input_token_cost": 1e-7}, "model_info.cache_read_input_token_cost"),
        ({"model": GPT, "rpd": 5}, {}, "litellm_params.rpd"),
    ],
)
def test_what_a_row_cannot_have_here_is_listed(
    params: dict[str, Any], info: dict[str, Any], message: str
) -> None:
    """With its place, and with what to do instead."""
    with pytest.raises(ConfigurationError, match=message):
        deployment(params, info)


def test_a_row_of_a_foreign_cloud_is_left_out() -> None:
    """With strict=False the others serve."""
    rows = [
        {"model_name": "m", "litellm_params": {"model": "bedrock/x", "aws_region_name": "us-east-1"}},
        {"model_name": "m", "litellm_params": {"model": GPT}},
    ]
    with pytest.warns(UserWarning, match="ChatBedrockConverse"):
        fields = read_litellm({"model_list": rows}, {}, strict=False)
    assert [each["model"] for each in fields["routes"]["m"]] == ["openai:gpt-6-luna"]
    with pytest.raises(ConfigurationError, match="no deployment is left.*bedrock"):
        read_litellm({"model_list": rows[:1]}, {}, strict=False)


def test_a_base_model_is_noted() -> None:
    """It is only for prices there."""
    with pytest.warns(UserWarning, match="in another way here: .*base_model .prices"):
        deployment({"model": "azure/d", "api_base": "https://a.example"}, {"base_model": "azure/gpt-5"})
