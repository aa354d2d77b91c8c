"""LangSmith's LLM gateway, as LangChain's packages of the vendors use it (`langchain_core.utils._gateway`).

`LANGSMITH_GATEWAY` (`true`, or a gateway's address) sends the requests of vendors that have a path there
(`Environment.gateway`) through it, unless an address was given for them. The gateway gets a key of
LangSmith's: `LANGSMITH_GATEWAY_API_KEY`, else `LANGSMITH_API_KEY`. Other than in those packages, a vendor's
key of the environment is not sent there in their stead.

`with langsmith_gateway(...)` around a model's construction goes further: whatever addresses and keys it has,
its requests go through the gateway, and a vendor without a path there is refused.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from langchain_llmdispatch.deployments.credentials import checked_headers, checked_url
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.types import Endpoint
from langchain_llmdispatch.vendors.base import Vendor

SWITCH = "LANGSMITH_GATEWAY"
KEYS = ("LANGSMITH_GATEWAY_API_KEY", "LANGSMITH_API_KEY")
_HOST = "https://gateway.smith.langchain.com"
_ON, _OFF = {"true", "1", "yes"}, {"false", "0", "no"}


def gateway_of(switch: str | None) -> str | None:
    """Return the gateway's address that `LANGSMITH_GATEWAY` means; None where it is off.

    Raises:
        ConfigurationError: It is neither a switch nor an address.
    """
    word = (switch or "").casefold()
    if not word or word in _OFF:
        return None
    if word in _ON:
        return _HOST
    try:
        return checked_url(switch)
    except ConfigurationError as error:
        raise ConfigurationError(f"{SWITCH}: {error}") from None


def is_langsmith(url: str) -> bool:
    """Return whether an address is of LangSmith's own gateway."""
    return url == _HOST or url.startswith(f"{_HOST}/")


def _forced() -> Any:
    """Return what the `langsmith_gateway` around it holds; None outside of one."""
    try:
        context = getattr(import_module("langchain_core.utils._gateway"), "_GATEWAY_OVERRIDE", None)
    except ImportError:  # an older langchain-core
        return None
    return None if context is None else context.get()


def forced_endpoint(
    vendor: Vendor, own_url: str | None, headers: dict[str, str], api_version: str | None
) -> Endpoint | None:
    """Return the endpoint that the `langsmith_gateway` around it forces on a deployment; None outside of one.

    Args:
        vendor: The deployment's vendor.
        own_url: The address it was given; kept where it is one on the gateway.
        headers: Its headers; those of the gateway replace them.
        api_version: The vendor's API version.

    Raises:
        ConfigurationError: The gateway has no path to the vendor.
    """
    forced = _forced()
    if forced is None:
        return None
    kept = own_url is not None and own_url.startswith(f"{forced.base_url}/")
    if not kept and not vendor.environment.gateway:
        raise ConfigurationError(f"{vendor.name} is not reached through LangSmith's gateway.")
    names = {name.lower() for name in forced.headers}
    own = {name: value for name, value in headers.items() if name.lower() not in names}
    return Endpoint(
        base_url=own_url if kept and own_url else f"{forced.base_url}/{vendor.environment.gateway}",
        api_key=forced.api_key,
        headers=checked_headers({**own, **forced.headers}),
        api_version=api_version,
    )
