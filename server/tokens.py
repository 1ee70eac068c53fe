"""Tokens of holds: nobody can guess one, and whose worker keeps the hold can be read in it."""

import secrets
from typing import Final

import xxhash

from ..contract import Request

TOKEN_BYTES: Final = 24
TOKEN_MARK: Final = "hold_"
ROUTE_CHARS: Final = 8
ROUTES: Final = 1 << 32


def route_of(text: str) -> int:
    """Return 32 bits that say, by what remains when they are divided by the number of workers, whose something is."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) % ROUTES


def token_for(request: Request, here: int = 0) -> str:
    """Return a new token for a hold, in which its route can be read; `here` is that of a call without a session."""
    session = request.session_id
    route = route_of(session) if isinstance(session, str) and session else here
    return f"{TOKEN_MARK}{route:0{ROUTE_CHARS}x}.{secrets.token_urlsafe(TOKEN_BYTES)}"


def route_in(token: str) -> int | None:
    """Return the route in a token of a hold; None where there is none."""
    text = token.removeprefix(TOKEN_MARK)[: ROUTE_CHARS + 1]
    if not token.startswith(TOKEN_MARK) or len(text) != ROUTE_CHARS + 1 or text[-1] != ".":
        return None
    try:
        return int(text[:-1], 16)
    except ValueError:
        return None
