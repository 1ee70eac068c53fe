"""Every golden case over a live socket: what comes back is what the table says, in full."""

from collections.abc import Iterator
from typing import Any

import pytest

from thoth.contract import Decision
from thoth.engine import checked as c

from .run import Case, by_table, decide, differences, read
from .socket_path import SocketPath, payload_of

CASES = read()
DECIDED_ON = {
    *("session_id", "session_begun", "session_opened_at", "session_digest"),
    *("said_digest", "counters", "presented"),
}


@pytest.fixture(scope="module")
def path() -> Iterator[SocketPath]:
    path = SocketPath()
    yield path
    path.close()


@pytest.mark.xdist_group("socket-cases")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_sidecar_decides_as_the_case_says_and_the_table_in_full(case: Case, path: SocketPath) -> None:
    payload, flags = payload_of(case.document)

    def by_socket(policy: c.CheckedPolicy, given: object, /, **around: Any) -> Decision:
        return path.decide(policy, payload, flags, **around)

    decision = decide(case, by_table, by_socket)
    assert not differences(case, decision)
    assert answer(decision) == answer(decide(case, by_table))


def answer(decision: Decision) -> dict[str, Any]:
    """What is answered: all that was decided; what it was decided on stays with the engine and its evidence."""
    return {name: fact for name, fact in decision.facts().items() if name not in DECIDED_ON}
