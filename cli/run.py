"""`thoth run`: an MCP server behind the enforcement point."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from ..contract import MODE_NAMES, OperationError
from .beginning import begin
from .home import PINS, home

MODES: Final = ("observe", "progressive", "step_up", "block", "shadow")


def run(
    *command: Annotated[
        str,
        Parameter(name="COMMAND", allow_leading_hyphen=True, help="the server's program and its arguments, behind --"),
    ],
    policy: Annotated[Path | None, Parameter(help="the policy that decides, in this process; or THOTH_POLICY")] = None,
    api_url: Annotated[
        str | None, Parameter(help="the enforcer that decides: unix:/path/to/thoth.sock or https://…; or THOTH_API_URL")
    ] = None,
    api_key: Annotated[
        str | None, Parameter(help="the key for it; better THOTH_API_KEY, which no process list shows")
    ] = None,
    agent_id: Annotated[
        str | None, Parameter(help="which agent calls; the server's name if unsaid, or THOTH_AGENT_ID")
    ] = None,
    tenant_id: Annotated[str | None, Parameter(help="whose agent it is; `local` if unsaid, or THOTH_TENANT_ID")] = None,
    user_id: Annotated[str | None, Parameter(help="who uses it; your login name if unsaid, or THOTH_USER_ID")] = None,
    environment: Annotated[str | None, Parameter(help="prod if unsaid, or THOTH_ENVIRONMENT")] = None,
    enforcement_mode: Annotated[
        Literal["observe", "progressive", "step_up", "block", "shadow"] | None,
        Parameter(help="block if unsaid; the policy says how much a caller may choose"),
    ] = None,
    server: Annotated[
        str | None, Parameter(help="the server's name in policies and pins; its program's if unsaid")
    ] = None,
    intent: Annotated[str | None, Parameter(help="what the session is for, for `tool in intent`")] = None,
    purpose: Annotated[str | None, Parameter(help="the purpose, for policies that ask for it")] = None,
    session: Annotated[str | None, Parameter(help="go on with this session; a new one if unsaid")] = None,
    evidence: Annotated[
        str | None, Parameter(help="the folder of the evidence log, made if need be; `off` keeps none")
    ] = None,
    on_hold: Annotated[
        Literal["wait", "pending"],
        Parameter(help="while a call waits for a person: let the client wait (the default), or tell it so at once"),
    ] = "wait",
    pins: Annotated[
        Literal["first-use", "required", "off"],
        Parameter(
            help="tools of a server never seen before: pin them as they are (the default), stop them, or pin none"
        ),
    ] = "first-use",
    silence: Annotated[float, Parameter(help="seconds without a sign of life before a call is given up")] = 300.0,
) -> int:
    """Put the enforcement point in front of an MCP server, over stdio.

    Each tool call is decided before the server hears of it, and recorded: it
    passes, passes with changed arguments, waits for a person, or is answered with
    why not and what to do instead. Everything else passes as it came. Log lines
    go to stderr. docs/mcp.md says what is governed, and what happens when
    something fails.

    For example:
      thoth run --policy policy.thoth -- npx -y @modelcontextprotocol/server-filesystem ~/Documents
      thoth run --api-url unix:/run/thoth/thoth.sock --agent-id desk -- my-server

    `thoth wrap-config` writes such a line for every server of a client.

    Exit codes: 0 the client has ended, 2 wrong usage, 127 the server cannot be
    started; where the server ends by itself, its own.
    """
    if not command:
        raise OperationError("no server is named; write `thoth run --policy policy.thoth -- COMMAND ARGS…`")
    from ..proxy.log import Log

    log = Log()
    name = server or Path(command[0]).name
    said = os.environ.get
    mode = MODE_NAMES.get((enforcement_mode or said("THOTH_ENFORCEMENT_MODE") or "block").strip().lower())
    if mode is None:
        raise OperationError(f"THOTH_ENFORCEMENT_MODE is one of {', '.join(MODES)}")
    fields: dict[str, Any] = {
        "agent_id": agent_id or said("THOTH_AGENT_ID") or name,
        "tenant_id": tenant_id or said("THOTH_TENANT_ID") or "local",
        "user_id": user_id or said("THOTH_USER_ID") or login_name(),
        "environment": environment or said("THOTH_ENVIRONMENT") or said("THOTH_ENV") or "prod",
        "enforcement_mode": str(mode),
        "session_intent": intent or said("THOTH_SESSION_INTENT"),
        "purpose": purpose or said("THOTH_PURPOSE"),
    }
    fields = {key: value for key, value in fields.items() if value is not None}
    return _serve(command, fields, name, log, policy, api_url, api_key, evidence, on_hold, pins, silence, session)


def _serve(
    command: Sequence[str],
    fields: dict[str, Any],
    name: str,
    log: Any,
    policy: Path | None,
    api_url: str | None,
    api_key: str | None,
    evidence: str | None,
    on_hold: Literal["wait", "pending"],
    pins: Literal["first-use", "required", "off"],
    silence: float,
    session: str | None,
) -> int:
    from ..config import EMBEDDED, ThothConfig
    from ..proxy.child import Child
    from ..proxy.lineage import ancestors, facts_of, intents_of, standing
    from ..proxy.process import CannotStart
    from ..proxy.serve import Run, refuse_all
    from ..proxy.settings import Settings
    from ..violation import ConfigurationError
    from .authority import SdkAuthority

    process = begin(command)
    if isinstance(process, CannotStart):
        return refuse_all(str(process), log)
    lineage = ancestors()
    fields["metadata"] = {"cwd": os.getcwd(), "process_lineage": facts_of(lineage, process.program)}  # noqa: PTH109
    try:
        config = ThothConfig(
            agent_id=fields["agent_id"],
            approved_scope=(),
            tenant_id=fields["tenant_id"],
            user_id=fields["user_id"],
            enforcement=fields["enforcement_mode"],
            environment=fields["environment"],
            api_url=api_url,
            api_key=api_key or _key_of_file(),
            policy=policy,
            evidence=evidence,
        )
        where = config.where
    except ConfigurationError as error:
        raise OperationError(f"{error}; e.g. `thoth run --policy policy.thoth -- COMMAND ARGS…`") from error
    settings = Settings(
        fields=fields,
        server=name,
        user_id=fields["user_id"],
        on_hold=on_hold,
        elsewhere=where != EMBEDDED,
        away=_away(),
        silence_s=silence,
        intents=intents_of(os.environ),
        standing=standing(lineage, process.program, os.environ),
    )
    log.event("began", server=name, agent=fields["agent_id"], enforcer=where, pid=process.popen.pid)
    authority = SdkAuthority(config, fields)
    return Run(Child(process), authority, settings, log, pins=home() / PINS, pin_policy=pins, session_id=session).run()


def login_name() -> str:
    """Return who runs this process."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return f"uid-{os.getuid()}"


def _key_of_file() -> str | None:
    file = os.environ.get("THOTH_API_KEY_FILE")
    if os.environ.get("THOTH_API_KEY") or not file:
        return None
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(f"THOTH_API_KEY_FILE names `{file}`, which cannot be read ({error})") from error


def _away() -> Literal["block", "step_up"]:
    """Return what becomes of a call while the enforcer is away; `allow` is not to be had."""
    said = os.environ.get("THOTH_ENFORCER_FAILURE_DECISION", "block").strip().lower()
    if said == "step_up":
        return "step_up"
    if said != "block":
        sys.stderr.write(f"thoth: THOTH_ENFORCER_FAILURE_DECISION is block or step_up, not {said!a}; block holds\n")
    return "block"
