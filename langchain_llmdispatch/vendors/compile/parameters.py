"""One neutral set of parameters, and what of it each target takes.

What a vendor takes is in `RULES`, what a model takes in the catalog's `ModelFacts`. A parameter that a
target cannot take is adapted or dropped, and reported; or, with `unsupported_params="raise"`, an error.

=====================  ======================================================================================
parameter              rule
=====================  ======================================================================================
temperature            dropped where the model refuses it; cut to the vendor's maximum
top_p, top_k           dropped with it; `top_p` beside `temperature` where only one may be set (Anthropic)
penalties, logprobs,   dropped for OpenAI's models while they reason
stop
stop                   cut to the vendor's number of sequences; blank ones dropped where refused
max_tokens             cut to the model's output limit
reasoning_effort       the nearest word the model has; dropped for models that do not reason
thinking               where a vendor has only efforts: budget -> effort, disabled -> none
top_logprobs           brings `logprobs` along
=====================  ======================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.errors import UnsupportedParameterError
from langchain_llmdispatch.types import Change

if TYPE_CHECKING:
    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.types import UnsupportedParams

ALIASES: Mapping[str, str] = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "max_tokens_to_sample": "max_tokens",
    "stop_sequences": "stop",
}
"""Vendors' words that mean a neutral parameter."""

_COMMON = frozenset({"temperature", "max_tokens", "top_p", "stop", "reasoning_effort"})
_PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})
_LOGPROBS = frozenset({"logprobs", "top_logprobs"})
_CHAT = _COMMON | _PENALTIES | _LOGPROBS | {"seed", "user", "logit_bias"}
_OPENAI = _CHAT | {"service_tier", "metadata", "verbosity"}
_SERVER = _CHAT | {"top_k", "min_p", "thinking", "service_tier"}

NEUTRAL: frozenset[str] = _OPENAI | _SERVER | ALIASES.keys()
"""Every name that is a parameter here; any other goes into the vendor's body verbatim."""


@dataclass(frozen=True, slots=True)
class ParameterRules:
    """What one vendor takes.

    Attributes:
        takes: Neutral names.
        most_stops: How many stop sequences; None for any number.
        blank_stops: Whether a stop sequence may be blank.
        most_temperature: The highest temperature; None for any.
        one_sampler: `temperature` and `top_p` may not both be set.
        known_reasoners: The catalog knows which of its models reason; elsewhere an unknown one may.
        bare_reasoners: Models take no penalties, log probabilities or stops while they reason.
        parallel_switch: `parallel_tool_calls` can be said.
        easy: Those of `takes` whose values are not looked at (derived).
    """

    takes: frozenset[str]
    most_stops: int | None = None
    blank_stops: bool = True
    most_temperature: float | None = None
    one_sampler: bool = False
    known_reasoners: bool = False
    bare_reasoners: bool = False
    parallel_switch: bool = False
    easy: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Note the parameters that need no look at their values, but for the two most used."""
        object.__setattr__(self, "easy", self.takes - _HARD)


# Values of these are looked at.
_HARD = frozenset({"stop", "reasoning_effort", "thinking", "top_logprobs"})

_OPENAI_RULES = ParameterRules(
    _OPENAI, most_stops=4, most_temperature=2, known_reasoners=True, bare_reasoners=True, parallel_switch=True
)
_SERVER_RULES = ParameterRules(_SERVER, parallel_switch=True)

RULES: Mapping[str, ParameterRules] = {
    "openai": _OPENAI_RULES,
    "azure": _OPENAI_RULES,
    "anthropic": ParameterRules(
        _COMMON | {"top_k", "user", "thinking", "service_tier"},
        blank_stops=False,
        most_temperature=1,
        one_sampler=True,
        known_reasoners=True,
        parallel_switch=True,
    ),
    "google": ParameterRules(
        _COMMON | _PENALTIES | _LOGPROBS | {"top_k", "seed", "thinking", "service_tier"},
        most_stops=5,
        most_temperature=2,
        known_reasoners=True,
    ),
    "cohere": ParameterRules(
        _COMMON | _PENALTIES | {"top_k", "seed", "logprobs", "thinking"},
        most_stops=5,
        known_reasoners=True,
    ),
    "huggingface": replace(_SERVER_RULES, takes=_SERVER - {"min_p", "top_k"}, most_stops=4),
    "ollama": ParameterRules(
        _COMMON | _PENALTIES | _LOGPROBS | {"top_k", "min_p", "seed", "thinking"},
    ),
    "local": _SERVER_RULES,
    "default": _SERVER_RULES,
}
"""Rules by vendor's name; `default` serves OpenAI-compatible servers and vendors of third parties."""


def rules_of(vendor: str) -> ParameterRules:
    """Return a vendor's rules."""
    return RULES.get(vendor) or RULES["default"]


def compile_parameters(
    params: Mapping[str, Any],
    vendor_name: str,
    facts: ModelFacts,
    policy: UnsupportedParams = "adapt",
    *,
    model: str = "",
    rules: ParameterRules | None = None,
) -> tuple[dict[str, Any], list[Change]]:
    """Return the parameters that a target takes, and what was altered.

    Args:
        params: Neutral names (or `ALIASES`); None means unset. Names that are not neutral are left out:
            they are for the vendor's body.
        vendor_name: The vendor.
        facts: What the model takes.
        policy: `adapt`: the nearest thing the target takes; `drop`: nothing in place of what it does not
            take; `raise`: an error. A limit that is too high is cut by the first two.
        model: The model's name, for errors.
        rules: What the vendor takes, where `RULES` does not know it.

    Raises:
        UnsupportedParameterError: With policy `raise`, the target does not take a parameter or its value.
    """
    rules = rules or rules_of(vendor_name)
    if not params or _is_easy(params, rules, facts):
        return dict(params), []
    wanted = {
        ALIASES.get(name, name): value
        for name, value in sorted(params.items(), key=_aliases_last)
        if value is not None and name in NEUTRAL
    }
    work = _Work(wanted, rules, facts, policy, f"{vendor_name}:{model}")
    for step in _STEPS:
        step(work)
    return work.params, work.changes


def _is_easy(params: Mapping[str, Any], rules: ParameterRules, facts: ModelFacts) -> bool:
    """Whether nothing needs doing, as for most calls."""
    if facts.temperature != "any" or not params.keys() <= rules.easy or None in params.values():
        return False
    most, temperature = rules.most_temperature, params.get("temperature", 0)
    longest, asked = facts.max_output_tokens, params.get("max_tokens", 0)
    return (
        isinstance(temperature, (int, float))
        and isinstance(asked, int)
        and (most is None or temperature <= most)
        and (longest is None or asked <= longest)
        and not (rules.one_sampler and "top_p" in params)
    )


def _aliases_last(item: tuple[str, Any]) -> bool:
    # What a caller wrote in a vendor's own words is more deliberate than a default.
    return item[0] in ALIASES


@dataclass(slots=True)
class _Work:
    """The parameters of one call on their way to one target."""

    params: dict[str, Any]
    rules: ParameterRules
    facts: ModelFacts
    policy: UnsupportedParams
    target: str
    changes: list[Change] = field(default_factory=list)

    def drop(self, name: str, why: str, *, lossy: bool = True) -> None:
        """Leave out one parameter."""
        if name in self.params:
            self._refuse(name, why)
            del self.params[name]
            self.changes.append(Change(f"{name}_dropped", why, lossy))

    def put(self, name: str, value: Any, why: str) -> None:
        """Put another value in a parameter's place, or nothing if adapting is not wanted."""
        self._refuse(name, why)
        if self.policy == "drop" and name not in _CUT:
            self.drop(name, why)
            return
        self.params[name] = value
        self.changes.append(Change(f"{name}_adapted", f"{why}: {value!r} instead", lossy=True))

    def _refuse(self, name: str, why: str) -> None:
        if self.policy == "raise":
            raise UnsupportedParameterError(
                f"{self.target} does not take {name}={self.params[name]!r}: {why}"
            )


# Dropping these would say the opposite of what was meant.
_CUT = frozenset({"max_tokens", "stop"})


def _normalise(work: _Work) -> None:
    params = work.params
    if isinstance(params.get("stop"), str):
        params["stop"] = [params["stop"]]
    if params.get("top_logprobs") is not None and "logprobs" in work.rules.takes:
        params.setdefault("logprobs", True)


def _thinking(work: _Work) -> None:
    """Where a vendor has only words for effort, say so in words."""
    thinking = work.params.get("thinking")
    if thinking is None or "thinking" in work.rules.takes or work.policy != "adapt":
        return
    effort = effort_of(thinking)
    if effort is None or "reasoning_effort" in work.params:
        return
    del work.params["thinking"]
    work.params["reasoning_effort"] = effort
    work.changes.append(Change("thinking_adapted", f"the target has efforts: {effort!r} instead"))


_BUDGETS = ((2048, "low"), (8192, "medium"))


def effort_of(thinking: Any) -> str | None:
    """Return the word for the effort that a `thinking` setting means, or None if it means none."""
    if isinstance(thinking, bool):
        return "medium" if thinking else "none"
    if not isinstance(thinking, Mapping):
        return None
    if thinking.get("type") == "disabled":
        return "none"
    budget = thinking.get("budget_tokens", thinking.get("thinking_budget"))
    if not isinstance(budget, int):
        return "medium"
    return next((word for most, word in _BUDGETS if budget <= most), "high")


def _unknown_to_vendor(work: _Work) -> None:
    for name in [name for name in work.params if name not in work.rules.takes]:
        work.drop(name, "the vendor has no such parameter", lossy=name not in _NO_MEANING)


# These mean nothing to the model's answer.
_NO_MEANING = frozenset({"user", "metadata", "service_tier"})

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Words for reasoning effort, weakest first."""


def _effort(work: _Work) -> None:
    effort = work.params.get("reasoning_effort")
    if effort is None:
        return
    levels = work.facts.effort_levels
    if not work.facts.reasoning and not levels and work.rules.known_reasoners:
        work.drop("reasoning_effort", "the model does not reason", lossy=effort != "none")
    elif levels and effort not in levels and effort in EFFORTS:
        work.put("reasoning_effort", nearest_effort(effort, levels), "the model has no such effort")


def nearest_effort(effort: str, levels: tuple[str, ...]) -> str:
    """Return the word of `levels` nearest to `effort`; of two as near, the stronger."""
    wanted = EFFORTS.index(effort)
    known = [level for level in levels if level in EFFORTS] or [effort]
    return min(known, key=lambda level: (abs(EFFORTS.index(level) - wanted), -EFFORTS.index(level)))


def _sampling(work: _Work) -> None:
    params, facts = work.params, work.facts
    calm = facts.temperature == "with_effort_none" and params.get("reasoning_effort") == "none"
    if facts.temperature != "any" and not calm:
        for name in ("temperature", "top_p"):
            if params.get(name) == 1:
                del params[name]  # the default: nothing is lost
            work.drop(name, "the model does not take it")
        work.drop("top_k", "the model does not take it")
        if work.rules.bare_reasoners and facts.reasoning:
            for name in ("presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"):
                work.drop(name, "the model does not take it while it reasons")
            work.drop("stop", "the model does not take it while it reasons")
    most, temperature = work.rules.most_temperature, params.get("temperature")
    if most is not None and isinstance(temperature, (int, float)) and temperature > most:
        work.put("temperature", most, "above the vendor's maximum")
    if work.rules.one_sampler and "temperature" in params:
        work.drop("top_p", "only one of temperature and top_p may be set")


def _stops(work: _Work) -> None:
    stops = work.params.get("stop")
    if not stops:
        return
    kept = [word for word in stops if work.rules.blank_stops or word.strip()]
    most = work.rules.most_stops
    if most is not None:
        kept = kept[:most]
    if not kept:
        work.drop("stop", "the vendor takes no blank ones")
    elif len(kept) < len(stops):
        work.put("stop", kept, "too many, or blank ones")


def _limit(work: _Work) -> None:
    most, asked = work.facts.max_output_tokens, work.params.get("max_tokens")
    if most and isinstance(asked, int) and asked > most:
        work.put("max_tokens", most, "above the model's output limit")


_STEPS: tuple[Callable[[_Work], None], ...] = (
    _normalise,
    _thinking,
    _unknown_to_vendor,
    _effort,
    _sampling,
    _stops,
    _limit,
)
