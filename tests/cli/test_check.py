"""`check`: configuration files without the keys that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from langchain_llmdispatch.__main__ import main

LITELLM = """
model_list:
  - model_name: fast
    litellm_params: {model: openai/gpt-6-luna, api_key: os.environ/MY_KEY}
  - model_name: smart
    litellm_params: {model: azure/gpt-6, api_base: os.environ/MY_BASE, api_key: os.environ/MY_OTHER_KEY}
"""


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MY_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_a_valid_file_needs_no_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """Its deployments are named, and the variables of the file that are not set."""
    Path("ok.yaml").write_text(
        "models:\n- {model: 'openai:gpt-6-luna', api_key: '${MY_KEY}'}\n- anthropic:claude-haiku-5-5\n"
    )
    assert main(["check", "ok.yaml"]) == 0
    printed = capsys.readouterr().out
    assert printed == (
        "ok.yaml: valid. Deployments: openai:gpt-6-luna, anthropic:claude-haiku-5-5. Not set here: MY_KEY.\n"
    )


def test_litellms_file_is_read_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A file with a `model_list` is LiteLLM's."""
    Path("lite.yaml").write_text(LITELLM)
    assert main(["check", "lite.yaml"]) == 0
    assert "openai:gpt-6-luna, azure:gpt-6. Not set here: MY_BASE, MY_KEY," in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modles: []\n", "Did you mean 'models'"),
        ("model_list: [{model_name: x, litellm_params: {model: nope/x}}]\n", "'nope' has no counterpart"),
    ],
)
def test_a_wrong_file_is_named(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message starts with the file and names what is wrong in it; files before it were printed."""
    Path("ok.yaml").write_text("models: ['openai:gpt-6-luna']\n")
    Path("bad.yaml").write_text(text)
    assert main(["check", "ok.yaml", "bad.yaml"]) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith("ok.yaml: valid.")
    assert printed.err.startswith("llmdispatch: bad.yaml: ")
    assert message in printed.err


def test_a_converted_file_is_valid_and_keeps_its_references(capsys: pytest.CaptureFixture[str]) -> None:
    """`convert` writes our YAML; no variable is looked up."""
    Path("lite.yaml").write_text(LITELLM)
    assert main(["convert", "lite.yaml", "-o", "ours.yaml"]) == 0
    assert "api_key: ${MY_KEY}" in Path("ours.yaml").read_text()
    assert main(["convert", "lite.yaml"]) == 0
    assert capsys.readouterr().out == Path("ours.yaml").read_text()
    assert main(["check", "ours.yaml"]) == 0


def test_a_litellm_file_with_a_redis_is_checked_without_its_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What works in another way is a line, not Python's warning with a line of code; included files count."""
    Path("rows.yaml").write_text(
        "model_list: [{model_name: a, litellm_params: {model: openai/a, api_key: k}}]\n"
    )
    Path("lite.yaml").write_text(
        "include: [rows.yaml]\n"
        "router_settings: {redis_host: os.environ/REDIS_HOST, redis_port: os.environ/REDIS_PORT, cooldown_time: 9}\n"
    )
    assert main(["check", "lite.yaml"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("lite.yaml: valid. Deployments: openai:a.")
    assert printed.err.startswith(
        "llmdispatch: warning: LiteLLM settings that work in another way here: router"
    )
    assert main(["convert", "lite.yaml"]) == 0
    text = capsys.readouterr().out
    assert "redis://${REDIS_HOST}:${REDIS_PORT}/0" in text
    assert "*id" not in text
