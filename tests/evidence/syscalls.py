"""A writer on real files, under strace: each of its system calls fails, or is the last that it makes.

Run as a program, as `make crash` does. For every call that touches the log in one whole life of a writer, the writer is
run again with that call failing (EIO; ENOSPC where it can take space), and again killed at it. Whatever it had
acknowledged must be there afterwards, and after a failed sync it must acknowledge nothing more.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from thoth.evidence.read import read
from thoth.evidence.shard import Shard
from thoth.evidence.storage import FileStorage

WRITER = """
import sys
from thoth.evidence.shard import Shard
from thoth.evidence.storage import FileStorage

print("begin", flush=True)
with Shard.open(FileStorage(), sys.argv[1], create=True, segment_bytes=8192) as shard:
    for batch in range(8):
        for _ in range(3):
            shard.append(b"%d:" % shard.next_seq + b"x" * 250)
        print(shard.commit(), flush=True)
        if batch == 3:
            shard.write_head()
"""
CALLS = (
    "pwrite64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "rename",
    "unlink",
    "flock",
    "mkdir",
    "openat",
    "pread64",
    "close",
    "write",
)
TAKE_SPACE = ("pwrite64", "fdatasync", "fsync", "rename", "mkdir", "openat")
SYNCS = ("fdatasync", "fsync")


def strace(folder: Path, *inject: str) -> tuple[list[int], str, str]:
    """Run a writer; what it acknowledged, what strace saw of the log, and what it said at its end."""
    trace = folder.with_suffix(".trace")
    command = ["strace", "-f", "-y", "-o", str(trace), "-e", f"trace={','.join(CALLS)}", *inject]
    run = subprocess.run(
        [*command, sys.executable, "-c", WRITER, str(folder)], capture_output=True, text=True, check=False
    )
    said = [int(line) for line in run.stdout.splitlines() if line.isdigit()]
    return said, trace.read_text(errors="replace"), run.stderr


def places(trace: str, folder: Path) -> list[tuple[str, int]]:
    """Each call that names the log's folder, as its name and which of its kind it was, counted from 1."""
    seen: dict[str, int] = {}
    found = []
    for line in trace.splitlines():
        match = re.match(r"\d+ +(\w+)\(", line)
        if match:
            seen[match[1]] = seen.get(match[1], 0) + 1
            if str(folder) in line and match[1] != "write":
                found.append((match[1], seen[match[1]]))
    return found


def check(folder: Path, said: list[int], how: str) -> None:
    least = max(said, default=0)
    if not (folder / "HEAD").exists():
        assert least == 0, f"{how}: acknowledged records are gone"
        return
    with Shard.open(FileStorage(), str(folder), create=True, segment_bytes=8192) as shard:
        assert shard.next_seq >= least, f"{how}: {least} were acknowledged, {shard.next_seq} are there"
        again = shard.next_seq
    bodies = [record.body for record in read(str(folder))] if again else []
    assert bodies == [b"%d:" % number + b"x" * 250 for number in range(again)], how


def main() -> None:
    if shutil.which("strace") is None:
        sys.exit("there is no `strace`; install it: `apt-get install strace`")
    work = Path(tempfile.mkdtemp())
    try:
        said, trace, stderr = strace(work / "whole")
        if said != [3 * number for number in range(1, 9)]:
            sys.exit(f"strace may not trace here: {stderr.strip()[-300:]}")
        todo = places(trace, work / "whole")
        count = 0
        for name, when in todo:
            faults = ["signal=KILL", "error=EIO", *(["error=ENOSPC"] if name in TAKE_SPACE else [])]
            for fault in faults:
                folder = work / f"{count:05d}"
                said, trace, _ = strace(folder, "-e", f"inject={name}:{fault}:when={when}")
                how = f"{fault} at {name} number {when}"
                check(folder, said, how)
                if fault == "error=EIO" and name in SYNCS:
                    _, _, after = trace.partition("(INJECTED)")
                    assert not re.search(r' write\(1[<,][^"]*"\d', after), f"{how}: it went on after a failed sync"
                shutil.rmtree(folder, ignore_errors=True)
                folder.with_suffix(".trace").unlink()
                count += 1
                print(f"\r{count:,} runs, {how}        ", end="", file=sys.stderr, flush=True)
        print(f"\n{count:,} calls failed or were the last; nothing that was acknowledged was lost", file=sys.stderr)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
