"""What OpenAI accepts of parameters and schemas, and how its models are listed."""

from __future__ import annotations

import re

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.vendors.parameters import CHAT
from langchain_llmdispatch.vendors.rules import (
    VALUES,
    ParameterRules,
    SchemaDialect,
    SchemaLimits,
    SchemaRules,
)

LISTING = Listing("openai", prefixes=("openai/",))
AZURE_LISTING = Listing(
    "azure",
    profiles="openai",
    prefixes=("azure/", "azure_openai/", "openai/"),
    # Azure's names of deployments and models hold no dots.
    spellings=(("gpt-35-", "gpt-3.5-"),),
)

PARAMETERS = ParameterRules(
    CHAT | {"service_tier", "metadata", "verbosity"},
    most_stops=4,
    most_temperature=2,
    known_reasoners=True,
    bare_reasoners=True,
    parallel_switch=True,
    choices=frozenset({"server", "allowed"}),
    tiers=("auto", "default", "flex", "scale", "priority", "fast"),
)

# https://developers.openai.com/api/docs/guides/structured-outputs, "Supported schemas". By its 400s nothing
# may stand beside a `$ref`; refused are lookarounds, and objects of a union with the same first property.
STRICT = SchemaRules(
    ref_siblings=False,
    additional_properties="force_false",
    formats=frozenset(
        {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"},
    ),
    keywords=frozenset(
        {
            "type", "enum", "const", "anyOf", "properties", "required", "additionalProperties", "items",
            "$ref", "$defs", "definitions", "title", "description", "pattern", "format", "multipleOf",
            "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "minItems", "maxItems",
        },
    ),
    refused_patterns=re.compile(r"\(\?"),
    root_unions=False,
    one_of=False,
    all_of=False,
    enum_kinds=VALUES,
    tuples=False,
    typed=True,
    distinct_variants=True,
    require_all=True,
    limits=SchemaLimits(
        properties=5_000, depth=10, enum_values=1_000, text=120_000, long_enum=250, long_enum_text=15_000
    ),
)  # fmt: skip
SCHEMAS = SchemaDialect(strict=STRICT, strict_where_free=True)
# What every server with a strict mode requires: https://console.groq.com/docs/structured-outputs
OF_SERVERS = SchemaDialect(
    strict=SchemaRules(root_unions=False, additional_properties="force_false", require_all=True)
)

# LiteLLM's words for servers that speak OpenAI's format at an `api_base`.
LITELLM_SERVERS = (
    "groq", "openrouter", "mistral", "deepseek", "together_ai", "xai", "fireworks_ai", "cerebras",
    "nvidia_nim", "hosted_vllm", "openai_like",
)  # fmt: skip
