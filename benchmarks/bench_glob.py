"""One glob against one text, called from Python.

Flatters: the same two strings every time, warm in the cache. Leaves out: reading the text out of a request. `worst`
is what an attacker would choose: every star tried at every place.
"""

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from thoth.native.glob import match_glob


@pytest.mark.parametrize(
    ("pattern", "text", "holds"),
    [
        pytest.param("*@acme.com", "ada.lovelace@acme.com", True, id="suffix"),
        pytest.param("db.*", "db.read_invoice", True, id="prefix"),
        pytest.param("*" + "a" * 50 + "b", "a" * 1_000, False, id="worst"),
    ],
)
def test_match_glob(benchmark: BenchmarkFixture, pattern: str, text: str, holds: bool) -> None:
    measured: Callable[[str, str], bool] = match_glob
    assert benchmark(measured, pattern, text) is holds
