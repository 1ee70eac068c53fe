"""What evidence costs: a record appended, beside the least that a tamper-evident log must do; and a group made durable.

Each is one round of 256 records of about 300 bytes. Flatters: records of one shape, warm caches, one shard, a disk that
nobody else uses. Leaves out: making a segment (once in 64 MiB), signing checkpoints, and in `commit` the encoding. What
`fdatasync` costs is the disk's affair: compare rows, not machines.
"""

import hashlib
import itertools
import os
from pathlib import Path

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from thoth.evidence import FileStorage, Shard

GROUP = 256
RECORD = {
    "kind": "decision",
    "agent": "billing-agent",
    "at_ms": 1_767_225_600_000,
    "arguments": "3c9909afec25354d551dae21590bb26e38d53f2173b8d3dc3eee4c047e7ab1c1",
    "decision": "ALLOW",
    "policy": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "request": "7f9c2ba4-e88f-4dd9-9c0a-1f3f1f3b6a11",
    "tenant": "acme",
    "tool": "bank.transfer",
}
BODY = msgspec.json.encode(RECORD)


ENCODE = msgspec.json.Encoder(order="deterministic").encode


def test_encode_and_hash_with_no_log(benchmark: BenchmarkFixture) -> None:
    def bare() -> None:
        chain = bytes(32)
        for _ in range(GROUP):
            leaf = hashlib.sha256(b"\0" + ENCODE(RECORD)).digest()
            chain = hashlib.sha256(b"\2" + chain + leaf).digest()

    benchmark.extra_info.update(records=GROUP, body_bytes=len(BODY))
    benchmark.pedantic(bare, rounds=200, warmup_rounds=5)


@pytest.mark.parametrize("encoded", [False, True], ids=["and encode", "encoded"])
def test_append(benchmark: BenchmarkFixture, tmp_path: Path, encoded: bool) -> None:
    """Without `commit`, which mode `async` does later; it runs between the rounds."""
    shard = Shard.open(FileStorage(), str(tmp_path / "log"), create=True)

    def append() -> None:
        for _ in range(GROUP):
            shard.append(BODY if encoded else ENCODE(RECORD))

    def commit() -> None:
        shard.commit()

    benchmark.extra_info.update(records=GROUP, body_bytes=len(BODY))
    benchmark.pedantic(append, setup=commit, rounds=200, warmup_rounds=5)
    shard.close()


def test_commit_of_a_group(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    shard = Shard.open(FileStorage(), str(tmp_path / "log"), create=True)

    def group() -> None:
        for _ in range(GROUP):
            shard.append(BODY)
        shard.commit()

    benchmark.extra_info.update(records=GROUP, body_bytes=len(BODY))
    benchmark.pedantic(group, rounds=100, warmup_rounds=5)
    shard.close()


@pytest.mark.parametrize("zeroed", [True, False], ids=["in a zeroed file", "in a growing file"])
def test_the_same_bytes_written_and_synced_with_no_log(
    benchmark: BenchmarkFixture, tmp_path: Path, zeroed: bool
) -> None:
    data = os.urandom(GROUP * (40 + (len(BODY) + 7) // 8 * 8))
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    if zeroed:
        os.pwrite(file, bytes(64 << 20), 0)
        os.fsync(file)
    offsets = itertools.count(4096, len(data))

    def group() -> None:
        os.pwrite(file, data, next(offsets))
        os.fdatasync(file)

    benchmark.pedantic(group, rounds=100, warmup_rounds=5)
    os.close(file)
