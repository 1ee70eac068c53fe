"""Calls under way by their ids: a table that behaves as a dict does, whatever is put in and taken out."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.native.running import Running

IDS = st.one_of(
    st.integers(1, 300).map(lambda number: f"ab-{number}"),
    st.sampled_from([1, 65, 129, 64, 128, 2**40, 10**17]).map(lambda number: f"ab-{number}"),
    st.sampled_from(["ab-0", "ab-01", "ab-", "ab", "", "cd-1", "ab-1x", "ab-é", "ab-" + "9" * 30, "AB-1"]),
)


@given(st.lists(st.tuples(st.booleans(), IDS), max_size=400))
def test_a_table_of_calls_behaves_as_a_dict(steps: list[tuple[bool, str]]) -> None:
    running: Running[Any] = Running("ab")
    known: dict[str, Any] = {}
    for add, id in steps:
        if add:
            value = object()
            running[id] = known[id] = value
        else:
            assert running.pop(id, None) is known.pop(id, None)
        assert (id in running) == (id in known)
        assert running.get(id) is known.get(id)
        assert len(running) == len(known)
    assert sorted(running) == sorted(known)
    assert all(running[id] is value for id, value in known.items())


def test_the_oldest_call_is_the_one_of_the_lowest_number() -> None:
    running: Running[int] = Running("ab")
    for number in range(1, 200):
        running[f"ab-{number}"] = number
    running["cd-7"] = 0
    assert running.oldest() == "cd-7", "what an earlier process let through is older"
    assert running.pop("cd-7") == 0
    for number in (1, 2, 4):
        assert running.pop(f"ab-{number}") == number
    assert [running.oldest(), running.pop("ab-3"), running.oldest()] == ["ab-3", 3, "ab-5"]
    running["ab-2"] = 2
    assert running.oldest() == "ab-2"
    with pytest.raises(KeyError):
        running.pop("ab-1")
    with pytest.raises(KeyError):
        running["cd-7"]


def test_forgetting_a_call_costs_no_look_at_all_others() -> None:
    """Calls that nobody reports lie in a row by the thousands; the oldest goes with each that comes."""

    def taken_s(kept: int) -> float:
        running: Running[int] = Running("ab")
        for number in range(1, kept + 1):
            running[f"ab-{number}"] = 0
        begun = time.process_time()
        for number in range(kept + 1, kept + 2_001):
            running[f"ab-{number}"] = 0
            running.pop(running.oldest())
        return time.process_time() - begun

    assert min(taken_s(100_000) for _ in range(3)) < 40 * min(taken_s(100) for _ in range(3))
