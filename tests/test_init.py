"""The public names: one table per package, the stubs, and the page that documents them; what an import imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import langchain_llmdispatch
from langchain_llmdispatch import errors
from tests.cases import each

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "public_names.md").read_text(encoding="utf-8")
LAZY = ["", ".callbacks", ".local", ".notebook", ".testing", ".vendors"]
LISTED = dict(re.findall(r"^\| `langchain_llmdispatch(\.\w+)` \| (.*) \|$", PAGE, re.MULTILINE))
IMPORTED = Path(__file__).with_name("imports.txt")
_MODEL = """
import sys
import langchain_core.language_models.chat_models
before = set(sys.modules)
from langchain_llmdispatch import DispatcherChatModel
print(*sorted(set(sys.modules) - before))
"""
_FIRST_MODEL = """
import sys
from langchain_llmdispatch import DispatcherChatModel
with DispatcherChatModel(model="openai:gpt-4.1-mini", api_key="sk-any", base_url="http://127.0.0.1:1/v1", max_retries=0) as model:
    try:
        model.invoke("Hi")
    except Exception as error:
        print(type(error).__name__)
print(*sorted(sys.modules))
"""
_LATE = {"httpcore", "langchain_llmdispatch.routing.plan", "langchain_llmdispatch.stats.stats"}
_LATE |= {"langchain_llmdispatch.local.server", "langchain_llmdispatch.transport.httpx_transports"}
_HELP = """
import sys
from langchain_llmdispatch.__main__ import main
main(["--help"])
print(*sorted(sys.modules), file=sys.stderr)
"""
_NEVER = {"langchain_core", "langchain_llmdispatch.types", "pydantic", "httpx", "httpcore", "yaml"}


def test_everything_public_is_exported() -> None:
    """`__all__` is sorted and true, and has all errors; another name is an error that names it."""
    exported = langchain_llmdispatch.__all__
    assert exported == sorted(set(exported))
    assert all(hasattr(langchain_llmdispatch, name) for name in exported)
    assert set(exported) <= set(dir(langchain_llmdispatch))
    assert set(errors.__all__) <= set(exported)
    with pytest.raises(AttributeError, match="'langchain_llmdispatch' has no attribute 'DispatchChatModel'"):
        _ = langchain_llmdispatch.DispatchChatModel


def test_the_names_of_the_package_are_documented() -> None:
    """The page's first table holds exactly `__all__`."""
    table = PAGE.partition("## Other public modules")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == langchain_llmdispatch.__all__


@each("module", LISTED)
def test_the_public_modules_are_importable_with_their_names(module: str) -> None:
    """Each module on the page holds what the page lists, and no more where it lists all."""
    found = import_module(f"langchain_llmdispatch{module}")
    names = re.findall(r"`(\w+)`", LISTED[module])
    assert all(hasattr(found, name) for name in names)
    if hasattr(found, "__all__"):
        assert names == sorted(found.__all__)


@each("package", LAZY)
def test_stubs_say_what_is_imported_when_it_is_used(package: str) -> None:
    """Type checkers see each public name, from the module that it comes from."""
    found = import_module(f"langchain_llmdispatch{package}")
    stub = Path(str(found.__file__)).with_suffix(".pyi").read_text(encoding="utf-8")
    imports = [node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom)]
    named = {
        alias.asname: node.module for node in imports for alias in node.names if alias.name == alias.asname
    }
    assert sorted(map(str, named)) == found.__all__
    for name, module in named.items():
        assert getattr(import_module(str(module)), str(name)) is getattr(found, str(name))


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_the_import_of_the_class_imports_what_is_listed() -> None:
    """Vendors, connections, statistics, prices and HTML come with the first model, other packages not before."""
    found = _run(_MODEL).stdout.split()
    own = [name for name in found if name.startswith("langchain_llmdispatch")]
    others = {name.partition(".")[0] for name in found} - {"langchain_llmdispatch"}
    assert own == IMPORTED.read_text(encoding="ascii").split(), "write the list anew if that is meant"
    assert others <= {"langchain_core", "pydantic"} | sys.stdlib_module_names


def test_a_first_call_imports_only_what_it_uses() -> None:
    """Neither what httpx sends with, nor plans, snapshots of statistics and local servers; not even for an error."""
    error, *found = _run(_FIRST_MODEL).stdout.split()
    assert error == "AllDeploymentsFailedError"
    assert _LATE.isdisjoint(found)


def test_the_help_imports_no_other_package() -> None:
    """The first character of `llmdispatch --help` waits for neither LangChain nor pydantic."""
    found = set(_run(_HELP).stderr.split())
    assert "langchain_llmdispatch.cli.main" in found
    assert found.isdisjoint(_NEVER)
