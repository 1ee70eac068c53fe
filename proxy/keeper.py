"""A small process that outlives the proxy by moments, and ends the server when the proxy could not.

A killed proxy runs no code. Its keeper holds the other end of a pipe: when that breaks without a word, the keeper ends
the server's process group, whatever has been started in it.
"""

import contextlib
import os
import signal
import time
from typing import Final

GRACE_S: Final = 2.0
STEP_S: Final = 0.02


class Keeper:
    """The proxy's end of it. To be made before there are threads, for it forks."""

    def __init__(self) -> None:
        read, self._write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                _keep(read)
            finally:
                os._exit(0)
        os.close(read)

    def watch(self, group: int) -> None:
        """Have this process group ended should the proxy die."""
        self._tell(b"%d\n" % group)

    def dismiss(self) -> None:
        """Say that the group has ended, and let the keeper go."""
        self._tell(b"0\n")
        with contextlib.suppress(OSError):
            os.close(self._write)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _tell(self, word: bytes) -> None:
        with contextlib.suppress(OSError):  # the keeper was killed: there is nobody to tell
            os.write(self._write, word)


def _keep(read: int) -> None:
    os.setsid()  # whoever signals the proxy's group must not reach the keeper
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # An open end of the client's pipes would keep the client waiting for a proxy that is dead.
    os.closerange(0, read)
    os.closerange(read + 1, max(256, read + 64))
    words = b""
    while piece := os.read(read, 64):
        words += piece
    groups = words.split(b"\n")[:-1]
    if groups and int(groups[-1]):
        end_group(int(groups[-1]))


def end_group(group: int, grace_s: float = GRACE_S) -> None:
    """Ask a process group to end, and kill what is left of it after a while; blocks for that time at most."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGTERM)
        until = time.monotonic() + grace_s
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(STEP_S)
        os.killpg(group, signal.SIGKILL)
