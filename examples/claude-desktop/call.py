"""A client in a few lines: starts the first server of a configuration as Claude Desktop would, and calls its tools.

`python call.py CONFIG FOLDER`
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def main(config: str, folder: str) -> None:
    (entry,) = json.loads(Path(config).read_text())["mcpServers"].values()
    files = Path(folder).resolve()
    (files / "passwords.txt").write_text("hunter2")
    server = subprocess.Popen(
        [entry["command"], *entry["args"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert server.stdin is not None
    assert server.stdout is not None

    def say(message: dict[str, Any]) -> None:
        server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        server.stdin.flush()

    def ask(id: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
        say({"id": id, "method": method, "params": params})
        for line in server.stdout:
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == id and "method" not in message:
                return message
        raise SystemExit("the server has ended; `thoth doctor` looks for the reason")

    about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "call.py", "version": "1"}}
    ask(0, "initialize", about)
    say({"method": "notifications/initialized"})
    calls = [
        ("write_file", {"path": f"{files}/notes.txt", "content": "call Ann on Monday, her number is 078-05-1120"}),
        ("read_text_file", {"path": f"{files}/notes.txt"}),
        ("read_text_file", {"path": f"{files}/passwords.txt"}),
        ("move_file", {"source": f"{files}/notes.txt", "destination": f"{files}/old.txt"}),
    ]
    for id, (tool, args) in enumerate(calls, 1):
        answer = ask(id, "tools/call", {"name": tool, "arguments": args})
        texts = [part["text"] for part in answer["result"]["content"]]
        print(f"{tool:16} {' '.join(texts)}".replace(f"{files.parent}/", ""))
    server.stdin.close()
    server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
