"""Files are readable and small, read vcrpy's, and are written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.testing import (
    Cassette,
    SecretFoundError,
)
from langchain_llmdispatch.testing.cassettes.file import Tape, dump_yaml
from langchain_llmdispatch.testing.cassettes.secrets import Secrets
from tests.loopback.server import LoopbackServer
from tests.testing.models import deployment, model_of


def test_files_are_readable_and_small(server: LoopbackServer, path: Path) -> None:
    """JSON is structure, events are lines, what all events share is written once."""
    with model_of(deployment(server, "openai")) as model, Cassette(path, mode="rewrite"):
        model.invoke("line one\nline two")
        list(model.stream("say one two three four five"))
    text = path.read_text()
    assert (
        "    body:\n      model: gpt-5.4-mini\n      messages:\n      - role: user\n        content: |-\n"
        in text
    )
    assert "each:" in text
    assert max(len(line) for line in text.splitlines()) < 400
    assert text.count("chatcmpl-") == 2
    assert len(text) < 6_000


def test_recordings_of_vcrpy_can_be_read(path: Path, server: LoopbackServer) -> None:
    """A cassette that vcrpy wrote serves our models: streams, statuses and all."""
    body = (
        'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
        '"delta":{"role":"assistant","content":"Paris"},"finish_reason":null}]}\n\n'
        'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
        '"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    request = {"model": "m", "messages": [{"role": "user", "content": "capital?"}], "stream": True}
    request["stream_options"] = {"include_usage": True}
    document = {
        "version": 1,
        "interactions": [
            {
                "request": {
                    "method": "POST",
                    "uri": "https://api.openai.com/v1/chat/completions",
                    "body": json.dumps(request),
                    "headers": {"authorization": ["PLACEHOLDER"]},
                },
                "response": {
                    "status": {"code": 200, "message": "OK"},
                    "headers": {"Content-Type": ["text/event-stream"]},
                    "body": {"string": body},
                },
            }
        ],
    }
    path.write_text(dump_yaml(document | {"interactions": document["interactions"]}))
    model = DispatcherChatModel(model="openai:m", api_key="key", env={})
    with model, Cassette(path):
        chunks = list(model.stream("capital?"))
    assert "".join(chunk.text for chunk in chunks) == "Paris"


def test_a_refused_file_leaves_the_old_one(tmp_path: Path) -> None:
    """The last look comes before anything is written."""
    path = tmp_path / "x.yaml"
    path.write_text("old")
    tape = Tape(note="sk-proj-abcdefghijklmnop1234")
    with pytest.raises(SecretFoundError):
        tape.write(path, Secrets())
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["x.yaml"]
