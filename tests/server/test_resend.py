"""What was answered lately is remembered for a while, in so many bytes, and what was not is not made up."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.native.replies import Replies, digest_of
from thoth.server.repeats import REPEAT_S, Repeats


@given(st.lists(st.integers(0, 60), max_size=80))
def test_replies_keep_the_last_that_have_room(sizes: list[int]) -> None:
    replies = Replies(16, 100)
    for id, size in enumerate(sizes, 1):
        replies.keep(id, digest_of(b"%d" % id), b"x" * size, 0.0)
    kept = [id for id in range(1, len(sizes) + 1) if replies.find(id) is not None]
    assert kept == list(range(len(sizes) - len(kept) + 1, len(sizes) + 1)), "the last ones"
    assert replies.kept_bytes == sum(sizes[id - 1] for id in kept) <= 100
    assert len(replies) == len(kept) <= 16
    if len(kept) < min(16, len(sizes)):
        assert replies.kept_bytes + sizes[kept[0] - 2] > 100, "one more would have been too much"
    assert replies.forgotten == len(sizes) - len(kept)


def test_an_answer_that_is_larger_than_all_that_is_kept_is_kept_alone() -> None:
    replies = Replies(16, 100)
    for id, size in enumerate((50, 1_000, 50), 1):
        replies.keep(id, digest_of(b""), b"x" * size, 0.0)
        assert replies.find(id) is not None
        assert len(replies) == 1


class Asked:
    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []

    def answer(self, *answer: Any) -> None:
        self.answers.append(answer)


def test_a_request_that_comes_again_is_given_the_one_answer() -> None:
    repeats, early, late = Repeats(), Asked(), Asked()
    first = repeats.begin("key:a", "r", b"d", 1.0)
    assert repeats.find("key:a", "r", 2.0) is first
    assert repeats.find("key:b", "r", 2.0) is None
    first.tell(early)  # type: ignore[arg-type]
    assert early.answers == []
    first.answered(200, b"yes")
    first.tell(late)  # type: ignore[arg-type]
    assert early.answers == late.answers == [(200, b"yes")]
    assert repeats.find("key:a", "r", 1.0 + REPEAT_S) is first
    assert repeats.find("key:a", "r", 1.1 + REPEAT_S) is None


def test_repeats_are_bounded_by_number_bytes_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thoth.server.repeats.REPEATS_MAX", 4)
    monkeypatch.setattr("thoth.server.repeats.REPEAT_BYTES_MAX", 100)
    repeats = Repeats()
    made = [repeats.begin("a", f"{number}", b"", 1.0) for number in range(6)]
    assert [repeats.find("a", f"{number}", 1.0) for number in range(6)] == [None, None, *made[2:]]
    made[0].answered(200, b"x" * 90)  # it is forgotten, and takes no room from the others
    for one in made[2:]:
        one.answered(200, b"x" * 30)
    assert [repeats.find("a", f"{number}", 1.0) for number in range(6)] == [None, None, None, *made[3:]]
    again = repeats.begin("a", "4", b"", 2.0)
    assert repeats.find("a", "4", 2.0) is again
    assert repeats.find("a", "3", 2.0) is made[3]
    repeats.begin("a", "new", b"", 1.5 + REPEAT_S)
    assert repeats.find("a", "3", 1.0) is None, "what is too old goes when something comes"
    assert repeats._bytes == 0
