"""One crash state: a shard lives a few lives, each ended by a fault; what comes back is held against what was said.

Run as a program it goes through a million: `python crashes.py COUNT`. A seed that fails is printed, and fails again.
"""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from random import Random

from thoth.evidence.errors import EvidenceError, NoSpace, ShardStopped
from thoth.evidence.head import parse_head
from thoth.evidence.read import read
from thoth.evidence.shard import Shard

if __package__:
    from .simulated import Killed, SimulatedStorage
else:
    from simulated import Killed, SimulatedStorage

FOLDER = "log"
FAULTS = ("power", "power", "power", "kill", "kill", "eio", "enospc")


@dataclass
class Story:
    """What was asked, and what was answered."""

    issued: list[bytes] = field(default_factory=list)
    acknowledged: int = 0  # records that somebody was told of
    checkpoint: int | None = None  # records that a signed checkpoint covers
    zeroed: bool = True  # how segments are made


def crash_state(seed: int) -> None:
    """Raises AssertionError where a promise was broken, or whatever the code under test should not have raised."""
    chance = Random(seed)
    storage = SimulatedStorage(seed)
    story = Story(zeroed=seed % 2 == 0)
    segment_bytes = chance.choice((8192, 8192, 12288, 32768))
    for _ in range(chance.choice((1, 2, 2, 3, 5))):
        fault = chance.choice(FAULTS)
        storage.arm("kill" if fault == "power" else fault, chance.choice((chance.randrange(40), chance.randrange(250))))
        try:
            live(storage, story, chance, segment_bytes)
        except Killed:
            pass
        except EvidenceError:
            assert fault in ("eio", "enospc")
        if fault == "power" or chance.random() < 0.4:
            storage.cut_power()
        else:
            storage.end_process()
    recover_twice(storage, story, segment_bytes)


def open_shard(storage: SimulatedStorage, story: Story, segment_bytes: int) -> Shard:
    create = story.checkpoint is None and not story.acknowledged
    return Shard.open(
        storage,
        FOLDER,
        segment_bytes=segment_bytes,
        zeroed=story.zeroed,
        create=create,
        newest_checkpoint_size=story.checkpoint,
    )


def check_recovered(storage: SimulatedStorage, story: Story, shard: Shard) -> None:
    """Every acknowledged record survives, and what is recovered is a prefix of what was issued."""
    assert shard.next_seq >= story.acknowledged, "an acknowledged record is gone"
    found = [record.body for record in read(FOLDER, storage=storage)]
    assert found == story.issued[: len(found)], "what was recovered is no prefix of what was issued"
    assert len(found) == shard.next_seq == shard.durable
    del story.issued[len(found) :]
    story.acknowledged = len(found)  # from here on it is served


def live(storage: SimulatedStorage, story: Story, chance: Random, segment_bytes: int) -> None:
    shard = open_shard(storage, story, segment_bytes)
    check_recovered(storage, story, shard)
    longest = chance.choice((60, 400, 1500, min(4000, segment_bytes - 4136)))
    try:
        for _ in range(chance.choice((5, 30, 80))):
            draw = chance.random()
            if draw < 0.6:
                body = b"%d:" % len(story.issued) + chance.randbytes(chance.randint(0, longest - 8))
                story.issued.append(body)
                try:
                    appended = shard.append(body)
                except NoSpace:
                    story.issued.pop()
                    assert shard.pending == 0
                    story.acknowledged = shard.durable
                    continue
                assert appended.seq == len(story.issued) - 1
            elif draw < 0.9:
                story.acknowledged = shard.commit()
                assert story.acknowledged == len(story.issued)
            elif draw < 0.94:
                shard.commit()
                story.acknowledged = story.checkpoint = shard.durable
                shard.write_head()
            elif draw < 0.97:
                try:
                    shard.make_ahead()
                except NoSpace:
                    continue
            else:
                shard.close()
                story.acknowledged = len(story.issued)
                shard = open_shard(storage, story, segment_bytes)
                check_recovered(storage, story, shard)
    except ShardStopped:
        after_stop(shard)
        raise


def after_stop(shard: Shard) -> None:
    """After a failed write or sync no call says that all is well."""
    before = shard.durable
    for attempt in (shard.commit, shard.write_head, shard.make_ahead, lambda: shard.append(b"x")):
        try:
            attempt()
        except ShardStopped:
            continue
        raise AssertionError("a shard that had stopped went on")
    assert shard.durable == before
    shard.close()


def recover_twice(storage: SimulatedStorage, story: Story, segment_bytes: int) -> None:
    """Recovering twice changes nothing."""
    shard = open_shard(storage, story, segment_bytes)
    check_recovered(storage, story, shard)
    first = shard.recovery
    assert first.next_seq == len(story.issued)
    chain = shard.chain
    storage.end_process()
    files = contents(storage)
    second = open_shard(storage, story, segment_bytes)
    assert (second.next_seq, second.chain, second.recovery.dropped) == (first.next_seq, chain, None)
    assert (second.recovery.rewritten, second.recovery.unlinked) == (0, None)
    assert contents(storage) == files
    storage.cut_power()
    assert contents(storage) == files, "something was served that was not durable"


def contents(storage: SimulatedStorage) -> dict[str, object]:
    """Every file but the lock; of HEAD what it says, for its slots are written in turn."""
    files = {name.rpartition("/")[2]: bytes(inode.cache) for name, inode in storage.names.items()}
    head = parse_head(files.get("HEAD", b""))
    return {**files, "LOCK": b"", "HEAD": head and head.durable}


def campaign(seeds: range) -> int:
    for seed in seeds:
        try:
            crash_state(seed)
        except BaseException as error:
            error.add_note(f"crash state {seed}")
            raise
    return len(seeds)


def main(count: int) -> None:
    started, done, step = time.monotonic(), 0, 500
    with ProcessPoolExecutor() as pool:
        for finished in pool.map(campaign, (range(at, min(at + step, count)) for at in range(0, count, step))):
            done += finished
            seconds = time.monotonic() - started
            left = seconds / done * (count - done)
            print(f"\r{done:,} of {count:,} crash states, {left:,.0f} s left ", end="", file=sys.stderr, flush=True)
    print(f"\n{count:,} crash states on {os.cpu_count()} processors without a violation", file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
