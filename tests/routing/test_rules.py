"""Rules: conditions, priorities and destinations."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_llmdispatch import Deployment, DispatcherChatModel, RoutingRule
from langchain_llmdispatch.routing.router import Router
from langchain_llmdispatch.routing.rules import matches_model
from tests.cases import each
from tests.routing.decisions import CLAUDE, FLEET, IMAGE, OPENAI, SEARCH, names
from tests.targets import request, routing, target


def led(rule: RoutingRule, given: Any = None, **fields: Any) -> bool:
    """Return whether the rule for Gemini moved it to the front."""
    decision = Router(rules=[rule]).decide(routing(FLEET, given, **fields))
    assert (decision.rule is rule) == (names(decision)[0] == "gem")
    return decision.rule is rule


@each(
    ("pattern", "model", "matches"),
    [
        ("gpt-4", "gpt-4-turbo", True),
        ("gpt-4", "openai:gpt-4-turbo", True),
        ("gpt-4", "openai/gpt-4o", True),
        ("gpt-4", "gpt-3.5", False),
        ("*-turbo", "gpt-4-turbo", True),
        ("*-turbo", "gpt-4-turbo-x", False),
        ("gpt-?", "gpt-4", True),
        ("GPT-4*", "gpt-4o", True),
        ("openai:*", "openai:gpt-4o", True),
        ("mini", "gpt-4o-mini", False),
    ],
)
def test_model_patterns_are_globs_or_prefixes(pattern: str, model: str, matches: bool) -> None:
    """Wildcards make a glob; without them it is how the name begins, with or without its vendor."""
    assert matches_model(pattern, model) is matches


@each(
    ("conditions", "given", "matches"),
    [
        ({}, {}, True),
        ({"enabled": False}, {}, False),
        ({"max_tokens": 100}, {"params": {"max_tokens": 100}}, True),
        ({"max_tokens": 100}, {"params": {"max_tokens": 101}}, False),
        ({"max_tokens": 100}, {}, False),
        ({"min_input_tokens": 50}, {"text": "x" * 400}, True),
        ({"min_input_tokens": 50}, {"text": "x" * 40}, False),
        ({"max_input_tokens": 50}, {"text": "x" * 40}, True),
        ({"max_input_tokens": 50}, {"text": "x" * 400}, False),
        ({"has_tools": True}, {"tools": (SEARCH,)}, True),
        ({"has_tools": True}, {}, False),
        ({"has_tools": False}, {"tools": (SEARCH,)}, False),
        ({"has_images": True}, {"text": [HumanMessage(IMAGE)]}, True),
        ({"has_images": True}, {}, False),
        ({"has_images": False}, {}, True),
        ({"tags": {"a"}}, {"tags": frozenset({"a", "b"})}, True),
        ({"tags": {"a", "c"}}, {"tags": frozenset({"a", "b"})}, False),
        ({"metadata": {"tier": 1}}, {"metadata": {"tier": 1, "x": 2}}, True),
        ({"metadata": {"tier": 1}}, {"metadata": {"tier": 2}}, False),
        ({"model_pattern": "gpt-5"}, {}, True),
        ({"model_pattern": "claude"}, {}, False),
        ({"model_pattern": "gpt-5", "has_tools": True}, {}, False),
    ],
)
def test_every_condition_of_a_rule_must_hold(conditions: dict, given: dict, matches: bool) -> None:
    """Each condition by itself, and two together."""
    rule = RoutingRule(vendor="google", **conditions)
    assert led(rule, request(given.pop("text", "hello"), **given)) is matches


def test_the_first_rule_by_priority_decides_and_the_others_stay_behind() -> None:
    """Higher priority first, then the order written; a rule leaves nothing out."""
    rules = [
        RoutingRule(vendor="anthropic"),
        RoutingRule(deployment="gem", priority=5),
        RoutingRule(vendor="openai", priority=9, has_tools=True),
    ]
    assert names(Router(rules=rules).decide(routing(FLEET))) == ["gem", "oai", "ant"]


def test_a_rule_prefers_vendors_by_alias_deployments_by_tag_and_routes() -> None:
    """`gemini` is Google; a tag names all deployments that have it; a route adds its deployments."""
    tagged = (OPENAI, target("eu", "anthropic:claude-haiku-4-5", tags=frozenset({"european"})))
    assert names(Router(rules=[RoutingRule(vendor="gemini")]).decide(routing(FLEET)))[0] == "gem"
    assert names(Router(rules=[RoutingRule(deployment="european")]).decide(routing(tagged)))[0] == "eu"
    smart = {"smart": (CLAUDE,)}
    decision = Router(rules=[RoutingRule(route="smart")]).decide(routing((OPENAI,), routes=smart))
    assert names(decision) == ["ant", "oai"]


def test_a_rule_without_a_deployment_is_passed_over() -> None:
    """The next rule that matches applies."""
    rules = [RoutingRule(vendor="cohere"), RoutingRule(vendor="google")]
    assert names(Router(rules=rules).decide(routing(FLEET)))[0] == "gem"


@each(
    ("rule", "message"),
    [
        ({"deployment": "oia"}, "Did you mean 'oai'"),
        ({"route": "smrat"}, "Did you mean 'smart'"),
        ({"vendor": "opnai"}, "Did you mean 'openai'"),
    ],
)
def test_rules_for_unknown_destinations_are_refused_at_construction(rule: dict, message: str) -> None:
    """A misspelt destination is an error with the nearest right one."""
    with pytest.raises(ValueError, match=message):
        DispatcherChatModel(
            models=[Deployment("openai:gpt-5.4-mini", name="oai", api_key="k")],
            routes={"smart": [Deployment("openai:gpt-5.4", api_key="k")]},
            routing_rules=[RoutingRule(**rule)],
            env={},
        )
