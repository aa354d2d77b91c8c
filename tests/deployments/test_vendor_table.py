"""Vendors by name: built in, handed in, and offered by installed packages (real distributions, made here)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from langchain_llmdispatch import ConfigurationError, DispatcherChatModel, RoutingRule
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.vendors.ollama.vendor import OllamaVendor

Install = Callable[..., None]
MODULE = """
from langchain_llmdispatch.vendors.ollama.vendor import OllamaVendor

class ZenithVendor(OllamaVendor):
    name = "zenith"
    aliases = ("zen",)
    model_names = ("zenith-*",)
    default_model = "zenith-1"
    base_url = "https://zenith.example"

instance = ZenithVendor()
nothing = 3
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that installs a package with a vendor: a module and its metadata on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def run(*lines: str, module: str = "zenith_llm", text: str = MODULE, name: str = "zenith-llm") -> None:
        (tmp_path / f"{module}.py").write_text(text)
        info = tmp_path / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text("\n".join(["[langchain_llmdispatch.vendors]", *lines, ""]))

    before = set(sys.modules)
    yield run
    for name in set(sys.modules) - before:
        if name.startswith("zenith"):
            del sys.modules[name]


def loaded() -> Sequence[str]:
    """Return the names of the packages of this test that are imported."""
    return [name for name in sys.modules if name.startswith("zenith")]


def test_names_and_aliases_in_any_case() -> None:
    """A vendor is found by either; an unknown one is not, and the error names the nearest."""
    table = VendorTable()
    assert table.get("OpenAI") is table.get("openai")
    assert table.get("gemini").name == "google"
    assert table.find("opnai") is None
    assert ("openai" in table, "opnai" in table) == (True, False)
    with pytest.raises(ConfigurationError, match="'opnai'.*Did you mean 'openai'"):
        table.get("opnai")


def test_a_vendor_that_is_handed_in_replaces_one_of_its_name() -> None:
    """For this table alone."""
    own = OllamaVendor()
    assert VendorTable([own]).get("ollama") is own
    assert VendorTable().get("ollama") is not own


@pytest.mark.parametrize("value", ["ZenithVendor", "instance"])
def test_a_package_offers_a_class_or_an_instance(install: Install, value: str) -> None:
    """It is imported when it is named, and once."""
    install(f"zenith = zenith_llm:{value}")
    table = VendorTable()
    assert "zenith" in table.names()
    assert not loaded()
    vendor = table.get("zenith")
    assert vendor.name == "zenith"
    assert table.get("ZENITH") is vendor
    assert table.get("zen") is vendor
    assert vendor in table.known()


def test_a_package_is_not_imported_unless_it_is_named_or_listed(install: Install) -> None:
    """A model of built-in vendors never imports it, also where a call names an unknown model."""
    install("zenith = zenith_llm:ZenithVendor")
    model = DispatcherChatModel(model="openai:x", env={"OPENAI_API_KEY": "k"})
    model.explain("hi", model="a-model-of-tomorrow")
    assert model.is_available("openai")
    assert not loaded()
    assert "zenith" not in model.get_vendors()  # nothing is configured for it
    assert loaded()


def test_a_package_s_vendor_stands_in_models_routes_and_rules(install: Install) -> None:
    """By name, alias and well-known model name, at construction, without any further step."""
    install("zenith = zenith_llm:ZenithVendor", "zen = zenith_llm:ZenithVendor")
    model = DispatcherChatModel(
        models=["zen:a", "zenith-2"],
        routes={"fast": ["zenith:b"]},
        routing_rules=[RoutingRule(vendor="zenith", has_tools=True)],
        vendors={"zen": {"rpm": 3}},
        default_vendor="zenith",
        fallback_vendor="openai",
        allowed_vendors=["zen"],
        env={},
    )
    targets = model.deployments()
    assert [target.name for target in targets] == ["zenith:a", "zenith:zenith-2", "zenith:b"]
    assert {target.config.rpm for target in targets} == {3}
    assert model.get_vendors() == ["zenith"]


def test_without_a_built_in_vendor_the_environment_configures_a_package_s(install: Install) -> None:
    """A package's default model serves where no built-in vendor has a key."""
    install("zenith = zenith_llm:ZenithVendor")
    found = DispatcherChatModel(env={"OLLAMA_HOST": "http://127.0.0.1:1"}).deployments()
    assert [target.vendor.name for target in found] == ["ollama"]
    text = MODULE.replace(
        "default_model",
        'environment = type(OllamaVendor.environment)(urls=("ZENITH_URL",))\n    default_model',
    )
    install(
        "zenith2 = zenith2_llm:ZenithVendor",
        module="zenith2_llm",
        name="zenith2-llm",
        text=text.replace('"zenith"', '"zenith2"'),
    )
    found = DispatcherChatModel(env={"ZENITH_URL": "http://127.0.0.1:1"}).deployments()
    assert [target.name for target in found] == ["zenith2:zenith-1"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("zenith = zenith_llm:Missing", r"cannot be loaded: AttributeError: .*Missing"),
        ("zenith = zenith_nowhere:X", r"cannot be loaded: ModuleNotFoundError: .*zenith_nowhere"),
        ("zenith = zenith_llm:nothing", "is a int, not a Vendor"),
        ("zenith = builtins:dict", "is a dict, not a Vendor"),
        ("zenith-x = zenith_llm:ZenithVendor", "is the vendor 'zenith': name the entry point so"),
    ],
)
def test_a_broken_entry_point_is_named(install: Install, line: str, message: str) -> None:
    """With its group, value and distribution; built-in vendors work beside it."""
    install(line)
    name = line.split(" =", maxsplit=1)[0]
    described = rf"entry point '{name}' \(.* of zenith-llm 1.2\) of 'langchain_llmdispatch.vendors' {message}"
    with pytest.raises(ValueError, match=described):
        DispatcherChatModel(model=f"{name}:x", env={})
    with pytest.raises(ConfigurationError, match=described):
        VendorTable().all()
    assert DispatcherChatModel(model="ollama:x", env={}).deployments()


def test_a_built_in_vendor_is_not_replaced_by_a_package(install: Install) -> None:
    """Installing a package changes no existing name."""
    install("ollama = zenith_llm:ZenithVendor")
    assert type(VendorTable().get("ollama")) is OllamaVendor
    assert not loaded()
