"""Configurations that cannot be read: no key in them is shown, in no message, frame or command's output."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from langchain_llmdispatch import Deployment, DispatcherChatModel, VendorConfig
from langchain_llmdispatch.cli.main import run
from langchain_llmdispatch.cli.terminal import Terminal
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.redis import RedisLimits
from langchain_llmdispatch.redis.state import RedisState
from langchain_llmdispatch.server import create_app
from tests.canaries import found, shown_by
from tests.cases import each

KEY = "sk-cAnaryKey01234567"
NAME = "cAnaryName01234567"
FILES = {
    "alias.yaml": f"api_key: *{NAME}\n",
    "tag.yaml": f"api_key: !{NAME} x\n",
    "anchor.yaml": f"a: &{NAME} 1\nb: &{NAME}$ 2\n",
    "indent.yaml": f"api_key: {NAME}\n  model: x\n",
    "colon.yaml": f"model: openai:gpt-5.4-mini\napi_key {NAME}\n",
    "quote.yaml": f"api_key: '{NAME}\n",
    "field.yaml": f"{KEY}: x\n",
    "vendor.yaml": f"vendors: {{{KEY}: {{}}}}\n",
    "model.yaml": f"models: [{KEY}]\n",
    "strategy.yaml": f"model: openai:gpt-5.4-mini\nstrategy: {KEY}\n",
    "number.yaml": f"max_tokens: {NAME}\n",
    "redis.yaml": f"model: openai:gpt-5.4-mini\nredis: redis://:{NAME}\u2100@host/0\n",
    "server.yaml": f"model: openai:gpt-5.4-mini\nserver: {{api_keys: [{{key: {NAME}, nam: x}}]}}\n",
    "value.json": f'{{"api_key": {NAME}}}',
    "value.toml": f"api_key = {NAME}\n",
    "litellm.yaml": f"model_list: [{{model_name: a, litellm_params: {{model: a/b, api_key: {NAME}, x: 1}}}}]\n",
}


@each("name", FILES)
def test_a_file_that_is_wrong(tmp_path: Path, name: str) -> None:
    """Neither what is raised nor what `check` prints holds a part of it."""
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    read: Any = (
        DispatcherChatModel.from_litellm_config if "litellm" in name else DispatcherChatModel.from_config
    )
    with pytest.raises(ConfigurationError) as raised:
        read(path, env={})
    out, errors = StringIO(), StringIO()
    run(["check", str(path)], Terminal(None, out, errors))
    shown = [*shown_by(raised.value), ("check", out.getvalue() + errors.getvalue())]
    assert found((KEY, NAME), shown) == []


SPOILT: dict[str, Callable[[], object]] = {
    "model": lambda: DispatcherChatModel("openai:gpt-5.4-mini", api_key=KEY, bogus=1, env={}),
    "deployment": lambda: Deployment("openai:gpt-5.4-mini", api_key=KEY, bogus=1),
    "vendor": lambda: VendorConfig(headers={"authorization": KEY}, bogus=1),
    "mapping": lambda: DispatcherChatModel.from_config({"model": "a", "redis": f"redis://:{KEY}@["}, env={}),
    "copy": lambda: DispatcherChatModel("openai:gpt-5.4-mini", api_key="key", env={}).model_copy(
        update={"api_key": KEY, "bogus": 1}
    ),
    "limits": lambda: RedisLimits(f"redis://:{KEY}\u2100@host/0"),
    "state": lambda: RedisState(f"redis://host/0?password={KEY}&bogus=1"),
    "server": lambda: create_app(
        DispatcherChatModel("openai:gpt-5.4-mini", api_key="key", env={}), api_keys=[KEY, KEY]
    ),
}


@each("what", SPOILT)
def test_what_is_refused_shows_no_value(what: str) -> None:
    """Neither its error nor the variables of the frames that it has passed."""
    with pytest.raises(ConfigurationError) as raised:
        SPOILT[what]()
    assert found((KEY,), shown_by(raised.value)) == []


def test_redis_shows_its_address_alone() -> None:
    """No attribute holds the password as text, and what is half made can be shown."""
    limits = RedisLimits(f"redis://me:{KEY}@host/0")
    shown = repr([limits, vars(limits), vars(limits._server)]) + pickle.dumps(limits).decode("latin-1")
    assert found((KEY,), [("limits", shown)]) == []
    assert "None" in repr(RedisLimits.__new__(RedisLimits))
