"""Who decides the calls of one `thoth run`: the SDK's transports, and the floor in an engine of this process."""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING, Any, Final

from ..config import EMBEDDED, ThothConfig

if TYPE_CHECKING:
    from ..contract import Ending
    from ..embedded import Embedded, Recording
    from ..enforcer import Enforcer, Reply
    from ..spool import Spool

ABOUT: Final = (
    "tenant_id",
    "agent_id",
    "user_id",
    "session_id",
    "approved_scope",
    "enforcement_mode",
    "tool_name",
    "request_id",
)
"""The fields of a request that the report of its end repeats."""


class LocalFloor:
    """The floor's policy in an engine of this process, which records where the calls' own engine does."""

    def __init__(self, evidence: str | None, mode: str = "async") -> None:
        self._evidence = evidence
        self._mode = mode
        self._made: Embedded | None = None
        self.recording: Recording | None = None

    @property
    def enforcer(self) -> Embedded:
        """The engine, read when it is first needed."""
        if self._made is None:
            from ..embedded import Embedded, Recording
            from ..engine import Engine

            if self.recording is None and self._evidence is not None:
                self.recording = Recording(self._evidence, mode=self._mode)
            text = importlib.resources.files("thoth.policies").joinpath("floor.thoth").read_text("utf-8")
            engine = Engine.from_text(text, source="floor.thoth", recorder=self.recording)
            if self.recording is not None:
                self.recording.policy_loaded(engine.policy.digest, ("floor.thoth",))
            self._made = Embedded(engine, recording=self.recording)
        return self._made

    def close(self) -> None:
        """Close the log, where it was opened for the floor alone."""
        if self.recording is not None:
            self.recording.close()


class SdkAuthority:
    """The enforcer that a configuration names."""

    def __init__(self, config: ThothConfig, fields: dict[str, Any]) -> None:
        self._config = config
        self._fields = fields
        self._enforcer: Enforcer | None = None
        self._spool: Spool | None = None
        self._visible: dict[str, bool] = {}
        self.floor = LocalFloor(config.evidence_folder(), config.recording or "async")

    @property
    def enforcer(self) -> Enforcer:
        assert self._enforcer is not None, "`load` comes first"
        return self._enforcer

    def load(self) -> None:
        """Read the policy, or find the enforcer.

        Raises:
            PolicyError: the policy has mistakes.
            ConfigurationError: it cannot be read, or nothing is named.
        """
        from ..client import connect

        enforcer = connect(self._config)
        if self._config.where == EMBEDDED:
            self.floor.recording = getattr(enforcer, "recording", None)
        else:
            from ..spool import Spool

            self._spool = Spool.shared(self._config.spool_folder(), enforcer)
            if self._spool.count:
                self._spool.nudge()  # an earlier run left reports behind
        self._enforcer = enforcer

    def keep(self, reply: Reply, ending: Ending, result: object, request: dict[str, Any]) -> bool:
        """Keep a report on disk, and have it sent when the enforcer is there again."""
        if self._spool is None:
            return False
        from ..outcomes import outcome_of

        about = {name: request.get(name) for name in ABOUT}
        kept = self._spool.keep(outcome_of(reply, ending, result, about))
        self._spool.nudge()
        return kept

    def visible(self, tool: str) -> bool:
        """Say whether an allow or the default could ever let this agent call a tool; in doubt, yes."""
        engine = getattr(self._enforcer, "engine", None)
        if engine is None:
            return True
        known = self._visible.get(tool)
        if known is None:
            from ..engine.reachable import could_be_let_through

            known = self._visible[tool] = could_be_let_through(engine.policy, {**self._fields, "tool_name": tool})
        return known

    def close(self) -> None:
        """Write what is still to be written."""
        if self._spool is not None:
            self._spool.flush(final=True)
        if self._enforcer is not None:
            self._enforcer.close()
        if self._enforcer is None or self._config.where != EMBEDDED:
            self.floor.close()
