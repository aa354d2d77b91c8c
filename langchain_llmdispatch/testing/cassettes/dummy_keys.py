"""Dummy API keys: in a replay nothing is sent, but an application may need keys to build its models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.deployments.deployment import is_placeholder
from langchain_llmdispatch.vendors import builtin_vendors

KEY, URL = "replayed-without-a-key", "https://replayed.invalid"


def dummy_variables(names: Iterable[str] | None = None) -> dict[str, str]:
    """Return variables with a dummy key, and a dummy address where one is needed, for vendors.

    Args:
        names: The vendors' names; None is all.
    """
    vendors = builtin_vendors()
    variables: dict[str, str] = {}
    for name in vendors if names is None else names:
        if (vendor := vendors.get(name)) is None:
            continue
        variables |= dict.fromkeys(vendor.environment.keys, KEY)
        if vendor.base_url is None:
            variables |= dict.fromkeys(vendor.environment.urls, URL)
    return variables


@contextmanager
def missing_keys_set(names: Iterable[str]) -> Iterator[None]:
    """Set dummy variables for those vendors that have no key, while the context lasts."""
    vendors, chosen, known = builtin_vendors(), tuple(names), environment()
    missing: list[str] = []
    for name in chosen:
        if (vendor := vendors.get(name)) is None:
            continue
        groups = [vendor.environment.keys] if vendor.needs_key else []
        groups += [vendor.environment.urls] if vendor.base_url is None else []
        missing += [group[0] for group in groups if group and not _is_set(known, group)]
    before = {name: os.environ.get(name) for name in missing}
    os.environ.update({name: value for name, value in dummy_variables(chosen).items() if name in before})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _is_set(variables: Mapping[str, str], names: Iterable[str]) -> bool:
    """Return whether one of the variables has a value that is not a placeholder."""
    values = [variables.get(name, "").strip() for name in names]
    return any(value and not is_placeholder(value) for value in values)
