"""`thoth doctor`, `health`, `status` and `manual`: how this machine is governed, and what to do about it."""

import inspect
import sys
from importlib import import_module
from typing import Annotated

from cyclopts import App, Parameter

from .arguments import Format
from .checks import as_json, findings
from .clients import found_servers
from .home import home
from .printing import counted, plain, print_json, say


def doctor(*, format: Format = "text") -> int:
    """Find what is wrong with this machine, and say how to mend it.

    It looks at policies and their tests, the servers of every MCP client, pins,
    sockets, keys, the evidence log, the clock, permissions, and other packages
    that call themselves `thoth`. It starts no server and changes nothing.

    For example:
      thoth doctor

    Exit codes: 0 nothing is wrong, 1 something is.
    """
    found = findings()
    if format == "json":
        print_json({"ok": all(one.fine for one in found), "findings": [as_json(one) for one in found]})
    else:
        for one in found:
            say(
                f"{'ok  ' if one.fine else 'MEND'} {one.check}: {plain(one.says)}", style="" if one.fine else "bold red"
            )
            if one.mend:
                say(f"     {plain(one.mend)}")
        wrong = [one for one in found if not one.fine]
        serious = sum(one.serious for one in wrong)
        if wrong:
            also = f"; {serious} of them let calls run ungoverned or be refused" if serious else ""
            say(f"{counted(len(wrong), 'thing')} to mend, of {len(found)} that were looked at{also}")
        else:
            say(f"nothing is wrong: {counted(len(found), 'thing')} were looked at")
    return 0 if all(one.fine for one in found) else 1


def health(*, json: Annotated[bool, Parameter(help="print one JSON object, for management tools")] = False) -> int:
    """Say in one word whether the agents of this machine are governed.

    `healthy`, or `unhealthy` where calls are refused or run ungoverned.

    For example:
      thoth health
      thoth health --json

    Exit codes: 0 healthy, 1 unhealthy.
    """
    serious = [one for one in findings() if not one.fine and one.serious]
    word = "unhealthy" if serious else "healthy"
    if json:
        from .. import __version__

        print_json({"status": word, "version": __version__, "problems": [as_json(one) for one in serious]})
    else:
        say(word)
    return 1 if serious else 0


def status() -> int:
    """Show what is governed on this machine, by which policies, and where evidence is kept.

    For example:
      thoth status

    Exit codes: 0 shown.
    """
    from .. import __version__
    from ..config import state_folder

    rows, problems = found_servers()
    governed = [row for row in rows if row["governed"]]
    say(f"thoth {__version__}")
    say(f"servers    {len(governed)} of {counted(len(rows), 'server')} governed")
    bare = [plain(str(row["server"])) for row in rows if not row["governed"]]
    if bare:
        say(f"ungoverned {', '.join(bare)}", style="bold red")
    for by in sorted({str(row["policy"]) for row in governed}):
        say(f"decided by {plain(by)}")
    evidence = state_folder() / "evidence"
    say(f"evidence   {evidence}{'' if (evidence / 'log.json').exists() else ' (nothing yet)'}")
    say(f"pins       {counted(sum(row['pinned'] is not None for row in rows), 'server')}, in {home()}")
    for problem in problems:
        say(f"problem    {plain(problem)}")
    say("`thoth doctor` looks closer")
    return 0


def manual() -> int:
    """Print the manual: every command, with what it does and an example.

    For example:
      thoth manual

    Exit codes: 0 printed.
    """
    from .main import COMMANDS

    pages = []
    for name, (where, summary) in COMMANDS.items():
        module, _, attribute = where.partition(":")
        found = getattr(import_module(module), attribute)
        text = found.help if isinstance(found, App) else inspect.getdoc(found) or ""
        pages.append(f"thoth {name}\n{'-' * (6 + len(name))}\n{summary}\n\n{text.strip()}\n")
    sys.stdout.write("\n\n".join(pages))
    return 0
