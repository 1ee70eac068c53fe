"""`thoth approvals list`, `show`, `approve` and `deny`: answer calls that a running sidecar holds."""

import http.client
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from ..contract import OperationError
from .arguments import Format
from .printing import plain, print_json, say

KEY_VARIABLE = "THOTH_API_KEY"
TIMEOUT_S = 10.0

Url = Annotated[
    str, Parameter(help="where the sidecar speaks HTTP: an address, or unix:PATH; 127.0.0.1:8089 if unsaid")
]
KeyFile = Annotated[Path | None, Parameter(help=f"a file with your key; ${KEY_VARIABLE} if unsaid")]
Token = Annotated[str, Parameter(name="ID", help="as `thoth approvals list` shows it")]

HELP: Final = """\
Answer calls that wait for a person.

A running sidecar holds a call that its policy asks somebody about. Who answers is
whoever the key belongs to: a member of a name that was asked, never the agent that
asked, its user only where the policy says `ask user`.

For example:
  thoth approvals list
  thoth approvals show hold_4JpX0a
  thoth approvals approve hold_4JpX0a --comment "invoice checked"
  thoth approvals deny hold_4JpX0a --comment "not this vendor"

Commands:
  list      list the calls that wait, oldest first
  show      show one: who wants to do what, with which arguments
  approve   let it run
  deny      refuse it

Exit codes: 0 fine, 2 the sidecar does not answer, or not to this key.
"""

app = App(name="approvals", help=HELP)


@app.command(name="list", show=False)
def list_(*, at: Url = "127.0.0.1:8089", key_file: KeyFile = None, format: Format = "text") -> int:
    """List the calls that wait, oldest first.

    For example:
      THOTH_API_KEY=… thoth approvals list
      thoth approvals list --at unix:/run/thoth/http.sock --key-file ~/.thoth-key

    Exit codes: 0 listed, 2 the sidecar does not answer, or not to this key.
    """
    found = ask(at, key_file, "GET", "/v1/approvals")
    if format == "json":
        print_json(found)
        return 0
    for hold in found["data"]:
        names = sorted({name for _, asked, _ in hold["asks"] for name in asked})
        say(plain(f"{hold['id']}  {_time(hold['expires'])}  {hold['tool_name']}  asks {', '.join(names)}"))
    if not found["data"]:
        say("nothing waits")
    return 0


@app.command(show=False)
def show(token: Token, /, *, at: Url = "127.0.0.1:8089", key_file: KeyFile = None, format: Format = "text") -> int:
    """Show one call: who wants to do what, with which arguments as they are to run.

    For example:
      thoth approvals show hold_4Jp…

    Exit codes: 0 shown, 2 there is none, or the sidecar does not answer to this key.
    """
    hold = ask(at, key_file, "GET", f"/v1/approvals/{token}")
    if format == "json":
        print_json(hold)
    else:
        _print(hold)
    return 0


@app.command(show=False)
def approve(
    token: Token,
    /,
    *,
    comment: Annotated[str, Parameter(help="why; whoever waits reads it")] = "",
    at: Url = "127.0.0.1:8089",
    key_file: KeyFile = None,
    format: Format = "text",
) -> int:
    """Approve one call. Who approves is whoever the key belongs to.

    For example:
      thoth approvals approve hold_4Jp… --comment "invoice checked"

    Exit codes: 0 your answer is taken, 2 it is not: you were not asked, or it was answered before.
    """
    return _resolve(token, "approve", comment, at, key_file, format)


@app.command(show=False)
def deny(
    token: Token,
    /,
    *,
    comment: Annotated[str, Parameter(help="why; whoever waits reads it")] = "",
    at: Url = "127.0.0.1:8089",
    key_file: KeyFile = None,
    format: Format = "text",
) -> int:
    """Deny one call; it is over then, whoever else was asked.

    For example:
      thoth approvals deny hold_4Jp… --comment "not this vendor"

    Exit codes: 0 your answer is taken, 2 it is not: you were not asked, or it was answered before.
    """
    return _resolve(token, "deny", comment, at, key_file, format)


def _resolve(token: str, word: str, comment: str, at: str, key_file: Path | None, form: str) -> int:
    body = {"decision": word, "comment": comment}
    hold = ask(at, key_file, "POST", f"/v1/approvals/{token}/resolve", body)
    if form == "json":
        print_json(hold)
    else:
        say(plain(f"{hold['id']}: {hold['status']}"))
    return 0


def _print(hold: dict[str, Any]) -> None:
    say(plain(f"{hold['id']}: {hold['status']}, until {_time(hold['expires'])}"))
    say(plain(f"tool       {hold['tool_name']}"))
    for name, value in hold["tool_args"].items():
        say(plain(f"  {name} = {json.dumps(value)}"))
    for name in ("agent_id", "user_id", "tenant_id", "session_id"):
        say(plain(f"{name.removesuffix('_id'):10} {hold[name] or '-'}"))
    say(plain(f"rules      {', '.join(hold['rules']) or '-'}"))
    for source, names, quorum in hold["asks"]:
        say(plain(f"asks       {quorum} of {', '.join(names)} ({source})"))
    for _, name, principal, granted in hold["answers"]:
        say(plain(f"answered   {principal} as {name}: {'yes' if granted else 'no'}"))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def ask(at: str, key_file: Path | None, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Return what a sidecar answers to somebody with a key.

    Raises:
        OperationError: it does not answer, or refuses; with what it says.
    """
    key = key_file.read_text("utf-8").strip() if key_file is not None else os.environ.get(KEY_VARIABLE, "")
    if not key:
        raise OperationError(f"there is no key; put it into ${KEY_VARIABLE}, or name a file, `--key-file FILE`")
    if at.startswith("unix:"):
        connection: http.client.HTTPConnection = _UnixConnection(at.removeprefix("unix:"))
    else:
        connection = http.client.HTTPConnection(at.removeprefix("http://"), timeout=TIMEOUT_S)
    headers = {"x-api-key": key, "content-type": "application/json"}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise OperationError(f"no sidecar answers at `{at}`: {error}") from error
    finally:
        connection.close()
    if answer.status >= 400:
        raise OperationError(str(found.get("message", answer.reason)))
    return found
