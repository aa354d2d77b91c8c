"""What Gemini accepts of parameters, tool names and schemas, and how its models are listed."""

from __future__ import annotations

import re

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.vendors.parameters import COMMON, LOGPROBS, PENALTIES
from langchain_llmdispatch.vendors.rules import ParameterRules, SchemaDialect, SchemaRules, ToolNameRules

LISTING = Listing("google", prefixes=("google/", "google_genai/", "gemini/", "publishers/google/", "models/"))

PARAMETERS = ParameterRules(
    COMMON | PENALTIES | LOGPROBS | {"top_k", "seed", "thinking", "service_tier"},
    most_stops=5,
    most_temperature=2,
    known_reasoners=True,
    choices=frozenset({"allowed_forced", "validated"}),
    tiers=("standard", "flex", "priority"),
    thinking="google",
)

# https://ai.google.dev/api/caching#FunctionDeclaration: begins with a letter or underscore.
TOOL_NAMES = ToolNameRules(re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]*"))

# https://ai.google.dev/api/caching#Tool; some are Vertex AI's only.
TOOL_KEYS = (
    "google_search", "google_search_retrieval", "google_maps", "code_execution", "url_context", "file_search",
    "computer_use", "retrieval", "enterprise_web_search", "mcp_servers", "parallel_ai_search",
    "exa_ai_search",
)  # fmt: skip

# https://ai.google.dev/api/generate-content, responseJsonSchema and parametersJsonSchema.
SCHEMAS = SchemaDialect(
    SchemaRules(
        refs="inline",
        # Cyclic references may only stand in properties that are not required, and nothing beside a `$ref`.
        recursion="optional",
        ref_siblings=False,
        formats=frozenset({"date-time", "date", "time", "int32", "int64", "float", "double", "enum"}),
        keywords=frozenset(
            {
                "type", "format", "title", "description", "enum", "items", "prefixItems", "minItems",
                "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties",
                "required", "propertyOrdering", "$id", "$anchor", "$ref", "$defs",
            },
        ),
        all_of=False,
        const=False,
        enum_kinds=frozenset({"string", "integer", "number"}),
    )
)  # fmt: skip
