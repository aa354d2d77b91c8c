"""Keys that stand in for missing ones, where nothing is sent and an application wants them nevertheless."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.deployments.deployment import is_placeholder
from langchain_llmdispatch.vendors import builtin_vendors

KEY, URL = "replayed-without-a-key", "https://replayed.invalid"


def stand_ins(names: Iterable[str] | None = None) -> dict[str, str]:
    """Return variables with a key, and an address where one is needed, for vendors.

    Args:
        names: The vendors' names; None is all.
    """
    vendors = builtin_vendors()
    found: dict[str, str] = {}
    for name in vendors if names is None else names:
        if (vendor := vendors.get(name)) is None:
            continue
        found |= dict.fromkeys(vendor.environment.keys, KEY)
        if vendor.base_url is None:
            found |= dict.fromkeys(vendor.environment.urls, URL)
    return found


@contextmanager
def keys_for(names: Iterable[str]) -> Iterator[None]:
    """Set the variables of vendors that have no key, while the context lasts."""
    vendors, added = builtin_vendors(), []
    held, wanted = environment(), tuple(names)
    for name in wanted:
        if (vendor := vendors.get(name)) is None:
            continue
        groups = [vendor.environment.keys] if vendor.needs_key else []
        groups += [vendor.environment.urls] if vendor.base_url is None else []
        added += [group[0] for group in groups if group and not _any(held, group)]
    before = {name: os.environ.get(name) for name in added}
    os.environ.update({name: value for name, value in stand_ins(wanted).items() if name in before})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _any(held: Mapping[str, str], names: Iterable[str]) -> bool:
    """Return whether a vendor's settings are there: placeholders are none."""
    values = [held.get(name, "").strip() for name in names]
    return any(value and not is_placeholder(value) for value in values)
