"""What Anthropic accepts of parameters, tool names and schemas, and how its models are listed."""

from __future__ import annotations

import re

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.vendors.parameters import COMMON
from langchain_llmdispatch.vendors.rules import (
    VALUES,
    ParameterRules,
    SchemaDialect,
    SchemaLimits,
    SchemaRules,
    ToolNameRules,
)

LISTING = Listing("anthropic", prefixes=("anthropic/", "anthropic."))

PARAMETERS = ParameterRules(
    COMMON | {"top_k", "user", "thinking", "service_tier"},
    blank_stops=False,
    most_temperature=1,
    one_sampler=True,
    known_reasoners=True,
    parallel_switch=True,
    choices=frozenset({"named_server"}),
    tiers=("auto", "standard_only"),
    thinking="anthropic",
)

TOOL_NAMES = ToolNameRules(most=128)

# https://platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations"; what is
# not enforced goes into descriptions, as Anthropic's own SDK does it.
STRICT = SchemaRules(
    ref_siblings=False,
    recursion="refuse",
    additional_properties="force_false",
    formats=frozenset(
        {
            "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid",
        },
    ),
    keywords=frozenset(
        {
            "type", "enum", "const", "anyOf", "properties", "required", "additionalProperties", "items",
            "minItems", "$ref", "$defs", "definitions", "title", "description", "pattern", "format",
        },
    ),
    describes=True,
    refused_patterns=re.compile(r"\(\?[=!<]|\\[bB1-9]"),
    most_min_items=1,
    root_unions=False,
    one_of=False,
    all_of=False,
    enum_kinds=VALUES,
    tuples=False,
    typed=True,
    limits=SchemaLimits(optional=24, unions=16),
)  # fmt: skip
SCHEMAS = SchemaDialect(
    output=STRICT,
    strict=STRICT,
    # 400: "Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'"
    keys=ToolNameRules(re.compile(r"[a-zA-Z0-9_.-]+")),
)

COUNTED = frozenset({
    *("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"),
    *("context_management", "mcp_servers"),
})  # fmt: skip
"""Fields of a request that `POST /v1/messages/count_tokens` takes."""
