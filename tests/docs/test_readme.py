"""What README.md and docs/embedding.md show runs as it is written there."""

import re
from pathlib import Path

import pytest

from thoth.cli import main
from thoth.engine import Engine
from thoth.engine.testing import run_tests

ROOT = Path(__file__).parent.parent.parent
FENCE = re.compile(r"^```(\S*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, kind: str) -> list[str]:
    return [match[3] for match in FENCE.finditer((ROOT / page).read_text("utf-8")) if match[1] == kind]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the policy that the README shows."""
    (tmp_path / "payments.thoth").write_text(blocks("README.md", "thoth")[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_policy_of_the_readme_passes_its_own_test(desk: Path) -> None:
    engine = Engine.from_file(desk / "payments.thoth")
    assert engine.warnings == ()
    results = run_tests(engine.policy)
    assert results
    assert all(result.passed for result in results)


def test_the_python_of_the_readme_prints_what_the_readme_shows(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (program,), (shown,) = blocks("README.md", "python"), blocks("README.md", "text")
    names: dict[str, object] = {}
    exec(compile(program, "README.md", "exec"), names)
    printed = re.sub(r"\([0-9a-f]{4}[0-9a-f]+\)", "(0f3c…)", capsys.readouterr().out)
    assert printed == shown


def test_every_command_of_the_readme_runs(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "request.json").write_text('{"tool_name": "send_email", "tool_args": {}}')
    for name in ("old", "new"):
        (desk / f"{name}.thoth").write_text("allow read as reading")
    (session,) = blocks("README.md", "console")
    commands = [line.removeprefix("$ thoth ").split("#")[0].split() for line in session.splitlines()]
    assert len(commands) == 7
    for command in commands:
        command += ["--tries", "200"] * (command[0] == "diff")
        assert main(command) == 0, command


def test_the_page_on_embedding_runs_from_top_to_bottom() -> None:
    names: dict[str, object] = {}
    for number, program in enumerate(blocks("docs/embedding.md", "python")):
        exec(compile(program, f"docs/embedding.md, block {number}", "exec"), names)


@pytest.mark.parametrize(
    "page", sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
)
def test_links_inside_the_repository_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text("utf-8")):
        assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"
