"""What a package index shows: links, and files that agree on the version."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]


def test_links_lead_to_one_repository() -> None:
    """Documentation, issues, changelog and security are those of the repository."""
    links = PROJECT["urls"]
    assert {"Homepage", "Documentation", "Repository", "Issues", "Changelog"} <= links.keys()
    owner, name = links["Repository"].removeprefix("https://github.com/").split("/")
    assert links.pop("Documentation") == f"https://{owner}.github.io/{name}/"
    assert all(link.startswith(links["Repository"]) for link in links.values())


def test_the_citation_is_of_this_version() -> None:
    """CITATION.cff and pyproject.toml agree."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (VERSION, PROJECT["license"])
    assert citation["title"] == PROJECT["name"]
    assert citation["abstract"] == PROJECT["description"]


def test_the_changelog_is_in_order() -> None:
    """Versions from the newest; each kind of change once a version, in Keep a Changelog's order, without gaps."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert VERSION in versions
    order = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert kinds == [kind for kind in order if kind in kinds]
    entries = re.findall(r"^- .+$", text, re.MULTILINE)
    assert len(entries) == len(set(entries))
    assert re.search(r"\n\n(- |  \S)", text) is None


def test_notes_of_a_release_are_its_section() -> None:
    """The script prints a version's section, and refuses another one, with the reasons."""
    script = [sys.executable, str(ROOT / "scripts" / "release_notes.py")]
    done = subprocess.run([*script, VERSION], capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stdout.startswith("### Added\n")
    other = subprocess.run([*script, "99.0.0"], capture_output=True, text=True, encoding="utf-8", check=False)
    assert other.returncode == 1
    assert f"pyproject.toml has version {VERSION}, the tag 99.0.0" in other.stderr
