"""Where LiteLLM shares limits, as the field `redis`."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmdispatch import ConfigurationError
from langchain_llmdispatch.cli.convert import VariableReferences
from langchain_llmdispatch.config.configuration import DispatcherConfig
from langchain_llmdispatch.config.litellm import read_litellm
from langchain_llmdispatch.config.redis import RedisConfig
from tests.cases import each

ROWS = [{"model_name": "a", "litellm_params": {"model": "openai/a", "api_key": "k"}}]
SHARED = {"supported_call_types": []}


def redis(variables: Any = None, **sections: Any) -> str:
    """Return the URL and the namespace of a configuration with these sections."""
    fields = read_litellm({"model_list": ROWS, **sections}, {} if variables is None else variables)
    config = DispatcherConfig.load(fields, {"REDIS_PASSWORD": "p"})
    if config.redis is None:
        return ""
    assert isinstance(config.redis, RedisConfig)
    assert config.redis.url is not None
    return f"{config.redis.url.get_secret_value()} {config.redis.namespace}"


@each(
    "words, found",
    [
        ({"redis_host": "h"}, "redis://h:6379/0 llmdispatch"),
        ({"redis_host": "h", "redis_port": "7", "redis_password": "p@/", "redis_db": 2}, "redis://:p%40%2F@h:7/2 llmdispatch"),
        ({"redis_host": "h", "cache_kwargs": {"ssl": True, "namespace": "n"}}, "rediss://h:6379/0 n"),
        ({"redis_url": "os.environ/URL"}, "rediss://of-variable/1 llmdispatch"),
        ({}, ""),
    ],
)  # fmt: skip
def test_words_of_the_router_name_it(words: dict[str, Any], found: str) -> None:
    """Host, port, password and number, or a URL."""
    assert redis({"URL": "rediss://of-variable/1"}, router_settings=words) == found


@each(
    "params, found",
    [
        ({"host": "h", "port": 7, "password": "p", "namespace": "n"}, "redis://:p@h:7/0 n"),
        ({"url": "redis://u/0"}, "redis://u/0 llmdispatch"),
        (
            {"host": "h", "username": "me", "password": "p", "ssl": "true"},
            "rediss://me:p@h:6379/0 llmdispatch",
        ),
        ({}, "redis://:of-variable@v:9/0 llmdispatch"),
    ],
)
def test_a_cache_names_it_too(params: dict[str, Any], found: str) -> None:
    """LiteLLM's server shares limits over the Redis of its cache, also where no answers are cached."""
    cache = {"cache": True, "cache_params": {"type": "redis", **SHARED, **params}}
    variables = {"REDIS_HOST": "v", "REDIS_PORT": "9", "REDIS_PASSWORD": "of-variable"}
    assert redis(variables, litellm_settings=cache) == found


def test_cached_answers_are_not_carried_over() -> None:
    """Limits are; the rest is listed."""
    cache = {"cache": True, "cache_params": {"type": "redis", "host": "h", "ttl": 60}}
    with pytest.raises(ConfigurationError, match="cache .of answers. .LangChain's set_llm_cache"):
        redis(litellm_settings=cache)
    with pytest.warns(UserWarning, match="of answers"):
        fields = read_litellm({"model_list": ROWS, "litellm_settings": cache}, {}, strict=False)
    assert fields["redis"] == {"url": "redis://h:6379/0"}


@each(
    "sections, message",
    [
        ({"router_settings": {"redis_port": 7}}, "router_settings.redis_port .no redis_host"),
        ({"router_settings": {"redis_host": "h", "cache_kwargs": {"startup_nodes": [1]}}}, "cache_kwargs.startup_nodes"),
        ({"litellm_settings": {"cache": True, "cache_params": {"type": "redis", **SHARED}}}, "no host"),
        (
            {"litellm_settings": {"cache": True, "cache_params": {"type": "redis", **SHARED, "host": "h", "sentinel_nodes": [1]}}},
            "cache_params.sentinel_nodes",
        ),
        ({"litellm_settings": {"cache": True, "cache_params": {"type": "s3", "s3_bucket_name": "b"}}}, "s3_bucket_name"),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_is_listed(sections: dict[str, Any], message: str) -> None:
    """A cluster, sentinels, another store, a server without an address."""
    with pytest.raises(ConfigurationError, match=message):
        redis(**sections)


def test_a_reference_stays_one() -> None:
    """In a converted file, the password is a variable's."""
    words = {"redis_host": "h", "redis_password": "os.environ/REDIS_PASSWORD"}
    fields = read_litellm({"model_list": ROWS, "router_settings": words}, VariableReferences())
    assert fields["redis"] == {"url": "redis://:${REDIS_PASSWORD}@h:6379/0"}
    assert redis(VariableReferences(), router_settings=words) == "redis://:p@h:6379/0 llmdispatch"
