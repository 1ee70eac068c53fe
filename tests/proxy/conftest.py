"""A client and a server on both sides of a relay, in this process; and the real thing, two processes on pipes."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from thoth.contract import Decision, Outcome
from thoth.embedded import Embedded
from thoth.engine import Engine
from thoth.proxy.calls import Calls
from thoth.proxy.catalog import Catalog, PinPolicy
from thoth.proxy.floor import FloorCheck
from thoth.proxy.log import Log
from thoth.proxy.pins import PinFile
from thoth.proxy.relay import Relay
from thoth.proxy.settings import Settings
from thoth.sessions import Session

from .web import POLICY, Web

SERVER = Path(__file__).with_name("scripted_server.py")
FLOOR = Path(__file__).parents[2] / "policies" / "floor.thoth"
FIELDS = {"agent_id": "desk", "tenant_id": "acme", "user_id": "ann", "environment": "prod", "enforcement_mode": "block"}
PATIENCE_S = 30.0
PERMISSIVE = "policy open\n    default allow\n"


class Written(Log):
    """A log that keeps its lines."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.lines: list[str] = []

    def pass_on(self, data: bytes) -> None:
        self.lines.append(data.decode())


class Recorded:
    """A recorder that keeps everything; `full` makes it refuse, as a full disk does."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.outcomes: list[Outcome] = []
        self.full = False

    def decided(self, decision: Decision) -> None:
        if self.full:
            raise OSError(28, "no space left on device")
        self.decisions.append(decision)

    def ended(self, decision: Decision, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Side:
    """One end: the lines that reached it."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.open = True
        self.react: Callable[[dict[str, Any]], None] = lambda message: None

    def line(self, line: bytes) -> bool:
        if not self.open:
            return False
        self.lines.append(line)
        message = json.loads(line)
        if isinstance(message, dict):
            self.react(message)
        return True

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


class TheFloor:
    """The floor as it is shipped, recording into the same list as the policy's engine."""

    def __init__(self, recorder: Any) -> None:
        self.enforcer = Embedded(Engine.from_text(FLOOR.read_text(), source="floor.thoth", recorder=recorder))


def tool(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties or {"path": {"type": "string"}, "text": {"type": "string"}}}
    return {"name": name, "description": description, "inputSchema": schema}


class World:
    """One run of the proxy in this process. The server answers lists by itself, and calls as `returns` says."""

    def __init__(
        self, folder: Path, policy: str, *, tools: list[dict[str, Any]], pins: PinPolicy, **settings: Any
    ) -> None:
        self.client, self.server, self.log, self.recorded = Side(), Side(), Written(), Recorded()
        self.tools = tools
        self.returns: Callable[[dict[str, Any]], Any] = lambda params: {"content": [{"type": "text", "text": "done"}]}
        self.server.react = self._serve
        self.relay = Relay(self.client, self.server, self.log, silence_s=300, start_s=60)
        self.engine = Engine.from_text(policy, recorder=self.recorded)
        self.enforcer: Any = Embedded(self.engine)
        self.pins = PinFile(folder / "pins.json")
        self.catalog = Catalog(self.relay, self.log, server="files", pins=self.pins, policy=pins)
        self.catalog.read_pins()
        self.session = Session()
        self.session.memory.tenant = "acme"
        fields = {**FIELDS, **settings.pop("fields", {})}
        self.settings = Settings(fields=fields, server="files", user_id="ann", **settings)
        floor = FloorCheck(TheFloor(self.recorded), self.log)
        self.calls = Calls(self.relay, self.catalog, floor, self.log, self.session, self.settings)
        self._numbers = 0

    def start(self) -> None:
        self.calls.open(self.enforcer)

    def _serve(self, message: dict[str, Any]) -> None:
        if message.get("method") == "tools/list":
            self.answer(message["id"], {"tools": self.tools})
        if message.get("method") == "tools/call":
            result = self.returns(message["params"])
            if result is not None:
                self.answer(message["id"], result)

    def answer(self, id: Any, result: Any) -> None:
        line = json.dumps({"jsonrpc": "2.0", "id": id, "result": result}).encode()
        asyncio.get_running_loop().call_soon(self.relay.from_server, line)

    def says(self, message: Any) -> None:
        """The client says something: a message, or the bytes of one."""
        self.relay.from_client(message if isinstance(message, bytes) else json.dumps(message).encode())

    def server_says(self, message: Any) -> None:
        self.relay.from_server(message if isinstance(message, bytes) else json.dumps(message).encode())

    def initialize(self, **capabilities: Any) -> None:
        self._numbers += 1
        params = {"protocolVersion": "2025-11-25", "capabilities": capabilities}
        self.says({"jsonrpc": "2.0", "id": self._numbers, "method": "initialize", "params": params})

    def request(self, name: str, args: Any, **params: Any) -> int:
        """The client calls a tool; return the request's id."""
        self._numbers += 1
        params = {"name": name, "arguments": args, **params}
        self.says({"jsonrpc": "2.0", "id": self._numbers, "method": "tools/call", "params": params})
        return self._numbers

    async def response(self, id: Any) -> dict[str, Any]:
        """Return what the client hears of a request, when it does."""
        for _ in range(2000):
            for message in self.client.messages:
                if message.get("id") == id and "method" not in message:
                    return message
            await asyncio.sleep(0)
        raise AssertionError(f"request {id} has no answer; the log says {self.log.lines}")

    async def call(self, name: str, args: Any, **params: Any) -> dict[str, Any]:
        """Call a tool and return its result."""
        answer = await self.response(self.request(name, args, **params))
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    @property
    def called(self) -> list[dict[str, Any]]:
        """The calls that reached the server."""
        heard = [message for message in self.server.messages if isinstance(message, dict)]
        return [message["params"] for message in heard if message.get("method") == "tools/call"]

    @property
    def endings(self) -> list[str]:
        return [outcome.ending.value for outcome in self.recorded.outcomes]


Scene = Callable[[World], Awaitable[None]]
Play = Callable[..., World]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a scene in a world of its own, and return that."""

    def run(
        scene: Scene, policy: str = PERMISSIVE, *, tools: Any = None, pins: PinPolicy = "first-use", **more: Any
    ) -> World:
        made: list[World] = []

        async def main() -> None:
            listed = [tool("read"), tool("write"), tool("send")] if tools is None else tools
            world = World(tmp_path, policy, tools=listed, pins=pins, **more)
            made.append(world)
            world.start()
            await scene(world)
            await world.calls.close()

        asyncio.run(main())
        return made[0]

    return run


# ---------------------------------------------------------------- the real thing


class Proxied:
    """`thoth run` in front of the scripted server, as a client holds it."""

    def __init__(self, folder: Path, command: list[str] | None, options: list[str], env: dict[str, str]) -> None:
        self.folder = folder
        behind = [] if command is None else ["--", *command]
        words = [sys.executable, "-m", "thoth.cli", "run", *options, *behind]
        environment = {
            **os.environ,
            "THOTH_HOME_DIR": str(folder / "home"),
            "XDG_STATE_HOME": str(folder / "state"),
            **env,
        }
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, env=environment
        )
        self.lines: Queue[bytes | None] = Queue()
        self.errors: list[bytes] = []
        self._threads = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)

    def says(self, message: Any) -> None:
        assert self.process.stdin is not None
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.process.stdin.write(data + b"\n")
        self.process.stdin.flush()

    def request(self, id: Any, method: str, **params: Any) -> dict[str, Any]:
        """Send a request and return its response; whatever else comes meanwhile is left out."""
        self.says({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        return self.response(id)

    def response(self, id: Any) -> dict[str, Any]:
        while True:
            line = self.line()
            assert line is not None, f"the proxy has ended: {self.said_on_stderr}"
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == id and "method" not in message:
                return message

    def line(self) -> bytes | None:
        try:
            return self.lines.get(timeout=PATIENCE_S)
        except Empty:
            raise AssertionError(f"nothing was said for {PATIENCE_S} s; {self.said_on_stderr}") from None

    def initialize(self) -> dict[str, Any]:
        client = {"name": "test", "version": "1"}
        answer = self.request(0, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
        self.says({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def call(self, id: Any, name: str, **args: Any) -> dict[str, Any]:
        answer = self.request(id, "tools/call", name=name, arguments=args)
        result: dict[str, Any] = answer["result"]
        return result

    def leave(self) -> int:
        """The client closes its end; return the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(PATIENCE_S)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        return code

    @property
    def said_on_stderr(self) -> str:
        return b"".join(self.errors).decode("utf-8", "replace")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.ended()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                pass


Start = Callable[..., Proxied]


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Start]:
    """Start `thoth run` in front of a server; `policy` is its text."""
    made: list[Proxied] = []

    def start(
        policy: str | None = PERMISSIVE,
        *options: str,
        command: list[str] | None = None,
        env: dict[str, str] | None = None,
    ) -> Proxied:
        file = tmp_path / "policy.thoth"
        if policy is not None:
            file.write_text(policy)
        words = None if "--upstream" in options else command or [sys.executable, str(SERVER)]
        decides = [] if "--api-url" in options else ["--policy", str(file)]
        one = Proxied(tmp_path, words, [*decides, "--server", "scripted", *options], env or {})
        made.append(one)
        return one

    yield start
    for one in made:
        one.close()


# ---------------------------------------------------------------- the real thing, in front of a server elsewhere


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    made = Web(tmp_path)
    yield made
    made.close()


@pytest.fixture
def in_front(web: Web, proxied: Start) -> Start:
    """Start `thoth run --upstream` in front of the web server."""

    def start(*options: str, trusted: bool = True, **env: str) -> Any:
        ca = ["--ca", str(web.cert)] if trusted else []
        return proxied(POLICY, "--upstream", web.url, *ca, *options, env=env)

    return start
