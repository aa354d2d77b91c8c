"""What Cohere accepts of parameters, tool names and schemas, and how its models are listed."""

from __future__ import annotations

import re

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.vendors.parameters import COMMON, PENALTIES
from langchain_llmdispatch.vendors.rules import ParameterRules, SchemaDialect, SchemaRules, ToolNameRules

LISTING = Listing("cohere", prefixes=("cohere/", "cohere_chat/"))

PARAMETERS = ParameterRules(
    COMMON | PENALTIES | {"top_k", "seed", "logprobs", "thinking"},
    most_stops=5,
    known_reasoners=True,
    thinking="cohere",
    ranges={  # docs.cohere.com/reference/chat
        **dict.fromkeys(PENALTIES, (0, 1)),
        "top_p": (0.01, 0.99),
        "top_k": (0, 500),
    },
)

# docs.cohere.com: letters, digits, underscores; no digit first.
TOOL_NAMES = ToolNameRules(re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*"))

# docs.cohere.com/docs/structured-outputs, "Parameter types support" and "Unsupported schema features".
OUTPUT = SchemaRules(
    dropped=frozenset(
        {
            "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems",
            "maxItems", "uniqueItems", "minLength", "maxLength", "minProperties", "maxProperties",
            "default", "not",
        },
    ),
    formats=frozenset({"date-time", "date", "time", "uuid"}),
    refused_patterns=re.compile(r"[\^$]|\?[=!]"),
    root_unions=False,
    one_of=False,
    all_of=False,
    require_some=True,
)  # fmt: skip
SCHEMAS = SchemaDialect(output=OUTPUT, strict=OUTPUT)
