"""Sockets that only those can reach who may: never chmodded afterwards, never taken from a living server.

A Unix socket lies in a folder of mode 0700 and is made under a umask, so that there is no moment in which others
could connect. Who connects is asked of the kernel (SO_PEERCRED), not of the client.
"""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..contract import OperationError

BACKLOG: Final = 1024
CREDENTIALS: Final = struct.Struct("3i")
PATH_BYTES_MAX: Final = 107
"""The longest path of a Unix socket on Linux (`sun_path` less its zero)."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a Unix socket, as the kernel knows it."""

    pid: int
    uid: int
    gid: int


def peer_of(sock: socket.socket) -> Peer:
    """Return who connected; on a client's socket, who listens."""
    return Peer(*CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)))


class BoundSocket:
    """A listening Unix socket and the lock beside it, which says that its server lives."""

    def __init__(self, path: Path) -> None:
        """Make the folder, take the lock, and listen.

        Raises:
            OperationError: another server listens there, or the place is not ours.
        """
        self.path = path
        if len(os.fsencode(path)) > PATH_BYTES_MAX:
            raise OperationError(f"`{path}`: the path of a socket has at most {PATH_BYTES_MAX} bytes")
        _make_private(path.parent)
        self._lock = _lock(path)
        try:
            self.socket = self._listen()
        except BaseException:
            os.close(self._lock)
            raise

    def _listen(self) -> socket.socket:
        path = self.path
        # We hold the lock, so whoever made a socket that is there is gone.
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise OperationError(f"`{path}` is there and is no socket; name another `--socket`")
            path.unlink()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        before = os.umask(0o177)
        try:
            sock.bind(os.fspath(path))
        except OSError as error:
            sock.close()
            raise OperationError(f"`{path}` cannot be listened on: {error.strerror or error}") from error
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
        return sock

    def close(self) -> None:
        """Stop listening and take the socket away."""
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        os.close(self._lock)


class Inherited:
    """A listening Unix socket that others listen on as well; it is not ours to take away."""

    def __init__(self, path: Path, sock: socket.socket) -> None:
        self.path, self.socket = path, sock

    def close(self) -> None:
        """Stop listening here."""
        self.socket.close()


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise OperationError(f"`{folder}` cannot be made: {error.strerror or error}") from error
    if found.st_uid != os.geteuid():
        raise OperationError(f"`{folder}` belongs to user {found.st_uid}; a socket lies in a folder of our own")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise OperationError(f"`{folder}` can be entered by others; write `chmod 700 {folder}`")


def _lock(path: Path) -> int:
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise OperationError(f"another server listens on `{path}`") from None
        raise
    return lock


def listen_tcp(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an IP address.

    Raises:
        OperationError: it is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OperationError(f"`{host}:{port}` cannot be listened on: {error.strerror or error}") from error
    sock.listen(BACKLOG)
    return sock
