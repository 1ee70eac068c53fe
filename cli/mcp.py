"""`thoth mcp`: the tools of MCP servers, as they are and as they were approved."""

import difflib
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final

from cyclopts import App, Parameter
from rich.text import Text

from ..contract import OperationError
from ..proxy.asking import tools_of
from ..proxy.child import Child
from ..proxy.instructions import suspicious
from ..proxy.pins import Change, PinFile, Pinned, PinnedServer, changes, digests_of
from ..proxy.process import CannotStart, ServerProcess
from ..proxy.server import Server
from .clients import configurations
from .elsewhere import server_at
from .home import PINS, home
from .printing import counted, note, plain, say

HELP: Final = """\
See the tools of MCP servers, as they are and as they were approved.

What a server's tools are is pinned when they are first seen: descriptions,
schemas, annotations. A tool that has changed since is stopped by `thoth run`
until somebody has looked at it and accepted it.

For example:
  thoth mcp list
  thoth mcp diff filesystem
  thoth mcp pin --accept filesystem

Commands:
  list  show the pinned servers and their tools
  diff  ask a server and show what is different from its pins
  pin   ask a server and accept its tools as they are now

Exit codes: 0 fine, 1 there are differences or suspicions, 2 wrong usage, or a
server that cannot be asked.
"""

ABOUT_CHARS_MAX: Final = 60
app = App(name="mcp", help=HELP)
Name = Annotated[
    str, Parameter(name="SERVER", help="the server's name, as `--server` or the client's configuration says it")
]
Upstream = Annotated[str | None, Parameter(help="a server elsewhere: its Streamable HTTP URL, https://…")]
HeaderEnv = Annotated[
    list[str] | None,
    Parameter(help="NAME=VARIABLE: a header for it, its value from the environment; may be repeated"),
]
CertificateFile = Annotated[
    str | None, Parameter(help="a file of certificates to trust for it, in place of the system's")
]
Command = Annotated[
    str,
    Parameter(name="COMMAND", allow_leading_hyphen=True, help="how it is started, behind --; unsaid: as a client does"),
]


@app.command(name="list", show=False)
def list_() -> int:
    """Show the pinned servers and their tools.

    For example:
      thoth mcp list

    Exit codes: 0 shown, 2 the pins cannot be read.
    """
    servers = PinFile(home() / PINS).servers()
    for name, server in servers.items():
        say(f"{plain(name)}: {counted(len(server.tools), 'tool')}, accepted {server.accepted} by {plain(server.by)}")
        wide = max((len(plain(tool)) for tool in server.tools), default=0)
        for tool, pinned in sorted(server.tools.items()):
            line = Text(f"  {plain(tool):{wide}}  ").append(pinned.digest[:12], "dim")
            say(line.append(f"  {_about(pinned.tool)}"))
    if not servers:
        say("no server is pinned yet: `thoth run` pins a server when it first sees it, or `thoth mcp pin` before that")
    return 0


@app.command(show=False)
def diff(
    server: Name,
    /,
    *command: Command,
    upstream: Upstream = None,
    header_env: HeaderEnv = None,
    ca: CertificateFile = None,
) -> int:
    """Ask a server for its tools and show what is different from its pins.

    Nothing is accepted. A program is started and ended again; a server elsewhere
    is asked over Streamable HTTP. Unsaid, it is reached as a client of this
    machine reaches it, with that client's headers. It also reports what may be hidden instructions in the
    descriptions: characters that nobody sees, and orders to the model.

    For example:
      thoth mcp diff filesystem
      thoth mcp diff filesystem -- npx -y @modelcontextprotocol/server-filesystem ~/Documents
      thoth mcp diff crm --header-env Authorization=TOKEN --upstream https://mcp.example/mcp

    Exit codes: 0 nothing is different, 1 something is, or is suspicious, 2 the server cannot be asked.
    """
    pinned, now = _both(server, command, upstream, header_env or (), ca)
    found = changes(pinned.tools, now) if pinned is not None else []
    for change in found:
        _show(change)
    if pinned is None:
        say(f"{plain(server)} is not pinned; it has {counted(len(now), 'tool')}: {plain(', '.join(sorted(now)))}")
    elif not found:
        say(f"{plain(server)}: {counted(len(now), 'tool')}, as they were accepted {pinned.accepted}")
    suspicions = _report(now)
    if found:
        note("`thoth run` stops what is new or changed until it is accepted: the same with `mcp pin --accept`")
    return 1 if suspicions or found else 0


@app.command(show=False)
def pin(
    server: Name,
    /,
    *command: Command,
    accept: Annotated[bool, Parameter(help="write it down; without this it is only shown")] = False,
    by: Annotated[str | None, Parameter(help="who accepts; your login name if unsaid")] = None,
    upstream: Upstream = None,
    header_env: HeaderEnv = None,
    ca: CertificateFile = None,
) -> int:
    """Ask a server for its tools and accept its tools as they are now.

    Without --accept it shows what would be accepted, as `thoth mcp diff` does.

    For example:
      thoth mcp pin filesystem
      thoth mcp pin --accept filesystem
      thoth mcp pin --accept filesystem -- npx -y @modelcontextprotocol/server-filesystem ~/Documents

    Exit codes: 0 accepted, or there is nothing to accept, 1 it waits for --accept, 2 the server cannot be asked.
    """
    pinned, now = _both(server, command, upstream, header_env or (), ca)
    found = changes({} if pinned is None else pinned.tools, now)
    for change in found:
        _show(change)
    _report(now)
    if pinned is not None and not found:
        say(f"{plain(server)}: {counted(len(now), 'tool')}, as they were accepted {pinned.accepted}")
        return 0
    if not accept:
        note("nothing is accepted yet; once you have looked, write the same with `--accept`")
        return 1
    from .running import login_name

    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    PinFile(home() / PINS).keep(server, PinnedServer(at, by or login_name(), now))
    say(f"{plain(server)}: {counted(len(now), 'tool')} accepted")
    return 0


def _both(
    name: str, command: Sequence[str], upstream: str | None, header_env: Sequence[str], ca: str | None
) -> tuple[PinnedServer | None, dict[str, Pinned]]:
    if command and upstream is not None:
        raise OperationError("name one server: `-- COMMAND ARGS…`, or `--upstream https://…`")
    if upstream is None and (header_env or ca):
        raise OperationError("`--header-env` and `--ca` are for `--upstream https://…`")
    pinned = PinFile(home() / PINS).servers().get(name)
    server: Server
    if upstream is not None:
        server, _ = server_at(upstream, header_env, os.environ, ca)
    elif command:
        server = _started(command)
    else:
        server = _known(name)
    return pinned, digests_of(tools_of(server))


def _started(command: Sequence[str]) -> Child:
    try:
        return Child(ServerProcess(command))
    except CannotStart as error:
        raise OperationError(str(error)) from error


def _known(name: str) -> Server:
    """Return the server of this name that a client of this machine has, as that client reaches it."""
    for _, config in configurations():
        if isinstance(config, OperationError):
            continue
        for entry in config.servers():
            if name not in (entry.name, entry.option("--server")):
                continue
            url = entry.upstream or entry.url
            if entry.server_command:
                return _started(entry.server_command)
            if url is not None and entry.transport == "sse":
                raise OperationError(f"`{name}` in `{config.path}` is spoken to over sse, which is not spoken here")
            if url is not None:
                values = {f"H{at}": value for at, value in enumerate(entry.headers.values())}
                pairs = [f"{header}={variable}" for header, variable in zip(entry.headers, values, strict=True)]
                return server_at(url, pairs, values, entry.option("--ca"))[0]
    raise OperationError(
        f"no client of this machine has a server `{name}`; write how it is reached: `{name} -- COMMAND`, or "
        f"`{name} --upstream https://…`"
    )


def _about(tool: dict[str, Any]) -> str:
    """Return the beginning of a tool's description, in one line and in ASCII, so that nothing in it is invisible."""
    said = tool.get("description") or tool.get("title")
    words = " ".join(said.split()) if isinstance(said, str) else ""
    shown = words.encode("ascii", "backslashreplace").decode()
    return shown if len(shown) <= ABOUT_CHARS_MAX else f"{shown[: ABOUT_CHARS_MAX - 1]}…"


def _show(change: Change) -> None:
    say(f"{change.kind} {plain(change.tool)}", style="bold")
    for line in difflib.unified_diff(_lines(change.before), _lines(change.after), "accepted", "now", lineterm="", n=1):
        if not line.startswith(("---", "+++", "@@")):
            say(f"  {line}", style="red" if line[0] == "-" else "green" if line[0] == "+" else "")


def _lines(tool: dict[str, Any] | None) -> list[str]:
    """Return a tool as lines; in ASCII, so that nothing in it is invisible."""
    return [] if tool is None else json.dumps(tool, indent=1, sort_keys=True, ensure_ascii=True).splitlines()


def _report(tools: dict[str, Pinned]) -> int:
    """Say what may be hidden instructions; return how many were found."""
    found = 0
    for name, where, what in suspicious(tools):
        found += 1
        sys.stdout.flush()
        say(f"suspicious: {plain(name)}, {plain(where)}: {plain(what)}", style="bold yellow")
    return found
