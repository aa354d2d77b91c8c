"""What requests ask for and answers show of their price, by vendor."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.billing import MOST_USES, NO_BILL, Billing, dollars_of, fees_of
from tests.cases import each

VENDORS = builtin_vendors()


@each("word", ["auto", "default", "standard", "standard_only", "on_demand", "", None])
def test_words_for_the_ordinary_tier(word: Any) -> None:
    """Each vendor has its own."""
    assert Billing().tier(word) == ""
    assert Billing().bill({"service_tier": word}) is NO_BILL


@each(
    ("vendor", "params", "terms"),
    [
        ("openai", {"service_tier": "flex"}, ("flex", "", "")),
        ("openai", {"service_tier": "scale"}, ("", "", "")),
        ("anthropic", {"speed": "fast", "inference_geo": "us"}, ("", "fast", "us")),
        ("anthropic", {"service_tier": "auto"}, ("", "", "")),
        ("google", {"service_tier": "priority"}, ("priority", "", "")),
        ("cohere", {"service_tier": "flex"}, ("", "", "")),
    ],
)
def test_what_a_request_asks_for(vendor: str, params: dict[str, Any], terms: tuple[str, ...]) -> None:
    """Only what the vendor sells."""
    assert VENDORS[vendor].billing.requested(params) == terms


@each(
    ("vendor", "url", "geography"),
    [
        ("openai", "https://eu.api.openai.com/v1", "eu"),
        ("openai", "https://api.openai.com/v1", ""),
        ("google", "https://europe-west4-aiplatform.googleapis.com", "regional"),
        ("google", "https://aiplatform.us.rep.googleapis.com", "regional"),
        ("google", "https://aiplatform.googleapis.com", ""),
        ("google", "https://generativelanguage.googleapis.com", ""),
        ("anthropic", "https://api.anthropic.com", ""),
    ],
)
def test_where_an_address_is(vendor: str, url: str, geography: str) -> None:
    """Regional hosts have their own price."""
    assert VENDORS[vendor].billing.geography(url) == geography


@each(
    ("vendor", "tools", "fees"),
    [
        ("openai", [{"type": "web_search"}], {"web_search": MOST_USES}),
        ("openai", [{"type": "web_search_preview"}, {"type": "code_interpreter"}],
         {"web_search_preview": MOST_USES, "code_interpreter": 1}),
        ("openai", [{"type": "code_interpreter", "container": {"memory_limit": "4g"}}], {"code_interpreter_4g": 1}),
        ("openai", [{"type": "mcp"}], {}),
        ("anthropic", [{"type": "web_search_20250305", "max_uses": 3}], {"web_search": 3}),
        ("anthropic", [{"type": "web_search"}, {"type": "code_execution"}], {"web_search": MOST_USES}),
        ("anthropic", [{"type": "code_execution_20250825"}], {"code_execution": 1}),
        ("google", [{"google_search": {}}], {"web_search": MOST_USES}),
        ("google", [{"googleMaps": {}}], {"google_maps": 1}),
        ("google", [{"code_execution": {}}], {}),
    ],
)  # fmt: skip
def test_the_most_that_tools_may_cost(vendor: str, tools: list[dict[str, Any]], fees: dict[str, int]) -> None:
    """For worst cases: what the request allows, or an assumption."""
    assert dict(VENDORS[vendor].billing.most_fees(tools)) == fees


@each(
    ("value", "usd"),
    [
        (0.5, "0.5"),
        ("0.25", "0.25"),
        (0, "0"),
        (True, None),
        (-1, None),
        ("x", None),
        (float("nan"), None),
        ({}, None),
    ],
)
def test_stated_amounts_are_amounts(value: Any, usd: str | None) -> None:
    """What is none is not believed."""
    assert dollars_of(value) == (None if usd is None else Decimal(usd))


def test_counts_that_are_none_are_no_fees() -> None:
    """Vendors send null and zero."""
    assert fees_of({"web_search": 2, "web_fetch": 0, "other": None, "odd": "x"}) == (("web_search", 2),)
