"""Runnables bound around a chat model, taken apart."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda

from langchain_llmdispatch import ConfigurationError, Deployment
from langchain_llmdispatch.deployments.bindings import without_bindings

MODEL = FakeListChatModel(responses=["yes"])


def test_other_values_stay_as_they_are() -> None:
    """A chat model and a string are deployments themselves."""
    assert without_bindings(MODEL) == (MODEL, {})
    assert without_bindings("openai:x") == ("openai:x", {})


def test_inner_bindings_are_overridden_by_outer_ones() -> None:
    """Retries and configs are left out; a keyword that is None is none."""
    around = MODEL.bind(temperature=1, stop=None).with_retry().bind(temperature=0.3).with_config(tags=["a"])
    assert without_bindings(around) == (MODEL, {"temperature": 0.3})


def test_a_deployments_own_parameters_win_over_bound_ones() -> None:
    """Both reach its `params`."""
    found = Deployment(MODEL.bind(temperature=1, top_p=0.5), params={"temperature": 0})
    assert (found.model, found.params) == (MODEL, {"temperature": 0, "top_p": 0.5})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (MODEL.with_fallbacks([MODEL]), r"hand in models=\[first, second"),
        (
            MODEL.bind(tools=[{}]),
            "bound with tools.*bind tools and output schemas to the DispatcherChatModel",
        ),
        (RunnableLambda(lambda x: x) | MODEL, "a RunnableSequence is no deployment"),
    ],
)
def test_what_is_not_one_chat_model_is_refused(wrong: Any, message: str) -> None:
    """The message names what to hand in."""
    with pytest.raises(ConfigurationError, match=message):
        without_bindings(wrong)
