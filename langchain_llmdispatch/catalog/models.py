"""What each model can do, read once from dated data files.

Two views of the same models: `profile` is LangChain's, for the people and agents that read `model.profile`;
`facts` is what a codec needs to write a legal request. A model that is in neither file is unknown, not
unable: it has no profile, and its vendor's default facts.

The data: `data/profiles.json` is generated (`scripts/refresh_catalog.py`) but for its `overlay`;
`data/facts.json` is written by hand, each row with its source.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from langchain_llmdispatch.catalog.files import read_data
from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.internal import forks

if TYPE_CHECKING:
    from langchain_core.language_models.model_profile import ModelProfile

Temperature: TypeAlias = Literal["any", "default_only", "with_effort_none"]
Thinking: TypeAlias = Literal["none", "budget", "adaptive", "level"]
ResponsesUse: TypeAlias = Literal["never", "tools", "always"]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a request to one model may contain.

    Attributes:
        reasoning: The model reasons before it answers.
        temperature: `any` is taken; `default_only`: another value than the vendor's default is refused,
            so is any `top_p` or `top_k`; `with_effort_none`: taken only with reasoning effort `none`.
        max_tokens_field: The vendor's word for the output limit outside the Responses API.
        forced_tool_choice: The model can be made to call a tool.
        thinking: How reasoning is set: a token `budget`, an effort word beside an `adaptive` switch, a
            `level`, or not at all (`none`; then `effort_levels` may still hold words for effort).
        effort_levels: The words for reasoning effort that are taken, weakest first; empty if none or unknown.
        responses_api: Whether the Responses API is needed: for requests with `tools`, `always`, or not.
        system_role: The role that carries the system message.
        structured_output: An answer can be held to a JSON schema.
        json_mode: An answer can be held to "some JSON object".
        parallel_tool_calls: Several calls in one turn can be switched off.
        prefill: The last turn may be the assistant's, to be continued.
        thought_signatures: Tool calls in the history must carry a thought signature.
        context_window: Input tokens at most, or None if unknown.
        max_output_tokens: Output tokens at most, or None if unknown.
        images: Takes images; None if unknown. Likewise `pdf`, `audio`, `video`.
        pdf: Takes PDF files.
        audio: Takes audio.
        video: Takes video.
        image_tool_message: A tool's result may hold images.
        mid_system: System messages within the conversation are taken where they stand.
        mid_tools: Messages may add tools, and take some away.
    """

    reasoning: bool = False
    temperature: Temperature = "any"
    max_tokens_field: str = "max_tokens"
    forced_tool_choice: bool = True
    thinking: Thinking = "none"
    effort_levels: tuple[str, ...] = ()
    responses_api: ResponsesUse = "never"
    system_role: Literal["system", "developer"] = "system"
    structured_output: bool = True
    json_mode: bool = True
    parallel_tool_calls: bool = True
    prefill: bool = False
    thought_signatures: bool = False
    context_window: int | None = None
    max_output_tokens: int | None = None
    images: bool | None = None
    pdf: bool | None = None
    audio: bool | None = None
    video: bool | None = None
    image_tool_message: bool = False
    mid_system: bool = False
    mid_tools: bool = False


# -- lookups -------------------------------------------------------------------------------------------


def profile(listing: Listing, model: str) -> ModelProfile | None:
    """Return what LangChain calls the model's profile, or None if the model is unknown.

    The result is a copy: changing it changes nothing here.

    Args:
        listing: The vendor's listing.
        model: The vendor's model id; for Azure the base model's name.
    """
    found = _profile(listing, model)
    if found is None:
        return None
    return cast("ModelProfile", _kept_promises(found, facts(listing, model)))


def _kept_promises(known: Mapping[str, Any], takes: ModelFacts) -> dict[str, Any]:
    """Return a copy of a profile that promises what a request to the model can hold, and no more."""
    kept = dict(known)
    if takes.temperature == "with_effort_none":
        kept.pop("temperature", None)  # sometimes: neither promised nor denied
    if takes.effort_levels and kept.get("reasoning_effort_levels"):
        kept["reasoning_effort_levels"] = list(takes.effort_levels)
    elif not takes.effort_levels:
        for name in ("reasoning_effort_levels", "reasoning_effort_default"):
            kept.pop(name, None)
    if kept.get("image_inputs") is False:
        kept |= dict.fromkeys(kept.keys() & {"image_url_inputs"}, False)
    if not takes.forced_tool_choice:
        kept |= dict.fromkeys(kept.keys() & {"tool_choice"}, False)
    if "structured_output" in kept:
        kept["structured_output"] = takes.structured_output
    return kept


def listed_models(listing: Listing) -> list[str]:
    """Return the names of the vendor's models that have a profile, in order."""
    return sorted(_data().profiles.get(listing.profiles or listing.section, {}))


def neighbour_note(listing: Listing, model: str) -> str:
    """Return which known model has nearly the name of an unknown one, in words; empty if there is none."""
    if _profile(listing, model) is not None:
        return ""
    near = difflib.get_close_matches(listing.plain_name(model), listed_models(listing), n=1, cutoff=0.8)
    return f"not in the catalog; did you mean {near[0]!r}?" if near else ""


@lru_cache(maxsize=1024)
def facts(listing: Listing, model: str) -> ModelFacts:
    """Return what a request to the model may contain; the vendor's defaults if the model is unknown.

    Args:
        listing: The vendor's listing; a vendor without facts of its own gets those of OpenAI's chat
            completions.
        model: The vendor's model id; for Azure the base model's name.
    """
    data, name = _data(), listing.plain_name(model)
    rules = data.rules.get(listing.section, data.common)
    row = next((values for globs, values in rules.rows if _matches(name, globs)), {})
    values = {**rules.defaults, **_facts_of_profile(_profile(listing, model) or {}), **row}
    values["effort_levels"] = tuple(values.get("effort_levels", ()))
    return ModelFacts(**values)


@lru_cache(maxsize=1024)
def _profile(listing: Listing, model: str) -> Mapping[str, Any] | None:
    models = _data().profiles.get(listing.profiles or listing.section, {})
    return next((models[name] for name in listing.profile_names(model) if name in models), None)


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


_EQUAL = {
    "context_window": "max_input_tokens",
    "max_output_tokens": "max_output_tokens",
    "images": "image_inputs",
    "pdf": "pdf_inputs",
    "audio": "audio_inputs",
    "video": "video_inputs",
    "reasoning": "reasoning_output",
    "structured_output": "structured_output",
    "mid_system": "mid_conversation_system_messages",
    "mid_tools": "mid_conversation_tools",
}
"""Facts that a profile states, and its keys for them."""


def _facts_of_profile(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that a profile implies.

    Not whether tool results may hold images: a profile describes the vendor's best API, which need not be
    the one that is called.
    """
    implied = {fact: known[key] for fact, key in _EQUAL.items() if known.get(key) is not None}
    if known.get("reasoning_effort_levels"):
        implied["effort_levels"] = known["reasoning_effort_levels"]
    if known.get("tool_choice") is False:
        implied["forced_tool_choice"] = False
    if known.get("temperature") is False:
        implied["temperature"] = "default_only"
    return implied


def with_profile(known: ModelFacts, declared: Mapping[str, Any]) -> ModelFacts:
    """Return the facts of a model with those that a profile states instead (`ModelProfile` keys)."""
    stated = _facts_of_profile(declared)
    if "effort_levels" in stated:
        stated["effort_levels"] = tuple(stated["effort_levels"])
    return replace(known, **stated) if stated else known


# -- several models ------------------------------------------------------------------------------------


def shared_profile(profiles: Iterable[ModelProfile | None]) -> ModelProfile | None:
    """Return what all of several models can do: what a router over them may promise.

    A capability is promised if every model whose profile has the key has it; a limit is the lowest known;
    reasoning efforts are those that all name. Unknown models and absent keys veto nothing. Names, dates
    and status belong to one model and are left out unless all agree.

    Args:
        profiles: The models' profiles, None for unknown ones.

    Returns:
        The shared profile, or None if nothing is known of any.
    """
    known: list[Mapping[str, Any]] = [each for each in profiles if each]
    if not known:
        return None
    keys = dict.fromkeys(key for each in known for key in each)
    merged = {key: _shared([each[key] for each in known if key in each]) for key in keys}
    levels = merged.get("reasoning_effort_levels")
    if merged.get("reasoning_effort_default") not in (levels or ()):
        merged.pop("reasoning_effort_default", None)
    return cast("ModelProfile", {key: value for key, value in merged.items() if value is not None})


def _shared(values: Sequence[Any]) -> Any:
    """Return the common value of one profile key, or None where there is none."""
    first = values[0]
    if isinstance(first, bool):
        return all(values)
    if isinstance(first, int):
        return min(values)
    if isinstance(first, list):
        return [item for item in first if all(item in other for other in values)]
    return first if all(other == first for other in values) else None


# -- the data ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _FactRows:
    """One vendor's facts: rows of globs with their values, and the values where no row matches."""

    rows: Sequence[tuple[Sequence[str], Mapping[str, Any]]] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _CatalogData:
    """The data files, merged and checked against this LangChain's profile keys."""

    profiles: Mapping[str, Mapping[str, Mapping[str, Any]]]
    rules: Mapping[str, _FactRows]
    common: _FactRows


def _data() -> _CatalogData:
    with forks.undivided():  # a child cannot import what its parent was just importing
        return _load()


@cache
def _load() -> _CatalogData:
    profiles, rules = read_data("profiles.json"), read_data("facts.json")
    common = rules["common"]
    return _CatalogData(
        profiles=_merged_profiles(profiles["profiles"], profiles["overlay"]),
        rules={section: _rows(section, rules["vendors"], common) for section in rules["vendors"]},
        common=_FactRows(defaults=common),
    )


def _merged_profiles(
    generated: Mapping[str, Mapping[str, Any]], overlay: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return generated profiles with the overlay on top, in keys that this LangChain declares."""
    from langchain_core.language_models.model_profile import ModelProfile

    declared = ModelProfile.__annotations__
    merged: dict[str, dict[str, Mapping[str, Any]]] = {}
    for section in {**generated, **overlay}:
        below, above = generated.get(section, {}), overlay.get(section, {})
        merged[section] = {
            name: {
                key: value
                for key, value in {**below.get(name, {}), **above.get(name, {})}.items()
                if key in declared
            }
            for name in {**below, **above}
        }
    return merged


def _rows(section: str, sections: Mapping[str, Any], common: Mapping[str, Any]) -> _FactRows:
    """Return one vendor's rows; `like` appends another vendor's rows and defaults below its own."""
    own = sections[section]
    base = sections[own["like"]] if "like" in own else {"rows": [], "defaults": {}}
    return _FactRows(
        rows=[(row["models"], row["facts"]) for row in (*own["rows"], *base["rows"])],
        defaults={**common, **base["defaults"], **own["defaults"]},
    )
