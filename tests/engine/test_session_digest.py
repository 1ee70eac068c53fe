"""Sessions of equal digests know the same, and nothing that a decision reads is left out of them."""

from collections.abc import Callable

import pytest

from thoth.contract import Ending
from thoth.engine import Engine
from thoth.engine.session import Call, Session
from thoth.native.digests import digest_of

POLICY = """
tool read(id: key string) is read yields secret
tool send(to: key string) is send
allow read as reading
block send as leak when session.labels contains secret
limit read as often to 2 calls per 1m by session else block
"""


def a_session(begun: bool = True, opened_at: float = 100.0, tenant: str | None = "t") -> Session:
    session = Session("s", opened_at, begun, tenant)
    session.let_through(Call("c1", "read", frozenset({"read"}), 101.0, pending=frozenset({"p"})), frozenset({"secret"}))
    session.ended(session.calls[0], Ending.COMPLETED, "text", frozenset({"l"}))
    session.blocked()
    session.said("hello")
    return session


def test_the_same_events_give_the_same_digests() -> None:
    assert (a_session().digest, a_session().said_digest) == (a_session().digest, a_session().said_digest)


CHANGES: list[Callable[[Session], object]] = [
    lambda s: s.blocked(),
    lambda s: s.said(""),
    lambda s: s.let_through(Call("c2", "read", None, 102.0), frozenset()),
    lambda s: s.ended(s.calls[0], Ending.FAILED, None, frozenset()),
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_event_moves_a_digest(change: Callable[[Session], object]) -> None:
    session = a_session()
    before = (session.digest, session.said_digest)
    change(session)
    assert (session.digest, session.said_digest) != before


def test_a_beginning_is_covered() -> None:
    others = [a_session(begun=False), a_session(opened_at=99.0), a_session(tenant=None)]
    assert len({session.digest for session in [a_session(), *others]}) == 4


def test_an_ending_that_is_restored_from_its_digest_moves_it_alike() -> None:
    whole, restored = a_session(), a_session()
    for session in (whole, restored):
        session.let_through(Call("c2", "read", None, 102.0), frozenset())
    whole.ended(whole.calls[1], Ending.COMPLETED, "text", frozenset({"l"}), False, frozenset({"p"}))
    told = digest_of("text")
    restored.restored(restored.calls[1], Ending.COMPLETED, told, frozenset({"l"}), False, frozenset({"p"}))
    assert (whole.digest, whole.labels, whole.doubtful) == (restored.digest, restored.labels, restored.doubtful)


@pytest.mark.parametrize("evaluator", ["native", "reference"])
def test_a_decision_names_the_session_and_the_counters_that_it_was_decided_on(evaluator: str) -> None:
    engine = Engine.from_text(POLICY, evaluator=evaluator, clock=lambda: 1000.0)  # type: ignore[arg-type]
    session, root = engine.session("s", root=engine.session("root")), engine.session("root")
    root.said("read it")
    spent = []
    for _ in range(3):
        before = session.digest
        decision = engine.decide({"tool_name": "read", "tool_args": {"id": "1"}}, session=session)
        assert (decision.session_id, decision.session_begun, decision.session_opened_at) == ("s", True, 1000.0)
        assert (decision.session_digest, decision.said_digest) == (before, root.said_digest)
        spent += [(counter.limit, counter.key, counter.spent) for counter in decision.counters]
    assert spent == [("often", "s", 0), ("often", "s", 1), ("often", "s", 2)]
    plain = engine.decide({"tool_name": "send", "tool_args": {"to": "x"}})
    assert (plain.session_id, plain.session_digest, plain.counters, plain.presented) == (None, b"", (), None)
