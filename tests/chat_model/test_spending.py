"""What calls may spend: the model's own budgets and what happens near their end."""

from __future__ import annotations

import pytest

from langchain_llmdispatch import Budget, ConfigurationError
from langchain_llmdispatch.chat_model.spending import budgets_of
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


def test_one_budget_several_or_none() -> None:
    """All are a sequence."""
    one = Budget(1)
    assert budgets_of(None) == ()
    assert budgets_of(one) == (one,)
    assert budgets_of([one, one]) == (one, one)


def test_a_function_that_names_nothing_is_an_error(server: LoopbackServer) -> None:
    """What it returned is in the message."""
    budget = Budget(usd=1, near=0)
    model = model_of(deployment(server, "openai"), budget=budget, on_budget=lambda _: 7)
    with pytest.raises(ConfigurationError, match="returned 7"):
        model.invoke("hello", max_tokens=20)


def test_a_call_may_have_a_limit_of_its_own(server: LoopbackServer) -> None:
    """`max_cost` as a keyword, as in the run's `configurable`."""
    model = model_of(deployment(server, "openai", input_price=0, output_price=100))
    assert model.invoke("hello", max_tokens=20, max_cost=0.01).text
    with pytest.raises(Exception, match="left"):
        model.invoke("hello", max_tokens=20, max_cost=0.001)
    with pytest.raises(ConfigurationError, match="max_cost"):
        model.invoke("hello", max_cost="much")
