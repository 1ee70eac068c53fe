"""Configuration files of MCP clients: which servers they start, and the same files with the proxy in front of each.

Known are `mcpServers` at the top (Claude Desktop, Claude Code, Cursor and most others), the same under each project of
`~/.claude.json`, and `servers` (VS Code). Everything else in a file stays as it is, in its order.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from ..contract import Fault, OperationError, read_json

WRAPPED: Final = "--wrapped"
"""The option that carries what `unwrap` needs: which variables were added, and which members the entry did not have."""


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
        url = self.entry.get("url") or self.entry.get("serverUrl") or self.entry.get("httpUrl")
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
        return behind(self.command) is not None

    @property
    def server_command(self) -> list[str]:
        """The server's own command line, also where the proxy stands in front of it."""
        return behind(self.command) or self.command

    def option(self, name: str) -> str | None:
        """Return what an option of the proxy says, where it stands in front."""
        words = self.command[: len(self.command) - len(self.server_command)] if self.wrapped else []
        for at, word in enumerate(words):
            if word == name and at + 1 < len(words):
                return words[at + 1]
            if word.startswith(f"{name}="):
                return word.partition("=")[2]
        return None


def behind(command: Sequence[str]) -> list[str] | None:
    """Return the command line that stands behind `thoth run … --`, None where that is not what it is."""
    for at, word in enumerate(command[:4]):
        if word == "run" and at > 0 and "--" in command:
            program = command[:at]
            ours = PurePath(program[0]).stem == "thoth" or list(program[1:]) in (["-m", "thoth.cli"], ["-m", "thoth"])
            return list(command[command.index("--") + 1 :]) if ours else None
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


def unwrap(server: Server) -> dict[str, Any]:
    """Return an entry as it was before it was wrapped."""
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
