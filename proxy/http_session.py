"""What a server elsewhere and its client have agreed on, and every later request repeats in its headers.

In the handshake era that is a version, and a session where the server keeps one. A server that has forgotten the
session (HTTP 404) has not run the request that it was sent: `hello` is what begins a new one.
"""

from typing import Final

from .http_headers import Mirrored, mirrored_of, stateless_headers
from .log import Log
from .message import Message, loosely
from .posts import Post

SESSION_CHARS_MAX: Final = 1024
TOOLS_MAX: Final = 10_000
ACCEPT: Final = "application/json, text/event-stream"
SESSION: Final = "Mcp-Session-Id"


class HttpSession:
    """The session of one client; `hello` is the message that began it, as it came."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.id: str | None = None
        self.version: str | None = None
        self.hello: tuple[bytes, Message] | None = None
        self._mirrored: dict[str, Mirrored] = {}

    def begin(self, line: bytes, post: Post) -> None:
        """A client begins with `initialize`: nothing that was agreed before counts."""
        self.id = self.version = None
        self.hello = None if post.message is None else (line, post.message)

    def headers(self, post: Post) -> dict[str, str]:
        """Return the headers of one message."""
        headers = {"Content-Type": "application/json", "Accept": ACCEPT}
        if post.version is not None and post.message is not None:
            return {**headers, **stateless_headers(post.message, post.version, self._mirrored)}
        return headers if post.starts else {**headers, **self.own_headers()}

    def own_headers(self) -> dict[str, str]:
        """Return what every request of the handshake era has, once it is known."""
        known = {"MCP-Protocol-Version": self.version, SESSION: self.id}
        return {name: value for name, value in known.items() if value is not None}

    def keep_id(self, said: str | None) -> None:
        """Take the session's id from the answer to `initialize`."""
        if said and len(said) <= SESSION_CHARS_MAX and said.isascii() and said.isprintable() and " " not in said:
            self.id = said
        elif said:
            self._log.event("session_id_refused", chars=len(said))

    def learn(self, message: Message, post: Post) -> None:
        """Keep what later headers need: the version that was agreed, and which arguments a tool wants in headers."""
        if not (post.starts or post.lists_tools) or "result" not in message.fields:
            return
        if post.starts:
            self.version = agreed(message)
        result = loosely(message.fields["result"])
        tools = result.get("tools") if isinstance(result, dict) else None
        if post.lists_tools and isinstance(tools, list):
            for tool in tools[:TOOLS_MAX]:
                if isinstance(tool, dict) and isinstance(tool.get("name"), str) and len(self._mirrored) < TOOLS_MAX:
                    self._mirrored[tool["name"]] = mirrored_of(tool.get("inputSchema"))


def agreed(message: Message) -> str | None:
    """Return the version that an answer to `initialize` agrees to."""
    result = loosely(message.fields.get("result", b"null"))
    version = result.get("protocolVersion") if isinstance(result, dict) else None
    return version[:32] if isinstance(version, str) and version.isascii() and version.isprintable() else None
