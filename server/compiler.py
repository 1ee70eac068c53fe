"""The sidecar's hold on the process that compiles for it: started when it is needed, bounded in time, ended with us.

The process is a new interpreter, not a fork: it inherits one socket and neither locks nor listening sockets.
"""

import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Final

import msgspec

from ..contract import OperationError
from .compiling import Told, receive, send
from .settings import Settings

SECONDS_MAX: Final = 300.0
ENDS_S: Final = 1.0
NEEDED: Final = ("PATH", "HOME", "LANG", "LC_", "LD_", "PYTHON", "VIRTUAL_ENV", "TMPDIR", "ASAN_")
"""What variables of the environment begin with that the process gets; secrets of webhooks, say, stay here."""
TIRED: Final = "code 0"
"""How a process ends that nobody has asked for long; one may be asked just then."""
TURNS: Final = threading.Semaphore(1)
"""Of many tenants whose policies change together, one is compiled at a time."""


class CompilerProcess:
    """One process that compiles, or none yet. `compile` is for one thread at a time, `close` for any."""

    def __init__(self, seconds_max: float = SECONDS_MAX) -> None:
        """Take how long compiling may last, starting the process included."""
        self.seconds_max = seconds_max
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._lock = threading.Lock()
        self._closed = False

    def compile(self, settings: Settings) -> tuple[Told, memoryview | None]:
        """Return what came of compiling the policy of the settings, and its bundle, mapped, where nothing is wrong.

        Raises:
            OperationError: the process cannot be started, ended, or took too long.
        """
        with TURNS:
            answer, descriptors = self._asked(settings)
        told = msgspec.msgpack.decode(answer, type=Told)
        if not descriptors:
            return told, None
        try:
            return told, memoryview(mmap.mmap(descriptors[0], 0, access=mmap.ACCESS_READ))
        finally:
            for number in descriptors:
                os.close(number)

    def _asked(self, settings: Settings) -> tuple[bytes, list[int]]:
        while True:
            channel, fresh = self._started()
            try:
                send(channel, settings)
                answer, descriptors = receive(channel)
            except TimeoutError:
                self._end()
                raise OperationError(f"compiling the policy took longer than {self.seconds_max:.0f} s") from None
            except OSError:  # it is gone, or we close
                answer, descriptors = b"", []
            if answer:
                return answer, descriptors
            how = self._end(ENDS_S)
            if fresh or how != TIRED:
                raise OperationError(f"the process that compiles the policy ended ({how})")

    def close(self) -> None:
        """End the process, and whatever it is doing; nothing is compiled any more."""
        self._closed = True
        with self._lock:
            self._drop(0)

    def _started(self) -> tuple[socket.socket, bool]:
        """Return the socket of the process, and whether that was started now."""
        with self._lock:
            if self._closed:
                raise OperationError("the server is stopping")
            if self._channel is not None and self._process is not None and self._process.poll() is None:
                return self._channel, False
            self._drop(0)
            ours, theirs = socket.socketpair()
            with theirs:
                # -P: the folder that we run in is no place to import from. A group of its own: Ctrl-C is ours alone.
                command = [sys.executable, "-P", "-m", "thoth.server.compiling", str(theirs.fileno())]
                try:
                    self._process = subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        pass_fds=[theirs.fileno()],
                        start_new_session=True,
                        env={name: os.environ[name] for name in os.environ if name.startswith(NEEDED)},
                    )
                except OSError as error:
                    ours.close()
                    raise OperationError(f"no process to compile the policy: {error.strerror or error}") from None
            ours.settimeout(self.seconds_max)
            self._channel = ours
            return ours, True

    def _end(self, patience_s: float = 0) -> str:
        """End the process, if it has not ended by itself after a while; return how it ended."""
        with self._lock:
            return self._drop(patience_s)

    def _drop(self, patience_s: float) -> str:
        process, self._process = self._process, None
        channel, self._channel = self._channel, None
        if channel is not None:
            with contextlib.suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for the answer
            channel.close()
        if process is None:
            return "it was told to"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
        if process.returncode is None:
            process.kill()
            process.wait()
        code = process.returncode
        return signal.Signals(-code).name if code < 0 else f"code {code}"
