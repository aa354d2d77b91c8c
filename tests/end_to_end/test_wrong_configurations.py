"""Configurations that cannot be read: no key in them is shown, in no message, frame or command's output."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.cli.main import run
from langchain_llmdispatch.cli.terminal import Terminal
from langchain_llmdispatch.errors import ConfigurationError
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
