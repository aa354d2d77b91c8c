"""Keys, headers and addresses that HTTP can carry; others are refused without being repeated."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from langchain_llmdispatch import ConfigurationError, Deployment, DispatcherChatModel, VendorConfig
from langchain_llmdispatch.deployments.credentials import checked_token, is_this_machine
from langchain_llmdispatch.errors import UnusableDeploymentError
from tests.cases import each
from tests.models import MODELS, VENDORS

CANARY = "sk-canary-0123456789abcdef"
OWNERS: list[Callable[..., Any]] = [
    VendorConfig,
    functools.partial(Deployment, "openai:x"),
    functools.partial(DispatcherChatModel, model="openai:x", env={}),
]


def refused(make: Callable[[], Any], message: str) -> None:
    """Check that nothing of the key is in the error, its context or its pickle."""
    with pytest.raises(ConfigurationError, match=message) as raised:
        make()
    assert raised.value.__context__ is None
    assert CANARY.encode() not in pickle.dumps(raised.value) + repr(raised.value).encode()


@each("owner", OWNERS)
@each("wrong", ["\u200b", "\n\u2013", "\r\nX-Evil: 1", "\x00", "\u00e9", "\ufeff"])
def test_characters_that_no_key_has_are_refused(owner: Callable[..., Any], wrong: str) -> None:
    """The field is named, the character too, the key is not repeated."""
    refused(lambda: owner(api_key=CANARY + wrong + "x"), r"api_key holds the character U\+")


@each("owner", OWNERS[:2])
@each("around", ["\n", "\r\n", " ", "\t", "\u00a0"])
def test_whitespace_around_a_key_is_removed(owner: Callable[..., Any], around: str) -> None:
    """Files end with a line break; an empty key is none."""
    assert owner(api_key=around + CANARY + around).api_key == SecretStr(CANARY)
    assert owner(api_key=around).api_key is None


@each("value", ["a\nb", "a\x00", "\u20ac", f"{CANARY}\r\nx: 1"])
def test_headers_are_checked(value: str) -> None:
    """Their names are repeated, their values are not; Latin-1 is legal."""
    for owner in OWNERS[:2]:
        refused(lambda owner=owner: owner(headers={"X-Team": value}), "headers.'X-Team'. holds the character")
        refused(lambda owner=owner: owner(headers={f"a {CANARY}": "x"}), "a name is empty")
        assert owner(headers={"X-Team": "Jos\u00e9 "}).headers == {"X-Team": "Jos\u00e9"}


@each(
    ("found", "message"),
    [
        ("", "an empty string"),
        (CANARY + "\u200b", r"U\+200B"),
        (None, "NoneType"),
        (f"{CANARY}\nx", "U\\+000A"),
    ],
)
def test_what_a_function_returns_is_checked_when_it_is_called(found: Any, message: str) -> None:
    """Whitespace is removed, a SecretStr is unwrapped, anything else is refused; no frame holds the key."""
    with pytest.raises(UnusableDeploymentError, match=message) as raised:
        checked_token(found)
    trace = raised.value.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals["__name__"].startswith("langchain_llmdispatch."):
            assert CANARY not in repr(trace.tb_frame.f_locals)
        trace = trace.tb_next
    assert checked_token(f" {CANARY}\n").get_secret_value() == CANARY
    assert checked_token(SecretStr(CANARY)) == SecretStr(CANARY)


@each(
    "url",
    [f"https://u:{CANARY}@h.test/v1", f"ftp://u:{CANARY}@h.test", f"https://h.test:9x/{CANARY}", CANARY],
)
def test_addresses_are_not_repeated(url: str) -> None:
    """They may hold a password, or be a key in the wrong place."""
    for owner in OWNERS:
        refused(lambda owner=owner: owner(base_url=url), "base_url")
    refused(lambda: DispatcherChatModel(model="openai:x", env={"OPENAI_BASE_URL": url}), "OPENAI_BASE_URL")


@each("vendor", VENDORS)
def test_no_key_goes_unencrypted_to_another_machine(vendor: str) -> None:
    """Unless it is permitted by name; without a key, and on this machine, nothing is to be protected."""
    name, fields = f"{vendor}:{MODELS[vendor]}", {"base_url": "http://gateway.test/v1", "api_key": CANARY}
    refused(lambda: DispatcherChatModel(models=[Deployment(name, **fields)], env={}), "allow_http=True")
    config = {vendor: VendorConfig(**fields)}
    refused(lambda: DispatcherChatModel(model=name, vendors=config, env={}), "unencrypted")
    assert DispatcherChatModel(models=[Deployment(name, allow_http=True, **fields)], env={})
    config = {vendor: VendorConfig(allow_http=True, **fields)}
    assert DispatcherChatModel(model=name, vendors=config, env={})


def test_which_hosts_are_this_machine() -> None:
    """By name and address; a name that begins like one is another machine."""
    assert all(map(is_this_machine, ("localhost", "127.0.0.1", "127.9.9.9", "::1", "a.localhost")))
    assert not any(map(is_this_machine, ("127.0.0.1.evil.test", "10.0.0.1", "localhost.test", "0x7f.1")))
