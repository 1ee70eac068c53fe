"""What the matrix leaves behind: out/frameworks/NAME.json, a word for each row, from which the table is made."""

import json
import os
from pathlib import Path
from typing import Any

WORDS: dict[str, str] = {}


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or report.outcome != "passed":
        WORDS[report.nodeid.rpartition("::")[2].removeprefix("test_")] = report.outcome


def pytest_sessionfinish() -> None:
    name = os.environ.get("FRAMEWORK")
    if name:
        out = Path("out/frameworks")
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{name}.json").write_text(json.dumps(WORDS, indent=1, sort_keys=True) + "\n")
