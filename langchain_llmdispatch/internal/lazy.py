"""Public names, and modules, that are imported when they are first used.

pytest loads the testing kit's plugin in every run, and the command line prints its help: neither should pay
for LangChain. Type checkers read the stub (`__init__.pyi`) beside each `__init__.py` that uses this module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType, ModuleType
from typing import Any

from langchain_llmdispatch.internal import forks


def lazy_names(
    package: str, modules: Mapping[str, str], needs: Mapping[str, str] = MappingProxyType({})
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__all__`, `__getattr__` and `__dir__` of a package whose names live in other modules.

    Args:
        package: The package's `__name__`.
        modules: The module of each public name, below `langchain_llmdispatch`.
        needs: The package of others that a name needs; `__all__` has the name only where that is installed.
    """
    root, namespace, public = __name__.partition(".")[0], vars(sys.modules[package]), sorted(modules)

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        namespace[name] = value = getattr(import_module(f"{root}.{modules[name]}"), name)
        return value

    exported = [name for name in public if name not in needs or find_spec(needs[name])]
    return exported, get, lambda: sorted({*namespace, *public})


class LateModule(ModuleType):
    """A module that is imported when one of its names is first used, and no fork comes in between.

    It stands for a module that the import of the chat model does not need, but its construction does:

        if TYPE_CHECKING:
            import httpx
        else:
            httpx = LateModule("httpx")
    """

    def __getattr__(self, name: str) -> Any:
        """Return what the module has by this name.

        Raises:
            AttributeError: It has none.
        """
        if name.startswith("__"):  # `copy`, `inspect` and debuggers look for them
            raise AttributeError(name)
        with forks.undivided():
            found = vars(self)[name] = getattr(import_module(self.__name__), name)
        return found
