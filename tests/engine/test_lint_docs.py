"""The page about findings is true: its first example has the finding, its second has not."""

import re
from pathlib import Path

import pytest

from thoth.engine.analyse import CHECKER_CODES, CODES, analyse
from thoth.engine.check import check
from thoth.engine.testing import Coverage, run_tests
from thoth.grammar import parse

PAGE = Path(__file__).parents[2] / "docs" / "lint.md"
TOOLS = """
tool send_email(to: list of key email, body: string, amount?: number) is send
tool read_note(id: id) is read
"""
SECTIONS = dict(re.findall(r"^### `([a-z-]+)`\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL))


def codes(text: str) -> set[str]:
    """Return the codes of all findings about a text, its tests run."""
    tree = parse(TOOLS + text)
    checked = check(tree)
    coverage = Coverage()
    run_tests(checked.policy, "reference", coverage)
    found = analyse(checked.policy, [tree], now=1_767_614_400.0, coverage=coverage, warnings=checked.warnings)
    return {message.code for message in found}


@pytest.mark.parametrize("code", SECTIONS)
def test_the_first_example_has_the_finding_and_the_second_has_not(code: str) -> None:
    wrong, right = re.findall(r"^```thoth\n(.*?)^```$", SECTIONS[code], re.MULTILINE | re.DOTALL)
    assert code in codes(wrong)
    assert code not in codes(right)


def test_every_code_has_its_place_on_the_page() -> None:
    assert set(SECTIONS) >= set(CODES)
    for code in CHECKER_CODES:
        assert f"`{code}`" in PAGE.read_text()
