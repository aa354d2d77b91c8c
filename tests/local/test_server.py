"""The local model server: with the real model where it is in the cache, without it where that is enough."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage

from langchain_llmdispatch import AllDeploymentsFailedError, Deployment, DispatcherChatModel
from langchain_llmdispatch.errors import LocalModelError
from langchain_llmdispatch.local.model_files import PATH_VARIABLE, find_model
from langchain_llmdispatch.local.server import LocalServer, base_url, local_server
from tests.local.tiny import run_python
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


def test_importing_starts_and_imports_nothing() -> None:
    """No thread, and no xllamacpp."""
    done = run_python(
        "import sys, threading, langchain_llmdispatch.local.server\n"
        "assert 'xllamacpp' not in sys.modules and threading.active_count() == 1",
    )
    assert done.returncode == 0, done.stderr


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path) -> None:
    """The error names the extra."""
    done = run_python(
        "import sys; sys.modules['xllamacpp'] = sys.modules['platformdirs'] = None\n"
        "from langchain_llmdispatch.local.server import base_url\n"
        "base_url()",
        {PATH_VARIABLE: ""},
    )
    assert "LocalModelError" in done.stderr
    assert "pip install 'langchain-llmdispatch[local]'" in done.stderr


def test_a_file_that_is_no_model_is_a_clear_error(tmp_path: Path) -> None:
    """The error names the file; no process is left."""
    pytest.importorskip("xllamacpp", reason="the local extra is not installed")
    path = tmp_path / "junk.gguf"
    path.write_bytes(b"GGUF junk")
    server = LocalServer(path)
    with pytest.raises(LocalModelError, match=r"cannot load .*junk.gguf.*is it a GGUF"):
        _ = server.base_url
    assert not server.running
    assert server.pid is None
    server.stop()


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_model_that_cannot_run_is_fallen_back_from(
    colour: str, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error is one of the tree, so another deployment answers; alone it is named in the call's error."""
    monkeypatch.setenv(PATH_VARIABLE, "/no/such.gguf")

    def answer(model: DispatcherChatModel) -> AIMessage:
        return model.invoke("hello") if colour == "sync" else asyncio.run(model.ainvoke("hello"))

    local = Deployment("local:qwen2.5-coder-0.5b")
    message = answer(model_of(local, deployment(server, "openai")))
    assert message.response_metadata["llmdispatch"]["deployment"] == "openai"
    with pytest.raises(AllDeploymentsFailedError, match=r"/no/such.gguf.*, which is no file") as caught:
        answer(model_of(local))
    assert isinstance(caught.value.errors[0], LocalModelError)


def available(name: str) -> bool:
    if os.environ.get("LLMDISPATCH_TEST_LOCAL") == "1":
        return True
    try:
        pytest.importorskip("xllamacpp")
        find_model(name)
    except (LocalModelError, pytest.skip.Exception):
        return False
    return True


@pytest.fixture(scope="module")
def url() -> str:
    if not available("qwen2.5-coder-0.5b"):
        pytest.skip("no local model in the cache; LLMDISPATCH_TEST_LOCAL=1 downloads it")
    return base_url()


@pytest.fixture(scope="module")
def small() -> str:
    if not available("smollm2"):
        pytest.skip("no smollm2 in the cache; LLMDISPATCH_TEST_LOCAL=1 downloads it")
    return base_url("smollm2")


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def body(*messages: tuple[str, str] | dict[str, Any], **more: Any) -> dict[str, Any]:
    turns = [turn if isinstance(turn, dict) else {"role": turn[0], "content": turn[1]} for turn in messages]
    return {"messages": turns, "temperature": 0, "max_tokens": 60, **more}


def ask(url: str, request: dict[str, Any]) -> dict[str, Any]:
    response = httpx.post(f"{url}/chat/completions", json=request, timeout=120)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def stream(url: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    lines = []
    with httpx.stream(
        "POST", f"{url}/chat/completions", json={**request, "stream": True}, timeout=120
    ) as got:
        assert got.status_code == 200
        lines = [line.removeprefix("data: ") for line in got.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


@pytest.mark.local_model
def test_it_answers_and_says_which_model_it_is(url: str) -> None:
    """A question gets an answer, under the model's own name."""
    answer = ask(url, body(("user", "What is the capital of France?")))
    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] > 0
    if not os.environ.get(PATH_VARIABLE):
        assert answer["model"] == "qwen2.5-coder-0.5b"


@pytest.mark.local_model
def test_it_streams(url: str) -> None:
    """The answer arrives in several pieces."""
    chunks = stream(url, body(("user", "Count from 1 to 5."), stream_options={"include_usage": True}))
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert "3" in text
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert len(chunks) > 3


@pytest.mark.local_model
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_it_calls_a_tool(url: str, choice: str) -> None:
    """Offered or demanded, the tool is called with the city."""
    answer = ask(url, body(("user", "What is the weather in Paris?"), tools=[WEATHER], tool_choice=choice))
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}


@pytest.mark.local_model
def test_it_streams_a_tool_call(url: str) -> None:
    """The pieces of a call make whole JSON."""
    chunks = stream(url, body(("user", "What is the weather in Paris?"), tools=[WEATHER]))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    parts = [call["function"] for delta in deltas for call in delta.get("tool_calls") or ()]
    assert "".join(part.get("name") or "" for part in parts) == "get_weather"
    assert json.loads("".join(part.get("arguments") or "" for part in parts)) == {"city": "Paris"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.local_model
def test_after_a_tool_result_it_answers_in_words(url: str) -> None:
    """A result of the tool becomes an answer."""
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
    }
    answer = ask(
        url,
        body(
            ("user", "What is the weather in Paris?"),
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "18 degrees and sunny"},
            tools=[WEATHER],
        ),
    )
    message = answer["choices"][0]["message"]
    assert not message.get("tool_calls")
    assert "18" in message["content"]


@pytest.mark.local_model
@pytest.mark.parametrize(
    "text", ["Say hello.", "Say hello", "Hi, how are you?", "What is the capital of France?"]
)
def test_tools_do_not_tempt_it_when_nothing_needs_them(url: str, text: str) -> None:
    """A question that needs no tool is answered directly."""
    message = ask(url, body(("user", text), tools=[WEATHER]))["choices"][0]["message"]
    assert not message.get("tool_calls")
    assert message["content"].strip()


@pytest.mark.local_model
def test_it_fills_a_json_schema(url: str) -> None:
    """A schema in the request shapes the answer."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}}
    answer = ask(url, body(("user", "Which city is the capital of France?"), response_format=form))
    assert json.loads(answer["choices"][0]["message"]["content"])["city"] == "Paris"


@pytest.mark.local_model
def test_one_server_serves_all_threads(small: str) -> None:
    """Threads get the same address."""
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: base_url("smollm2"), range(16))) == {small}
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", small)


@pytest.mark.local_model
def test_it_stops_with_a_request_under_way_and_starts_again(small: str) -> None:
    """Stopping ends a request in flight; the next use starts a new server."""
    server = LocalServer(find_model("smollm2"), alias="again")
    first = server.base_url
    started, failures = threading.Event(), []

    def long() -> None:
        request = body(("user", "Tell a long story"), max_tokens=3000, stream=True)
        try:
            with httpx.stream("POST", f"{first}/chat/completions", json=request, timeout=60) as got:
                for _ in got.iter_lines():
                    started.set()
        except httpx.HTTPError as error:
            failures.append(error)

    thread = threading.Thread(target=long)
    thread.start()
    assert started.wait(60)
    server.stop()
    thread.join(60)
    assert failures
    assert not server.running
    assert ask(server.base_url, body(("user", "hi"), max_tokens=3))["model"] == "again"
    server.stop()


@pytest.mark.local_model
def test_a_killed_server_is_replaced(small: str) -> None:
    """The next use starts a new one."""
    server = LocalServer(find_model("smollm2"))
    _ = server.base_url
    assert server.pid
    os.kill(server.pid, 9)
    server._process.wait()
    assert ask(server.base_url, body(("user", "hi"), max_tokens=3))
    server.stop()


@pytest.mark.local_model
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_shares_the_server_and_leaves_it_running(small: str) -> None:
    """The child uses the parent's server, and its end does not stop it."""
    done = run_python(
        "import os, sys, httpx\n"
        "from langchain_llmdispatch.local.server import base_url, local_server\n"
        "url = base_url('smollm2')\n"
        "if not os.fork():\n"
        "    assert base_url('smollm2') == url\n"
        "    assert httpx.get(url + '/models').status_code == 200\n"
        "    sys.exit(0)\n"
        "assert os.wait()[1] == 0\n"
        "assert httpx.get(url + '/models').status_code == 200\n"
        "print(local_server('smollm2').pid)",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.local_model
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_it_ends_with_its_process_however_that_ends(small: str, end: str) -> None:
    """No server outlives its parent."""
    done = run_python(
        "import os, sys\n"
        "from langchain_llmdispatch.local.server import base_url, local_server\n"
        f"print(base_url('smollm2'), flush=True); {end}",
    )
    assert done.stderr == ""
    url = done.stdout.strip()
    for _ in range(200):
        try:
            httpx.get(f"{url}/models", timeout=5)
        except httpx.TransportError:
            return
    pytest.fail("the server outlived its process")


@pytest.mark.local_model
def test_it_is_quiet(small: str) -> None:
    """Nothing is printed."""
    done = run_python(
        "import httpx\n"
        "from langchain_llmdispatch.local.server import base_url\n"
        "request = {'messages': [{'role': 'user', 'content': 'hi'}], 'max_tokens': 3}\n"
        "httpx.post(base_url('smollm2') + '/chat/completions', json=request, timeout=60)",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.local_model
def test_the_repr_names_model_and_address(small: str) -> None:
    """The repr shows which model runs where."""
    assert repr(local_server("smollm2")) == f"LocalServer('smollm2', {small.removesuffix('/v1')})"
    assert repr(LocalServer(Path("a/b.gguf"))) == "LocalServer('b', not started)"
