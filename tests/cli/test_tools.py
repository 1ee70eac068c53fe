"""`thoth tools import` writes lines that a policy can begin with, and says what it left out."""

import gzip
import json
from pathlib import Path

import pytest

from thoth.cli import main
from thoth.grammar import parse

LIST = {
    "tools": [
        {
            "name": "send",
            "inputSchema": {
                "type": "object",
                "properties": {"to": {"type": "string", "format": "email"}, "n": {"type": "integer", "minimum": 1}},
                "required": ["to"],
            },
            "annotations": {"readOnlyHint": False},
        }
    ]
}
LINE = "tool send(to: email, n?: int) is write\n"


def written(folder: Path, content: bytes) -> str:
    """Return the name of a file of this content."""
    (folder / "tools.json").write_bytes(content)
    return str(folder / "tools.json")


@pytest.mark.parametrize("packed", [False, True])
def test_tools_go_to_stdout_and_notes_to_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], packed: bool
) -> None:
    content = json.dumps(LIST).encode()
    assert main(["tools", "import", written(tmp_path, gzip.compress(content, mtime=0) if packed else content)]) == 0
    out, err = capsys.readouterr()
    assert out == LINE
    assert err == "note: `send`, argument `n`: `minimum` is not carried over\n"


def test_an_environment_makes_a_group_and_o_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, json.dumps(LIST).encode())
    assert main(["tools", "import", file, "--env", "prod", "-o", str(tmp_path / "out.thoth")]) == 0
    assert (tmp_path / "out.thoth").read_text() == f"for env prod {{\n    {LINE}}}\n"
    assert parse((tmp_path / "out.thoth").read_text()).items
    assert capsys.readouterr().out == f"{tmp_path / 'out.thoth'}: 1 tool\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"),
        (b"[]", "the list of tools is empty"),
        (b"\x1f\x8bno", "cannot be unpacked"),
        (gzip.compress(b"[1, 2, 3]", mtime=0)[:-9], "ends in the middle"),
    ],
)
def test_what_is_no_tool_list_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    assert main(["tools", "import", written(tmp_path, content)]) == 2
    assert said in capsys.readouterr().err


def test_help_teaches_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tools", "--help"]) == 0
    assert "thoth tools import tools.json" in capsys.readouterr().out
