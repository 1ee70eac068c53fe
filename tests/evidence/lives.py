"""A log with its vault, on files, killed at each of the calls that its life makes: in mode sync, and in mode async.

Run as a program, as `make crash` does, it goes through all of them; `python lives.py EVERY FIRST WAY` through some.
What was acknowledged must be there afterwards, its values must open, those of an erased subject must not, and the next
life must find nothing in its way. Each life is a process of its own that really dies.
"""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from thoth import evidence
from thoth.contract import Decision, Effect
from thoth.engine import Engine
from thoth.evidence.browse import Entry, LogReader, Wanted
from thoth.evidence.log import RecordingMode
from thoth.evidence.storage import Bytes, FileStorage
from thoth.evidence.vault import Erased
from thoth.native.disk import DIRECT

CALLS = (
    "make_dir", "list", "create", "open", "close", "size", "pread", "pwrite", "reserve", "sync", "sync_dir", "rename",
    "unlink", "lock", "unlock",
)  # fmt: skip
POLICY = "tool pay(amount: number) is write\nallow pay\n"
Way = tuple[RecordingMode, bool]
WAYS: tuple[Way, ...] = (("sync", False), ("async", False), ("async", DIRECT))


class Dying(FileStorage):
    """The real files; the call with one number is the last, and a write is done by half then."""

    def __init__(self, at: int, direct: bool) -> None:
        self.at, self.count, self.through = at, 0, direct

    @property
    def direct(self) -> bool:
        return self.through

    def step(self, last: Any = None) -> None:
        self.count += 1
        if self.count - 1 == self.at:
            if last is not None:
                last()
            os.kill(os.getpid(), signal.SIGKILL)

    def pwrite(self, file: int, data: Bytes, offset: int) -> None:
        self.step(lambda: FileStorage.pwrite(self, file, data[: len(data) // 2], offset))
        super().pwrite(file, data, offset)


def counted(name: str) -> Any:
    own = getattr(FileStorage, name)

    def call(self: Dying, *args: Any, **more: Any) -> Any:
        self.step()
        return own(self, *args, **more)

    return call


for each in CALLS:
    if each != "pwrite":
        setattr(Dying, each, counted(each))


def pay(engine: Engine, user: str) -> Decision:
    return engine.decide(
        {
            "tool_name": "pay",
            "tool_args": {"amount": 5},
            "tenant_id": "acme",
            "user_id": user,
            "session_id": "s1",
            "session_tool_calls": ["pay"],
        }
    )


def live(directory: Path, mode: RecordingMode, storage: FileStorage, say: Any) -> None:
    """Pay for ann and for bob, erase bob, pay for both again: a line for each thing that is promised."""
    with evidence.open(directory, mode=mode, storage=storage) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        for turn in range(2):
            for user in ("ann", "bob"):
                decision = pay(engine, user)
                assert decision.effect is Effect.ALLOW, f"{user} is blocked: {decision.problem}"
                log.flush()
                say(f"{user}-{turn} {decision.id}")
            if turn == 0:
                log.erase("acme", "bob")
                say("erased -")
                log.checkpoint()


def in_a_process(directory: Path, mode: RecordingMode, storage: Dying) -> tuple[list[tuple[str, str]], int, int]:
    """One life; what it promised, how many calls it made, and how it ended."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            live(directory, mode, storage, lambda line: os.write(theirs, f"{line}\n".encode()))
            os.write(theirs, f"calls {storage.count}\n".encode())
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - a child of a fork must not go on in its parent's place
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    os.close(theirs)
    with os.fdopen(ours) as said:
        lines = [line.split() for line in said]
    _, status = os.waitpid(child, 0)
    promised = [(what, which) for what, which in lines]
    calls = int(promised.pop()[1]) if promised and promised[-1][0] == "calls" else 0
    return promised, calls, os.waitstatus_to_exitcode(status)


def check(directory: Path, promised: list[tuple[str, str]]) -> None:
    """What was promised in this life holds."""
    reader = LogReader(directory)
    found = {entry.record["id"]: entry for entry in reader.entries(Wanted(kind="decision"))}
    erased = ("erased", "-") in promised
    for who, id in promised:
        if who == "erased":
            continue
        assert id in found, f"the decision of {who} was acknowledged, and is gone"
        opens = opened(reader, found[id])
        if who == "bob-0":
            assert not (erased and opens), "the value of an erased subject opens"
        else:
            assert opens, f"the value of {who} was acknowledged, and does not open"


def opened(reader: LogReader, entry: Entry) -> bool:
    try:
        return reader.values(entry)["args.amount"][1] == b"5"
    except Erased:
        return False


def sweep(way: Way, every: int, first: int) -> int:
    """Kill a life at each of its calls; how often that was."""
    mode, direct = way
    work = Path(tempfile.mkdtemp())
    try:
        evidence.init(work / "empty", segment_bytes=1 << 16)
        shutil.copytree(work / "empty", work / "whole")
        promised, calls, code = in_a_process(work / "whole", mode, Dying(-1, direct))
        assert code == 0, "the whole life"
        check(work / "whole", promised)
        kills = 0
        for call in range(first, calls, every):
            directory = work / f"{call}"
            shutil.copytree(work / "empty", directory)
            try:
                promised, _, code = in_a_process(directory, mode, Dying(call, direct))
                assert code in (0, -signal.SIGKILL)
                kills += code != 0
                before = evidence.audit(directory)
                assert before.whole, before.problems
                again, _, code = in_a_process(directory, mode, Dying(-1, direct))
                assert code == 0, "the life after it"
                after = evidence.audit(directory)
                assert after.whole, after.problems
                if ("erased", "-") not in promised:
                    promised = [one for one in promised if one[0] != "bob-0"]
                check(directory, [one for one in promised if one[0] != "bob-1"])  # the next life has erased him again
                check(directory, again)
            except BaseException as error:
                error.add_note(f"mode {mode}, direct {direct}, killed at call {call}")
                raise
            shutil.rmtree(directory)
        return kills
    finally:
        shutil.rmtree(work)


def main(every: int = 1, first: int = 0, *which: int) -> None:
    count = sum(sweep(WAYS[way], every, first) for way in which or range(len(WAYS)))
    assert count, "nobody was killed"
    print(f"{count:,} lives of a log with its vault were ended; what each had acknowledged is there", file=sys.stderr)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
