"""The table and the reference, two readings of one policy, give the same answer to everything."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.corners import CORNERS
from tests.strategies.decisions import (
    NOW,
    NOWS,
    SAID,
    approvals,
    changeable_requests,
    changing_policies,
    ledgers,
    malformed,
    policies,
    requests,
    sessions,
)
from thoth.contract import Request, admit
from thoth.engine import reference
from thoth.engine.checked import CheckedPolicy
from thoth.engine.compile import compile
from thoth.engine.decide import decide, in_full, on_result
from thoth.engine.ledger import Ledger
from thoth.engine.session import Session

EXAMPLES = settings().max_examples if settings().max_examples > 1000 else 400


@settings(max_examples=EXAMPLES)
@given(st.data(), policies(), st.lists(requests(), min_size=1, max_size=4), sessions(), NOWS)
def test_the_table_agrees_with_the_reference(
    data: st.DataObject, policy: CheckedPolicy, calls: list[Any], session: Session | None, now: float
) -> None:
    """Random policies over few names, so that conditions collide and rules overlap; answers also step by step."""
    ledger = data.draw(ledgers(policy))
    table = compile(policy)
    for call in calls:
        expected = reference.decide(policy, call, session=session, ledger=ledger, now=now)
        decided = decide(table, call, session=session, ledger=ledger, now=now)
        assert decided.facts() == expected.facts()
        assert repr(decided.args) == repr(expected.args)
        assert in_full(table, admit(call), session, ledger, now, None, "").facts() == expected.facts()
        if expected.call:
            approval = data.draw(approvals(expected))
            if ledger is not None and data.draw(st.booleans()):
                ledger.use("a1")
            expected = reference.decide(policy, call, session=session, ledger=ledger, now=now, approval=approval)
            decided = decide(table, call, session=session, ledger=ledger, now=now, approval=approval)
            assert decided.facts() == expected.facts()


@settings(max_examples=EXAMPLES)
@given(st.data(), changing_policies(), st.lists(changeable_requests(), min_size=1, max_size=4))
def test_the_table_agrees_with_the_reference_about_changed_arguments(
    data: st.DataObject, policy: CheckedPolicy, calls: list[Any]
) -> None:
    """What runs is judged again, so rules come and go between the two judgements."""
    ledger = data.draw(ledgers(policy))
    table = compile(policy)
    for call in calls:
        expected = reference.decide(policy, call, ledger=ledger, now=NOW)
        assert decide(table, call, ledger=ledger, now=NOW).facts() == expected.facts()


@pytest.mark.parametrize("corner", CORNERS)
@settings(max_examples=EXAMPLES)
@given(data=st.data(), counted=st.booleans())
def test_the_table_agrees_with_the_reference_in_corners(corner: str, data: st.DataObject, counted: bool) -> None:
    """Several things at once that have to be just so; every call is decided twice, the second time with a past."""
    policy, calls, session = data.draw(CORNERS[corner])
    ledger = Ledger() if counted else None
    table = compile(policy)
    for call in [*calls, *calls]:
        expected = reference.decide(policy, call, session=session, ledger=ledger, now=NOW)
        decided = decide(table, call, session=session, ledger=ledger, now=NOW)
        assert decided.facts() == expected.facts()
        assert repr(decided.args) == repr(expected.args)
        assert in_full(table, admit(call), session, ledger, NOW, None, "").facts() == expected.facts()
        if ledger is not None:
            for reservation in expected.reservations:
                ledger.reserve(reservation, NOW - 1, "", 86_400)
            if expected.violation is not None:
                ledger.violate(expected.violation, NOW - 61, 60)


@settings(max_examples=EXAMPLES)
@given(policies(), requests(), sessions(), NOWS, st.sampled_from([*SAID, ""]))
def test_the_table_agrees_with_the_reference_about_results(
    policy: CheckedPolicy, call: Any, session: Session | None, now: float, result: str
) -> None:
    request = admit(call)
    if isinstance(request, Request):
        expected = reference.on_result(policy, request, request.tool_args, result, session, now)
        decided = on_result(compile(policy), request, request.tool_args, result, session, now)
        assert [rule.id for rule in decided] == [rule.id for rule in expected]


@given(policies(), malformed())
def test_the_table_agrees_with_the_reference_about_what_is_no_request(policy: CheckedPolicy, call: Any) -> None:
    expected = reference.decide(policy, call, now=0.0)
    assert decide(compile(policy), call, now=0.0).facts() == expected.facts()
