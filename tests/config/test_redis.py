"""The field `redis`: its forms, its password, and what is wrong with it."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from langchain_llmdispatch.config.configuration import DispatcherConfig
from langchain_llmdispatch.config.redis import RedisConfig, resolved
from langchain_llmdispatch.errors import ConfigurationError
from tests.cases import each

URL = "redis://:hunter2@localhost:6379/0"


def url_of(config: RedisConfig | None) -> str | None:
    """Return the whole URL."""
    return None if config is None or config.url is None else config.url.get_secret_value()


@each(
    "given",
    [URL, SecretStr(URL), {"url": URL, "namespace": "llmdispatch"}, RedisConfig(url=SecretStr(URL))],
)
def test_all_forms_are_one_configuration(given: object) -> None:
    """A URL alone is the whole configuration; it is a secret."""
    config = DispatcherConfig(model="openai:gpt-6-luna", redis=given).redis
    assert isinstance(config, RedisConfig)
    assert url_of(config) == URL
    assert "hunter2" not in repr(config)


@each(
    "given, words",
    [
        ("http://:hunter2@localhost", "no URL of Redis"),
        (True, "neither a URL"),
        (6379, "neither a URL"),
        ({"urls": URL}, "Did you mean 'url'"),
        ({"url": URL, "budgets": [{"name": "x"}]}, "give usd"),
        ({"url": URL, "budgets": [{"name": "x", "usd": 1, "per": "dya"}]}, "day"),
        ({"url": URL, "processes": 0}, "processes"),
    ],
)
def test_what_is_wrong_is_named_without_the_password(given: object, words: str) -> None:
    """The field and the nearest right one are named, the URL never."""
    with pytest.raises(ConfigurationError) as caught:
        DispatcherConfig(model="openai:gpt-6-luna", redis=given)
    assert words in str(caught.value)
    assert "redis" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@each(
    "given, variables, url",
    [
        (None, {"LLMDISPATCH_REDIS_URL": URL}, URL),
        (None, {}, None),
        (None, {"LLMDISPATCH_REDIS_URL": " "}, None),
        (False, {"LLMDISPATCH_REDIS_URL": URL}, None),
        (RedisConfig(url=SecretStr("redis://b")), {"LLMDISPATCH_REDIS_URL": URL}, "redis://b"),
        (RedisConfig(namespace="a"), {"LLMDISPATCH_REDIS_URL": URL}, URL),
        (
            RedisConfig(url=SecretStr("redis://me:@b/0")),
            {"REDIS_PASSWORD": "p/w"},
            "redis://me:p%2Fw@b/0",
        ),
        (
            RedisConfig(url=SecretStr("redis://:@localhost:6379/0")),
            {"LLMDISPATCH_REDIS_URL": URL},
            URL,
        ),
    ],
)
def test_where_a_model_shares(given: RedisConfig | None, variables: dict[str, str], url: str | None) -> None:
    """The field wins over the variable; a password that was left out comes from the environment."""
    assert url_of(resolved(given, variables)) == url


@each(
    "given, variables, words",
    [
        (None, {"LLMDISPATCH_REDIS_URL": "http://hunter2"}, "LLMDISPATCH_REDIS_URL: is no URL"),
        (RedisConfig(url=SecretStr("redis://:@b")), {}, "REDIS_PASSWORD"),
        (RedisConfig(namespace="a"), {}, "LLMDISPATCH_REDIS_URL"),
        (None, {"LLMDISPATCH_REDIS_URL": "redis://:hunter2\u2100@b"}, "LLMDISPATCH_REDIS_URL"),
    ],
)
def test_what_the_environment_lacks_is_named(
    given: RedisConfig | None, variables: dict[str, str], words: str
) -> None:
    """A missing or wrong variable is named, its value not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        resolved(given, variables)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
