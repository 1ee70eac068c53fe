"""`thoth evidence export` and `salvage`: a log, or what is left of one, as files for others."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..contract import OperationError
from ..evidence import LogReader
from ..evidence.checkpoint import open_checkpoint
from ..evidence.read import Record, read
from ..evidence.salvage import salvage as salvage_shard
from ..evidence.tiles import CHECKPOINT_PATH, TileFolder, export_tiles
from .arguments import Format
from .evidence_prove import CORRUPT, progress
from .evidence_write import Directory
from .printing import counted, print_json, say

Out = Annotated[Path, Parameter(name="OUT", help="the folder to write into; it is made")]


def export(
    directory: Directory,
    out: Out,
    /,
    *,
    as_: Annotated[
        Literal["tiles", "jsonl"],
        Parameter(name="--as", help="tiles, which log tools verify (the default), or jsonl, a line for each record"),
    ] = "tiles",
    format: Format = "text",
) -> int:
    """Export a log, shard by shard, as static files: what its newest checkpoints cover.

    Tiles (C2SP tlog-tiles) are checked while they are written: their root is the
    one that was signed. Sealed values are not exported; the vault stays here.

    For example:
      thoth evidence export var/evidence out/tiles
      thoth evidence export var/evidence out --as jsonl

    Exit codes: 0 exported, 3 the records are not what was signed, 2 it cannot be
    read or written.
    """
    reader = LogReader(directory)
    written: dict[str, int] = {}
    with progress("records") as step:
        for shard in reader.shards():
            note = reader.checkpoint(shard)
            if note is None:
                continue
            signed = open_checkpoint(note, reader.verifier(shard))
            records = read(reader.folder.shard_path(shard), 0, signed.size)
            target = out / shard
            target.mkdir(parents=True, exist_ok=True)
            if as_ == "tiles":
                tiles = TileFolder(target)
                size, root = export_tiles(_counting(records, step), tiles.write)
                if (size, root) != (signed.size, signed.root):
                    say(f"shard `{shard}` is not what was signed; `thoth evidence verify {directory}` says more")
                    return CORRUPT
                tiles.write(CHECKPOINT_PATH, note)
            else:
                size = 0
                with (target / "records.jsonl").open("w", encoding="utf-8") as stream:
                    for record in records:
                        place = f"{shard}/{record.seq}"
                        line = {"place": place, "hash": record.leaf.hex(), "record": json.loads(record.body)}
                        stream.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
                        size += 1
                        step(1)
            written[shard] = size
    if not written:
        raise OperationError(f"`{directory}` has nothing signed yet, so there is nothing to export")
    if format == "json":
        print_json({"out": str(out), "as": as_, "shards": written})
    else:
        for shard, size in written.items():
            say(f"{out}/{shard}: {counted(size, 'record')} as {as_}")
    return 0


def _counting(records: Iterable[Record], step: Callable[[int], None]) -> Iterator[bytes]:
    for record in records:
        step(1)
        yield record.body


def salvage(
    directory: Annotated[
        Path, Parameter(name="DIR", help="the folder of the damaged shard, e.g. var/evidence/shards/00")
    ],
    out: Out,
    /,
    *,
    format: Format = "text",
) -> int:
    """Copy what can still be read out of a damaged shard; the shard is not touched.

    What comes out is not the log: each gap is named in report.json.

    For example:
      thoth evidence salvage var/evidence/shards/00 rescued

    Exit codes: 0 nothing is missing, 1 there are gaps, 2 it cannot be read.
    """
    found = salvage_shard(str(directory), str(out))
    if format == "json":
        print_json({"out": str(out), "records": found.record_count, "gaps": len(found.gaps)})
    else:
        say(f"{out}: {counted(found.record_count, 'record')}, {counted(len(found.gaps), 'gap')}")
        for gap in found.gaps:
            say(f"  record {gap.seq} in `{gap.segment}` at byte {gap.offset}: {gap.why}")
    return 1 if found.gaps else 0
