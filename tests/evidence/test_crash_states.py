"""The power is cut, the process killed, the disk fails or is full: what was acknowledged is there, and nothing else is.

The promises are in `crashes.crash_state`. `make crash` runs a million.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from thoth.evidence.errors import EvidenceError, NoSpace
from thoth.evidence.read import read
from thoth.evidence.shard import Shard
from thoth.evidence.storage import FileStorage

from . import crashes
from .crashes import FOLDER, Story
from .simulated import Killed, SimulatedStorage

STATES = 20_000
PARTS = 20


@pytest.mark.parametrize("part", range(PARTS))
def test_every_acknowledged_record_survives_and_what_is_recovered_is_a_prefix_of_what_was_issued(part: int) -> None:
    step = STATES // PARTS
    crashes.campaign(range(part * step, (part + 1) * step))


def script(storage: SimulatedStorage, story: Story) -> None:
    """Two lives that make every kind of call: create, rotate with and without a spare, HEAD, close, open again."""
    for _ in range(2):
        shard = crashes.open_shard(storage, story, 8192)
        crashes.check_recovered(storage, story, shard)
        try:
            for number in range(24):
                story.issued.append(b"%d:" % len(story.issued) + b"x" * 400)
                shard.append(story.issued[-1])
                if number % 3 == 2:
                    story.acknowledged = shard.commit()
                if number == 11:
                    shard.make_ahead()
                    shard.write_head()
            shard.close()
        except EvidenceError as error:
            if isinstance(error, NoSpace):
                shard.close()
            else:
                crashes.after_stop(shard)
            raise
        story.acknowledged = len(story.issued)


def calls_of_the_script(*, zeroed: bool) -> int:
    storage = SimulatedStorage()
    script(storage, Story(zeroed=zeroed))
    return storage.calls


@pytest.mark.parametrize("then", ["power", "restart"])
@pytest.mark.parametrize("fault", ["kill", "eio", "enospc"])
@pytest.mark.parametrize("zeroed", [True, False], ids=["zeros", "room"])
def test_a_fault_at_any_call_loses_nothing_that_was_acknowledged(zeroed: bool, fault: str, then: str) -> None:
    calls = calls_of_the_script(zeroed=zeroed)
    assert calls > 150
    ended = 0
    expected = Killed if fault == "kill" else EvidenceError
    for call in range(calls):
        for seed in range(3):
            storage, story = SimulatedStorage(seed), Story(zeroed=zeroed)
            storage.arm(fault, call)
            try:
                script(storage, story)
            except expected:
                ended += 1
            if then == "power":
                storage.cut_power()
            else:
                storage.end_process()
            crashes.recover_twice(storage, story, 8192)
    assert ended > calls


def test_recovery_itself_may_be_interrupted_at_any_call_by_anything() -> None:
    """A torn tail, then faults while it is mended, again and again."""
    chance = Random(7)
    for seed in range(150):
        storage, story = SimulatedStorage(seed), Story()
        storage.arm("kill", 60 + seed % 80)
        with pytest.raises(Killed):
            script(storage, story)
        storage.cut_power()
        for _ in range(6):
            storage.arm(chance.choice(["kill", "eio"]), chance.randrange(30))
            try:
                crashes.check_recovered(storage, story, crashes.open_shard(storage, story, 8192))
            except (Killed, EvidenceError):
                pass
            if chance.random() < 0.5:
                storage.cut_power()
            else:
                storage.end_process()
        crashes.recover_twice(storage, story, 8192)


WRITER = """
import sys
from thoth.evidence.shard import Shard
from thoth.evidence.storage import FileStorage

with Shard.open(FileStorage(), sys.argv[1], create=True, segment_bytes=65536) as shard:
    while True:
        for _ in range(5):
            shard.append(b"%d:" % shard.next_seq + b"x" * 300)
        print(shard.commit(), flush=True)
"""


def test_a_writer_killed_on_a_real_disk_has_kept_what_it_acknowledged(tmp_path: Path) -> None:
    folder = str(tmp_path / "log")
    for life in range(3):
        run = subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE)
        assert run.stdout is not None
        acknowledged = [int(run.stdout.readline()) for _ in range(150 + 37 * life)]
        os.kill(run.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in run.stdout if line.endswith(b"\n")]
        run.stdout.close()
        run.wait()
        with Shard.open(FileStorage(), folder) as shard:
            assert shard.recovery.crashed
            assert shard.next_seq >= acknowledged[-1]
        bodies = [record.body for record in read(folder)]
        assert bodies == [b"%d:" % number + b"x" * 300 for number in range(len(bodies))]


def test_the_story_of_the_script_is_read_back() -> None:
    storage, story = SimulatedStorage(), Story()
    script(storage, story)
    assert [record.body for record in read(FOLDER, storage=storage)] == story.issued
