"""`thoth evidence verify`, `receipt` and `prove`: what a log shows, and to whom."""

import base64
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..contract import OperationError
from ..evidence import Audit, LogReader, Receipt, audit, verify_receipt
from ..evidence.browse import Disclosure, verify_disclosure
from ..evidence.checkpoint import peek_checkpoint
from ..evidence.keys import read_public
from ..evidence.merkle import ProofError
from ..evidence.note import VerifierKey
from ..evidence.vault import DoesNotFit
from .arguments import Format
from .evidence_write import Directory
from .printing import counted, errors, print_json, say

CORRUPT = 3

PublicKey = Annotated[
    str | None, Parameter(name="--key", help="the public key, or a file that holds it, as you were handed it")
]
Place = Annotated[str | None, Parameter(name="PLACE", help="the record, by its place, e.g. 00/17")]
DecisionId = Annotated[str | None, Parameter(name="--decision", help="the record of this decision")]


def verify(
    path: Annotated[Path, Parameter(name="DIR", help="the folder of the log; or a receipt or a disclosed value")],
    /,
    *,
    key: PublicKey = None,
    since_checkpoint: Annotated[
        Path | None, Parameter(help="an older checkpoint that you kept: the log must continue it")
    ] = None,
    record: Annotated[Path | None, Parameter(help="the record that a receipt is for: its exact bytes")] = None,
    format: Format = "text",
) -> int:
    """Verify a log, a receipt, or a disclosed value.

    Of a log every record is read and hashed, and held against every checkpoint
    that was signed for it. What does not fit is named, the first record of each
    shard. The last line says what could not be checked: without a key from
    outside, and a checkpoint that was kept outside, somebody with the signing key
    could have written the whole log anew.

    `python -m thoth.evidence.verify DIR` asks the same with other code.

    For example:
      thoth evidence verify var/evidence
      thoth evidence verify var/evidence --key auditor.pub --since-checkpoint last-month.checkpoint
      thoth evidence verify value.json --key auditor.pub

    Exit codes: 0 all is well, 3 something does not fit, 2 it cannot be read.
    """
    if path.is_file():
        return _verify_file(path, key, record, format)
    since = _read(since_checkpoint) if since_checkpoint is not None else None
    with progress("records") as step:
        found = audit(path, key=read_key(key), since=since, step=step)
    if format == "json":
        print_json(_as_json(found))
    else:
        _report(found)
    return 0 if found.whole else CORRUPT


def read_key(given: str | None, name: str | None = None) -> VerifierKey | None:
    """A public key from its text, or from a file with it."""
    if given is None:
        return None
    file = Path(given)
    return read_public(file.read_text("utf-8") if len(given) < 4096 and file.is_file() else given, name)


def _report(found: Audit) -> None:
    for shard in found.shards:
        torn = f", and {shard.torn_bytes:,} bytes of a torn write" if shard.torn_bytes else ""
        name = "root log" if shard.origin == found.origin else f"shard {shard.name}"
        say(f"{name:10} {counted(shard.size, 'record')}, {shard.signed:,} signed for{torn}")
    for problem in found.problems:
        say(problem, style="bold red")
    if found.whole:
        say(f"{counted(found.record_count, 'record')}: all fit", style="bold green")
    say(f"not checked: {'; '.join(found.unchecked)}" if found.unchecked else "everything was checked")


def _as_json(found: Audit) -> dict[str, Any]:
    return {
        "ok": found.whole,
        "origin": found.origin,
        "records": found.record_count,
        "shards": [
            {
                "name": shard.name,
                "origin": shard.origin,
                "records": shard.size,
                "signed": shard.signed,
                "root": shard.root,
                "torn_bytes": shard.torn_bytes,
                "first_bad": shard.first_bad,
                "problem": shard.problem,
            }
            for shard in found.shards
        ],
        "problems": found.problems,
        "not_checked": found.unchecked,
    }


def _verify_file(path: Path, given: str | None, record: Path | None, format: str) -> int:
    """A receipt with its record, or a disclosure."""
    key = read_key(given)
    if key is None:
        raise OperationError(f"`{path}` is verified with the public key of its log; give it with `--key`")
    text = _read(path)
    try:
        disclosure = Disclosure.from_json(text) if b'"receipt":{' in text else None
        held = disclosure.receipt if disclosure is not None else Receipt.from_json(text)
        origin = peek_checkpoint(held.checkpoint.encode("utf-8", "replace")).origin
        # The key of a log is the key of each of its shards, under the shard's name.
        shard_key = VerifierKey(origin, key.public) if origin.startswith(f"{key.name}/") else key
        if disclosure is not None:
            verify_disclosure(disclosure, shard_key)
        else:
            if record is None:
                raise OperationError(f"`{path}` is a receipt; name the record it is for with `--record`")
            verify_receipt(held, _read(record), shard_key)
    except (ProofError, DoesNotFit) as error:
        if format == "json":
            print_json({"ok": False, "problems": [str(error)]})
        else:
            say(f"does not fit: {error}", style="bold red")
        return CORRUPT
    what = f"`{disclosure.path}` was {disclosure.value}" if disclosure is not None else f"record {held.hash}"
    if format == "json":
        print_json({"ok": True, "origin": origin, "chain_index": held.chain_index, "hash": held.hash})
    else:
        say(f"fits: {what}, record {held.chain_index} of {origin}, of {held.tree_size:,} that were signed for")
    return 0


def receipt(
    directory: Directory,
    place: Place = None,
    /,
    *,
    decision: DecisionId = None,
    record_out: Annotated[Path | None, Parameter(help="write the record's exact bytes to this file")] = None,
    format: Format = "json",
) -> int:
    """Print a signed receipt for one record: proof that it is in the log, to be kept elsewhere.

    Whoever has the receipt, the record and the public key can check it without
    the log, and with nobody's help. --format text prints it as C2SP tlog-proof,
    which tools of other logs read.

    For example:
      thoth evidence receipt var/evidence 00/17 --record-out record.json > receipt.json
      thoth evidence verify receipt.json --record record.json --key auditor.pub

    Exit codes: 0 printed, 2 there is no such record, or no checkpoint covers it yet.
    """
    reader = LogReader(directory)
    if (place is None) == (decision is None):
        raise OperationError("name the record: its place, e.g. `00/17`, or `--decision ID`")
    entry = reader.entry(place) if place is not None else reader.decision(str(decision))
    found = reader.receipt(entry)
    if record_out is not None:
        record_out.write_bytes(entry.body)
    text = found.to_json() + b"\n" if format == "json" else found.to_tlog_proof()
    sys.stdout.write(text.decode())
    return 0


def prove(
    directory: Directory,
    /,
    *,
    since_checkpoint: Annotated[Path, Parameter(help="a checkpoint that was kept: of the log or of one shard")],
    format: Format = "json",
) -> int:
    """Prove that the log still holds what an older checkpoint was signed for, and only grew.

    Printed are both checkpoints and the hashes that lead from the older root to
    the newest (RFC 6962, consistency). A copy of root/checkpoint, kept each month
    by somebody else, is all that this takes.

    For example:
      cp var/evidence/root/checkpoint january.checkpoint
      thoth evidence prove var/evidence --since-checkpoint january.checkpoint

    Exit codes: 0 proven, 3 the log does not continue it, 2 it cannot be read.
    """
    old = _read(since_checkpoint)
    reader = LogReader(directory)
    try:
        new, proof = reader.consistency(old)
    except ProofError as error:
        say(f"does not fit: {error}", style="bold red")
        return CORRUPT
    earlier, newest = peek_checkpoint(old), peek_checkpoint(new)
    if format == "json":
        print_json(
            {
                "origin": newest.origin,
                "old_size": earlier.size,
                "new_size": newest.size,
                "proof": [digest.hex() for digest in proof],
                "old": old.decode(),
                "new": new.decode(),
            }
        )
    else:
        say(f"{newest.origin}: {earlier.size:,} records then, {newest.size:,} now, all of the former among them")
        for digest in proof:
            say(f"  {base64.b64encode(digest).decode()}")
    return 0


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise OperationError(f"`{file}` cannot be read: {error.strerror or error}") from error


@contextmanager
def progress(noun: str) -> Iterator[Callable[[int], None]]:
    """Show how many have been read, on a terminal only."""
    console = errors()
    if not console.is_terminal:
        yield lambda count: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} " + noun), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda count: bar.advance(task, count)
