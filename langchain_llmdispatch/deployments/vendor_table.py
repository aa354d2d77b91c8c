"""The vendors that one model can name: built in, handed in, and those of installed packages."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.settings import nearest
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.langchain.vendor import LangChainVendor

ENTRY_POINTS = "langchain_llmdispatch.vendors"
"""The entry-point group in which an installed package names its vendors: `acme = "acme_llm:AcmeVendor"`."""


class VendorTable:
    """Vendors by name and alias, one table per model.

    An installed package offers a vendor by an entry point whose name is the vendor's name or alias and whose
    value is the `Vendor` subclass, or an instance. Entry points are looked up when a name is not known
    otherwise, and loaded when they are named or listed; a vendor that is built in or handed in wins.

    Args:
        custom: Vendors that are handed in; one with the name of a built-in vendor replaces it.
    """

    def __init__(self, custom: Iterable[Vendor] = ()) -> None:
        own = {vendor.name: vendor for vendor in custom}
        self._vendors = {**builtin_vendors(), LangChainVendor.name: LangChainVendor(), **own}
        self._offered: Mapping[str, EntryPoint] | None = None
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        """Return whether a vendor of that name or alias can be found."""
        return self.find(name) is not None

    def add(self, vendor: Vendor) -> None:
        """Add a vendor, or replace the one of that name."""
        with self._lock:  # readers iterate over the dict that they found
            self._vendors = {**self._vendors, vendor.name: vendor}

    def find(self, name: str) -> Vendor | None:
        """Return the vendor of that name or alias, or None.

        Raises:
            ConfigurationError: An entry point of that name is broken.
        """
        name = name.casefold()
        vendors = self._vendors
        if name in vendors:
            return vendors[name]
        known = next((vendor for vendor in vendors.values() if name in vendor.aliases), None)
        return known or self._load(name)

    def get(self, name: str) -> Vendor:
        """Return the vendor of that name or alias.

        Raises:
            ConfigurationError: There is none (the message names the nearest), or its entry point is broken.
        """
        vendor = self.find(name)
        if vendor is None:
            raise ConfigurationError(f"vendor {name!r} is not known.{nearest(name, self.names())}")
        return vendor

    def known(self) -> Sequence[Vendor]:
        """Return the built-in vendors and those that were handed in or found so far."""
        return tuple(self._vendors.values())

    def all(self) -> Sequence[Vendor]:
        """Return all vendors, those of installed packages included.

        Raises:
            ConfigurationError: An entry point is broken.
        """
        for name in self._entry_points():
            self.find(name)
        return self.known()

    def names(self) -> Sequence[str]:
        """Return all names, those of entry points without loading them."""
        return tuple(dict.fromkeys([*self._vendors, *self._entry_points()]))

    def _entry_points(self) -> Mapping[str, EntryPoint]:
        if self._offered is None:
            found = reversed(tuple(entry_points(group=ENTRY_POINTS)))  # the first of a name on the path wins
            self._offered = {point.name.casefold(): point for point in found}
        return self._offered

    def _load(self, name: str) -> Vendor | None:
        point = self._entry_points().get(name)
        if point is None:
            return None
        vendor = _vendor_of(point)
        self.add(vendor)
        return vendor


def _vendor_of(point: EntryPoint) -> Vendor:
    """Return the vendor that an entry point names.

    Raises:
        ConfigurationError: It cannot be loaded, or is not a vendor of that name.
    """
    where = f"the entry point {point.name!r} ({point.value}{_distribution(point)}) of {ENTRY_POINTS!r}"
    try:
        found = point.load()
        vendor = found() if isinstance(found, type) else found
    except Exception as error:  # whatever the package's own code raises
        raise ConfigurationError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(vendor, Vendor):
        raise ConfigurationError(f"{where} is a {type(vendor).__name__}, not a Vendor.")
    if point.name.casefold() not in {vendor.name, *vendor.aliases}:
        raise ConfigurationError(f"{where} is the vendor {vendor.name!r}: name the entry point so.")
    return vendor


def _distribution(point: EntryPoint) -> str:
    return f" of {point.dist.name} {point.dist.version}" if point.dist is not None else ""
