"""Constructor words of LangChain's own packages: each means something here, or is refused with the way out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel

from langchain_llmdispatch import DispatcherChatModel, VendorConfig
from langchain_llmdispatch.errors import ConfigurationError
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

# `model_fields` and their aliases: langchain-cohere 0.6.0, -ollama 1.1.0, -huggingface 1.2.3.
_LISTED = {
    "cohere": "async_client base_url client cohere_api_key model preamble stop streaming temperature timeout_seconds "
    "user_agent",
    "ollama": "async_client_kwargs base_url client_kwargs format keep_alive logprobs mirostat mirostat_eta "
    "mirostat_tau model num_ctx num_gpu num_predict num_thread reasoning repeat_last_n repeat_penalty seed stop "
    "sync_client_kwargs temperature tfs_z top_k top_logprobs top_p validate_model_on_init",
    "huggingface": "frequency_penalty llm logit_bias logprobs max_tokens model_id model_kwargs n presence_penalty seed "
    "stop stop_sequences stream_usage streaming temperature tokenizer top_logprobs top_p async_client client do_sample "
    "endpoint_url huggingfacehub_api_token inference_server_url max_new_tokens model model_kwargs provider "
    "repetition_penalty repo_id return_full_text server_kwargs task timeout top_k truncate typical_p watermark "
    "bill_to",
}
_INSTALLED = {
    "openai": ("langchain_openai", ("ChatOpenAI", "AzureChatOpenAI")),
    "anthropic": ("langchain_anthropic", ("ChatAnthropic",)),
    "google": ("langchain_google_genai", ("ChatGoogleGenerativeAI",)),
}
_VALUES: dict[str, Any] = {
    **dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty"), 0.5),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens", "max_tokens_to_sample"), 9),
    **dict.fromkeys(
        ("max_new_tokens", "num_predict", "seed", "top_k", "top_logprobs", "max_retries", "retries"), 1
    ),
    **dict.fromkeys(("timeout", "request_timeout", "timeout_seconds", "stream_chunk_timeout"), 9.0),
    **dict.fromkeys(("default_request_timeout", "temperature"), 0.5),
    **dict.fromkeys(("streaming", "logprobs", "stream_usage"), True),
    **dict.fromkeys(("base_url", "endpoint_url", "inference_server_url"), "https://server.example/v1"),
    **dict.fromkeys(("azure_endpoint", "openai_api_base", "anthropic_api_url"), "https://server.example"),
    "default_headers": {"x-a": "1"},
    "additional_headers": {"x-a": "1"},
    **{word: {} for word in ("model_kwargs", "default_query", "extra_body", "logit_bias")},
    "stop": ["END"],
    "stop_sequences": ["END"],
    **dict.fromkeys(("model", "model_name", "model_id"), "openai:gpt-6-luna"),
    "n": 2,
    "candidate_count": 2,
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "reasoning": {"effort": "low"},
}


def documented() -> list[tuple[str, str]]:
    """Return the constructor words of each package."""
    found = [(name, word) for name, words in _LISTED.items() for word in words.split()]
    base = set(BaseChatModel.model_fields)
    for name, (module, classes) in _INSTALLED.items():
        package = pytest.importorskip(module)
        for cls in classes:
            for word, field in vars(package)[cls].model_fields.items():
                found += [(name, each) for each in (word, field.alias) if each and word not in base]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("package", [*_LISTED, *_INSTALLED])
def test_none_falls_through(package: str) -> None:
    """No documented word is met with "has no field": it is accepted, or the error names what to do instead."""
    env = {"OPENAI_API_KEY": "k"}
    lost, refused = [], []
    for word in [word for name, word in documented() if name == package]:
        fields = {"model": "openai:gpt-6-luna", word: _VALUES.get(word, "value")}
        try:
            DispatcherChatModel(**fields, env=env)
        except ConfigurationError as error:
            (lost if "has no field" in str(error) else refused).append((word, str(error)))
    assert lost == []
    assert [word for word, text in refused if len(text) < 20] == []


@each(
    ("word", "value", "field", "expected"),
    [
        ("model_name", "openai:gpt-6-luna", "model", "openai:gpt-6-luna"),
        ("request_timeout", 7, "timeout", 7),
        ("stream_chunk_timeout", 7, "stream_idle_timeout", 7),
        ("max_output_tokens", 7, "max_tokens", 7),
        ("num_predict", 7, "max_tokens", 7),
        ("stop_sequences", ["END"], "stop", ["END"]),
        ("effort", "low", "reasoning_effort", "low"),
        ("retries", 1, "max_retries", 1),
        ("num_ctx", 4096, "model_kwargs", {"num_ctx": 4096}),
        ("betas", ["b"], "model_kwargs", {"betas": ["b"]}),
        ("store", True, "model_kwargs", {"store": True}),
        ("stream_usage", False, "model_kwargs", {"stream_usage": False}),
        ("extra_body", {"a": 1}, "model_kwargs", {"extra_body": {"a": 1}}),
    ],
)
def test_words_become_fields_or_words_of_every_call(word: str, value: Any, field: str, expected: Any) -> None:
    """What they mean in the partner's package."""
    fields = (
        {"model": "openai:gpt-6-luna", "api_key": "k", "env": {}}
        if word != "model_name"
        else {"api_key": "k", "env": {}}
    )
    assert getattr(DispatcherChatModel(**fields, **{word: value}), field) == expected


@each(
    ("word", "way"),
    [
        ("n", "batch"),
        ("fallbacks", "models="),
        ("http_client", "VendorConfig"),
        ("preamble", "SystemMessage"),
        ("openai_proxy", "HTTPS_PROXY"),
        ("vertexai", "aiplatform"),
        ("tiktoken_model_name", "custom_get_token_ids"),
        ("disabled_params", "leave it out"),
    ],
)
def test_a_refusal_has_the_way_out(word: str, way: str) -> None:
    """And no value."""
    with pytest.raises(ConfigurationError, match=way) as caught:
        DispatcherChatModel("openai:gpt-6-luna", env={"OPENAI_API_KEY": "k"}, **{word: "hidden-value"})
    assert "hidden-value" not in str(caught.value)
    assert DispatcherChatModel("openai:gpt-6-luna", env={"OPENAI_API_KEY": "k"}, n=1).model is not None


def test_a_misspelt_word_is_still_an_error() -> None:
    """With the nearest right one."""
    with pytest.raises(ConfigurationError, match="Did you mean 'reasoning_effort'"):
        DispatcherChatModel("openai:gpt-6-luna", reasoning_efort="low", env={"OPENAI_API_KEY": "k"})


def test_keys_and_addresses_of_one_vendor_are_its_configuration() -> None:
    """Azure's, too, whose token is sent as a bearer; a `VendorConfig` beside wins."""
    model = DispatcherChatModel(
        azure_deployment="d",
        azure_endpoint="https://x.openai.azure.com",
        openai_api_version="2025-01-01",
        azure_ad_token="token",
        env={},
    )
    (target,) = model.deployments()
    assert (target.model, target.endpoint.base_url) == ("d", "https://x.openai.azure.com")
    assert target.endpoint.token_provider is not None
    assert target.endpoint.token_provider() == "token"
    own = {"openai": VendorConfig(base_url="https://a.example")}
    model = DispatcherChatModel(
        "openai:x", openai_api_base="https://b.example", openai_api_key="k", vendors=own, env={}
    )
    endpoint = model.deployments()[0].endpoint
    assert (endpoint.base_url, endpoint.api_key.get_secret_value()) == ("https://a.example", "k")


def test_headers_query_and_organization_belong_to_the_model(server: LoopbackServer) -> None:
    """As in the partner's package; on a deployment and a vendor, too."""
    first = {"default_headers": {"x-a": "1"}, "default_query": {"q": "1"}, "organization": "org-1"}
    base = {"base_url": server.base_url("openai"), "api_key": "k"}
    model = DispatcherChatModel("openai:gpt-5.4-mini", **base, **first, env={})
    model.invoke("hello")
    received = server.requests[-1]
    assert (received.headers["x-a"], received.headers["openai-organization"]) == ("1", "org-1")
    assert received.query == {"q": "1"}
    with model_of(deployment(server, "openai", **first), deployment(server, "compatible")) as model:
        model.invoke("hello")
        assert server.requests[-1].query == {"q": "1"}
        model.invoke("hello", model="compatible")
        assert server.requests[-1].query == {}
        assert "x-a" not in server.requests[-1].headers
    assert VendorConfig(organization="org-2").headers == {"OpenAI-Organization": "org-2"}
    with pytest.raises(ConfigurationError, match="default_headers"):
        DispatcherChatModel(models=["openai:x"], default_headers={"a": "b"}, env={"OPENAI_API_KEY": "k"})


def test_clients_of_a_call_are_refused() -> None:
    """Keys, addresses and clients are never sent, wherever they are written."""
    model = DispatcherChatModel("openai:x", env={"OPENAI_API_KEY": "k"})
    for word, value in {
        "api_key": "sk-1",
        "base_url": "u",
        "http_client": httpx.Client(),
        "max_retries": 1,
    }.items():
        with pytest.raises(ConfigurationError, match=word):
            model.invoke("hello", **{word: value})
        with pytest.raises(ConfigurationError, match=word):
            model.bind(**{word: value}).invoke("hello")
        for fields in ({"model_kwargs": {word: value}}, {"vendor_params": {"openai": {word: value}}}):
            with pytest.raises(ConfigurationError, match=word):
                DispatcherChatModel("openai:x", env={"OPENAI_API_KEY": "k"}, **fields)
