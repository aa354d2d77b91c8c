"""What requests and answers of the Messages API show of their price.

Source: platform.claude.com/docs/en/about-claude/pricing. `usage` names the tier (`standard`, `priority`,
`batch`), `speed` (fast mode) and `inference_geo`; `server_tool_use` in it counts searches. Priority tier is
paid by a commitment, so it has no price of its own here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_llmdispatch.internal.json_format import part_of
from langchain_llmdispatch.vendors.billing import NO_BILL, PLAIN, Bill, Billing, Terms, fees_of, most_uses

_EVERYWHERE = frozenset({"", "global", "not_available"})


@dataclass(frozen=True)
class AnthropicBilling(Billing):
    """Anthropic: tier, speed, geography, searches, containers."""

    facts: frozenset[str] = frozenset({"usage"})
    sold: frozenset[str] = frozenset({"batch"})

    def requested(self, params: Mapping[str, Any]) -> Terms:
        """Return the terms that the parameters of a request select."""
        return _terms("", params)

    def most_fees(self, tools: Sequence[Mapping[str, Any]]) -> Sequence[tuple[str, int]]:
        """Return what one answer may use: searches, and a container where there are none."""
        kinds = [(str(tool.get("type") or ""), tool) for tool in tools]  # dated, or portable without a date
        searches = [most_uses(tool) for kind, tool in kinds if kind.startswith("web_search")]
        if searches:
            return (("web_search", sum(searches)),)
        return (("code_execution", 1),) if any(kind.startswith("code_execution") for kind, _ in kinds) else ()

    def bill(self, metadata: Mapping[str, Any]) -> Bill:
        """Return what the metadata of an answer state of its price."""
        usage = metadata.get("usage")
        if not isinstance(usage, Mapping):
            return NO_BILL
        terms = _terms(self.tier(usage.get("service_tier")), usage)
        used = part_of(usage, "server_tool_use")
        fees = fees_of({"web_search": used.get("web_search_requests")})
        # A container is free beside web search and web fetch; elsewhere its time is not reported, and the
        # least that is billed is assumed.
        ran = bool(metadata.get("container")) and not fees and not used.get("web_fetch_requests")
        if ran:
            fees = (("code_execution", 1),)
        return Bill(terms, fees, estimated=ran) if fees or terms != PLAIN else NO_BILL


def _terms(tier: str, facts: Mapping[str, Any]) -> Terms:
    speed, geography = str(facts.get("speed") or ""), str(facts.get("inference_geo") or "")
    return Terms(tier, "fast" if speed == "fast" else "", "" if geography in _EVERYWHERE else geography)
