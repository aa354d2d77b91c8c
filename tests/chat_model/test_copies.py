"""Copies of a model and its pickles: what they share (`shared_state`), what they change, what is left out."""

from __future__ import annotations

import copy
import gc
import logging
import multiprocessing
import pickle
from collections.abc import Callable

import httpx
import pytest
from langchain_core.runnables import ConfigurableField

from langchain_llmdispatch import Budget, Deployment, DispatcherChatModel, Limiter, VendorConfig
from langchain_llmdispatch.chat_model.shared_state import STATES
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors import ConfigurationError
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

Copy = Callable[[DispatcherChatModel], DispatcherChatModel]
COPIES: dict[str, Copy] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda model: model.model_copy(update={"temperature": 0.5}),
    "configurable": lambda model: type(model)(**{**model.__dict__, "temperature": 0.5}),  # as LangChain does
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
}


@each("kind", COPIES)
def test_copies_share_what_outlives_a_call(server: LoopbackServer, kind: str) -> None:
    """Limits, health, statistics and connections; a copy of a copy, too."""
    with model_of(deployment(server, "openai", rpm=60), clock=Clock(), env=None) as model:
        twin = COPIES[kind](COPIES[kind](model))
        for name in ("limiter", "health", "counters", "transport"):
            assert getattr(twin._engine, name) is getattr(model._engine, name)
        opened = server.accepted_connections
        assert [each.invoke("hello").text for each in (model, twin, model)]
        assert model.get_stats().total_requests == twin.get_stats().total_requests == 3
        assert server.accepted_connections == opened + 1


def test_equal_models_share_nothing(server: LoopbackServer) -> None:
    """Only copies of one model do."""
    first, second = model_of(deployment(server, "openai")), model_of(deployment(server, "openai"))
    for name in ("limiter", "health", "counters", "transport"):
        assert getattr(first._engine, name) is not getattr(second._engine, name)
    assert first.model_copy(update={"shared_state": None})._engine.limiter is not first._engine.limiter


def test_fields_of_a_run_act_on_the_same_limits(server: LoopbackServer) -> None:
    """Three hundred configured runs are calls of one model: its connections, its statistics, its memory."""
    with model_of(deployment(server, "openai")) as model:
        chain = model.configurable_fields(max_tokens=ConfigurableField(id="t"))
        opened = server.accepted_connections
        for number in range(300):
            chain.invoke("hello", {"configurable": {"t": number + 1}})
        assert server.requests[-1].body["max_completion_tokens"] == 300
        assert model.get_stats().total_requests == 300
        assert server.accepted_connections <= opened + 1
        gc.collect()
        assert sum(isinstance(each, DispatcherChatModel) for each in gc.get_objects()) < 100


def test_what_is_changed_is_the_copys_own(server: LoopbackServer) -> None:
    """Other deployments, limits and clocks; what is the same is shared."""
    model = model_of(deployment(server, "openai"))
    other = model.model_copy(update={"models": [deployment(server, "anthropic")]})
    assert [target.name for target in other.deployments()] == ["anthropic"]
    assert other._engine.health is model._engine.health
    limiter = Limiter()
    assert model.model_copy(update={"limiter": limiter})._engine.limiter is limiter
    assert model.model_copy(update={"clock": Clock()})._engine.limiter is not model._engine.limiter


def test_vendors_that_are_registered_stay_with_copies(server: LoopbackServer) -> None:
    """Deployments that are the same are resolved once."""
    model = model_of(deployment(server, "openai"))
    assert model.model_copy(update={"temperature": 0.1})._engine.registry is model._engine.registry


@pytest.mark.parametrize("keeps", [True, False])
def test_a_pickle_that_is_read_often_is_one_model(server: LoopbackServer, keeps: bool) -> None:
    """A worker's tasks share what was handed in as well, also where each drops its model before the next."""
    handed = {"limiter": Limiter(), "budget": Budget(5), "clock": Clock(), "env": None}
    model = model_of(Deployment("ollama:x", base_url=server.base_url("ollama"), rpm=60), **handed)
    data, token = pickle.dumps(model), model.shared_state.token
    del model, handed
    gc.collect()
    assert STATES.get(token) is None
    read, seen = [], set()
    for _ in range(5):
        again = pickle.loads(data)
        seen.add((id(again.limiter), id(again.budget), id(again.shared_state)))
        read += [again] if keeps else []
        del again
        gc.collect()
    assert len(seen) == 1


def test_states_of_pickles_are_bounded(server: LoopbackServer) -> None:
    """The oldest are dropped."""
    for _ in range(40):
        pickle.loads(pickle.dumps(model_of(deployment(server, "ollama"), clock=Clock())))
    assert len(STATES._kept) <= 16


def test_an_error_names_what_the_pickle_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is needed is demanded by name, without its value."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    own = Deployment("openai:x", name="mine", api_key="k-canary", base_url="https://own.example/v1")
    for model in (
        DispatcherChatModel(models=[own], env={}),
        DispatcherChatModel(model="openai:x", api_key="k-canary", env={}),
        DispatcherChatModel(model="openai:x", vendors={"openai": VendorConfig(api_key="k-canary")}, env={}),
    ):
        data = pickle.dumps(model)
        with pytest.raises(ConfigurationError, match=r"api_key.*left out: .*api_key") as raised:
            pickle.loads(data)
        assert "canary" not in str(raised.value)


def test_a_warning_names_clients_and_headers(caplog: pytest.LogCaptureFixture) -> None:
    """They may matter, and another process cannot have them."""
    with httpx.Client() as client:
        config = VendorConfig(headers={"x": "k-canary"}, http_client=client)
        data = pickle.dumps(DispatcherChatModel(model="ollama:x", vendors={"ollama": config}, clock=Clock()))
    gc.collect()
    with caplog.at_level(logging.WARNING, logger="langchain_llmdispatch"):
        pickle.loads(data)
    assert "headers of vendors['ollama'], http_client of vendors['ollama']" in caplog.text
    assert "canary" not in caplog.text


def _child(model: DispatcherChatModel, random: float) -> tuple[str, int, bool]:
    answer = model.invoke("hello").text
    return answer, model.get_stats().total_requests, model.rng.random() != random


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_models_are_arguments_of_other_processes(server: LoopbackServer, method: str) -> None:
    """They answer there, with statistics and randomness of their own."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    fields = {"clock": Clock(), "env": None, "rng": DispatcherChatModel(model="ollama:x").rng}
    with model_of(deployment(server, "openai"), **fields) as model:
        expected = model.invoke("hello").text
        with multiprocessing.get_context(method).Pool(1) as pool:
            arguments = (model, copy.deepcopy(model.rng).random())
            assert pool.apply_async(_child, arguments).get(120) == (expected, 1, True)
            assert pool.apply_async(_child, arguments).get(120) == (expected, 2, True)
