"""One key of several is missing: the deployment is left out, with a warning, unless that is set to be an error."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from langchain_llmdispatch import ConfigurationError, Deployment, DispatcherChatModel

KEYS = {"OPENAI_API_KEY": "k-12345678"}
TWO = ["openai:gpt-6-luna", "anthropic:claude-haiku-5-5"]


def model_of(**fields: Any) -> DispatcherChatModel:
    """Return a model with OpenAI's key alone."""
    return DispatcherChatModel(**{"env": KEYS, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"models": TWO},
        {"model": TWO[1], "models": TWO[:1]},
        {"routes": {"fast": TWO}},
        {"routes": {"fast": TWO[:1], "smart": TWO}, "model": "smart"},
    ],
    ids=str,
)
def test_a_deployment_without_a_key_is_left_out(fields: dict[str, Any]) -> None:
    """The others serve, the warning names the variable, and `explain` lists it."""
    with pytest.warns(
        UserWarning, match="claude-haiku-5-5 is left out: anthropic has no api_key.*ANTHROPIC_API_KEY"
    ):
        model = model_of(**fields)
    plan = model.explain("hi")
    assert [each.deployment for each in plan.candidates] == [TWO[0]]
    assert [(each.deployment, each.kind) for each in plan.excluded] == [(TWO[1], "key")]
    assert "left out: anthropic has no api_key" in str(plan)


@pytest.mark.parametrize(
    "fields",
    [
        {"models": TWO, "missing_keys": "raise"},
        {"models": TWO, "env": {}},
        {"model": TWO[1]},
        {"routes": {"fast": TWO[:1], "smart": TWO[1:]}},
    ],
    ids=str,
)
def test_a_missing_key_is_an_error_where_nothing_else_is_left(fields: dict[str, Any]) -> None:
    """A route without deployments, no deployment at all, or `raise`; the message has a way without a key."""
    with pytest.raises(ConfigurationError, match=r"has no api_key.*_API_KEY.*model='local:"):
        model_of(**fields)


def test_a_placeholder_is_called_one() -> None:
    """A variable that is set to an example's value is not called absent."""
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY is set, to a placeholder"):
        model_of(model=TWO[0], env={"OPENAI_API_KEY": "your-key-here"})


def test_a_pickle_loses_no_deployment_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    """What served where the pickle was made, and lacks its key here, is an error, not left out."""
    monkeypatch.setenv("OPENAI_API_KEY", "k-12345678")
    own = Deployment(TWO[1], api_key="k-87654321")
    text = pickle.dumps(DispatcherChatModel(models=[TWO[0], own]))
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(ConfigurationError, match="A pickle holds no keys"),
    ):
        pickle.loads(text)


def test_a_model_is_shown_by_its_deployments() -> None:
    """`repr` and `print` have deployments, strategy and what was set; no profile, no key."""
    model = DispatcherChatModel(
        models=[TWO[0], Deployment("openai:gpt-6-luna", name="b")],
        api_key=None,
        temperature=0,
        env=KEYS,
        routes={"fast": TWO[:1]},
    )
    shown = f"DispatcherChatModel(models=['{TWO[0]}', 'b'], routes={{'fast': ['{TWO[0]}']}}, strategy='ordered', temperature=0.0)"
    assert (repr(model), str(model)) == (shown, shown)
    assert repr(Deployment(TWO[0], rpm=5, api_key="k-12345678")) == f"Deployment(model='{TWO[0]}', rpm=5.0)"
