"""Configuration files of MCP clients: which servers they start, and the same files with the proxy in front of each.

Known are `mcpServers` at the top (Claude Desktop, Claude Code, Cursor and most others), the same under each project of
`~/.claude.json`, and `servers` (VS Code). Everything else in a file stays as it is, in its order.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any, Final

from ..contract import Fault, OperationError, read_json

WRAPPED: Final = "--wrapped"
"""The option that carries what `unwrap` needs: which variables were added, and which members the entry did not have."""


URLS: Final = ("url", "serverUrl", "httpUrl")
UPSTREAM: Final = "--upstream"
HEADER: Final = "THOTH_MCP_HEADER_"
"""How variables begin that hold a wrapped entry's headers; no process list shows them."""
_HERE: Final = r"http://(localhost|127\.0\.0\.1|\[::1\])[:/]"


@dataclass(frozen=True)
class Server:
    """One entry: its name, the object as it stands, and the place of it in the file."""

    name: str
    entry: dict[str, Any]
    place: tuple[str, ...]

    @property
    def transport(self) -> str:
        """stdio, or how a server elsewhere is spoken to."""
        if isinstance(self.entry.get("command"), str):
            return "stdio"
        return str(self.entry.get("type") or self.entry.get("transport") or "http") if self.url else "unknown"

    @property
    def url(self) -> str | None:
        url = next((self.entry[key] for key in URLS if self.entry.get(key)), None)
        return url if isinstance(url, str) else None

    @property
    def command(self) -> list[str]:
        """The program and its arguments, as the client starts them; empty for a server elsewhere."""
        program, args = self.entry.get("command"), self.entry.get("args")
        if not isinstance(program, str):
            return []
        return [program, *(str(word) for word in args)] if isinstance(args, list) else [program]

    @property
    def wrapped(self) -> bool:
        return behind(self.command) is not None or self.upstream is not None

    @property
    def upstream(self) -> str | None:
        """The URL that a proxy in front speaks to, where it stands in front of a server elsewhere."""
        at = _ours(self.command)
        words = self.command[at:] if at else []
        return words[words.index(UPSTREAM) + 1] if UPSTREAM in words[:-1] and "--" not in words else None

    @property
    def wrappable(self) -> bool:
        """Whether the proxy can stand in front: of a program, or of a URL that it may speak to."""
        if self.transport == "stdio":
            return not self.wrapped
        url = self.url or ""
        return self.transport != "sse" and (url.startswith("https://") or bool(re.match(_HERE, url)))

    @property
    def server_command(self) -> list[str]:
        """The server's own command line, also where the proxy stands in front of it."""
        return [] if self.upstream is not None else behind(self.command) or self.command

    def option(self, name: str) -> str | None:
        """Return what an option of the proxy says, where it stands in front."""
        return next(iter(self.options(name)), None)

    def options(self, name: str) -> list[str]:
        """Return what each of an option's repetitions says."""
        words = self.command[: len(self.command) - len(self.server_command)] if self.wrapped else []
        found = [after for word, after in pairwise(words) if word == name]
        return found + [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]

    @property
    def headers(self) -> dict[str, str]:
        """The headers that a server elsewhere is given, by the entry itself or by the proxy in front."""
        env = self.entry.get("env")
        if self.upstream is not None and isinstance(env, dict):
            pairs = [pair.partition("=") for pair in self.options("--header-env")]
            return {name: env[variable] for name, _, variable in pairs if isinstance(env.get(variable), str)}
        said = self.entry.get("headers")
        return {k: v for k, v in said.items() if isinstance(v, str)} if isinstance(said, dict) else {}


def behind(command: Sequence[str]) -> list[str] | None:
    """Return the command line that stands behind `thoth run … --`, None where that is not what it is."""
    return list(command[command.index("--") + 1 :]) if "--" in command and _ours(command) else None


def _ours(command: Sequence[str]) -> int | None:
    """Return where `run` stands in a command line that starts the proxy, None in any other."""
    for at, word in enumerate(command[:4]):
        if word == "run" and at > 0:
            program = command[:at]
            ours = PurePath(program[0]).stem == "thoth" or list(program[1:]) in (["-m", "thoth.cli"], ["-m", "thoth"])
            return at if ours else None
    return None


class ConfigFile:
    """One file, read; `text` writes it in the indentation that it came in."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            OperationError: it cannot be read, or is no such file.
        """
        self.path = path
        try:
            came = path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise OperationError(f"`{path}` cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise OperationError(f"`{path}` is not UTF-8 text") from error
        value = read_json(came)
        if isinstance(value, Fault):
            raise OperationError(f"`{path}`: {value}; a client's configuration is one JSON object, without comments")
        if not isinstance(value, dict):
            raise OperationError(f"`{path}` is not a client's configuration: that is one JSON object")
        self.value: dict[str, Any] = value
        self._ascii = came.isascii() and "\\u" in came
        self._end = came[len(came.rstrip()) :]
        indent = re.match(r"\s*\{\r?\n([ \t]+)", came)
        self._indent: str | None = indent[1] if indent else None

    def servers(self) -> list[Server]:
        """Return the servers in the order of the file."""
        return list(_servers(self.value))

    def replace(self, server: Server, entry: dict[str, Any]) -> None:
        """Put another entry in a server's place."""
        holder: Any = self.value
        for key in server.place:
            holder = holder[key]
        holder[server.name] = entry

    def text(self) -> str:
        """Return the file as it stands now."""
        return json.dumps(self.value, indent=self._indent, ensure_ascii=self._ascii) + self._end


def _servers(value: Mapping[str, Any]) -> Iterator[Server]:
    for key in ("mcpServers", "servers"):
        yield from _group(value.get(key), (key,))
    mcp = value.get("mcp")
    if isinstance(mcp, dict):
        yield from _group(mcp.get("servers"), ("mcp", "servers"))
    projects = value.get("projects")
    if isinstance(projects, dict):
        for folder, project in projects.items():
            if isinstance(project, dict):
                yield from _group(project.get("mcpServers"), ("projects", folder, "mcpServers"))


def _group(group: object, place: tuple[str, ...]) -> Iterator[Server]:
    if isinstance(group, dict):
        for name, entry in group.items():
            if isinstance(entry, dict):
                yield Server(name, entry, place)


@dataclass(frozen=True, kw_only=True)
class Wrapping:
    """How entries are wrapped: the proxy's program, its options, and variables for its environment."""

    program: Sequence[str]
    options: Sequence[str] = ()
    env: Mapping[str, str] | None = None

    def wrap(self, server: Server) -> dict[str, Any]:
        """Return the entry with the proxy in front; members that are not ours keep their place and value."""
        if server.transport != "stdio":
            return self._wrap_url(server)
        entry = dict(server.entry)
        command = server.command
        before = entry.get("env")
        added = [name for name in self.env or {} if not (isinstance(before, dict) and name in before)]
        lacks = [name for name in ("args", "env") if name not in entry]
        note = json.dumps({"env": added, "lacks": lacks}, separators=(",", ":"))
        named = ["--server", server.name, "--agent-id", server.name]
        entry["command"] = self.program[0]
        entry["args"] = [*self.program[1:], "run", *self.options, *named, WRAPPED, note, "--", *command]
        if self.env:
            entry["env"] = {**(before if isinstance(before, dict) else {}), **{n: self.env[n] for n in added}}
        return entry

    def _wrap_url(self, server: Server) -> dict[str, Any]:
        """The URL's member becomes `command`, `args` and `env`; headers move into variables, and the note says how."""
        before = server.entry
        url = next(key for key in URLS if before.get(key) == server.url)
        headers = before.get("headers")
        headers = headers if isinstance(headers, dict) and all(isinstance(v, str) for v in headers.values()) else {}
        variables = {name: f"{HEADER}{at}" for at, name in enumerate(headers, 1)}
        was = {key: before[key] for key in ("type", "transport") if key in before}
        env = before.get("env")
        env = env if isinstance(env, dict) else {}
        added = {name: value for name, value in (self.env or {}).items() if name not in env}
        note = {"url": url, "order": list(before), "headers": variables, "was": was, "env": list(added)}
        named = ["--server", server.name, "--agent-id", server.name]
        passed = [word for name, variable in variables.items() for word in ("--header-env", f"{name}={variable}")]
        said = json.dumps(note, separators=(",", ":"))
        words = ["run", UPSTREAM, str(server.url), *passed, *self.options, *named, WRAPPED, said]
        moved = {variables[name]: value for name, value in headers.items()}
        entry: dict[str, Any] = {}
        for key, value in before.items():
            if key == url:
                entry |= {"command": self.program[0], "args": [*self.program[1:], *words]}
            elif key in was:
                entry[key] = "stdio"
            elif key not in ("env", "headers") or (key == "headers" and not variables):
                entry[key] = value
        if env or added or moved or "env" in before:
            entry["env"] = {**env, **added, **moved}
        return entry


def unwrap(server: Server) -> dict[str, Any]:
    """Return an entry as it was before it was wrapped."""
    if server.upstream is not None:
        return _unwrap_url(server, server.upstream)
    entry = dict(server.entry)
    command = server.server_command
    said = read_json(server.option(WRAPPED) or "{}")
    note = said if isinstance(said, dict) else {}
    added, lacks = _names(note.get("env")), _names(note.get("lacks"))
    entry["command"] = command[0]
    entry["args"] = command[1:]
    if "args" in lacks and not entry["args"]:
        del entry["args"]
    env = entry.get("env")
    if isinstance(env, dict):
        entry["env"] = {name: value for name, value in env.items() if name not in added}
        if "env" in lacks and not entry["env"]:
            del entry["env"]
    return entry


def _unwrap_url(server: Server, upstream: str) -> dict[str, Any]:
    said = read_json(server.option(WRAPPED) or "{}")
    note: dict[str, Any] = said if isinstance(said, dict) else {}
    variables, was = note.get("headers"), note.get("was")
    variables = variables if isinstance(variables, dict) else {}
    env = server.entry.get("env")
    env = env if isinstance(env, dict) else {}
    headers = {name: env[variable] for name, variable in variables.items() if variable in env}
    left = {k: v for k, v in env.items() if k not in variables.values() and k not in _names(note.get("env"))}
    found = {key: value for key, value in server.entry.items() if key not in ("command", "args", "env")}
    found |= was if isinstance(was, dict) else {}
    found[str(note.get("url") or "url")] = upstream
    order = _names(note.get("order"))
    if headers:
        found["headers"] = headers
    if left or "env" in order:
        found["env"] = left
    return {key: found[key] for key in (*(str(k) for k in order if k in found), *(k for k in found if k not in order))}


def _names(said: object) -> list[object]:
    return said if isinstance(said, list) else []


def known_places(home: Path, config: Path, here: Path) -> list[tuple[str, Path]]:
    """Return where clients keep their configuration: the client's name and a file, which need not be there."""
    mac = home / "Library" / "Application Support"
    return [
        ("Claude Desktop", mac / "Claude" / "claude_desktop_config.json"),
        ("Claude Desktop", config / "Claude" / "claude_desktop_config.json"),
        ("Claude Code", home / ".claude.json"),
        ("Claude Code", here / ".mcp.json"),
        ("Cursor", home / ".cursor" / "mcp.json"),
        ("Cursor", here / ".cursor" / "mcp.json"),
        ("Windsurf", home / ".codeium" / "windsurf" / "mcp_config.json"),
        ("Gemini CLI", home / ".gemini" / "settings.json"),
        ("VS Code", mac / "Code" / "User" / "mcp.json"),
        ("VS Code", config / "Code" / "User" / "mcp.json"),
        ("VS Code", here / ".vscode" / "mcp.json"),
    ]
