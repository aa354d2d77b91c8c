"""A deployment's own parameters and declared profile: what wins over what, and what routing makes of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_llmdispatch import errors
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, VENDORS, deployment, model_of

PICTURE = HumanMessage(
    [{"type": "text", "text": "see"}, {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}]
)


def sent(server: LoopbackServer) -> str:
    """Return the body of the last request as text."""
    return json.dumps(server.requests[-1].body)


@each("vendor", VENDORS)
def test_a_call_wins_over_its_deployment_which_wins_over_the_model(
    server: LoopbackServer, vendor: str
) -> None:
    """Parameters of the model apply where neither chose; whatever form the vendor gives them."""
    own = {"max_tokens": 222}
    with model_of(deployment(server, vendor, params=own), max_tokens=333, stop=["END"]) as model:
        model.invoke("hello")
        assert "222" in sent(server)
        assert "333" not in sent(server)
        model.invoke("hello", max_tokens=444)
        assert "444" in sent(server)
        assert "222" not in sent(server)
        bound = model.bind(max_tokens=555)
        bound.invoke("hello")
        assert "555" in sent(server)
    with model_of(deployment(server, vendor), max_tokens=333) as model:
        model.invoke("hello")
        assert "333" in sent(server)


@each("colour", COLOURS)
def test_fields_for_the_body_have_the_same_precedence(server: LoopbackServer, colour: str) -> None:
    """`model_kwargs` are the model's, and lie under those of a deployment."""
    plain, special = (deployment(server, "compatible", name) for name in "ab")
    special = special.model_copy(update={"params": {"logit_bias": {"1": 0.2}, "temperature": 0.2}})
    with model_of(special, plain, model_kwargs={"logit_bias": {"1": 0.1}, "temperature": 0.1}) as model:
        COLOURS[colour](model, "hello")
        body = server.requests[-1].body
        assert (body["logit_bias"]["1"], body["temperature"]) == (0.2, 0.2)
        model.invoke("hello", logit_bias={"1": 0.3}, temperature=0.3)
        body = server.requests[-1].body
        assert (body["logit_bias"]["1"], body["temperature"]) == (0.3, 0.3)
        model.invoke("hello", model="a")
        body = server.requests[-1].body
        assert (body["logit_bias"]["1"], body["temperature"]) == (0.1, 0.1)


def test_worst_cases_follow_the_parameters_that_are_sent(server: LoopbackServer) -> None:
    """A deployment's `max_tokens` bounds its cost, unless the call chose another."""
    priced = {"input_price": 0.0, "output_price": 1000.0, "params": {"max_tokens": 10}}
    with model_of(deployment(server, "openai", "a", **priced), max_tokens=1000) as model:
        assert model.explain("hi").candidates[0].worst_usd == Decimal("0.01")
        assert model.explain("hi", max_tokens=20).candidates[0].worst_usd == Decimal("0.02")


@each(
    ("small", "messages", "kwargs"),
    [
        ({"max_input_tokens": 100}, "word " * 2000, {}),
        ({"image_inputs": False}, [PICTURE], {}),
        ({"max_output_tokens": 10}, "hi", {"max_tokens": 500}),
        ({"tool_calling": False}, "hi", {"tools": [{"name": "f", "description": "", "parameters": {}}]}),
    ],
)
def test_a_declared_profile_counts_in_routing(
    server: LoopbackServer, small: dict[str, Any], messages: Any, kwargs: dict[str, Any]
) -> None:
    """Windows, media, lengths and tools that a deployment declares send the request elsewhere."""
    fleet = [
        deployment(server, "compatible", "small", profile=small),
        deployment(
            server, "compatible", "large", profile={"max_input_tokens": 100_000, "image_inputs": True}
        ),
    ]
    with model_of(*fleet) as model:
        plan = model.explain(messages, **kwargs)
        assert [each.deployment for each in plan.candidates] == ["large"]
        assert [(each.deployment, each.kind) for each in plan.excluded] == [("small", "doubt")]
        assert server.requests == []


@each("colour", COLOURS)
def test_an_overflow_goes_to_a_larger_declared_window(server: LoopbackServer, colour: str) -> None:
    """Windows that the catalog does not know are compared as declared."""
    server.script("compatible", [Fault.error("context_overflow")], "a", repeat=True)
    fleet = [
        deployment(server, "compatible", name, profile={"max_input_tokens": window})
        for name, window in (("a", 1000), ("b", 1000), ("c", 2000))
    ]
    with model_of(*fleet) as model:
        message = COLOURS[colour](model, "hello")
        tried = [each["deployment"] for each in message.response_metadata["llmdispatch"]["attempts"]]
        assert tried == ["a", "c"]


def test_a_declared_output_limit_bounds_cost_and_budget(server: LoopbackServer) -> None:
    """An unknown model's worst case is known once its longest answer is declared."""
    priced = {"input_price": 0.0, "output_price": 1000.0}
    one = deployment(server, "compatible", "a", profile={"max_output_tokens": 10}, **priced)
    with model_of(one, budget_usd=0.011) as model:
        assert model.explain("hi").candidates[0].worst_usd == Decimal("0.01")
        assert model.invoke("hi").text
    with model_of(one, budget_usd=0.009) as model, pytest.raises(errors.BudgetExceededError):
        model.invoke("hi")
