"""Where a server elsewhere is, and the headers that it is given: checked before anything is sent.

Loads no HTTP client: a mistake in the settings is told at once.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "::1"))
OURS: Final = frozenset(
    (
        *("host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer"),
        *("accept", "accept-encoding", "last-event-id"),
    )
)
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_VALUE: Final = re.compile(r"[\x21-\x7E](?:[\x20-\x7E\t]*[\x21-\x7E])?")


class WrongAddress(Exception):
    """A setting that says where the server is, or what it is told; the text says what to write."""


def origin_of(url: str) -> str:
    """Return scheme, host and port of a server's URL, which may be logged; what is behind them may hold secrets.

    Raises:
        WrongAddress: it is no https URL, nor an http one of this very machine.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise WrongAddress("`--upstream` is a URL such as https://mcp.example/mcp") from None
    if parts.scheme not in ("https", "http") or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise WrongAddress("`--upstream` is a URL such as https://mcp.example/mcp")
    if "@" in parts.netloc:
        raise WrongAddress("`--upstream` holds a password, which every process list shows; write `--header-env`")
    if parts.fragment:
        raise WrongAddress("`--upstream` has no part behind `#`")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise WrongAddress(f"`{host}` is not this machine: what is said over http can be read; write https://")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}")


def headers_from(pairs: Sequence[str], env: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that `NAME=ENVVAR` settings mean.

    Raises:
        WrongAddress: a name is no header's, or one that the protocol sets, or its variable is not there. No value is
            ever in the text.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, variable = pair.partition("=")
        if not equals or not _TOKEN.fullmatch(name) or not variable.isidentifier():
            raise WrongAddress("`--header-env` is NAME=VARIABLE, e.g. Authorization=MCP_AUTHORIZATION")
        if name.lower() in OURS or name.lower().startswith("mcp-"):
            raise WrongAddress(f"`--header-env {name}=…`: the protocol sets this header itself")
        if name.lower() in (other.lower() for other in found):
            raise WrongAddress(f"`--header-env {name}=…` stands twice")
        value = env.get(variable)
        if value is None:
            raise WrongAddress(f"`--header-env {name}={variable}`: the environment has no `{variable}`")
        if not _VALUE.fullmatch(value):
            raise WrongAddress(f"`{variable}` in the environment holds no header's value: printable ASCII, not empty")
        found[name] = value
    return found
