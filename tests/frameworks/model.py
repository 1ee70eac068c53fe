"""A model on loopback, scripted: it calls one tool, reads what came of it, and is done.

It speaks what the vendors' libraries ask for: chat completions, and messages with or without a stream.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Model:
    """`script` is the call to make; `told` is what the model was given as results of it, `seen` every request."""

    def __init__(self) -> None:
        self.script: tuple[str, dict[str, Any]] = ("", {})
        self.told: list[str] = []
        self.seen: list[str] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
                model.seen.append(self.path)
                path = self.path.partition("?")[0]
                kind = "application/json"
                if path.endswith("/chat/completions"):
                    answer = json.dumps(model.completion(body)).encode()
                elif path.endswith("/messages"):
                    message = model.message(body)
                    kind = "text/event-stream" if body.get("stream") else kind
                    answer = stream_of(message) if body.get("stream") else json.dumps(message).encode()
                else:
                    answer = b'{"input_tokens": 1}'
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self) -> None:
                self.send_response(404)
                self.send_header("content-length", "0")
                self.end_headers()

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer as OpenAI's chat completions do."""
        last = body["messages"][-1]
        message: dict[str, Any] = {"role": "assistant", "content": "done"}
        reason = "stop"
        if last["role"] == "tool":
            content = last["content"]
            self.told.append(content if isinstance(content, str) else json.dumps(content))
        else:
            name, args = self.script
            function = {"name": name, "arguments": json.dumps(args)}
            message = {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
            }
            reason = "tool_calls"
        return {
            "id": "c", "object": "chat.completion", "created": 1, "model": "scripted",
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }  # fmt: skip

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer as Anthropic's messages do."""
        content = body["messages"][-1]["content"]
        results = [p for p in content if p.get("type") == "tool_result"] if isinstance(content, list) else []
        block: dict[str, Any] = {"type": "text", "text": "done"}
        reason = "end_turn"
        if results:
            for result in results:
                given = result.get("content", "")
                self.told.append(given if isinstance(given, str) else json.dumps(given))
        elif body.get("tools"):
            block = {"type": "tool_use", "id": "toolu_1", "name": self.script[0], "input": self.script[1]}
            reason = "tool_use"
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": [block],
            "stop_reason": reason, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
        }  # fmt: skip


def stream_of(message: dict[str, Any]) -> bytes:
    """A message as server-sent events."""
    (block,) = message["content"]
    tool = block["type"] == "tool_use"
    begun = {**block, "input": {}} if tool else {**block, "text": ""}
    delta = (
        {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        if tool
        else {"type": "text_delta", "text": block["text"]}
    )
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": begun},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
         "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]  # fmt: skip
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)
