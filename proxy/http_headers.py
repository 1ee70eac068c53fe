"""The HTTP headers that a message has beside its body, in both eras of Streamable HTTP.

The stateless revision repeats in headers what routes a message: its version, its method, the name of what it is about,
and arguments that a tool's schema marks with `x-mcp-header`. Source: the transports page of revision 2026-07-28.
"""

import base64
import re
from typing import Any, Final, TypeAlias

from .message import Message, loosely

VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
MIRRORED_TYPES: Final = frozenset(("string", "integer", "boolean"))
DEPTH_MAX: Final = 16
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_PLAIN: Final = re.compile(r"[\x20-\x7E]*")
_CODED: Final = re.compile(r"=\?base64\?.*\?=")

Mirrored: TypeAlias = dict[tuple[str, ...], str]
"""Where an argument stands, and the header's name behind `Mcp-Param-`."""


def version_of(message: Message) -> str | None:
    """Return the version that a message of the stateless revision names; None for one of the handshake era."""
    meta = _params(message).get("_meta")
    version = meta.get(VERSION_KEY) if isinstance(meta, dict) else None
    return version if isinstance(version, str) and version else None


def stateless_headers(message: Message, version: str, mirrored: dict[str, Mirrored]) -> dict[str, str]:
    """Return the headers of one message of the stateless revision; `mirrored` is by tool."""
    headers = {"MCP-Protocol-Version": spelt(version)}
    if message.method is None:
        return headers
    headers["Mcp-Method"] = spelt(message.method)
    params = _params(message)
    name = params.get(NAMED.get(message.method, ""))
    if isinstance(name, str):
        headers["Mcp-Name"] = spelt(name)
        if message.method == "tools/call":
            for path, token in mirrored.get(name, {}).items():
                value = _at(params.get("arguments"), path)
                if value is not None:
                    headers[f"Mcp-Param-{token}"] = spelt(value)
    return headers


def mirrored_of(schema: object) -> Mirrored:
    """Return which arguments a tool's input schema wants in headers; a mark that means nothing is left out."""
    found: Mirrored = {}
    _collect(schema, (), found)
    return found


def spelt(value: str) -> str:
    """Return a text as a header's value: as it is where a header carries that, in base64 elsewhere."""
    if _PLAIN.fullmatch(value) and value == value.strip() and not _CODED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode('utf-8', 'replace')).decode()}?="


def _collect(schema: object, path: tuple[str, ...], found: Mirrored) -> None:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(path) >= DEPTH_MAX:
        return
    for name, inner in properties.items():
        if isinstance(inner, dict):
            token = inner.get("x-mcp-header")
            if isinstance(token, str) and _TOKEN.fullmatch(token) and inner.get("type") in MIRRORED_TYPES:
                found[*path, name] = token
            _collect(inner, (*path, name), found)


def _at(value: object, path: tuple[str, ...]) -> str | None:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _params(message: Message) -> dict[str, Any]:
    params = loosely(message.fields.get("params", b"{}"))
    return params if isinstance(params, dict) else {}
