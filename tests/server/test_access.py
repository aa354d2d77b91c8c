"""Keys of the server's own, what they may use, and addresses that need them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.server.access import UNNAMED, Access, check_address
from tests.cases import each

OPEN = Access()
CLOSED = Access([SecretStr("key-no-one"), {"key": "key-no-two", "name": "team-a", "models": ["smart"]}])


@each(
    ("header", "name"),
    [
        ("Bearer key-no-one", "client-1"),
        ("bearer  key-no-two ", "team-a"),
        ("Bearer key-no-three", None),
        ("Bearer ", None),
        ("Basic key-no-one", None),
        ("key-no-one", None),
        ("", None),
    ],
)
def test_a_key_is_one_of_those_configured(header: str, name: str | None) -> None:
    """Where there are keys, one of them is needed; no key is kept."""
    client = CLOSED.client_of(header)
    assert (client.name if client else None) == name
    assert OPEN.client_of(header) is UNNAMED
    assert b"key-no-one" not in str(vars(CLOSED)).encode()


def test_a_key_may_be_for_some_models() -> None:
    """Without a list it is for all."""
    first, second = CLOSED.clients
    assert first.may_use("default")
    assert (second.may_use("smart"), second.may_use("default")) == (True, False)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([""], "key: is no key"),
        (["short"], "at least 8"),
        (["with a blank"], "without blanks"),
        (["key-no-öne"], "printable ASCII"),
        (["your-key-here"], "is a placeholder"),
        (["key-no-one", "key-no-one"], "two of the keys are equal"),
        (
            [{"key": "key-no-one", "name": "a"}, {"key": "key-no-two", "name": "a"}],
            "two of the names are equal",
        ),
        ([{"key": "key-no-one", "modles": []}], "Did you mean 'models'"),
    ],
)
def test_what_is_no_key_is_refused(keys: list[Any], message: str) -> None:
    """An empty variable would be a key that every client has; no message repeats a key."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        Access(keys)
    assert "key-no-one" not in str(caught.value)


@each("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_this_machine_needs_no_key(host: str) -> None:
    """Loopback addresses are open."""
    check_address(host, OPEN)


@each("host", ["0.0.0.0", "::", "10.0.0.5", "example.org"])  # noqa: S104 - it is refused
def test_other_machines_need_one(host: str) -> None:
    """Without keys another address is refused, by name."""
    check_address(host, CLOSED)
    with pytest.raises(ConfigurationError, match="set server.api_keys"):
        check_address(host, OPEN)
