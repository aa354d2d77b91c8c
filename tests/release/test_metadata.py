"""What a package index shows: links, and files that agree on the version."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
VERSION = PROJECT["version"]


def test_links_lead_to_one_repository() -> None:
    """Documentation, issues, changelog and security are those of the repository."""
    links = dict(PROJECT["urls"])
    assert {"Homepage", "Documentation", "Repository", "Issues", "Changelog"} <= links.keys()
    owner, name = links["Repository"].removeprefix("https://github.com/").split("/")
    assert links.pop("Documentation") == f"https://{owner}.github.io/{name}/"
    assert all(link.startswith(links["Repository"]) for link in links.values())


def test_a_package_index_gets_links_that_lead_somewhere() -> None:
    """No relative link or picture is left in the README as it is published; addresses are those of the project."""
    hook = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for each in hook["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    assert re.findall(r"\]\((?!https://)[^)]*\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)) == []
    sites = (PROJECT["urls"]["Documentation"], PROJECT["urls"]["Repository"])
    assert all(each["replacement"].removeprefix("](").startswith(sites) for each in hook["substitutions"])


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


def test_what_breaks_stands_first_with_what_to_write_instead() -> None:
    """Under Changed and Removed of the version: breaking changes before the others, each with a way out."""
    script = runpy.run_path(str(ROOT / "scripts" / "release_notes.py"))
    section = script["section"]((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), VERSION)
    kinds = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", section, re.DOTALL | re.MULTILINE))
    changed = re.split(r"^- ", kinds["Changed"], flags=re.MULTILINE)[1:]
    breaking = [entry.startswith("**Breaking**") for entry in changed]
    assert breaking == sorted(breaking, reverse=True)
    assert all("*Instead*" in entry or "refused" in entry for entry in changed[: sum(breaking)])
    assert kinds["Removed"].count("*Instead*") == kinds["Removed"].count("\n- ") + 1


def test_notes_of_a_release_are_its_section() -> None:
    """The script prints a version's section, and refuses another one, with the reasons."""
    script = [sys.executable, str(ROOT / "scripts" / "release_notes.py")]
    done = subprocess.run([*script, VERSION], capture_output=True, text=True, encoding="utf-8", check=True)
    assert "\n### Added\n" in done.stdout
    other = subprocess.run([*script, "99.0.0"], capture_output=True, text=True, encoding="utf-8", check=False)
    assert other.returncode == 1
    assert f"pyproject.toml has version {VERSION}, the tag 99.0.0" in other.stderr
