"""Many small cases in one test: all of them run, and each that failed is named."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

Test = Callable[..., None]


def each(names: str | Sequence[str], values: Iterable[Any]) -> Callable[[Test], Test]:
    """Run a test for all values within one item; like `pytest.mark.parametrize`, without its cost per item.

    An item of pytest costs some milliseconds in its worker and in its controller, more than most cases. A loopback
    `server` is cleared before each case. A case that may be skipped needs an item of its own.

    Args:
        names: The parameters, as `parametrize` takes them.
        values: Their values, a tuple per case where there are several names.

    Raises:
        ExceptionGroup: What the cases raised that failed; a note on each names its case.
    """
    parameters = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    cases = [tuple(value) if len(parameters) > 1 else (value,) for value in values]

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)

        def run(*own: Any, **fixtures: Any) -> None:
            bound = partial(test, *own, **fixtures)
            failed = [error for case in cases if (error := _failure(bound, parameters, case))]
            if failed:
                raise ExceptionGroup(f"{len(failed)} of {len(cases)} cases of {test.__name__}", failed)

        run.__dict__.update(vars(test))
        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        kept = [each for each in signature.parameters.values() if each.name not in parameters]
        vars(run)["__signature__"] = signature.replace(parameters=kept)
        return run

    return decorate


def _failure(test: partial[None], names: Sequence[str], values: Sequence[Any]) -> Exception | None:
    if "server" in test.keywords:
        test.keywords["server"].clear()
    try:
        test(**dict(zip(names, values, strict=True)))
    except Exception as error:  # noqa: BLE001 - raised in a group, when all cases have run
        shown = zip(names, map(_shown, values), strict=True)
        error.add_note("The case: " + ", ".join(f"{name}={value}" for name, value in shown))
        return error
    return None


def _shown(value: Any) -> str:
    try:
        return f"{value!r:.200}"
    except RecursionError:
        return reprlib.repr(value)
