"""`thoth keys create`, `list` and `revoke`: who may ask a sidecar over HTTP, and who may approve."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import App, Parameter

from ..contract import OperationError
from .arguments import SEVERAL, Format
from .printing import note, plain, print_json, say

if TYPE_CHECKING:
    from ..server.keys import Keys

State = Annotated[Path, Parameter(help="the folder that `thoth serve --state` names")]
Prefix = Annotated[str, Parameter(name="PREFIX", help="as `thoth keys list` shows it")]
DAY_S = 86_400.0

HELP: Final = """\
Keys for the sidecar's HTTP door: make, list and revoke them.

A key says who speaks, for which tenant and agent, what it may do and until when.
It is shown once, when it is made; only its SHA-256 is kept.

For example:
  thoth keys create --state var/state --principal support-bot --permissions execute
  thoth keys list --state var/state
  thoth keys revoke 3f2a9c01b7de --state var/state

Commands:
  create   make a key and show it, this once
  list     list the keys, never the keys themselves
  revoke   revoke a key for good

Exit codes: 0 fine, 2 wrong usage, or a folder that cannot be read or written.
"""

app = App(name="keys", help=HELP)


def _keys(state: Path) -> "Keys":
    from ..server.keys import Keys
    from ..server.store import make_state

    return Keys(make_state(state) / "keys.db")


@app.command(show=False)
def create(
    *,
    state: State,
    principal: Annotated[str, Parameter(help="who speaks with it: a person who approves, or an agent's name")],
    permissions: Annotated[
        list[Literal["read", "write", "execute"]],
        Parameter(consume_multiple=SEVERAL, help="execute: ask and wait; read: see holds; write: approve, reload"),
    ],
    tenant: Annotated[str | None, Parameter(help="the only tenant it is for; any if unsaid")] = None,
    agent: Annotated[str | None, Parameter(help="the only agent it is for; any if unsaid")] = None,
    days: Annotated[float | None, Parameter(help="how long it counts; for ever if unsaid")] = None,
    format: Format = "text",
) -> int:
    """Make a key and show it, this once.

    Only its SHA-256 is kept. A running sidecar takes it at once.

    For example:
      thoth keys create --state var/state --principal support-bot --permissions execute --tenant acme
      thoth keys create --state var/state --principal ann@acme.com --permissions read write --days 90

    Exit codes: 0 made, 2 the folder cannot be written.
    """
    if not principal:
        raise OperationError("`--principal` is empty; name who speaks with the key")
    keys = _keys(state)
    now = time.time()
    expires = None if days is None else now + days * DAY_S
    text, key = keys.create(principal, permissions, now, tenant=tenant, agent=agent, expires=expires)
    keys.close()
    if format == "json":
        print_json({"key": text, "prefix": key.prefix, "principal": principal, "permissions": sorted(key.permissions)})
    else:
        say(text)
        note(f"`{key.prefix}` names it from now on; the key itself is shown this once")
    return 0


@app.command(name="list", show=False)
def list_(*, state: State, format: Format = "text") -> int:
    """List the keys, oldest first; never the keys themselves.

    For example:
      thoth keys list --state var/state

    Exit codes: 0 listed, 2 the folder cannot be read.
    """
    keys = _keys(state)
    now = time.time()
    if format == "json":
        rows = [
            {
                "prefix": key.prefix,
                "principal": key.principal,
                "tenant": key.tenant,
                "agent": key.agent,
                "permissions": sorted(key.permissions),
                "created": key.created,
                "expires": key.expires,
                "revoked": key.revoked,
            }
            for key in keys.all()
        ]
        print_json({"data": rows, "total": len(rows)})
    else:
        for key in keys.all():
            state_of = "counts" if key.valid(now) else "revoked" if key.revoked is not None else "over"
            whose = " ".join(filter(None, (key.tenant and f"tenant {key.tenant}", key.agent and f"agent {key.agent}")))
            words = f"{key.prefix}  {state_of:7}  {','.join(sorted(key.permissions)):18}  {key.principal}"
            say(plain(f"{words}  {whose}".rstrip()))
    keys.close()
    return 0


@app.command(show=False)
def revoke(prefix: Prefix, /, *, state: State) -> int:
    """Revoke a key for good; a running sidecar refuses it within a second.

    For example:
      thoth keys revoke 3f2a9c01b7de --state var/state

    Exit codes: 0 revoked, 2 there is no such key that counts.
    """
    keys = _keys(state)
    found = keys.revoke(prefix, time.time())
    keys.close()
    if not found:
        raise OperationError(f"there is no key `{prefix}` that was not revoked already; `thoth keys list` shows them")
    say(f"Revoked {plain(prefix)}")
    return 0
