"""What is on the way of every search touches no Python object: read from the C code that Cython makes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "native"
HOT = {
    "table": [
        "Walk_search", "Walk_take", "Walk_take_span", "Walk_look_up", "Walk_look_up_one", "Walk_settle", "Walk_push",
        "Walk_push_run", "Walk_make_room", "Walk_open", "Walk_renew",
    ],
    "slots": [
        "answer_of", "one_answer", "seek", "approach", "settled", "entry_of", "beginning_of", "segment_of", "compared",
        "parted", "glob_fits", "glob_covers", "plain_folder", "below", "accepted", "key_of", "ordered", "begins",
        "same", "is_text", "real_of",
    ],
    "sweep": ["Sweep_run", "Sweep_note"],
    "arena": [
        "wrong_in", "inside", "rows_stand", "numbers_stand", "hashed", "rows_in", "run_stands", "entries_stand",
        "beginnings_stand", "tree_stands",
    ],
    "cells": [
        "Cells_run", "Cells_decide", "Cells_weigh", "Cells_note", "Cells_planned", "read_cell", "read_one", "read_text",
        "read_real", "fits", "there",
    ],
    "answer": ["Answers_settled"],
}  # fmt: skip
PYTHON = re.compile(
    r"\b(?:_?Py[A-Z]\w*|__Pyx_(?:Py\w*|GetItem\w*|Raise\w*|AddTraceback|Import\w*|X?(?:INC|DEC|GOT)REF))\b"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay the declarations out as Cython looks for them."""
    folder = tmp_path_factory.mktemp("c")
    package = folder / "thoth" / "native"
    package.mkdir(parents=True)
    for inner in (package.parent, package):
        (inner / "__init__.pxd").touch()
    for pxd in NATIVE.glob("*.pxd"):
        (package / pxd.name).write_text(pxd.read_text())
    return folder


@pytest.mark.parametrize("module", HOT)
def test_no_function_of_the_search_calls_into_python(module: str, folder: Path) -> None:
    made = folder / f"{module}.c"
    directives = [
        "-X",
        "boundscheck=False",
        "-X",
        "wraparound=False",
        "-X",
        "initializedcheck=False",
        "-X",
        "cdivision=True",
    ]
    command = [
        sys.executable,
        "-m",
        "cython",
        "-3",
        "-I",
        str(folder),
        "--module-name",
        f"thoth.native.{module}",
        *directives,
    ]
    subprocess.run([*command, "-o", str(made), str(NATIVE / f"{module}.pyx")], check=True, capture_output=True)
    code = re.sub(r"/\*.*?\*/", "", made.read_text(), flags=re.DOTALL)
    for name in HOT[module]:
        bodies = re.findall(
            rf"^static [^;{{}}]*__pyx_f_5thoth_6native_\d+{module}_(?:\d+)?{name}\([^;{{}}]*\) {{\n(.*?)^}}",
            code,
            re.MULTILINE | re.DOTALL,
        )
        assert len(bodies) == 1, f"{name}: {len(bodies)} of it"
        assert PYTHON.findall(bodies[0]) == [], name
