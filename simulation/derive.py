"""Every decision of an evidence log derived again, from what the log holds.

A log keeps the request of each decision, its arguments in the vault, what its session, its counters and its approval
were, and how calls ended. From these the sessions and counters of the time are built up again, record by record, and
each decision is made once more under the policy whose digest the record names. What differs is a mismatch. What cannot
be derived is named with the reason: values that were erased or shortened, another policy, a session of which the log
does not hold everything, and the words of users and tools, of which it keeps digests only.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final, Literal, TypeAlias

from ..contract import (
    Answer,
    Approval,
    Counter,
    Decision,
    Effect,
    Ending,
    Fault,
    Outcome,
    Request,
    Reservation,
    Violation,
    read_json,
)
from ..engine import Engine, Session
from ..engine.checked import CheckedPolicy, From, Rule
from ..engine.wording import tests_of
from ..evidence import LogReader
from ..evidence.browse import Entry
from ..evidence.errors import EvidenceError

COMPARED: Final = ("effect", "verdict", "by", "reason_code", "rules", "would_be", "mode")
_Key: TypeAlias = tuple[str | None, str, int, bool]
CLEAR: Final = {
    "tool": "tool_name",
    "tenant": "tenant_id",
    "agent": "agent_id",
    "principal": "user_id",
    "session": "session_id",
    "request_id": "request_id",
    "environment": "environment",
    "server": "server",
    "enforcement_mode": "enforcement_mode",
    "data_classification": "data_classification",
}
"""Names of a record, and the fields of a request that they hold."""


class Status(StrEnum):
    """What became of one decision: `SAME`, `DIFFERENT`, or why it could not be derived."""

    SAME = "same"
    DIFFERENT = "different"
    ERASED = "erased"
    SHORTENED = "shortened"
    OTHER_POLICY = "other policy"
    SESSION = "not all that its session knew is in the log"
    COUNTERS = "not all that its counters held is in the log"
    WORDS = "words of users and tools are not kept"
    UNDECIDED = "no request was kept"
    OVERRIDDEN = "let through by an operator's override; the refusal before it is derived by itself"


@dataclass(frozen=True, slots=True)
class Derived:
    """One decision of the log: where it stands, what became of it, and for a mismatch what both said."""

    place: str
    id: str
    status: Status
    recorded: dict[str, Any] = field(default_factory=dict)
    derived: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        shown = {"place": self.place, "decision": self.id, "status": self.status.value}
        return shown | ({"recorded": self.recorded, "derived": self.derived} if self.recorded else {})


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class _Made:
    """What is known of a recorded decision that was let through or held: what it reserved, and what was derived."""

    reservations: list[Reservation]
    derived: Decision | None = None


class _Past:
    """One policy's engine, brought from record to record to where the log says it stood.

    Counters follow what the records say was reserved, so one decision that differs does not make all after it differ.
    Sessions outlive a policy, so all share `sessions`.
    """

    def __init__(
        self, policy: CheckedPolicy, evaluator: Literal["native", "reference"], sessions: dict[_Key, Session]
    ) -> None:
        self.clock = _Clock()
        self.engine = Engine(policy, evaluator=evaluator, clock=self.clock)
        self.windows = {rule.id: rule.limit.window_s for rule in policy.rules if rule.limit is not None}
        self.sessions = sessions
        self.made: dict[str, _Made] = {}

    def session_of(self, record: Mapping[str, Any]) -> Session | None:
        """Return the session that a decision was made in, as far as the log has told of it by now."""
        id, opened_us = record.get("decided_in", record.get("session")), record.get("session_opened_us")
        if id is None or opened_us is None:
            return None
        tenant, begun = record.get("tenant"), bool(record.get("session_begun"))
        key = (tenant, id, opened_us, begun)
        if key not in self.sessions:
            bound = self.engine.policy.bounds.provenance_bytes
            self.sessions[key] = Session(id, opened_us / 1_000_000, begun, tenant, provenance_bytes=bound)
        return self.sessions[key]

    def decide(self, request: dict[str, Any], session: Session | None, at: float, presented: Any) -> Decision:
        """Return what the call comes out as; nothing is counted."""
        self.clock.now = at
        return self.engine.weigh(request, session=session, approval=_approval(presented) if presented else None)

    def take(
        self,
        record: Mapping[str, Any],
        values: Mapping[str, tuple[bytes, bytes]],
        session: Session | None,
        derived: Decision,
        presented: Any,
    ) -> None:
        """Count a decision as the record says that it was enforced."""
        id, at, effect = str(record["id"]), self.clock.now, record.get("effect")
        if presented and presented["call"] == _kept(values, "decision.call"):
            if effect == Effect.STEP_UP and presented["reservations"] in self.made:
                self.made[id] = self.made[presented["reservations"]]  # still waiting: the hold stays as it is
                return
            self._give_back(presented["reservations"])
        if record.get("approval"):
            self.engine.ledger.use(str(record["approval"]))
        kept = [Reservation(limit, key, Fraction(n)) for limit, key, n in _kept(values, "decision.reservations") or ()]
        for reservation in kept:
            if reservation.limit in self.windows:
                self.engine.ledger.reserve(reservation, at, id, self.windows[reservation.limit])
        violation = _kept(values, "decision.violation")
        if violation:
            principal = (violation[0], violation[1], violation[2])
            same_s = self.engine.policy.ladder.same_s
            self.engine.ledger.violate(Violation(principal, violation[3]), at, same_s)
        self.made[id] = _Made(kept)
        if effect in (Effect.ALLOW, Effect.MODIFY):
            self.engine.ran(derived, session)
            self.made[id].derived = derived
        elif effect == Effect.BLOCK and session is not None:
            session.blocked()

    def end(self, record: Mapping[str, Any], heard: str, atomic: Mapping[str, bool]) -> None:
        """Take in how a call ended."""
        id, ending = str(record.get("decision")), Ending(record["ended"])
        made = self.made.get(id)
        if made is not None and made.derived is not None:
            outcome = Outcome(
                id,
                ending,
                labels=tuple(record.get("labels", ())),
                heard=heard,
                part=bool(record.get("part")),
                perhaps=tuple(record.get("perhaps", ())),
                late=bool(record.get("late")),
            )
            self.engine.restored(made.derived, outcome)
        if ending is Ending.FAILED and atomic.get(str(record.get("tool"))):
            self._give_back(id)

    def _give_back(self, id: str) -> None:
        for reservation in self.made[id].reservations if id in self.made else ():
            self.engine.ledger.give_back(reservation, id)


def derive(
    reader: LogReader, policies: Sequence[CheckedPolicy], evaluator: Literal["native", "reference"] = "native"
) -> Iterator[Derived]:
    """Derive every decision of a log again, in the order of its records.

    `policies` are those that may have been in force; a record names the digest of its own.
    """
    sessions: dict[_Key, Session] = {}
    pasts = {policy.digest: _Past(policy, evaluator, sessions) for policy in policies}
    atomic = {name: any(t.atomic for t in tools) for policy in policies for name, tools in policy.tools.items()}
    for entry in reader.entries():
        record = entry.record
        if record.get("kind") == "outcome":
            heard = _heard(reader, entry)
            for past in pasts.values():
                past.end(record, heard, atomic)
        elif record.get("kind") == "decision":
            yield _derive_one(reader, entry, pasts.get(str(record.get("policy_digest"))))


def _derive_one(reader: LogReader, entry: Entry, past: _Past | None) -> Derived:
    record, id = entry.record, str(entry.record.get("id"))
    if "tool" not in record:
        return Derived(entry.place, id, Status.UNDECIDED)
    if past is None:
        return Derived(entry.place, id, Status.OTHER_POLICY)
    lacking = Status.SHORTENED if record.get("shortened") else None
    values: Mapping[str, tuple[bytes, bytes]] = {}
    try:
        values = reader.values(entry)
    except EvidenceError:
        lacking = Status.ERASED
    session, presented = past.session_of(record), _kept(values, "decision.presented")
    made = past.decide(request_of(record, values), session, int(record["decided_us"]) / 1_000_000, presented)
    past.take(record, values, session, made, presented)  # also without its values: that it ran is in clear
    if lacking is not None:
        return Derived(entry.place, id, lacking)
    if record.get("reason_code") == "break_glass":
        return Derived(entry.place, id, Status.OVERRIDDEN)
    recorded = facts_of(record)
    derived = facts_of(made.facts())
    if derived == recorded:
        return Derived(entry.place, id, Status.SAME)
    digest, said = _kept(values, "decision.session") or ("", "")
    status = Status.DIFFERENT
    if digest != made.session_digest.hex():
        status = Status.SESSION
    elif said and any(_asks_for_words(rule) for rule in past.engine.policy.rules if _may_concern(rule, made.request)):
        status = Status.WORDS
    elif sorted(_kept(values, "decision.counters") or ()) != _read(made.counters):
        status = Status.COUNTERS
    return Derived(entry.place, id, status, recorded, derived)


def _read(counters: Iterable[Counter]) -> list[list[str | None]]:
    return sorted([c.limit, c.key, None if c.spent is None else str(c.spent)] for c in counters)


def _approval(kept: Mapping[str, Any]) -> Approval:
    answers = tuple(Answer(source, approver, who, granted) for source, approver, who, granted in kept["answers"])
    return Approval(kept["id"], kept["call"], float(kept["expires"]), answers, kept["reservations"])


def _heard(reader: LogReader, entry: Entry) -> str:
    """Return the digest of what a session heard of a result; empty where it heard nothing, or that was erased."""
    if "heard" not in entry.record:
        return ""
    try:
        return _kept(reader.values(entry), "heard") or ""
    except EvidenceError:
        return ""


def _kept(values: Mapping[str, tuple[bytes, bytes]], path: str) -> Any:
    """Return one sealed value, None where there is none."""
    return _value(values[path][1]) if path in values else None


def request_of(record: Mapping[str, Any], values: Mapping[str, tuple[bytes, bytes]]) -> dict[str, Any]:
    """Return the request that a record and its sealed values hold, in the wire's field names."""
    request: dict[str, Any] = {field: record[name] for name, field in CLEAR.items() if name in record}
    args: dict[str, Any] = {}
    clear = {path: spelling.encode() for path, spelling in record.get("shown", ())}
    for path, spelling in [*clear.items(), *((path, spelling) for path, (_, spelling) in values.items())]:
        part, dot, name = path.partition(".")  # a name may be empty: `args.` is one value, `args` all of them
        if part == "args":
            value = _value(spelling)
            if dot:
                args[name] = value
            else:
                args.update(value)
        elif part == "request":
            value = _value(spelling)
            request.update({name: value} if dot else value)
    return request | {"tool_args": args}


def _value(spelling: bytes) -> Any:
    """Read a value that was sealed; a request's JSON, so read as strictly as one."""
    value = read_json(spelling)
    assert not isinstance(value, Fault), value
    return value


def facts_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two decisions are compared by; what is empty is left out of records."""
    return {name: said.get(name) or [] for name in COMPARED}


def _asks_for_words(rule: Rule) -> bool:
    return any(isinstance(test.predicate, From) for test in [*tests_of(rule.when), *tests_of(rule.unless)])


def _may_concern(rule: Rule, request: Request | None) -> bool:
    names = [pattern.value for pattern in rule.tools if pattern.kind == "name"]
    return request is None or len(names) < len(rule.tools) or request.tool_name in names


@dataclass(slots=True)
class Count:
    """How many decisions came to what, and the first mismatches."""

    by_status: dict[Status, int] = field(default_factory=dict)
    different: list[Derived] = field(default_factory=list)

    def take(self, found: Iterable[Derived], shown_max: int = 100) -> "Count":
        """Count a run."""
        for one in found:
            self.by_status[one.status] = self.by_status.get(one.status, 0) + 1
            if one.status is Status.DIFFERENT and len(self.different) < shown_max:
                self.different.append(one)
        return self
