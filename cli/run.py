"""`thoth run` as the command line reads it; `running.py` does it."""

from typing import Annotated

from cyclopts import Parameter

from .running import Mode, OnHold, Options, Pins, Recording, serve


def run(
    *command: Annotated[
        str,
        Parameter(name="COMMAND", allow_leading_hyphen=True, help="the server's program and its arguments, behind --"),
    ],
    policy: Annotated[str | None, Parameter(help="the policy that decides, in this process; or THOTH_POLICY")] = None,
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
        Mode | None,
        Parameter(help="block if unsaid; the policy says how much a caller may choose"),
    ] = None,
    server: Annotated[
        str | None, Parameter(help="the server's name in policies and pins; its program's if unsaid")
    ] = None,
    upstream: Annotated[
        str | None, Parameter(help="a server elsewhere in place of a command: its Streamable HTTP URL, https://…")
    ] = None,
    header_env: Annotated[
        list[str] | None,
        Parameter(help="NAME=VARIABLE: a header for it, its value from the environment; may be repeated"),
    ] = None,
    ca: Annotated[
        str | None, Parameter(help="a file of certificates to trust for it, in place of the system's")
    ] = None,
    intent: Annotated[str | None, Parameter(help="what the session is for, for `tool in intent`")] = None,
    purpose: Annotated[str | None, Parameter(help="the purpose, for policies that ask for it")] = None,
    session: Annotated[str | None, Parameter(help="go on with this session; a new one if unsaid")] = None,
    evidence: Annotated[
        str | None, Parameter(help="the folder of the evidence log, made if need be; `off` keeps none")
    ] = None,
    recording: Annotated[
        Recording | None,
        Parameter(help="a call runs when its decision is on disk (sync), or at once (async, the default)"),
    ] = None,
    on_hold: Annotated[
        OnHold,
        Parameter(help="while a call waits for a person: let the client wait (the default), or tell it so at once"),
    ] = "wait",
    pins: Annotated[
        Pins,
        Parameter(
            help="tools of a server never seen before: pin them as they are (the default), stop them, or pin none"
        ),
    ] = "first-use",
    wrapped: Annotated[str | None, Parameter(show=False)] = None,
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
      thoth run --policy policy.thoth --header-env Authorization=TOKEN --upstream https://mcp.example/mcp

    `thoth wrap-config` writes such a line for every server of a client.

    Exit codes: 0 the client has ended, 2 wrong usage, 127 the server cannot be
    started; where the server ends by itself, its own.
    """
    return serve(
        command,
        Options(
            policy=policy,
            api_url=api_url,
            api_key=api_key,
            agent_id=agent_id,
            tenant_id=tenant_id,
            user_id=user_id,
            environment=environment,
            enforcement_mode=enforcement_mode,
            server=server,
            upstream=upstream,
            header_env=header_env,
            ca=ca,
            intent=intent,
            purpose=purpose,
            session=session,
            evidence=evidence,
            recording=recording,
            on_hold=on_hold,
            pins=pins,
            wrapped=wrapped,
            silence=silence,
        ),
    )
