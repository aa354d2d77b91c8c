"""What Anthropic accepts of parameters, tool names and schemas, and how its models are listed."""

from __future__ import annotations

from dataclasses import replace

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.vendors.rules import (
    COMMON,
    ROOT_OBJECT,
    ParameterRules,
    SchemaDialect,
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
)

TOOL_NAMES = ToolNameRules(most=128)

OUTPUT = replace(ROOT_OBJECT, one_of=False, all_of=False)
SCHEMAS = SchemaDialect(output=OUTPUT, strict=replace(OUTPUT, additional_properties="force_false"))
