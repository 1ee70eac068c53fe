"""`thoth evidence init`, `append` and `erase`: what changes a log."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .. import evidence
from ..contract import OperationError, Request
from .arguments import Format
from .evidence_lines import read_line
from .printing import counted, note, plain, print_json, say

Directory = Annotated[Path, Parameter(name="DIR", help="the folder of the log")]
MIB = 1 << 20


def init(
    directory: Directory,
    /,
    *,
    origin: Annotated[str | None, Parameter(help="the name of the log, for ever; e.g. example.com/evidence")] = None,
    key: Annotated[Path | None, Parameter(help="where to write the signing key, instead of into the folder")] = None,
    segment_mib: Annotated[int, Parameter(help="the size of a file of records, in MiB; 64 if unsaid")] = 64,
    format: Format = "text",
) -> int:
    """Make an evidence log: its folder, its signing key, and the public half for the auditor.

    The signing key signs what the log holds, every second. Nobody but the user
    who records needs it; keep a copy where the machine cannot reach it. Give the
    public half to whoever is to verify the log, by another way than the log.

    For example:
      thoth evidence init var/evidence
      thoth evidence init var/evidence --origin acme.com/agents --key /etc/thoth/signing.pem

    Exit codes: 0 made, 2 there is one already, or it cannot be made.
    """
    folder, public = evidence.init(directory, origin=origin, key=key, segment_bytes=segment_mib * MIB)
    if format == "json":
        print_json(
            {"directory": str(directory), "origin": folder.origin, "key": folder.key_path, "public": str(public)}
        )
        return 0
    say(f"Made {directory}: an evidence log, `{folder.origin}`\n")
    say(f"signing key   {folder.key_path}")
    say("              keep it to yourself; a log whose key is lost cannot be continued")
    say(f"public key    {public}\n              give it to your auditor; `thoth evidence verify --key` takes it\n")
    say("What next:")
    say(f"  thoth decide --policy policy.thoth --request request.json --evidence {directory}")
    say(f"  thoth evidence show {directory}")
    return 0


def append(
    directory: Directory,
    file: Annotated[
        Path, Parameter(name="FILE", allow_leading_hyphen=True, help="JSON lines; - reads stdin, and so does no name")
    ] = Path("-"),
    /,
    *,
    mode: Annotated[
        Literal["sync", "async"], Parameter(help="sync commits each line before the next (the default); async does not")
    ] = "sync",
    receipts: Annotated[bool, Parameter(help="print a signed receipt for each record, instead of its place")] = False,
    format: Format = "text",
) -> int:
    """Append decisions and outcomes that were taken elsewhere, one JSON object a line.

    A decision says what was asked and what was answered; only `request` and
    `decision` are required. An outcome says how a call ended. Values of arguments
    and results are sealed, as those of any decision.

      {"kind": "decision", "id": "d-1", "decision": "ALLOW", "by": "rule",
       "rules": ["small"], "request": {"tool_name": "pay", "tool_args": {"amount": 5}}}
      {"kind": "outcome", "decision_id": "d-1", "ending": "completed", "result": "paid"}

    Printed is a line for each record: its place and its hash; with --receipts
    a signed receipt, which proves that the record is in the log.

    For example:
      thoth evidence append var/evidence < decisions.jsonl
      thoth evidence append var/evidence decisions.jsonl --receipts > receipts.jsonl

    Exit codes: 0 all are recorded, 2 a line that cannot be read, with those
    before it recorded, or a log that cannot be written.
    """
    if receipts and mode == "async":
        raise OperationError("a record that is written in mode `async` has no place yet; leave `--mode async` away")
    stream = sys.stdin.buffer if str(file) in ("-", "./-") else _open(file)
    drafts = []
    requests: dict[str, Request] = {}
    for number, line in enumerate(stream, 1):
        if line.strip():
            drafts.append(read_line(line, f"{file}:{number}", requests))
    if not drafts:
        raise OperationError(f"`{file}` holds no record")
    with evidence.open(directory, mode=mode) as log:
        places = [place for draft in drafts if (place := log.write(draft)) is not None]
        signed = log.receipts(places) if receipts else []
    if receipts:
        for receipt in signed:
            sys.stdout.write(receipt.to_json().decode() + "\n")
    elif format == "json":
        for place in places:
            print(json.dumps({"place": f"{place.shard}/{place.seq}", "hash": place.leaf}))
    else:
        for place in places:
            say(f"{place.shard}/{place.seq} {place.leaf}")
    note(f"{counted(len(drafts), 'record')} appended to `{directory}`")
    return 0


def _open(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().splitlines()
    except OSError as error:
        raise OperationError(f"`{file}` cannot be read: {error.strerror or error}") from error


def erase(
    directory: Directory,
    /,
    *,
    subject: Annotated[str, Parameter(help="whose values: the user_id of the requests")],
    tenant: Annotated[str, Parameter(help="the tenant_id of the requests; none if unsaid")] = "",
    reason: Annotated[str, Parameter(help="why, for the record: a ticket's number, say; it cannot be erased")] = "",
    format: Format = "text",
) -> int:
    """Erase what a subject's calls carried: destroy the keys of its values, and record that.

    The records stay, and so does every hash and every proof; the values of their
    arguments, and results, are gone for everyone. Names in clear stay too: tenant,
    user, agent, session and tool. Copies of vault/keys that somebody made bring
    the values back: keep none.

    For example:
      thoth evidence erase var/evidence --tenant acme --subject ann@acme.com --reason "request 4711"

    Exit codes: 0 erased, or there was nothing; 2 the log cannot be written.
    """
    with evidence.open(directory, mode="sync") as log:
        days = log.erase(tenant, subject, reason=reason)
    if format == "json":
        print_json({"tenant": tenant, "subject": subject, "keys": len(days), "days": days})
    elif days:
        say(f"{counted(len(days), 'key')} of `{plain(subject)}` destroyed: {days[0]} to {days[-1]}")
    else:
        say(f"there was no key of `{plain(subject)}`; a record says that erasure was asked for")
    return 0
