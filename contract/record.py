"""How a call ended, and where decisions and endings are written down.

The engine records through a `Recorder`, two methods; what stands behind them (an evidence log, a
list in a test) is none of its business.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from .decision import Decision


class Ending(StrEnum):
    """How a call that was let through ended; cancelled and timed out count as failed."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the enforcement point reports when a call is over; `result` is what the agent may see of it.

    `rules` names the result rules that applied, `labels` those that the session now holds because of
    this result. `result` is None where it was withheld or nothing was told. `heard` is the SHA-256 (hex) of the
    text that the session heard, before it was redacted; empty where it heard none. `part`: that was not all that
    was returned; `perhaps` are labels that may hold now. `late`: it was no longer counted in the session.
    """

    decision_id: str
    ending: Ending
    result: object = None
    withheld: bool = False
    rules: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    heard: str = ""
    part: bool = False
    perhaps: tuple[str, ...] = ()
    late: bool = False


class Recorder(Protocol):
    """Where the engine writes. A method that raises makes the decision BLOCK `evidence_unavailable`.

    A recorder may have more, which the engine then calls: `shows(arguments)`, with the names of each tool's arguments
    that the policy declares `shown`; `policy_loaded(digest, files=…)`, when an engine is made; and
    `answered(approval, answer, decision)`, before an approver's answer counts.
    """

    def decided(self, decision: Decision) -> None:
        """Write down one decision before it is given out."""

    def ended(self, decision: Decision, outcome: Outcome) -> None:
        """Write down how a call ended."""
