"""Fields after construction: each one acts when it is changed, or is refused with the way out."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import ConfigurableField
from pydantic import ValidationError

from langchain_llmdispatch import ConfigurationError, Deployment, DispatcherChatModel, VendorConfig
from langchain_llmdispatch.chat_model.fields import CHANGEABLE, registry_of
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

OWN = sorted(set(DispatcherChatModel.model_fields) - set(BaseChatModel.model_fields))
ENV = {"OPENAI_API_KEY": "k-123456"}


def model(**fields: Any) -> DispatcherChatModel:
    """Return a model without a network."""
    return DispatcherChatModel(**{"model": "openai:gpt-6-luna", "env": ENV, **fields})


@each("name", [name for name in OWN if name not in CHANGEABLE])
def test_a_field_that_is_read_at_construction_is_not_changed(name: str) -> None:
    """The error names the field and the way out, and the field keeps its value."""
    found = model()
    before = getattr(found, name)
    with pytest.raises(ConfigurationError, match=rf"{name} cannot be changed.*model_copy\(update=.'{name}'"):
        setattr(found, name, getattr(model(), name))
    assert getattr(found, name) is before


@each("name", ["model", "timeout", "deadline", "budget_usd", "allowed_vendors"])
def test_the_error_names_what_a_call_can_choose(name: str) -> None:
    """Where a call may choose for itself, the message shows how."""
    with pytest.raises(ConfigurationError, match="or choose it per call"):
        setattr(model(), name, None)


def test_request_parameters_act_from_the_next_call_on(server: LoopbackServer) -> None:
    """They are validated as at construction, and part of the cache key."""
    with model_of(deployment(server, "openai"), max_tokens=9) as found:
        before = found._identifying_params
        found.max_tokens, found.user, found.model_kwargs = 7, "u", {"service_tier": "flex"}
        found.invoke("hello")
        body = server.requests[-1].body
        assert (body["max_completion_tokens"], body["user"], body["service_tier"]) == (7, "u", "flex")
        assert found._identifying_params != before
        found.max_tokens = None
        found.invoke("hello")
        assert "max_completion_tokens" not in server.requests[-1].body
        with pytest.raises(ValidationError, match="max_tokens"):
            found.max_tokens = -1
        assert found.max_tokens is None


def test_streaming_may_be_switched_on_later(server: LoopbackServer) -> None:
    """LangChain reads it in each call."""
    with model_of(deployment(server, "openai")) as found:
        found.streaming = True
        found.invoke("hello")
    assert server.requests[-1].body["stream"] is True


def test_langchain_s_own_fields_act() -> None:
    """They belong to `BaseChatModel`, which reads them in each call."""
    found = model()
    for name, value in (("tags", ["a"]), ("metadata", {"b": 1}), ("name", "n"), ("verbose", True)):
        setattr(found, name, value)
        assert getattr(found, name) == value


def test_an_unknown_field_is_an_error() -> None:
    """As for every pydantic model."""
    with pytest.raises(ValueError, match="no field"):
        model().temprature = 1


@pytest.mark.parametrize("name", ["routes", "vendors"])
def test_mappings_are_not_changed_in_place(name: str) -> None:
    """A changed mapping would be ignored; it is refused, also on copies."""
    found = model(routes={"a": ["openai:x"]}, vendors={"openai": {"rpm": 3}})
    for one in (found, copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found.vendors))):
        mapping = getattr(one, name, one)
        for change in (lambda m: m.update(b=1), lambda m: m.pop("a", None), lambda m: m.__setitem__("b", 1)):
            with pytest.raises(ConfigurationError, match="model_copy"):
                change(mapping)
    assert found.model_dump()[name].keys() == getattr(found, name).keys()


def test_sequences_are_not_changed_in_place() -> None:
    """They are tuples, whatever they were made from."""
    found = model(models=["openai:x"], routing_rules=[{"vendor": "openai"}], routes={"a": ["openai:x"]})
    assert [type(found.models), type(found.routing_rules), type(found.routes["a"])] == [tuple] * 3


def test_copies_have_other_fields(server: LoopbackServer) -> None:
    """`model_copy(update=...)` is the way out that the errors name."""
    with model_of(deployment(server, "openai"), deployment(server, "anthropic"), max_attempts=1) as found:
        other = found.model_copy(update={"max_attempts": 2, "default_vendor": "anthropic"})
    assert (found.max_attempts, other.max_attempts) == (1, 2)
    assert [target.name for target in other.deployments()] == ["anthropic", "openai"]


def test_langchain_s_configurable_fields_make_other_models(server: LoopbackServer) -> None:
    """They construct; they do not assign."""
    with model_of(deployment(server, "openai"), deployment(server, "anthropic")) as found:
        field = ConfigurableField(id="vendor")
        chosen = found.configurable_fields(default_vendor=field).with_config(
            configurable={"vendor": "anthropic"}
        )
        answer = chosen.invoke("hello")
    assert answer.response_metadata["llmdispatch"]["vendor"] == "anthropic"


def test_a_pickled_model_works_with_keys_of_the_environment(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys and headers stay behind; the configuration travels."""
    config = VendorConfig(api_key="k-canary", base_url=server.base_url("openai"), headers={"x": "k-canary"})
    with model(
        vendors={"openai": config}, routes={"a": [Deployment("openai:y", api_key="k-canary")]}
    ) as found:
        data = pickle.dumps(found)
    assert b"canary" not in data
    monkeypatch.setenv("OPENAI_API_KEY", "k-of-the-process")
    with pickle.loads(data) as again:
        assert again.invoke("hello", model="a").text
        assert server.requests[-1].headers["authorization"] == "Bearer k-of-the-process"
        with pytest.raises(ConfigurationError, match="cannot be changed"):
            again.timeout = 3


def test_the_key_and_address_of_the_model_field() -> None:
    """They belong to `model`, whatever form it has; a route has none of its own."""
    url = "https://own.example/v1"
    for form in ("openai:x", Deployment("openai:x", rpm=3)):
        (target,) = registry_of(model(model=form, api_key="k-own", base_url=url, env={})).all
        assert target.endpoint.base_url == url
        assert target.endpoint.api_key is not None
    for fields in ({"model": None}, {"model": "a", "routes": {"a": ["openai:x"]}}):
        with pytest.raises(ValueError, match="api_key and base_url belong to `model`"):
            model(**fields, api_key="k-own")
