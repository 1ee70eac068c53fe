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
from typing import Any, Final, Literal

from ..contract import Decision, Effect, Ending, Fault, Request, read_json
from ..engine import Engine, Session
from ..engine.checked import CheckedPolicy, From, Rule
from ..engine.wording import tests_of
from ..evidence import LogReader
from ..evidence.browse import Entry
from ..evidence.errors import EvidenceError

COMPARED: Final = ("effect", "verdict", "by", "reason_code", "rules", "would_be", "mode")
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


class _World:
    """One policy's engine under one belief about how sessions began."""

    def __init__(self, policy: CheckedPolicy, begun: bool, evaluator: Literal["native", "reference"]) -> None:
        self.clock = _Clock()
        self.engine = Engine(policy, evaluator=evaluator, clock=self.clock)
        self.begun = begun
        self.sessions: dict[tuple[str | None, str], Session] = {}
        self.made: dict[str, Decision] = {}

    def decide(self, request: dict[str, Any], at: float, recorded: Mapping[str, Any]) -> Decision:
        self.clock.now = at
        session = self.session(request, at)
        decision = self.engine.decide(request, session=session)
        if recorded.get("effect") in (Effect.ALLOW, Effect.MODIFY):
            self.engine.ran(decision, session)
            self.made[str(recorded.get("id"))] = decision
        return decision

    def session(self, request: dict[str, Any], at: float) -> Session | None:
        id = request.get("session_id")
        if not id:
            return None
        key = (request.get("tenant_id"), id)
        if key not in self.sessions:
            alone = request.get("session_tool_calls") == [request.get("tool_name")]
            bound = self.engine.policy.bounds.provenance_bytes
            self.sessions[key] = Session(id, at, self.begun or alone, key[0], provenance_bytes=bound)
        return self.sessions[key]

    def ended(self, record: Mapping[str, Any]) -> None:
        decision = self.made.pop(str(record.get("decision")), None)
        if decision is not None:
            self.engine.restored(decision, Ending(record["ended"]), frozenset(record.get("labels", ())))


def derive(
    reader: LogReader, policies: Sequence[CheckedPolicy], evaluator: Literal["native", "reference"] = "native"
) -> Iterator[Derived]:
    """Derive every decision of a log again, in the order of its records.

    `policies` are those that may have been in force; a record names the digest of its own.
    """
    worlds = {
        policy.digest: [_World(policy, begun, evaluator) for begun in (True, False)] for policy in policies
    }
    believed: dict[tuple[str | None, str | None], set[bool]] = {}
    for entry in reader.entries():
        record = entry.record
        if record.get("kind") == "outcome":
            for world in (world for pair in worlds.values() for world in pair):
                world.ended(record)
        elif record.get("kind") == "decision":
            yield _derive_one(reader, entry, worlds.get(str(record.get("policy_digest")), []), believed)


def _derive_one(
    reader: LogReader,
    entry: Entry,
    worlds: list[_World],
    believed: dict[tuple[str | None, str | None], set[bool]],
) -> Derived:
    record, id = entry.record, str(entry.record.get("id"))
    if "tool" not in record:
        return Derived(entry.place, id, Status.UNDECIDED)
    if record.get("shortened"):
        return Derived(entry.place, id, Status.SHORTENED)
    if not worlds:
        return Derived(entry.place, id, Status.OTHER_POLICY)
    try:
        request = request_of(record, reader.values(entry))
    except EvidenceError:
        return Derived(entry.place, id, Status.ERASED)
    at = int(record["decided_us"]) / 1_000_000
    recorded = facts_of(record)
    made = {world.begun: world.decide(request, at, record) for world in worlds}
    session = (record.get("tenant"), record.get("session"))
    held = believed.setdefault(session, {True, False})
    explaining = {begun for begun in held if facts_of(_said(made[begun])) == recorded}
    if explaining:
        believed[session] = explaining if record.get("session") else held
        return Derived(entry.place, id, Status.SAME)
    derived = facts_of(_said(made[max(held)]))
    policy = worlds[0].engine.policy
    if record.get("approval") or record.get("by") == "approval":
        return Derived(entry.place, id, Status.APPROVAL, recorded, derived)
    if any(_asks_for_words(rule) for rule in policy.rules if _may_concern(rule, made[max(held)].request)):
        return Derived(entry.place, id, Status.WORDS, recorded, derived)
    return Derived(entry.place, id, Status.DIFFERENT, recorded, derived)


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


def _said(decision: Decision) -> dict[str, Any]:
    return decision.facts()


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
