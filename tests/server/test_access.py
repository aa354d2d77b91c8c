"""Keys of the server's own, and addresses that need them."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.server.access import Access, check_address

OPEN, CLOSED = Access(), Access([SecretStr("key-one"), SecretStr("key-two")])


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("Bearer key-one", True),
        ("bearer  key-two ", True),
        ("Bearer key-three", False),
        ("Bearer ", False),
        ("Basic key-one", False),
        ("key-one", False),
        ("", False),
    ],
)
def test_a_key_is_one_of_those_configured(header: str, allowed: bool) -> None:
    """Where there are keys, one of them is needed; no key is kept."""
    assert CLOSED.allows(header) is allowed
    assert OPEN.allows(header)
    assert b"key-one" not in str(vars(CLOSED)).encode()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_this_machine_needs_no_key(host: str) -> None:
    """Loopback addresses are open."""
    check_address(host, OPEN)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "example.org"])  # noqa: S104 - it is refused
def test_other_machines_need_one(host: str) -> None:
    """Without keys another address is refused, by name."""
    check_address(host, CLOSED)
    with pytest.raises(ConfigurationError, match="set server.api_keys"):
        check_address(host, OPEN)
