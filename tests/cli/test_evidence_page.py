"""docs/evidence.md: every command and snippet on the page is run, in order, and prints what stands there."""

import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "evidence.md"
BLOCK = re.compile(r"(?:^`(?P<file>[\w.]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
# What is another each time: times, keys, hashes.
VARIES: Final = [
    (re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+Z)?"), "TIME"),
    (re.compile(r"\+[0-9a-f]{8}\+[\w+/=]+"), "+KEY"),
    (re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{4}…"), "HASH"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "DIGEST"),
    (re.compile(r"[\w+/]{43}="), "HASH"),
]


def settled(text: str) -> str:
    for pattern, word in VARIES:
        text = pattern.sub(word, text)
    return text


def typed(desk: Any, line: str) -> str:
    words = shlex.split(line)
    if words[0] == "cp":
        (desk.folder / words[2]).write_bytes((desk.folder / words[1]).read_bytes())
        return ""
    line, _, file = line.partition(" > ")
    shown = desk.type(line)
    assert shown.code == 0, f"{line}: {shown.err}"
    if file:
        desk.write(file, shown.out)
        return ""
    return str(shown.out)


def test_the_page_shows_what_its_commands_print(empty_desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thoth.evidence.log.HEARTBEAT_US", 10**15)  # a busy machine would add records to the page
    for block in BLOCK.finditer(PAGE.read_text("utf-8")):
        if block["file"]:
            empty_desk.write(block["file"], block["body"])
        elif block["kind"] == "python":
            exec(compile(block["body"], str(PAGE), "exec"), {})
        elif block["kind"] == "console":
            printed = ""
            for line in block["body"].splitlines():
                if line.startswith("$ "):
                    printed += f"{line}\n{typed(empty_desk, line[2:])}"
            assert settled(printed) == settled(block["body"])
