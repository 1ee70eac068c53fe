"""What native code drafts is, byte for byte, what the plain draft says for the same salts and time."""

import hashlib
import json
import os
from dataclasses import replace
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from thoth.contract import (
    Answer,
    Approval,
    Ask,
    By,
    Counter,
    Decision,
    Effect,
    Ending,
    Mode,
    Outcome,
    Request,
    Reservation,
    Violation,
)
from thoth.evidence.browse import commitment_at
from thoth.evidence.canonical import canonical, commitment
from thoth.evidence.record import Draft, decision_draft, outcome_draft
from thoth.evidence.sheets import decision_sheet, outcome_sheet
from thoth.evidence.vault import DoesNotFit, read_box
from thoth.native.spelling import spelled
from thoth.native.tray import FIRST, LATE, WAITS, Half, SealKey, Tray

NOW_US = 1_767_614_400_123_456
KEY = SealKey("ab" * 16 + "/2026-01-05", b"bound", lambda nonce, plain, bound: plain)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = st.none() | texts
lists = st.lists(texts, max_size=4).map(tuple)

requests = st.builds(
    Request,
    tool_name=texts.filter(bool),
    tool_args=st.dictionaries(texts, values, max_size=5),
    tenant_id=names,
    agent_id=names,
    user_id=names,
    session_id=names,
    session_tool_calls=st.none() | st.lists(texts, max_size=3),
    approved_scope=st.none() | st.lists(texts, max_size=3),
    enforcement_mode=names,
    environment=names,
    purpose=names,
    metadata=st.none() | st.dictionaries(texts, values, max_size=3),
    request_id=names,
)
digests = st.binary(min_size=32, max_size=32)


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    request = draw(requests)
    args = draw(st.just(request.tool_args) | st.dictionaries(texts, values, max_size=4))
    seen = draw(st.booleans())
    return Decision(
        id=draw(texts),
        effect=draw(st.sampled_from(Effect)),
        verdict=draw(st.sampled_from(Effect)),
        by=draw(st.sampled_from(By)),
        reason_code=draw(texts),
        policy_digest=draw(st.sampled_from(["ab" * 32, ""])),
        request=request,
        now=draw(st.floats(0, 4e9)),
        mode=draw(st.sampled_from(Mode)),
        rules=draw(lists),
        rules_more=draw(st.integers(0, 5)),
        would_be=draw(lists),
        trial=draw(lists),
        risk=draw(st.integers(0, 100)),
        args=args,
        modified=args is not request.tool_args,
        lenient=draw(lists),
        asks=tuple(draw(st.lists(st.builds(Ask, texts, lists, st.integers(1, 3)), max_size=2))),
        hold_s=draw(st.none() | st.integers(0, 900)),
        retry_after_s=draw(st.none() | st.integers(0, 900)),
        tells=draw(st.sampled_from([(), (("rule", "say so"),)])),
        controls=draw(lists),
        regimes=draw(lists),
        reservations=draw(
            st.sampled_from([(), (Reservation("daily", "=x", Fraction(5, 2)), Reservation("a", "x", 1))])
        ),
        violation=draw(st.sampled_from([None, Violation(("t", "a", "u"), "cd" * 32)])),
        call=draw(st.sampled_from(["", "ef" * 32])),
        approval=draw(st.sampled_from(["", "approval-1"])),
        problem=draw(texts),
        session_id=draw(names) if seen else None,
        session_begun=draw(st.booleans()),
        session_opened_at=draw(st.floats(0, 4e9)),
        session_digest=draw(digests) if seen else b"",
        said_digest=draw(digests) if seen else b"",
        counters=draw(st.sampled_from([(), (Counter("daily", "=x", Fraction(1, 3)), Counter("mode", "", None))])),
        presented=draw(st.sampled_from([None, Approval("a", "b", 5.5, (Answer("s", "boss", "eve"),), "d")])),
    )


outcomes = st.builds(
    Outcome,
    decision_id=texts,
    ending=st.sampled_from(Ending),
    result=values,
    withheld=st.booleans(),
    rules=lists,
    labels=lists,
    heard=st.sampled_from(["", "ab" * 32]),
    part=st.booleans(),
    perhaps=lists,
    late=st.booleans(),
)


def plain(draft: Draft, half: Half, result: Any = None) -> bytes:
    """The plain draft with the salts that the native one drew."""
    box = bytes(half.sealed())[36:] if half.box_count else b""
    salts = read_box(box)
    assert salts.keys() == draft.secrets.keys()
    body = draft.body
    for path, (_, value) in draft.secrets.items():
        assert salts[path][1] == value
        spelling = value or canonical(result)
        digest = commitment(salts[path][0], path, spelling)
        group, _, name = path.partition(".")
        if isinstance(body[group], str):
            body[group] = digest
        else:
            body[group] = [[key, digest if key == name else old] for key, old in body[group]]
    if salts:
        body["sealed"] = {"box": bytes(half.sealed())[8:24].hex(), "key": KEY.name}
    body |= {"at_us": NOW_US, "recording": "async"}
    return draft.encode()


def drafted(sheet: Any, main: Any, request: Any, shown: Any = None, keep: bool = True, key: Any = KEY) -> Half | None:
    tray = Tray(lambda count: bytes(range(256)) * (count // 256), 100, 1_000_000)
    ticket = sheet.draft(tray, main, request, key, NOW_US, shown, keep)
    assert ticket in (0, 1 << 2 | FIRST)
    half = tray.take()
    assert half.count == (1 if ticket else 0)
    return half if ticket else None


REQUEST = Request(tool_name="pay", tool_args={"amount": 1.5, "to": "ACME"}, tenant_id="acme", user_id="ann")
DECISION = Decision(
    id="d-1", effect=Effect.ALLOW, verdict=Effect.ALLOW, by=By.RULE, reason_code="allowed_by_policy",
    policy_digest="ab" * 32, request=REQUEST, now=1_767_614_400.0, rules=("all",), args=REQUEST.tool_args,
)  # fmt: skip
NAMELESS = msgspec.structs.replace(
    REQUEST, tool_args={"": 1, ".": 2, "a": {"": {"": []}}}, metadata={"": ""}, session_tool_calls=[""]
)
NAMELESS_DECISION = replace(DECISION, request=NAMELESS, args={"": 2, ".": 2, "..": None}, modified=True)
NAMELESS_OUTCOME = Outcome("d-1", Ending.COMPLETED, {"": {"": [""]}})


@given(decisions(), st.frozensets(texts, max_size=3))
@example(NAMELESS_DECISION, frozenset())
@example(replace(NAMELESS_DECISION, args={"": 2}), frozenset(["."]))
def test_a_decision_is_drafted_as_the_plain_draft_says(decision: Decision, shown: frozenset[str]) -> None:
    assert decision.request is not None
    shown |= frozenset(list(decision.request.tool_args)[:1])
    half = drafted(decision_sheet("build 1", "async"), decision, decision.request, shown)
    if half is not None:
        assert half.body(0) == plain(decision_draft(decision, shown=shown, engine="build 1"), half)


@given(outcomes, requests, st.booleans())
@example(NAMELESS_OUTCOME, NAMELESS, True)
@example(NAMELESS_OUTCOME, NAMELESS, False)
def test_an_outcome_is_drafted_as_the_plain_draft_says(outcome: Outcome, request: Request, keep: bool) -> None:
    half = drafted(outcome_sheet("async"), outcome, request, keep=keep)
    if half is not None:
        assert half.body(0) == plain(outcome_draft(outcome, request, keep_result=keep), half, outcome.result)


@given(values)
def test_a_value_is_spelled_as_the_plain_code_spells_it(value: Any) -> None:
    assert spelled(value) in (None, canonical(value))


@pytest.mark.parametrize(
    "value",
    [0.1, -0.0, 25.0, 1e15, 123456789.125, 1 << 80, -5, 'é\u2028"\\\n\x00\x1f\x7f', {"b": [1, {}], "a": ()}, {}],
)
def test_what_is_common_is_spelled_natively(value: Any) -> None:
    assert spelled(value) == canonical(value)


@pytest.mark.parametrize(
    "value", [1e16, 1e-7, float("nan"), float("inf"), "\ud800", {"é": 1}, {1: 2}, object(), b"", {"a": object()}]
)
def test_what_is_rare_is_left_to_the_plain_code(value: Any) -> None:
    assert spelled(value) in (None, b'""')  # bytes are a matter of records alone


SHEET = decision_sheet("build 1", "async")


@pytest.mark.parametrize(
    "change",
    [
        {"rules": ("x" * 201,)},
        {"rules": tuple(map(str, range(33)))},
        {"request": msgspec.structs.replace(REQUEST, tool_args={"x" * 201: 1})},
        {"request": msgspec.structs.replace(REQUEST, tool_args={str(n): 1 for n in range(129)})},
        {"request": msgspec.structs.replace(REQUEST, agent_id=["not", "a", "text"])},
        {"asks": (Ask("x" * 201, ("boss",), 1),)},
        {"session_digest": bytes(32), "session_id": "another than the request's"},
    ],
)
def test_what_has_to_be_shortened_is_left_to_the_plain_code(change: dict[str, Any]) -> None:
    decision = replace(DECISION, **change)
    assert drafted(SHEET, decision, decision.request) is None


def test_what_is_too_long_in_clear_is_left_to_the_plain_code() -> None:
    request = msgspec.structs.replace(REQUEST, tool_args={"to": "x" * 2_000})
    assert drafted(SHEET, replace(DECISION, request=request), request, {"to"}) is None
    assert drafted(SHEET, DECISION, {"not": "a request"}) is None
    assert drafted(SHEET, object(), REQUEST) is None


def test_an_argument_without_a_name_has_a_path_of_its_own() -> None:
    half = drafted(SHEET, NAMELESS_DECISION, NAMELESS)
    assert half is not None
    paths = read_box(bytes(half.sealed())[36:]).keys()
    assert {path for path in paths if path.startswith(("args", "ran"))} == {
        "args.",
        "args..",
        "args.a",
        "ran.",
        "ran...",
    }
    body = json.loads(half.body(0))
    assert [name for name, _ in body["args"]] == ["", ".", "a"]
    for path, (salt, value) in read_box(bytes(half.sealed())[36:]).items():
        assert commitment_at(body, path) == commitment(salt, path, value)
    for path in ("args", "ran", "args.b", "request"):
        with pytest.raises(DoesNotFit):
            commitment_at(body, path)


def test_names_that_are_spelled_alike_are_folded_into_one() -> None:
    request = msgspec.structs.replace(REQUEST, tool_args={chr(0xD800): 1, chr(0xD801): 2})
    draft = decision_draft(replace(DECISION, request=request, args=request.tool_args))
    assert draft.secrets.keys() == {"args"}
    assert commitment_at(draft.body, "args") == draft.body["args"]["*"]
    assert drafted(SHEET, replace(DECISION, request=request), request) is None


def test_without_a_key_values_are_committed_to_and_not_kept() -> None:
    half = drafted(SHEET, DECISION, REQUEST, key=None)
    assert half is not None
    assert half.box_count == 0
    body = json.loads(half.body(0))
    assert "sealed" not in body
    assert [name for name, _ in body["args"]] == ["amount", "to"]


def test_no_two_values_have_the_same_salt() -> None:
    tray = Tray(lambda count: b"".join(hashlib.sha256(bytes([n])).digest() for n in range(256)), 10_000, 10**12)
    for _ in range(60):
        assert SHEET.draft(tray, DECISION, REQUEST, KEY, NOW_US, None, True)
    half, found, at = tray.take(), set(), 0
    boxes = bytes(half.sealed())
    while at < len(boxes):
        length = int.from_bytes(boxes[at + 4 : at + 8], "little")
        found |= {salt for salt, _ in read_box(boxes[at + 36 : at + 36 + length]).values()} | {boxes[at + 8 : at + 24]}
        at += 36 + length
    assert len(found) == 60 * 3


def test_what_is_taken_out_later_has_other_salts() -> None:
    tray = Tray(os.urandom, 10_000, 10**12)
    boxes = []
    for _ in range(3):
        assert SHEET.draft(tray, DECISION, REQUEST, KEY, NOW_US, None, True)
        boxes.append(bytes(tray.take().sealed()))
    assert len({box[8:36] for box in boxes}) == 3
    assert len({salt for box in boxes for salt, _ in read_box(box[36:]).values()}) == 6


@pytest.mark.parametrize("length", [4_093, 4_094, 4_095, 100_000])
def test_a_long_value_is_committed_to_as_a_short_one_is(length: int) -> None:
    request = msgspec.structs.replace(REQUEST, tool_args={"a": 1, "long": "x" * length, "z": 2})
    decision = replace(DECISION, request=request, args=request.tool_args)
    half = drafted(SHEET, decision, request)
    assert half is not None
    assert half.body(0) == plain(decision_draft(decision, engine="build 1"), half)


def test_whoever_puts_a_record_in_hears_what_to_do() -> None:
    tray = Tray(bytes, 2, 1_000)
    said = [tray.put(b"{}", None, None, at) & 3 for at in (10, 20, 30, 2_000)]
    assert said == [FIRST, WAITS, LATE, LATE]
    assert tray.put(b"{}", None, None, 1_999) == 0, "a record is never older than the one before it"
    half = tray.take()
    assert (half.count, half.first_us, half.last_us, half.first_ticket, tray.tickets) == (4, 10, 2_000, 1, 4)
    tray.give_back(half)
    assert tray.put(b"{}", None, None, 3_000) == 5 << 2 | FIRST


def test_a_clock_that_went_far_back_is_left_to_the_plain_code() -> None:
    tray = Tray(bytes, 100, 10**12)
    tray.begin(NOW_US + 1_000_001)
    assert SHEET.draft(tray, DECISION, REQUEST, KEY, NOW_US, None, True) == 0
    assert SHEET.draft(tray, DECISION, REQUEST, KEY, NOW_US + 1, None, True)
    assert json.loads(tray.take().body(0))["at_us"] == NOW_US + 1_000_001
