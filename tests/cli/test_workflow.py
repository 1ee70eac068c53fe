"""`examples/ci/simulate.yml` does what it says: its own steps, in a shell, on a repository with a change to judge."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

HOUSE = Path(__file__).resolve().parents[2]
WORKFLOW: dict[Any, Any] = yaml.safe_load((HOUSE / "examples/ci/simulate.yml").read_text("utf-8"))
(JOB,) = WORKFLOW["jobs"].values()
RULE = "\nblock send_mail as inside-only when any args.to not like company_mail\n"
BAD = f'{RULE}    because "mail stays in the company"\n'
GOOD = f"""{RULE}    unless args.to from user or args.to from tool read_customer
    because "only to whom the user named"
"""
CHANGED = "policies/office.thoth"


def git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=ann", "-c", "user.email=ann@example.com", "-c", "init.defaultBranch=main")
    subprocess.run(("git", *names, *words), cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose main branch holds the policy in force, and recordings."""
    folder = tmp_path_factory.mktemp("origin")
    (folder / "policies").mkdir()
    shutil.copy(HOUSE / "examples/demo.thoth", folder / CHANGED)
    shutil.copytree(HOUSE / "examples/traces", folder / "recordings")
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "the policy in force")
    return folder


def run(origin: Path, folder: Path, change: str) -> Iterator[subprocess.CompletedProcess[str]]:
    """Run the steps of the job on a clean copy with a change to the policy, until one fails, as the runner does."""
    git(folder, "clone", str(origin), "copy")
    copy = folder / "copy"
    git(copy, "checkout", "-b", "change")
    with (copy / CHANGED).open("a", encoding="utf-8") as stream:
        stream.write(change)
    git(copy, "commit", "-am", "a change")
    # What the workflow installs is installed here already: the package as it was built, and nothing is fetched.
    env = os.environ | {
        "GITHUB_BASE_REF": "main",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    env.pop("PYTHONPATH", None)
    for step in JOB["steps"]:
        if "run" in step:
            shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"])
            done = subprocess.run(shell, check=False, cwd=copy, env=env, capture_output=True, text=True)
            yield done
            if done.returncode:
                return


def test_a_change_that_disturbs_nobody_passes_every_step(origin: Path, tmp_path: Path) -> None:
    done = list(run(origin, tmp_path, GOOD))
    assert [one.returncode for one in done] == [0, 0, 0], done[-1].stderr
    assert "come out differently" in done[-1].stdout
    assert (tmp_path / "copy/in-force" / CHANGED).read_bytes() == (origin / CHANGED).read_bytes()


def test_a_change_that_blocks_what_was_let_through_fails_with_the_reason_and_leaves_the_page(
    origin: Path, tmp_path: Path
) -> None:
    done = list(run(origin, tmp_path, BAD))
    assert [one.returncode for one in done] == [0, 0, 1]
    assert "--fail-on: `benign_blocked > 2%` holds: benign_blocked is 4.40%" in done[-1].stderr
    assert "--fail-on: `flipped(ALLOW, BLOCK) > 0` holds: flipped(ALLOW, BLOCK) is 10" in done[-1].stderr
    (upload,) = (step for step in JOB["steps"] if "upload-artifact" in step.get("uses", ""))
    assert upload["if"] == "always()"
    page = (tmp_path / "copy" / upload["with"]["path"]).read_text("utf-8")
    assert "inside-only" in page


def test_a_policy_with_a_mistake_fails(origin: Path, tmp_path: Path) -> None:
    done = list(run(origin, tmp_path, "\nblock send_mail as inside-only when any args.too is 1\n"))
    assert done[-1].returncode == 1
    assert "args.too" in done[-1].stdout


def test_it_runs_where_a_policy_changes_and_knows_the_branch_it_is_merged_into() -> None:
    # `on` is read as a truth value: YAML 1.1, as everybody reads it but the runner.
    (paths,) = WORKFLOW[True]["pull_request"].values()
    assert any(fnmatch(CHANGED, pattern) for pattern in paths)
    checkout = JOB["steps"][0]
    assert checkout["uses"].startswith("actions/checkout@")
    assert checkout["with"]["fetch-depth"] == 0
