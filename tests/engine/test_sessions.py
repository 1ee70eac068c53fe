"""Sessions come and go for as long as a process lives: what it knows of those that are gone takes hardly any memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.contract import Effect
from thoth.engine import Engine
from thoth.engine.forgotten import Forgotten


@given(st.lists(st.text(), max_size=200))
def test_what_was_forgotten_is_never_taken_for_new(texts: list[str]) -> None:
    forgotten = Forgotten()
    for text in texts:
        forgotten.add(text)
    assert all(text in forgotten for text in texts)
    assert texts or "" not in forgotten


def test_few_that_are_new_are_taken_for_forgotten_and_each_takes_four_bytes_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("thoth.engine.forgotten.BYTES_FIRST", 1 << 12)
    forgotten = Forgotten()
    assert "new" not in forgotten
    for number in range(50_000):
        forgotten.add(f"gone-{number}")
        forgotten.add(f"gone-{number // 2}")
    assert sum(f"new-{number}" in forgotten for number in range(20_000)) < 120, "five filters, once in a thousand each"
    assert all(f"gone-{number}" in forgotten for number in range(50_000))
    assert sum(map(len, forgotten._filters)) < 4 * 50_000


def test_a_session_that_was_pushed_out_is_continued_and_not_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thoth.engine.sessions.SESSIONS_MAX", 2)
    engine = Engine.from_text("allow * as all")
    assert [engine.session(id).begun for id in ("a", "b", "c")] == [True] * 3
    assert [session.id for session in engine.sessions()] == ["c", "b"]
    assert not engine.session("a").begun
    assert engine.session("d").begun


def test_a_session_with_a_very_long_id_is_kept_nowhere_and_known_of_nothing() -> None:
    engine = Engine.from_text("allow * as all\nblock pay as often when session.blocks > 3\n")
    asked = {"tool_name": "pay", "tool_args": {}, "agent_id": "bot", "session_tool_calls": ["pay"]}
    assert engine.decide({**asked, "session_id": "x" * 512}).effect == Effect.ALLOW
    assert engine.decide({**asked, "session_id": "x" * 513}).effect == Effect.BLOCK, "it is not known how often"
    assert [len(session.id) for session in engine.sessions()] == [512]
