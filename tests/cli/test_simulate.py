"""`thoth simulate`: what it prints, what it writes, and when it fails."""

import json
from typing import Any

import pytest

OLD = """
policy office
    approvers "owner"
tool read_mail(id: key string) is read
tool send_mail(to: list of key email, body: string) is send
tool wipe(path: key path) is delete
allow class read, class send, class delete as declared
"""
NEW = (
    OLD
    + """
step_up send_mail as unasked unless args.to from user because "nobody asked for mail to this address"
block wipe as no-wipe because "nothing is wiped here"
block read_mail as no-such-mail when args.id is "0000"
"""
)
CALLS = [
    ("s1", 0, "read_mail", {"id": "4711"}),
    ("s1", 1, "send_mail", {"to": ["eve@evil.example"], "body": "\u001b[31mred"}),
    ("s1", 2, "wipe", {"path": "/tmp/x"}),
    ("s2", 0, "send_mail", {"to": ["ann@acme.example"], "body": "x"}),
    ("s2", 1, "send_mail", {"body": "x"}),
    ("s2", 2, "unheard_of", {}),
]


@pytest.fixture
def office(empty_desk: Any) -> Any:
    empty_desk.write("old.thoth", OLD)
    empty_desk.write("new.thoth", NEW)
    rows = [
        {
            "session_id": session, "seq": seq, "ts": f"2026-03-02T09:0{seq}:00Z", "tool_name": tool, "tool_args": args,
            "executed": True, "agent_id": "bot", "suite": "office", "source": "test", "defense": "none",
            "run_kind": "attacked" if session == "s1" else "benign",
            "is_injection_goal": tool == "send_mail" and session == "s1",
        }
        for session, seq, tool, args in CALLS
    ]  # fmt: skip
    empty_desk.write("traces/x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    prompts = [{"session_id": session, "user_prompt": "write to ann@acme.example"} for session in ("s1", "s2")]
    empty_desk.write("traces/sessions.jsonl", "".join(json.dumps(row) + "\n" for row in prompts))
    return empty_desk


RUN = "thoth simulate --policy new.thoth --trace traces"


def test_the_summary_says_what_changes_for_whom_and_by_which_rule(office: Any) -> None:
    printed = office.type(f"{RUN} --against old.thoth")
    assert printed.code == 0
    for line in [
        "office against office",
        "6 calls in 2 sessions on 1 day",
        "GCS           100.0%",
        "2 of 6 calls come out differently: 2 stricter, 0 milder",
        "       1  allowed → blocked  by no-wipe",
        "It was allowed by declared; it would wait for owner: nobody asked for mail to this address (unasked).",
        "1 question, 16.7 per 100 calls",
        "no-such-mail  never applied",
        "Calls to tools that nobody declared: 1",
        "send_mail: `to` is missing",
    ]:
        assert line in printed.out, line
    assert "\x1b" not in printed.out


def test_without_another_policy_it_says_what_is_stopped(office: Any) -> None:
    printed = office.type(RUN)
    assert printed.code == 0
    assert "What is stopped, and by what" in printed.out
    assert "1  blocked  by no-wipe" in printed.out


def test_json_holds_every_figure(office: Any) -> None:
    printed = office.type(f"{RUN} --against old.thoth --format json --fail-on 'calls > 100'")
    found = json.loads(printed.out)
    assert printed.code == 0
    assert found["effects"]["all"] == {"ALLOW": 2, "MODIFY": 0, "STEP_UP": 1, "DEFER": 0, "BLOCK": 3}
    assert found["effects"]["hypothetical"] == {"ALLOW": 0, "MODIFY": 0, "STEP_UP": 0, "DEFER": 0, "BLOCK": 2}
    assert (found["sessions"], found["sessions_stopped"], found["hypothetical"]) == (2, 2, 2)
    assert found["changes"]["changed"] == 2
    assert {group["cause"] for group in found["changes"]["groups"]} == {"unasked", "no-wipe"}
    assert found["undeclared"] == {"calls": 1, "tools": [{"tool": "unheard_of", "calls": 1}]}
    assert found["misfits"]["calls"] == 1
    assert found["people"]["approvers"] == [{"approver": "owner", "questions": 1, "per_day": 1.0, "most_in_a_day": 1}]
    fates = {rule["rule"]: rule["fate"] for rule in found["rules"]}
    assert fates["no-such-mail"] == "never applied"
    assert fates["no-wipe"] == "decides"
    assert {score["suite"] for score in found["scores"]} == {"*", "office"}
    assert found["fail_on"] == {"expression": "calls > 100", "failed": False, "reasons": []}


@pytest.mark.parametrize(
    ("expression", "code", "said"),
    [
        ("flipped(ALLOW, BLOCK) > 0", 1, "`flipped(ALLOW, BLOCK) > 0` holds: flipped(ALLOW, BLOCK) is 1"),
        ("benign_blocked > 90%", 0, ""),
        ("benign_blockd > 1%", 2, "did you mean `benign_blocked`?"),
        ("benign_blocked > 5", 2, "write `5%`"),
    ],
)
def test_fail_on_ends_with_one_and_the_reason(office: Any, expression: str, code: int, said: str) -> None:
    printed = office.type(f"{RUN} --against old.thoth --fail-on '{expression}'")
    assert printed.code == code
    assert said in printed.err


def test_decisions_are_written_with_what_they_were(office: Any) -> None:
    assert office.type(f"{RUN} --against old.thoth --out decisions.jsonl").code == 0
    rows = [json.loads(line) for line in (office.folder / "decisions.jsonl").read_text().splitlines()]
    assert rows[1] == {
        "session_id": "s1", "seq": 1, "decision": "STEP_UP", "verdict": "STEP_UP", "by": "rule", "rules": ["unasked"],
        "reason_code": "step_up_required", "hypothetical": False, "was": "ALLOW", "was_rules": ["declared"],
    }  # fmt: skip
    assert [row["hypothetical"] for row in rows] == [False, False, True, False, False, True]


def test_what_was_not_understood_is_said_and_strict_stops_at_it(office: Any) -> None:
    trace = office.folder / "traces/x.jsonl"
    trace.write_text(trace.read_text().replace('"source"', '"colour": "red", "source"', 1) + "{oops\n")
    printed = office.type(RUN)
    assert printed.code == 0
    assert "1  could not be read" in printed.out
    assert "x.jsonl:7: not JSON" in printed.out
    assert "1  unknown field `colour`, first at traces/x.jsonl:1" in printed.out
    printed = office.type(f"{RUN} --strict")
    assert (printed.code, printed.out) == (2, "")
    assert "x.jsonl:1: unknown field `colour`" in printed.err
    assert office.type(f"{RUN} --fail-on 'not_read > 0'").code == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--trace nowhere", "`nowhere` is not there; name a trace file or a folder of them"),
        ("--trace traces --jobs 0", "between 1 and 64 jobs"),
        ("--trace traces --map tool", "write FIELD=COLUMN"),
        ("--trace traces --out nowhere/x.jsonl", "`nowhere/x.jsonl` cannot be written"),
        ("--trace empty.jsonl", "there was no call to decide"),
    ],
)
def test_wrong_usage_is_told_with_what_to_write_instead(office: Any, options: str, message: str) -> None:
    office.write("empty.jsonl", "")
    printed = office.type(f"thoth simulate --policy new.thoth {options}")
    assert printed.code == 2
    assert message in printed.err


def test_a_learned_baseline_counts(office: Any) -> None:
    office.write("new.thoth", OLD + 'step_up send_mail as unasked unless args.to in baseline because "x"\n')
    assert "by unasked" in office.type(RUN).out
    from thoth.engine.learned import digest_of

    digests = [digest_of(address, "email") for address in ("eve@evil.example", "ann@acme.example")]
    office.write("learned.json", json.dumps({"thoth_learned": 1, "values": {"send_mail": {"to": digests}}}))
    assert "by unasked" not in office.type(f"{RUN} --learned learned.json").out
