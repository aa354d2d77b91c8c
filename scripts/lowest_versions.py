"""Print the lowest versions that pyproject.toml allows, as constraints for pip."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LATER = {"pytest"}
"""LangChain's standard suites, which are among the tests, need a later version than ours."""


def lowest(requirement: str) -> str | None:
    """Return `name==version` of a requirement's lower bound, without its extras; None where it has none."""
    found = re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*>=\s*([\w.]+)", requirement)
    return f"{found[1]}=={found[2]}" if found else None


def main() -> None:
    """Print a line for each dependency of the package and of the extras that need no model."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = [
        *project["dependencies"],
        *(line for name in extras if name != "local" for line in extras[name]),
    ]
    found = [line for line in map(lowest, requirements) if line and line.partition("==")[0] not in LATER]
    print("\n".join(sorted(found)))


if __name__ == "__main__":
    main()
