"""Invoices calculated by hand from vendors' price pages: what a vendor sends, and what it bills.

Prices are USD per million tokens as the pages listed them in November 2026 (read through genai-prices 0.2.3,
litellm 1.110.2 and azure-genai-prices 0.2.0, whose tables quote them); `how` is the calculation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

OPENAI = "developers.openai.com/api/docs/pricing, 2026-11"
ANTHROPIC = "platform.claude.com/docs/en/about-claude/pricing, 2026-11"
GEMINI = "ai.google.dev/gemini-api/docs/pricing, 2026-11"
AZURE = "azure.microsoft.com/pricing/details/azure-openai (Retail Prices API), 2026-08-11"
OTHERS = "the vendor's price page, 2026-11"


class Invoice(NamedTuple):
    """One answer, and what it costs.

    Attributes:
        name: What it shows.
        vendor: The vendor.
        model: The model.
        body: What the vendor sends, beside an answer of one text.
        usd: What it costs, as text; None if that is unknown.
        how: The calculation, or why it is unknown.
        source: Where the prices are from.
        fields: Further fields of the deployment.
    """

    name: str
    vendor: str
    model: str
    body: dict[str, Any]
    usd: str | None
    how: str
    source: str
    fields: Mapping[str, Any] = MappingProxyType({})


def _chat(read: int, made: int, cached: int = 0, **more: Any) -> dict[str, Any]:
    """Return a chat completion's usage and fields."""
    details = more.pop("details", {})
    usage = {
        "prompt_tokens": read,
        "completion_tokens": made,
        "total_tokens": read + made,
        "prompt_tokens_details": {"cached_tokens": cached, **details},
        **more.pop("usage", {}),
    }
    return {"usage": usage, **more}


def _respond(read: int, made: int, *items: dict[str, Any], cached: int = 0, **more: Any) -> dict[str, Any]:
    """Return a response's usage, items before its text, and fields."""
    usage = {
        "input_tokens": read,
        "output_tokens": made,
        "total_tokens": read + made,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": more.pop("written", 0)},
        "output_tokens_details": {"reasoning_tokens": more.pop("reasoning", 0)},
    }
    return {"usage": usage, "items": list(items), **more}


def _claude(read: int, made: int, **usage: Any) -> dict[str, Any]:
    """Return Anthropic's usage, and `container` beside it."""
    extra = {"container": usage.pop("container")} if "container" in usage else {}
    return {"usage": {"input_tokens": read, "output_tokens": made, **usage}, **extra}


def _gemini(read: int, made: int, **more: Any) -> dict[str, Any]:
    """Return Gemini's counters, and `grounding` beside them."""
    grounding = more.pop("grounding", None)
    counts = {"promptTokenCount": read, "candidatesTokenCount": made, "totalTokenCount": read + made, **more}
    return {"usageMetadata": counts, **({"groundingMetadata": grounding} if grounding else {})}


def _of(kind: str, tokens: int) -> list[dict[str, Any]]:
    return [{"modality": kind, "tokenCount": tokens}]


_SEARCH = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search"}}
_OPEN = {"type": "web_search_call", "id": "wo", "status": "completed", "action": {"type": "open_page"}}
_FILES = {"type": "file_search_call", "id": "fs", "status": "completed", "queries": ["q"]}
_CODE = {
    "type": "code_interpreter_call",
    "id": "ci",
    "status": "completed",
    "container_id": "c1",
    "code": "1",
}
_IMAGE = {"type": "image_generation_call", "id": "ig", "status": "completed", "result": "aGk="}
_BIG = {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}}
_PREVIEW = [{"type": "web_search_preview"}]
_EU, _US = {"base_url": "https://eu.api.openai.com/v1"}, {"base_url": "https://us.api.openai.com/v1"}
_ZONE = {"base_url": "https://r.openai.azure.com", "geography": "data_zone"}
_RESOURCE = {"base_url": "https://r.openai.azure.com"}
_ROUTER = {"base_url": "https://openrouter.ai/api/v1"}
_XAI = {"base_url": "https://api.x.ai/v1"}
_GROQ = {"base_url": "https://api.groq.com/openai/v1"}
_QUERIES = {"webSearchQueries": ["a", "b", "c"]}
_MAP = {"groundingChunks": [{"maps": {"uri": "https://maps.test", "title": "t"}}]}

_OPENAI = [
    ("plain", "gpt-6-luna", _chat(1000, 1000), "0.0006", "1k x 0.10 + 1k x 0.50"),
    ("default tier", "gpt-6-luna", _chat(1000, 1000, service_tier="default"), "0.0006", "the ordinary price"),
    ("flex", "gpt-6-luna", _chat(1000, 1000, service_tier="flex"), "0.0003", "half"),
    ("priority", "gpt-6-luna", _chat(1000, 1000, service_tier="priority"), "0.0012", "1k x 0.20 + 1k x 1"),
    ("fast", "gpt-6-luna", _chat(1000, 1000, service_tier="fast"), "0.0012", "1k x 0.20 + 1k x 1"),
    ("batch", "gpt-6-luna", _chat(1000, 1000, service_tier="batch"), "0.0003", "half"),
    ("scale", "gpt-6-luna", _chat(1000, 1000, service_tier="scale"), None, "paid by a commitment"),
    ("cached", "gpt-6-luna", _chat(10_000, 0, 8000), "0.00028", "2k x 0.10 + 8k x 0.01"),
    ("cached, flex", "gpt-6-luna", _chat(10_000, 0, 8000, service_tier="flex"), "0.00014", "half of it"),
    ("cached, priority", "gpt-5", _chat(10_000, 0, 8000, service_tier="priority"), "0.007", "2k x 2.50 + 8k x 0.25"),
    ("cache written", "gpt-6-luna", _chat(10_000, 0, details={"cache_write_tokens": 4000}), "0.0011", "6k x 0.10 + 4k x 0.125"),
    ("at the limit", "gpt-6-luna", _chat(272_000, 1000), "0.0277", "272k x 0.10 + 1k x 0.50"),
    ("long prompt", "gpt-6-luna", _chat(300_000, 1000), "0.06075", "300k x 0.20 + 1k x 0.75"),
    ("long, cached", "gpt-6-luna", _chat(300_000, 0, 200_000), "0.024", "100k x 0.20 + 200k x 0.02"),
    ("long, flex", "gpt-6-luna", _chat(300_000, 1000, service_tier="flex"), "0.030375", "300k x 0.10 + 1k x 0.375"),
    ("reasoning", "gpt-5", _chat(1000, 2000, usage={"completion_tokens_details": {"reasoning_tokens": 1500}}), "0.02125", "1k x 1.25 + 2k x 10"),
    ("regional", "gpt-5.4", _chat(1000, 1000), "0.01925", "(1k x 2.50 + 1k x 15) x 1.1", _EU),
    ("regional, flex", "gpt-6-luna", _chat(1000, 1000, service_tier="flex"), "0.00033", "half x 1.1", _US),
    ("regional, older", "gpt-4o", _chat(1000, 1000), "0.0125", "no uplift before March 2026", _EU),
    ("search model", "gpt-4o-search-preview", _chat(1000, 1000), "0.0375", "1k x 2.50 + 1k x 10 + one of 25 a thousand"),
    ("audio", "gpt-audio", _chat(1000, 500, details={"audio_tokens": 800}, usage={"completion_tokens_details": {"audio_tokens": 400}}), "0.0527", "200 x 2.50 + 800 x 32 + 100 x 10 + 400 x 64, gpt-audio's page"),
    ("web search", "gpt-6-luna", _respond(1000, 1000, _SEARCH, _SEARCH, _OPEN), "0.0206", "tokens 0.0006 + 2 x 0.01; opening a page is free"),
    ("web search, preview", "gpt-4o", _respond(1000, 1000, _SEARCH, tools=_PREVIEW), "0.0375", "0.0125 + 25 a thousand"),
    ("file search", "gpt-6-luna", _respond(1000, 1000, _FILES), "0.0031", "0.0006 + 2.50 a thousand"),
    ("code interpreter", "gpt-6-luna", _respond(1000, 1000, _CODE, _CODE), "0.0306", "one container: 0.0006 + 0.03"),
    ("code interpreter, 4 GB", "gpt-6-luna", _respond(1000, 1000, _CODE, tools=[_BIG]), "0.1206", "0.0006 + 0.12"),
    ("image generation", "gpt-6-luna", _respond(1000, 1000, _IMAGE), None, "the image model's tokens are not reported"),
    ("response, cache", "gpt-6-luna", _respond(10_000, 1000, cached=4000, written=2000, reasoning=500), "0.00119", "4k x 0.10 + 4k x 0.01 + 2k x 0.125 + 1k x 0.50"),
    ("response, flex, search", "gpt-6-luna", _respond(1000, 1000, _SEARCH, service_tier="flex"), "0.0103", "0.0003 + 0.01"),
]  # fmt: skip
_ANTHROPIC = [
    ("plain", "claude-haiku-4-5", _claude(1000, 1000, service_tier="standard", inference_geo="not_available"), "0.006", "1 in, 5 out"),
    ("cache read", "claude-haiku-4-5", _claude(1000, 0, cache_read_input_tokens=9000), "0.0019", "1k x 1 + 9k x 0.10"),
    ("cache written", "claude-haiku-4-5", _claude(1000, 0, cache_creation_input_tokens=8000), "0.011", "1k x 1 + 8k x 1.25"),
    ("cache, both lives", "claude-haiku-4-5", _claude(0, 1000, cache_creation_input_tokens=3000, cache_creation={"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}), "0.01025", "1k x 1.25 + 2k x 2 + 1k x 5"),
    ("batch", "claude-haiku-4-5", _claude(1000, 1000, service_tier="batch"), "0.003", "half"),
    ("batch, cached", "claude-haiku-4-5", _claude(1000, 0, service_tier="batch", cache_read_input_tokens=9000), "0.00095", "1k x 0.50 + 9k x 0.05"),
    ("priority", "claude-haiku-4-5", _claude(1000, 1000, service_tier="priority"), None, "paid by a commitment"),
    ("fast", "claude-opus-4-8", _claude(1000, 1000, speed="fast"), "0.06", "10 in, 50 out"),
    ("fast, cached", "claude-opus-4-8", _claude(0, 0, speed="fast", cache_read_input_tokens=10_000), "0.01", "10k x 1"),
    ("fast 4.6", "claude-opus-4-6", _claude(1000, 1000, speed="fast"), "0.18", "6 x (5 + 25)"),
    ("standard speed", "claude-opus-4-8", _claude(1000, 1000, speed="standard"), "0.03", "5 in, 25 out"),
    ("in the US", "claude-opus-4-8", _claude(1000, 1000, inference_geo="us"), "0.033", "(5 + 25) x 1.1"),
    ("in the US, cached", "claude-opus-4-8", _claude(0, 0, inference_geo="us", cache_read_input_tokens=10_000), "0.0055", "10k x 0.50 x 1.1"),
    ("in the US, batch", "claude-opus-4-8", _claude(1000, 1000, inference_geo="us", service_tier="batch"), "0.0165", "half x 1.1"),
    ("in the US, fast", "claude-opus-4-8", _claude(1000, 1000, inference_geo="us", speed="fast"), "0.066", "60 x 1.1 a million"),
    ("in the US, older", "claude-haiku-4-5", _claude(1000, 1000, inference_geo="us"), "0.006", "no premium before 4.6"),
    ("global", "claude-opus-4-8", _claude(1000, 1000, inference_geo="global"), "0.03", "5 in, 25 out"),
    ("long prompt", "claude-haiku-5-5", _claude(120_000, 1000), "0.0625", "120k x 0.50 + 1k x 2.50"),
    ("long with the cache", "claude-haiku-5-5", _claude(1000, 0, cache_read_input_tokens=119_000), "0.00645", "1k x 0.50 + 119k x 0.05"),
    ("long, Sonnet 4.5", "claude-sonnet-4-5", _claude(210_000, 1000), "1.2825", "210k x 6 + 1k x 22.50"),
    ("web search", "claude-haiku-4-5", _claude(1000, 1000, server_tool_use={"web_search_requests": 3}), "0.036", "0.006 + 3 x 0.01"),
    ("web fetch", "claude-haiku-4-5", _claude(1000, 1000, server_tool_use={"web_search_requests": 0, "web_fetch_requests": 2}), "0.006", "fetching is free"),
    ("code execution", "claude-haiku-4-5", _claude(1200, 1000, container={"id": "c"}), "0.010366666667", "0.0062 + 5 minutes of 0.05 an hour"),
    ("code beside search", "claude-haiku-4-5", _claude(1000, 1000, container={"id": "c"}, server_tool_use={"web_search_requests": 1}), "0.016", "the container is free beside a search"),
]  # fmt: skip
_GEMINI = [
    ("plain", "gemini-3.8-flash", _gemini(1000, 1000, serviceTier="standard"), "0.0045", "0.75 in, 3.75 out in 2026"),
    ("thoughts", "gemini-3.8-flash", _gemini(1000, 500, thoughtsTokenCount=500, totalTokenCount=2000), "0.0045", "thoughts are output"),
    ("cached", "gemini-3.8-flash", _gemini(10_000, 0, cachedContentTokenCount=8000), "0.0021", "2k x 0.75 + 8k x 0.075"),
    ("flex", "gemini-3.8-flash", _gemini(1000, 1000, serviceTier="flex"), "0.00225", "half"),
    ("flex, cached at full price", "gemini-2.5-flash", _gemini(10_000, 0, cachedContentTokenCount=8000, serviceTier="flex"), "0.00054", "2k x 0.15 + 8k x 0.03"),
    ("priority", "gemini-3.8-flash", _gemini(1000, 1000, serviceTier="priority"), "0.0081", "x 1.8"),
    ("Vertex flex", "gemini-3.8-flash", _gemini(1000, 1000, trafficType="ON_DEMAND_FLEX"), "0.00225", "half"),
    ("Vertex on demand", "gemini-3.8-flash", _gemini(1000, 1000, trafficType="ON_DEMAND"), "0.0045", "ordinary"),
    ("Vertex provisioned", "gemini-3.8-flash", _gemini(1000, 1000, trafficType="PROVISIONED_THROUGHPUT"), None, "paid by a commitment"),
    ("Vertex region", "gemini-3.8-flash", _gemini(1000, 1000), "0.00495", "x 1.1", {"base_url": "https://us-central1-aiplatform.googleapis.com"}),
    ("Vertex region, older", "gemini-2.5-flash", _gemini(1000, 1000), "0.0028", "0.30 in, 2.50 out", {"base_url": "https://europe-west4-aiplatform.googleapis.com"}),
    ("Vertex global", "gemini-3.8-flash", _gemini(1000, 1000), "0.0045", "ordinary", {"base_url": "https://aiplatform.googleapis.com"}),
    ("audio", "gemini-2.5-flash", _gemini(1000, 0, promptTokensDetails=_of("AUDIO", 600)), "0.00072", "400 x 0.30 + 600 x 1"),
    ("image in", "gemini-2.5-flash", _gemini(1000, 0, promptTokensDetails=_of("IMAGE", 600)), "0.0003", "images as text"),
    ("image out", "gemini-2.5-flash-image", _gemini(100, 1290, candidatesTokensDetails=_of("IMAGE", 1290)), "0.03873", "100 x 0.30 + 1290 x 30"),
    ("long prompt", "gemini-3.1-pro-preview", _gemini(250_000, 1000), "1.018", "250k x 4 + 1k x 18"),
    ("searches", "gemini-3.8-flash", _gemini(1000, 1000, grounding=_QUERIES), "0.0465", "0.0045 + 3 queries of 14 a thousand"),
    ("a grounded prompt", "gemini-2.5-flash", _gemini(1000, 1000, grounding=_QUERIES), "0.0378", "0.0028 + one prompt of 35 a thousand"),
    ("maps", "gemini-2.5-flash", _gemini(1000, 1000, grounding=_MAP), "0.0278", "0.0028 + 25 a thousand"),
    ("tool results", "gemini-3.8-flash", _gemini(1000, 1000, toolUsePromptTokenCount=1000, totalTokenCount=3000), "0.00525", "2k in"),
]  # fmt: skip
_OTHER = [
    ("global", "azure", "gpt-4o", _chat(1000, 1000), "0.0125", "2.50 in, 10 out", AZURE, _RESOURCE),
    ("data zone", "azure", "gpt-4o", _chat(1000, 1000), "0.01375", "2.75 in, 11 out", AZURE, _ZONE),
    ("a name of one's own", "azure", "prod-chat", _chat(1000, 1000, model="gpt-5-2025-08-07"), "0.01125", "gpt-5: 1.25 in, 10 out", AZURE, _RESOURCE),
    ("data zone, priority", "azure", "gpt-5", _chat(1000, 1000, service_tier="priority"), "0.02475", "2.75 in, 22 out", AZURE, _ZONE),
    ("batch", "azure", "gpt-5", _chat(1000, 1000, service_tier="batch"), "0.005625", "0.625 in, 5 out", AZURE, _RESOURCE),
    ("search by Bing", "azure", "gpt-4o", _respond(1000, 1000, _SEARCH), "0.0265", "0.0125 + 14 a thousand", AZURE, {**_RESOURCE, "params": {"use_responses_api": True}}),
    ("stated", "compatible", "openai/gpt-6-luna", _chat(1000, 1000, usage={"cost": 0.00061}), "0.00061", "usage.cost", OTHERS, _ROUTER),
    ("one's own key", "compatible", "openai/gpt-6-luna", _chat(1000, 1000, usage={"cost": 0.00003, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0006}}), "0.00063", "5 % to OpenRouter, the rest to OpenAI", OTHERS, _ROUTER),
    ("ticks", "compatible", "grok-4.3", _chat(1000, 1000, usage={"cost_in_usd_ticks": 12_345_000}), "0.0012345", "ten billion ticks a dollar", OTHERS, _XAI),
    ("an object", "compatible", "sonar", _chat(1000, 1000, usage={"cost": {"total_cost": 0.007}}), "0.007", "Perplexity's total_cost", OTHERS, {"base_url": "https://api.perplexity.ai"}),
    ("flex of Groq", "compatible", "llama-3.3-70b-versatile", _chat(1000, 1000, service_tier="flex"), "0.00138", "0.59 in, 0.79 out on every tier", OTHERS, _GROQ),
    ("billed units", "cohere", "command-a-03-2025", {"usage": {"tokens": {"input_tokens": 1500, "output_tokens": 100}, "billed_units": {"input_tokens": 1000, "output_tokens": 100}}}, "0.0035", "1k x 2.50 + 100 x 10", OTHERS, {}),
    ("own prices", "openai", "gpt-6-luna", _chat(1000, 1000, service_tier="priority"), "0.003", "the deployment's own: 1 in, 2 out", OTHERS, {"input_price": 1, "output_price": 2}),
    ("not listed", "openai", "gpt-99", _chat(1000, 1000), None, "no price is listed", OTHERS, {}),
]  # fmt: skip

INVOICES = [
    *(Invoice(name, "openai", *rest[:4], OPENAI, *rest[4:]) for name, *rest in _OPENAI),
    *(Invoice(name, "anthropic", *rest[:4], ANTHROPIC, *rest[4:]) for name, *rest in _ANTHROPIC),
    *(Invoice(name, "google", *rest[:4], GEMINI, *rest[4:]) for name, *rest in _GEMINI),
    *(Invoice(*row) for row in _OTHER),
]
