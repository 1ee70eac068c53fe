"""`thoth diff`: text, JSON, tests, and exit codes."""

import json
from typing import Any

import pytest

OLD = """\
policy p
    approvers "owner"
tool pay(to: key string, amount: number) is write
allow * as all
step_up pay as large when args.amount > 10_000
"""
NEW = OLD.replace("> 10_000", "> 9_000")


@pytest.fixture
def two(empty_desk: Any) -> Any:
    empty_desk.write("old.thoth", OLD)
    empty_desk.write("new.thoth", NEW)
    return empty_desk


def test_a_difference_is_shown_with_its_rule_and_ends_with_1(two: Any) -> None:
    shown = two.type("thoth diff old.thoth new.thoth --tries 300")
    assert shown.code == 1
    assert shown.err == ""
    assert shown.out.startswith("1 rule not the same in both: large (changed)\n\nlarge, changed: ")
    assert "  ALLOW → STEP_UP  (all → large)\n    pay(to: " in shown.out


def test_no_difference_ends_with_0_and_promises_nothing(two: Any) -> None:
    shown = two.type("thoth diff old.thoth old.thoth --tries 300")
    assert shown.code == 0
    assert shown.out == "none found in 300 calls; what was not tried may still be decided differently\n"
    assert "equivalent" not in shown.out


def test_json_has_the_same_keys_either_way(two: Any) -> None:
    differ = json.loads(two.type("thoth diff old.thoth new.thoth --tries 300 --format json").out)
    same = json.loads(two.type("thoth diff old.thoth old.thoth --tries 300 --format json").out)
    assert differ.keys() == same.keys()
    assert (differ["ok"], same["ok"]) == (False, True)
    (found,) = differ["differences"]
    assert (found["by"], found["change"]) == ("large", "changed")
    witness = found["witnesses"][0]
    assert (witness["old"]["decision"], witness["new"]["decision"]) == ("ALLOW", "STEP_UP")
    assert 9_000 < witness["request"]["tool_args"]["amount"] <= 10_000


def test_witnesses_as_tests_hold_under_the_new_policy_and_not_under_the_old(two: Any) -> None:
    written = two.type("thoth diff old.thoth new.thoth --tries 300 --tests").out
    two.write("new-tested.thoth", NEW + written)
    two.write("old-tested.thoth", OLD + written)
    assert two.type("thoth test new-tested.thoth").code == 0
    assert two.type("thoth test old-tested.thoth").code == 1


def test_a_policy_with_a_mistake_ends_with_1_and_a_missing_file_with_2(two: Any) -> None:
    two.write("broken.thoth", "allow * as\n")
    assert two.type("thoth diff old.thoth broken.thoth").code == 1
    missing = two.type("thoth diff old.thoth nowhere.thoth")
    assert (missing.code, missing.out) == (2, "")
    assert two.type("thoth diff old.thoth new.thoth --tries 0").code == 2
