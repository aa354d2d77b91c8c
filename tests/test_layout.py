"""The layout of the repository: folders, layers, the table in CONTRIBUTING, tests beside modules, sizes, exceptions."""

from __future__ import annotations

import ast
import io
import itertools
import re
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import langchain_llmdispatch
from tests.cases import each

ROOT = Path(__file__).parents[1]
PACKAGE, TESTS = Path(langchain_llmdispatch.__file__).parent, ROOT / "tests"  # CI tests an installed package
# Folders of tests that are about no single module: `end_to_end` is the engine, `standard` LangChain's suites,
# `recordings` the traffic of real vendors, `loopback` the servers of the tests, `sample_project` a user's, `typing` users' calls,
# `jupyter` the notebooks as a browser shows them, `release` the workflows and what a package index shows.
FREE = {"end_to_end", "standard", "recordings", "loopback", "sample_project", "typing", "jupyter", "release"}
ENTRIES, MODULE_LINES, TEST_LINES, FUNCTION_LINES = 32, 400, 600, 60
NOQA, TYPE_IGNORE = 80, 10


def layers() -> list[str]:
    """Return the names in the linter's layers, top first."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = document["tool"]["importlinter"]["contracts"][0]["layers"]
    return [name for line in lines for name in re.findall(r"\w+", line)]


def entries() -> list[str]:
    """Return what `ls langchain_llmdispatch` shows."""
    return sorted(path.name for path in PACKAGE.iterdir() if path.name != "__pycache__")


@cache
def sources() -> tuple[Path, ...]:
    """Return every Python file of the repository that is written by hand."""
    folders = (PACKAGE, TESTS, ROOT / "scripts", ROOT / "benchmarks")
    return tuple(sorted(path for folder in folders for path in folder.rglob("*.py")))


def shown(path: Path) -> str:
    """Return a path from the root, for messages."""
    root = PACKAGE.parent if path.is_relative_to(PACKAGE) else ROOT
    return path.relative_to(root).as_posix()


# -- folders ---------------------------------------------------------------------------------------


def test_the_layers_are_the_folders_on_disk() -> None:
    """The linter lists each folder and module of the package once."""
    stems = {name.partition(".")[0] for name in entries()} - {"__init__", "py"}
    assert sorted(layers()) == sorted(stems)


def test_the_table_in_contributing_is_the_layers() -> None:
    """CONTRIBUTING lists the folders and modules in the order of the layers."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("| folder or module |") :].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert [name for cell in cells for name in re.findall(r"`(\w+)`", cell)] == layers()


def test_ls_shows_the_architecture() -> None:
    """The package's folder has few entries."""
    assert len(entries()) <= ENTRIES


@each("folder", [path.name for path in sorted(PACKAGE.iterdir()) if (path / "__init__.py").exists()])
def test_each_folder_describes_itself(folder: str) -> None:
    """Its `__init__` names what it owns and what it must not know."""
    text = ast.get_docstring(ast.parse((PACKAGE / folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert re.search(r"^Owns: ", text, re.MULTILINE)
    assert re.search(r"^Must not know: ", text, re.MULTILINE)


def test_no_module_imports_itself_round_about() -> None:
    """Imports within functions and for types count; only a value and its HTML may import each other."""
    circles = [
        (one, other)
        for one, other in itertools.combinations(modules(), 2)
        if other in reached(one) and one in reached(other)
    ]
    assert [pair for pair in circles if not any(name.endswith("html") for name in pair)] == []


@cache
def modules() -> dict[str, Path]:
    """Return the modules of the package by name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imported(name: str) -> frozenset[str]:
    """Return the modules of the package that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & modules().keys()) or {node.module}
    return frozenset(found & modules().keys() - {name})


@cache
def reached(start: str) -> frozenset[str]:
    """Return what a module imports, what that imports, and so on."""
    found, left = set[str](), [start]
    while left:
        new = imported(left.pop()) - found
        found |= new
        left += new
    return frozenset(found)


def test_no_class_name_stands_for_two_things() -> None:
    """Each class of the package has a name of its own."""
    names = Counter(
        node.name
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_each_test_file_names_a_module() -> None:
    """`tests/<folder>/test_<module>.py` is about `langchain_llmdispatch/<folder>/<module>.py`."""
    homeless = []
    for file in TESTS.rglob("test_*.py"):
        folder = file.parent.relative_to(TESTS)
        name = file.stem.removeprefix("test_")
        if folder.parts[:1] and folder.parts[0] in FREE:
            continue
        if folder == Path() and name == "layout":
            continue
        module = "__init__" if name == "init" else name
        if not (PACKAGE / folder / f"{module}.py").is_file():
            homeless.append(shown(file))
    assert homeless == []


# -- sizes -----------------------------------------------------------------------------------------


def test_modules_are_short() -> None:
    """A module is read at one sitting."""
    long = {
        shown(path): lines
        for path in sources()
        if (lines := path.read_text(encoding="utf-8").count("\n"))
        >= (TEST_LINES if path.is_relative_to(TESTS) else MODULE_LINES)
    }
    assert long == {}


def test_functions_are_short() -> None:
    """A function of the package is seen at once."""
    long = {
        f"{shown(path)}:{node.name}": lines
        for path in sources()
        if path.is_relative_to(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    }
    assert long == {}


# -- exceptions ------------------------------------------------------------------------------------


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the comments of a file that has exceptions, with their lines; strings that look like comments are none."""
    text = path.read_text(encoding="utf-8")
    if "# noqa" not in text and "# type: ignore" not in text:
        return  # taking all files apart takes seconds
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


@pytest.mark.parametrize(
    ("pattern", "most"), [(r"# noqa(: [A-Z0-9, ]+)?", NOQA), (r"# type: ignore(\[[\w, -]+\])?", TYPE_IGNORE)]
)
def test_exceptions_are_few_and_have_a_reason(pattern: str, most: int) -> None:
    """What the linter or the type checker passes over has its reason; what holds for a folder is in pyproject."""
    found = [
        (f"{shown(path)}:{line}", comment[match.end() :])
        for path in sources()
        for line, comment in comments(path)
        for match in re.finditer(pattern, comment)
    ]
    assert [place for place, reason in found if not re.match(r"\s*(- |# )\S", reason)] == []
    assert len(found) <= most
