"""`thoth evidence`: the commands around an evidence log, each in a file beside this one."""

from typing import Final

from cyclopts import App

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    # name: (where its function is, what it does); in the order in which an operator meets them
    "init": ("thoth.cli.evidence_write:init", "make a log and its signing key"),
    "append": ("thoth.cli.evidence_write:append", "add decisions and outcomes from JSON lines"),
    "show": ("thoth.cli.evidence_read:show", "show records, by time, session, agent, tool, rule"),
    "tail": ("thoth.cli.evidence_read:tail", "show the newest records, and with -f those that come"),
    "stats": ("thoth.cli.evidence_read:stats", "count records by kind, effect and shard"),
    "verify": ("thoth.cli.evidence_prove:verify", "verify a log, a receipt, or a disclosed value"),
    "receipt": ("thoth.cli.evidence_prove:receipt", "print a signed receipt for one record"),
    "prove": ("thoth.cli.evidence_prove:prove", "prove that the log only grew since a checkpoint"),
    "export": ("thoth.cli.evidence_export:export", "write a log as tiles or as JSON lines"),
    "erase": ("thoth.cli.evidence_write:erase", "destroy the keys of a subject's values"),
    "replay": ("thoth.cli.evidence_replay:replay", "derive every decision again"),
    "salvage": ("thoth.cli.evidence_export:salvage", "copy what can be read out of a damaged shard"),
}
listed: Final = "\n".join(f"  {name:8} {summary}" for name, (_, summary) in COMMANDS.items())
HELP: Final = f"""\
Keep evidence of decisions, read it, prove it.

An evidence log is a folder: records that are only ever added, each tied to all
before it, and signed every second. What agents sent is not in the records but
sealed beside them, so it can be erased while every proof stays.

For example:
  thoth evidence init var/evidence
  thoth decide --policy policy.thoth --request - --evidence var/evidence
  thoth evidence show var/evidence
  thoth evidence verify var/evidence

Commands:
{listed}

`thoth evidence COMMAND --help` teaches each command. docs/evidence.md walks
through all of it.

Exit codes: 0 fine, 1 nothing fits, 2 wrong usage or a log that cannot be read
or written, 3 evidence that does not fit.
"""

app = App(name="evidence", help=HELP)
for _name, (_path, _) in COMMANDS.items():
    app.command(_path, name=_name, show=False)
