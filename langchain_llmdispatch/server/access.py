"""API keys of the server's own, compared in constant time, and what each of them may use."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from langchain_llmdispatch.config.server import ClientKey, KeyGiven, ServerConfig
from langchain_llmdispatch.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends a request.

    Attributes:
        name: The name of its key; empty where no key is needed.
        models: The only names that it may use; empty for all.
        usd: Dollars that it may spend, or None for no bound.
        per: The period of these dollars.
        rpm: Requests that it may send in any minute, or None for no bound.
    """

    name: str = ""
    models: frozenset[str] = frozenset()
    usd: float | None = None
    per: str | float = "month"
    rpm: int | None = None

    def may_use(self, name: str) -> bool:
        """Return whether the client may name a model."""
        return not self.models or name in self.models


UNNAMED = Client()
"""The only client of a server without keys."""


class Access:
    """Which clients may use the server: all where there are no keys, else those with one.

    Args:
        keys: The keys. Only their digests are kept.

    Attributes:
        clients: The clients, in the order of their keys.

    Raises:
        ConfigurationError: A key is not usable, or two clients have one name or one key.
    """

    def __init__(self, keys: Iterable[KeyGiven] = ()) -> None:
        given = ServerConfig(api_keys=tuple(keys)).api_keys
        self.clients = [_client(key, number) for number, key in enumerate(given, 1)]
        self._digests = [sha256(key.key.get_secret_value().encode()).digest() for key in given]
        for kind, each in (("names", [client.name for client in self.clients]), ("keys", self._digests)):
            if len(set(each)) < len(each):
                raise ConfigurationError(f"server.api_keys: two of the {kind} are equal.")

    @property
    def is_open(self) -> bool:
        """Whether no key is needed."""
        return not self._digests

    def client_of(self, authorization: str) -> Client | None:
        """Return whose key an `Authorization` header holds; all keys are compared, each whole."""
        scheme, _, key = authorization.partition(" ")
        given = sha256(key.strip().encode()).digest()
        matches = [hmac.compare_digest(given, known) for known in self._digests]
        if self.is_open:
            return UNNAMED
        found = (client for client, same in zip(self.clients, matches, strict=True) if same)
        return next(found, None) if scheme.lower() == "bearer" else None


def _client(key: ClientKey, number: int) -> Client:
    return Client(key.name or f"client-{number}", frozenset(key.models), key.usd, key.per, key.rpm)


def check_address(host: str, access: Access) -> None:
    """Check that a server without keys is reached from this machine only.

    Raises:
        ConfigurationError: The address is another one, and there are no keys.
    """
    if access.is_open and not _is_loopback(host):
        raise ConfigurationError(
            f"host {host!r} can be reached from other machines: set server.api_keys in the configuration, "
            "or use 127.0.0.1."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
