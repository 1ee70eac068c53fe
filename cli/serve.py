"""`thoth serve`: the decision sidecar, in the foreground, until a signal ends it."""

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..contract import OperationError
from .arguments import SEVERAL, Folders


def serve(
    *,
    config: Annotated[Path | None, Parameter(help="a TOML file with any of the options below")] = None,
    policy: Annotated[
        list[str] | None,
        Parameter(consume_multiple=SEVERAL, help="policy files: one root, and modules that it uses"),
    ] = None,
    tenants: Annotated[
        str | None, Parameter(help="a folder of tenants, DIR/<tenant>/policy.thoth, in place of one policy")
    ] = None,
    path: Folders = None,
    learned: Annotated[str | None, Parameter(help="recorded behaviour, for `in baseline`")] = None,
    evidence: Annotated[str | None, Parameter(help="the evidence log; `thoth evidence init` makes one")] = None,
    recording: Annotated[
        Literal["async", "sync", "none"] | None,
        Parameter(help="sync: answer when the record is on disk; async, the default: 5 ms before; none: no record"),
    ] = None,
    socket: Annotated[
        str | None, Parameter(help="where frames are taken; $XDG_RUNTIME_DIR/thoth/thoth.sock if unsaid")
    ] = None,
    http: Annotated[str | None, Parameter(help="an address for HTTP, 127.0.0.1:8089 say; none if unsaid")] = None,
    tls_cert: Annotated[
        str | None, Parameter(help="a certificate with its chain (PEM); other addresses than loopback need one")
    ] = None,
    tls_key: Annotated[str | None, Parameter(help="the certificate's key (PEM)")] = None,
    http_socket: Annotated[str | None, Parameter(help="a Unix socket for HTTP; none if unsaid")] = None,
    state: Annotated[str | None, Parameter(help="the folder of held calls and API keys")] = None,
    uids: Annotated[
        list[int] | None, Parameter(consume_multiple=SEVERAL, help="users who may connect; your own if unsaid")
    ] = None,
    sessions_back_s: Annotated[
        float | None, Parameter(help="how far back sessions are taken from the evidence, in seconds; a day if unsaid")
    ] = None,
    hand_over: Annotated[
        bool | None,
        Parameter(negative="--no-hand-over", help="leave what sessions were told to the next process (the default)"),
    ] = None,
    session_idle_s: Annotated[
        float | None, Parameter(help="after how long an idle session is forgotten, in seconds; a day if unsaid")
    ] = None,
    workers: Annotated[int | None, Parameter(help="how many processes decide; 1 if unsaid")] = None,
    watch: Annotated[
        bool | None, Parameter(negative="--no-watch", help="read a changed policy again (the default)")
    ] = None,
    drain_s: Annotated[float | None, Parameter(help="how long to wait for answers at the end, in seconds")] = None,
    log: Annotated[Literal["json", "text"] | None, Parameter(help="how log lines look, on stderr")] = None,
) -> int:
    """Answer "may this call run?" for the agents of this machine.

    Agents ask over a Unix socket that only its owner can reach. Each decision is
    recorded in the evidence log before it is answered; a call that needs a person
    is held. SIGTERM ends it: what was read is answered first. SIGHUP reads the
    policy again, and so does a change of its file; one with mistakes or a failing
    test is not taken.

    Every option may stand in a TOML file, under its own name, or in the environment,
    as THOTH_POLICY and so on. The command line counts most, the file least. Who
    stands behind an approver's name can only be said in the file:

      [approvers.finance-leads]
      members = ["ann@acme.com", "bob@acme.com"]

    For example:
      thoth serve --policy policy.thoth --evidence var/evidence --state var/state
      thoth serve --config /etc/thoth/thoth.toml
      thoth serve --policy policy.thoth --recording none --socket /tmp/try/thoth.sock

    Exit codes: 0 ended by a signal, 1 mistakes in the policy, 2 wrong usage, or
    something that cannot be opened.
    """
    try:
        from ..server import read_settings
        from ..server.logs import log_to_stderr
        from ..server.run import run
    except ModuleNotFoundError as error:
        raise OperationError(f"`{error.name}` is missing; write `pip install 'thoth-runtime[server]'`") from error
    given = {
        "policy": policy,
        "tenants": tenants,
        "path": None if path is None else [str(folder) for folder in path],
        "learned": learned,
        "evidence": evidence,
        "recording": recording,
        "socket": socket,
        "http": http,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "http_socket": http_socket,
        "state": state,
        "uids": uids,
        "sessions_back_s": sessions_back_s,
        "hand_over": hand_over,
        "session_idle_s": session_idle_s,
        "workers": workers,
        "watch": watch,
        "drain_s": drain_s,
        "log": log,
    }
    settings = read_settings(config, os.environ, given)
    log_to_stderr(settings.log)
    run(settings)
    return 0
