"""The pytest plugin, as a user's project sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml  # noqa: F401 - imported once: pytester forgets what a run imports, and its C part does not bear that

from langchain_llmdispatch import DispatcherChatModel  # noqa: F401 - likewise, for speed
from langchain_llmdispatch.testing.cassettes.file import Tape
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
INSTALLED = bool(entry_points(group="pytest11", name="llmdispatch"))
PLUGIN = [] if INSTALLED else ["-p", "langchain_llmdispatch.testing.plugin"]
LOUD = ("cacheprovider", "pytest_socket", "socket", "hypothesispytest")  # slow, or in the way of the loopback
QUIET = [
    "-q",
    "-o",
    "asyncio_default_fixture_loop_scope=function",
    *(word for name in LOUD for word in ("-p", f"no:{name}")),
]

TESTS = """
import asyncio
import pytest
from langchain_llmdispatch import Deployment, DispatcherChatModel
from langchain_llmdispatch.testing import assert_route

def answer(text):
    deployment = Deployment("openai:gpt-5.4-mini", base_url={url!r}, api_key="key")
    return DispatcherChatModel(models=[deployment], env={{}}).invoke(text).text

@pytest.mark.llmdispatch_cassette
def test_one():
    assert "hello" in answer("hello")

@pytest.mark.llmdispatch_cassette("named/other", ignore=["messages"])
@pytest.mark.parametrize("text", ["a/b", "c d"])
def test_two(text, llmdispatch_cassette):
    assert answer(text)
    assert llmdispatch_cassette.path.name == "other.yaml"

class TestGroup:
    @pytest.mark.llmdispatch_cassette
    @pytest.mark.parametrize("text", ["a/b", "c d"])
    def test_three(self, text):
        assert text in answer(text)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, server: LoopbackServer) -> pytest.Pytester:
    """Return a project of a few tests with cassettes."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(test_app=TESTS.format(url=server.base_url("openai")))
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run the project's tests in this process."""
    return project.runpytest_inprocess(*PLUGIN, *QUIET, *arguments)


def test_record_then_replay(project: pytest.Pytester, server: LoopbackServer) -> None:
    """Without files everything fails and the message shows how to record; `once` records; then nothing is sent."""
    result = run(project)
    result.assert_outcomes(failed=5)
    result.stdout.fnmatch_lines(["*--llmdispatch-record=once*"])
    assert server.requests == []
    run(project, "--llmdispatch-record=once").assert_outcomes(passed=5)
    sent = len(server.requests)
    run(project).assert_outcomes(passed=5)
    run(project, "--llmdispatch-record=once").assert_outcomes(passed=5)
    assert len(server.requests) == sent
    names = sorted(str(path.relative_to(project.path)) for path in project.path.rglob("*.yaml"))
    assert names == [
        "cassettes/named/other.yaml",
        "cassettes/test_app/TestGroup.test_three-a-b.llm.yaml",
        "cassettes/test_app/TestGroup.test_three-c-d.llm.yaml",
        "cassettes/test_app/test_one.llm.yaml",
    ]


def test_modes_from_environment_and_marker(
    project: pytest.Pytester, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line wins over the environment, which wins over the marker."""
    monkeypatch.setenv("LLMDISPATCH_RECORD", "rewrite")
    run(project, "-k", "test_one").assert_outcomes(passed=1)
    run(project, "-k", "test_one").assert_outcomes(passed=1)
    assert len(server.requests) == 2
    run(project, "-k", "test_one", "--llmdispatch-record=none").assert_outcomes(passed=1)
    assert len(server.requests) == 2
    server.script("openai", [Fault.error("auth")])
    result = run(project, "-k", "test_one", "--llmdispatch-record=verify")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*#1 status: recorded 200, now 401*"])


def test_modes_from_marker_and_ini(pytester: pytest.Pytester, server: LoopbackServer) -> None:
    """An ini file sets what neither the marker nor anything above it sets."""
    text = TESTS.format(url=server.base_url("openai"))
    pytester.makeini("[pytest]\nllmdispatch_record = once")
    pytester.makepyfile(test_app=text)
    run(pytester, "-k", "test_one").assert_outcomes(passed=1)
    run(pytester, "-k", "test_one").assert_outcomes(passed=1)
    assert len(server.requests) == 1
    pytester.makepyfile(
        test_app=text.replace("llmdispatch_cassette\n", "llmdispatch_cassette(mode='rewrite')\n")
    )
    run(pytester, "-k", "test_one").assert_outcomes(passed=1)
    assert len(server.requests) == 2
    pytester.makeini("[pytest]\nllmdispatch_record = onec")
    pytester.makepyfile(test_app=text)
    result = run(pytester, "-k", "test_one")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*'onec' is not one of none, once, rewrite, verify. Did you mean 'once'?*"])


def test_a_misspelt_option_is_named(pytester: pytest.Pytester) -> None:
    """A marker's option that does not exist fails the test, and names the nearest that does."""
    pytester.makepyfile(
        """
import pytest

@pytest.mark.llmdispatch_cassette(ignor=["user"])
def test_one():
    pass
"""
    )
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*llmdispatch_cassette has no field 'ignor'. Did you mean 'ignore'?*"])


def test_no_key_is_needed(
    pytester: pytest.Pytester, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application that takes its keys from the environment replays where there are none, and leaves none."""
    pytester.makepyfile(
        """
import os
import pytest
from langchain_llmdispatch import DispatcherChatModel

@pytest.mark.llmdispatch_cassette
def test_one():
    model = DispatcherChatModel(models=["openai:gpt-5.4-mini", "anthropic:claude-haiku-4-5"])
    assert "hello" in model.invoke("hello").text

def test_two():
    assert os.environ.get("OPENAI_API_KEY", "") == os.environ.get("EXPECTED", "")
"""
    )
    monkeypatch.setenv("OPENAI_API_KEY", "a-real-key-of-openai")
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url("openai"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-real-key-of-anthropic")
    monkeypatch.setenv("EXPECTED", "a-real-key-of-openai")
    run(pytester, "--llmdispatch-record=once").assert_outcomes(passed=2)
    assert "a-real-key" not in next(pytester.path.rglob("*.llm.yaml")).read_text()
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "EXPECTED"):
        monkeypatch.delenv(name)
    run(pytester).assert_outcomes(passed=2)
    assert len(server.requests) == 1


def test_a_failed_test_records_nothing(project: pytest.Pytester, server: LoopbackServer) -> None:
    """Requests of a failing test are not kept, and the old file is not changed."""
    run(project, "-k", "test_one", "--llmdispatch-record=once").assert_outcomes(passed=1)
    file = project.path / "cassettes/test_app/test_one.llm.yaml"
    before = file.read_text()
    server.script("openai", [Fault.error("auth")])
    run(project, "-k", "test_one", "--llmdispatch-record=rewrite").assert_outcomes(failed=1)
    assert file.read_text() == before


def test_a_swallowed_miss_still_fails(pytester: pytest.Pytester, server: LoopbackServer) -> None:
    """Code that catches everything does not make a test pass whose request was not recorded."""
    pytester.makepyfile(
        TESTS.format(url=server.base_url("openai"))
        + """
@pytest.mark.llmdispatch_cassette
def test_swallowed():
    try:
        answer("hello")
    except AssertionError:
        pass
"""
    )
    result = run(pytester, "-k", "test_swallowed")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*UnmatchedRequestError*"])


def test_settings_of_a_project(pytester: pytest.Pytester, server: LoopbackServer) -> None:
    """A conftest and an ini file set the folder and the options of all cassettes."""
    pytester.makeini("[pytest]\nllmdispatch_cassette_dir = recorded")
    pytester.makeconftest(
        """
import pytest

@pytest.fixture(scope="session")
def llmdispatch_config():
    return {"keep_headers": ["openai-*"], "mode": "once", "note": "by hand"}
"""
    )
    pytester.makepyfile(test_app=TESTS.format(url=server.base_url("openai")))
    run(pytester, "-k", "test_one").assert_outcomes(passed=1)
    tape = Tape.read(pytester.path / "recorded/test_app/test_one.llm.yaml")
    assert tape.note == "by hand"
    assert "openai-processing-ms" in tape.interactions[0].response["headers"]


def test_beside_pytest_recording(pytester: pytest.Pytester, server: LoopbackServer) -> None:
    """A test may use pytest-recording's cassette for other things at the same time."""
    pytest.importorskip("pytest_recording")
    pytester.makepyfile(
        TESTS.format(url=server.base_url("openai"))
        + """
import httpx

@pytest.mark.vcr
@pytest.mark.llmdispatch_cassette
def test_both():
    assert "hello" in answer("hello")
    assert httpx.get({tags!r}).json()["models"]
""".format(tags=f"{server.base_url('ollama')}/api/tags")
    )
    once = ["--llmdispatch-record=once", "--record-mode=once"]
    run(pytester, "-k", "test_both", *once).assert_outcomes(passed=1)
    run(pytester, "-k", "test_both", "--record-mode=none").assert_outcomes(passed=1)
    assert len(server.requests) == 2
    ours = (pytester.path / "cassettes/test_beside_pytest_recording/test_both.llm.yaml").read_text()
    theirs = (pytester.path / "cassettes/test_beside_pytest_recording/test_both.yaml").read_text()
    assert "chat/completions" in ours
    assert "api/tags" not in ours
    assert "api/tags" in theirs
    assert "chat/completions" not in theirs


NEEDED = ("langchain_llmdispatch.testing.plugin", "pytest_asyncio.plugin")


def _subprocess(*arguments: str, cwd: Path, plugins: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugins that are named, and no others: loading them all takes seconds."""
    own = {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment = {**os.environ, **own}
    plugins = [word for name in (*NEEDED, *plugins) for word in ("-p", name)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_under_xdist(project: pytest.Pytester) -> None:
    """Workers replay independently of one another."""
    pytest.importorskip("xdist")
    run(project, "--llmdispatch-record=once").assert_outcomes(passed=5)
    result = _subprocess("-n", "2", cwd=project.path, plugins=["xdist.plugin"])
    assert "5 passed" in result.stdout, result.stdout + result.stderr


def test_the_sample_project() -> None:
    """A user's project with a conftest of its own: an agent, a fallback, a budget, from the public kit."""
    pytest.importorskip("langchain")
    result = _subprocess(cwd=ROOT / "tests" / "sample_project")
    assert "7 passed" in result.stdout, result.stdout + result.stderr


def test_the_plugin_imports_nothing_until_it_is_used() -> None:
    """A project that only has the package installed pays nothing for it."""
    code = (
        "import sys, langchain_llmdispatch.testing.plugin; "
        "heavy = {'vcr', 'yaml', 'httpx', 'pydantic', 'langchain_core', 'langchain_llmdispatch.chat_model.chat_model'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout


def test_the_package_needs_no_pytest() -> None:
    """Nothing of pytest, vcrpy or YAML is needed to import the package or the kit."""
    code = (
        "import sys, langchain_llmdispatch, langchain_llmdispatch.testing; "
        "print(sorted({'pytest', 'vcr', 'langchain_llmdispatch.testing.cassettes.cassette'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout
