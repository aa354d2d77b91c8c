"""Addresses of Redis without their passwords, and with one again."""

from __future__ import annotations

import pytest

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.redis.address import lacks_password, parts_of, with_password, without_password
from tests.cases import each

URL = "redis://:hunter2@localhost:6379/0"


@each(
    "url, bare",
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        (URL, "redis://:@localhost:6379/0"),
        ("rediss://me:pw@h", "rediss://me:@h"),
        ("redis://me@h", "redis://me@h"),
        ("unix:///run/redis.sock?db=1&password=pw", "unix://:@/run/redis.sock?db=1"),
        ("redis://h?p%61ssword=pw&db=1", "redis://:@h?db=1"),
        ("rediss://h?ssl_password=pw&db=1", "rediss://h?db=1"),
    ],
)
def test_urls_without_their_password(url: str, bare: str) -> None:
    """An empty password stands in its place, however the word for it is written; the rest is kept."""
    assert without_password(url) == bare


def test_a_password_is_put_back_where_it_lacks() -> None:
    """It is percent-encoded there."""
    assert lacks_password("redis://me:@h/0")
    assert not lacks_password(URL)
    assert with_password("redis://me:@h/0", "a/b") == "redis://me:a%2Fb@h/0"


def test_no_url_is_refused_without_quoting_it() -> None:
    """`urlsplit` quotes host and password where a sign in them is none of a host."""
    with pytest.raises(ConfigurationError) as caught:
        parts_of("redis://:hunter2\u2100@h")
    assert "hunter2" not in str(caught.value)
