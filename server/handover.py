"""What sessions know that no record holds, handed from a process that stops to the one that comes after it.

What users said and tools returned is in no record, only its digest. A process that is told to stop leaves it in a file
beside its socket, readable by its own user alone; the next one takes the file away before it reads it, and fills the
sessions that it has from the evidence. A session of which the evidence tells otherwise, a file that is too old, too
large, of somebody else, or damaged: then what was said stays unknown, as after a crash. Nothing of it is logged.
"""

import contextlib
import glob
import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from ..contract import Ending
from ..engine import Engine, Session
from ..engine.session import Call, Told

BYTES_MAX: Final = 64 << 20
AGE_S_MAX: Final = 300.0
SUFFIX: Final = ".handover"

log = logging.getLogger(__name__)


class _Call(msgspec.Struct, frozen=True, array_like=True):
    id: str
    tool: str
    classes: frozenset[str] | None
    at: float
    ending: Ending | None
    told: bool
    pending: frozenset[str]
    number: int


class _Told(msgspec.Struct, frozen=True, array_like=True):
    tool: str
    classes: frozenset[str] | None
    text: str


class _Session(msgspec.Struct, frozen=True, array_like=True):
    """A session as it stood when its process stopped. `root` is the id of the session whose user speaks for it."""

    id: str
    tenant: str | None
    root: str | None
    opened_at: float
    begun: bool
    calls: list[_Call]
    blocks: int
    labels: set[str]
    doubtful: set[str]
    texts: list[str]
    results: list[_Told]
    results_cut: bool
    dropped_until: float
    remembered_bytes: int
    version: int
    counted: int
    digest: bytes
    said_digest: bytes


SAME: Final = (
    "id", "tenant", "opened_at", "begun", "blocks", "labels", "doubtful", "texts", "results_cut", "dropped_until",
    "remembered_bytes", "version", "counted", "digest", "said_digest",
)  # fmt: skip


def place_of(socket: Path, worker: int | None = None) -> Path:
    """Return where the process of a socket, or one of its workers, leaves what it hands over."""
    return socket.with_name(f"{socket.name}{SUFFIX}" + ("" if worker is None else f".{worker}"))


def drop(socket: Path, workers: int | None = None) -> None:
    """Delete what nobody takes who starts now: that is all but what one process left, or so many workers."""
    followed = {place_of(socket)} if workers is None else {place_of(socket, worker) for worker in range(workers)}
    for place in socket.parent.glob(f"{glob.escape(socket.name)}{SUFFIX}*"):
        if place not in followed:
            place.unlink(missing_ok=True)


def leave(place: Path, sessions: Iterable[Session], now: float) -> int:
    """Leave sessions for the next process, the last used first, as many as fit; return how many."""
    head = msgspec.msgpack.encode(now)
    parts, size = [head], len(head)
    for session in sessions:
        part = msgspec.msgpack.encode(_packed(session))
        size += len(part) + 4
        if size > BYTES_MAX:
            break
        parts.append(part)
    body = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    try:
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
        number = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(body)
    except OSError as error:
        log.warning("not_handed_over why=%s", type(error).__name__)
        with contextlib.suppress(OSError):
            place.unlink()
        return 0
    return len(parts) - 1


def take(place: Path, engine: Engine, now: float) -> int:
    """Take what an earlier process left, and fill the engine's sessions with it; return how many."""
    try:
        body = _taken(place)
        parts = _parts(body)
        at = msgspec.msgpack.decode(parts[0], type=float) if parts else now
        if not 0 <= now - at <= AGE_S_MAX:
            raise ValueError("it is old")
        kept = [msgspec.msgpack.decode(part, type=_Session) for part in parts[1:]]
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        log.warning("not_taken_over why=%s", type(error).__name__)
        return 0
    # The last used come first, and the engine keeps those that were asked for last.
    return sum([_filled(engine, one) for one in reversed(kept)])


def _taken(place: Path) -> bytes:
    """Return the bytes of a file that is ours alone; it is gone before it is read."""
    number = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(number, "rb") as file:
        found = os.fstat(number)
        place.unlink()
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise ValueError("it is not ours alone")
        return file.read(BYTES_MAX * 2)


def _parts(body: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(body):
        end = at + 4 + int.from_bytes(body[at : at + 4], "big")
        if end > len(body):
            raise ValueError("it is torn")
        parts.append(body[at + 4 : end])
        at = end
    return parts


def _packed(session: Session) -> _Session:
    return _Session(
        root=None if session.root is None else session.root.id,
        calls=[
            _Call(one.id, one.tool, one.classes, one.at, one.ending, one.told, one.pending, one.number)
            for one in session.calls
        ],
        results=[_Told(one.tool, one.classes, one.text) for one in session.results],
        **{name: getattr(session, name) for name in SAME},
    )


def _filled(engine: Engine, kept: _Session) -> bool:
    """Fill a session with what was kept of it, unless what the evidence tells of it is something else."""
    session = engine.session(kept.id, tenant_id=kept.tenant, begins=False)
    known = [(call.id, call.ending) for call in session.calls]
    last = [(call.id, call.ending) for call in kept.calls[len(kept.calls) - len(known) :]]
    if session.tenant != kept.tenant or known != last or session.blocks > kept.blocks:
        return False
    for name in SAME:
        setattr(session, name, getattr(kept, name))
    session.calls = [
        Call(one.id, one.tool, one.classes, one.at, one.ending, one.told, one.pending, one.number) for one in kept.calls
    ]
    session.results = [Told(one.tool, one.classes, one.text) for one in kept.results]
    if kept.root is not None:
        session.root = engine.session(kept.root, tenant_id=kept.tenant, begins=False)
    session.tallies = {}
    return True
