"""The official reference servers, byte by byte: through the proxy each answers as it does without.

`make mcp-servers` installs them and runs this.
"""

import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).resolve().parents[2]
SERVERS = HOUSE / ".venvs" / "mcp-servers" / "bin"
NODE = HOUSE / ".venvs" / "mcp-node" / "node_modules" / "@modelcontextprotocol"
pytestmark = pytest.mark.skipif(not SERVERS.exists(), reason="`make mcp-servers` installs the reference servers")
PATIENCE_S = 60
GRACE_S = 10
THOUGHT = {"thought": "so", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1}
ENTITY = {"entities": [{"name": "Ann", "entityType": "person", "observations": ["likes cats"]}]}


def node(server: str) -> list[str]:
    return ["node", str(NODE / f"server-{server}" / "dist" / "index.js")]


class Conversation:
    """A server on pipes, spoken to in plain lines."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, cwd=cwd
        )
        self._watch = threading.Timer(PATIENCE_S, self.process.kill)
        self._watch.start()

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):  # a server with timers of its own goes on when nobody speaks to it
            self.process.wait(GRACE_S)
        self.process.kill()
        self.process.wait()
        self._watch.cancel()
        self._watch.join()
        self.process.stdout.close()

    def says(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def hears(self, id: int) -> bytes:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("id") == id and "method" not in message:
                return line
            if "method" in message and "id" in message:
                self.says({"id": message["id"], "result": {"roots": []}})
        raise AssertionError("the server ended")

    def asks(self, id: int, method: str, **params: Any) -> bytes:
        self.says({"id": id, "method": method, "params": params})
        return self.hears(id)


def everything_said(
    command: list[str], env: dict[str, str], cwd: Path, calls: list[tuple[str, Any]]
) -> dict[str, bytes]:
    """Return every answer of a server: to the handshake, to a list, and to a call of each tool that it lists."""
    with Conversation(command, env, cwd) as server:
        client = {"name": "t", "version": "1"}
        said = {
            "initialize": server.asks(0, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
        }
        server.says({"method": "notifications/initialized"})
        said["tools/list"] = server.asks(1, "tools/list")
        called = {name for name, _ in calls}
        listed = [tool["name"] for tool in json.loads(said["tools/list"])["result"]["tools"]]
        for id, (name, args) in enumerate([*calls, *((name, {}) for name in listed if name not in called)], 2):
            said[f"{name} {json.dumps(args)}"] = server.asks(id, "tools/call", name=name, arguments=args)
    return said


@pytest.fixture
def page() -> Iterator[str]:
    """The address of a page on loopback."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path != "/robots.txt"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html><body><h1>Cats</h1><p>They sleep.</p></body></html>" if found else b"")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/cats"
        server.shutdown()
        thread.join()


def the_calls(server: str, folder: Path, page: str) -> tuple[list[str], list[tuple[str, Any]]]:
    file = str(folder / "a.txt")
    match server:
        case "filesystem":
            return [*node(server), str(folder)], [
                ("write_file", {"path": file, "content": "cats \u2028 and dogs"}),
                ("read_text_file", {"path": file}),
                ("read_media_file", {"path": file}),
                ("edit_file", {"path": file, "edits": [{"oldText": "cats", "newText": "mice"}]}),
                ("list_directory", {"path": str(folder)}),
                ("directory_tree", {"path": str(folder)}),
                ("search_files", {"path": str(folder), "pattern": "*.txt"}),
                ("create_directory", {"path": str(folder / "b")}),
                ("move_file", {"source": file, "destination": str(folder / "b" / "c.txt")}),
                ("read_text_file", {"path": "/etc/passwd"}),
            ]
        case "memory":
            return node(server), [
                ("create_entities", ENTITY),
                ("search_nodes", {"query": "cats"}),
                ("open_nodes", {"names": ["Ann"]}),
            ]
        case "sequential-thinking":
            return node("sequential-thinking"), [("sequentialthinking", THOUGHT)]
        case "everything":
            return node(server), [
                ("echo", {"message": "grüße"}),
                ("get-sum", {"a": 1, "b": 2.5}),
                ("get-structured-content", {"location": "New York"}),
                ("get-annotated-message", {"messageType": "error", "includeImage": True}),
                ("get-resource-reference", {"resourceType": "Text", "resourceId": 1}),
                ("trigger-long-running-operation", {"duration": 0.1, "steps": 2}),
            ]
        case "git":
            subprocess.run(["git", "init", "-q", str(folder)], check=True)
            return [str(SERVERS / "mcp-server-git"), "--repository", str(folder)], [
                ("git_status", {"repo_path": str(folder)}),
                ("git_log", {"repo_path": str(folder)}),
                ("git_diff_unstaged", {"repo_path": str(folder)}),
            ]
        case "time":
            return [str(SERVERS / "mcp-server-time"), "--local-timezone", "UTC"], [
                ("get_current_time", {"timezone": "UTC"}),
                ("convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}),
            ]
        case _:
            return [str(SERVERS / "mcp-server-fetch")], [
                ("fetch", {"url": page}),
                ("fetch", {"url": page, "raw": True}),
            ]


CHANGING = re.compile(
    rb"\d{4}-\d\d-\d\dT[\d:.+Z]+|\d\d?:\d\d:\d\d(?: [AP]M)?|PID: \d+|\d+\.\d+ ?ms|\w{3} \w{3} \d\d \d{4}"
)
ALL = ["filesystem", "memory", "sequential-thinking", "everything", "git", "time", "fetch"]


@pytest.mark.parametrize("server", ALL)
def test_a_reference_server_answers_the_same_through_the_proxy(
    between: Any, tmp_path: Path, page: str, server: str
) -> None:
    """Every tool is listed and called; only times and folders of the two runs differ."""
    said = []
    for way in ("direct", "through"):
        folder = tmp_path / way
        folder.mkdir()
        command, calls = the_calls(server, folder, page)
        env = {**between.env, "MEMORY_FILE_PATH": str(folder / "memory.jsonl"), "HOME": str(tmp_path), "TZ": "UTC"}
        hidden = ("GIT_", "npm_") if way == "through" else ("GIT_", "npm_", "THOTH_")  # THOTH_ is hidden by the proxy
        env = {name: value for name, value in env.items() if not name.startswith(hidden)}
        words = between.proxied(command) if way == "through" else command
        answers = everything_said(words, env, folder, calls)
        place = str(folder).encode()
        answers = {name.replace(str(folder), "~"): line.replace(place, b"~") for name, line in answers.items()}
        said.append({name: CHANGING.sub(b"~", line) for name, line in answers.items()})
    direct, through = said
    assert through == direct
    assert len(direct) > 2


def test_the_example_for_claude_desktop_prints_what_its_page_shows(between: Any, tmp_path: Path) -> None:
    """Its last three commands, with the server that is installed here in place of the one that npx would fetch."""
    example = HOUSE / "examples" / "claude-desktop"
    (tmp_path / "files").mkdir()
    shutil.copy(example / "policy.thoth", tmp_path)
    config = json.loads((example / "claude_desktop_config.json").read_text())
    config["mcpServers"]["filesystem"] |= {"command": "node", "args": [*node("filesystem")[1:], "files"]}
    (tmp_path / "claude_desktop_config.json").write_text(json.dumps(config, indent=2) + "\n")

    def run(*words: str) -> str:
        done = subprocess.run(
            words, cwd=tmp_path, env=between.env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    thoth = (sys.executable, "-m", "thoth.cli")
    run(*thoth, "test", "policy.thoth")
    name = "claude_desktop_config.json"
    run(*thoth, "wrap-config", "--policy", "policy.thoth", "--output", name, name)
    page = (example / "README.md").read_text()
    (shown,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert run(sys.executable, str(example / "call.py"), name, "files") == shown
