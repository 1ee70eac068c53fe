"""What a server elsewhere says when it does not take a request, put into words that say what to do.

`WWW-Authenticate` names what it wants (RFC 9110, section 11.6.1; bearer tokens: RFC 6750, section 3). Only short plain
words of it are told, never an address: it is the server's text, and the agent reads it.
"""

import re
from collections.abc import Mapping
from typing import Final

SCHEME: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]{0,20})(?:\s|,|$)")
PARAMETER: Final = re.compile(r'\b(error|scope)\s*=\s*(?:"([^"\\]{0,200})"|([\w.:-]{1,200}))', re.ASCII | re.IGNORECASE)
PLAIN: Final = re.compile(r"[\w.:/ -]{1,200}", re.ASCII)
HOW: Final = "put it into an environment variable and write `--header-env Authorization=VARIABLE`"


def refused(origin: str, status: int, headers: Mapping[str, str], *, identified: bool) -> str:
    """Return why an answer with this status and no message is none; `identified`: a token was sent with it."""
    if status not in (401, 403):
        return f"the server at {origin} answered with HTTP {status} and no message"
    said = headers.get("www-authenticate", "")
    scheme = SCHEME.match(said)
    name = scheme[1].capitalize() if scheme else "Bearer"
    found = {one[1].lower(): one[2] or one[3] or "" for one in PARAMETER.finditer(said)}
    error, scope = (found.get(key, "") if PLAIN.fullmatch(found.get(key, "")) else "" for key in ("error", "scope"))
    if not identified:
        what = f"`{name} …`" if name != "Bearer" else "`Bearer TOKEN`"
        more = f", with the scope `{scope}`" if scope else ""
        return (
            f"the server at {origin} wants to know who asks (HTTP {status}). It takes a header `Authorization: "
            f"{what[1:]}{more}: get a token from whoever runs it, {HOW}"
        )
    why = f", `{error}`" if error else ""
    more = f"; it wants the scope `{scope}`" if scope else ""
    return (
        f"the server at {origin} does not take the token in `Authorization` (HTTP {status}{why}){more}: it may be "
        "expired, or meant for something else; get another one"
    )
