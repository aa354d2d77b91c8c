"""What requests and answers of the OpenAI family show of their price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from langchain_llmdispatch.internal.json_format import part_of
from langchain_llmdispatch.vendors.billing import (
    NO_BILL,
    Bill,
    Billing,
    Terms,
    dollars_of,
    fees_of,
    most_uses,
)

SERVER_TOOLS = "server_tool_use"
"""The key of `response_metadata` that counts the calls of tools which the vendor ran."""
_TICKS = 10**10
"""xAI's `cost_in_usd_ticks` per US dollar (docs.x.ai, API reference of chat completions)."""


@dataclass(frozen=True)
class OpenAIBilling(Billing):
    """The OpenAI family: service tiers, stated costs, tools of the Responses API, regional hosts."""

    facts: frozenset[str] = frozenset({"service_tier", "cost", SERVER_TOOLS, "is_byok"})
    caches_unasked: bool = True
    cache_lasts: float = 600.0  # "generally 5 to 10 minutes of inactivity"
    writes_cache: bool = True  # from GPT-5.6 on; models without a price for it are not charged

    def bill(self, metadata: Mapping[str, Any]) -> Bill:
        """Return what the metadata of an answer state of its price."""
        tier = self.tier(metadata.get("service_tier"))
        stated, tools = _stated(metadata), metadata.get(SERVER_TOOLS)
        if not tier and stated is None and not tools:
            return NO_BILL
        fees = fees_of(part_of(metadata, SERVER_TOOLS))
        # A container that an earlier answer began is paid once for its session; that cannot be seen here.
        estimated = any(kind.startswith("code_interpreter") for kind, _ in fees)
        return Bill(Terms(tier), fees, stated, estimated=estimated)

    def most_fees(self, tools: Sequence[Mapping[str, Any]]) -> Sequence[tuple[str, int]]:
        """Return what one answer may use: searches of the web and of files, a container, images."""
        fees = []
        for tool in tools:
            kind = str(tool.get("type") or "")
            if kind.startswith("web_search"):
                fees.append(("web_search_preview" if "preview" in kind else "web_search", most_uses(tool)))
            elif kind in {"code_interpreter", "code_execution"}:
                fees.append((f"code_interpreter{_size([tool])}", 1))
            elif kind in {"file_search", "image_generation"}:
                fees.append((kind, most_uses(tool)))
        return fees

    def geography(self, base_url: str) -> str:
        """Return the region of a regional host (`eu.api.openai.com`)."""
        host = urlsplit(base_url).hostname or ""
        return host.partition(".")[0] if host.endswith(".api.openai.com") else ""


def _stated(metadata: Mapping[str, Any]) -> Decimal | None:
    """Return what a server states as the cost, US dollars.

    OpenRouter: `cost` is what the account pays; with a key of one's own (`is_byok`) the provider bills its
    `upstream_inference_cost` besides (openrouter.ai/docs/use-cases/usage-accounting).
    """
    usd, details = dollars_of(metadata.get("cost")), metadata.get("cost_details")
    if usd is not None and metadata.get("is_byok") is True and isinstance(details, Mapping):
        usd += dollars_of(details.get("upstream_inference_cost")) or 0
    return usd


def stated_cost(usage: Any) -> dict[str, Any]:
    """Return the metadata of a usage in which a server states its cost; mostly nothing.

    OpenRouter has `cost` as a number, Perplexity an object with `total_cost`, xAI `cost_in_usd_ticks`.
    """
    if not isinstance(usage, Mapping):
        return {}
    cost = usage.get("cost")
    if isinstance(cost, Mapping):
        cost = cost.get("total_cost")
    if cost is None and (ticks := dollars_of(usage.get("cost_in_usd_ticks"))):  # its 0 means not counted
        cost = float(ticks / _TICKS)
    if cost is None:
        return {}
    kept = {name: usage[name] for name in ("cost_details", "is_byok") if usage.get(name)}
    return {"cost": cost, **kept}


def tool_counts(reply: Mapping[str, Any]) -> dict[str, int]:
    """Return how often a response of the Responses API used tools that are paid by the piece, by kind."""
    tools = [tool for tool in reply.get("tools") or () if isinstance(tool, Mapping)]
    preview = any(str(tool.get("type")).startswith("web_search_preview") for tool in tools)
    counts: dict[str, int] = {}
    containers = set()
    for item in reply.get("output") or ():
        kind = str(item.get("type")) if isinstance(item, Mapping) else ""
        if kind == "web_search_call":
            # Opening a page that was found, or searching in it, costs nothing of its own.
            if ((item.get("action") or {}).get("type") or "search") == "search":
                name = "web_search_preview" if preview else "web_search"
                counts[name] = counts.get(name, 0) + 1
        elif kind == "code_interpreter_call":
            containers.add(item.get("container_id"))
        elif kind in {"file_search_call", "image_generation_call"}:
            name = kind.removesuffix("_call")
            counts[name] = counts.get(name, 0) + 1
    if containers:
        counts[f"code_interpreter{_size(tools)}"] = len(containers)
    return counts


def _size(tools: list[Mapping[str, Any]]) -> str:
    """Return the memory of the containers as a suffix; the smallest one has none."""
    held = [tool.get("container") for tool in tools if tool.get("type") == "code_interpreter"]
    sizes = [one.get("memory_limit") for one in held if isinstance(one, Mapping)]
    size = next((size for size in sizes if size and size != "1g"), "")
    return f"_{size}" if size else ""
