"""Models that share over Redis by configuration alone; no server is needed to make one."""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from langchain_core.load import dumps
from pydantic import SecretStr

from langchain_llmdispatch import Budget, DispatcherChatModel
from langchain_llmdispatch.chat_model.shared_state import STATES
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.redis import RedisBudget, RedisHealth, RedisLimits
from tests.canaries import found, shown_by

PASSWORD = "canary/pass+word"
URL = "redis://:canary%2Fpass%2Bword@127.0.0.1:1/0"
ENV = {"OPENAI_API_KEY": "sk-test"}


def model(**fields: Any) -> DispatcherChatModel:
    """Return a model with one limited deployment."""
    given = {"env": ENV, **fields}
    return DispatcherChatModel(models=[{"model": "openai:gpt-6-luna", "rpm": 60}], **given)


def test_a_url_is_enough() -> None:
    """Limits and health are over Redis, and the plan and the representation say so."""
    made = model(redis=URL)
    assert isinstance(made._engine.limiter.shared, RedisLimits)
    assert isinstance(made._engine.health, RedisHealth)
    for shown in (repr(made), str(made.explain("hi")), made.explain("hi")._repr_html_()):
        assert "limits and health over Redis at 127.0.0.1:1" in shown


def test_the_variable_is_enough() -> None:
    """LLMDISPATCH_REDIS_URL alone shares; `redis=False` does not."""
    env = {**ENV, "LLMDISPATCH_REDIS_URL": URL}
    assert isinstance(model(env=env)._limiter.shared, RedisLimits)
    assert model(env=env, redis=False)._limiter.shared is None
    assert "shared" not in repr(model(env=env, redis=False))


def test_a_file_is_enough(tmp_path: Path) -> None:
    """A file names URL, namespace and budgets; `${NAME}` is looked up."""
    file = tmp_path / "dispatch.yaml"
    file.write_text(
        "model: openai:gpt-6-luna\n"
        "redis:\n  url: ${WHERE}\n  namespace: team-a\n  budgets: [{name: daily, usd: 20, per: day}]\n"
    )
    made = DispatcherChatModel.from_config(str(file), env={**ENV, "WHERE": URL})
    (budget,) = made._engine.spending.budgets
    assert isinstance(budget, RedisBudget)
    assert "limits, health and budget 'daily' over Redis at 127.0.0.1:1 ('team-a')" in repr(made)


def test_what_is_handed_in_wins() -> None:
    """Explicit limits, health and budgets stay as they are."""
    limiter, health, budget = Limiter(), Health(), Budget(1, "day")
    config = {"url": URL, "budgets": [{"name": "x", "usd": 1}]}
    made = model(redis=config, limiter=limiter, health=health, budget=budget)
    assert made._limiter is limiter
    assert made._engine.health is health
    assert made._engine.spending.budgets == (budget,)
    assert made.explain("hi").shared == ""


def test_a_budget_of_this_process_is_named() -> None:
    """Limits are shared, the budget is not: the plan shows it."""
    assert "1 of the budgets in this process only" in model(redis=URL, budget=Budget(1)).explain("hi").shared


def test_copies_share_and_a_copy_with_another_server_does_not() -> None:
    """A changed `redis` acts on the copy alone."""
    made = model(redis=URL)
    assert made.model_copy(update={"temperature": 0.5})._limiter is made._limiter
    other = made.model_copy(update={"redis": "redis://127.0.0.1:2/0"})
    assert "127.0.0.1:2" in repr(other)
    assert made.model_copy(update={"redis": False})._limiter.shared is None


def test_a_missing_library_is_named_at_construction() -> None:
    """The error names the extra."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "redis", None)
        with pytest.raises(ConfigurationError, match=r"langchain-llmdispatch\[redis\]"):
            model(redis=URL)


def test_the_password_shows_nowhere() -> None:
    """Representations, plans, pickles, JSON, errors and warnings hold no password."""
    made = model(redis=URL.replace(":1/0", ":9/0"))  # an address that is lost in no other test
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        plan = made.explain("hi")
        assert not made._engine.health.shared.sync(5.0)
    shown = [
        ("repr", repr(made)),
        ("str", str(made)),
        ("html", made._repr_html_()),
        ("plan", f"{plan} {plan.to_dict()}"),
        ("pickle", pickle.dumps(made).decode("latin-1")),
        ("json", dumps(made)),
        ("dump", repr(made.model_dump())),
        ("warnings", " ".join(str(each.message) for each in seen)),
        ("stats", repr(made.get_stats())),
    ]
    with pytest.raises(ConfigurationError) as caught:
        model(redis=SecretStr(URL.replace("redis://", "http://")))
    assert found([PASSWORD], [*shown, *shown_by(caught.value)]) == []
    texts = [str(each.message) for each in seen if ":9" in str(each.message)]  # other tests lose another one
    assert [text.count("does not answer") for text in texts] == [1]


def test_pickles_share_where_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader without the variable takes the pickle's address, and the password from its environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("LLMDISPATCH_REDIS_URL", URL)
    made = model(env=None)
    data, token = pickle.dumps(made), made.shared_state
    assert token is not None
    STATES._known.pop(token.token)  # as in another process
    monkeypatch.delenv("LLMDISPATCH_REDIS_URL")
    with pytest.raises(ConfigurationError, match="REDIS_PASSWORD"):
        pickle.loads(data)
    monkeypatch.setenv("REDIS_PASSWORD", PASSWORD)
    read = pickle.loads(data)
    assert read.shared_state.redis.url.get_secret_value() == URL
    assert "127.0.0.1:1" in repr(pickle.loads(pickle.dumps(read)))
