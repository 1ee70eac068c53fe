"""Which processes stand above this one, and whether one of them may start no tools.

The lists are in the environment: THOTH_BLOCKED_LINEAGE_ANCESTOR_TOKENS and THOTH_BLOCKED_LINEAGE_UPSTREAM_BINARIES,
with commas between. A process is known by its command line; where that cannot be read, it may be any of those listed.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

ANCESTORS: Final = "THOTH_BLOCKED_LINEAGE_ANCESTOR_TOKENS"
UPSTREAM: Final = "THOTH_BLOCKED_LINEAGE_UPSTREAM_BINARIES"
INTENTS: Final = "THOTH_INTENT_TOOL_ALLOWLIST"
DEPTH_MAX: Final = 64
PROC: Final = Path("/proc/self").parent


@dataclass(frozen=True)
class Ancestor:
    """A process above this one; `command` is its command line, None where it cannot be read."""

    pid: int
    command: str | None


def ancestors() -> list[Ancestor]:
    """Return the processes above this one, the parent first."""
    found: list[Ancestor] = []
    pid = os.getppid()
    while pid > 0 and len(found) < DEPTH_MAX:
        command, parent = _process(pid)
        found.append(Ancestor(pid, command))
        pid = parent
    return found


def _process(pid: int) -> tuple[str | None, int]:
    """Return a process's command line and its parent; 0 where there is none, or it is not known."""
    if PROC.is_dir():
        try:
            stat = (PROC / str(pid) / "stat").read_text(errors="replace")
            command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            return None, 0
        name = stat[stat.index("(") + 1 : stat.rindex(")")]
        return command or name, int(stat[stat.rindex(")") + 2 :].split()[1])
    listed = subprocess.run(["ps", "-o", "ppid=,command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    match = re.match(r"\s*(\d+)\s+(.*)", listed.stdout)
    return (match[2].strip(), int(match[1])) if match else (None, 0)


def facts_of(lineage: Sequence[Ancestor], program: str) -> dict[str, str]:
    """Return what a decision is told: a digest of the lineage, the parent, and the server's program."""
    text = "\n".join(one.command or "?" for one in lineage)
    return {
        "ancestor_hash": hashlib.sha256(text.encode()).hexdigest(),
        "parent_pid": str(lineage[0].pid if lineage else 0),
        "upstream_binary": PurePath(program).name,
    }


def standing(lineage: Sequence[Ancestor], program: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return the fact for the floor, where a process above is listed or the server's program is."""
    tokens = _listed(env.get(ANCESTORS, ""))
    if tokens and any(one.command is None or any(t in one.command.lower() for t in tokens) for one in lineage):
        return {"lineage": "ancestor"}
    names = {PurePath(program).name.lower(), PurePath(os.path.realpath(program)).name.lower(), program.lower()}
    if names & set(_listed(env.get(UPSTREAM, ""))):
        return {"lineage": "upstream"}
    return {}


def intents_of(env: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return the tools of each intent, as the environment lists them: `intent=tool|tool,intent=…`."""
    found: dict[str, frozenset[str]] = {}
    for part in env.get(INTENTS, "").split(","):
        name, equals, tools = part.partition("=")
        if name.strip() and equals:
            found[name.strip()] = frozenset(tool.strip() for tool in tools.split("|") if tool.strip())
    return found


def _listed(text: str) -> list[str]:
    return [part.strip().lower() for part in text.split(",") if part.strip()]
