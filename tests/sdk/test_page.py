"""docs/sdk.md and examples/sdk: the quick start is done as written, and every example prints what it is about."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?:^`(?P<file>[\w.]+)`[^\n]*\n\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def typed(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    words = shlex.split(line)
    program = [sys.executable, *words[1:]] if words[0] == "python" else [sys.executable, "-m", "thoth.cli", *words[1:]]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_the_quick_start_is_as_written(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "sdk.md").read_text("utf-8")
    section = page[page.index("## Five minutes") : page.index("## Wrapping")]
    commands = 0
    for block in BLOCK.finditer(section):
        if block["file"]:
            (tmp_path / block["file"]).write_text(block["body"])
            continue
        shown = ""
        for line in block["body"].splitlines():
            if not line.startswith("$ "):
                continue
            run = typed(tmp_path, line[2:])
            assert run.returncode == 0, (line, run.stdout, run.stderr)
            shown += f"{line}\n{run.stdout}"
            commands += 1
        if any(not line.startswith("$ ") for line in block["body"].splitlines()):
            assert shown == block["body"]
    assert commands == 4


def test_the_other_snippets_run() -> None:
    page = (ROOT / "docs" / "sdk.md").read_text("utf-8")
    for block in BLOCK.finditer(page[page.index("## Wrapping") :]):
        exec(compile(block["body"], "docs/sdk.md", "exec"), {})


@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("tool_loop", ["refused: customer data stays inside", "card [card] was declined", "2 let through, 2 run"]),
        (
            "approvals",
            ["96 payments are made, 4 wait for finance-leads", "an approver said no", "99 let through, 99 run"],
        ),
        ("injected", ["researcher: nobody asked for mail", "boss: sent to bob@partner.example", "1 refused"]),
    ],
)
def test_an_example_runs_offline(name: str, shows: list[str]) -> None:
    run = typed(ROOT, f"python examples/sdk/{name}.py")
    assert run.returncode == 0, run.stderr
    for text in shows:
        assert text in run.stdout
