"""What a report shows of a call: to whom and how much, texts by their length, secrets never."""

from typing import Any

import pytest

from thoth.engine import Engine
from thoth.engine.rerun import Rerun
from thoth.simulation.calls import Call
from thoth.simulation.masking import HIDDEN, Masking

POLICY = """\
policy p
pattern ticket = "T-[0-9]{4}"
tool send(to: list of key email, subject: string, note?: shown string, kind?: enum {"a", "b"}, body?: record) is send
tool pay(to: key string, amount: number, api_token?: string, pin?: int) is payment
tool set_word(to: key string) is credential
allow * as all
modify send as no-tickets redact args.subject matching ticket with "[ticket]"
"""
KEY = "AKIA" + "IOSFODNN7EXAMPLE"


def shown(tool: str, args: Any, values: bool = False, policy: str = POLICY) -> str:
    call = Call("s", 0, 0.0, None, "bot", tool, args, True, None, None, True, {})
    return Masking((Rerun(Engine.from_text(policy).policy),), values).call(call)


def test_keys_shown_arguments_numbers_and_enumerations_stand_in_clear() -> None:
    assert shown("send", {"to": ["ann@acme.example"], "subject": "our plans", "note": "hello", "kind": "a"}) == (
        'send(to: ["ann@acme.example"], subject: [9 characters], note: "hello", kind: "a")'
    )
    assert shown("pay", {"to": "ACME", "amount": 12.5}) == 'pay(to: "ACME", amount: 12.5)'


def test_of_texts_lists_and_records_only_their_size_is_told() -> None:
    told = shown("send", {"to": [], "subject": "x", "body": {"a": "inner"}, "extra": ["one", "two"]})
    assert told == "send(to: [], subject: [1 character], body: [1 member], extra: [2 items])"


def test_of_a_tool_that_nobody_declared_no_text_is_shown() -> None:
    assert shown("unheard_of", {"to": "ann@acme.example", "n": 3}) == "unheard_of(to: [16 characters], n: 3)"
    assert shown("unheard_of", "a text") == "unheard_of([6 characters])"


@pytest.mark.parametrize("values", [False, True])
def test_credentials_are_hidden_by_their_name_and_by_their_tools_class(values: bool) -> None:
    assert shown("pay", {"to": "ACME", "api_token": "xyz", "pin": 1234}, values) == (
        f'pay(to: "ACME", api_token: {HIDDEN}, pin: {HIDDEN})'
    )
    assert shown("set_word", {"to": "correct horse"}, values) == f"set_word(to: {HIDDEN})"


@pytest.mark.parametrize("values", [False, True])
def test_what_a_detector_of_secrets_finds_is_masked_also_in_a_key(values: bool) -> None:
    told = shown("pay", {"to": f"see {KEY} and 4111 1111 1111 1111", "amount": 4111111111111111}, values)
    assert told == 'pay(to: "see [api_key] and [card_number]", amount: [card_number])'


def test_what_the_policy_redacts_is_masked_in_clear_arguments_as_well() -> None:
    assert shown("pay", {"to": "for T-1234"}) == 'pay(to: "for [masked]")'


def test_a_secret_is_masked_before_a_text_is_cut() -> None:
    told = shown("pay", {"to": "x" * 50 + " " + KEY})
    assert KEY[:6] not in told


def test_texts_are_shown_where_somebody_asks_for_them() -> None:
    assert shown("send", {"to": [], "subject": "our plans"}, values=True) == 'send(to: [], subject: "our plans")'


def test_a_text_is_shown_only_if_both_policies_say_that_it_is_no_content() -> None:
    call = Call("s", 0, 0.0, None, "bot", "send", {"note": "hello"}, True, None, None, True, {})
    stricter = POLICY.replace("note?: shown string", "note?: string")
    reruns = tuple(Rerun(Engine.from_text(text).policy) for text in (POLICY, stricter))
    assert Masking(reruns[:1]).call(call) == 'send(note: "hello")'
    assert Masking(reruns).call(call) == "send(note: [5 characters])"
