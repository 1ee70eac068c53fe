"""docs/simulation.md: its commands print what it shows, its program runs, and its metrics are all that there are."""

import io
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from thoth.cli import main
from thoth.simulation.metrics import ABOUT

HOUSE = Path(__file__).resolve().parents[2]
PAGE = (HOUSE / "docs/simulation.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
TIMED = re.compile(r"decided in [\d.]+ s")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the checkout, with the two changed policies of the page."""
    (tmp_path / "examples").symlink_to(HOUSE / "examples")
    demo = (HOUSE / "examples/demo.thoth").read_text("utf-8")
    for kind, name, text in BLOCKS:
        if kind == "thoth":
            (tmp_path / f"{name}.thoth").write_text(f"{demo}\n{text}", "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_print_what_the_page_shows(folder: Path) -> None:
    """A line `…` on the page stands for lines that it leaves out."""
    shown = [text for kind, _, text in BLOCKS if kind == "console"]
    assert len(shown) == 4
    for text in shown:
        command, _, expected = text.partition("\n")
        printed, said = io.StringIO(), io.StringIO()
        with redirect_stdout(printed), redirect_stderr(said):
            code = main(shlex.split(command.removeprefix("$ thoth ")))
        assert code == ("--fail-on" in command)
        lines = iter([TIMED.sub("", line).rstrip() for line in printed.getvalue().splitlines()])
        for line in expected.splitlines():
            assert line in ("", "…") or TIMED.sub("", line).rstrip() in lines, line
        if code:
            (told,) = [text for kind, _, text in BLOCKS if kind == "text"]
            assert told in said.getvalue()
    assert (folder / "change.html").read_text("utf-8").startswith("<!doctype html>")


def test_the_program_on_the_page_runs(folder: Path) -> None:
    (program,) = [text for kind, _, text in BLOCKS if kind == "python"]
    exec(compile(program, "docs/simulation.md", "exec"), {})


def test_the_page_lists_every_metric() -> None:
    listed = re.findall(r"^\| `(\w+)(?:\([^)]*\))?` \| a (\w+) \|", PAGE, re.MULTILINE)
    assert dict(listed) == {name: unit for name, (unit, _) in ABOUT.items()}
