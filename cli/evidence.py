"""`thoth evidence`: the commands around an evidence log, each in a file beside this one."""

from typing import Final

from cyclopts import App

COMMANDS: Final[dict[str, str]] = {
    # in the order in which an operator meets them
    "init": "thoth.cli.evidence_write:init",
    "append": "thoth.cli.evidence_write:append",
    "show": "thoth.cli.evidence_read:show",
    "tail": "thoth.cli.evidence_read:tail",
    "stats": "thoth.cli.evidence_read:stats",
    "verify": "thoth.cli.evidence_prove:verify",
    "receipt": "thoth.cli.evidence_prove:receipt",
    "prove": "thoth.cli.evidence_prove:prove",
    "export": "thoth.cli.evidence_export:export",
    "erase": "thoth.cli.evidence_write:erase",
    "salvage": "thoth.cli.evidence_export:salvage",
}
HELP: Final = """\
Keep evidence of decisions, read it, prove it.

An evidence log is a folder: records that are only ever added, each tied to all
before it, and signed every second. What agents sent is not in the records but
sealed beside them, so it can be erased while every proof stays.

For example:
  thoth evidence init var/evidence
  thoth decide --policy policy.thoth --request request.json --evidence var/evidence
  thoth evidence show var/evidence
  thoth evidence verify var/evidence

`thoth evidence COMMAND --help` teaches each command. docs/evidence.md walks
through all of it.
"""

app = App(name="evidence", help=HELP)
for _name, _path in COMMANDS.items():
    app.command(_path, name=_name)
