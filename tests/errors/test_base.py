"""The tree of errors: `errors` draws it, and every error of the package is in it."""

from __future__ import annotations

import ast
import builtins
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

from langchain_core import exceptions as core
from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch import errors
from tests.cases import each

PACKAGE = Path(errors.__file__).parents[1]
CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type)
    and issubclass(value, BaseException)
    and value.__module__.startswith(f"{errors.__name__}.")
}
# Not errors of a call: one ends a race inside the engine, two are translated by the codecs and the driver, and
# the others are failed assertions of tests.
OUTSIDE = {
    "cli/batch.py": {"_Signalled"},  # of a terminal, not of a call
    "dispatch/hedging.py": {"LostRaceError"},
    "framing.py": {"FrameTooLongError"},
    "internal/json_format.py": {"UnwritableError"},
    "server/failures.py": {"RefusedRequestError"},  # of the server's own clients
    "testing": {"AssertionError"},
}


def drawing() -> dict[str, tuple[str, set[str]]]:
    """Return each drawn class with its parent and the further bases that are named beside it."""
    tree: dict[str, tuple[str, set[str]]] = {}
    branch: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.fullmatch(r"    ([ │├└─]*)([\w.]+)(.*)", line)
        if match is None or not match[2].rpartition(".")[2].endswith("Error"):
            continue
        depth, name = len(match[1]), match[2].rpartition(".")[2]
        branch = [(at, above) for at, above in branch if at < depth]
        if branch:
            tree[name] = branch[-1][1], set(re.findall(r"\(\+ (\w+)\)", match[3]))
        branch.append((depth, name))
    return tree


def test_the_drawing_is_the_tree() -> None:
    """Each class stands under its first base, and LangChain's or Python's classes are named beside it."""
    found = {
        name: (cls.__bases__[0].__name__, {base.__name__ for base in cls.__bases__[1:]})
        for name, cls in CLASSES.items()
    }
    assert drawing() == found


def test_bases_that_are_not_ours_are_langchains_or_pythons() -> None:
    """A caller may catch LangChain's classes and gets ours."""
    outer = {base for cls in CLASSES.values() for base in cls.__bases__ if base.__name__ not in CLASSES}
    assert all(getattr(core, base.__name__, getattr(builtins, base.__name__, None)) is base for base in outer)
    assert issubclass(errors.DispatchError, core.ModelError)


def test_no_error_is_defined_elsewhere() -> None:
    """What a call can raise is defined in `errors`."""
    found = {
        (place, cls)
        for file in PACKAGE.rglob("*.py")
        if (place := file.relative_to(PACKAGE).as_posix()).partition("/")[0] != "errors"
        for cls, bases in exceptions_in(file)
        if not any(place.startswith(prefix) and {cls, *bases} & names for prefix, names in OUTSIDE.items())
    }
    assert found == set()


def exceptions_in(file: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield the exception classes that a file defines, each with its bases."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            if any(base.endswith(("Error", "Exception", "Interrupt", "Warning")) for base in bases):
                yield node.name, bases


@each("name", sorted(CLASSES))
def test_an_error_keeps_its_attributes_when_pickled(name: str) -> None:
    """Class, message and attributes cross a process border."""
    own = {
        "StreamInterruptedError": {"partial": AIMessageChunk("so far")},
        "PendingAnswerError": {"response_id": "resp_1"},
    }
    error = CLASSES[name]("it failed", **own.get(name, {}))
    if isinstance(error, errors.DispatchError):
        error.status_code, error.retry_after, error.deployment = 429, 1.5, "fast"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is CLASSES[name]
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__
