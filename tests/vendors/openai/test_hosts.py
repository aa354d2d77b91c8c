"""Presets of OpenAI-compatible hosts: address, key, prices, words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.chat_models.base import _BUILTIN_PROVIDERS
from langchain_core.messages import HumanMessage

from langchain_llmdispatch import ConfigurationError, DispatcherChatModel
from langchain_llmdispatch.types import Call, Endpoint, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors import HOSTED
from langchain_llmdispatch.vendors.langchain.packages import PACKAGES
from langchain_llmdispatch.vendors.openai.compatible import CompatibleVendor
from langchain_llmdispatch.vendors.openai.hosts import HOSTS
from tests.cases import each
from tests.loopback.server import LoopbackServer

PRICED = {
    "groq": "openai/gpt-oss-120b",
    "xai": "grok-4.7",
    "mistralai": "mistral-large-latest",
    "deepseek": "deepseek-v4-pro",
    "openrouter": "openai/gpt-6-luna",
    "together": "zai-org/GLM-5.3",
    "fireworks": "accounts/fireworks/models/gpt-oss-120b",
    "cerebras": "gpt-oss-120b",
}


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_a_host_has_its_address_key_and_price(host: Any) -> None:
    """The word alone is enough where the host's variable holds a key; an alias means the same."""
    name = PRICED.get(host.name, "some/model")
    model = DispatcherChatModel(f"{host.name}:{name}", env={host.keys[0]: "k-12345678"})
    (target,) = model.deployments()
    assert (target.endpoint.base_url, target.model) == (host.base_url, name)
    request = target.vendor.encode_request(Call(name, target.endpoint, [HumanMessage("hi")]))
    assert request.headers["authorization"] == "Bearer k-12345678"
    assert str(request.url) == f"{host.base_url}/chat/completions"
    cost = model.explain("hi").candidates[0].cost_usd
    assert (cost is not None) == (host.name in PRICED)
    for alias in host.aliases:
        assert model.get_vendor(alias) is target.vendor


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_a_host_answers(host: Any, server: LoopbackServer) -> None:
    """Whole and streamed, at another address from its variable, or where it has none from `base_url`."""
    model = DispatcherChatModel(
        f"{host.name}:m", api_key="k-12345678", base_url=server.base_url("compatible")
    )
    with model:
        message = model.invoke("What is the capital of France?")
        streamed = "".join(chunk.text for chunk in model.stream("What is the capital of France?"))
    assert message.response_metadata["llmdispatch"]["vendor"] == host.name
    assert message.text
    assert message.text == streamed


def test_init_chat_models_words_are_known() -> None:
    """Each of LangChain's providers is a vendor, or the message shows how it is reached."""
    named = DispatcherChatModel("openai:gpt-6-luna", env={"OPENAI_API_KEY": "k-12345678"})
    table = named._engine.registry.resolver.vendors
    unknown = [word for word in _BUILTIN_PROVIDERS if word not in table and word not in PACKAGES]
    assert unknown == ["langsmith"]  # a gateway, by `LANGSMITH_GATEWAY`


@each("word", sorted(PACKAGES))
def test_what_a_package_reaches_is_said(word: str) -> None:
    """The message names the package and its class."""
    package, name, _ = PACKAGES[word]
    with pytest.raises(ConfigurationError, match=rf"pip install {package}.*{name}\(model='m'"):
        DispatcherChatModel(f"{word}:m")


def test_a_hosts_key_alone_needs_a_model() -> None:
    """Models of hosts come and go: none is taken by itself, and the message names what to write."""
    with pytest.raises(ConfigurationError, match=r"GROQ_API_KEY is set: write model='groq:<model>'"):
        DispatcherChatModel(env={"GROQ_API_KEY": "k-12345678"})


TOOLS = [ToolSpec("a", "A.", {"type": "object"}, None), ToolSpec("b", "B.", {"type": "object"}, None)]


@pytest.mark.parametrize(
    ("base_url", "choice", "names"),
    [
        ("http://127.0.0.1:8080/v1", "required", ["b"]),
        ("https://api.groq.com/openai/v1", {"type": "function", "function": {"name": "b"}}, ["a", "b"]),
    ],
)
def test_a_named_tool_is_demanded_as_the_server_understands_it(
    base_url: str, choice: Any, names: list[str]
) -> None:
    """llama.cpp ignores the object; `required` with that tool alone means the same."""
    call = Call(
        "m", Endpoint(base_url), [HumanMessage("hi")], tools=TOOLS, tool_choice=ToolChoice("tool", "b")
    )
    body = json.loads(CompatibleVendor().encode_request(call).content)
    assert body["tool_choice"] == choice
    assert [tool["function"]["name"] for tool in body["tools"]] == names


def test_hosts_are_named_once() -> None:
    """No two have a name, an alias or a variable in common."""
    words = [word for vendor in HOSTED for word in (vendor.name, *vendor.aliases, *vendor.environment.keys)]
    assert len(words) == len(set(words))
