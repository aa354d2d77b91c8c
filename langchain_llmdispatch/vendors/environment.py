"""The environment variables of a vendor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment variables in which people keep a vendor's settings, preferred one first.

    Attributes:
        keys: Names for the API key.
        urls: Names for the base URL.
        versions: Names for the API version.
        timeout: Name for the timeout of one attempt, in seconds.
        bearers: Those of `keys` that hold a bearer token rather than a key.
        accounts: Names for what goes into headers to the vendor's own host, each with its header.
        gateway: Its path at LangSmith's gateway, where it has one.
    """

    keys: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    timeout: str = ""
    bearers: tuple[str, ...] = ()
    accounts: tuple[tuple[str, str], ...] = ()
    gateway: str = ""
