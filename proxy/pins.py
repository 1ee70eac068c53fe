"""What a server's tools were when somebody approved them: one digest a tool, in one file of this user's.

The digest covers everything of a tool that a model reads or a caller relies on: its description, schemas and
annotations.
"""

import hashlib
import json
import os
import tempfile
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from ..contract import OperationError

NOT_PINNED: Final = frozenset(("_meta", "icons"))
"""Members of a tool that no model is told and no caller relies on."""


class Pinned(msgspec.Struct):
    """One approved tool: its digest, and the tool itself, to show what has changed since."""

    digest: str
    tool: dict[str, Any]


class PinnedServer(msgspec.Struct):
    """The approved tools of one server; `accepted` says when (ISO 8601, UTC) and `by` whom or what."""

    accepted: str
    by: str
    tools: dict[str, Pinned]


class _File(msgspec.Struct):
    version: int = 1
    servers: dict[str, PinnedServer] = {}


@dataclass(frozen=True)
class Change:
    """One difference between what was approved and what a server has: `kind` is changed, new or gone."""

    kind: str
    tool: str
    before: dict[str, Any] | None = field(default=None)
    after: dict[str, Any] | None = field(default=None)


def digest_of(tool: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of a tool as JSON with sorted keys."""
    kept = {key: value for key, value in tool.items() if key not in NOT_PINNED}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digests_of(tools: list[dict[str, Any]]) -> dict[str, Pinned]:
    """Return the tools by name; a name that stands twice gets a digest of both, which no single tool has.

    Names are the same where Unicode says so (NFC), as they are to a policy: who may call one may call the other.
    """
    found: dict[str, Pinned] = {}
    spelt: dict[str, set[str]] = {}
    digests: dict[str, str] = {}
    for tool in tools:
        name = tool.get("name")
        if not isinstance(name, str):
            continue
        one = unicodedata.normalize("NFC", name)
        digest = digest_of(tool)
        if one in digests:
            digest = hashlib.sha256(f"{digests[one]} {digest}".encode()).hexdigest()
        digests[one] = digest
        spelt.setdefault(one, set()).add(name)
        found[name] = Pinned("", {key: value for key, value in tool.items() if key not in NOT_PINNED})
    for one, names in spelt.items():
        for name in names:
            found[name].digest = digests[one]
    return found


def changes(pinned: Mapping[str, Pinned], now: Mapping[str, Pinned]) -> list[Change]:
    """Return what is different now, by tool name."""
    found = []
    for name in sorted(pinned.keys() | now.keys()):
        before, after = pinned.get(name), now.get(name)
        if before is None and after is not None:
            found.append(Change("new", name, None, after.tool))
        elif after is None and before is not None:
            found.append(Change("gone", name, before.tool, None))
        elif before is not None and after is not None and before.digest != after.digest:
            found.append(Change("changed", name, before.tool, after.tool))
    return found


class PinFile:
    """The file: `~/.thoth/mcp-pins.json` where nothing else is said."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def servers(self) -> dict[str, PinnedServer]:
        """Return every server with its approved tools.

        Raises:
            OperationError: the file cannot be read.
        """
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise OperationError(f"the pins `{self.path}` cannot be read: {error.strerror or error}") from error
        try:
            read = msgspec.json.decode(text, type=_File)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise OperationError(
                f"the pins `{self.path}` are damaged ({error}); restore them from a copy, or take the file away and "
                "accept the tools of your servers again"
            ) from error
        if read.version != 1:
            raise OperationError(f"the pins `{self.path}` were written by a later version; bring this one up to date")
        return read.servers

    def keep(self, server: str, pinned: PinnedServer, *, only_if_new: bool = False) -> bool:
        """Write down the tools of one server; False where there were some already and `only_if_new` is asked.

        The file is replaced as a whole, under a lock, so that of two runs none loses what the other wrote.

        Raises:
            OperationError: it cannot be written.
        """
        import fcntl

        try:
            make_private(self.path.parent)
            with (self.path.parent / ".mcp-pins.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                servers = self.servers()
                if only_if_new and server in servers:
                    return False
                servers[server] = pinned
                self._write(msgspec.json.format(msgspec.json.encode(_File(1, servers)), indent=1))
        except OSError as error:
            raise OperationError(f"the pins `{self.path}` cannot be written: {error.strerror or error}") from error
        return True

    def _write(self, text: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=".mcp-pins-")  # made with 0600
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def make_private(folder: Path) -> None:
    """Make a folder that only its user may enter, and take others' permissions away where it has been there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
