"""Prices: equal to genai-prices' own calculation, truthful about what is unknown."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from genai_prices import Usage, data_snapshot
from hypothesis import assume, given
from hypothesis import strategies as st

from langchain_llmdispatch.catalog.price_list import current_prices, prices_at
from langchain_llmdispatch.catalog.prices import FREE, Cost, TieredRates, TokenCounts, TokenRates
from langchain_llmdispatch.catalog.terms import Bill, Terms
from tests.cases import each
from tests.catalog.listings import cost, estimate, price

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
VENDORS = ("openai", "anthropic", "google", "azure", "cohere", "deepseek", "groq", "huggingface_groq")
SNAPSHOT = data_snapshot.get_snapshot()


def _usage(inputs: int, outputs: int, read: Any = None, made: Any = None) -> Any:
    usage: dict[str, Any] = {
        "input_tokens": inputs,
        "output_tokens": outputs,
        "total_tokens": inputs + outputs,
    }
    if read is not None:
        usage["input_token_details"] = read
    if made is not None:
        usage["output_token_details"] = made
    return usage


def _entries() -> list[tuple[Provider, ModelInfo]]:
    return [(each, model) for each in SNAPSHOT.providers if each.id in VENDORS for model in each.models]


# -- the same numbers as genai-prices ------------------------------------------------------------------


@st.composite
def _usages(draw: st.DrawFn) -> tuple[Any, dict[str, int]]:
    """Draw one usage in LangChain's words and in genai-prices'."""
    count = st.one_of(st.integers(0, 3_000), st.integers(0, 1_000_000))
    cached, short, long, audio, text = (draw(count) for _ in range(5))
    spoken, thought, plain = (draw(count) for _ in range(3))
    if draw(st.booleans()):
        audio = spoken = 0
    inputs, outputs = cached + short + long + audio + text, spoken + thought + plain
    read = {"cache_read": cached, "audio": audio}
    read |= draw(
        st.sampled_from(
            [
                {"cache_creation": short + long, "ephemeral_1h_input_tokens": long},
                {"cache_creation": 0, "ephemeral_1h_input_tokens": long, "ephemeral_5m_input_tokens": short},
            ]
        )
    )
    theirs = {
        "input_tokens": inputs,
        "output_tokens": outputs,
        "cache_read_tokens": cached,
        "cache_write_tokens": short + long,
        "cache_write_1h_tokens": long,
        "input_audio_tokens": audio,
        "output_audio_tokens": spoken,
        "output_reasoning_tokens": thought,
    }
    return _usage(inputs, outputs, read, {"audio": spoken, "reasoning": thought}), theirs


@given(
    st.sampled_from(_entries()),
    _usages(),
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),
    st.sampled_from([None, "flex", "priority", "default"]),
)
def test_a_cost_is_what_genai_prices_calculates(
    entry: tuple[Provider, ModelInfo], usage: tuple[Any, dict[str, int]], at: datetime, tier: str | None
) -> None:
    """Over vendors, models, days, hours, lengths, caches, audio, reasoning and tiers: exactly equal."""
    provider, model = entry
    assume(SNAPSHOT.find_provider(None, provider.id, None).find_model(model.id) is model)
    assume(not model.id.startswith("gpt-oss"))
    context = {"service_tier": tier} if tier else None
    tiers = [v for v in model.price_variants or () if dict(v.when) == context]
    assume(tier in {None, "default"} or any(v.constraint is None or v.constraint.active(at) for v in tiers))
    listed = vars(model.get_prices(at, context))
    mine = cost(provider.id, model.id, usage[0], at=at, service_tier=tier)
    if listed.get("input_mtok") is None or listed.get("output_mtok") is None:
        assert mine == Cost(None)
        return
    try:
        with warnings.catch_warnings(action="ignore"):
            theirs = model.calc_price(
                Usage(**usage[1]), provider, genai_request_timestamp=at, price_context=context
            ).total_price
    except ValueError:  # cached audio: the usage does not say how much of it there was
        assert mine == Cost(None)
        return
    assert mine == Cost(theirs, current_prices().source)


@given(st.sampled_from(_entries()), st.integers(0, 500_000), st.integers(0, 500_000), st.integers(0, 500_000))
def test_an_estimate_is_the_cost_of_that_usage(
    entry: tuple[Provider, ModelInfo], inputs: int, outputs: int, cached: int
) -> None:
    """Predicting and accounting agree."""
    provider, model = entry
    cached = min(cached, inputs)
    mine = estimate(provider.id, model.id, inputs, outputs, at=NOW, cached_tokens=cached)
    assert mine == cost(provider.id, model.id, _usage(inputs, outputs, {"cache_read": cached}), at=NOW)


# -- by time and length --------------------------------------------------------------------------------


@each(
    ("at", "usd"),
    [
        (datetime(2026, 11, 30, 23, 59, tzinfo=UTC), "12"),
        (datetime(2026, 12, 1, tzinfo=UTC), "24"),
        (datetime(2026, 12, 1), "24"),
        (datetime(2026, 12, 1, 1, tzinfo=timezone(timedelta(hours=2))), "12"),  # still November in UTC
        (datetime(2026, 11, 30, 23, tzinfo=timezone(timedelta(hours=-2))), "24"),
    ],
)
def test_gemini_4_argon_doubles_in_december(at: datetime, usd: str) -> None:
    """The price is that of the day of the request, in UTC: 2/10 USD, then 4/20 USD."""
    assert estimate("google", "models/gemini-4-argon", 1_000_000, 1_000_000, at=at).usd == Decimal(usd)


@each(
    ("vendor", "model", "limit", "below", "above"),
    [
        ("anthropic", "claude-haiku-5-5", 100_000, ("0.1", "0.5"), ("0.5", "2.5")),
        ("openai", "gpt-6-luna", 272_000, ("0.1", "0.5"), ("0.2", "0.75")),
        ("openai", "gpt-6.1-terra", 272_000, ("1", "5"), ("2", "7.5")),
        ("azure", "gpt-6-luna-2026-09-22", 272_000, ("0.1", "0.5"), ("0.2", "0.75")),
        ("google", "gemini-3.1-pro-preview", 200_000, ("2", "12"), ("4", "18")),
    ],
)
def test_a_long_prompt_changes_the_price_of_the_whole_call(
    vendor: str, model: str, limit: int, below: tuple[str, str], above: tuple[str, str]
) -> None:
    """At the limit the lower price holds, one token more and all tokens, out too, pay the higher."""
    for length, (into, out) in ((limit, below), (limit + 1, above)):
        expected = (Decimal(into) * length + Decimal(out) * 1000) / 1_000_000
        assert estimate(vendor, model, length, 1000, at=NOW).usd == expected


def test_cache_reads_and_writes_have_their_own_prices() -> None:
    """Claude Haiku 4.5: 1 in, 0.10 read, 1.25 written for 5 minutes, 2 for an hour, 5 out."""
    read = {"cache_read": 100_000, "ephemeral_5m_input_tokens": 100_000, "ephemeral_1h_input_tokens": 100_000}
    spent = cost("anthropic", "claude-haiku-4-5", _usage(1_000_000, 100_000, read), at=NOW)
    assert spent.usd == Decimal("0.7") + Decimal("0.01") + Decimal("0.125") + Decimal("0.2") + Decimal("0.5")


def test_service_tiers_have_their_own_prices() -> None:
    """OpenAI's flex tier is half the price, that of a tier which is not listed unknown."""
    plain, flex, odd = (
        cost("openai", "gpt-6-luna", _usage(1000, 1000), at=NOW, service_tier=tier).usd
        for tier in (None, "flex", "no-such-tier")
    )
    assert plain is not None
    assert flex == plain / 2
    assert odd is None


# -- whose price ---------------------------------------------------------------------------------------


@each(
    ("vendor", "model", "base_url"),
    [
        ("openai", "gpt-99", None),
        ("openai", "", None),
        ("openai", "gpt-oss-20b", "http://127.0.0.1:8000/v1"),
        ("openai", "gpt-oss-20b", None),
        ("azure", "prod-chat", None),
        ("compatible", "gpt-6-luna", None),
        ("my-openai", "gpt-6-luna", None),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct", None),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct:cheapest", None),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct:unknown", None),
        ("ollama", "gpt-oss:120b-cloud", None),
        ("ollama", "kimi-k2:cloud", None),
        ("ollama", "gpt-oss:120b", "https://ollama.com"),
        ("cohere", "command-a-plus-05-2026", None),
        ("openai", "text-embedding-3-small", None),
    ],
)
def test_an_unknown_price_is_unknown(vendor: str, model: str, base_url: str | None) -> None:
    """It is None with no source, never 0; a price list of another seller is not borrowed."""
    assert estimate(vendor, model, 10, 10, at=NOW, base_url=base_url) == Cost(None, None)


@each(
    ("vendor", "model", "base_url", "million"),
    [
        ("openai", "openai/gpt-6-luna", None, "0.6"),
        ("openai", "GPT-6-Luna-2026-09-01", None, "0.6"),
        ("openai", "gpt-6-luna", "http://127.0.0.1:8000/v1", "0.6"),
        ("google", "models/gemini-2.5-flash", None, "2.8"),
        ("anthropic", "anthropic/claude-haiku-4-5-20251001", None, "6"),
        ("cohere", "command-a-03-2025", None, "12.5"),
        ("azure", "gpt-4o-2024-08-06", "https://x.openai.azure.com", "12.5"),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct:groq", None, "1.38"),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct:groq", "https://router.huggingface.co/v1", "1.38"),
        ("compatible", "llama-3.3-70b-versatile", "https://api.groq.com/openai/v1", "1.38"),
        ("openai", "llama-3.3-70b-versatile", "https://api.groq.com/openai/v1", "1.38"),
    ],
)
def test_the_seller_is_found(vendor: str, model: str, base_url: str | None, million: str) -> None:
    """By vendor, by Hugging Face's `:provider`, or by the address that was called."""
    short = estimate(vendor, model, 1000, 1000, at=NOW, base_url=base_url)
    assert short.usd == Decimal(million) / 1000
    assert short.source is not None
    assert short.source.startswith("genai-prices ")


@each(("vendor", "model"), [("ollama", "llama3.1:8b"), ("ollama", "any"), ("local", "any")])
def test_ones_own_machine_costs_nothing(vendor: str, model: str) -> None:
    """Local models cost 0, from the source `local`."""
    assert cost(vendor, model, _usage(10, 10), at=NOW) == Cost(Decimal(0), "local")


def test_a_deployments_own_price_wins() -> None:
    """Both prices given: nothing is looked up, cached tokens cost as the others."""
    usage = _usage(1000, 1000, {"cache_read": 500}, {"reasoning": 10})
    own = cost("openai", "gpt-6-luna", usage, at=NOW, input_price=2, output_price="3.5")
    assert own == Cost(Decimal("0.0055"), "deployment")
    assert cost("unknown", "x", usage, at=NOW, input_price=2.0, output_price=Decimal("3.5")) == own


def test_one_price_of_ones_own_leaves_the_other_to_the_list() -> None:
    """The list fills the gap; without a list the cost is unknown, on one's own machine it is 0."""
    assert estimate("openai", "gpt-6-luna", 1000, 1000, at=NOW, input_price=2).usd == Decimal("0.0025")
    assert estimate("openai", "gpt-6-luna", 1000, 1000, at=NOW, output_price=2).usd == Decimal("0.0021")
    assert estimate("unknown", "x", 1000, 1000, at=NOW, input_price=2) == Cost(None)
    assert estimate("ollama", "x", 1000, 1000, at=NOW, output_price=2) == Cost(Decimal("0.002"), "deployment")


def test_a_price_of_zero_is_a_price() -> None:
    """A deployment whose prices are 0 costs 0."""
    assert estimate("openai", "x", 5, 5, at=NOW, input_price=0, output_price=0) == Cost(
        Decimal(0), "deployment"
    )


@each(
    "read",
    [{"cache_read": 11}, {"cache_read": 6, "cache_creation": 5}, {"ephemeral_1h_input_tokens": 11}],
)
def test_contradictory_usage_has_no_cost(read: dict[str, int]) -> None:
    """More cached than sent cannot be: the cost is unknown rather than wrong."""
    assert cost("anthropic", "claude-haiku-4-5", _usage(10, 1, read), at=NOW) == Cost(None)


def test_absent_and_null_details_are_zero() -> None:
    """Vendors leave details out or send null; both mean none."""
    bare = cost("anthropic", "claude-haiku-4-5", _usage(10, 1), at=NOW)
    null = _usage(10, 1, {"cache_read": None, "audio": None}, {"reasoning": None})
    assert bare.usd is not None
    assert cost("anthropic", "claude-haiku-4-5", null, at=NOW) == bare


# -- prices that are kept -------------------------------------------------------------------------------


@given(
    st.sampled_from(_entries()),
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),
    st.integers(0, 500_000),
    st.integers(0, 100_000),
    st.sampled_from([(None, None), (2.5, None), (None, 7), (2.5, 7)]),
)
def test_rates_are_what_an_estimate_uses(
    entry: tuple[Provider, ModelInfo], at: datetime, read: int, written: int, own: tuple[Any, Any]
) -> None:
    """Exactly in decimals, and as floats to within what order needs; unknown where that is unknown."""
    vendor, model, (into, out) = entry[0].id, entry[1].id, own
    own_price = price(vendor, model, input_price=into, output_price=out)
    expected = estimate(vendor, model, read, written, at=at, input_price=into, output_price=out).usd
    tiers = own_price.fixed or own_price.rates(prices_at(at))
    if tiers is None:
        assert expected is None
        return
    rates = tiers.of_length(read)
    assert rates.of_tokens(read, written) == expected
    per_request, per_read, per_written = rates.floats
    assert per_request + per_read * read + per_written * written == pytest.approx(float(expected or 0))


def test_a_price_is_dropped_when_it_changes() -> None:
    """The next minute may have another price, and so may another snapshot; within both it is looked up once."""
    kept = price("google", "gemini-4-argon")
    before, after = (datetime(2026, 11, 30, 23, 59, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    for at, usd in ((before, "12"), (after, "24"), (before, "12")):
        tiers = kept.rates(prices_at(at))
        assert tiers is not None
        assert kept.rates(prices_at(at + timedelta(seconds=59))) is tiers
        assert tiers.of_length(1).of_tokens(1_000_000, 1_000_000) == Decimal(usd)
    try:
        data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot(providers=[], from_auto_update=True))
        assert kept.rates(prices_at(before)) is None
    finally:
        data_snapshot.set_custom_snapshot(None)
    assert kept.rates(prices_at(before)) is not None


def test_prices_of_ones_own_and_free_models_need_no_list() -> None:
    """They are known without opening the price data."""
    own, free = price("openai", "x", input_price=1, output_price=2), price("ollama", "llama3")
    assert own.fixed is not None
    assert own.fixed.of_length(1).floats == (0.0, 1e-6, 2e-6)
    assert free.fixed is not None
    assert free.fixed.of_length(1).floats == (0.0, 0.0, 0.0)
    assert price("openai", "gpt-6-luna", input_price=1).fixed is None


def test_the_model_that_answered_is_billed() -> None:
    """A response may name another model or service tier than was requested: each has its own price."""
    requested = price("azure", "my-deployment")
    usage = _usage(1000, 1000)
    assert requested.cost(usage, NOW) == Cost(None)
    assert requested.cost(usage, NOW, model="gpt-6-luna") == cost("azure", "gpt-6-luna", usage, at=NOW)
    flex = requested.cost(usage, NOW, model="gpt-6-luna", bill=Bill(Terms("flex")))
    assert flex == cost("azure", "gpt-6-luna", usage, at=NOW, service_tier="flex")
    own = price("openai", "gpt-6-luna", output_price=2)
    assert own.cost(usage, NOW, model="gpt-6.1-sol") == cost(
        "openai", "gpt-6.1-sol", usage, at=NOW, output_price=2
    )


def test_prices_of_models_that_answered_are_bounded() -> None:
    """Names come from vendors: they do not fill the memory, and the price stays right."""
    requested = price("openai", "gpt-6-luna")
    for number in range(200):
        assert requested.cost(_usage(1, 1), NOW, model=f"gpt-{number}x") == Cost(None)
    assert len(requested._others) <= 64
    assert requested.cost(_usage(1000, 1000), NOW, model="gpt-6-luna").usd is not None


# -- rates -----------------------------------------------------------------------------------------------

RATES = TokenRates(Decimal(2), Decimal(3), cached=Decimal(-1), written=Decimal(1), written_1h=Decimal(4))


def test_tokens_cost_by_kind() -> None:
    """Cached ones cost less than plain ones, and there are never more of them than were sent."""
    assert RATES.of_tokens(10, 1) == 23
    assert RATES.of_tokens(10, 1, cached=4) == 19
    assert RATES.of_tokens(10, 1, cached=99) == 13


def test_the_most_that_tokens_can_cost() -> None:
    """Where the prompt may be cached, all of it may be written for an hour."""
    assert RATES.at_most(10, 1, caches=False) == 23
    assert RATES.at_most(10, 1, caches=True) == 23 + 50
    discount = TokenRates(Decimal(2), Decimal(3), written=Decimal(-1))
    assert discount.at_most(10, 1, caches=True) == 23


@each(("tokens", "rates"), [(0, 0), (100, 0), (101, 1), (200, 1), (201, 2)])
def test_a_tier_begins_after_its_start(tokens: int, rates: int) -> None:
    """A prompt of exactly so many tokens still pays the lower price."""
    tiers = [TokenRates(Decimal(n), Decimal(n)) for n in range(3)]
    assert TieredRates((100, 200), tiers, "list").of_length(tokens) is tiers[rates]


def test_free_is_zero_at_any_length() -> None:
    """What runs on the user's own machines."""
    assert FREE.of_length(10**9).of_tokens(10**9, 10**9) == 0
    assert FREE.source == "local"


# -- counts by kind -----------------------------------------------------------------------------------


def reported(read: dict[str, Any] | None = None, made: dict[str, Any] | None = None) -> Any:
    """Return a message's usage."""
    details = {"input_token_details": read, "output_token_details": made}
    given = {name: value for name, value in details.items() if value is not None}
    return {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110, **given}


@each(
    ("given", "expected"),
    [
        (reported(), TokenCounts(100, 10)),
        (reported({}, {}), TokenCounts(100, 10)),
        (reported({"cache_read": 40}, {"reasoning": 6}), TokenCounts(100, 10, cached=40, reasoning=6)),
        (reported({"cache_read": None, "audio": None}, {"reasoning": None}), TokenCounts(100, 10)),
        (reported({"audio": 3}, {"audio": 4}), TokenCounts(100, 10, audio_in=3, audio_out=4)),
        (reported({"cache_creation": 20}), TokenCounts(100, 10, written=20)),
        (
            reported({"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}),
            TokenCounts(100, 10, written=50, written_1h=30),
        ),
        (
            reported({"cache_creation": 50, "ephemeral_1h_input_tokens": 30}),
            TokenCounts(100, 10, written=50, written_1h=30),
        ),
    ],
)
def test_usage_is_taken_apart_by_kind(given: Any, expected: TokenCounts) -> None:
    """Missing details and nulls are zero; cache writes come whole, by their time to live, or both."""
    assert TokenCounts.of(given) == expected
