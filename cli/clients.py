"""`thoth wrap-config` and `thoth discover`: the MCP servers that the clients of this machine start."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.text import Text

from ..contract import OperationError
from ..proxy.client_config import ConfigFile, Server, Wrapping, known_places, unwrap
from ..proxy.pins import PinFile
from .arguments import Format
from .fmt import write_whole
from .home import PINS, home
from .printing import counted, note, plain, print_json, say


def wrap_config(
    file: Annotated[Path, Parameter(name="IN", help="the client's configuration")],
    /,
    *,
    output: Annotated[Path | None, Parameter(help="where to write; IN itself is fine; stdout if unsaid")] = None,
    policy: Annotated[Path | None, Parameter(help="the policy that decides, in the proxy's process")] = None,
    api_url: Annotated[str | None, Parameter(help="the enforcer that decides: unix:/… or https://…")] = None,
    tenant_id: Annotated[str | None, Parameter(help="whose agents they are")] = None,
    enforcement_mode: Annotated[
        Literal["observe", "progressive", "step_up", "block", "shadow"] | None, Parameter(help="block if unsaid")
    ] = None,
    thoth_bin: Annotated[str | None, Parameter(help="the path of `thoth` as the client sees it")] = None,
    auto_thoth_bin: Annotated[bool, Parameter(help="find that path here (the default)")] = False,
    env: Annotated[list[str] | None, Parameter(help="NAME=VALUE for the proxy's environment; may be repeated")] = None,
    inherit_path: Annotated[bool, Parameter(help="write this PATH into each entry: desktop programs lack it")] = False,
    undo: Annotated[bool, Parameter(help="take the proxy out again")] = False,
) -> int:
    """Put `thoth run` in front of every server that a client starts.

    It reads the configuration of Claude Desktop, Claude Code, and whoever else
    has `mcpServers`. The server's name becomes its agent's and its own in
    policies. A URL becomes `--upstream`, and its headers variables. Entries that
    are wrapped stay as they are, and so do order, unknown members, and servers
    that are spoken to over http or the older sse. --undo gives the file back.

    For example:
      thoth wrap-config --policy policy.thoth --output claude.json claude.json
      thoth wrap-config --undo --output claude.json claude.json

    Exit codes: 0 written, 2 the file cannot be read or written.
    """
    config = ConfigFile(file)
    servers = config.servers()
    if not servers:
        raise OperationError(f"`{file}` names no server; a client's configuration has them under `mcpServers`")
    if undo:
        done = [server for server in servers if server.wrapped]
        for server in done:
            config.replace(server, unwrap(server))
    else:
        if policy is None and api_url is None:
            raise OperationError("say who decides: `--policy FILE`, or `--api-url unix:/… or https://…`")
        options = _options(policy, api_url, tenant_id, enforcement_mode)
        program = [thoth_bin] if thoth_bin is not None else this_program()
        wrapping = Wrapping(program=program, options=options, env=_environment(env or [], inherit_path))
        done = [server for server in servers if server.wrappable]
        for server in done:
            config.replace(server, wrapping.wrap(server))
    _write(config.text(), file, output)
    what = "unwrapped" if undo else "wrapped"
    note(f"{counted(len(done), 'server')} {what}{': ' if done else ''}{', '.join(server.name for server in done)}")
    for server in servers:
        if server.transport != "stdio" and (undo or not server.wrappable):
            note(f"{server.name}: a server elsewhere ({server.transport}); it is not governed")
    return 0


def _options(policy: Path | None, api_url: str | None, tenant_id: str | None, mode: str | None) -> list[str]:
    given = {
        "--policy": None if policy is None else str(policy.absolute()),
        "--api-url": api_url,
        "--tenant-id": tenant_id,
        "--enforcement-mode": mode,
    }
    return [word for name, value in given.items() if value is not None for word in (name, value)]


def _environment(given: list[str], inherit_path: bool) -> dict[str, str]:
    found: dict[str, str] = {"PATH": os.environ.get("PATH", "")} if inherit_path else {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise OperationError(f"`--env {pair}`: write NAME=VALUE")
        found[name] = value
    return found


def this_program() -> list[str]:
    """Return how this very `thoth` is started: by a path that holds without a PATH."""
    beside = Path(sys.executable).parent / "thoth"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("thoth")
    return [str(Path(found).absolute())] if found else [sys.executable, "-m", "thoth.cli"]


def _write(text: str, file: Path, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        if not output.exists():
            output.touch(mode=0o600)  # a configuration often holds keys
            write_whole(output, text.encode())
        elif output.read_bytes() != text.encode():
            write_whole(output, text.encode())
    except OSError as error:
        raise OperationError(f"`{output}` cannot be written: {error.strerror or error}") from error


# ---------------------------------------------------------------- discover


def discover(*, format: Format = "text") -> int:
    """Find the MCP servers that the clients of this machine start.

    It looks where Claude Desktop, Claude Code, Cursor, Windsurf, Gemini CLI and
    VS Code keep their configuration, in this user's folders and in this one, and
    starts nothing. For each server it says how it is spoken to, whether the proxy
    stands in front, under which policy, and whether its tools are pinned.

    For example:
      thoth discover
      thoth discover --format json

    Exit codes: 0 looked, whatever was found.
    """
    rows, problems = found_servers()
    if format == "json":
        print_json({"servers": rows, "problems": problems})
        return 0
    wide = [max((len(plain(row[name])) for row in rows), default=0) for name in ("server", "transport")]
    file = ""
    for row in rows:
        if row["file"] != file:
            file = row["file"]
            say(Text.assemble((plain(row["client"]), "bold"), (f"  {plain(file)}", "dim")))
        pins = f"{counted(row['pinned'], 'tool')} pinned" if row["pinned"] is not None else "tools not pinned"
        line = Text(f"  {plain(row['server']):{wide[0]}}  {plain(row['transport']):{wide[1]}}  ")
        if row["governed"]:
            line.append("governed", "green").append(plain(f" by {row['policy'] or 'THOTH_POLICY or THOTH_API_URL'}"))
        else:
            line.append("NOT GOVERNED", "bold red")
        say(line.append(f", {pins}"))
    for problem in problems:
        note(problem)
    bare = [row for row in rows if not row["governed"]]
    if not rows:
        say("no MCP client of this machine starts a server")
    elif bare:
        say(f"{len(bare)} of {counted(len(rows), 'server')} not governed; `thoth doctor` says how to mend it")
    return 0


def configurations() -> Iterator[tuple[str, ConfigFile | OperationError]]:
    """Return the configurations that are there: the client's name, and the file or why it cannot be read."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for client, path in known_places(Path.home(), config, Path.cwd()):
        if path.is_file():
            try:
                yield client, ConfigFile(path)
            except OperationError as error:
                yield client, error


def found_servers() -> tuple[list[dict[str, Any]], list[str]]:
    """Return every server of this machine's clients, and what could not be read."""
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    try:
        pins = PinFile(home() / PINS).servers()
    except OperationError as error:
        pins = {}
        problems.append(str(error))
    for client, config in configurations():
        if isinstance(config, OperationError):
            problems.append(str(config))
            continue
        for server in config.servers():
            known = pins.get(server.option("--server") or server.name)
            rows.append(
                {
                    "client": client,
                    "server": server.name,
                    "transport": server.transport,
                    "governed": server.wrapped,
                    "policy": decides(server),
                    "pinned": None if known is None else len(known.tools),
                    "command": server.server_command,
                    "file": str(config.path),
                }
            )
    return rows, problems


def decides(server: Server) -> str | None:
    """Return who decides a wrapped server's calls: a policy file, or an address."""
    env = server.entry.get("env")
    env = env if isinstance(env, dict) else {}
    said = (
        server.option("--policy") or server.option("--api-url") or env.get("THOTH_API_URL") or env.get("THOTH_POLICY")
    )
    return str(said) if server.wrapped and said else None
