"""`thoth evidence show`, `tail` and `stats`: what a log says."""

import json
import sys
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from ..contract import Effect, OperationError
from ..evidence import LogReader
from ..evidence.browse import Entry, Wanted
from ..evidence.unfinished import unfinished as open_calls
from .arguments import Format
from .evidence_write import Directory
from .printing import EFFECT_STYLES, counted, note, plain, print_json, say

POLL_S = 0.5
AGO = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Since = Annotated[
    str | None, Parameter(help="records from this time on: 2026-01-31, 2026-01-31T10:00, or ago: 90m, 7d")
]
Until = Annotated[str | None, Parameter(help="records before this time")]
Session = Annotated[str | None, Parameter(help="records of this session")]
Agent = Annotated[str | None, Parameter(help="records of this agent")]
ToolName = Annotated[str | None, Parameter(name="--tool", help="records of this tool")]
DecisionId = Annotated[str | None, Parameter(name="--decision", help="the decision of this id, and its outcome")]
EffectName = Annotated[str | None, Parameter(name="--effect", help="decisions that enforce this: ALLOW, BLOCK, ...")]
Rule = Annotated[str | None, Parameter(help="decisions that name this rule")]
Kind = Annotated[str | None, Parameter(help="records of this kind: decision, outcome, redaction, ...")]


def show(
    directory: Directory,
    place: Annotated[str | None, Parameter(name="PLACE", help="one record, by its place, e.g. 00/17")] = None,
    /,
    *,
    since: Since = None,
    until: Until = None,
    session: Session = None,
    agent: Agent = None,
    tool: ToolName = None,
    decision: DecisionId = None,
    effect: EffectName = None,
    rule: Rule = None,
    kind: Kind = None,
    unfinished: Annotated[
        bool, Parameter(help="calls that were let through and have no outcome: killed meanwhile, or under way")
    ] = False,
    limit: Annotated[int | None, Parameter(help="stop after so many records")] = None,
    disclose: Annotated[
        str | None, Parameter(help="give out one sealed value of the record, e.g. args.to, with its proof")
    ] = None,
    format: Format = "text",
) -> int:
    """Show records, oldest first; those that fit everything that is asked.

    A line says when, where in the log, what was decided, which tool, for whom,
    and why. --format json prints each record whole, as it was stored.

    --unfinished shows decisions that let a call through and after which nobody
    said how it ended: the process was killed, so the call may have run, or it is
    under way now.

    --disclose gives out one value that a record seals, with the salt, the record
    and a signed receipt: whoever gets it can check that this value, and no other,
    was in that call, and learns nothing else. `thoth evidence verify` takes it.

    For example:
      thoth evidence show var/evidence --effect BLOCK --since 24h
      thoth evidence show var/evidence --session s1 --format json
      thoth evidence show var/evidence --unfinished
      thoth evidence show var/evidence 00/17 --disclose args.to > value.json

    Exit codes: 0 shown, 1 nothing fits, 2 there is no log, or it cannot be read.
    """
    reader = LogReader(directory)
    if disclose is not None:
        if (place is None) == (decision is None):
            raise OperationError("name the record: its place, e.g. `00/17`, or `--decision ID`")
        entry = reader.entry(place) if place is not None else reader.decision(str(decision))
        sys.stdout.write(reader.disclose(entry, disclose).to_json().decode() + "\n")
        return 0
    if place is not None:
        entry = reader.entry(place)
        print_json(_whole(entry)) if format == "json" else say(in_full(entry))
        return 0
    wanted = Wanted(
        since_us=_time(since, "--since"),
        until_us=_time(until, "--until"),
        kind=kind,
        session=session,
        agent=agent,
        tool=tool,
        decision=decision,
        effect=_effect(effect),
        rule=rule,
    )
    count = 0
    for entry in filter(wanted.fits, open_calls(reader.entries())) if unfinished else reader.entries(wanted):
        _print(entry, format)
        count += 1
        if limit is not None and count >= limit:
            break
    if not count:
        note(f"no record of `{directory}` fits")
    return 0 if count else 1


def tail(
    directory: Directory,
    /,
    *,
    lines: Annotated[int, Parameter(name=["--lines", "-n"], help="how many of the newest records; 10 if unsaid")] = 10,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], help="go on, and show what comes; Ctrl-C ends")] = False,
    format: Format = "text",
) -> int:
    """Show the newest records, and with -f those that come.

    For example:
      thoth evidence tail var/evidence -f

    Exit codes: 0 shown, 2 there is no log, or it cannot be read.
    """
    reader = LogReader(directory)
    newest: deque[Entry] = deque(maxlen=max(lines, 0))
    start: dict[str, int] = {}
    for entry in reader.entries():
        newest.append(entry)
        start[entry.shard] = entry.seq + 1
    for entry in newest:
        _print(entry, format)
    while follow:
        sys.stdout.flush()
        time.sleep(POLL_S)
        for entry in reader.entries(start=start):
            _print(entry, format)
            start[entry.shard] = entry.seq + 1
    return 0


def stats(directory: Directory, /, *, format: Format = "text") -> int:
    """Count the records of a log: by kind, by effect, by shard.

    For example:
      thoth evidence stats var/evidence

    Exit codes: 0 counted, 2 there is no log, or it cannot be read.
    """
    found = LogReader(directory).stats()
    if format == "json":
        print_json(found)
        return 0
    say(f"{found['origin']}: {counted(found['records'], 'record')}, {found['body_bytes']:,} bytes")
    if found["records"]:
        say(f"  from {_iso(found['first_us'])} to {_iso(found['last_us'])}")
    for title in ("kinds", "effects", "shards"):
        if found[title]:
            say(f"  {title:8} " + ", ".join(f"{name} {number:,}" for name, number in found[title].items()))
    if found["shed"]:
        say(f"  shed     {found['shed']:,} records were not written: `on_failure` was `allow`", style="bold yellow")
    return 0


def _print(entry: Entry, format: str) -> None:
    if format == "json":
        sys.stdout.write(json.dumps(_whole(entry), separators=(", ", ": ")) + "\n")
    else:
        say(line_of(entry))


def _whole(entry: Entry) -> dict[str, Any]:
    return {"place": entry.place, "record": entry.record}


def line_of(entry: Entry) -> Text:
    """A record in one line."""
    record = entry.record
    kind = str(record.get("kind"))
    line = Text(f"{_iso(entry.at_us)} {entry.place:>8} ")
    match kind:
        case "decision":
            effect = str(record.get("effect"))
            line.append(f"{effect:7}", EFFECT_STYLES.get(Effect(effect), "") if effect in list(Effect) else "")
            line.append(plain(f" {record.get('tool', '-')}"))
            line.append(plain(_who(record)))
            rules = ", ".join(record.get("rules", ())) or record.get("reason_code", "")
            line.append(plain(f" by {record.get('by')}: {rules}" if rules else f" by {record.get('by')}"))
            if record.get("verdict") != effect:
                line.append(f" (verdict {record.get('verdict')})", "dim")
        case "outcome":
            size = f", {record['result_bytes']:,} bytes" if "result_bytes" in record else ""
            line.append(plain(f"{record.get('ended')} {record.get('tool', '-')}{_who(record)}{size}"))
        case "redaction":
            line.append(
                plain(f"erased  {record.get('subject')}: {record.get('keys', 0)} keys {record.get('reason', '')}")
            )
        case "heartbeat":
            said = f"opened, on failure {record.get('on_failure')}" if record.get("opened") else "alive"
            line.append(f"log     {said}, {record.get('recording')}", "dim")
        case "shed":
            line.append(f"SHED    {record.get('count')} records were not written: {record.get('why')}", "bold yellow")
        case "recovered":
            line.append(f"log     recovered: {record.get('dropped_bytes')} bytes of a torn write dropped", "yellow")
        case "override":
            scope = f"{' '.join(record.get('tools', ()))}: {record.get('reason', '')}"
            line.append(plain(f"OVERRIDE {record.get('what')} by {record.get('operator')} of {scope}"), "bold yellow")
        case "policy_load":
            line.append(plain(f"policy  {str(record.get('policy_digest'))[:12]} {' '.join(record.get('files', ()))}"))
        case _:
            line.append(plain(f"{kind} {record.get('decision', '')}"))
    return line


def in_full(entry: Entry) -> Text:
    """A record, one field a line."""
    rows = [f"{'place':14} {entry.place}", f"{'at':14} {_iso(entry.at_us)}"]
    for name, value in entry.record.items():
        if name == "at_us":
            continue
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        rows.append(f"{name:14} {shown}")
    return Text(plain("\n".join(rows)))


def _who(record: dict[str, Any]) -> str:
    who = " ".join(str(record[name]) for name in ("agent", "principal", "session") if name in record)
    return f" for {who}" if who else ""


def _iso(at_us: int) -> str:
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC) + timedelta(microseconds=at_us % 1_000_000)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    if text[:-1].isdigit() and text[-1] in AGO:
        return int((time.time() - int(text[:-1]) * AGO[text[-1]]) * 1_000_000)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise OperationError(f"`{option}` cannot be `{text}`; write 2026-01-31, 2026-01-31T10:00, 90m or 7d") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def _effect(text: str | None) -> str | None:
    if text is None:
        return None
    if text.upper() not in list(Effect):
        raise OperationError(f"`--effect` cannot be `{text}`; write {', '.join(effect.value for effect in Effect)}")
    return text.upper()
