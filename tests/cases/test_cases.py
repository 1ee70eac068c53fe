"""Every golden case, on every path through the house."""

import pytest

from thoth.contract import Decision

from .run import Case, decide, differences, read

CASES = read()


def check(case: Case, decision: Decision) -> None:
    differing = differences(case, decision)
    assert not differing, "\n".join(f"{name}: expected {e!r}, said {s!r}" for name, (e, s) in differing.items())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_reference_decides_as_the_case_says(case: Case) -> None:
    check(case, decide(case))
