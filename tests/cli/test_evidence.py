"""thoth evidence, and thoth decide --evidence: what each promises to who types it."""

import json
from pathlib import Path
from typing import Any

import pytest

from thoth.cli import main
from thoth.cli.evidence import COMMANDS

LINES = """\
{"kind": "decision", "id": "d-1", "decision": "ALLOW", "rules": ["small"], "now": 1700000000,
"request": {"tool_name": "pay", "tool_args": {"amount": 5, "iban": "DE02-SECRET"}, "user_id": "ann", "agent_id": "bot"}}
{"kind": "decision", "id": "d-2", "decision": "BLOCK", "rules": ["large"], "request": {"tool_name": "refund"}}
{"kind": "outcome", "decision_id": "d-1", "ending": "completed", "result": "paid"}
""".replace(",\n", ",")


@pytest.fixture
def ledger(desk: Any) -> Any:
    """A desk with a log on it, in small files, and three records to append."""
    assert desk.type("thoth evidence init ev --segment-mib 1").code == 0
    desk.write("lines.jsonl", LINES)
    return desk


def appended(desk: Any) -> Any:
    assert desk.type("thoth evidence append ev lines.jsonl").code == 0
    return desk


def rows(desk: Any, words: str = "") -> list[dict[str, Any]]:
    return [json.loads(line) for line in desk.type(f"thoth evidence show ev --format json {words}").out.splitlines()]


# ---------------------------------------------------------------- init


def test_init_says_where_the_key_is_and_prints_the_public_half(desk: Any) -> None:
    shown = desk.type("thoth evidence init ev")
    assert shown.code == 0
    assert "signing key   ev/signing.pem" in shown.out
    assert (desk.folder / "ev/log.pub").read_text().strip() in shown.out
    assert (desk.folder / "ev/signing.pem").stat().st_mode & 0o077 == 0


def test_init_puts_the_key_where_it_is_told_and_names_the_log(desk: Any) -> None:
    shown = desk.type("thoth evidence init ev --key secret.pem --origin acme.com/agents --format json")
    said = json.loads(shown.out)
    assert said["origin"] == "acme.com/agents"
    assert said["public"].startswith("acme.com/agents+")
    assert (desk.folder / "secret.pem").is_file()
    assert not (desk.folder / "ev/signing.pem").exists()
    assert appended_one(desk).code == 0


def appended_one(desk: Any) -> Any:
    desk.write("one.jsonl", '{"decision": "ALLOW", "request": {"tool_name": "pay"}}\n')
    return desk.type("thoth evidence append ev one.jsonl")


def test_init_never_touches_a_log_that_is_there(ledger: Any) -> None:
    before = (ledger.folder / "ev/log.json").read_bytes()
    shown = ledger.type("thoth evidence init ev")
    assert shown.code == 2
    assert "holds an evidence log already" in shown.err
    assert (ledger.folder / "ev/log.json").read_bytes() == before


# ---------------------------------------------------------------- recording


def test_decide_records_what_it_decides(ledger: Any) -> None:
    ledger.write("r.json", '{"tool_name": "refund", "tool_args": {"order": "A-1", "amount": 900}}')
    shown = ledger.type("thoth decide --policy policy.thoth --request r.json --evidence ev")
    assert shown.code == 0
    (decision,) = rows(ledger, "--kind decision")
    assert decision["record"]["effect"] == json.loads(shown.out)["decision"]
    assert rows(ledger, "--kind policy_load")


def test_decide_shows_in_the_log_what_the_policy_declares_shown_and_nothing_else(ledger: Any) -> None:
    ledger.write("p.thoth", "tool pay(amount: number, note: shown string) is write\nallow pay\n")
    ledger.write("r.json", '{"tool_name": "pay", "tool_args": {"amount": 5, "note": "rent"}}')
    ledger.type("thoth decide --policy p.thoth --request r.json --evidence ev")
    (decision,) = rows(ledger, "--kind decision")
    assert decision["record"]["shown"] == [["args.note", '"rent"']]
    assert [name for name, _ in decision["record"]["args"]] == ["amount"]


def test_decide_without_a_log_says_how_one_is_made(desk: Any) -> None:
    shown = desk.type("thoth decide --policy policy.thoth --request request.json --evidence nix")
    assert shown.code == 2
    assert "evidence log `nix` does not exist; create it with `thoth evidence init nix`" in shown.err
    assert not shown.out


def test_append_prints_a_place_for_each_record(ledger: Any) -> None:
    shown = ledger.type("thoth evidence append ev < lines.jsonl")
    assert shown.code == 0
    assert [line.split()[0] for line in shown.out.splitlines()] == ["00/1", "00/2", "00/3"]
    (decision,) = rows(ledger, "--decision d-1 --kind decision")
    assert decision["record"]["decided_us"] == 1_700_000_000_000_000
    assert "DE02-SECRET" not in json.dumps(rows(ledger))
    assert not any(b"DE02-SECRET" in file.read_bytes() for file in (ledger.folder / "ev").rglob("*") if file.is_file())


def test_append_prints_receipts_that_verify(ledger: Any) -> None:
    shown = ledger.type("thoth evidence append ev lines.jsonl --receipts")
    first = shown.out.splitlines()[0]
    ledger.write("receipt.json", first)
    ledger.type("thoth evidence receipt ev 00/1 --record-out record.json")
    assert ledger.type("thoth evidence verify receipt.json --record record.json --key ev/log.pub").code == 0
    ledger.write("record.json", (ledger.folder / "record.json").read_text().replace("small", "large"))
    assert ledger.type("thoth evidence verify receipt.json --record record.json --key ev/log.pub").code == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense", "not JSON"),
        ('{"decision": "MAYBE", "request": {"tool_name": "x"}}', "`decision` is one of `ALLOW`"),
        ('{"decision": "ALLOW"}', "`request`: tool_name"),
        ('{"kind": "outcome"}', "`decision_id` is missing"),
        ('{"kind": "event"}', "`kind` is `decision` or `outcome`"),
        ('{"decison": "ALLOW"}', "did you mean `decision`"),
    ],
)
def test_append_names_the_line_that_it_cannot_read_and_appends_nothing(ledger: Any, line: str, said: str) -> None:
    ledger.write("bad.jsonl", f'{{"decision": "ALLOW", "request": {{"tool_name": "x"}}}}\n{line}\n')
    shown = ledger.type("thoth evidence append ev bad.jsonl")
    assert shown.code == 2
    assert "bad.jsonl:2: " in shown.err
    assert said in shown.err
    assert rows(ledger) == []


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("--effect block", ["d-2"]),
        ("--rule small", ["d-1"]),
        ("--tool refund", ["d-2"]),
        ("--agent bot --kind decision", ["d-1"]),
        ("--decision d-1", ["d-1", "d-1"]),
        ("--since 1h --kind decision", ["d-1", "d-2"]),
        ("--until 2020-01-01", []),
        ("--since 2020-01-01T00:00 --limit 2 --kind decision", ["d-1", "d-2"]),
    ],
)
def test_show_finds_records_by_what_is_asked(ledger: Any, words: str, ids: list[str]) -> None:
    found = [row["record"] for row in rows(appended(ledger), words)]
    assert [record.get("id", record.get("decision")) for record in found] == ids


def test_show_says_in_a_line_what_was_decided_for_whom_and_why(ledger: Any) -> None:
    shown = appended(ledger).type("thoth evidence show ev --kind decision")
    assert "00/1 ALLOW   pay for bot ann by rule: small" in shown.out


def test_show_finds_nothing_with_exit_code_1(ledger: Any) -> None:
    assert ledger.type("thoth evidence show ev --session nobody").code == 1
    assert ledger.type("thoth evidence show ev --effect maybe").code == 2
    assert ledger.type("thoth evidence show ev --since yesterday").code == 2
    assert ledger.type("thoth evidence show ev 00/99").code == 2


def test_a_value_is_given_out_with_its_proof(ledger: Any) -> None:
    appended(ledger)
    shown = ledger.type("thoth evidence show ev --decision d-1 --disclose args.iban")
    assert json.loads(shown.out)["value"] == '"DE02-SECRET"'
    ledger.write("value.json", shown.out)
    checked = ledger.type("thoth evidence verify value.json --key ev/log.pub")
    assert (checked.code, '`args.iban` was "DE02-SECRET"' in checked.out) == (0, True)
    ledger.write("value.json", shown.out.replace("DE02", "DE03"))
    assert ledger.type("thoth evidence verify value.json --key ev/log.pub").code == 3


def test_an_erased_value_cannot_be_given_out_and_the_log_still_verifies(ledger: Any) -> None:
    appended(ledger)
    assert ledger.type("thoth evidence erase ev --subject ann --reason 4711").code == 0
    shown = ledger.type("thoth evidence show ev --decision d-1 --disclose args.iban")
    assert shown.code == 2
    assert "what it sealed is gone" in shown.err
    assert ledger.type("thoth evidence verify ev").code == 0
    assert rows(ledger, "--kind redaction")[0]["record"]["reason"] == "4711"


def test_tail_shows_the_newest(ledger: Any) -> None:
    shown = appended(ledger).type("thoth evidence tail ev -n 1")
    assert "completed pay" in shown.out
    assert len(shown.out.splitlines()) == 1


def test_tail_follows_what_comes_until_ctrl_c(
    ledger: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from thoth.cli import evidence_read

    naps = iter(range(2))

    def nap(_: float) -> None:
        if next(naps, None) is None:
            raise KeyboardInterrupt
        append_quietly(ledger.folder)

    monkeypatch.setattr(evidence_read.time, "sleep", nap)
    capsys.readouterr()
    assert main(["evidence", "tail", "ev", "-f"]) == 130
    assert capsys.readouterr().out.count("policy  abab") == 2


def append_quietly(folder: Path) -> None:
    from thoth import evidence

    with evidence.open(folder / "ev", mode="sync") as log:
        log.policy_loaded("ab" * 32)


def test_stats_count_by_kind_effect_and_shard(ledger: Any) -> None:
    found = json.loads(appended(ledger).type("thoth evidence stats ev --format json").out)
    assert found["kinds"] == {"decision": 2, "heartbeat": 1, "outcome": 1}
    assert found["effects"] == {"ALLOW": 1, "BLOCK": 1}
    assert "4 records" in ledger.type("thoth evidence stats ev").out


# ---------------------------------------------------------------- proving


def test_verify_says_on_its_last_line_what_was_not_checked(ledger: Any) -> None:
    appended(ledger)
    ledger.write("kept", (ledger.folder / "ev/root/checkpoint").read_text())
    appended(ledger)
    shown = ledger.type("thoth evidence verify ev")
    assert shown.code == 0
    assert shown.out.splitlines()[-1].startswith("not checked: the key")
    assert "--since-checkpoint" in shown.out.splitlines()[-1]
    shown = ledger.type("thoth evidence verify ev --key ev/log.pub --since-checkpoint kept")
    assert shown.out.splitlines()[-1] == "everything was checked"


def test_verify_names_the_first_record_that_does_not_fit_and_exits_3(ledger: Any) -> None:
    appended(ledger)
    (segment,) = (ledger.folder / "ev/shards/00").glob("*.seg")
    segment.write_bytes(segment.read_bytes().replace(b"refund", b"reward"))
    shown = ledger.type("thoth evidence verify ev")
    assert shown.code == 3
    assert "shard `00`: record 2 does not fit" in shown.out
    found = json.loads(ledger.type("thoth evidence verify ev --format json").out)
    assert (found["ok"], found["shards"][0]["first_bad"]) == (False, 2)
    assert ledger.type("thoth evidence show ev").code == 2


def test_a_log_that_only_grew_is_proven_and_another_is_not(ledger: Any) -> None:
    appended(ledger)
    ledger.write("kept", (ledger.folder / "ev/shards/00/checkpoint").read_text())
    appended(ledger)
    found = json.loads(ledger.type("thoth evidence prove ev --since-checkpoint kept").out)
    assert (found["old_size"], found["new_size"]) == (4, 8)
    ledger.type("thoth evidence init other --segment-mib 1")
    assert ledger.type("thoth evidence prove other --since-checkpoint kept").code == 3


def test_a_log_is_exported_as_tiles_that_have_the_signed_root(ledger: Any) -> None:
    from thoth.evidence.browse import LogReader
    from thoth.evidence.checkpoint import open_checkpoint
    from thoth.evidence.tiles import TileFolder, TileReader

    appended(ledger)
    assert ledger.type("thoth evidence export ev out").code == 0
    note = (ledger.folder / "out/00/checkpoint").read_bytes()
    signed = open_checkpoint(note, LogReader(ledger.folder / "ev").verifier("00"))
    tiles = TileReader(TileFolder(ledger.folder / "out/00").read, signed.size, signed.root)
    assert json.loads(tiles.body(1))["id"] == "d-1"


def test_a_log_is_exported_as_json_lines(ledger: Any) -> None:
    appended(ledger)
    assert ledger.type("thoth evidence export ev out --as jsonl").code == 0
    lines = (ledger.folder / "out/00/records.jsonl").read_text().splitlines()
    assert [json.loads(line)["place"] for line in lines] == ["00/0", "00/1", "00/2", "00/3"]


# ---------------------------------------------------------------- around all of them


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_itself(desk: Any, name: str) -> None:
    shown = desk.type(f"thoth evidence {name} --help")
    assert shown.code == 0
    for words in ("For example:", "Exit codes:", f"thoth evidence {name}"):
        assert words in shown.out


@pytest.mark.parametrize(
    "line",
    ["show nix", "tail nix", "stats nix", "verify nix", "receipt nix 00/0", "export nix out", "erase nix --subject a"],
)
def test_every_command_says_how_a_missing_log_is_made(desk: Any, line: str) -> None:
    shown = desk.type(f"thoth evidence {line}")
    assert shown.code == 2
    assert "create it with `thoth evidence init nix`" in shown.err


def test_a_command_that_is_none_is_answered_with_one_that_is(desk: Any) -> None:
    shown = desk.type("thoth evidence shwo")
    assert shown.code == 2
    assert "unknown command `shwo`; did you mean `show`?" in shown.err
