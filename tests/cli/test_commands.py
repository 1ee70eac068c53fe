"""init, check, fmt, test and explain: what each one promises."""

import json
import stat
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from thoth.grammar import PolicyError, parse

BROKEN = """\
tool pay(amount: number) is write
block pay as big when amount > 10
block pay as other when args.amount is
"""
FAILING = """\
tool pay(amount: number) is write

allow pay as small when args.amount < 10

test "ten is small" {
    call pay(amount: 10)
    expect allow by small
}
test "nine is small" {
    call pay(amount: 9)
    expect allow
}
"""


# ---------------------------------------------------------------- init


def test_the_starter_policy_is_checked_formatted_and_tested(desk: Any) -> None:
    assert desk.type("thoth check policy.thoth").out.startswith("policy.thoth: 10 rules, 5 tools, digest ")
    assert desk.type("thoth fmt --check policy.thoth").code == 0
    assert desk.type("thoth test policy.thoth").out.endswith("12 tests passed\n")


def test_the_tests_of_the_starter_policy_reach_every_rule_and_condition_in_both_senses(desk: Any) -> None:
    found = json.loads(desk.type("thoth test policy.thoth --coverage --format json").out)
    for rule in found["coverage"]["rules"]:
        assert rule["applied"], rule["id"]
        assert all(seen["true"] and seen["false"] for seen in rule["conditions"]), rule["id"]


def test_the_starter_policy_holds_a_rule_of_each_kind_and_says_why(desk: Any) -> None:
    text = (desk.folder / "policy.thoth").read_text()
    for word in ("allow", "modify", "step_up", "defer", "block", "limit", "risk", "on result"):
        assert f"\n{word} " in text
    rules = [item for item in parse(text).items if type(item).__name__ in ("RuleItem", "ResultRuleItem")]
    assert all(rule.because for rule in rules)  # type: ignore[union-attr]


def test_init_never_touches_a_file_that_is_there(desk: Any) -> None:
    mine = desk.write("policy.thoth", "policy mine\n")
    shown = desk.type("thoth init")
    assert shown.code == 2
    assert "`policy.thoth` is there already and stays as it is; name another folder" in shown.err
    assert mine.read_text() == "policy mine\n"


def test_init_makes_the_folder_that_it_is_told(empty_desk: Any) -> None:
    shown = empty_desk.type("thoth init a/b")
    assert shown.code == 0
    assert "thoth test a/b/policy.thoth " in shown.out
    empty_desk.write("file", "")
    assert empty_desk.type("thoth init file").code == 2


# ---------------------------------------------------------------- check


def test_check_prints_findings_as_the_grammar_renders_them(desk: Any) -> None:
    desk.write("broken.thoth", BROKEN)
    with pytest.raises(PolicyError) as caught:
        parse(BROKEN, "broken.thoth")
    shown = desk.type("thoth check broken.thoth")
    assert (shown.code, shown.out, shown.err) == (1, f"{caught.value}\n", "")


def test_check_tells_the_mistakes_of_all_files_in_one_run(desk: Any) -> None:
    desk.write("root.thoth", "policy root\nuse one\nuse two\n")
    desk.write("one.thoth", "block\n")
    desk.write("two.thoth", "block\n")
    for line in (
        "thoth check root.thoth",
        "thoth check root.thoth one.thoth two.thoth",
        "thoth check one.thoth two.thoth",
    ):
        shown = desk.type(line)
        assert shown.code == 1
        assert "one.thoth:1:" in shown.out
        assert "two.thoth:1:" in shown.out


def test_check_takes_a_root_and_the_modules_that_it_uses(desk: Any) -> None:
    desk.write("root.thoth", "policy root\nuse money\n")
    desk.write("money.thoth", "tool pay(amount: number) is write\nblock pay as never\n")
    shown = desk.type("thoth check money.thoth root.thoth")
    assert shown.code == 0
    assert ": 1 rule, 1 tool, digest " in shown.out
    assert desk.type("thoth check root.thoth policy.thoth").code == 2


def test_warnings_are_told_and_are_no_mistakes(desk: Any) -> None:
    desk.write("odd.thoth", "tool pay(amount: number) is write\nblock pya as x\n")
    shown = desk.type("thoth check odd.thoth")
    assert shown.code == 0
    assert "warning: tool `pya` is not declared; did you mean `pay`?" in shown.out
    found = json.loads(desk.type("thoth check odd.thoth --format json").out)
    assert (found["ok"], found["warnings"]) == (True, 1)


def test_check_in_json_is_one_object_with_the_same_keys_in_every_case(desk: Any) -> None:
    desk.write("broken.thoth", BROKEN)
    good = json.loads(desk.type("thoth check policy.thoth --format json").out)
    bad = json.loads(desk.type("thoth check broken.thoth --format json").out)
    assert set(good) == set(bad) == {"ok", "errors", "warnings", "messages", "policy"}
    assert set(good["policy"]) == {"name", "version", "rules", "tools", "tests", "digest"}
    assert good["ok"]
    assert bad["policy"] is None
    assert bad["errors"] == len(bad["messages"]) > 0
    assert bad["messages"][0]["file"] == "broken.thoth"


# ---------------------------------------------------------------- fmt

UGLY = 'block   pay   as x   because   "no"\n'
FAIR = 'block pay as x because "no"\n'


def test_fmt_writes_in_place_and_keeps_permissions_and_links(desk: Any) -> None:
    file = desk.write("ugly.thoth", UGLY)
    file.chmod(0o640)
    link = desk.folder / "link.thoth"
    link.symlink_to(file)
    assert desk.type("thoth fmt link.thoth").out == "formatted link.thoth\n"
    assert file.read_text() == FAIR
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(path.name for path in desk.folder.iterdir() if "ugly" in path.name) == ["ugly.thoth"]


def test_fmt_does_not_write_what_does_not_change(desk: Any) -> None:
    file = desk.write("fair.thoth", FAIR)
    before = file.stat()
    shown = desk.type("thoth fmt fair.thoth")
    assert (shown.code, shown.out) == (0, "")
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_fmt_check_changes_nothing_and_lists_what_would(desk: Any) -> None:
    file = desk.write("ugly.thoth", UGLY)
    desk.write("fair.thoth", FAIR)
    shown = desk.type("thoth fmt --check ugly.thoth fair.thoth")
    assert (shown.code, shown.out) == (1, "ugly.thoth\n")
    assert file.read_text() == UGLY


def test_fmt_formats_the_other_files_when_one_is_broken(desk: Any) -> None:
    broken = desk.write("broken.thoth", "block  pay when\n")
    ugly = desk.write("ugly.thoth", UGLY)
    shown = desk.type("thoth fmt broken.thoth ugly.thoth")
    assert shown.code == 1
    assert "broken.thoth:1:" in shown.out
    assert broken.read_text() == "block  pay when\n"
    assert ugly.read_text() == FAIR


def test_fmt_reads_stdin_and_writes_stdout(desk: Any) -> None:
    desk.write("ugly.thoth", UGLY)
    assert desk.type("thoth fmt - < ugly.thoth").out == FAIR
    assert desk.type("thoth fmt --check - < ugly.thoth").code == 1
    desk.write("broken.thoth", "block  pay when\n")
    assert "<stdin>:1:" in desk.type("thoth fmt - < broken.thoth").err


# ---------------------------------------------------------------- test


@pytest.mark.parametrize("evaluator", ["native", "reference"])
def test_a_failing_test_shows_what_came_out_and_why(desk: Any, evaluator: str) -> None:
    desk.write("failing.thoth", FAILING)
    shown = desk.type(f"thoth test failing.thoth --evaluator {evaluator}")
    assert shown.code == 1
    assert shown.out.startswith("✗ ten is small  line 5\n    expected allow, got block by default (no_rule_allows)\n")
    assert "args.amount < 10   is false, saw 10" in shown.out
    assert shown.out.endswith("✓ nine is small\n1 failed, 1 test passed\n")


def test_a_policy_without_tests_says_so_and_passes(desk: Any) -> None:
    desk.write("bare.thoth", "policy bare\n")
    shown = desk.type("thoth test bare.thoth")
    assert shown.code == 0
    assert shown.out.startswith("bare.thoth: no tests; write some")


def test_coverage_marks_what_no_test_reached(desk: Any) -> None:
    desk.write("failing.thoth", FAILING + "\nblock pay as never when args.amount > 99\n")
    lines = desk.type("thoth test failing.thoth --coverage").out.splitlines()
    assert [line.split() for line in lines[-6:-1]] == [
        ["rule", "and", "condition", "applied", "true", "false", "unknown"],
        ["small", "1"],
        ["args.amount", "<", "10", "1", "1", "never"],
        ["never", "never"],
        ["args.amount", ">", "99", "never", "2", "never"],
    ]
    assert lines[-1] == "1 of 2 rules applied; 3 of 4 outcomes true and false reached, 0 of 2 unknown"


def test_junit_says_the_same_as_the_lines(desk: Any) -> None:
    desk.write("failing.thoth", FAILING)
    assert desk.type("thoth test failing.thoth --junit out.xml").code == 1
    suites = ET.parse(desk.folder / "out.xml").getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    cases = {case.get("name"): case.find("failure") for case in suites.iter("testcase")}
    assert cases["nine is small"] is None
    assert "saw 10" in (cases["ten is small"].text or "")  # type: ignore[union-attr]
    assert desk.type("thoth test failing.thoth --junit no/such/out.xml").code == 2


def test_test_results_in_json_are_one_object_with_the_same_keys_in_every_case(desk: Any) -> None:
    desk.write("failing.thoth", FAILING)
    desk.write("broken.thoth", BROKEN)
    failing = desk.type("thoth test failing.thoth --format json")
    broken = desk.type("thoth test broken.thoth --format json")
    assert (failing.code, broken.code) == (1, 1)
    found, other = json.loads(failing.out), json.loads(broken.out)
    keys = {"ok", "errors", "warnings", "messages", "passed", "failed", "tests", "coverage"}
    assert set(found) == set(other) == keys
    assert (found["ok"], found["passed"], found["failed"]) == (False, 1, 1)
    assert found["tests"][0]["failures"] == ["expected allow, got block by default (no_rule_allows)"]


# ---------------------------------------------------------------- explain


def test_explain_says_which_rule_decided_and_what_its_conditions_saw(desk: Any) -> None:
    shown = desk.type("thoth explain --policy policy.thoth --request request.json")
    assert shown.code == 0
    assert shown.out.startswith("STEP_UP by rule: step_up_required\n")
    assert "args.amount > 500   is true, saw 900" in shown.out


def test_explain_names_the_nearest_allow_where_nothing_allows(desk: Any) -> None:
    desk.write(
        "r.json", '{"tool_name": "read_customer", "tool_args": {"id": "1"}, "agent_id": "x", "purpose": "support"}'
    )
    shown = desk.type("thoth explain --policy policy.thoth --request r.json")
    assert "nearest rules that would allow it:\n    in-scope" in shown.out


def test_what_a_session_holds_is_seen_and_without_one_it_is_unknown(desk: Any) -> None:
    mail = {"to": ["eve@evil.example"], "subject": "hi", "body": "..."}
    call = {"tool_name": "send_email", "tool_args": mail, "agent_id": "support-bot", "purpose": "support"}
    desk.write("mail.json", json.dumps(call))
    line = "thoth explain --policy policy.thoth --request mail.json"
    assert 'contains "pii"   is unknown' in desk.type(line).out
    assert 'contains "pii"   is true, saw pii' in desk.type(f"{line} --session session.json").out
    desk.write("fresh.json", "{}")
    assert desk.type(f"{line} --session fresh.json").out.startswith("ALLOW by rule")


def test_the_call_that_is_explained_does_not_count_itself(desk: Any) -> None:
    desk.write("once.thoth", "tool pay() is write\nallow pay as once when calls(pay) < 1\n")
    desk.write("r.json", '{"tool_name": "pay"}')
    desk.write("fresh.json", "{}")
    shown = desk.type("thoth explain --policy once.thoth --request r.json --session fresh.json")
    assert shown.out.startswith("ALLOW by rule")
    assert "calls(pay) < 1   is true, saw 0" in shown.out


def test_explain_in_json_holds_the_decision_and_the_conditions(desk: Any) -> None:
    found = json.loads(desk.type("thoth explain --policy policy.thoth --request request.json --format json").out)
    assert (found["decision"], found["verdict"], found["by"]) == ("STEP_UP", "STEP_UP", "rule")
    assert found["why"][0]["when"] == [{"condition": "args.amount > 500", "truth": "true", "saw": "900"}]
    assert found["nearest"] == []


def test_a_request_that_is_not_well_formed_is_a_decision_too(desk: Any) -> None:
    desk.write("r.json", '{"tool_name": "pay", "tool_name": "pay"}')
    shown = desk.type("thoth explain --policy policy.thoth --request - < r.json")
    assert shown.code == 0
    assert shown.out.startswith("BLOCK by error: request_invalid\n")


@pytest.mark.parametrize(
    ("session", "told"),
    [
        ("[", "`s.json`: not JSON"),
        ('{"calls": {}}', "`s.json`: `said` and `calls` are lists"),
        ('{"call": []}', "`s.json` is not a session"),
        ('{"said": [1]}', "`s.json`: what was `said` is text, not 1"),
        (
            '{"calls": [{"tool_name": "x", "ended": "well"}]}',
            "`s.json`: `calls[0]` is an object whose `ended` is",
        ),
        ('{"calls": [{}]}', "`s.json`: `calls[0]`: tool_name: a request names a tool"),
    ],
)
def test_a_session_file_that_says_something_else_is_told_where(desk: Any, session: str, told: str) -> None:
    desk.write("s.json", session)
    shown = desk.type("thoth explain --policy policy.thoth --request request.json --session s.json")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith(f"thoth: {told}")


def test_a_policy_with_mistakes_explains_nothing(desk: Any, tmp_path: Path) -> None:
    desk.write("broken.thoth", BROKEN)
    shown = desk.type("thoth explain --policy broken.thoth --request request.json")
    assert shown.code == 1
    assert "broken.thoth:" in shown.out
