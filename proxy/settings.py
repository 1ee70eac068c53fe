"""What one run of the proxy is told: who calls, which server, and how to treat what waits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .lines import LINE_BYTES_MAX


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Set once, at the start.

    `fields` are the wire's fields that every call of this run has: agent, tenant, user, mode, environment and so on.
    `server` is the name by which policies and pins know the server; it is never what the server calls itself. `on_hold`
    says what a client gets while a call waits for a person: nothing until it is answered, or at once a result that says
    so. `silence_s` is how long a call may go without a sign of life from the server. `elsewhere` says that approvers
    can be reached without this client, `away` what becomes of a call while the enforcer does
    not answer.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    server: str = "server"
    user_id: str = "user"
    on_hold: Literal["wait", "pending"] = "wait"
    elsewhere: bool = False
    away: Literal["block", "step_up"] = "block"
    silence_s: float = 300.0
    start_s: float = 60.0
    progress_s: float = 5.0
    hold_s: float = 900.0
    line_bytes_max: int = LINE_BYTES_MAX
    intents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    standing: Mapping[str, str] = field(default_factory=dict)
    """What is known of this run before any call, as facts for the floor: `lineage`, say."""
