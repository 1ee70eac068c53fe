"""Who decides the calls of one `thoth run`: the SDK's transports, and the floor in an engine of this process."""

import importlib.resources
from typing import TYPE_CHECKING, Any

from ..config import EMBEDDED, ThothConfig
from ..enforcer import Enforcer

if TYPE_CHECKING:
    from ..embedded import Embedded, Recording


class LocalFloor:
    """The floor's policy in an engine of this process, which records where the calls' own engine does."""

    def __init__(self, evidence: str | None) -> None:
        self._evidence = evidence
        self._made: Embedded | None = None
        self.recording: Recording | None = None

    @property
    def enforcer(self) -> "Embedded":
        """The engine, read when it is first needed."""
        if self._made is None:
            from ..embedded import Embedded, Recording
            from ..engine import Engine

            if self.recording is None and self._evidence is not None:
                self.recording = Recording(self._evidence)
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
        self._visible: dict[str, bool] = {}
        self.floor = LocalFloor(config.evidence_folder())

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
        self._enforcer = enforcer

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
        if self._enforcer is not None:
            self._enforcer.close()
        if self._enforcer is None or self._config.where != EMBEDDED:
            self.floor.close()
