"""`thoth lint` on the command line: findings with codes, what is left out, and exit codes."""

import json
from pathlib import Path

import pytest

from thoth.cli import main

POLICY = """\
tool send(to: list of key email) is send
allow send as inside when all args.to like "*@acme.example"
block send as outside when any args.to not like "*@acme.example" because "mail stays inside"
"""
TESTS = """
test "inside" { call send(to: ["a@acme.example"]) expect allow by inside }
test "outside" { call send(to: ["a@evil.example"]) expect block by outside }
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """Return a policy file without findings."""
    file = tmp_path / "p.thoth"
    file.write_text(POLICY + TESTS)
    return file


def test_a_policy_without_findings_is_fine(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(policy)]) == 0
    assert capsys.readouterr().out == f"{policy}: nothing found in 2 rules\n"


def test_a_finding_has_its_place_its_code_and_exit_code_1(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy.write_text(POLICY.replace(' because "mail stays inside"', "") + TESTS)
    assert main(["lint", str(policy)]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith(f"{policy}:3:1: warning: rule `outside` does not say why")
    assert out.splitlines()[0].endswith("[no-because]")
    assert out.splitlines()[2].endswith("| ^^^^^")
    assert out.endswith("1 finding about 2 rules\n")


def test_codes_can_be_left_out_several_behind_one_flag(policy: Path) -> None:
    policy.write_text(POLICY.replace(' because "mail stays inside"', ""))
    assert main(["lint", str(policy), "--ignore", "no-because", "untested"]) == 0
    assert main(["lint", str(policy), "--ignore", "no-because", "--ignore", "untested"]) == 0
    assert main(["lint", str(policy), "--ignore", "no-because"]) == 1


def test_an_unknown_code_is_wrong_usage(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(policy), "--ignore", "no-becaus"]) == 2
    assert "did you mean `no-because`" in capsys.readouterr().err


def test_json_holds_every_finding(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy.write_text(POLICY)
    assert main(["lint", str(policy), "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["ok"]
    assert [message["code"] for message in told["messages"]] == ["untested"]


def test_a_mistake_in_the_policy_is_told_as_check_tells_it(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy.write_text("block send as")
    assert main(["lint", str(policy)]) == 1
    assert f"{policy}:1:" in capsys.readouterr().out


def test_a_pack_counts_and_is_not_remarked_upon(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (policy.parent / "pack.thoth").write_text("block send when size(args.to) > 5\n")
    policy.write_text(f'use pack\n{POLICY}block send as many when size(args.to) > 9 because "x"\n{TESTS}')
    assert main(["lint", str(policy)]) == 1
    out = capsys.readouterr().out
    assert "[unnamed]" not in out
    assert "rule `many` changes nothing" in out
