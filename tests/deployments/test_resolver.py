"""From a deployment to its target: vendor, address, key, times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from langchain_llmdispatch import ConfigurationError, Deployment, VendorConfig
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.variables import Variables
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.vendors import builtin_vendors
from tests.cases import each

KEYS = {"OPENAI_API_KEY": "sk-test-1", "ANTHROPIC_API_KEY": "sk-test-2"}


def resolver(env: Mapping[str, str] = KEYS, **configs: Any) -> Resolver:
    """Return a resolver with variables and settings per vendor."""
    return Resolver(VendorTable(), configs, env)


@each(
    ("text", "vendor", "model_id"),
    [
        ("openai:gpt-6-luna", "openai", "gpt-6-luna"),
        ("openai/gpt-6-luna", "openai", "gpt-6-luna"),
        ("gpt-6-luna", "openai", "gpt-6-luna"),
        ("claude-haiku-5-5", "anthropic", "claude-haiku-5-5"),
        ("ollama:llama3.1:8b", "ollama", "llama3.1:8b"),
        ("gemini:gemini-3.8-flash", "google", "gemini-3.8-flash"),
    ],
)
def test_model_strings(text: str, vendor: str, model_id: str) -> None:
    """`vendor:model`, `vendor/model`, aliases and well-known names are understood."""
    found, model = resolver({}).split(text)
    assert (found.name, model) == (vendor, model_id)


@each(
    ("text", "message"),
    [
        ("openai:", "names a vendor but no model"),
        ("openai/", "names a vendor but no model"),
        ("opnai:x", "'opnai:x'.*Did you mean 'openai'.*with one of anthropic, azure"),
        ("nonsense", "no vendor is known for it. Write 'vendor:model'"),
    ],
)
def test_wrong_model_strings_name_the_way_out(text: str, message: str) -> None:
    """The error names the string and the nearest vendor."""
    with pytest.raises(ConfigurationError, match=message):
        resolver().split(text)
    assert resolver().recognise(text) is None


@pytest.mark.parametrize("vendor", list(builtin_vendors().values()), ids=str)
def test_every_variable_of_the_vendor_table_is_read(vendor: Any) -> None:
    """Each key, URL, version and timeout variable reaches the target."""
    variables, deployment = vendor.environment, Deployment(f"{vendor.name}:m")
    base = {variables.urls[0]: "http://127.0.0.1:9"} if variables.urls else {}
    for key in variables.keys:
        target = resolver({**base, key: "k-123456"}).target(deployment)
        assert target.endpoint.api_key is not None
        bearer = "Bearer " if key in variables.bearers else ""
        assert target.endpoint.api_key.get_secret_value() == f"{bearer}k-123456"
    for url in variables.urls:
        env = {url: "http://127.0.0.1:7", **dict.fromkeys(variables.keys, "k-123456")}
        assert resolver(env).target(deployment).endpoint.base_url.startswith("http://127.0.0.1:7")
    if variables.timeout:
        env = {**base, variables.timeout: "7.5", **dict.fromkeys(variables.keys, "k-123456")}
        assert resolver(env).target(deployment).timeouts == {"timeout": 7.5}


@each("stand_in", ["", "changeme", "your-api-key", "<your key>", "xxx", "sk-..."[3:]])
def test_placeholders_count_as_absent(stand_in: str) -> None:
    """A copied example file configures nothing."""
    found = resolver({"OPENAI_API_KEY": stand_in})
    assert not found.is_configured(found.vendors.get("openai"))
    with pytest.raises(ConfigurationError, match="openai has no api_key.*OPENAI_API_KEY"):
        found.target(Deployment("openai:x"))


def test_a_deployments_values_win_over_the_vendors_and_those_over_the_environment() -> None:
    """Key, address, time limit and headers, each by itself."""
    config = VendorConfig(timeout=2, api_key="k-vendor", headers={"a": "1", "b": "1"})
    found = resolver(
        {**KEYS, "OPENAI_TIMEOUT": "3", "OPENAI_BASE_URL": "https://e.example/v1"}, openai=config
    )
    own = found.target(Deployment("openai:a", timeout=1, api_key="k-own", headers={"b": "2"}))
    vendors = found.target(Deployment("openai:b"))
    assert [target.timeouts["timeout"] for target in (own, vendors)] == [1, 2]
    keys = [target.endpoint.api_key for target in (own, vendors)]
    assert [key.get_secret_value() for key in keys if key] == ["k-own", "k-vendor"]
    assert own.endpoint.headers == {"a": "1", "b": "2"}
    assert own.endpoint.base_url == "https://e.example/v1"
    assert resolver({**KEYS, "OPENAI_TIMEOUT": "3"}).target(Deployment("openai:x")).timeouts == {"timeout": 3}
    with pytest.raises(ConfigurationError, match="OPENAI_TIMEOUT='soon'"):
        resolver({**KEYS, "OPENAI_TIMEOUT": "soon"}).target(Deployment("openai:x"))


def test_a_key_of_the_environment_stays_with_its_host() -> None:
    """It is not sent to another address; a server on this machine gets none; an own key goes anywhere."""
    found = resolver()
    elsewhere = "https://elsewhere.example/v1"
    with pytest.raises(ConfigurationError, match="key from the environment is not sent to https://elsewhere"):
        found.target(Deployment("openai:x", base_url=elsewhere))
    local = found.target(Deployment("openai:x", base_url="http://127.0.0.1:1/v1")).endpoint.api_key
    assert local is not None
    assert local.get_secret_value() == "none"
    assert found.target(Deployment("openai:x", base_url=elsewhere, api_key="k")).endpoint.api_key is not None


def test_openais_accounts_of_the_environment_are_headers_to_openai_alone() -> None:
    """What a deployment names wins, in any spelling of the header."""
    env = {"OPENAI_API_KEY": "k", "OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj-1"}
    resolve = resolver(env).target
    found = resolve(Deployment("openai:m")).endpoint.headers
    assert found == {"OpenAI-Organization": "org-1", "OpenAI-Project": "proj-1"}
    own = resolve(Deployment("openai:m", headers={"openai-organization": "org-2"})).endpoint.headers
    assert own == {"OpenAI-Project": "proj-1", "openai-organization": "org-2"}
    for elsewhere in (
        Deployment("openai:m", base_url="https://proxy.test/v1", api_key="p"),
        Deployment("azure:m", base_url="https://r.openai.azure.com", api_key="a"),
        Deployment("compatible:m", base_url="https://api.openai.test/v1", api_key="c"),
    ):
        assert resolve(elsewhere).endpoint.headers == {}


def test_a_function_is_a_token_provider() -> None:
    """It is not called before a request is built, and stands beside no key."""
    target = resolver().target(Deployment("openai:x", api_key=lambda: "token"))
    assert target.endpoint.api_key is None
    assert target.endpoint.token_provider is not None
    assert target.endpoint.token_provider() == "token"


def test_settings_of_an_unknown_vendor_are_refused() -> None:
    """The field and the nearest vendor are named; an alias is known."""
    with pytest.raises(ConfigurationError, match="vendors: vendor 'antropic'.*Did you mean 'anthropic'"):
        resolver(antropic=VendorConfig())
    assert resolver({}, gemini=VendorConfig(api_key="k")).target(Deployment("google:x")).endpoint.api_key


def test_accounts_tell_keys_apart_and_hold_no_part_of_them() -> None:
    """Same vendor, address and key: same account."""
    found = resolver()
    first, second = (
        found.target(Deployment("openai:x", api_key=key)) for key in ("k-canary-1", "k-canary-2")
    )
    assert first.account != second.account
    assert first.account == found.target(Deployment("openai:y", api_key="k-canary-1")).account
    assert "canary" not in first.account


@pytest.mark.parametrize("url", ["https://elsewhere.example/v1", "https://api.openai.com:444/v1"])
def test_a_key_of_vendor_config_stays_with_its_host(url: str) -> None:
    """A deployment's own address needs a key of its own."""
    found = resolver({}, openai=VendorConfig(api_key="k-canary", base_url="https://gate.example/v1"))
    with pytest.raises(ConfigurationError, match="the key of VendorConfig is not sent to") as raised:
        found.target(Deployment("openai:x", base_url=url))
    assert "canary" not in str(raised.value)
    assert found.target(Deployment("openai:x", base_url="https://gate.example/v2")).endpoint.api_key


@pytest.mark.parametrize("vendor", [each for each in builtin_vendors().values() if each.needs_key], ids=str)
def test_an_address_of_a_dotenv_file_gets_a_key_of_that_file_only(vendor: Any) -> None:
    """A cloned repository's `.env` redirects no key of the process, of `VendorConfig` or of a deployment."""
    key, url = vendor.environment.keys[0], vendor.environment.urls[0]
    file, deployment = {url: "https://elsewhere.example"}, Deployment(f"{vendor.name}:m")
    with pytest.raises(ConfigurationError, match="key from the environment is not sent to https://elsewhere"):
        resolver(Variables({key: "k-process"}, file, ".env")).target(deployment)
    configs = {vendor.name: VendorConfig(api_key="k-config")}
    with pytest.raises(ConfigurationError, match="an address in .env"):
        resolver(Variables({}, file, ".env"), **configs).target(deployment)
    with pytest.raises(ConfigurationError, match="its own key"):
        own = Deployment(f"{vendor.name}:m", api_key="k-own")
        resolver(Variables({}, file, ".env")).target(own)
    both = resolver(Variables({}, {**file, key: "k-file"}, ".env")).target(deployment).endpoint
    assert both.api_key is not None
    assert both.base_url.startswith("https://elsewhere")


def test_an_address_of_a_configuration_file_gets_no_key_of_the_environment() -> None:
    """The file names the key as well, literally or as `${NAME}`."""
    config = VendorConfig(base_url="https://elsewhere.example/v1")
    config.read_from("config.yaml")
    with pytest.raises(ConfigurationError, match=r"the base_url in config\.yaml"):
        resolver(openai=config).target(Deployment("openai:x"))
    own = VendorConfig(base_url="https://elsewhere.example/v1", api_key="k")
    own.read_from("config.yaml")
    assert resolver(openai=own).target(Deployment("openai:x")).endpoint.api_key


@each("vendor", ["google", "azure"])
@each("model_id", ["../../evil", "a/../b", "..", ".", "..%2fx", "%2e%2e/x", "a\\..\\b"])
def test_a_model_stays_in_its_place_in_urls(vendor: str, model_id: str) -> None:
    """Segments of dots are resolved by clients and servers, encoded ones too."""
    with pytest.raises(ConfigurationError, match="would leave its place in URLs"):
        resolver({}).target(Deployment(f"{vendor}:{model_id}", api_key="k", base_url="https://h.test"))
    assert resolver({}).target(Deployment("compatible:../m.gguf", base_url="https://h.test")).model
