"""docs/replay.md: what it shows is what happens."""

import io
import json
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from thoth.cli import main

HOUSE = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(
    r"^```(\w+)(?: (\S+))?\n(.*?)^```", (HOUSE / "docs/replay.md").read_text(), re.MULTILINE | re.DOTALL
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the checkout, with the files that the page shows."""
    (tmp_path / "examples").symlink_to(HOUSE / "examples")
    for _, name, text in BLOCKS:
        if name:
            (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_print_what_the_page_shows(folder: Path) -> None:
    shown = [text for kind, _, text in BLOCKS if kind == "console"]
    assert len(shown) == 2
    for text in shown:
        command, _, output = text.partition("\n")
        printed = io.StringIO()
        with redirect_stdout(printed):
            assert main(shlex.split(command.removeprefix("$ thoth "))) == 0
        assert printed.getvalue() == output
    (line,) = [text for kind, _, text in BLOCKS if kind == "json"]
    assert line in (folder / "decisions.jsonl").read_text()
    assert json.loads(line)


@pytest.mark.usefixtures("folder")
def test_the_program_on_the_page_runs() -> None:
    (program,) = [text for kind, _, text in BLOCKS if kind == "python"]
    exec(compile(program, "docs/replay.md", "exec"), {})
