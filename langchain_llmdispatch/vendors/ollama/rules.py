"""What an Ollama server accepts of parameters and schemas, and how its models are listed."""

from __future__ import annotations

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.vendors.parameters import COMMON, LOGPROBS, PENALTIES
from langchain_llmdispatch.vendors.rules import ParameterRules, SchemaDialect, SchemaRules

LISTING = Listing(
    "ollama", prefixes=("ollama/", "ollama_chat/", "registry.ollama.ai/", "library/"), colon="tag"
)

PARAMETERS = ParameterRules(
    COMMON | PENALTIES | LOGPROBS | {"top_k", "min_p", "seed", "thinking"}, thinking="switch", unbounded=True
)

SCHEMAS = SchemaDialect(
    # The server keeps what its own structure of a tool has fields for: definitions at the root, no allOf.
    tool=SchemaRules(refs="inline", ref_types=True, all_of=False, root_unions=False, nullable="list"),
    output=SchemaRules(),
)
