"""What requests and answers of Gemini show of their price.

Sources: ai.google.dev/gemini-api/docs/pricing and /flex-inference, /priority-inference. `usageMetadata` names
the `serviceTier`, on Vertex the `trafficType` (`ON_DEMAND`, `ON_DEMAND_FLEX`, `ON_DEMAND_PRIORITY`,
`PROVISIONED_THROUGHPUT`). Grounding is paid by the search query from Gemini 3 on, by the prompt before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_llmdispatch.vendors.billing import MOST_USES, NO_BILL, Bill, Billing, Terms

_SEARCHES = frozenset({"googlesearch", "googlesearchretrieval", "websearch"})
_VERTEX = re.compile(r"([a-z0-9-]+)-aiplatform\.(?:[a-z]+\.)?googleapis\.com|aiplatform\.[a-z]+\.rep\.")


@dataclass(frozen=True)
class GoogleBilling(Billing):
    """Gemini: tier, traffic type, grounding, the region of Vertex."""

    caches_unasked: bool = True
    facts: frozenset[str] = frozenset({"service_tier", "traffic_type", "grounding_metadata"})
    tiers: Mapping[str, str] = field(
        default_factory=lambda: {
            "on_demand_flex": "flex",
            "on_demand_priority": "priority",
            "provisioned_throughput": "provisioned",
            "traffic_type_unspecified": "",
            "unspecified": "",
        }
    )

    def tier(self, word: Any) -> str:
        """Return the catalog's name of a tier; Gemini's files of batches have `SERVICE_TIER_STANDARD`."""
        return super().tier(str(word or "").lower().removeprefix("service_tier_"))

    def most_fees(self, tools: Sequence[Mapping[str, Any]]) -> Sequence[tuple[str, int]]:
        """Return what one answer may use: queries of the search, and a map."""
        words = {str(word).replace("_", "").lower() for tool in tools for word in (*tool, tool.get("type"))}
        found = (("web_search", words & _SEARCHES), ("google_maps", words & {"googlemaps"}))
        return tuple((kind, MOST_USES if kind == "web_search" else 1) for kind, named in found if named)

    def bill(self, metadata: Mapping[str, Any]) -> Bill:
        """Return what the metadata of an answer state of its price."""
        tier = self.tier(metadata.get("service_tier")) or self.tier(metadata.get("traffic_type"))
        fees = _fees(metadata.get("grounding_metadata"))
        return Bill(Terms(tier), fees) if tier or fees else NO_BILL

    def geography(self, base_url: str) -> str:
        """Return `regional` for Vertex's regional and multi-region hosts; its global one has no prefix."""
        return "regional" if _VERTEX.search(base_url) else ""


def _fees(grounding: Any) -> tuple[tuple[str, int], ...]:
    """Return the fees of an answer's grounding: its queries, or 1 for a map."""
    if not isinstance(grounding, Mapping):
        return ()
    queries = [query for query in grounding.get("web_search_queries") or () if query]
    chunks = [chunk for chunk in grounding.get("grounding_chunks") or () if isinstance(chunk, Mapping)]
    mapped = any("maps" in chunk for chunk in chunks) or grounding.get("google_maps_widget_context_token")
    found = (("web_search", len(queries)), ("google_maps", int(bool(mapped))))
    return tuple((kind, number) for kind, number in found if number)
