"""A log with its vault, on files: whatever call fails, what was acknowledged is there, and its values can be opened."""

import errno
from pathlib import Path
from typing import Any

import pytest

from thoth import evidence
from thoth.contract import Effect, OperationError
from thoth.engine import Engine
from thoth.evidence.browse import LogReader, Wanted
from thoth.evidence.storage import Bytes, FileStorage

from .logs import POLICY, made, pay

CALLS = (
    "make_dir",
    "list",
    "create",
    "open",
    "size",
    "pread",
    "pwrite",
    "reserve",
    "sync",
    "sync_dir",
    "rename",
    "unlink",
)
TAKES_SPACE = frozenset({"make_dir", "create", "pwrite", "reserve", "sync", "rename"})
STEP = 3
"""So many tests share the calls of a life between them."""


class Failing(FileStorage):
    """The real files; the call with one number fails."""

    def __init__(self, fault: int = 0, at: int = -1) -> None:
        self.fault, self.at, self.count = fault, at, 0

    def step(self, name: str) -> None:
        number = self.count
        self.count += 1
        if number == self.at:
            if self.fault == errno.ENOSPC and name not in TAKES_SPACE:
                self.at += 1  # it needs no space, so the next one it is
                return
            raise OSError(self.fault, errno.errorcode[self.fault])

    def pwrite(self, file: int, data: Bytes, offset: int) -> None:
        try:
            self.step("pwrite")
        except OSError:
            super().pwrite(file, data[: len(data) // 2], offset)  # a write that fails may be done in part
            raise
        super().pwrite(file, data, offset)


def counted(name: str) -> Any:
    own = getattr(FileStorage, name)

    def call(self: Failing, *args: Any, **more: Any) -> Any:
        self.step(name)
        return own(self, *args, **more)

    return call


for each in CALLS:
    if each != "pwrite":
        setattr(Failing, each, counted(each))


def live(directory: Path, storage: Failing, acknowledged: list[str]) -> None:
    """Open, pay, erase a stranger, pay again, close: what was let through is noted as soon as it is known."""
    with evidence.open(directory, mode="sync", storage=storage) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        for number in range(4):
            decision = pay(engine, number, note="")
            if decision.effect is Effect.ALLOW:
                acknowledged.append(decision.id)
            if number == 1:
                log.erase("acme", "nobody")
                log.checkpoint()


def test_how_many_calls_a_life_makes_is_what_the_sweep_goes_through(tmp_path: Path) -> None:
    storage, acknowledged = Failing(), list[str]()
    live(made(tmp_path / "log"), storage, acknowledged)
    assert len(acknowledged) == 4
    assert storage.count > 60


@pytest.mark.parametrize("fault", [errno.EIO, errno.ENOSPC], ids=["eio", "enospc"])
@pytest.mark.parametrize("part", range(STEP))
def test_a_failing_call_loses_no_decision_and_no_value_that_was_acknowledged(
    tmp_path: Path, fault: int, part: int
) -> None:
    storage = Failing()
    live(made(tmp_path / "whole"), storage, [])
    failed = 0
    for call in range(part, storage.count, STEP):
        directory, acknowledged = made(tmp_path / str(call)), list[str]()
        try:
            live(directory, Failing(fault, call), acknowledged)
        except (OperationError, OSError):
            failed += 1
        again = list[str]()
        live(directory, Failing(), again)
        assert len(again) == 4, call
        assert evidence.audit(directory).whole, call
        reader = LogReader(directory)
        found = {entry.record["id"]: entry for entry in reader.entries(Wanted(kind="decision"))}
        for id in (*acknowledged, *again):
            assert reader.disclose(found[id], "args.amount").value is not None, call
    assert failed
