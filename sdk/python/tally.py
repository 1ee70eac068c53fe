"""The count of one client: calls let through, calls that ran, how they ended, and what became of the reports.

What is let through must have run once, and what ran must have ended once and been reported; `audit` says where that is
not so.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Final

RUNNING_SHOWN_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Audit:
    """How decisions and executions agree.

    `decisions` counts calls that were let through, `executions` those whose tool was started. `running` have not ended;
    `unreported` have ended, and the enforcer does not know it yet; `lost` are reports that could be kept nowhere, or
    that the enforcer did not take when they came late, because its log never held the call.
    `ungoverned` ran without an answer, because `fail_open` was configured. `escapes` names tools that an instrumented
    object has now and that are not governed.
    """

    decisions: int = 0
    executions: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    timed_out: int = 0
    refused: int = 0
    running: int = 0
    unreported: int = 0
    lost: int = 0
    ungoverned: int = 0
    escapes: tuple[str, ...] = ()
    running_tools: tuple[str, ...] = ()

    @property
    def ended(self) -> int:
        """Calls whose end was seen."""
        return self.completed + self.failed + self.cancelled + self.timed_out

    @property
    def balanced(self) -> bool:
        """Whether every decision was carried out once, every call has ended, and every end is known to the enforcer."""
        return self.decisions == self.executions == self.ended and not (
            self.running or self.unreported or self.lost or self.escapes
        )

    def __str__(self) -> str:
        text = (
            f"{self.decisions} let through, {self.executions} run: {self.completed} completed, {self.failed} failed, "
            f"{self.cancelled} cancelled, {self.timed_out} timed out; {self.refused} refused"
        )
        for count, what in (
            (self.running, "still running"),
            (self.unreported, "not reported yet"),
            (self.lost, "reports lost"),
            (self.ungoverned, "ran ungoverned, because of fail_open"),
        ):
            text += f"; {count} {what}" if count else ""
        return text + (f"; not governed: {', '.join(self.escapes)}" if self.escapes else "")


@dataclass(slots=True)
class Tally:
    """What was let through, and how it ended; `running` holds the calls under way, each with the name of its `tool`."""

    decisions: int = 0
    refused: int = 0
    lost: int = 0
    ungoverned: int = 0
    endings: dict[str, int] = field(default_factory=dict)
    running: dict[int, Any] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.Lock)

    def let_through(self) -> None:
        """A call was let through."""
        with self.lock:
            self.decisions += 1

    def began(self, run: Any) -> None:
        """A call is started now."""
        self.running[id(run)] = run  # one step of the interpreter, so it needs no lock

    def ended(self, run: Any, ending: str) -> bool:
        """A call has ended; False where its end was counted before."""
        if self.running.pop(id(run), None) is None:
            return False
        with self.lock:
            self.endings[ending] = self.endings.get(ending, 0) + 1
        return True

    def refusal(self) -> None:
        """A call was refused."""
        with self.lock:
            self.refused += 1

    def loss(self, count: int = 1) -> None:
        """A report could be kept nowhere."""
        with self.lock:
            self.lost += count

    def went_open(self) -> None:
        """A call ran without an answer."""
        with self.lock:
            self.ungoverned += 1

    def audit(self, unreported: int, untaken: int, escapes: tuple[str, ...]) -> Audit:
        """Return the count as it is now."""
        with self.lock:
            endings, running = self.endings, list(self.running.values())
            return Audit(
                decisions=self.decisions,
                executions=sum(endings.values()) + len(running),
                completed=endings.get("completed", 0),
                failed=endings.get("failed", 0),
                cancelled=endings.get("cancelled", 0),
                timed_out=endings.get("timed_out", 0),
                refused=self.refused,
                running=len(running),
                unreported=unreported,
                lost=self.lost + untaken,
                ungoverned=self.ungoverned,
                escapes=escapes,
                running_tools=tuple(sorted(run.tool for run in running)[:RUNNING_SHOWN_MAX]),
            )
