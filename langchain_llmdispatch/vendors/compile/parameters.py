"""The neutral parameters of a request, as one target takes them.

What a vendor takes is in its class (`Vendor.parameters`), what a model takes in the catalog's `ModelFacts`. A
parameter that a target does not take is adapted or dropped, and reported; or, with
`unsupported_params="raise"`, an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import UnsupportedParameterError
from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.types import Change, UnsupportedParams
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.compile.thinking import Thinking, is_in_form, thinking_of, written
from langchain_llmdispatch.vendors.parameters import ALIASES, NEUTRAL
from langchain_llmdispatch.vendors.prompt_cache import NAME as PROMPT_CACHE
from langchain_llmdispatch.vendors.rules import ParameterRules

__all__ = ["NEUTRAL", "compile_parameters", "effort_of", "nearest_effort"]


def compile_parameters(
    params: Mapping[str, Any],
    vendor: Vendor,
    facts: ModelFacts,
    policy: UnsupportedParams = "adapt",
    *,
    model: str = "",
) -> tuple[dict[str, Any], list[Change]]:
    """Return the parameters that a target takes, and what was altered.

    Args:
        params: Neutral names (or `ALIASES`); None means unset. Names that are not neutral are left out:
            they are for the vendor's body.
        vendor: The target's vendor.
        facts: What the model takes.
        policy: `adapt`: the nearest thing the target takes; `drop`: nothing in place of what it does not
            take; `raise`: an error. A limit that is too high is cut by the first two.
        model: The model's name, for errors.

    Raises:
        UnsupportedParameterError: With policy `raise`, the target does not take a parameter or its value.
    """
    rules = vendor.parameters
    if _pass_unchanged(params, rules, facts):
        return dict(params), []
    requested = {
        ALIASES.get(name, name): value
        for name, value in sorted(params.items(), key=_aliases_last)
        if value is not None and name in NEUTRAL and name != PROMPT_CACHE  # compiled with the history
    }
    compiler = _ParameterCompiler(requested, rules, facts, policy, f"{vendor.name}:{model}")
    for step in _STEPS:
        step(compiler)
    return compiler.params, compiler.changes


def _pass_unchanged(params: Mapping[str, Any], rules: ParameterRules, facts: ModelFacts) -> bool:
    """Whether nothing needs to be altered, as for most calls."""
    if facts.temperature != "any" or not params.keys() <= rules.unchecked or None in params.values():
        return False
    most, temperature = rules.most_temperature, params.get("temperature", 0)
    limit, requested = facts.max_output_tokens, params.get("max_tokens", 1)
    return (
        isinstance(temperature, (int, float))
        and isinstance(requested, int)
        and requested > 0
        and (most is None or temperature <= most)
        and (limit is None or requested <= limit)
        and not (rules.one_sampler and "top_p" in params)
    )


def _aliases_last(item: tuple[str, Any]) -> bool:
    # What a caller wrote in a vendor's own words is more deliberate than a default.
    return item[0] in ALIASES


@dataclass(slots=True)
class _ParameterCompiler:
    """The parameters of one request while they are compiled for one target.

    Attributes:
        params: Neutral names; the result.
        rules: What the vendor takes.
        facts: What the model takes.
        policy: What happens to a parameter that the target does not take.
        target: `vendor:model`, for errors.
        changes: What was altered.
    """

    params: dict[str, Any]
    rules: ParameterRules
    facts: ModelFacts
    policy: UnsupportedParams
    target: str
    changes: list[Change] = field(default_factory=list)

    def drop(self, name: str, why: str, *, lossy: bool = True) -> None:
        """Leave out one parameter."""
        if name in self.params:
            self._check_policy(name, why)
            del self.params[name]
            self.changes.append(Change(f"{name}_dropped", why, lossy))

    def replace(self, name: str, value: Any, why: str, *, lossy: bool = True) -> None:
        """Set another value, or drop the parameter if the policy is to drop."""
        self._check_policy(name, why)
        if self.policy == "drop" and name not in _ALWAYS_CUT:
            self.drop(name, why)
            return
        self.params[name] = value
        self.changes.append(Change(f"{name}_adapted", f"{why}: {value!r} instead", lossy))

    def _check_policy(self, name: str, why: str) -> None:
        if self.policy == "raise":
            raise UnsupportedParameterError(
                f"{self.target} does not take {name}={self.params[name]!r}: {why}"
            )

    # -- the steps -----------------------------------------------------------------------------------

    def normalise(self) -> None:
        """Make `stop` a list, and add the `logprobs` that `top_logprobs` needs."""
        params = self.params
        if isinstance(params.get("stop"), str):
            params["stop"] = [params["stop"]]
        if isinstance(many := params.get("logprobs"), int) and not isinstance(many, bool):
            params["top_logprobs"], params["logprobs"] = many, True  # Gemini's word for how many
        if params.get("top_logprobs") is not None and "logprobs" in self.rules.takes:
            params.setdefault("logprobs", True)

    def fit_thinking(self) -> None:
        """Write `thinking` in the vendor's form, or turn it into an effort where that is nearer to it."""
        given = self.params.get("thinking")
        if given is None:
            return
        if (thinking := thinking_of(given)) is None:
            self.drop("thinking", f"{type(given).__name__} is no form of it")
            return
        takes, form = "thinking" in self.rules.takes, self.rules.thinking
        if takes and self._is_own_thinking(given, thinking):
            return
        if self.policy != "adapt":
            if takes:
                self.drop("thinking", "the target has another form of it")
            return
        value = written(thinking, form, budgets=self._takes_budgets()) if takes else None
        if value is not None:
            self.params["thinking"] = value
            self.changes.append(Change("thinking_adapted", "written in the target's form"))
            return
        del self.params["thinking"]
        effort = self.params.setdefault("reasoning_effort", thinking.effort)
        self.changes.append(Change("thinking_adapted", f"the target has efforts: {effort!r} instead"))

    def _is_own_thinking(self, given: Any, thinking: Thinking) -> bool:
        """Whether a setting has the vendor's form, and one that this model takes."""
        if not is_in_form(given, self.rules.thinking):
            return False
        if self.facts.thinking == "adaptive" and self.rules.thinking == "anthropic":
            return thinking.budget is None
        # Gemini 2.5 refuses levels.
        return not (self.facts.thinking == "budget" and self.rules.thinking == "google" and thinking.level)

    def _takes_budgets(self) -> bool:
        return self.rules.thinking == "cohere" or self.facts.thinking == "budget"

    def fit_tier(self) -> None:
        """Write `service_tier` in the vendor's words."""
        tier, tiers = self.params.get("service_tier"), self.rules.tiers
        if tier is None or not tiers or tier in tiers or "service_tier" not in self.rules.takes:
            return
        alike = next((words for words in _TIERS if str(tier).lower() in words), frozenset({tier}))
        if (word := next((word for word in tiers if word in alike), None)) is None:
            self.drop("service_tier", "the vendor has no such tier", lossy=False)
        else:
            self.replace("service_tier", word, "the vendor's word for it", lossy=False)

    def fit_budget(self) -> None:
        """Leave room for an answer beside a budget of thinking, which counts in the output (Anthropic)."""
        thinking, most = self.params.get("thinking"), self.facts.max_output_tokens
        if self.rules.thinking != "anthropic" or not isinstance(thinking, Mapping) or not most:
            return
        budget = thinking.get("budget_tokens")
        if isinstance(budget, int) and budget >= most:
            shorter = {**thinking, "budget_tokens": most * 4 // 5}
            self.replace("thinking", shorter, "above the model's output limit")

    def fit_metadata(self) -> None:
        """Write metadata as texts, the only values that OpenAI takes; None is left out."""
        metadata = self.params.get("metadata")
        if isinstance(metadata, Mapping) and not all(isinstance(value, str) for value in metadata.values()):
            given = {name: value for name, value in metadata.items() if value is not None}
            self.params["metadata"] = {
                name: value if isinstance(value, str) else dump_json(value).decode()
                for name, value in given.items()
            }

    def fit_user(self) -> None:
        """Take the user's id out of metadata (Anthropic's `metadata.user_id`) where those have no place."""
        metadata = self.params.get("metadata")
        if "metadata" in self.rules.takes or not isinstance(metadata, Mapping) or self.policy != "adapt":
            return
        if "user" in self.rules.takes and metadata.get("user_id"):
            self.params.setdefault("user", str(metadata["user_id"]))
            if len(metadata) == 1:
                del self.params["metadata"]

    def fit_ranges(self) -> None:
        """Cut numbers to the vendor's ranges. A `top_k` below 1 (all) is known to own servers only."""
        many = self.params.get("top_k")
        if isinstance(many, int) and many < 1 and "min_p" not in self.rules.takes:
            self.drop("top_k", "the vendor takes no number for 'all'", lossy=False)
        for name, (least, most) in self.rules.ranges.items():
            value = self.params.get(name)
            if isinstance(value, (int, float)) and not least <= value <= most:
                self.replace(name, min(max(value, least), most), "outside the vendor's range")

    def drop_unknown(self) -> None:
        """Drop what the vendor does not have."""
        for name in [name for name in self.params if name not in self.rules.takes]:
            self.drop(name, "the vendor has no such parameter", lossy=name not in _NOT_FOR_THE_MODEL)

    def fit_effort(self) -> None:
        """Take the nearest effort that the model has."""
        effort = self.params.get("reasoning_effort")
        if effort is None:
            return
        levels = self.facts.effort_levels
        if not self.facts.reasoning and not levels and self.rules.known_reasoners:
            self.drop("reasoning_effort", "the model does not reason", lossy=effort != "none")
        elif levels and effort not in levels and effort in _EFFORTS:
            self.replace("reasoning_effort", nearest_effort(effort, levels), "the model has no such effort")

    def drop_sampling(self) -> None:
        """Drop what a model does not take while it reasons."""
        params, facts = self.params, self.facts
        at_rest = facts.temperature == "with_effort_none" and params.get("reasoning_effort") == "none"
        if facts.temperature == "any" or at_rest:
            return
        for name in ("temperature", "top_p"):
            if params.get(name) == 1:
                del params[name]  # the default: nothing is lost
            self.drop(name, "the model does not take it")
        self.drop("top_k", "the model does not take it")
        if self.rules.bare_reasoners and facts.reasoning:
            for name in _NOT_WHILE_REASONING:
                self.drop(name, "the model does not take it while it reasons")

    def fit_temperature(self) -> None:
        """Cut the temperature to the vendor's maximum; drop `top_p` where only one of both may be set."""
        most, temperature = self.rules.most_temperature, self.params.get("temperature")
        if most is not None and isinstance(temperature, (int, float)) and temperature > most:
            self.replace("temperature", most, "above the vendor's maximum")
        if self.rules.one_sampler and "temperature" in self.params:
            self.drop("top_p", "only one of temperature and top_p may be set")

    def fit_stops(self) -> None:
        """Drop stop sequences that are blank or too many."""
        stops = self.params.get("stop")
        if not stops:
            return
        kept = [word for word in stops if self.rules.blank_stops or word.strip()][: self.rules.most_stops]
        if not kept:
            self.drop("stop", "the vendor takes no blank ones")
        elif len(kept) < len(stops):
            self.replace("stop", kept, "too many, or blank ones")

    def fit_max_tokens(self) -> None:
        """Cut the output limit to the model's."""
        most, requested = self.facts.max_output_tokens, self.params.get("max_tokens")
        if isinstance(requested, int) and requested < 1 and not self.rules.unbounded:
            self.drop("max_tokens", "the vendor takes no word for 'no limit'", lossy=False)  # Ollama: -1, -2
        elif most and isinstance(requested, int) and requested > most:
            self.replace("max_tokens", most, "above the model's output limit")


_TIERS = (
    frozenset({"auto"}),
    frozenset({"default", "standard", "standard_only"}),
    frozenset({"flex"}),
    frozenset({"priority", "fast", "auto"}),  # Anthropic's `auto` uses priority capacity where there is some
)
"""Words of vendors for one tier each."""
_ALWAYS_CUT = frozenset({"max_tokens", "stop"})  # to drop these would mean the opposite
_NOT_FOR_THE_MODEL = frozenset({"user", "metadata", "service_tier"})  # no difference to an answer
_NOT_WHILE_REASONING = (
    "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias", "stop",
)  # fmt: skip
_STEPS: tuple[Callable[[_ParameterCompiler], None], ...] = (
    _ParameterCompiler.normalise,
    _ParameterCompiler.fit_thinking,
    _ParameterCompiler.fit_user,
    _ParameterCompiler.fit_tier,
    _ParameterCompiler.drop_unknown,
    _ParameterCompiler.fit_ranges,
    _ParameterCompiler.fit_effort,
    _ParameterCompiler.drop_sampling,
    _ParameterCompiler.fit_temperature,
    _ParameterCompiler.fit_stops,
    _ParameterCompiler.fit_max_tokens,
    _ParameterCompiler.fit_budget,
    _ParameterCompiler.fit_metadata,
)


# -- effort --------------------------------------------------------------------------------------------

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Words for reasoning effort, weakest first."""


def effort_of(thinking: Any) -> str | None:
    """Return the word for the effort that a `thinking` setting means, or None if it means none."""
    found = thinking_of(thinking)
    return None if found is None else found.effort


def nearest_effort(effort: str, levels: tuple[str, ...]) -> str:
    """Return the word of `levels` nearest to `effort`; of two as near, the stronger."""
    requested = _EFFORTS.index(effort)
    known = [level for level in levels if level in _EFFORTS] or [effort]
    return min(known, key=lambda level: (abs(_EFFORTS.index(level) - requested), -_EFFORTS.index(level)))
