"""The command `vendors`: which vendors are configured, and what the others lack."""

from __future__ import annotations

import argparse

from langchain_llmdispatch.cli.terminal import Terminal
from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.langchain.vendor import LangChainVendor


def run(_: argparse.Namespace, terminal: Terminal) -> int:
    """Print a line for each vendor; no key is shown."""
    resolver = _resolver()
    for vendor in resolver.vendors.all():
        if not isinstance(vendor, LangChainVendor):
            terminal.write(f"{vendor.name:<12} {_state(vendor, resolver)}")
    return 0


def is_any_configured() -> bool:
    """Whether the environment has what some vendor needs."""
    resolver = _resolver()
    vendors = resolver.vendors.all()
    return any(vendor.default_model and resolver.is_configured(vendor) for vendor in vendors)


def _resolver() -> Resolver:
    return Resolver(VendorTable(), {}, environment())


def _state(vendor: Vendor, resolver: Resolver) -> str:
    if vendor.setup:
        return vendor.setup
    if resolver.is_configured(vendor):
        return "configured"
    own = vendor.environment
    lacks = [own.keys] if vendor.needs_key and not resolver.has_key(vendor) else []
    lacks += [own.urls] if vendor.base_url is None or not vendor.needs_key else []
    return "set " + " and ".join(" or ".join(names[:2]) for names in lacks if names) if any(lacks) else "-"
