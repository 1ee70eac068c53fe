"""What a client is told once: who the agent is, which enforcer decides, and what to do when it does not answer.

An argument counts before the environment, and the environment before the default. One is the other way round, as people
know it: `THOTH_API_URL` counts before `api_url=`, for whoever runs an agent says who watches it, not who wrote it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

from .contract import MODE_NAMES, Mode
from .violation import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .enforcer import Enforcer

EnforcementMode = Mode
EMBEDDED: Final = "embedded"
RECORDINGS: Final = ("sync", "async")
HANDED_OUT: Final = ("raise", "interrupt")
YES: Final = frozenset(("1", "true", "yes", "on"))
NO: Final = frozenset(("", "0", "false", "no", "off"))
ENVIRONMENT: Final = {
    "api_url": "THOTH_API_URL",
    "api_key": "THOTH_API_KEY",
    "event_ingest_token": "THOTH_EVENT_INGEST_TOKEN",
    "environment": "THOTH_ENVIRONMENT",
    "policy": "THOTH_POLICY",
    "evidence": "THOTH_EVIDENCE",
    "recording": "THOTH_RECORDING",
    "spool": "THOTH_SPOOL",
}


@dataclass(kw_only=True, slots=True)
class ThothConfig:
    """Everything that `instrument` takes, and what only some need.

    `api_url` is `embedded`, `unix:/run/thoth/thoth.sock` or `https://…`; unsaid, it is `embedded` where a `policy` is
    named. `policy` is a file, or several: one root and the modules that it uses. `evidence` is the folder of the log of
    an embedded engine, `off` to keep none; `recording` is `async` (the default: a decision is on disk within 5 ms) or
    `sync` (it is before a call runs). `step_up_timeout_minutes` counts where the enforcer says no time of its own.
    `on_hold` is called with each held call; `"raise"` raises `ThothHeldError` in place of waiting, `"interrupt"` is for
    graphs (`integrations/langgraph.py`). `tell_results` sends
    results to an enforcer on another machine too. `spool` is the folder in which reports wait for an enforcer that is
    away. `enforcer` is used as it is, whatever `api_url` says.
    """

    agent_id: str
    approved_scope: Sequence[str]
    tenant_id: str
    user_id: str = "system"
    enforcement: Mode | str = Mode.BLOCK
    api_key: str | None = field(default=None, repr=False)
    event_ingest_token: str | None = field(default=None, repr=False)
    api_url: str | None = None
    step_up_timeout_minutes: float = 15
    step_up_poll_interval_seconds: float = 5
    session_intent: str | None = None
    purpose: str | None = None
    data_classification: str | None = None
    task_context: Mapping[str, Any] | str | None = None
    environment: str | None = None
    enforcement_trace_id: str | None = None
    fail_open: bool | None = None
    session_id: str | None = None
    policy: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None
    evidence: str | os.PathLike[str] | None = None
    recording: str | None = None
    spool: str | os.PathLike[str] | None = None
    on_hold: Callable[[Any], Any] | str | None = None
    tell_results: bool = False
    metadata: Mapping[str, Any] | None = None
    enforcer: Enforcer | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Fill in what the environment says, and check the rest.

        Raises:
            ConfigurationError: something is missing or wrong, and what to write.
        """
        for name in ("agent_id", "tenant_id", "user_id"):
            if not isinstance(value := getattr(self, name), str) or not value:
                raise ConfigurationError(f"`{name}` is a text that is not empty, not {value!r}")
        if isinstance(self.approved_scope, str):
            raise ConfigurationError(f"`approved_scope` is a list of tool names; write [{self.approved_scope!r}]")
        self.approved_scope = tuple(self.approved_scope)
        if not all(isinstance(name, str) for name in self.approved_scope):
            raise ConfigurationError("`approved_scope` is a list of tool names, which are texts")
        mode = MODE_NAMES.get(str(self.enforcement).strip().lower())
        if mode is None:
            raise ConfigurationError(f"`enforcement` is one of {', '.join(Mode)}, not {str(self.enforcement)!r}")
        self.enforcement = mode
        for name, variable in ENVIRONMENT.items():
            said = os.environ.get(variable) or None
            if said is not None and (getattr(self, name) is None or name == "api_url"):
                setattr(self, name, said)
        self.environment = self.environment or "prod"
        if self.fail_open is None:
            self.fail_open = _truth("THOTH_FAIL_OPEN")
        self.recording = self.recording or "async"
        if self.recording not in RECORDINGS:
            raise ConfigurationError(f"`recording` is sync or async, not {self.recording!r}")
        if isinstance(self.task_context, str):
            self.task_context = {"task_id": self.task_context}
        if self.on_hold is not None and self.on_hold not in HANDED_OUT and not callable(self.on_hold):
            raise ConfigurationError('`on_hold` is a function that takes a hold, "raise" or "interrupt"')

    @property
    def where(self) -> str:
        """The enforcer's address, as it is used.

        Raises:
            ConfigurationError: there is none, and no policy for an engine in process.
        """
        url = str(self.api_url or "").strip()
        if not url:
            if self.policy is None:
                raise ConfigurationError(
                    "nothing is named that could decide: name a policy for an engine in this process, with `policy=` "
                    "or THOTH_POLICY, or an enforcer, with `api_url=` or THOTH_API_URL"
                )
            return EMBEDDED
        if url == EMBEDDED and self.policy is None:
            raise ConfigurationError("an embedded engine needs a policy: name a file with `policy=` or THOTH_POLICY")
        if url != EMBEDDED and not url.startswith(("unix:", "https://", "http://")):
            raise ConfigurationError(
                f"`api_url` is `embedded`, `unix:/path/to/thoth.sock` or `https://…`, not `{told_url(url)}`"
            )
        return url.rstrip("/")

    def policy_files(self) -> tuple[str, ...]:
        """The files of the policy; of a list in THOTH_POLICY the names are apart as in PATH."""
        if self.policy is None:
            return ()
        if isinstance(self.policy, str):
            return tuple(name for name in self.policy.split(os.pathsep) if name)
        if isinstance(self.policy, os.PathLike):
            return (os.fspath(self.policy),)
        return tuple(os.fspath(file) for file in self.policy)

    def evidence_folder(self) -> str | None:
        """The folder of an embedded engine's log, None where none is kept."""
        if self.evidence is None:
            return str(state_folder() / "evidence")
        folder = os.fspath(self.evidence)
        return None if folder.strip().lower() == "off" else folder

    def spool_folder(self) -> Path:
        """The folder in which reports wait."""
        return Path(self.spool) if self.spool is not None else state_folder() / "spool"

    def fields(self) -> dict[str, Any]:
        """The wire's fields that are the same for every call."""
        given = {
            "tenant_id": self.tenant_id,
            "agent_id": self.agent_id,
            "user_id": self.user_id,
            "approved_scope": list(self.approved_scope),
            "enforcement_mode": str(self.enforcement),
            "environment": self.environment,
            "session_intent": self.session_intent,
            "purpose": self.purpose,
            "data_classification": self.data_classification,
            "task_context": dict(self.task_context) if isinstance(self.task_context, Mapping) else None,
            "metadata": dict(self.metadata) if self.metadata is not None else None,
        }
        return {name: value for name, value in given.items() if value is not None}


class Settings(TypedDict, total=False):
    """The settings of `ThothConfig` as keyword arguments."""

    agent_id: str
    approved_scope: Sequence[str]
    tenant_id: str
    user_id: str
    enforcement: Mode | str
    api_key: str | None
    event_ingest_token: str | None
    api_url: str | None
    step_up_timeout_minutes: float
    step_up_poll_interval_seconds: float
    session_intent: str | None
    purpose: str | None
    data_classification: str | None
    task_context: Mapping[str, Any] | str | None
    environment: str | None
    enforcement_trace_id: str | None
    fail_open: bool | None
    session_id: str | None
    policy: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None
    evidence: str | os.PathLike[str] | None
    recording: str | None
    spool: str | os.PathLike[str] | None
    on_hold: Callable[[Any], Any] | str | None
    tell_results: bool
    metadata: Mapping[str, Any] | None
    enforcer: Enforcer | None


NAMES: Final = frozenset(entry.name for entry in fields(ThothConfig))


def configured(**given: Any) -> ThothConfig:
    """Return a configuration.

    Raises:
        ConfigurationError: a name is unknown, or something is missing or wrong.
    """
    unknown = sorted(given.keys() - NAMES)
    if unknown:
        import difflib

        near = difflib.get_close_matches(unknown[0], NAMES, 1)
        raise ConfigurationError(f"unknown setting `{unknown[0]}`" + (f"; did you mean `{near[0]}`?" if near else ""))
    missing = [name for name in ("agent_id", "approved_scope", "tenant_id") if given.get(name) is None]
    if missing:
        raise ConfigurationError(
            f"`{missing[0]}=` is missing: say which agent this is, for which tools, of which tenant"
        )
    return ThothConfig(**given)


def told_url(url: str) -> str:
    """Return an address as people may be told it: without a password, and without what stands behind the host."""
    scheme, there_is, rest = url.partition("://")
    if not there_is:
        scheme, rest = "", url
    host, behind = rest, ""
    for mark in "/?#":
        host, found, _ = host.partition(mark)
        behind = behind or found
    before, at, host = host.rpartition("@")
    return f"{scheme}{there_is}{'…@' if before or at else ''}{host}{f'{behind}…' if behind else ''}"


def state_folder() -> Path:
    """Where this user's programs keep what must outlast them: $XDG_STATE_HOME/thoth, or ~/.local/state/thoth."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "thoth"


def _truth(variable: str) -> bool:
    said = os.environ.get(variable, "").strip().lower()
    if said in YES:
        return True
    if said in NO:
        return False
    raise ConfigurationError(f"{variable} is 1 or 0, true or false, not `{said}`")
