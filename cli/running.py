"""One `thoth run`: from its options to the proxy that serves. Loads no command-line library, for a client waits.

A command line as `wrap-config` writes it is read here (`options_of`); any other, and any mistake, is for the library,
which reads the same options and explains them.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from ..contract import MODE_NAMES, OperationError
from .beginning import begin
from .home import PINS, api_key, home, intents

Mode: TypeAlias = Literal["observe", "progressive", "step_up", "block", "shadow"]
Recording: TypeAlias = Literal["sync", "async"]
OnHold: TypeAlias = Literal["wait", "pending"]
Pins: TypeAlias = Literal["first-use", "required", "off"]
CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "enforcement_mode": get_args(Mode),
    "recording": get_args(Recording),
    "on_hold": get_args(OnHold),
    "pins": get_args(Pins),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options, as `run` names and explains them."""

    policy: str | None = None
    api_url: str | None = None
    api_key: str | None = None
    agent_id: str | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    environment: str | None = None
    enforcement_mode: Mode | None = None
    server: str | None = None
    upstream: str | None = None
    header_env: Sequence[str] | None = None
    ca: str | None = None
    intent: str | None = None
    purpose: str | None = None
    session: str | None = None
    evidence: str | None = None
    recording: Recording | None = None
    on_hold: OnHold = "wait"
    pins: Pins = "first-use"
    wrapped: str | None = None
    silence: float = 300.0


def options_of(words: Sequence[str]) -> Options | None:
    """Return the options in `--name value` pairs, None where there is anything else."""
    names = {f"--{field.name.replace('_', '-')}": field.name for field in fields(Options)}
    found: dict[str, Any] = {}
    if len(words) % 2:
        return None
    for flag, value in zip(words[::2], words[1::2], strict=True):
        name = names.get(flag)
        if name == "header_env":
            found[name] = [*found.get(name, ()), value]
            continue
        if name is None or name in found or value.startswith("-") or value not in CHOICES.get(name, (value,)):
            return None
        found[name] = value
    if "silence" in found:
        if not found["silence"].isdecimal():
            return None
        found["silence"] = float(found["silence"])
    return Options(**found)


def serve(command: Sequence[str], options: Options) -> int:
    """Serve until either side ends; return the exit code.

    Raises:
        OperationError: nobody is named who decides, or a setting is wrong.
    """
    from ..config import EMBEDDED, ThothConfig
    from ..proxy.child import Child
    from ..proxy.lineage import ancestors, facts_of, intents_of, standing
    from ..proxy.log import Log
    from ..proxy.process import CannotStart
    from ..proxy.serve import Run, refuse_all
    from ..proxy.server import Server
    from ..proxy.settings import Settings
    from ..violation import ConfigurationError
    from .authority import SdkAuthority

    if bool(command) == (options.upstream is not None):
        raise OperationError("name one server: `-- COMMAND ARGS…`, or `--upstream https://…`")
    if options.upstream is None and (options.header_env or options.ca):
        raise OperationError("`--header-env` and `--ca` are for `--upstream https://…`")
    log = Log()
    server: Server
    if options.upstream is not None:
        from .elsewhere import server_at

        server, program = server_at(options.upstream, options.header_env or (), os.environ, options.ca)
        name = options.server or program.partition("://")[2]
        pid = 0
    else:
        name = options.server or Path(command[0]).name
        process = begin(command)
        if isinstance(process, CannotStart):
            return refuse_all(str(process), log)
        server, program, pid = Child(process), process.program, process.popen.pid
    about = _about(options, name)
    lineage = ancestors()
    about["metadata"] = {"cwd": os.getcwd(), "process_lineage": facts_of(lineage, program)}  # noqa: PTH109
    try:
        config = ThothConfig(
            agent_id=about["agent_id"],
            approved_scope=(),
            tenant_id=about["tenant_id"],
            user_id=about["user_id"],
            enforcement=about["enforcement_mode"],
            environment=about["environment"],
            api_url=options.api_url,
            api_key=options.api_key or api_key(),
            policy=options.policy,
            evidence=options.evidence,
            recording=options.recording,
        )
        where = config.where
    except ConfigurationError as error:
        raise OperationError(f"{error}; e.g. `thoth run --policy policy.thoth -- COMMAND ARGS…`") from error
    settings = Settings(
        fields=about,
        server=name,
        user_id=about["user_id"],
        on_hold=options.on_hold,
        elsewhere=where != EMBEDDED,
        away=_away(),
        silence_s=options.silence,
        intents={**intents(), **intents_of(os.environ)},
        standing=standing(lineage, program, os.environ),
    )
    log.event("began", server=name, agent=about["agent_id"], enforcer=where, pid=pid or program)
    run = Run(
        server,
        SdkAuthority(config, about),
        settings,
        log,
        pins=home() / PINS,
        pin_policy=options.pins,
        session_id=options.session,
    )
    return run.run()


def _about(options: Options, name: str) -> dict[str, Any]:
    """Return the wire's fields that every call of a run has: an option counts before the environment."""
    said = os.environ.get
    mode = MODE_NAMES.get((options.enforcement_mode or said("THOTH_ENFORCEMENT_MODE") or "block").strip().lower())
    if mode is None:
        raise OperationError(f"THOTH_ENFORCEMENT_MODE is one of {', '.join(get_args(Mode))}")
    about = {
        "agent_id": options.agent_id or said("THOTH_AGENT_ID") or name,
        "tenant_id": options.tenant_id or said("THOTH_TENANT_ID") or "local",
        "user_id": options.user_id or said("THOTH_USER_ID") or login_name(),
        "environment": options.environment or said("THOTH_ENVIRONMENT") or said("THOTH_ENV") or "prod",
        "enforcement_mode": str(mode),
        "session_intent": options.intent or said("THOTH_SESSION_INTENT"),
        "purpose": options.purpose or said("THOTH_PURPOSE"),
    }
    return {key: value for key, value in about.items() if value is not None}


def login_name() -> str:
    """Return who runs this process."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return f"uid-{os.getuid()}"


def _away() -> Literal["block", "step_up"]:
    """Return what becomes of a call while the enforcer is away; `allow` is not to be had."""
    said = os.environ.get("THOTH_ENFORCER_FAILURE_DECISION", "block").strip().lower()
    if said == "step_up":
        return "step_up"
    if said != "block":
        sys.stderr.write(f"thoth: THOTH_ENFORCER_FAILURE_DECISION is block or step_up, not {said!a}; block holds\n")
    return "block"
