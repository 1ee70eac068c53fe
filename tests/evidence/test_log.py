"""An open log: what is recorded, when it is durable, what happens when it cannot be."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from thoth import evidence
from thoth.contract import Answer, Approval, Effect
from thoth.engine import Engine
from thoth.evidence import drain
from thoth.evidence.browse import Disclosure, LogReader, Wanted, verify_disclosure
from thoth.evidence.drain import QUEUE_MAX
from thoth.evidence.errors import ClockWentBack, NoLog, ShardLocked
from thoth.evidence.frames import leaf_hash
from thoth.evidence.keys import KeyFileError
from thoth.evidence.receipt import verify_receipt
from thoth.evidence.record import policy_load_draft
from thoth.evidence.storage import FileStorage
from thoth.evidence.vault import DoesNotFit, Erased
from thoth.evidence.writer import NotWhatWasSigned

from .logs import POLICY, SECRET, entries, made, pay


class Disk(FileStorage):
    """The real files, until something is wrong with them."""

    def __init__(self) -> None:
        self.full = False
        self.broken = False
        self.ahead_ns = 0
        self.syncs = 0

    def create(self, path: str) -> int:
        if self.full and path.endswith(("/spare", "/checkpoint.new")):
            raise OSError(errno.ENOSPC, "no space left on device")
        return super().create(path)

    def sync(self, file: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, "input/output error")
        self.syncs += 1
        super().sync(file)

    def now(self) -> int:
        return super().now() + self.ahead_ns


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return made(tmp_path / "evidence")


# ---------------------------------------------------------------- what is recorded


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_every_decision_and_every_ending_is_recorded(directory: Path, mode: Any) -> None:
    with evidence.open(directory, mode=mode) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        allowed, blocked = pay(engine, 5), pay(engine, 50)
        engine.completed(allowed, "paid")
    first, second = entries(directory, kind="decision")
    (outcome,) = entries(directory, kind="outcome")
    assert (first.record["id"], first.record["effect"]) == (allowed.id, "ALLOW")
    assert (second.record["id"], second.record["effect"]) == (blocked.id, "BLOCK")
    assert outcome.record["decision"] == allowed.id
    assert {entry.record["recording"] for entry in (first, second, outcome)} == {mode}


def test_in_mode_sync_a_decision_is_on_disk_when_it_is_given_out(directory: Path) -> None:
    with evidence.open(directory, mode="sync") as log:
        pay(Engine.from_text(POLICY, recorder=log))
        assert len(entries(directory, kind="decision")) == 1


def test_in_mode_async_a_decision_is_on_disk_soon_without_another_call(directory: Path) -> None:
    with evidence.open(directory) as log:
        pay(Engine.from_text(POLICY, recorder=log))
        until = time.monotonic() + 5
        while not entries(directory, kind="decision") and time.monotonic() < until:
            time.sleep(0.005)
        assert entries(directory, kind="decision")


def test_writers_that_come_together_share_a_commit(directory: Path) -> None:
    disk = Disk()
    with evidence.open(directory, mode="sync", storage=disk) as log:
        before = disk.syncs
        draft = policy_load_draft
        threads = [threading.Thread(target=lambda: [log.write(draft("ab")) for _ in range(20)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert disk.syncs - before < 160
    assert len(entries(directory, kind="policy_load")) == 160


def test_what_was_recorded_keeps_its_order(directory: Path) -> None:
    with evidence.open(directory) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        ids = [pay(engine).id for _ in range(300)]
    assert [entry.record["id"] for entry in entries(directory, kind="decision")] == ids


def test_approvals_policies_and_how_the_log_was_opened_are_recorded(directory: Path) -> None:
    with evidence.open(directory, on_failure="allow") as log:
        decision = pay(Engine.from_text(POLICY, recorder=log))
        log.policy_loaded("ab" * 32, files=["pay.thoth"])
        log.answered(Approval("a-1", "", 0.0), Answer("large", "treasury", "bob"), decision)
    kinds = [entry.record["kind"] for entry in entries(directory)]
    assert kinds == ["heartbeat", "policy_load", "decision", "policy_load", "approval"]
    opened = entries(directory, kind="heartbeat")[0].record
    assert (opened["opened"], opened["on_failure"], opened["recording"]) == (True, "allow", "async")


ASKING = """
tool pay(amount: number, note?: shown string, ...) is write
allow pay as usual
step_up pay as large when args.amount >= 10 ask "treasury"
"""


def test_an_engine_records_by_itself_its_policy_and_what_approvers_answer(directory: Path) -> None:
    call = {"tool_name": "pay", "tool_args": {"amount": 50}, "agent_id": "bot", "user_id": "ann"}
    with evidence.open(directory) as log:
        engine = Engine.from_text(ASKING, recorder=log)
        log.policy_loaded(engine.policy.digest)  # whoever says it again adds nothing
        held = engine.decide(call)
        approval = engine.answer(held, approver="treasury", principal="eve")
        log.answered(approval, approval.answers[0], held)
        assert engine.decide(call, approval=approval).effect is Effect.ALLOW
    kinds = [entry.record["kind"] for entry in entries(directory)]
    assert kinds == ["heartbeat", "policy_load", "decision", "approval", "decision"]
    (loaded,) = entries(directory, kind="policy_load")
    (answered,) = entries(directory, kind="approval")
    assert loaded.record["policy_digest"] == engine.policy.digest
    assert (answered.record["approver"], answered.record["principal"], answered.record["granted"]) == (
        "treasury",
        "eve",
        True,
    )


def test_an_answer_that_cannot_be_recorded_does_not_count(directory: Path) -> None:
    call = {"tool_name": "pay", "tool_args": {"amount": 50}, "agent_id": "bot", "user_id": "ann"}
    log = evidence.open(directory)
    engine = Engine.from_text(ASKING, recorder=log)
    held = engine.decide(call)
    log.close()
    with pytest.raises(evidence.EvidenceError, match="was closed"):
        engine.answer(held, approver="treasury", principal="eve")


def test_what_a_policy_declares_shown_is_in_clear_without_another_word(directory: Path) -> None:
    with evidence.open(directory) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        pay(engine, note="first")
        pay(engine, note="second", password=SECRET)
    notes = [entry.record["shown"] for entry in entries(directory, kind="decision")]
    assert notes == [[["args.note", '"first"']], [["args.note", '"second"']]]


def test_a_log_that_keeps_no_values_commits_to_them_and_has_no_vault(directory: Path) -> None:
    with evidence.open(directory, keep_values=False) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        engine.completed(pay(engine, password=SECRET), "paid")
        pay(engine, password=SECRET)
    decisions = entries(directory, kind="decision")
    assert [[name for name, _ in entry.record["args"]] for entry in decisions] == [["amount", "password"]] * 2
    assert not any("sealed" in entry.record for entry in entries(directory))
    assert not list(directory.glob("vault/boxes/*/*"))
    assert LogReader(directory).values(decisions[0]) == {}
    assert evidence.audit(directory).whole


# ---------------------------------------------------------------- secrets


def test_a_secret_argument_never_appears_in_any_file_of_the_log(directory: Path) -> None:
    with evidence.open(directory) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        engine.completed(pay(engine, 7.125, password=SECRET), {"token": SECRET})
        pay(engine, 50, password=SECRET)
        engine.decide({"tool_name": "pay", "tool_args": {"amount": SECRET}})
        engine.decide('{"tool_name": "pay", "tool_args": {"amount": "' + SECRET)
    for file in directory.rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file
            assert b"7.125" not in file.read_bytes(), file


def test_an_argument_declared_shown_is_in_clear(directory: Path) -> None:
    with evidence.open(directory, shown={"pay": ["note"]}) as log:
        pay(Engine.from_text(POLICY, recorder=log), note="rent", password=SECRET)
    (entry,) = entries(directory, kind="decision")
    assert entry.record["shown"] == [["args.note", '"rent"']]


def test_one_value_can_be_given_out_and_checked_without_the_others(directory: Path) -> None:
    with evidence.open(directory) as log:
        pay(Engine.from_text(POLICY, recorder=log), 5, password=SECRET)
    reader = LogReader(directory)
    (entry,) = entries(directory, kind="decision")
    disclosure = reader.disclose(entry, "args.amount")
    assert disclosure.value == "5"
    assert SECRET not in disclosure.to_json().decode()
    again = Disclosure.from_json(disclosure.to_json())
    verify_disclosure(again, reader.verifier(entry.shard))
    forged = Disclosure(again.path, again.salt, "6", again.hash, again.record, again.receipt)
    with pytest.raises(evidence.EvidenceError, match=r"not the value of `args\.amount`"):
        verify_disclosure(forged, reader.verifier(entry.shard))


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda salt: f" {salt}",
        lambda salt: salt[:-2],
        lambda salt: f"{salt}00",
        lambda salt: "zz",
        lambda _: "",
    ],
)
def test_a_disclosure_with_another_salt_does_not_fit(directory: Path, change: Any) -> None:
    with evidence.open(directory, mode="sync") as log:
        pay(Engine.from_text(POLICY, recorder=log))
    reader = LogReader(directory)
    (entry,) = entries(directory, kind="decision")
    found = reader.disclose(entry, "args.amount")
    changed = Disclosure(found.path, change(found.salt), found.value, found.hash, found.record, found.receipt)
    if changed.salt != found.salt:  # else it has no letters
        with pytest.raises(DoesNotFit):
            verify_disclosure(changed, reader.verifier(entry.shard))


def test_long_names_leave_no_value_without_a_commitment(directory: Path) -> None:
    """Names of arguments are the agent's own: 120 of 190 signs have no room in a record."""
    many = {f"{chr(0x1F600) * 190}{number}": number for number in range(120)}
    with evidence.open(directory, mode="sync") as log:
        assert pay(Engine.from_text(POLICY, recorder=log), **many).effect is Effect.ALLOW
    reader = LogReader(directory)
    (entry,) = entries(directory, kind="decision")
    assert list(entry.record["args"]) == ["*"]
    found = reader.disclose(entry, "args")
    verify_disclosure(found, reader.verifier(entry.shard))
    assert json.loads(found.value) == {"amount": 5, **many}


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_longest_record_fits_into_the_smallest_segment(directory: Path, mode: Any) -> None:
    with evidence.open(directory, mode=mode) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        for count in range(66, 84):
            assert pay(engine, **{f"{chr(0x1F600) * 190}{number}": 1 for number in range(count)}).effect is Effect.ALLOW
            log.flush()
        assert pay(engine).effect is Effect.ALLOW
    assert max(len(entry.body) for entry in entries(directory)) > 60_000
    assert evidence.audit(directory).whole


def test_what_waits_to_be_written_when_its_subject_is_erased_is_gone_as_well(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain.Drain, "_run", lambda self: None)  # nobody writes before somebody asks
    with evidence.open(directory, mode="async") as log:
        engine = Engine.from_text(POLICY, recorder=log)
        pay(engine, password="old")
        log.flush()
        pay(engine, password=SECRET)
        log.erase("acme", "ann")
        pay(engine, password="new")
    reader = LogReader(directory)
    first, second, third = entries(directory, kind="decision")
    for entry in (first, second):
        with pytest.raises(Erased):
            reader.values(entry)
    assert reader.values(third)["args.password"][1] == b'"new"'


def test_what_comes_long_after_an_erasure_is_kept(directory: Path) -> None:
    with evidence.open(directory, mode="sync") as log:
        engine = Engine.from_text(POLICY, recorder=log)
        pay(engine)
        log.erase("acme", "ann")
        for _ in range(3):
            engine.decide({"tool_name": "pay", "tool_args": {"amount": 1}, "tenant_id": "acme", "user_id": "bob"})
        pay(engine, password="new")
    reader = LogReader(directory)
    newest = entries(directory, kind="decision")[-1]
    assert reader.values(newest)["args.password"][1] == b'"new"'


def test_an_erased_value_is_gone_and_every_proof_still_verifies(directory: Path) -> None:
    with evidence.open(directory, mode="sync") as log:
        engine = Engine.from_text(POLICY, recorder=log)
        pay(engine, password=SECRET)
        reader = LogReader(directory)
        (entry,) = entries(directory, kind="decision")
        log.checkpoint()
        receipt = reader.receipt(entry)
        log.erase("acme", "ann", reason="request 4711")
        with pytest.raises(Erased):
            reader.values(entry)
        pay(engine, password="new")
    with pytest.raises(Erased):
        reader.disclose(entry, "args.password")
    assert len(list(directory.glob("vault/keys/*/*.key"))) == 1  # that of the call after it
    (redaction,) = entries(directory, kind="redaction")
    assert (redaction.record["subject"], redaction.record["keys"], redaction.record["reason"]) == (
        "ann",
        1,
        "request 4711",
    )
    verify_receipt(receipt, entry.body, reader.verifier(entry.shard))
    assert evidence.audit(directory).whole
    newest = entries(directory, kind="decision")[-1]
    assert reader.values(newest)["args.password"][1] == b'"new"'


# ---------------------------------------------------------------- several writers, checkpoints, receipts


def test_each_writer_has_a_shard_of_its_own_and_one_root_covers_them(directory: Path) -> None:
    with evidence.open(directory) as one, evidence.open(directory) as two:
        assert {one.shard, two.shard} == {"00", "01"}
        pay(Engine.from_text(POLICY, recorder=one))
        pay(Engine.from_text(POLICY, recorder=two))
    with evidence.open(directory) as again:
        assert again.shard == "00"
    assert {entry.shard for entry in entries(directory, kind="decision")} == {"00", "01"}
    root = [shard for shard in evidence.audit(directory).shards if shard.name == "root"]
    assert root[0].size >= 2


def test_a_shard_has_one_writer(directory: Path) -> None:
    with evidence.open(directory, shard="a") as _, pytest.raises(ShardLocked, match=f"process {os.getpid()}"):
        evidence.open(directory, shard="a")


def test_a_receipt_is_minted_on_demand_and_proves_the_record(directory: Path) -> None:
    with evidence.open(directory, mode="sync") as log:
        places = [log.write(policy_load_draft(f"{number:064x}")) for number in range(20)]
        assert None not in places
        receipts = log.receipts([place for place in places if place is not None])
    reader = LogReader(directory)
    for place, receipt in zip(places, receipts, strict=True):
        assert place is not None
        entry = reader.entry(f"{place.shard}/{place.seq}")
        assert receipt.hash == place.leaf
        verify_receipt(receipt, entry.body, reader.verifier("00"))


def test_a_checkpoint_is_signed_within_a_second_or_so(directory: Path) -> None:
    with evidence.open(directory) as log:
        pay(Engine.from_text(POLICY, recorder=log))
        until = time.monotonic() + 10
        while LogReader(directory).checkpoint("00") is None and time.monotonic() < until:
            time.sleep(0.05)
        assert LogReader(directory).checkpoint("00") is not None


def test_a_log_whose_records_are_not_what_was_signed_is_not_continued(directory: Path, tmp_path: Path) -> None:
    def filled(words: str) -> None:
        with evidence.open(directory) as log:
            log.policy_loaded(words)

    shard = directory / "shards" / "00"
    filled("one")
    kept = {file.name: file.read_bytes() for file in shard.iterdir()}
    for file in shard.iterdir():
        file.unlink()
    (directory / "root" / "checkpoint").rename(tmp_path / "aside")
    for file in (directory / "root").iterdir():
        file.unlink()
    filled("another")
    (shard / "checkpoint").write_bytes(kept["checkpoint"])
    with pytest.raises(NotWhatWasSigned, match="nothing is written to it"):
        evidence.open(directory)


# ---------------------------------------------------------------- what goes wrong


def test_a_decision_that_cannot_be_recorded_is_blocked(directory: Path) -> None:
    disk = Disk()
    log = evidence.open(directory, mode="sync", storage=disk)
    engine = Engine.from_text(POLICY, recorder=log)
    assert pay(engine).effect is Effect.ALLOW
    disk.broken = True
    for _ in range(2):
        decision = pay(engine)
        assert (decision.effect, decision.reason_code) == (Effect.BLOCK, "evidence_unavailable")
    disk.broken = False
    assert pay(engine).reason_code == "evidence_unavailable"  # what is on disk is not known any more
    with pytest.raises(evidence.EvidenceError, match=r"start again|end the process"):
        log.close()
    assert evidence.audit(directory).whole


def test_a_full_disk_blocks_until_there_is_room_and_loses_nothing_that_was_accepted(directory: Path) -> None:
    disk = Disk()
    with evidence.open(directory, mode="sync", storage=disk) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        disk.full = True
        decisions = [pay(engine) for _ in range(300)]
        assert decisions[0].effect is Effect.ALLOW
        assert decisions[-1].reason_code == "evidence_unavailable"
        disk.full = False
        assert pay(engine).effect is Effect.ALLOW
    kept = [decision.id for decision in decisions if decision.effect is Effect.ALLOW]
    assert [entry.record["id"] for entry in entries(directory, kind="decision")][:-1] == kept


def test_in_mode_async_the_next_call_hears_that_the_disk_is_full(directory: Path) -> None:
    disk = Disk()
    with evidence.open(directory, storage=disk) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        disk.full = True
        until = time.monotonic() + 20
        while pay(engine).effect is Effect.ALLOW and time.monotonic() < until:
            pass
        assert pay(engine).reason_code == "evidence_unavailable"
        assert log._tray.count <= QUEUE_MAX + 1
        disk.full = False
    assert evidence.audit(directory).whole


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_checkpoint_that_finds_no_room_is_signed_later_and_stops_no_call(
    directory: Path, mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "CHECKPOINT_S", 0)
    disk = Disk()
    with evidence.open(directory, mode=mode, storage=disk) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        pay(engine)
        log.checkpoint()
        disk.full = True
        assert pay(engine).effect is Effect.ALLOW
        with pytest.raises(evidence.EvidenceError, match="no space for the next checkpoint"):
            log.checkpoint()
        with log._drain.held():
            log._drain._tick()
        signed = log._drain.writer.signed
        assert signed < log._drain.writer.size
        assert pay(engine).effect is Effect.ALLOW
        disk.full = False
        assert log.checkpoint() is not None
        assert log._drain.writer.signed > signed
    found = evidence.audit(directory)
    assert (found.problems, [shard.size - shard.signed for shard in found.shards]) == ([], [0, 0])


def over(file: int, path: str, flags: int = os.O_RDWR) -> None:
    """Let a file that is open be another one."""
    other = os.open(path, flags)
    os.dup2(other, file)
    os.close(other)


def refusing(file: int) -> None:
    """Let nothing be written to a file that is open."""
    over(file, os.devnull, os.O_RDONLY)


def until_blocked(engine: Engine) -> None:
    until = time.monotonic() + 20
    while pay(engine).reason_code != "evidence_unavailable":
        assert time.monotonic() < until


def test_a_disk_that_refuses_records_in_mode_async_stops_the_log_for_good(directory: Path) -> None:
    log = evidence.open(directory)
    engine = Engine.from_text(POLICY, recorder=log)
    pay(engine)
    log.flush()
    refusing(log._drain.writer._shard._file or 0)
    until_blocked(engine)
    with pytest.raises(evidence.EvidenceError, match=r"start again|end the process"):
        log.close()
    assert evidence.audit(directory).whole


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a disk that is always full")
def test_a_vault_that_finds_no_room_in_mode_async_blocks_until_there_is_some_and_loses_nothing(directory: Path) -> None:
    with evidence.open(directory) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        first = pay(engine)
        log.flush()
        (boxes,) = (directory / "vault" / "boxes").rglob("*.box")
        over(log._vault._file or 0, "/dev/full")
        until_blocked(engine)
        over(log._vault._file or 0, str(boxes))
        assert pay(engine).effect is Effect.ALLOW
    reader = LogReader(directory)
    found = list(reader.entries(Wanted(kind="decision")))
    assert found[0].record["id"] == first.id
    assert len(found) > 1
    assert all(reader.disclose(entry, "args.amount") for entry in found)
    assert evidence.audit(directory).whole


def test_an_operator_who_lets_calls_through_without_evidence_has_that_recorded(directory: Path) -> None:
    disk = Disk()
    with evidence.open(directory, mode="sync", on_failure="allow", storage=disk) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        disk.full = True
        assert all(pay(engine).effect is Effect.ALLOW for _ in range(300))
        disk.full = False
        pay(engine)
    (shed,) = entries(directory, kind="shed")
    decisions = entries(directory, kind="decision")
    assert shed.record["count"] + len(decisions) == 301
    assert shed.record["why"] == "NoSpace"


def test_a_log_that_is_not_there_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(NoLog, match=r"does not exist; create it with `thoth evidence init .*nix`"):
        evidence.open(tmp_path / "nix")


def test_a_missing_key_is_named(directory: Path) -> None:
    (directory / "signing.pem").unlink()
    with pytest.raises(KeyFileError, match=r"signing\.pem` does not exist"):
        evidence.open(directory)


def test_a_log_is_never_made_where_one_is(directory: Path) -> None:
    before = (directory / "log.pub").read_bytes()
    with pytest.raises(evidence.EvidenceError, match="holds an evidence log already"):
        evidence.init(directory)
    assert (directory / "log.pub").read_bytes() == before


def test_a_clock_that_went_back_is_an_error_when_a_log_is_opened(directory: Path) -> None:
    disk = Disk()
    disk.ahead_ns = 3_600_000_000_000
    with evidence.open(directory, storage=disk):
        pass
    with pytest.raises(ClockWentBack, match="set the clock right"):
        evidence.open(directory)


def test_a_clock_that_goes_back_meanwhile_is_said_in_the_record(directory: Path) -> None:
    disk = Disk()
    with evidence.open(directory, mode="sync", storage=disk) as log:
        log.policy_loaded("one")
        disk.ahead_ns = -60_000_000_000
        log.policy_loaded("two")
    one, two = entries(directory, kind="policy_load")
    assert two.record["at_us"] == one.record["at_us"]
    assert 55_000_000 < two.record["clock_back_us"] <= 60_000_000


def test_a_torn_write_is_recovered_and_recorded(directory: Path) -> None:
    with evidence.open(directory) as log:
        log.policy_loaded("one")
    (segment,) = (directory / "shards" / "00").glob("*.seg")
    data = segment.read_bytes()
    end = len(data.rstrip(b"\0")) + 7 & ~7
    segment.write_bytes(data[:end] + b"\x9eTF1 torn" + data[end + 9 :])
    with evidence.open(directory):
        pass
    (recovered,) = entries(directory, kind="recovered")
    assert recovered.record["dropped_bytes"] == 9
    assert evidence.audit(directory).whole


@pytest.mark.skipif(sys.platform == "darwin", reason="a fork with threads is not safe there")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_log_is_not_used_after_a_fork(directory: Path) -> None:
    with evidence.open(directory) as log:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                log.policy_loaded("child")
            except evidence.EvidenceError as error:
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert b"open one in each process" in os.read(reading, 1000)
        os.close(reading)
        os.close(writing)


@pytest.mark.skipif(sys.platform == "darwin", reason="a fork with threads is not safe there")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("ask", ["flush", "checkpoint"])
def test_what_waited_at_a_fork_is_written_by_the_parent_alone(
    directory: Path, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    monkeypatch.setattr(drain.Drain, "_run", lambda self: None)  # nobody writes before somebody asks
    with evidence.open(directory) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        pay(engine)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                getattr(log, ask)()
            except evidence.EvidenceError as error:
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(writing)
        with os.fdopen(reading, "rb") as said:
            assert b"open one in each process" in said.read()
        assert not list(directory.glob("vault/boxes/*/*"))
        pay(engine)
    assert len(entries(directory, kind="decision")) == 2


def test_an_interrupt_in_the_middle_of_a_commit_is_an_error_of_whoever_comes_next(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C raises wherever the program happens to be; what was taken out of the tray by then is not on disk."""
    monkeypatch.setattr(drain.Drain, "_run", lambda self: None)  # nobody writes before somebody asks

    def interrupted(half: Any) -> bytes:
        raise KeyboardInterrupt

    log = evidence.open(directory, on_failure="block")
    engine = Engine.from_text(POLICY, recorder=log)
    pay(engine)
    with monkeypatch.context() as patched:
        patched.setattr(log._vault, "sealed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            log.flush()
    assert pay(engine).reason_code == "evidence_unavailable"
    with pytest.raises(evidence.EvidenceError, match="interrupted"):
        log.close()
    with evidence.open(directory, mode="sync") as log:
        pay(Engine.from_text(POLICY, recorder=log))


def test_who_waits_for_a_commit_that_is_interrupted_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = evidence.open(directory, mode="sync")
    draft = policy_load_draft
    entered, go_on = threading.Event(), threading.Event()

    def interrupted(*_: Any) -> bytes:
        entered.set()
        go_on.wait(10)
        raise KeyboardInterrupt

    said: list[BaseException] = []

    def write() -> None:
        try:
            log.write(draft("ab"))
        except BaseException as error:  # noqa: BLE001 - a thread's error is looked at below
            said.append(error)

    with log._drain.held():
        threads = [threading.Thread(target=write) for _ in range(4)]
        monkeypatch.setattr(log._drain, "_commit", interrupted)
        for thread in threads:
            thread.start()
        until = time.monotonic() + 10
        while log._tray.count < 4 and time.monotonic() < until:
            time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    kinds = sorted(type(error).__name__ for error in said)
    assert kinds == ["EvidenceError", "EvidenceError", "EvidenceError", "KeyboardInterrupt"]
    with pytest.raises(evidence.EvidenceError, match="interrupted"):
        log.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_after_a_failed_sync_of_values_no_checkpoint_says_that_all_is_well(directory: Path, mode: Any) -> None:
    """The system says once that a sync failed: the next one succeeds, and nothing was written."""

    class Once(FileStorage):
        box = -1

        def create(self, path: str) -> int:
            file = super().create(path)
            if path.endswith(".box"):
                self.box = file
            return file

        def sync(self, file: int) -> None:
            if file == self.box:
                self.box = -1
                raise OSError(errno.EIO, "input/output error")
            super().sync(file)

    log = evidence.open(directory, mode=mode, storage=Once())
    engine = Engine.from_text(POLICY, recorder=log)
    pay(engine)
    for _ in range(2):
        with pytest.raises(evidence.EvidenceError, match="see to the disk"):
            log.checkpoint()
    assert pay(engine).reason_code == "evidence_unavailable"
    with pytest.raises(evidence.EvidenceError, match="see to the disk"):
        log.close()


def test_a_log_lets_go_of_its_shard_also_where_the_root_log_cannot_be_closed(directory: Path) -> None:
    class Once(FileStorage):
        failed = False

        def unlock(self, file: int) -> None:
            super().unlock(file)
            if not self.failed:
                self.failed = True
                raise OSError(errno.EIO, "input/output error")

    log = evidence.open(directory, mode="sync", storage=Once())
    log.policy_loaded("1")
    with pytest.raises(evidence.EvidenceError, match=r"cannot close `.*root`"):
        log.close()
    with evidence.open(directory, mode="sync", shard="00") as log:
        log.policy_loaded("2")
    assert evidence.audit(directory).whole


def test_a_closed_log_takes_nothing(directory: Path) -> None:
    log = evidence.open(directory)
    log.close()
    log.close()
    with pytest.raises(evidence.EvidenceError, match="was closed"):
        log.policy_loaded("x")


def test_the_body_of_a_record_is_canonical_json(directory: Path) -> None:
    from thoth.evidence.canonical import canonical

    with evidence.open(directory) as log:
        pay(Engine.from_text(POLICY, recorder=log), note="ü\n")
    for entry in entries(directory):
        assert canonical(json.loads(entry.body)) == entry.body


def test_a_missing_library_is_named_with_the_way_to_install_it(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thoth.evidence import folder

    monkeypatch.setattr(folder.importlib.util, "find_spec", lambda name: None)
    for act in (
        lambda: evidence.open(directory),
        lambda: evidence.init(tmp_path / "new"),
        lambda: evidence.audit(directory),
    ):
        with pytest.raises(evidence.EvidenceError, match="pip install cryptography"):
            act()


def test_nothing_of_cryptography_is_loaded_before_a_key_is_used() -> None:
    code = "import sys, thoth.evidence.log, thoth.evidence.browse; assert 'cryptography' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


WRITER = """
import sys
from thoth import evidence
from thoth.evidence.record import policy_load_draft
log = evidence.open(sys.argv[1], mode="sync")
for number in range(10_000):
    place = log.write(policy_load_draft(f"{number:064x}"))
    print(place.seq, place.leaf, flush=True)
"""


def test_every_record_that_was_acknowledged_survives_a_kill(directory: Path) -> None:
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            said = [writer.stdout.readline().split() for _ in range(40)]
            writer.kill()
            said += [line.split() for line in writer.stdout.read().splitlines()]
        reader = LogReader(directory)
        for words in said:
            if len(words) == 2:  # the last line may be torn
                assert leaf_hash(reader.entry(f"00/{words[0]}").body).hex()[: len(words[1])] == words[1]
        assert evidence.audit(directory).whole
    with evidence.open(directory) as log:
        assert log.shard == "00"
    assert evidence.audit(directory).whole
