"""LiteLLM's `config.yaml`, carried over into our fields."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from langchain_llmdispatch.config.litellm_files import with_included
from langchain_llmdispatch.config.litellm_report import (
    LiteLLMReport,
    LiteLLMVariables,
    is_off,
    list_of,
    mapping_of,
    number_of,
)
from langchain_llmdispatch.config.litellm_rows import LiteLLMRow, LiteLLMRows
from langchain_llmdispatch.config.litellm_settings import SECTIONS, LiteLLMSettings
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.settings import without_variables
from langchain_llmdispatch.vendors.base import Vendor

_Routes = dict[str, list[dict[str, Any]]]
_TOP = ("model_list", "general_settings", "environment_variables", "credential_list", *SECTIONS)
# Of `general_settings`: what changes how calls are made. The rest is about the proxy server.
_OF_ROUTING = ("fallbacks", "default_fallbacks", "global_max_parallel_requests", "infer_model_from_keys")
_SHORTEST_KEY = 8


@without_variables
def read_litellm(
    source: str | Path | Mapping[str, Any],
    environment: Mapping[str, str],
    *,
    strict: bool = True,
    custom_vendors: Iterable[Vendor] = (),
    server: bool = False,
) -> dict[str, Any]:
    """Return our fields for a LiteLLM `config.yaml`, and warn of what works in another way here.

    Args:
        source: The file, or its mapping.
        environment: Where `os.environ/NAME` is looked up.
        strict: Whether a setting with no counterpart here is an error; otherwise it is warned of.
        custom_vendors: Vendors besides the built-in ones and those of packages.
        server: Whether the fields are those of a file, which may have a section `server`.

    Raises:
        ConfigurationError: The file is malformed, or (strict) holds settings that cannot be carried over; all
            of them are listed.
    """
    config = with_included(source)
    own = mapping_of(config.get("environment_variables") or {}, "environment_variables")
    named = {name: str(value) for name, value in own.items()}
    variables = ChainMap(named, cast("dict[str, str]", environment))  # theirs win, as there; it is only read
    importer = _LiteLLM(LiteLLMVariables(variables), VendorTable(custom_vendors), with_server=server)
    fields = importer.fields(config)
    importer.report.finish(strict=strict, is_empty=not fields["routes"])
    return fields


class _LiteLLM:
    """Reads one LiteLLM configuration."""

    def __init__(self, variables: LiteLLMVariables, vendors: VendorTable, *, with_server: bool) -> None:
        self._variables, self._vendors, self._with_server = variables, vendors, with_server
        self.report = LiteLLMReport()

    def fields(self, config: Mapping[str, Any]) -> dict[str, Any]:
        self.report.add_unknown("", config, _TOP)
        sections = {name: mapping_of(config.get(name) or {}, name) for name in SECTIONS}
        general = mapping_of(config.get("general_settings") or {}, "general_settings")
        settings = LiteLLMSettings(sections, self._variables, self.report)
        rows = LiteLLMRows(self._variables, self._vendors, self.report, config.get("credential_list"))
        groups = _groups(rows.rows(config.get("model_list")), self._concurrency(settings, general))
        if not groups and not self.report.unsupported:
            raise ConfigurationError("model_list is empty or missing.")
        fields = settings.fields()
        routes = self._routes(groups, sections, shuffles=fields["strategy"] == "weighted")
        self._alias(routes, settings.words.get("model_group_alias"))
        first = general.get("completion_model")
        chosen = first if first in routes else next(iter(routes), None)
        return {"routes": routes, "model": chosen, **fields, **self._general(general, routes)}

    def _concurrency(self, settings: LiteLLMSettings, general: Mapping[str, Any]) -> int | None:
        """Return how many requests a deployment may have in flight where its row does not set that."""
        value, where = general.get("max_parallel_requests"), "general_settings.max_parallel_requests"
        found = settings.concurrency()
        return int(number_of(value, where)) if found is None and not is_off(value) and value else found

    # -- groups ----------------------------------------------------------------------------------------

    def _routes(
        self,
        groups: Mapping[str, Sequence[LiteLLMRow]],
        sections: Mapping[str, Mapping[str, Any]],
        *,
        shuffles: bool,
    ) -> _Routes:
        """Return the groups as routes: by order, and then what serves when all of their own have failed."""
        if not shuffles and any(len({row.order for row in group}) > 1 for group in groups.values()):
            self.report.add("order (with this routing_strategy)")
        routes = {alias: _ranked(group, shuffles=shuffles) for alias, group in groups.items()}
        chains = self._fallbacks(sections, routes)
        for alias, names in self._for_windows(sections, routes, chains).items():
            chains[alias] = [*chains[alias], *names]
        if not shuffles and any(chains.values()):
            self.report.add("fallbacks (with this routing_strategy)")
        return {
            alias: [*own, *({**spare, "weight": 0} for name in chains[alias] for spare in routes[name])]
            for alias, own in routes.items()
        }

    def _fallbacks(self, sections: Mapping[str, Mapping[str, Any]], routes: _Routes) -> dict[str, list[str]]:
        """Return the groups that serve each group when all of its own deployments have failed."""
        chains: dict[str, Any] = {}
        for name in SECTIONS:  # the router's own win
            common = sections[name].get("default_fallbacks") or []
            chains = {**chains, **(dict.fromkeys(routes, common) if common else {})}
            chains |= _chains(sections[name].get("fallbacks"), "fallbacks")
        rest = chains.pop("*", None)
        if rest is not None:
            chains = {**dict.fromkeys(routes, rest), **chains}
        return self._known(chains, routes, "fallbacks")

    def _for_windows(
        self, sections: Mapping[str, Mapping[str, Any]], routes: _Routes, own: Mapping[str, Sequence[str]]
    ) -> dict[str, list[str]]:
        """Return the groups for prompts that are too long for a group; here, for other failures, too."""
        word = "context_window_fallbacks"
        chains: dict[str, Any] = {}
        for name in SECTIONS:
            chains |= _chains(sections[name].get(word), word)
        found = self._known(chains, routes, word)
        more = {alias: [name for name in names if name not in own[alias]] for alias, names in found.items()}
        if any(more.values()):
            self.report.different[word] = "they serve when all others have failed, whatever the failure"
        return more

    def _known(self, chains: Mapping[str, Any], routes: _Routes, word: str) -> dict[str, list[str]]:
        """Return chains of groups by group; groups that are not there are noted."""
        found: dict[str, list[str]] = {alias: [] for alias in routes}
        for alias, chain in chains.items():
            others = [chain] if isinstance(chain, str) else list_of(chain, f"{word}.{alias}")
            for name in [alias, *others]:
                if not isinstance(name, str) or name not in routes:
                    shown = repr(name) if isinstance(name, str) else f"in a {type(name).__name__}"
                    self.report.add(f"{word}.{alias} (no group {shown})")
            if alias in routes:
                known = (name for name in others if isinstance(name, str) and name in routes)
                found[alias] = [name for name in known if name != alias]
        return found

    def _alias(self, routes: _Routes, aliases: Any) -> None:
        """Add the groups' other names to the routes."""
        for alias, group in mapping_of(aliases or {}, "model_group_alias").items():
            name = group if isinstance(group, str) else mapping_of(group, "model_group_alias").get("model")
            if name in routes:
                routes[alias] = routes[name]
            else:
                self.report.add(f"model_group_alias.{alias} (no group {name!r})")

    # -- the proxy server ------------------------------------------------------------------------------

    def _general(self, general: Mapping[str, Any], routes: _Routes) -> dict[str, Any]:
        """Return the section `server`, where it is converted, too; the rest of LiteLLM's server is noted."""
        taken = {"max_parallel_requests"}
        if general.get("completion_model") in routes:
            taken.add("completion_model")
        self.report.unsupported |= {f"general_settings.{name}": "" for name in _OF_ROUTING if name in general}
        found: dict[str, Any] = self._server(general) if self._with_server else {}
        taken |= {name for name, ours in _OF_SERVER.items() if ours in found}
        rest = (name for name, value in general.items() if not is_off(value))
        left = [name for name in rest if name not in taken and name not in _OF_ROUTING]
        self.report.server += [f"general_settings.{name}" for name in left]
        return {"server": found} if found else {}

    def _server(self, general: Mapping[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        key = self._variables.value(general.get("master_key"))
        if isinstance(key, str) and (key.startswith("${") or len(key) >= _SHORTEST_KEY):
            fields["api_keys"] = [{"key": key, "name": "master"}]
        if not is_off(megabytes := general.get("max_request_size_mb")):
            fields["max_body_bytes"] = int(number_of(megabytes, "max_request_size_mb") * 1024 * 1024)
        return fields


_OF_SERVER = {"master_key": "api_keys", "max_request_size_mb": "max_body_bytes"}


def _groups(rows: Iterable[LiteLLMRow], concurrency: int | None) -> dict[str, list[LiteLLMRow]]:
    groups: dict[str, list[LiteLLMRow]] = {}
    for row in rows:
        if concurrency is not None:
            row.deployment.setdefault("max_concurrency", concurrency)
        groups.setdefault(row.group, []).append(row)
    return groups


def _chains(value: Any, where: str) -> dict[str, Any]:
    """Return LiteLLM's list of mappings from a group to others as one mapping."""
    found: dict[str, Any] = {}
    for item in list_of(value, where):
        found |= mapping_of(item, where)
    return found


def _ranked(group: Sequence[LiteLLMRow], *, shuffles: bool) -> list[dict[str, Any]]:
    """Return a group's deployments by `order`.

    LiteLLM's shuffle draws by the first of weight, rpm and tpm that is set, among those of the lowest order;
    the other ones come after them: weight 0 is tried last, as configured.
    """
    ranked = sorted(group, key=lambda row: row.order)
    if not shuffles:
        return [row.deployment for row in ranked]
    first = [row.deployment for row in ranked if row.order == ranked[0].order]
    by = next((word for word in ("weight", "rpm", "tpm") if any(word in each for each in first)), None)
    drawn = [each if by is None else {**each, "weight": each.get(by, 0)} for each in first]
    return drawn + [{**row.deployment, "weight": 0} for row in ranked[len(first) :]]
