"""docs/packs.md and docs/learn.md: what they show is what happens."""

import io
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from thoth.cli import main
from thoth.engine import Engine
from thoth.engine.testing import run_tests
from thoth.simulation import read_traces

HOUSE = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, kind: str) -> list[str]:
    return [found[3] for found in FENCE.finditer((HOUSE / "docs" / page).read_text("utf-8")) if found[1] == kind]


def test_the_policy_of_the_page_about_packs_passes_its_tests() -> None:
    (text,) = blocks("packs.md", "thoth")
    engine = Engine.from_text(text)
    results = run_tests(engine.policy)
    assert engine.warnings == ()
    assert len(results) == 4
    assert all(result.passed for result in results)


def test_the_page_about_packs_lists_every_rule() -> None:
    page = (HOUSE / "docs/packs.md").read_text("utf-8")
    for name in ("scope", "provenance", "destructive", "exfiltration", "secrets"):
        opens = " with allow" if name == "scope" else ""
        policy = Engine.from_text(f'policy p\n    approvers "a"\nuse {name}{opens}\n').policy
        section = page.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
        for rule in (*policy.rules, *policy.result_rules):
            assert f"`{rule.id.removeprefix(f'{name}.')}`" in section, rule.id


def test_the_commands_of_the_page_about_learning_print_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").symlink_to(HOUSE / "examples")
    monkeypatch.chdir(tmp_path)
    for text in blocks("learn.md", "console"):
        for command, output in re.findall(r"^\$ thoth (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            printed = io.StringIO()
            with redirect_stdout(printed):
                assert main(shlex.split(command)) == 0
            assert printed.getvalue() == output
    (head,) = blocks("learn.md", "text")
    assert Path("learned.thoth").read_text("utf-8").startswith(head)
    assert len(Path("decisions.jsonl").read_text("utf-8").splitlines()) == sum(
        len(session.calls) for session in read_traces(["examples/traces"])
    )
