"""What an earlier process knew, taken from its evidence: what limits have spent, violations, approvals used, sessions.

A session of an earlier process goes on, and its beginning counts as unseen: the labels that it held hold, its calls
count, and whatever else could have been is unknown, never absent. What was said and returned is in no record. Limits
count what their records say; where a record cannot be read any more, nothing before it is taken for unspent. A call
that was let through and has no outcome there is under way again, so its end can still be reported.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import msgspec

from ..contract import By, Decision, Effect, Ending, Mode, Outcome, Request, Reservation, Violation
from ..engine import Engine
from ..engine.ledger import Ledger
from ..engine.sessions import ID_CHARS_MAX
from ..evidence import EvidenceError, LogReader
from ..evidence.browse import Wanted
from .dispatch import ENDED_MAX, RUNNING_MAX

DAY_S: Final = 86_400.0
LET_THROUGH: Final = (Effect.ALLOW, Effect.MODIFY)

log = logging.getLogger(__name__)


@dataclass
class Restored:
    """How many records were taken in, and the calls that they let through: those under way, and those that ended."""

    count: int = 0
    under_way: OrderedDict[str, Decision] = field(default_factory=OrderedDict)
    """By id, oldest first, the last 100,000; without arguments, which no record holds in clear."""
    ended: OrderedDict[str, object] = field(default_factory=OrderedDict)
    """The tenant of each that ended, by the id of its decision; the last 65,536."""


def restore(
    engine: Engine,
    directory: Path,
    now: float,
    back_s: float,
    holds: frozenset[str],
    *,
    ledger: Ledger | None = None,
    keeps: Callable[[object, str], bool] | None = None,
) -> Restored:
    """Take in the records of as long as anything counts. `holds` are decisions still held.

    What was spent goes into `ledger`, the engine's if unsaid. Sessions and calls are taken of which `keeps` says, by
    the session and the decision's id, that they are ours.

    Cost: one pass over the log; a decryption for each record that took something from a limit.

    Raises:
        EvidenceError: the log cannot be read.
    """
    windows = engine.evaluator.windows
    since = now - max([DAY_S, back_s, *windows.values()])
    reader = LogReader(directory)
    past = _Past(engine, reader, windows, holds, engine.ledger if ledger is None else ledger, keeps)
    for entry in reader.entries(Wanted(since_us=int(since * 1e6))):
        take = past.takes.get(str(entry.record.get("kind")))
        if take is not None:
            take(entry)
            past.restored.count += 1
    return past.restored


class _Past:
    def __init__(
        self,
        engine: Engine,
        reader: LogReader,
        windows: Mapping[str, int],
        holds: frozenset[str],
        ledger: Ledger,
        keeps: Callable[[object, str], bool] | None,
    ) -> None:
        self.engine, self.reader, self.windows, self.holds = engine, reader, windows, holds
        self.ledger, self.keeps = ledger, keeps
        self.restored = Restored()
        self.takes = {"decision": self.decided, "outcome": self.ended}

    def decided(self, entry: Any) -> None:
        record = entry.record
        at = record.get("decided_us", entry.at_us) / 1e6
        request = Request(
            tool_name=record.get("tool", ""),
            tenant_id=record.get("tenant"),
            agent_id=record.get("agent"),
            user_id=record.get("principal"),
            session_id=record.get("session"),
            environment=record.get("environment"),
        )
        effect = Effect(record["effect"])
        decision = Decision(
            id=record["id"],
            effect=effect,
            verdict=effect,
            by=By(record["by"]),
            reason_code=record["reason_code"],
            policy_digest=record["policy_digest"],
            request=request if request.tool_name else None,
            now=at,
            mode=Mode(record["mode"]),
            args={},
            reservations=self.spent(entry, decision_id=record["id"], effect=effect, at=at),
        )
        if record.get("approval"):
            self.ledger.use(record["approval"])
        id = record.get("decided_in") or record.get("session")
        if decision.request is None or not (self.keeps is None or self.keeps(id, decision.id)):
            return
        session = None
        if isinstance(id, str) and 0 < len(id) <= ID_CHARS_MAX:
            session = self.engine.session(id, tenant_id=request.tenant_id, begins=False)
            session.results_cut = True
        if effect in LET_THROUGH:
            self.engine.ran(decision, session)
            under_way = self.restored.under_way
            under_way[decision.id] = decision
            if len(under_way) > RUNNING_MAX:
                under_way.popitem(last=False)
        elif effect is Effect.BLOCK and session is not None:
            session.blocked()

    def spent(self, entry: Any, *, decision_id: str, effect: Effect, at: float) -> tuple[Reservation, ...]:
        """Count what a decision took from limits, and its violation; return what it took."""
        sealed = {name for name, _ in entry.record.get("decision", ())}
        if not sealed & {"reservations", "violation"} or decision_id in self.holds:
            return ()
        ledger = self.ledger
        try:
            values = self.reader.values(entry)
            kept = {name: msgspec.json.decode(values[f"decision.{name}"][1]) for name in sealed if name != "problem"}
        except (EvidenceError, KeyError, msgspec.MsgspecError) as error:
            ledger.lost_until = max(ledger.lost_until, at)
            log.warning("not_restored record=%s why=%s", entry.place, type(error).__name__)
            return ()
        violation = kept.get("violation")
        if violation:
            tenant, agent, user, call = violation
            ledger.violate(Violation((tenant, agent, user), call), at, self.engine.policy.ladder.same_s)
        if effect is Effect.STEP_UP:
            return ()  # held no longer: it gave back what it had, or took it again when it was let through
        taken = tuple(Reservation(limit, key, Fraction(amount)) for limit, key, amount in kept.get("reservations", ()))
        for reservation in taken:
            if reservation.limit in self.windows:
                ledger.reserve(reservation, at, decision_id, self.windows[reservation.limit])
        return taken

    def ended(self, entry: Any) -> None:
        record = entry.record
        decision = self.restored.under_way.pop(record["decision"], None)
        if decision is None:
            return
        ended = self.restored.ended
        ended[decision.id] = None if decision.request is None else decision.request.tenant_id
        if len(ended) > ENDED_MAX:
            ended.popitem(last=False)
        outcome = Outcome(
            decision.id,
            Ending(record["ended"]),
            labels=tuple(record.get("labels", ())),
            perhaps=tuple(record.get("perhaps", ())),
        )
        self.engine.restored(decision, outcome)
        tool = None if decision.request is None else self.engine.tool_of(decision.request)
        if outcome.ending is Ending.FAILED and tool is not None and tool.atomic:
            for reservation in decision.reservations:
                self.ledger.give_back(reservation, decision.id)
