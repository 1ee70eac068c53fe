"""The mistakes of authors, each file of `tests/errors` beside what its author is told, to the letter."""

from pathlib import Path

import pytest

from thoth.engine.check import check
from thoth.grammar.messages import Message, PolicyError
from thoth.grammar.parse import read_policy
from thoth.grammar.syntax import Policy

ERRORS = Path(__file__).parent.parent / "errors"
FILES = sorted(path.stem for path in ERRORS.glob("*.thoth"))


def told(name: str) -> str:
    """Return everything that the author of a file is told."""
    mistakes: list[Message] = []

    def read(path: Path, source: str) -> Policy:
        tree, found = read_policy(path.read_text("utf-8"), source)
        mistakes.extend(found)
        return tree

    def find(module: str, using: str) -> Policy | None:
        path = ERRORS / "modules" / f"{module}.thoth"
        return read(path, f"modules/{module}.thoth") if path.exists() else None

    try:
        checked = check(read(ERRORS / f"{name}.thoth", f"{name}.thoth"), find, mistakes=mistakes)
    except PolicyError as error:
        return str(error)
    return "\n".join(message.render() for message in checked.warnings)


@pytest.mark.parametrize("name", FILES)
def test_every_mistake_of_a_file_is_told_with_what_to_write_instead(name: str) -> None:
    assert told(name) == (ERRORS / f"{name}.expect").read_text("utf-8").rstrip("\n")
