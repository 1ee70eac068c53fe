"""What can be wrong with a machine on which agents are governed, and how to mend it: one check each."""

import importlib.metadata
import os
import shlex
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from ..config import state_folder
from ..contract import OperationError
from ..grammar import PolicyError
from ..proxy.client_config import Server
from ..proxy.instructions import suspicious
from ..proxy.pins import PinFile
from ..proxy.process import CannotStart, find_program
from .clients import configurations, decides
from .home import PINS, home
from .printing import counted

YEAR_MIN: Final = 2026
CLOCK_AHEAD_S: Final = 300


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `mend` says what to do, and is empty where nothing is wrong.

    `serious`: calls are refused, or run ungoverned.
    """

    check: str
    says: str
    mend: str = ""
    serious: bool = True

    @property
    def fine(self) -> bool:
        return not self.mend


@dataclass(frozen=True)
class Machine:
    """The clients' servers, read once."""

    servers: tuple[tuple[str, Server, Path], ...]
    unreadable: tuple[str, ...]


def look() -> Machine:
    """Read the clients' configurations."""
    servers: list[tuple[str, Server, Path]] = []
    unreadable: list[str] = []
    for client, config in configurations():
        if isinstance(config, OperationError):
            unreadable.append(str(config))
        else:
            servers += [(client, server, config.path) for server in config.servers()]
    return Machine(tuple(servers), tuple(unreadable))


def package(machine: Machine) -> Iterator[Finding]:
    """Another package that is imported as `thoth` would be run in our place."""
    others = sorted(set(importlib.metadata.packages_distributions().get("thoth", ())) - {"thoth-runtime"})
    if others:
        yield Finding("package", f"{', '.join(others)} is imported as `thoth` too", f"pip uninstall {' '.join(others)}")
    else:
        yield Finding("package", f"thoth-runtime {importlib.metadata.version('thoth-runtime')}")


def folder(machine: Machine) -> Iterator[Finding]:
    """`~/.thoth` is its user's alone."""
    path = home()
    if not path.exists():
        yield Finding("folder", f"{path} is not there yet; it is made when it is needed")
        return
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        yield Finding("folder", f"{path} can be entered by others ({mode:o})", f"chmod 700 {shlex.quote(str(path))}")
    elif path.stat().st_uid != os.getuid():
        yield Finding("folder", f"{path} belongs to somebody else", f"chown -R {os.getuid()} {shlex.quote(str(path))}")
    else:
        yield Finding("folder", f"{path} is yours alone")


def pins(machine: Machine) -> Iterator[Finding]:
    """The pins can be read, and nothing in them looks like a hidden instruction."""
    try:
        servers = PinFile(home() / PINS).servers()
    except OperationError as error:
        yield Finding(
            "pins", str(error), f"mv {home() / PINS} {home() / PINS}.damaged, and accept again: `thoth mcp pin`"
        )
        return
    yield Finding("pins", f"{counted(len(servers), 'server')} pinned")
    for name, server in servers.items():
        for tool, where, what in suspicious(server.tools):
            yield Finding("pins", f"{name}, {tool}, {where}: {what}", f"look at it: `thoth mcp diff {name}`", False)


def clients(machine: Machine) -> Iterator[Finding]:
    """Every server of this machine's clients has the proxy in front, and its program is there."""
    for problem in machine.unreadable:
        yield Finding("clients", problem, "mend the file; until then its servers are not known here")
    bare: dict[tuple[str, Path], list[Server]] = {}
    for client, server, path in machine.servers:
        if server.wrapped:
            yield _program(client, server)
        elif server.wrappable:
            bare.setdefault((client, path), []).append(server)
        else:
            yield Finding(
                "clients",
                f"{client}: {server.name} is spoken to over {server.transport}, where the proxy cannot stand in front",
                "ask whoever runs it for a Streamable HTTP address (https://…), or take it out",
                False,
            )
    for (client, path), servers in bare.items():
        names = ", ".join(server.name for server in servers)
        file = shlex.quote(str(path))
        yield Finding(
            "clients",
            f"{client}: {names} {'is' if len(servers) == 1 else 'are'} not governed",
            f"thoth wrap-config --policy POLICY --output {file} {file}",
        )
    if any(server.upstream for _, server, _ in machine.servers) and find_spec("httpx2") is None:
        yield Finding("clients", "servers elsewhere cannot be reached", "pip install 'thoth-runtime[mcp]'")
    if not machine.servers:
        yield Finding("clients", "no MCP client of this machine starts a server")


def _program(client: str, server: Server) -> Finding:
    env = server.entry.get("env")
    path = env.get("PATH") if isinstance(env, dict) else None
    for name in (server.command[0], *server.server_command[:1]):
        try:
            find_program(name, {"PATH": str(path or os.environ.get("PATH", ""))})
        except CannotStart as error:
            return Finding("clients", f"{client}: {server.name}: {error}", f"install it, or mend `{name}`")
    return Finding("clients", f"{client}: {server.name} is governed")


def policies(machine: Machine) -> Iterator[Finding]:
    """Each policy can be read, its tests pass, and whoever it asks can be asked."""
    from ..engine import Engine
    from ..engine.testing import run_tests

    named = {said: server for _, server, _ in machine.servers if (said := decides(server)) and "://" not in said}
    if os.environ.get("THOTH_POLICY"):
        named.setdefault(os.environ["THOTH_POLICY"], None)  # type: ignore[arg-type]
    for file in sorted(name for name in named if not name.startswith("unix:")):
        try:
            engine = Engine.from_files(file.split(os.pathsep))
            failed = [result for result in run_tests(engine.policy) if not result.passed]
        except PolicyError as error:
            yield Finding(
                "policy", f"{file} has {len(error.messages)} mistakes", f"thoth check {shlex.quote(str(file))}"
            )
            continue
        except OperationError as error:
            yield Finding("policy", str(error), "write it, e.g. `thoth init`, or name another with `--policy`")
            continue
        if failed:
            yield Finding("policy", f"{file}: {len(failed)} of its tests fail", f"thoth test {shlex.quote(str(file))}")
        else:
            yield Finding("policy", f"{file} is read, and its tests pass")
        rules = [rule for rule in engine.policy.rules if rule.ask.approvers and "user" not in rule.ask.approvers]
        who = sorted({name for rule in rules for name in rule.ask.approvers})
        if who:
            yield Finding(
                "approvers",
                f"{file} asks {', '.join(who)}, whom an engine in the proxy's process cannot reach",
                "write `ask user`, or let `thoth serve` decide: `--api-url unix:…`",
                False,
            )


def sockets(machine: Machine) -> Iterator[Finding]:
    """The sockets of enforcers on this machine are there, and nobody else's."""
    said = {decides(server) or "" for _, server, _ in machine.servers} | {os.environ.get("THOTH_API_URL", "")}
    for address in sorted(one for one in said if one.startswith("unix:")):
        path = Path(address.removeprefix("unix:"))
        try:
            found = path.stat()
        except OSError as error:
            yield Finding(
                "socket", f"{path}: {error.strerror}", "start it: `thoth serve`; until then calls are refused"
            )
            continue
        if not stat.S_ISSOCK(found.st_mode):
            yield Finding("socket", f"{path} is no socket", "name the socket of `thoth serve` in `--api-url`")
        elif found.st_mode & 0o007 or not os.access(path, os.W_OK):
            yield Finding(
                "socket", f"{path} has permissions {found.st_mode & 0o777:o}", f"chmod 600 {shlex.quote(str(path))}"
            )
        else:
            yield Finding("socket", f"{path} is there")


def evidence(machine: Machine) -> Iterator[Finding]:
    """The log can be read and written, and the clock is not behind it."""
    path = state_folder() / "evidence"
    now = time.time()
    if time.gmtime(now).tm_year < YEAR_MIN:
        yield Finding("clock", f"it is {time.strftime('%Y-%m-%d', time.gmtime(now))}, says the clock", "set the clock")
    if not (path / "log.json").exists():
        yield Finding("evidence", f"{path} is not there yet; the first call makes it")
        return
    if not os.access(path, os.W_OK | os.X_OK):
        yield Finding(
            "evidence",
            f"{path} cannot be written",
            f"chown -R {os.getuid()} {shlex.quote(str(path))}; until then calls are refused",
        )
        return
    from ..evidence import EvidenceError, LogReader

    try:
        newest = max((entry.at_us for entry in LogReader(path).entries()), default=0)
    except (EvidenceError, OSError) as error:
        yield Finding("evidence", str(error), f"thoth evidence verify {shlex.quote(str(path))}")
        return
    if newest / 1e6 > now + CLOCK_AHEAD_S:
        yield Finding("clock", "the newest record is from the future: the clock was set back", "set the clock")
    free = os.statvfs(path)
    if free.f_bavail * free.f_frsize < 256 * 1024 * 1024:
        yield Finding("evidence", f"less than 256 MiB are free under {path}", "make room; without it calls are refused")
    else:
        yield Finding("evidence", f"{path} can be written")


def keys(machine: Machine) -> Iterator[Finding]:
    """Keys are in files of their own, which others cannot read."""
    file = os.environ.get("THOTH_API_KEY_FILE")
    if file:
        try:
            mode = Path(file).stat().st_mode & 0o777
        except OSError as error:
            yield Finding("keys", f"THOTH_API_KEY_FILE names `{file}`: {error.strerror}", "write the key there")
        else:
            yield Finding("keys", f"{file} ({mode:o})", f"chmod 600 {shlex.quote(str(file))}" if mode & 0o077 else "")
    for client, server, path in machine.servers:
        if server.wrapped and server.option("--api-key"):
            mend = "take `--api-key` out of it, and name a file in THOTH_API_KEY_FILE"
            yield Finding("keys", f"{client}: {server.name} has a key in {path}", mend, False)


CHECKS: Final[tuple[Callable[[Machine], Iterator[Finding]], ...]] = (
    package,
    folder,
    pins,
    clients,
    policies,
    sockets,
    evidence,
    keys,
)


def findings() -> list[Finding]:
    """Return what every check found. A check that fails is a finding."""
    machine = look()
    found: list[Finding] = []
    for check in CHECKS:
        try:
            found += check(machine)
        except Exception as error:  # noqa: BLE001 - the others are still worth their while
            found.append(Finding(check.__name__, f"{type(error).__name__}: {error}", "this check failed; report it"))
    return found


def as_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON."""
    return {"check": finding.check, "fine": finding.fine, "says": finding.says, "mend": finding.mend}
