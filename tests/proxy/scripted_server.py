"""An MCP server without a library that does what its tools' names say: answers, hangs, crashes, floods, babbles."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

TOOLS = ("echo", "crash", "hang", "flood", "babble", "huge", "fail", "orphan", "pid", "torn", "kill")


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def result(id: Any, text: str) -> None:
    say({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}})


def call(id: Any, name: str, args: dict[str, Any]) -> None:
    match name:
        case "echo":
            result(id, args.get("text", ""))
        case "pid":
            result(id, str(os.getpid()))
        case "fail":
            content = [{"type": "text", "text": "it went wrong"}]
            say({"jsonrpc": "2.0", "id": id, "result": {"content": content, "isError": True}})
        case "crash":
            os._exit(3)
        case "hang":
            pass
        case "flood":
            for _ in range(2000):
                sys.stderr.write("x" * 1000 + "\n")
            sys.stderr.flush()
            result(id, "flooded")
        case "babble":
            sys.stdout.write('hello\n{"level": "info"}\n\x00\n[]\n{"jsonrpc": "2.0"\n')
            sys.stdout.flush()
            result(id, "babbled")
        case "huge":
            result(id, "h" * int(args["bytes"]))
        case "torn":
            sys.stdout.write(f'{{"jsonrpc": "2.0", "id": {json.dumps(id)}, "res')
            sys.stdout.flush()
            os._exit(0)
        case "kill":
            os.kill(os.getppid(), signal.SIGKILL)
        case "orphan":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            result(id, str(child.pid))


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        id, method, params = message.get("id"), message.get("method"), message.get("params") or {}
        if method == "initialize":
            if "--slow" in sys.argv:
                time.sleep(600)
            answer = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}}
            say({"jsonrpc": "2.0", "id": id, "result": {**answer, "serverInfo": {"name": "scripted", "version": "1"}}})
        elif method == "tools/list":
            schema = {"type": "object", "properties": {"text": {"type": "string"}, "bytes": {"type": "integer"}}}
            tools = [{"name": name, "description": name, "inputSchema": schema} for name in TOOLS]
            say({"jsonrpc": "2.0", "id": id, "result": {"tools": tools}})
        elif method == "tools/call":
            call(id, params["name"], params.get("arguments") or {})
        elif id is not None:
            say({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": f"no method {method}"}})


if __name__ == "__main__":
    main()
