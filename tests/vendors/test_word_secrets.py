"""Credentials in words: found, masked, left out."""

from __future__ import annotations

from pydantic import SecretStr

from langchain_llmdispatch.vendors.word_secrets import (
    WordDict,
    holds_credential,
    masked,
    masked_words,
    placed_secrets,
    revealed,
    secrets_in,
    without_credentials,
)
from tests.cases import each

_WORDS = {
    "mcp_servers": [{"url": "u", "authorization_token": "t-1"}],
    "tools": [{"type": "mcp", "headers": {"x-tenant": "t-2"}, "max_output_tokens": "9"}],
    "max_tokens": 5,
}


@each("name", ["authorization_token", "api_key", "headers", "extra_headers", "access_token", "password"])
def test_names_of_credentials(name: str) -> None:
    """By the usual words."""
    assert holds_credential(name)


@each("name", ["max_tokens", "max_output_tokens", "budget_tokens", "prompt_cache_key", "authors"])
def test_names_of_other_things(name: str) -> None:
    """Numbers of tokens are none, nor is a key of a cache."""
    assert not holds_credential(name)


def test_each_is_found_at_its_place() -> None:
    """For reports of what a pickle left out."""
    assert list(placed_secrets(_WORDS)) == [
        ("mcp_servers[0].authorization_token", "t-1"),
        ("tools[0].headers.x-tenant", "t-2"),
    ]


def test_masks_tell_two_apart_and_keep_the_rest() -> None:
    """A digest stands for each."""
    shown = masked(_WORDS)
    assert shown["mcp_servers"][0]["url"] == "u"
    assert "t-1" not in repr(shown)
    assert masked("a", "api_key") != masked("b", "api_key")
    assert "t-2" not in repr(WordDict(_WORDS))


def test_words_are_masked_whatever_they_were_before() -> None:
    """Tools that hold no credential are known again; one that is added in place is masked."""
    tools = [{"name": "search", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}]
    for _ in range(3):
        assert masked_words({"tools": tools}) == {"tools": tools}
    tools[0]["headers"] = {"x": "t-1"}
    for _ in range(2):
        assert "t-1" not in str(masked_words({"tools": tools}))
    tools[0]["headers"] = {"x": ""}
    assert masked_words({"tools": tools, "headers": {"x": "t-2"}})["headers"] != {"x": "t-2"}
    assert masked_words({"tools": [SecretStr("t-3")]}) == {"tools": [masked(SecretStr("t-3"))]}


def test_they_are_left_out_and_nothing_else_is() -> None:
    """For pickles."""
    assert without_credentials(_WORDS) == {
        "mcp_servers": [{"url": "u"}],
        "tools": [{"type": "mcp", "headers": {}, "max_output_tokens": "9"}],
        "max_tokens": 5,
    }


@each(
    "words",
    [
        {"servers": [{"url": "https://m.example/sse?api_key=t-secret"}]},
        {"servers": [{"url": "https://m.example/?a=1&sig=t-secret"}]},
        {"servers": ({"url": "https://user:t-secret@m.example"},)},
        {"word": [SecretStr("t-secret")]},
    ],
)
def test_those_in_addresses_and_secret_values(words: dict[str, object]) -> None:
    """Passwords and tokens of an address; a `SecretStr` under whatever name."""
    assert [*secrets_in(words)] == ["t-secret"]
    assert "t-secret" not in repr(masked(words))
    assert "t-secret" not in repr(without_credentials(words))


def test_ordinary_addresses_hold_none() -> None:
    """A path and a query of other names."""
    assert not [*secrets_in({"url": "https://m.example/a?page=2", "text": "a=b @ c"})]


def test_secret_values_are_revealed_in_place() -> None:
    """What holds none is the same object."""
    plain = {"a": [1, {"b": "c"}]}
    assert revealed(plain) is plain
    assert revealed({"a": ({"b": SecretStr("t")},)}) == {"a": [{"b": "t"}]}
