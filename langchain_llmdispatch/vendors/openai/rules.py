"""What OpenAI accepts of parameters and schemas, and how its models are listed."""

from __future__ import annotations

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.vendors.rules import CHAT, ParameterRules, SchemaDialect, SchemaRules

LISTING = Listing("openai", prefixes=("openai/",))
AZURE_LISTING = Listing(
    "azure",
    profiles="openai",
    prefixes=("azure/", "azure_openai/", "openai/"),
    # In Azure's names of deployments and models a dot may not stand.
    spellings=(("gpt-35-", "gpt-3.5-"),),
)

PARAMETERS = ParameterRules(
    CHAT | {"service_tier", "metadata", "verbosity"},
    most_stops=4,
    most_temperature=2,
    known_reasoners=True,
    bare_reasoners=True,
    parallel_switch=True,
)

# Structured outputs guide, "Supported schemas".
STRICT = SchemaRules(
    additional_properties="force_false",
    formats=frozenset(
        {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"},
    ),
    dropped=frozenset(
        {
            "default", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "examples",
            "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "contains",
            "minContains", "maxContains", "minProperties", "maxProperties", "uniqueItems", "minLength",
            "maxLength",
        },
    ),
    root_unions=False,
    one_of=False,
    all_of=False,
    require_all=True,
    max_depth=10,
)  # fmt: skip
SCHEMAS = SchemaDialect(strict=STRICT, strict_where_free=True)

# LiteLLM's words for servers that speak OpenAI's format at an `api_base`.
LITELLM_SERVERS = (
    "groq", "openrouter", "mistral", "deepseek", "together_ai", "xai", "hosted_vllm", "openai_like",
)  # fmt: skip
