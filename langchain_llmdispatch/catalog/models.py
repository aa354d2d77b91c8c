"""What each model can do, read once from dated data files.

Two views of the same models: `profile` is LangChain's, for the people and agents that ask
`model.profile`; `facts` is ours, what a codec must know to spell a legal request. A model that is in
neither file is unknown, not unable: it has no profile and its vendor's default facts.

The data: `data/profiles.json` is generated (`scripts/refresh_catalog.py`) but for its `overlay`;
`data/facts.json` is written by hand, each row with its source.
"""

from __future__ import annotations

import json
import pkgutil
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from langchain_core.language_models.model_profile import ModelProfile

Temperature: TypeAlias = Literal["any", "default_only", "with_effort_none"]
Thinking: TypeAlias = Literal["none", "budget", "adaptive", "level"]
ResponsesUse: TypeAlias = Literal["never", "tools", "always"]

_ALIASES = {
    "azure_openai": "azure",
    "gemini": "google",
    "google_genai": "google",
    "hf": "huggingface",
}
# What people write before a model's name, over and above the vendor's own name.
_PREFIXES = {
    "openai": ("openai/",),
    "azure": ("azure/", "azure_openai/", "openai/"),
    "anthropic": ("anthropic/", "anthropic."),
    "google": ("google/", "google_genai/", "gemini/", "publishers/google/", "models/"),
    "cohere": ("cohere/", "cohere_chat/"),
    "huggingface": ("huggingface/", "hf/"),
    "ollama": ("ollama/", "ollama_chat/", "registry.ollama.ai/", "library/"),
}
_DATE = re.compile(r"[-@](?:20\d{2}-\d{2}-\d{2}|20\d{6}|\d{2}-20\d{2})$")
_VARIANT = re.compile(r"-(?:latest|\d{3,4}|(?:preview|exp|experimental)(?:-[\d-]+)?)$")
_LIMITS = {"context_window": "max_input_tokens", "max_output_tokens": "max_output_tokens"}
_MEDIA = {
    "images": "image_inputs",
    "pdf": "pdf_inputs",
    "audio": "audio_inputs",
    "video": "video_inputs",
}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a request to one model may say.

    Attributes:
        reasoning: The model reasons before it answers.
        temperature: `any` is taken; `default_only`: another value than the vendor's default is refused,
            so is any `top_p` or `top_k`; `with_effort_none`: taken only with reasoning effort `none`.
        max_tokens_field: The vendor's word for the output limit outside the Responses API.
        forced_tool_choice: The model can be made to call a tool.
        thinking: How reasoning is set: a token `budget`, an effort word beside an `adaptive` switch, a
            `level`, or not at all (`none`; then `effort_levels` may still hold OpenAI's words).
        effort_levels: The words for reasoning effort that are taken, weakest first; empty if none or unknown.
        responses_api: Whether OpenAI's Responses API is needed: for requests with `tools`, `always`, or not.
        system_role: The role that carries the system message on OpenAI's APIs.
        structured_output: An answer can be held to a JSON schema.
        json_mode: An answer can be held to "some JSON object".
        parallel_tool_calls: Several calls in one turn can be switched off.
        prefill: The last turn may be the assistant's, to be continued.
        thought_signatures: Tool calls in the history must carry Gemini's thought signature.
        context_window: Input tokens at most, or None if unknown.
        max_output_tokens: Output tokens at most, or None if unknown.
        images: Takes images; None if unknown. Likewise `pdf`, `audio`, `video`.
        pdf: Takes PDF files.
        audio: Takes audio.
        video: Takes video.
        image_tool_message: A tool's result may hold images.
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


@dataclass(frozen=True, slots=True)
class _Rules:
    """One vendor's facts: rows of globs and what they say, then what holds where no row speaks."""

    rows: Sequence[tuple[Sequence[str], Mapping[str, Any]]] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Catalog:
    """The data files, merged and checked against this LangChain's profile keys."""

    as_of: str
    profiles: Mapping[str, Mapping[str, Mapping[str, Any]]]
    rules: Mapping[str, _Rules]
    common: _Rules


# -- names ---------------------------------------------------------------------------------------------


def vendor_key(vendor: str) -> str:
    """Return the one name under which `vendor` is known here (`gemini` -> `google`)."""
    name = vendor.lower()
    return _ALIASES.get(name, name)


def plain_name(vendor: str, model: str) -> str:
    """Return `model` in lower case, without what people and vendors write around it.

    Args:
        vendor: A vendor's name, as `vendor_key` returns it.
        model: A model id, resource name (`models/...`), fine-tune (`ft:...`), or prefixed name.
    """
    name = model.strip().lower().removeprefix(f"{vendor}:")
    if "/models/" in name:  # projects/../publishers/google/models/gemini-..
        name = name.rpartition("/models/")[2]
    while (short := _without_prefix(vendor, name)) != name:
        name = short
    if name.startswith("ft:"):
        name = name.split(":")[1]
    if vendor == "huggingface":  # the inference provider: org/model:provider
        name = name.partition(":")[0]
    return name.replace("gpt-35-", "gpt-3.5-") if vendor == "azure" else name


def undated(name: str) -> str:
    """Return `name` without the date of its snapshot (`gpt-6-luna-2026-09-01` -> `gpt-6-luna`)."""
    return _DATE.sub("", name)


def _without_prefix(vendor: str, name: str) -> str:
    for prefix in _PREFIXES.get(vendor, ()):
        if name.startswith(prefix) and len(name) > len(prefix):
            return name[len(prefix) :]
    return name


def _candidates(vendor: str, name: str) -> Iterator[str]:
    """Yield the names under which a plain name may be listed, the most exact first."""
    yield name
    if vendor == "ollama":
        name = name.partition(":")[0]
        yield name
    yield undated(name)
    while (shorter := _VARIANT.sub("", undated(name))) != name:
        name = shorter
        yield name


# -- the two views -------------------------------------------------------------------------------------


def profile(vendor: str, model: str) -> ModelProfile | None:
    """Return what LangChain calls the model's profile, or None if the model is unknown.

    The result is the caller's own: changing it changes nothing here.

    Args:
        vendor: A vendor's name or alias.
        model: The vendor's model id; for Azure the base model's name.
    """
    found = _profile(vendor, model)
    if found is None:
        return None
    copy = dict(found)
    if "reasoning_effort_levels" in copy:
        copy["reasoning_effort_levels"] = list(copy["reasoning_effort_levels"])
    return cast("ModelProfile", copy)


@lru_cache(maxsize=1024)
def facts(vendor: str, model: str) -> ModelFacts:
    """Return what a request to the model may say; the vendor's defaults if the model is unknown.

    Args:
        vendor: A vendor's name or alias; an unknown vendor is taken to speak OpenAI's Chat Completions.
        model: The vendor's model id; for Azure the base model's name.
    """
    catalog, key = _catalog(), vendor_key(vendor)
    rules, name = catalog.rules.get(key, catalog.common), plain_name(key, model)
    row = next((said for globs, said in rules.rows if _matches(name, globs)), {})
    values = {**rules.defaults, **_facts_of_profile(_profile(vendor, model) or {}), **row}
    values["effort_levels"] = tuple(values.get("effort_levels", ()))
    return ModelFacts(**values)


def shared_profile(profiles: Iterable[ModelProfile | None]) -> ModelProfile | None:
    """Return what all of several models can do: what a router over them may promise.

    A capability is promised if every model that says anything of it has it; a limit is the lowest known;
    reasoning efforts are those that all name. Unknown models and unsaid keys veto nothing. Names, dates
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


def as_of() -> str:
    """Return the day (ISO 8601) on which the data was last brought up to date."""
    return _catalog().as_of


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


@lru_cache(maxsize=1024)
def _profile(vendor: str, model: str) -> Mapping[str, Any] | None:
    key = vendor_key(vendor)
    # Azure sells OpenAI's models, the in-process server runs what Ollama's library lists.
    shelf = {"azure": "openai", "local": "ollama"}.get(key, key)
    models = _catalog().profiles.get(shelf, {})
    names = _candidates(shelf, plain_name(key, model))
    return next((models[name] for name in names if name in models), None)


def _facts_of_profile(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that a profile implies.

    Not whether tool results may hold images: a profile speaks of the vendor's best API, which need not be
    the one that is called.
    """
    said: dict[str, Any] = {
        fact: known[key] for fact, key in (_LIMITS | _MEDIA).items() if known.get(key) is not None
    }
    if "reasoning_output" in known:
        said["reasoning"] = known["reasoning_output"]
    if "structured_output" in known:
        said["structured_output"] = known["structured_output"]
    if known.get("reasoning_effort_levels"):
        said["effort_levels"] = known["reasoning_effort_levels"]
    if known.get("tool_choice") is False:
        said["forced_tool_choice"] = False
    if known.get("temperature") is False:
        said["temperature"] = "default_only"
    return said


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


# -- the files -----------------------------------------------------------------------------------------

_loading = Lock()


def _catalog() -> _Catalog:
    with _loading:
        return _load()


@cache
def _load() -> _Catalog:
    profiles, rules = read_data("profiles.json"), read_data("facts.json")
    common = rules["common"]
    return _Catalog(
        as_of=max(profiles["as_of"], rules["as_of"]),
        profiles=_merged_profiles(profiles["profiles"], profiles["overlay"]),
        rules={vendor: _rules(vendor, rules["vendors"], common) for vendor in rules["vendors"]},
        common=_Rules(defaults=common),
    )


def read_data(name: str) -> dict[str, Any]:
    """Return the content of a JSON file of this package's `catalog/data` directory."""
    content = pkgutil.get_data("langchain_llmdispatch.catalog", f"data/{name}")
    if content is None:  # a loader without data; no ordinary installation has one
        raise FileNotFoundError(name)
    return cast("dict[str, Any]", json.loads(content))


def _merged_profiles(
    generated: Mapping[str, Mapping[str, Any]], overlay: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return generated profiles with the overlay on top, in keys that this LangChain declares."""
    from langchain_core.language_models.model_profile import ModelProfile  # noqa: PLC0415 - not at import time

    declared = ModelProfile.__annotations__
    merged: dict[str, dict[str, Mapping[str, Any]]] = {}
    for vendor in {**generated, **overlay}:
        below, above = generated.get(vendor, {}), overlay.get(vendor, {})
        merged[vendor] = {
            name: {
                key: value
                for key, value in {**below.get(name, {}), **above.get(name, {})}.items()
                if key in declared
            }
            for name in {**below, **above}
        }
    return merged


def _rules(vendor: str, vendors: Mapping[str, Any], common: Mapping[str, Any]) -> _Rules:
    """Return one vendor's rules; `like` appends another vendor's rows and defaults below its own."""
    own = vendors[vendor]
    base = vendors[own["like"]] if "like" in own else {"rows": [], "defaults": {}}
    return _Rules(
        rows=[(row["models"], row["facts"]) for row in (*own["rows"], *base["rows"])],
        defaults={**common, **base["defaults"], **own["defaults"]},
    )
