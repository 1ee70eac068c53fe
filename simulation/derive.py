"""Every decision of an evidence log derived again, from what the log holds.

A log keeps the request of each decision, its arguments in the vault, and how calls ended. From these the
sessions and counters of the time are built up again, record by record, and each decision is made once more
under the policy whose digest the record names. What differs is a mismatch. What cannot be derived is named
with the reason: values that were erased or shortened, another policy, approvers' answers, and the words of
users and tools, of which a log keeps none.

Whether the engine had seen a session begin is not in a record. Both beginnings are tried, and a session
keeps those that explain all its decisions so far; a decision that neither explains is a mismatch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final, Literal, TypeAlias

from ..contract import Decision, Effect, Ending, Fault, Request, Reservation, Violation, read_json
from ..engine import Engine, Session
from ..engine.checked import CheckedPolicy, From, Rule
from ..engine.wording import tests_of
from ..evidence import LogReader
from ..evidence.browse import Entry
from ..evidence.errors import EvidenceError

COMPARED: Final = ("effect", "verdict", "by", "reason_code", "rules", "would_be", "mode")
_Key: TypeAlias = tuple[str | None, str | None]
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
    APPROVAL = "approvers' answers are not kept"
    WORDS = "words of users and tools are not kept"
    UNDECIDED = "no request was kept"


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
    """What is known of a recorded decision that was let through or held: what it reserved, and its derivations."""

    reservations: list[Reservation]
    derived: list[Decision] = field(default_factory=list)


class _Past:
    """One policy's engine, brought from record to record to where the log says it stood.

    Each session stands here twice, as one whose beginning was seen and as one whose beginning was not. Counters
    follow what the records say was reserved, so one decision that differs does not make all after it differ.
    """

    def __init__(self, policy: CheckedPolicy, evaluator: Literal["native", "reference"]) -> None:
        self.clock = _Clock()
        self.engine = Engine(policy, evaluator=evaluator, clock=self.clock)
        self.windows = {rule.id: rule.limit.window_s for rule in policy.rules if rule.limit is not None}
        self.sessions: dict[_Key, dict[bool, Session]] = {}
        self.made: dict[str, _Made] = {}

    def weigh(self, request: dict[str, Any], at: float) -> dict[bool, Decision]:
        """Return what the call comes out as, by whether its session's beginning was seen."""
        self.clock.now = at
        key = (request.get("tenant_id"), request.get("session_id"))
        if not key[1]:
            return {False: self.engine.weigh(request)}
        if key not in self.sessions:
            bound = self.engine.policy.bounds.provenance_bytes
            begun = [True] if request.get("session_tool_calls") == [request["tool_name"]] else [True, False]
            self.sessions[key] = {b: Session(key[1], at, b, key[0], provenance_bytes=bound) for b in begun}
        return {begun: self.engine.weigh(request, session=s) for begun, s in self.sessions[key].items()}

    def take(
        self, record: Mapping[str, Any], values: Mapping[str, tuple[bytes, bytes]], made: dict[bool, Decision]
    ) -> None:
        """Count a decision as the record says that it was enforced."""
        id, at, effect = str(record["id"]), self.clock.now, record.get("effect")
        if record.get("approval"):
            self._give_back(str(record["approval"]).removeprefix("approval-"))
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
        sessions = self.sessions.get((record.get("tenant"), record.get("session")), {})
        for begun, session in sessions.items():
            if effect in (Effect.ALLOW, Effect.MODIFY):
                self.engine.ran(made[begun], session)
                self.made[id].derived.append(made[begun])
            elif effect == Effect.BLOCK:
                session.blocked()

    def end(self, record: Mapping[str, Any], atomic: Mapping[str, bool]) -> None:
        """Take in how a call ended."""
        id, ending = str(record.get("decision")), Ending(record["ended"])
        made = self.made.get(id)
        for decision in made.derived if made else ():
            self.engine.restored(decision, ending, frozenset(record.get("labels", ())))
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
    pasts = {policy.digest: _Past(policy, evaluator) for policy in policies}
    atomic = {name: any(t.atomic for t in tools) for policy in policies for name, tools in policy.tools.items()}
    believed: dict[_Key, set[bool]] = {}
    for entry in reader.entries():
        record = entry.record
        if record.get("kind") == "outcome":
            for past in pasts.values():
                past.end(record, atomic)
        elif record.get("kind") == "decision":
            yield _derive_one(reader, entry, pasts.get(str(record.get("policy_digest"))), believed)


def _derive_one(reader: LogReader, entry: Entry, past: _Past | None, believed: dict[_Key, set[bool]]) -> Derived:
    record, id = entry.record, str(entry.record.get("id"))
    if "tool" not in record:
        return Derived(entry.place, id, Status.UNDECIDED)
    if record.get("shortened"):
        return Derived(entry.place, id, Status.SHORTENED)
    if past is None:
        return Derived(entry.place, id, Status.OTHER_POLICY)
    try:
        values = reader.values(entry)
    except EvidenceError:
        return Derived(entry.place, id, Status.ERASED)
    recorded = facts_of(record)
    made = past.weigh(request_of(record, values), int(record["decided_us"]) / 1_000_000)
    past.take(record, values, made)
    session = (record.get("tenant"), record.get("session"))
    held = believed.get(session, set(made)) & set(made)
    explaining = {begun for begun in held if facts_of(made[begun].facts()) == recorded}
    if explaining:
        if record.get("session"):
            believed[session] = explaining
        return Derived(entry.place, id, Status.SAME)
    nearest = made[max(held)]
    status = Status.DIFFERENT
    if record.get("approval") or record.get("by") == "approval":
        status = Status.APPROVAL
    elif any(_asks_for_words(rule) for rule in past.engine.policy.rules if _may_concern(rule, nearest.request)):
        status = Status.WORDS
    return Derived(entry.place, id, status, recorded, facts_of(nearest.facts()))


def _kept(values: Mapping[str, tuple[bytes, bytes]], path: str) -> Any:
    """Return one sealed value, None where there is none."""
    return _value(values[path][1]) if path in values else None


def request_of(record: Mapping[str, Any], values: Mapping[str, tuple[bytes, bytes]]) -> dict[str, Any]:
    """Return the request that a record and its sealed values hold, in the wire's field names."""
    request: dict[str, Any] = {field: record[name] for name, field in CLEAR.items() if name in record}
    args: dict[str, Any] = {}
    clear = {path: spelling.encode() for path, spelling in record.get("shown", ())}
    for path, spelling in [*clear.items(), *((path, spelling) for path, (_, spelling) in values.items())]:
        part, _, name = path.partition(".")
        if part == "args":
            value = _value(spelling)
            if name:
                args[name] = value
            else:
                args.update(value)
        elif part == "request":
            value = _value(spelling)
            request.update({name: value} if name else value)
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
