"""GitHub's files: they parse, what they call exists, and they agree with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def workflow(name: str) -> dict[Any, Any]:
    """Return a workflow; to YAML its key `on` is the boolean, and numbers are numbers."""
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    loaded: dict[Any, Any] = yaml.safe_load(text)
    return loaded


def steps(jobs: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of all jobs."""
    return [step for job in jobs.values() for step in job["steps"]]


def targets() -> set[str]:
    """Return the Makefile's targets."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def claimed() -> list[str]:
    """Return the Pythons of the classifiers."""
    found = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line) for line in PROJECT["classifiers"]
    ]
    return [match[1] for match in found if match]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_calls_exists(path: Path) -> None:
    """Every target of make, and every script and file of the repository."""
    runs = "\n".join(step["run"] for step in steps(workflow(path.stem)["jobs"]) if "run" in step)
    called = set(re.findall(r"\bmake (?:-C \S+ )?([a-z-]+)", runs))
    assert called <= targets()
    assert all((ROOT / name).is_file() for name in re.findall(r"(?:scripts/|\.ci/)[\w.]+", runs))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_do_what_it_needs_and_no_more(path: Path) -> None:
    """It reads by default, each job ends, nothing in it keeps a token or fills a script with what others wrote."""
    document = workflow(path.stem)
    assert document["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in document[True]
    assert all(job["timeout-minutes"] <= 60 for job in document["jobs"].values())
    used = [step for step in steps(document["jobs"]) if "uses" in step]
    named = re.findall(
        r"uses: (\S+)@[0-9a-f]{40} # v\d+\.\d+\.\d+$", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert named == [step["uses"].partition("@")[0] for step in used]  # a commit, with its version
    kept = [
        step
        for step in used
        if "checkout" in step["uses"] and step["with"].get("persist-credentials") is not False
    ]
    assert kept == []
    assert not any("${{" in step.get("run", "") for step in steps(document["jobs"]))
    assert "secrets." not in path.read_text(encoding="utf-8")


def test_the_pythons_that_are_claimed_are_tested() -> None:
    """Classifiers, the matrix of the tests and that of a release name the same versions, from the lowest allowed."""
    for name in ("test", "release"):
        assert workflow(name)["jobs"]["test"]["strategy"]["matrix"]["python"] == claimed()
    assert PROJECT["requires-python"] == f">={claimed()[0]}"
    assert workflow("test")["jobs"]["lowest"]["steps"][1]["with"]["python-version"] == claimed()[0]


def test_forms_have_what_github_requires() -> None:
    """Each form has a name, a description, and fields with ids of their own."""
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.stem != "config":
            assert form["name"]
            assert form["description"]
            ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
            assert len(ids) == len(set(ids))
            assert all(
                field["attributes"].get("label") for field in form["body"] if field["type"] != "markdown"
            )


def test_a_distribution_is_published_only_after_its_tests() -> None:
    """Build, tests of the wheel, attestation, publication: each needs the one before, and only one may publish."""
    jobs = workflow("release")["jobs"]
    assert [jobs[name]["needs"] for name in ("test", "attest", "publish", "announce")] == [
        *("build", "test", "attest", "publish"),
    ]
    assert jobs["publish"]["environment"] == "release"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
