"""What a record holds, what it never holds, and how it is spelled."""

import json
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.contract import (
    Answer,
    Approval,
    By,
    Counter,
    Decision,
    Effect,
    Ending,
    Outcome,
    Request,
    Reservation,
    Violation,
)
from thoth.evidence.canonical import INTEGER_MAX, assert_profile, canonical, commitment, encode_body
from thoth.evidence.record import BODY_BYTES_MAX, Draft, approval_draft, day_of, decision_draft, outcome_draft

REQUEST = Request(
    tool_name="bank.transfer",
    tool_args={"amount": 1000.01, "to": "eve@evil.example", "note": "rent"},
    tenant_id="acme",
    agent_id="bot",
    user_id="ann",
    session_id="s1",
    environment="prod",
    purpose="pay the rent of April",
    session_tool_calls=["bank.transfer"],
    metadata={"trace": "t-77"},
    request_id="r-1",
)
DECISION = Decision(
    id="d-1",
    effect=Effect.STEP_UP,
    verdict=Effect.STEP_UP,
    by=By.RULE,
    reason_code="step_up_required",
    policy_digest="ab" * 32,
    request=REQUEST,
    now=1_700_000_000.25,
    rules=("large",),
    call="cd" * 32,
    problem="`to` is eve@evil.example",
    reservations=(Reservation("daily", "eve@evil.example", 1000),),  # type: ignore[arg-type]
    violation=Violation(("acme", "bot", "ann"), "ef" * 32),
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("number", "spelled"),
    # RFC 8785, appendix B
    [
        (0.0, "0"), (-0.0, "0"), (5e-324, "5e-324"), (-5e-324, "-5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"), (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"), (1e23, "1e+23"),
        (1.0000000000000001e23, "1.0000000000000001e+23"),
        (999999999999999700000.0, "999999999999999700000"), (999999999999999900000.0, "999999999999999900000"),
        (1e21, "1e+21"), (9.999999999999997e-7, "9.999999999999997e-7"), (0.000001, "0.000001"),
        (333333333.3333332, "333333333.3333332"), (-0.0000033333333333333333, "-0.0000033333333333333333"),
        (1424953923781206.2, "1424953923781206.2"),
    ],
)  # fmt: skip
def test_numbers_are_spelled_as_the_standard_spells_them(number: float, spelled: str) -> None:
    assert canonical(number).decode() == spelled


@given(json_values)
def test_a_spelling_is_json_and_the_only_one(value: Any) -> None:
    assert canonical(json.loads(canonical(value))) == canonical(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_the_same_double(number: float) -> None:
    assert math.copysign(1, number or 1.0) == math.copysign(1, float(canonical(number)) or 1.0)
    assert float(canonical(number)) == number


@given(st.dictionaries(st.text(max_size=8), st.integers(), max_size=6))
def test_the_order_of_members_makes_no_difference(members: dict[str, int]) -> None:
    assert canonical(members) == canonical(dict(reversed(members.items())))


def test_halves_of_characters_and_what_is_no_json_never_raise() -> None:
    assert canonical("a\ud800b") == '"a\ufffdb"'.encode()
    assert canonical({"\ud800": float("nan"), "o": object}) is not None


def test_a_decision_record_names_who_what_and_why() -> None:
    body = decision_draft(DECISION, engine="thoth 1").body
    assert {name: body[name] for name in ("tenant", "principal", "agent", "session", "tool", "request_id")} == {
        "tenant": "acme",
        "principal": "ann",
        "agent": "bot",
        "session": "s1",
        "tool": "bank.transfer",
        "request_id": "r-1",
    }
    assert (body["effect"], body["verdict"], body["by"], body["rules"]) == ("STEP_UP", "STEP_UP", "rule", ["large"])
    assert body["policy_digest"] == "ab" * 32
    assert body["engine"] == "thoth 1"
    assert body["decided_us"] == 1_700_000_000_250_000
    assert body["limits"] == ["daily"]


def test_what_a_decision_was_decided_on_is_committed_to_and_sealed() -> None:
    answer = Answer("large", "treasury", "bob@acme.com")
    decision = replace(
        DECISION,
        session_id="root",
        session_begun=False,
        session_opened_at=1_700_000_000.0,
        session_digest=bytes(range(32)),
        said_digest=bytes(32),
        counters=(Counter("daily", "eve@evil.example", Fraction(1, 2)), Counter("mode", "", None)),
        presented=Approval("a-1", "cd" * 32, 1_700_000_060.5, (answer,), "d-0"),
    )
    draft = decision_draft(decision)
    assert (draft.body["decided_in"], draft.body["session_begun"]) == ("root", False)
    assert draft.body["session_opened_us"] == 1_700_000_000_000_000
    kept = {path: json.loads(value) for path, (_, value) in draft.secrets.items() if path.startswith("decision.")}
    assert kept["decision.session"] == [bytes(range(32)).hex(), "00" * 32]
    assert kept["decision.counters"] == [["daily", "eve@evil.example", "1/2"], ["mode", "", None]]
    assert kept["decision.presented"] == {
        "id": "a-1",
        "call": "cd" * 32,
        "expires": 1_700_000_060.5,
        "answers": [["large", "treasury", "bob@acme.com", True]],
        "reservations": "d-0",
    }
    assert bytes(range(32)).hex() not in draft.encode().decode()


def test_no_value_of_a_caller_is_in_the_record() -> None:
    body = decision_draft(DECISION).encode().decode()
    for secret in ("1000.01", "eve@evil.example", "rent", "t-77", "cd" * 32, "ef" * 32):
        assert secret not in body


def test_every_argument_and_request_field_can_be_checked_against_its_commitment() -> None:
    draft = decision_draft(DECISION)
    for name, digest in draft.body["args"]:
        salt, value = draft.secrets[f"args.{name}"]
        assert value == canonical(REQUEST.tool_args[name])
        assert commitment(salt, f"args.{name}", value) == digest
    assert [name for name, _ in draft.body["request"]] == ["metadata", "purpose", "session_tool_calls"]


def test_the_same_value_never_has_the_same_commitment_twice() -> None:
    assert decision_draft(DECISION).body["args"] != decision_draft(DECISION).body["args"]


def test_an_argument_declared_shown_is_in_clear_and_no_other() -> None:
    draft = decision_draft(DECISION, shown={"note"})
    assert draft.body["shown"] == [["args.note", '"rent"']]
    assert [name for name, _ in draft.body["args"]] == ["amount", "to"]


def test_an_argument_that_has_the_name_of_a_request_field_does_not_show_the_field() -> None:
    request = msgspec.structs.replace(REQUEST, tool_args={"purpose": "x"})
    draft = decision_draft(replace(DECISION, request=request), shown={"purpose"})
    assert draft.body["shown"] == [["args.purpose", '"x"']]


def test_arguments_that_were_changed_are_committed_to_as_they_ran() -> None:
    ran = {"amount": 500, "to": "eve@evil.example"}
    draft = decision_draft(replace(DECISION, effect=Effect.MODIFY, modified=True, args=ran))
    assert [name for name, _ in draft.body["ran"]] == ["amount"]
    assert draft.body["dropped"] == ["note"]


def test_the_subject_is_the_user_unless_an_argument_is_named() -> None:
    assert decision_draft(DECISION).subject == "ann"
    assert decision_draft(DECISION, subject="to").subject == "eve@evil.example"
    assert decision_draft(DECISION, subject="missing").subject == "ann"


def test_a_malformed_request_is_recorded_too() -> None:
    body = decision_draft(replace(DECISION, request=None, reason_code="request_invalid")).body
    assert body["reason_code"] == "request_invalid"
    assert "tool" not in body


def test_an_outcome_names_its_decision_and_holds_size_and_commitment_of_the_result() -> None:
    draft = outcome_draft(Outcome("d-1", Ending.COMPLETED, {"balance": 17}), REQUEST)
    assert (draft.body["decision"], draft.body["ended"], draft.body["result_bytes"]) == ("d-1", "completed", 14)
    assert "balance" not in draft.encode().decode()
    salt, kept = draft.secrets["result"]
    assert kept == b""
    assert commitment(salt, "result", canonical({"balance": 17})) == draft.body["result"]


def test_an_approval_names_who_said_what_and_until_when() -> None:
    answer = Answer("large", "treasury", "bob@acme.com", granted=False)
    body = approval_draft(Approval("a-1", "cd" * 32, 1_700_000_060.0, (answer,)), answer, DECISION).body
    assert (body["approver"], body["principal"], body["granted"]) == ("treasury", "bob@acme.com", False)
    assert "cd" * 32 not in json.dumps(body)


@given(
    st.dictionaries(st.text(max_size=300), st.text(max_size=2_000), max_size=300),
    st.text(max_size=500),
    st.lists(st.text(max_size=300), max_size=100),
)
def test_a_record_is_never_too_long_keeps_to_its_profile_and_says_what_is_shortened(
    args: dict[str, str], name: str, rules: list[str]
) -> None:
    request = Request(tool_name=name or "t", tool_args=args, session_id=name)
    decision = replace(DECISION, request=request, rules=tuple(rules), would_be=tuple(rules), trial=tuple(rules))
    draft = decision_draft(decision, shown=set(args))
    body = draft.encode()
    assert len(body) <= BODY_BYTES_MAX
    assert_profile(draft.body)
    assert json.loads(body) == draft.body
    if len(name) > 200:
        assert "session" in draft.body["shortened"]


def test_what_is_far_too_much_is_cut_in_named_parts() -> None:
    many = {f"argument{number}": "\x01" * 990 for number in range(128)}
    texts = tuple("\x01" * 190 for _ in range(32))
    request = msgspec.structs.replace(REQUEST, tool_args=many)
    draft = decision_draft(replace(DECISION, request=request, rules=texts, would_be=texts), shown=set(many))
    assert len(draft.encode()) <= BODY_BYTES_MAX
    assert "shown" in draft.body["shortened"]
    thousands = {f"argument{number}": number for number in range(5_000)}
    draft = decision_draft(replace(DECISION, request=msgspec.structs.replace(REQUEST, tool_args=thousands)))
    draft.encode()
    assert list(draft.body["args"]) == ["*"]
    assert draft.body["shortened"] == ["args"]


def test_where_there_is_no_room_for_each_commitment_one_stands_for_all_values() -> None:
    long = {f"{chr(1) * 190}{number}": number for number in range(60)}
    request = msgspec.structs.replace(REQUEST, tool_args=long)
    changed = {name: -number for name, number in long.items()}
    draft = decision_draft(replace(DECISION, request=request, modified=True, args=changed))
    draft.fold()
    secrets = dict(draft.secrets)
    ran = {name: -number for name, number in long.items() if number}
    for group, values in {"ran": ran, "args": long}.items():
        salt, spelling = secrets[group]
        assert spelling == canonical(values)
        assert draft.body[group] == {"*": commitment(salt, group, spelling)}
    assert len(draft.encode()) <= BODY_BYTES_MAX
    assert draft.secrets == secrets
    assert {"ran", "args"} <= {*draft.body["shortened"]}
    assert {"ran", "args"} <= draft.body.keys()


def test_the_bytes_of_a_record_are_the_same_whatever_the_order_of_its_fields() -> None:
    body = decision_draft(DECISION).body
    assert encode_body(body) == encode_body(dict(reversed(body.items())))
    assert encode_body(body) == canonical(body)


def test_integers_beyond_what_json_carries_are_not_in_the_profile() -> None:
    with pytest.raises(AssertionError):
        assert_profile({"n": INTEGER_MAX + 1})
    with pytest.raises(AssertionError):
        assert_profile({"n": 1.5})
    draft = decision_draft(replace(DECISION, now=1e30))
    assert_profile(draft.body)


def test_a_key_of_the_vault_is_of_one_day() -> None:
    assert day_of(1_700_000_000_000_000) == "2023-11-14"
    assert day_of(-5) == "1970-01-01"
    assert Draft({}).encode() == b"{}"
