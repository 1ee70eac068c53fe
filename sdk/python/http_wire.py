"""HTTP/1.1 as a client needs it, without a socket: the bytes of a request, and a reader of responses.

Strict: what is not plainly a response is an error, for an answer that is guessed at must never let a call through.
"""

from __future__ import annotations

from typing import Final, NamedTuple

HEAD_BYTES_MAX: Final = 65_536
BODY_BYTES_MAX: Final = 8 << 20


class Malformed(Exception):
    """Bytes that are no response."""


class Response(NamedTuple):
    """A whole response; `keep` says whether the connection can take another request."""

    status: int
    headers: dict[str, str]
    body: bytes
    keep: bool


def request_bytes(method: str, path: str, host: str, headers: dict[str, str], body: bytes | None) -> bytes:
    """Return a request. Header values hold no line breaks: whoever makes them sees to it."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + (body or b"")


class ResponseReader:
    """Takes bytes as they come; `feed` returns the response once it is whole."""

    __slots__ = ("_data", "_head")

    def __init__(self) -> None:
        self._data = bytearray()
        self._head: tuple[int, dict[str, str], int] | None = None

    def feed(self, data: bytes) -> Response | None:
        """Take more bytes; b"" says that the connection has ended.

        Raises:
            Malformed: this is no response, or only a part of one.
        """
        if not data:
            raise Malformed("the connection ended before the answer did")
        self._data += data
        if self._head is None:
            self._head = self._read_head()
            if self._head is None:
                return None
        status, headers, start = self._head
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body = _chunked(self._data, start)
        elif status in (204, 304):
            body = b""
        else:
            length = headers.get("content-length", "")
            if not length.isascii() or not length.isdigit() or int(length) > BODY_BYTES_MAX:
                raise Malformed("no usable content-length")
            whole = len(self._data) >= start + int(length)
            body = bytes(self._data[start : start + int(length)]) if whole else None
        if body is None:
            if len(self._data) > HEAD_BYTES_MAX + BODY_BYTES_MAX:
                raise Malformed("too long")
            return None
        return Response(status, headers, body, headers.get("connection", "").lower() != "close")

    def _read_head(self) -> tuple[int, dict[str, str], int] | None:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            if len(self._data) > HEAD_BYTES_MAX:
                raise Malformed("its head is too long")
            return None
        first, *lines = self._data[:end].decode("latin-1").split("\r\n")
        parts = first.split(" ", 2)
        if (
            len(parts) < 2
            or parts[0] not in ("HTTP/1.1", "HTTP/1.0")
            or not (parts[1].isdigit() and len(parts[1]) == 3)
        ):
            raise Malformed("no HTTP/1.1 status line")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise Malformed("a broken header line")
            name = name.lower()
            if name in ("content-length", "transfer-encoding") and headers.get(name, value.strip()) != value.strip():
                raise Malformed(f"two of {name}")
            headers[name] = value.strip()
        if "content-length" in headers and "transfer-encoding" in headers:
            raise Malformed("both a content-length and a transfer-encoding")
        if parts[0] == "HTTP/1.0":
            headers.setdefault("connection", "close")
        return int(parts[1]), headers, end + 4


def _chunked(data: bytearray, at: int) -> bytes | None:
    body = bytearray()
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        size = bytes(data[at:end]).split(b";")[0].strip()
        try:
            length = int(size, 16)
        except ValueError:
            raise Malformed("a broken chunk") from None
        if length < 0 or len(body) + length > BODY_BYTES_MAX:
            raise Malformed("a chunk is too long")
        start = end + 2
        if length == 0:
            tail = data.find(b"\r\n\r\n", end)
            return bytes(body) if tail >= 0 else None
        if len(data) < start + length + 2:
            return None
        if data[start + length : start + length + 2] != b"\r\n":
            raise Malformed("a broken chunk")
        body += data[start : start + length]
        at = start + length + 2
