"""API keys of the server's own, compared in constant time."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from hashlib import sha256

from pydantic import SecretStr

from langchain_llmdispatch.errors import ConfigurationError


class Access:
    """Who may use the server: everybody where there are no keys, else those with one.

    Args:
        keys: The keys. Only their digests are kept.
    """

    def __init__(self, keys: Iterable[SecretStr] = ()) -> None:
        self._digests = [sha256(key.get_secret_value().encode()).digest() for key in keys]

    @property
    def is_open(self) -> bool:
        """Whether no key is needed."""
        return not self._digests

    def allows(self, authorization: str) -> bool:
        """Return whether an `Authorization` header holds one of the keys; all are compared, each whole."""
        scheme, _, key = authorization.partition(" ")
        given = sha256(key.strip().encode()).digest()
        matches = [hmac.compare_digest(given, known) for known in self._digests]
        return self.is_open or (scheme.lower() == "bearer" and any(matches))


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
