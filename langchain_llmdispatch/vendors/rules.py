"""Rules: what a vendor accepts of history, parameters, tool names and schemas, as data.

A vendor's class states its rules; `compile/` and `history/` apply them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from langchain_llmdispatch.vendors.parameters import LOGPROBS, PENALTIES, SERVER

# -- history -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HistoryRules:
    """What a vendor accepts as history.

    Attributes:
        provider: The `model_provider` that the vendor's own messages carry.
        shared_with: Other providers whose messages hold the same content and signatures.
        system: `anywhere`; `leading`: only one, at the front; `placed`: also after a user's turn or a tool's
            result that the model answers next. Other ones become tagged user turns.
        tool_changes: System messages may add tools, and take some away.
        alternate: Neighbouring turns of one role must be merged.
        first_user: The first turn after the system message must be the user's.
        last_user: An assistant turn must not be the last (no prefill).
        names: `slug`: message names are kept, spelled `[a-zA-Z0-9_-]{1,64}`; `drop`: the field is refused.
        tool_id: What a tool-call id must match; other ids are rewritten, call and result alike.
        user_media: Media kinds that a user turn may hold, of `image image_url pdf pdf_url audio video file`.
        tool_media: Media kinds that a tool result may hold; others move to a user turn after it.
        reasoning: `signed`: native signed reasoning goes back unchanged; `text`: native reasoning text goes
            back; `drop`: none does.
        same_model: Native reasoning is only valid for the very model that wrote it.
        only_recorded: Opaque parts are only valid in messages that record the vendor and the host that wrote
            them, since others share the provider's name.
        thinking_first: While a model thinks with a token budget, a tool loop must begin with its thinking,
            and no tool may be forced; thinking is switched off for a request that breaks this.
        call_signature: Placeholder signature for tool calls that came from elsewhere, or None.
        cache_control: Prompt-cache markers on blocks are understood.
        blank_text: Blank text blocks are accepted.
        citations: The vendor's own citations may go back in assistant text.
        any_blocks: Input blocks that no vendor is known to own go to it as they are: it may know them.
        verbatim: The vendor's own answers go back as they were, where their calls need no change.
    """

    provider: str
    shared_with: tuple[str, ...] = ()
    system: Literal["anywhere", "leading", "placed"] = "anywhere"
    tool_changes: bool = False
    alternate: bool = False
    first_user: bool = False
    last_user: bool = False
    names: Literal["slug", "drop"] = "drop"
    tool_id: re.Pattern[str] | None = None
    user_media: frozenset[str] = frozenset({"image", "image_url"})
    tool_media: frozenset[str] = frozenset()
    reasoning: Literal["signed", "text", "drop"] = "drop"
    same_model: bool = False
    only_recorded: bool = False
    thinking_first: bool = False
    call_signature: str | None = None
    cache_control: bool = False
    blank_text: bool = False
    citations: bool = False
    any_blocks: bool = False
    verbatim: bool = False


# -- parameters ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParameterRules:
    """What a vendor accepts of the neutral parameters; the default is that of an OpenAI-compatible server.

    Attributes:
        takes: Neutral names.
        most_stops: How many stop sequences; None for any number.
        blank_stops: Whether a stop sequence may be blank.
        most_temperature: The highest temperature; None for any.
        one_sampler: `temperature` and `top_p` must not both be set.
        known_reasoners: The catalog lists all models that reason; elsewhere an unknown one may.
        bare_reasoners: Models take no penalties, log probabilities or stops while they reason.
        parallel_switch: `parallel_tool_calls` is a field of the vendor's.
        choices: Choices of tools beyond the usual ones: `server` (one that the vendor runs),
            `named_server` (such a one, if it has a name), `allowed` (only
            some), `allowed_forced` (the same, where one must be called), `validated`.
        tiers: The values of `service_tier`; empty: any.
        thinking: The form of `thinking`: a vendor's own object, `switch` (a boolean or a word), or `type`.
        unbounded: `max_tokens` may be negative, for no limit.
        ranges: The lowest and the highest value, by parameter; one that is not listed may have any.
        unchecked: Those of `takes` whose values need no check (derived).
    """

    takes: frozenset[str] = SERVER
    most_stops: int | None = None
    blank_stops: bool = True
    most_temperature: float | None = None
    one_sampler: bool = False
    known_reasoners: bool = False
    bare_reasoners: bool = False
    parallel_switch: bool = False
    choices: frozenset[str] = frozenset()
    tiers: tuple[str, ...] = ()
    thinking: Literal["anthropic", "google", "cohere", "switch", "type"] = "type"
    unbounded: bool = False
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unchecked: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Derive `unchecked`."""
        object.__setattr__(self, "unchecked", self.takes - _CHECKED - self.ranges.keys())


_CHECKED = (
    frozenset({"stop", "reasoning_effort", "thinking", "service_tier", "metadata", "top_k"})
    | LOGPROBS
    | PENALTIES
)


# -- tool names ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolNameRules:
    """What a vendor accepts as the name of a tool; other names are rewritten, and turned back in answers.

    Attributes:
        pattern: What a name must match whole. A letter, and then letters, digits and underscores, must match.
        most: How many characters it may have.
    """

    pattern: re.Pattern[str] = re.compile(r"[a-zA-Z0-9_-]+")
    most: int = 64


ANY_TOOL_NAME = ToolNameRules(re.compile(r".+", re.DOTALL), 1024)
"""For servers that check no names."""


# -- schemas -------------------------------------------------------------------------------------------

_INFINITE = float("inf")


@dataclass(frozen=True, slots=True)
class SchemaLimits:
    """How large a schema may be.

    Attributes:
        properties: All properties together.
        depth: How deep objects and arrays may nest.
        enum_values: All enumerated values together.
        text: Characters in all names and values together.
        long_enum: An enumeration of more texts than this may have `long_enum_text` characters.
        long_enum_text: See `long_enum`.
        optional: All properties that may be absent together.
        unions: All unions and lists of types together.
    """

    properties: float = _INFINITE
    depth: int = 1_000
    enum_values: float = _INFINITE
    text: float = _INFINITE
    long_enum: float = _INFINITE
    long_enum_text: float = _INFINITE
    optional: float = _INFINITE
    unions: float = _INFINITE


@dataclass(frozen=True, slots=True)
class SchemaRules:
    """What a vendor accepts of JSON Schema; the default accepts everything.

    Attributes:
        refs: `inline`: definitions are put in their place, but for recursive ones; `keep`: `$ref` and `$defs`
            are understood.
        ref_siblings: Whether other keywords may stand beside `$ref`.
        ref_types: A `$ref` states the type of what it leads to, for servers that do not follow it.
        recursion: `keep`: understood; `optional`: only within properties that may be absent; `refuse`: not.
        additional_properties: `keep`, `drop`, or `force_false` on every object.
        formats: Values of `format` that are taken; None for any.
        keywords: The only keywords that are taken; None for any.
        dropped: Keywords that are refused.
        describes: What is refused goes into descriptions, where models read it.
        refused_patterns: What a `pattern` must not hold.
        most_min_items: The highest `minItems` that is taken; None for any.
        root_unions: Whether the root may be a union, or anything but an object; a union's variants are else
            merged into one object.
        one_of: Whether `oneOf` is understood; else it becomes `anyOf`.
        all_of: Whether `allOf` is understood; else its parts are merged.
        nullable: How "X or null" is spelled: `union` (`anyOf`) or `list` (`type: [X, null]`).
        const: Whether `const` is understood; else it becomes an `enum` of one.
        enum_kinds: The types whose values may be enumerated, each type apart; None for any mixture.
        tuples: Whether `prefixItems` is understood; else items may be what any place may hold.
        typed: Every part must state its type, and every array its items.
        distinct_variants: Objects in a union must not begin with the same property.
        require_all: Every property is required; optional ones become nullable (OpenAI's strict mode).
        require_some: Every object must require something; in one that does not, all become nullable.
        limits: How large it may be.
    """

    refs: Literal["keep", "inline"] = "keep"
    ref_siblings: bool = True
    ref_types: bool = False
    recursion: Literal["keep", "optional", "refuse"] = "keep"
    additional_properties: Literal["keep", "drop", "force_false"] = "keep"
    formats: frozenset[str] | None = None
    keywords: frozenset[str] | None = None
    dropped: frozenset[str] = frozenset()
    describes: bool = False
    refused_patterns: re.Pattern[str] | None = None
    most_min_items: int | None = None
    root_unions: bool = True
    one_of: bool = True
    all_of: bool = True
    nullable: Literal["union", "list"] = "union"
    const: bool = True
    enum_kinds: frozenset[str] | None = None
    tuples: bool = True
    typed: bool = False
    distinct_variants: bool = False
    require_all: bool = False
    require_some: bool = False
    limits: SchemaLimits | None = None


VALUES = frozenset({"string", "integer", "number", "boolean", "null"})
"""Types of plain values."""
ROOT_OBJECT = SchemaRules(root_unions=False)
"""Everything is understood, but the root must be an object."""


@dataclass(frozen=True, slots=True)
class SchemaDialect:
    """A vendor's rules for schemas, by what a schema is for.

    Attributes:
        tool: Of a tool's arguments.
        output: Of an answer; None: as `tool`.
        strict: Of either, where it must be followed exactly; None: as `tool`.
        strict_where_free: An answer's schema that the strict rules would not alter is sent as a strict one,
            if the caller leaves it open.
        keys: What the names of a tool's properties must match; others are rewritten, and restored in calls.
    """

    tool: SchemaRules = ROOT_OBJECT
    output: SchemaRules | None = None
    strict: SchemaRules | None = None
    strict_where_free: bool = False
    keys: ToolNameRules | None = None

    def for_tool(self, strict: bool | None) -> SchemaRules:
        """Return the rules for a tool's arguments."""
        return (strict and self.strict) or self.tool

    def for_output(self, strict: bool | None) -> SchemaRules:
        """Return the rules for an answer."""
        return (self.strict if strict else self.output) or self.tool
