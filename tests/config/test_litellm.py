"""LiteLLM's `config.yaml`, carried over."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmdispatch import ConfigurationError, DispatcherChatModel
from langchain_llmdispatch.config.litellm import read_litellm
from langchain_llmdispatch.vendors.ollama.vendor import OllamaVendor
from tests.cases import each

LITELLM = {
    "model_list": [
        {
            "model_name": "fast",
            "litellm_params": {
                "model": "azure/gpt-x",
                "api_base": "https://a.example",
                "api_key": "os.environ/AZ",
                "rpm": 9,
            },
            "model_info": {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.000002},
        },
        {"model_name": "smart", "litellm_params": {"model": "anthropic/claude-haiku-5-5", "api_key": "k-2"}},
    ],
    "router_settings": {
        "routing_strategy": "simple-shuffle",
        "num_retries": 1,
        "fallbacks": [{"fast": ["smart"]}],
    },
    "litellm_settings": {"drop_params": True, "success_callback": ["langfuse"]},
}


def test_litellm_configuration_is_carried_over() -> None:
    """Aliases, keys, limits, prices, strategy and fallbacks survive; what has no counterpart is listed."""
    with pytest.raises(ConfigurationError, match=r"litellm_settings\.success_callback"):
        read_litellm(LITELLM, {"AZ": "k-az"})
    with pytest.warns(UserWarning, match="success_callback"):
        found = DispatcherChatModel.from_litellm_config(LITELLM, strict=False, env={"AZ": "k-az"})
    first, second = found._engine.registry.targets("fast")
    assert (first.vendor.name, first.model, first.deployment.rpm) == ("azure", "gpt-x", 9)
    assert (first.deployment.input_price, first.deployment.output_price) == (1, 2)
    assert second.vendor.name == "anthropic"
    assert (found.strategy, found.unsupported_params) == ("weighted", "drop")


@each(
    ("params", "model"),
    [
        ({"model": "gemini/gemini-x"}, "google:gemini-x"),
        ({"model": "openai/gpt-x", "api_base": "https://x.example"}, "compatible:gpt-x"),
        ({"model": "groq/llama", "api_base": "https://x.example"}, "compatible:llama"),
        ({"model": "gpt-6-luna"}, "gpt-6-luna"),
    ],
)
def test_prefixes_name_our_vendors(params: dict[str, Any], model: str) -> None:
    """A prefix becomes a vendor; one with an address of its own an OpenAI-compatible server."""
    config = {"model_list": [{"model_name": "m", "litellm_params": params}]}
    assert read_litellm(config, {})["routes"]["m"][0]["model"] == model


def test_what_cannot_be_carried_over_is_an_error() -> None:
    """An unknown prefix, a missing variable and an empty list are named."""
    for params, message in (
        ({"model": "bedrock/x"}, "bedrock"),
        ({"model": "x", "api_key": "os.environ/NO"}, "NO"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            read_litellm({"model_list": [{"litellm_params": params}]}, {})
    with pytest.raises(ConfigurationError, match="model_list"):
        read_litellm({}, {})


def test_aliases_order_and_timeouts() -> None:
    """`order` sorts a group, aliases copy one, and both sections may set retries and timeouts."""
    entries = [
        {"model_name": "m", "litellm_params": {"model": "openai/second", "order": 2, "temperature": 0}},
        {"model_name": "m", "litellm_params": {"model": "openai/first", "order": 1}},
    ]
    router = {"model_group_alias": {"n": "m", "o": {"model": "m"}}, "num_retries": 3, "timeout": 9}
    fields = read_litellm({"model_list": entries, "router_settings": router}, {})
    assert [each["model"] for each in fields["routes"]["n"]] == ["openai:first", "openai:second"]
    assert fields["routes"]["o"][1]["params"] == {"temperature": 0}
    assert (fields["retry_policy"], fields["timeout"]) == ({"max_retries": 3}, 9)


def test_a_vendor_that_is_handed_in_has_a_prefix_of_its_own() -> None:
    """A vendor names LiteLLM's word for it."""

    class Zenith(OllamaVendor):
        name = "zenith"
        litellm_names = ("zenith_chat",)

    config = {"model_list": [{"model_name": "m", "litellm_params": {"model": "zenith_chat/z-1"}}]}
    model = DispatcherChatModel.from_litellm_config(config, custom_vendors=[Zenith()], env={})
    assert [target.name for target in model.deployments()] == ["zenith:z-1"]
    with pytest.raises(ConfigurationError, match="zenith_chat"):
        DispatcherChatModel.from_litellm_config(config, env={})


def entry(group: str, **more: Any) -> dict[str, Any]:
    """Return an entry of `model_list`."""
    return {"model_name": group, "litellm_params": {"model": f"openai/{group}", "api_key": "k", **more}}


@each("section", ["router_settings", "litellm_settings"])
@each("chains", [{"fallbacks": [{"a": ["b"]}]}, {"default_fallbacks": ["b"]}])
def test_fallbacks_serve_when_a_group_has_failed(section: str, chains: dict[str, Any]) -> None:
    """They take no part in the shuffle, which is LiteLLM's default."""
    config = {"model_list": [entry("a", rpm=3), entry("a", rpm=1), entry("b", tpm=9)], section: chains}
    fields = read_litellm(config, {})
    assert fields["strategy"] == "weighted"
    assert [(each["model"], each["weight"]) for each in fields["routes"]["a"]] == [
        ("openai:a", 3),
        ("openai:a", 1),
        ("openai:b", 0),
    ]


def test_order_comes_before_the_shuffle() -> None:
    """Those of a higher order are tried after all of the lowest; limits may stand beside the parameters."""
    beside = {**entry("a", order=1), "rpm": 5}
    fields = read_litellm({"model_list": [entry("a", order=2), beside, entry("a", order=1, rpm=7)]}, {})
    assert [each["weight"] for each in fields["routes"]["a"]] == [5, 7, 0]
    assert [each.get("rpm") for each in fields["routes"]["a"]] == [5, 7, None]


@each(
    ("more", "message"),
    [
        ({"router_settings": {"fallbacks": [{"a": ["bakcup"]}]}}, "fallbacks.a .no group 'bakcup'"),
        ({"router_settings": {"fallbacks": [{"x": ["a"]}]}}, "fallbacks.x .no group 'x'"),
        ({"router_settings": {"routing_strategy": "lunar"}}, "routing_strategy=lunar"),
        (
            {"router_settings": {"routing_strategy": "least-busy", "default_fallbacks": ["b"]}},
            "fallbacks .with",
        ),
        ({"router_settings": {"model_group_alias": {"n": "none"}}}, "model_group_alias.n"),
        ({"model_list": [entry("openai/*")]}, "wildcard"),
        ({"model_list": [{**entry("a"), "rpms": 5}]}, r"model_list\[0\]\.rpms"),
        ({"model_list": 5}, "model_list: int is no list"),
        ({"model_list": [5]}, r"model_list\[0\]: int is no mapping"),
        ({"model_list": [entry("a", order="x")]}, r"model_list\[0\]\.order: str is no number"),
        ({"router_settings": [1]}, "router_settings: list is no mapping"),
        ({"fallbacks": [{"a": ["b"]}]}, "counterpart: fallbacks"),
        ({"general_settings": {"fallbacks": [{"a": ["b"]}]}}, "general_settings.fallbacks"),
        ({"model_list": [entry("a", fallbacks=["b"])]}, "litellm_params.fallbacks"),
        ({"router_settings": {"fallbacks": [{"a": [{"api_key": "sk-1"}]}]}}, "no group in a dict"),
        ({"model_list": [entry("a", num_retries=5)]}, "litellm_params.num_retries"),
    ],
)
def test_what_would_mean_something_else_is_listed(more: dict[str, Any], message: str) -> None:
    """Nothing is dropped in silence."""
    with pytest.raises(ConfigurationError, match=message):
        read_litellm({"model_list": [entry("a"), entry("b")], **more}, {})


def test_fallbacks_of_all_groups_give_way_to_a_groups_own() -> None:
    """`*` stands for the groups that have no chain of their own."""
    chains = [{"*": ["c"]}, {"a": ["b"]}]
    config = {"model_list": [entry(name) for name in "abc"], "litellm_settings": {"fallbacks": chains}}
    routes = read_litellm(config, {})["routes"]
    assert {name: [each["model"] for each in group] for name, group in routes.items()} == {
        "a": ["openai:a", "openai:b"],
        "b": ["openai:b", "openai:c"],
        "c": ["openai:c"],
    }


def test_variables_of_the_file_win() -> None:
    """LiteLLM sets them in the process; here they are looked up, and nothing is set."""
    config = {
        "model_list": [entry("a", api_key="os.environ/ONE"), entry("b", api_key="os.environ/TWO")],
        "environment_variables": {"ONE": "of the file"},
    }
    routes = read_litellm(config, {"ONE": "x", "TWO": "of the process"})["routes"]
    assert [group[0]["api_key"] for group in routes.values()] == ["of the file", "of the process"]
