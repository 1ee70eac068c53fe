"""The mistakes of authors, each file of `tests/errors` beside what its author is told, to the letter."""

from pathlib import Path

import pytest

from thoth.engine.check import check
from thoth.grammar.messages import PolicyError
from thoth.grammar.parse import parse
from thoth.grammar.syntax import Policy

ERRORS = Path(__file__).parent.parent / "errors"
FILES = sorted(path.stem for path in ERRORS.glob("*.thoth"))


def find(name: str, using: str) -> Policy | None:
    """Find the modules of the corpus."""
    path = ERRORS / "modules" / f"{name}.thoth"
    return parse(path.read_text("utf-8"), f"modules/{name}.thoth") if path.exists() else None


def told(name: str) -> str:
    """Return everything that the author of a file is told."""
    try:
        checked = check(parse((ERRORS / f"{name}.thoth").read_text("utf-8"), f"{name}.thoth"), find)
    except PolicyError as error:
        return str(error)
    return "\n".join(message.render() for message in checked.warnings)


@pytest.mark.parametrize("name", FILES)
def test_every_mistake_of_a_file_is_told_with_what_to_write_instead(name: str) -> None:
    assert told(name) == (ERRORS / f"{name}.expect").read_text("utf-8").rstrip("\n")
