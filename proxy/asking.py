"""A server's tools, asked for outside of any client: started, asked, ended."""

import subprocess
import threading
from collections.abc import Sequence
from queue import Empty, Queue
from typing import Any, Final

from ..contract import OperationError
from .lines import Lines
from .message import Malformed, Message, loosely, notification, read_message, request_message
from .process import CannotStart, ServerProcess

PAGES_MAX: Final = 1000
HANDSHAKE: Final = "2025-11-25"
STATELESS: Final = "2026-07-28"
US: Final = {"name": "thoth", "version": "1"}
META: Final = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientInfo": US,
    "io.modelcontextprotocol/clientCapabilities": {},
}


def tools_of(command: Sequence[str], *, patience_s: float = 60.0) -> list[dict[str, Any]]:
    """Start a server, return every tool that it lists, and end it.

    Raises:
        OperationError: it cannot be started, does not answer in time, or lists no tools; the text says which.
    """
    try:
        process = ServerProcess(command)
    except CannotStart as error:
        raise OperationError(str(error)) from error
    try:
        return _Asking(process, patience_s).tools()
    finally:
        process.kill()


class _Asking:
    def __init__(self, process: ServerProcess, patience_s: float) -> None:
        self._popen = process.popen
        self._patience_s = patience_s
        self._numbers = 0
        self._lines: Queue[bytes | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._drain, args=(process.popen,), daemon=True).start()

    def _read(self) -> None:
        lines = Lines()
        assert self._popen.stdout is not None
        try:
            while data := self._popen.stdout.read(65536):
                for line in lines.feed(data):
                    if isinstance(line, bytes):
                        self._lines.put(line)
        except (OSError, ValueError):
            pass  # the server was ended while it was read
        self._lines.put(None)

    @staticmethod
    def _drain(popen: "subprocess.Popen[bytes]") -> None:
        assert popen.stderr is not None
        try:
            while popen.stderr.read(65536):
                pass
        except (OSError, ValueError):
            pass

    def tools(self) -> list[dict[str, Any]]:
        hello = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": US}
        modern = "error" in self._ask("initialize", hello).fields
        if not modern:
            self._send(notification("notifications/initialized", {}))
        params: dict[str, Any] = {"_meta": META} if modern else {}
        found: list[dict[str, Any]] = []
        for _ in range(PAGES_MAX):
            answer = self._ask("tools/list", params)
            if "error" in answer.fields:
                raise OperationError(f"the server lists no tools: {answer.fields['error'][:200]!r}")
            result = loosely(answer.fields["result"])
            tools = result.get("tools") if isinstance(result, dict) else None
            if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
                raise OperationError("the server's list of tools is none")
            found += tools
            cursor = result.get("nextCursor")
            if not isinstance(cursor, str):
                return found
            params = {**params, "cursor": cursor}
        raise OperationError(f"the server's list of tools has more than {PAGES_MAX:,} pages")

    def _send(self, line: bytes) -> None:
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(line + b"\n")
        except OSError as error:
            raise OperationError(f"the server has ended (exit code {self._popen.poll()})") from error

    def _ask(self, method: str, params: object) -> Message:
        self._numbers += 1
        id = f"thoth-{self._numbers}"
        self._send(request_message(id, method, params))
        while True:
            try:
                line = self._lines.get(timeout=self._patience_s)
            except Empty:
                raise OperationError(
                    f"the server does not answer `{method}` in {self._patience_s:.0f} seconds"
                ) from None
            if line is None:
                raise OperationError(f"the server has ended (exit code {self._popen.wait(1)})")
            try:
                message = read_message(line)
            except Malformed:
                continue
            if message.is_response and message.id == id:
                return message
