"""Every example of docs/language.md: policies are checked, their tests are run, mistakes are told word for word."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from thoth.engine.check import check
from thoth.engine.testing import Evaluators, run_tests
from thoth.grammar import PolicyError, parse
from thoth.grammar.parse import read_policy

PAGE = Path(__file__).parent.parent.parent / "docs" / "language.md"
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES_MIN = 25


@dataclass(frozen=True)
class Block:
    """One fenced block, the line on which it starts, and the heading above it."""

    kind: str
    text: str
    line: int
    heading: str

    @property
    def name(self) -> str:
        return f"{self.heading} (line {self.line})"


def blocks() -> list[Block]:
    page = PAGE.read_text("utf-8")
    found = []
    for match in FENCE.finditer(page):
        before = page[: match.start()]
        heading = re.findall(r"^#+ (.*)$", before, re.MULTILINE)[-1]
        found.append(Block(match[1], match[2], before.count("\n") + 1, heading))
    return found


BLOCKS = blocks()
POLICIES = [block for block in BLOCKS if block.kind == "thoth"]
MISTAKES = [(one, two) for one, two in pairwise(BLOCKS) if one.kind == "thoth-error"]


def names(found: list[Block]) -> list[str]:
    return [block.name for block in found]


@pytest.mark.parametrize("evaluator", ["reference", "native"])
@pytest.mark.parametrize("block", POLICIES, ids=names(POLICIES))
def test_an_example_is_a_policy_whose_tests_pass(block: Block, evaluator: Evaluators) -> None:
    policy = check(parse(block.text, "policy.thoth")).policy
    for result in run_tests(policy, evaluator):
        assert result.passed, f"{result.test.name}: {result.failures}\n{result.explanation}"


def told(text: str) -> str:
    """Return everything that the author of a text is told."""
    tree, mistakes = read_policy(text, "policy.thoth")
    with pytest.raises(PolicyError) as raised:
        check(tree, mistakes=mistakes)
    return str(raised.value)


@pytest.mark.parametrize(("block", "message"), MISTAKES, ids=names([block for block, _ in MISTAKES]))
def test_a_mistake_is_told_as_the_page_says(block: Block, message: Block) -> None:
    assert message.kind == "text"
    assert told(block.text) == message.text.rstrip("\n")


def test_the_page_holds_examples_of_everything() -> None:
    assert len(POLICIES) + len(MISTAKES) >= EXAMPLES_MIN
    assert {block.kind for block in BLOCKS} == {"thoth", "thoth-error", "text"}
