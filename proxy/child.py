"""The MCP server as a child process on an event loop, and its end as the protocol asks for it."""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from .keeper import end_group
from .lines import LINE_BYTES_MAX, TooLong
from .log import Log
from .pipes import Ear, Inlet, Outlet, listen, speak
from .process import ServerProcess
from .server import MayRepeat, always

TERM_GRACE_S: Final = 1.0
STEP_S: Final = 0.01


class Child:
    """A started server, tied to the running loop by `attach`."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process
        self._inlet: Inlet
        self._outlet: Outlet
        self._ear: asyncio.ReadTransport

    async def attach(
        self,
        line: Callable[[bytes | TooLong], None],
        ended: Callable[[], None],
        log: Log,
        *,
        full: Callable[[], None],
        taken: Callable[[], None],
        may_repeat: MayRepeat = always,
        bytes_max: int = LINE_BYTES_MAX,
    ) -> None:
        """Hand on what it writes; `ended` is called once its output is at its end. A process has no session to lose."""
        popen = self._process.popen
        assert popen.stdin
        assert popen.stdout
        assert popen.stderr
        self._inlet = Inlet(line, ended, bytes_max)
        self._outlet = Outlet(full, taken, lambda: None)
        await speak(popen.stdin, self._outlet)
        await listen(popen.stdout, self._inlet)
        self._ear, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: Ear(log.pass_on), popen.stderr)

    def line(self, line: bytes) -> bool:
        """Send it one line; False where its input is closed."""
        return self._outlet.line(line)

    def pause(self) -> None:
        """Take no more from it for now."""
        self._inlet.pause()

    def resume(self) -> None:
        """Take from it again."""
        self._inlet.resume()

    async def stop(self, hurry: asyncio.Event, *, grace_s: float) -> int:
        """End it the way the protocol asks: close its input, wait, then signal its group; return its exit code.

        Takes at most `grace_s` + TERM_GRACE_S seconds and a moment; the grace ends early with `hurry`.
        """
        self._outlet.close()
        code = await self._exit(grace_s, hurry)
        await asyncio.get_running_loop().run_in_executor(None, end_group, self._process.group, TERM_GRACE_S)
        if code is None:
            code = await self._exit(TERM_GRACE_S, asyncio.Event())
        self._inlet.close()
        self._ear.close()
        self._process.ended = True
        self._process.keeper.dismiss()
        return -signal.SIGKILL if code is None else code

    async def _exit(self, patience_s: float, hurry: asyncio.Event) -> int | None:
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_s
        while (code := self._process.popen.poll()) is None:
            if loop.time() >= until or hurry.is_set():
                return None
            await asyncio.sleep(STEP_S)
        return code
