"""Print the notes of a release: its section of CHANGELOG.md. Fails where the release is not ready.

python scripts/release_notes.py 0.2.0
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def section(changelog: str, version: str) -> str | None:
    """Return the text under a version's heading; None without one."""
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n"
    found = re.search(heading + r"(.*?)(?=^## \[|\Z)", changelog, re.DOTALL | re.MULTILINE)
    return found[1].strip() if found else None


def faults(version: str) -> list[str]:
    """Return what keeps a version from being released."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = re.search(
        r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE
    )
    found = []
    if project["version"] != version:
        found.append(f"pyproject.toml has version {project['version']}, the tag {version}")
    if citation is None or citation[1] != version:
        found.append(f"CITATION.cff has version {citation and citation[1]}, the tag {version}")
    if not section((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version):
        found.append(f"CHANGELOG.md has no section [{version}] with a date")
    return found


def main() -> int:
    """Print the section of the version that the argument names."""
    if not sys.argv[1:] or sys.argv[2:]:
        print(__doc__, file=sys.stderr)
        return 2
    if found := faults(sys.argv[1]):
        print("\n".join(found), file=sys.stderr)
        return 1
    print(section((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
