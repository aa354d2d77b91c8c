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
from langchain_llmdispatch.types import Change, UnsupportedParams
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.rules import ALIASES, NEUTRAL, ParameterRules

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
        if value is not None and name in NEUTRAL
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
    limit, requested = facts.max_output_tokens, params.get("max_tokens", 0)
    return (
        isinstance(temperature, (int, float))
        and isinstance(requested, int)
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

    def replace(self, name: str, value: Any, why: str) -> None:
        """Set another value, or drop the parameter if the policy is to drop."""
        self._check_policy(name, why)
        if self.policy == "drop" and name not in _ALWAYS_CUT:
            self.drop(name, why)
            return
        self.params[name] = value
        self.changes.append(Change(f"{name}_adapted", f"{why}: {value!r} instead", lossy=True))

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
        if params.get("top_logprobs") is not None and "logprobs" in self.rules.takes:
            params.setdefault("logprobs", True)

    def effort_of_thinking(self) -> None:
        """Turn `thinking` into an effort where the vendor has only efforts."""
        thinking = self.params.get("thinking")
        if thinking is None or "thinking" in self.rules.takes or self.policy != "adapt":
            return
        effort = effort_of(thinking)
        if effort is None or "reasoning_effort" in self.params:
            return
        del self.params["thinking"]
        self.params["reasoning_effort"] = effort
        self.changes.append(Change("thinking_adapted", f"the target has efforts: {effort!r} instead"))

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
        if most and isinstance(requested, int) and requested > most:
            self.replace("max_tokens", most, "above the model's output limit")


_ALWAYS_CUT = frozenset({"max_tokens", "stop"})  # to drop these would mean the opposite
_NOT_FOR_THE_MODEL = frozenset({"user", "metadata", "service_tier"})  # no difference to an answer
_NOT_WHILE_REASONING = (
    "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias", "stop",
)  # fmt: skip
_STEPS: tuple[Callable[[_ParameterCompiler], None], ...] = (
    _ParameterCompiler.normalise,
    _ParameterCompiler.effort_of_thinking,
    _ParameterCompiler.drop_unknown,
    _ParameterCompiler.fit_effort,
    _ParameterCompiler.drop_sampling,
    _ParameterCompiler.fit_temperature,
    _ParameterCompiler.fit_stops,
    _ParameterCompiler.fit_max_tokens,
)


# -- effort --------------------------------------------------------------------------------------------

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Words for reasoning effort, weakest first."""
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


def nearest_effort(effort: str, levels: tuple[str, ...]) -> str:
    """Return the word of `levels` nearest to `effort`; of two as near, the stronger."""
    requested = _EFFORTS.index(effort)
    known = [level for level in levels if level in _EFFORTS] or [effort]
    return min(known, key=lambda level: (abs(_EFFORTS.index(level) - requested), -_EFFORTS.index(level)))
