"""`thoth override key`, `begin`, `list` and `end`: break-glass, by an operator's signature."""

import os
import time
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from ..contract import OperationError
from .approvals import KeyFile, Url, ask
from .arguments import SEVERAL, Format
from .printing import note, plain, print_json, say

MINUTE_S: Final = 60.0
Names = Annotated[list[str], Parameter(consume_multiple=SEVERAL, help="names or globs")]
Some = Annotated[list[str] | None, Parameter(consume_multiple=SEVERAL, help="names or globs; all if unsaid")]

HELP: Final = """\
Let calls through that the policy refuses, for a while: break-glass.

An operator signs which tools, for how long and why; the sidecar records it before
it counts, and each call that it lets through. It crosses rules, limits, modes and
the default; never what is not well-formed, does not fit its tool, cannot be
recorded, or a person has denied.

For example:
  thoth override key ann.pem
  thoth override begin --signing-key ann.pem --operator ann --tools deploy --minutes 30 --reason "incident 42"
  thoth override list
  thoth override end 3f2a9c01b7de4455

Commands:
  key     make an operator's key, and show its public half for the settings
  begin   sign an override, and have it count
  list    list those that count
  end     end one before its time

Exit codes: 0 fine, 2 the sidecar does not answer, or does not take it.
"""

app = App(name="override", help=HELP)


@app.command(show=False)
def key(file: Annotated[Path, Parameter(name="FILE", help="where the private key goes, for you alone")], /) -> int:
    """Make an operator's key, and show its public half.

    For example:
      thoth override key ann.pem

    Exit codes: 0 made, 2 the file is there already, or cannot be written.
    """
    import base64

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    made = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as private:
            private.write(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except OSError as error:
        raise OperationError(f"`{file}` cannot be made: {error.strerror or error}") from error
    public = base64.b64encode(made.public_key().public_bytes_raw()).decode()
    say(plain(f'public_key = "{public}"'))
    note("this line belongs under [operators.NAME] in the sidecar's settings")
    return 0


@app.command(show=False)
def begin(
    *,
    signing_key: Annotated[Path, Parameter(help="the operator's private key, as `thoth override key` made it")],
    operator: Annotated[str, Parameter(help="the operator's name in the settings")],
    reason: Annotated[str, Parameter(help="why; it is recorded")],
    tools: Names,
    minutes: Annotated[float, Parameter(help="how long it counts, at most 1,440")],
    agents: Some = None,
    tenants: Some = None,
    rules: Annotated[
        list[str] | None,
        Parameter(consume_multiple=SEVERAL, help="the rules that are crossed, these alone; all if unsaid"),
    ] = None,
    at: Url = "127.0.0.1:8089",
    key_file: KeyFile = None,
    format: Format = "text",
) -> int:
    """Sign an override, and have it count.

    For example:
      thoth override begin --signing-key ann.pem --operator ann --tools deploy --minutes 30 --reason "incident 42"

    Exit codes: 0 it counts, 2 the sidecar does not take it.
    """
    import msgspec
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from ..server.overrides import made

    try:
        private = load_pem_private_key(signing_key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise OperationError(f"`{signing_key}` is no private key: {error}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise OperationError(f"`{signing_key}` is no Ed25519 key; `thoth override key` makes one")
    named = {"agents": agents, "tenants": tenants, "rules": rules}
    scope = {name: tuple(names) for name, names in named.items() if names}
    signed = made(private, operator, reason, time.time(), minutes * MINUTE_S, tools, **scope)
    told = ask(at, key_file, "POST", "/v1/overrides", msgspec.to_builtins(signed))
    _say(told, "counts", format)
    return 0


@app.command(name="list", show=False)
def list_(*, at: Url = "127.0.0.1:8089", key_file: KeyFile = None, format: Format = "text") -> int:
    """List the overrides that count, the first to end first.

    For example:
      thoth override list --at unix:/run/thoth/http.sock

    Exit codes: 0 listed, 2 the sidecar does not answer, or not to this key.
    """
    found = ask(at, key_file, "GET", "/v1/overrides")
    if format == "json":
        print_json(found)
        return 0
    for one in found["data"]:
        _say(one, "counts", format)
    if not found["data"]:
        say("none counts")
    return 0


@app.command(show=False)
def end(
    id: Annotated[str, Parameter(name="ID", help="as `thoth override list` shows it")],
    /,
    *,
    at: Url = "127.0.0.1:8089",
    key_file: KeyFile = None,
    format: Format = "text",
) -> int:
    """End an override before its time; for good.

    For example:
      thoth override end 3f2a9c01b7de4455

    Exit codes: 0 it counts no longer, 2 there is none of this id.
    """
    _say(ask(at, key_file, "POST", f"/v1/overrides/{id}/end", {}), "ended", format)
    return 0


def _say(told: dict[str, Any], state: str, form: str) -> None:
    if form == "json":
        print_json(told)
        return
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(told["until"]))
    scope = f"{' '.join(told['tools'])} for {' '.join(told['agents'])}, rules {' '.join(told['rules'])}"
    say(plain(f"{told['id']}  {state}  until {until}  {told['operator']}  {scope}: {told['reason']}"))
