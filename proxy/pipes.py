"""Pipes on an event loop: lines in, bytes out, and a reader that is paused while the other side does not take them."""

import asyncio
import os
import stat
import threading
from collections.abc import Callable
from typing import IO, Final

from .lines import Lines, TooLong

READ_BYTES: Final = 256 * 1024
WRITE_HELD_BYTES: Final = 4 * 1024 * 1024


class Inlet(asyncio.Protocol):
    """Reads lines and hands each on. `line` must not raise; `ended` is called once, when no more will come."""

    def __init__(self, line: Callable[[bytes | TooLong], None], ended: Callable[[], None], bytes_max: int) -> None:
        self._lines = Lines(bytes_max)
        self._line = line
        self._ended: Callable[[], None] | None = ended
        self._transport: asyncio.ReadTransport | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._line(line)

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            for line in self._lines.end():
                self._line(line)
            ended()

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def close(self) -> None:
        """Let go of the pipe."""
        if self._transport is not None:
            self._transport.close()


class Outlet(asyncio.BaseProtocol):
    """Writes lines. While more than its bound waits to be taken, `full` has been called, and then `taken`."""

    def __init__(self, full: Callable[[], None], taken: Callable[[], None], broken: Callable[[], None]) -> None:
        self._full = full
        self._taken = taken
        self._broken = broken
        self._transport: asyncio.WriteTransport | None = None
        self._descriptor = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.set_write_buffer_limits(high=WRITE_HELD_BYTES)
        self._transport = transport

    def use_file(self, descriptor: int) -> None:
        """Write to a file or a terminal, which no loop can wait for."""
        self._descriptor = descriptor

    def pause_writing(self) -> None:
        self._full()

    def resume_writing(self) -> None:
        self._taken()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._taken()
        self._broken()

    def line(self, line: bytes) -> bool:
        """Write one line; False where nobody will ever read it."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(line + b"\n")
            return True
        if self._descriptor >= 0:
            try:
                view = memoryview(line + b"\n")
                while view:
                    view = view[os.write(self._descriptor, view) :]
            except OSError:
                return False
            return True
        return False

    @property
    def waiting(self) -> int:
        """How many bytes have not been taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def close(self) -> None:
        """Write what waits, then end the pipe."""
        if self._transport is not None:
            self._transport.close()


class Ear(asyncio.Protocol):
    """Reads bytes and hands them on as they come."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard

    def data_received(self, data: bytes) -> None:
        self._heard(data)


async def listen(file: IO[bytes], inlet: Inlet) -> None:
    """Have an inlet read a file: a pipe or socket on the loop, anything else by a thread."""
    loop = asyncio.get_running_loop()
    descriptor = file.fileno()
    if _pollable(descriptor):
        await loop.connect_read_pipe(lambda: inlet, file)
        return

    def read() -> None:
        while True:
            try:
                data = os.read(descriptor, READ_BYTES)
            except OSError:
                data = b""
            try:
                if not data:
                    loop.call_soon_threadsafe(inlet.eof_received)
                    return
                loop.call_soon_threadsafe(inlet.data_received, data)
            except RuntimeError:
                return  # the loop is closed

    threading.Thread(target=read, name="thoth-stdin", daemon=True).start()


async def speak(file: IO[bytes], outlet: Outlet) -> None:
    """Have an outlet write to a file: a pipe or socket on the loop, anything else at once."""
    if _pollable(file.fileno()):
        await asyncio.get_running_loop().connect_write_pipe(lambda: outlet, file)
    else:
        outlet.use_file(file.fileno())


def standard(descriptor: int, mode: str) -> IO[bytes]:
    """Return a standard stream without a buffer, which stays open when this file object is closed."""
    return os.fdopen(descriptor, mode, buffering=0, closefd=False)


def _pollable(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
