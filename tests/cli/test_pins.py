"""`check PATH`: models in code, notebooks, configurations and cassettes that retire."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from langchain_llmdispatch.__main__ import main
from langchain_llmdispatch.cli.pins import pins_in

NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.py", 'm = "openai:gpt-4o"\n', ["1: openai:gpt-4o retires on 2027-01-14"]),
        ("a.py", "\nm = init_chat_model(model='gpt-4o-mini')\n", ["2: openai:gpt-4o-mini retires"]),
        ("a.yaml", "model: gpt-5-mini\n", ["1: openai:gpt-5-mini retires on 2026-12-11"]),
        ("a.yaml", "models: [anthropic/claude-sonnet-4-5, x]\n", ["1: anthropic:claude-sonnet-4-5 retires"]),
        ("c.yaml", 'body: \'{"model":"gemini-2.5-pro"}\'\n', ["1: google:gemini-2.5-pro retires"]),
        ("n.ipynb", '{"source": ["m = \\"gpt-3.5-turbo\\""]}', ["1: openai:gpt-3.5-turbo was retired"]),
        ("a.py", "o3 = 1  # gpt-4 is meant\nx = o1\n", []),
        ("a.py", 'm = "gpt-4o-realtime"\nn = "my-gpt-4o"\nk = "gpt-6-luna"\n', []),
        ("a.bin", '"openai:gpt-4o"', []),
        (".hidden/a.py", '"openai:gpt-4o"', []),
        ("node_modules/a.js", '"openai:gpt-4o"', []),
        ("sub/.env", "MODEL=openai:gpt-4o\n", ["1: openai:gpt-4o retires"]),
    ],
)
def test_pins_are_found_where_they_mean_a_model(
    name: str, text: str, found: list[str], tmp_path: Path
) -> None:
    """In quotes, behind a vendor or behind `model`; not in prose, nor within longer names."""
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    lines = list(pins_in(tmp_path, NOW))
    assert len(lines) == len(found)
    for line, start in zip(lines, found, strict=True):
        assert line.startswith(f"{file}:{start}")


def test_check_takes_folders_code_and_cassettes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A retired model is named and, with `--strict`, the exit code is 1; configurations are validated as well."""
    monkeypatch.chdir(tmp_path)
    Path("code").mkdir()
    Path("code/a.py").write_text('m = "gpt-3.5-turbo"\n')
    Path("cassette.yaml").write_text('interactions:\n- request: {body: \'{"model": "gpt-6-luna"}\'}\n')
    Path("d.yaml").write_text("models: ['openai:gpt-3.5-turbo']\n")
    assert main(["check", "code", "cassette.yaml", "d.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "code/a.py:1",
        "cassette.yaml",
        "d.yaml",
        "d.yaml:1",
    ]
    assert "was retired on 2026-10-23" in lines[0]
    assert "no model that is retired" in lines[1]
    assert lines[2] == "d.yaml: valid. Deployments: openai:gpt-3.5-turbo."
    assert main(["check", "code", "--strict"]) == 1
    assert main(["check", "cassette.yaml", "--strict"]) == 0
