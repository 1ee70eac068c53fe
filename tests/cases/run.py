"""Golden cases: one document of YAML, a policy, what went before, a request, and what must come out.

`read` gives the cases of a file, `prepare` the facts that a case describes, `decide` the decision. Every
path through the house (reference, table, socket) runs the same cases.
"""

import copy
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import yaml

from thoth.contract import Answer, Approval, Decision, Effect, Ending, Request, admit, read_json
from thoth.engine import checked as c
from thoth.engine import reference
from thoth.engine.check import check
from thoth.engine.compile import DecisionTable, compile
from thoth.engine.decide import decide as decide_by_table
from thoth.engine.evaluators import Reference
from thoth.engine.learned import digest_of, host_digest_of
from thoth.engine.ledger import Ledger
from thoth.engine.reference_binding import bind
from thoth.engine.results import pass_on
from thoth.engine.session import Call, Session
from thoth.grammar import Policy, parse

FOLDER = Path(__file__).parent
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
KEYS = {
    *("note", "policy", "policy_file", "modules", "learned", "now", "session", "unseen", "root", "before", "approval"),
    *("request", "request_json", "expect"),
}
SESSION_OPEN_S = 3600
"""How long before `now` a case's session was opened."""


class Decide(Protocol):
    """One path through the house: the reference's own signature."""

    def __call__(
        self,
        policy: c.CheckedPolicy,
        given: object,
        /,
        *,
        session: Session | None,
        ledger: Ledger | None,
        now: float,
        approval: Approval | None = None,
        id: str = "",
    ) -> Decision: ...


@dataclass(frozen=True)
class Case:
    """One document; `name` is readable: its file and its note."""

    file: str
    document: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.file}: {self.document['note']}"

    @property
    def given(self) -> object:
        """What the caller hands over: a request, or the text of one."""
        if "request_json" in self.document:
            return read_json(self.document["request_json"])
        return copy.deepcopy(self.document["request"])

    @property
    def policy_text(self) -> str:
        """The policy, written here or in a file beside the cases."""
        if "policy_file" in self.document:
            return FOLDER.joinpath(str(self.document["policy_file"])).read_text("utf-8")
        return str(self.document["policy"])

    @property
    def now(self) -> float:
        moment = self.document.get("now", NOW)
        assert isinstance(moment, datetime), "`now` is a time with its zone"
        return float(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())


def read(folder: Path = FOLDER) -> list[Case]:
    """Return all cases of a folder, file by file."""
    return [Case(path.stem, document) for path in sorted(folder.glob("*.yaml")) for document in documents(path)]


def documents(path: Path) -> Iterator[dict[str, Any]]:
    for document in yaml.safe_load_all(path.read_text("utf-8")):
        assert isinstance(document, dict), f"{path.name}: a case is a mapping"
        unknown = set(document) - KEYS
        assert not unknown, f"{path.name}: {document.get('note')}: unknown {unknown}"
        yield document


def policy_of(case: Case) -> c.CheckedPolicy:
    """Return the case's policy, checked; each text is checked once."""
    modules = tuple(sorted(case.document.get("modules", {}).items()))
    learned = case.document.get("learned")
    baseline = None if learned is None else tuple(sorted((name, tuple(used)) for name, used in learned.items()))
    return _policy(case.policy_text, modules, baseline)


@functools.cache
def _policy(
    text: str, modules: tuple[tuple[str, str], ...], learned: tuple[tuple[str, tuple[str, ...]], ...] | None
) -> c.CheckedPolicy:
    texts = dict(modules)

    def find(name: str, using: str) -> Policy | None:
        return parse(texts[name], f"{name}.thoth") if name in texts else None

    baseline = None
    if learned is not None:
        baseline = {
            argument_of(name): frozenset(
                digest for value in used for digest in (digest_of(value), host_digest_of(value)) if digest
            )
            for name, used in learned
        }
    return check(parse(text, "case.thoth"), find, baseline=baseline).policy


def argument_of(name: str) -> tuple[str, str]:
    """Split `send.to` into the tool and its argument."""
    tool, _, argument = name.rpartition(".")
    return tool, argument


_tables: dict[int, tuple[c.CheckedPolicy, DecisionTable]] = {}


def by_table(policy: c.CheckedPolicy, given: object, /, **around: Any) -> Decision:
    """Decide on the native path; each policy is laid out once."""
    if id(policy) not in _tables:
        _tables[id(policy)] = policy, compile(policy)
    return decide_by_table(_tables[id(policy)][1], given, **around)


# ---------------------------------------------------------------- what went before


@dataclass
class World:
    """One case, ready to be decided by one path: its own session and its own ledger."""

    case: Case
    decide: Decide
    policy: c.CheckedPolicy
    session: Session | None
    ledger: Ledger = field(default_factory=Ledger)
    ids: int = 0

    def id(self) -> str:
        self.ids += 1
        return f"d{self.ids}"

    def run(self, given: object, now: float, approval: Approval | None = None) -> Decision:
        return self.decide(
            self.policy, given, session=self.session, ledger=self.ledger, now=now, approval=approval, id=self.id()
        )

    def apply(self, decision: Decision, call: dict[str, Any], now: float) -> None:
        """Do to session and ledger what the engine does after a decision, and after the call's end."""
        windows = {rule.id: rule.limit.window_s for rule in self.policy.rules if rule.limit is not None}
        for reservation in decision.reservations:
            self.ledger.reserve(reservation, now, decision.id, windows[reservation.limit])
        if decision.violation is not None:
            self.ledger.violate(decision.violation, now, self.policy.ladder.same_s)
        if self.session is not None and decision.effect == Effect.BLOCK:
            self.session.blocked()
        if decision.effect in (Effect.ALLOW, Effect.MODIFY):
            assert decision.request is not None
            tool = self.let_through(decision.request, now, decision.id, call)
            if tool is not None and tool.atomic and "fails" in call:
                for reservation in decision.reservations:
                    self.ledger.give_back(reservation, decision.id)

    def let_through(self, request: Request, now: float, id: str, call: dict[str, Any]) -> c.Tool | None:
        """Put a call into the session: its labels, its end, and what it returned."""
        evaluator = Reference(self.policy)
        tool = evaluator.tool_of(request)
        if self.session is None:
            return tool
        yields = tool.yields if tool else ()
        labels = frozenset(y.label for y in yields if not y.pattern)
        pending = evaluator.result_labels(request) | {y.label for y in yields if y.pattern}
        made = Call(id, request.tool_name, tool.classes if tool else None, now, pending=pending - labels)
        self.session.let_through(made, labels)
        if call.get("in_flight"):
            return tool
        text = call.get("fails", call.get("returns"))
        brought = frozenset[str]()
        if text is not None:
            args = bind(self.policy, request).args
            rules = evaluator.on_result(request, args, text, self.session, now)
            brought = pass_on(text, text, tool, rules, self.policy.bounds.scan_chars, evaluator.spans).labels
        self.session.ended(made, Ending.FAILED if "fails" in call else Ending.COMPLETED, text, brought)
        return tool


def prepare(case: Case, decide: Decide) -> World:
    """Return the world in which a case's request is made."""
    document = case.document
    policy = policy_of(case)
    session = None
    if "session" in document:
        session = Session(
            "case",
            case.now - SESSION_OPEN_S,
            begun=not document.get("unseen", False),
            provenance_bytes=policy.bounds.provenance_bytes,
        )
        if "root" in document:
            session.root = Session("root", case.now - SESSION_OPEN_S)
            for turn in document["root"]:
                session.root.said(turn["said"])
    world = World(case, decide, policy, session)
    for step in document.get("session", []):
        assert session is not None
        if "said" in step:
            session.said(step["said"])
        elif "blocked" in step:
            session.blocks += step["blocked"]
        else:
            request = admit(with_context(case, step["call"]))
            assert isinstance(request, Request), request
            world.let_through(request, case.now - step.get("ago", 90), world.id(), step)
    for step in document.get("before", []):
        now = case.now - step.get("ago", 90)
        world.apply(world.run(with_context(case, step["request"]), now), step, now)
    return world


CONTEXT = ("tenant_id", "agent_id", "user_id", "environment", "approved_scope", "enforcement_mode")


def with_context(case: Case, request: dict[str, Any]) -> dict[str, Any]:
    """Return an earlier request: what it does not say of its context is as in the case's own."""
    own = case.given
    shared = {name: own[name] for name in CONTEXT if name in own} if isinstance(own, dict) else {}
    return {**shared, **request}


def approval_of(world: World, described: dict[str, Any]) -> Approval:
    """Return an approval of the case's own call, held a moment ago, or of the call under `of`."""
    case = world.case
    held_request = with_context(case, described["of"]) if "of" in described else case.given
    held = world.run(held_request, case.now)
    assert held.effect == Effect.STEP_UP, f"{case.name}: {held.effect} is nothing to approve"
    world.apply(held, {}, case.now)
    if described.get("used"):
        world.ledger.use("approval")
    return Approval(
        id="approval",
        call=held.call,
        expires=case.now + described.get("expires_in", 60),
        answers=tuple(Answer(**answer) for answer in described.get("answers", [])),
        reservations=held.id,
    )


def decide(case: Case, by: Decide = reference.decide, last: Decide | None = None) -> Decision:
    """Decide a case's request on one path; `last` is the path of the request itself, where it is another one."""
    world = prepare(case, by)
    approval = approval_of(world, case.document["approval"]) if "approval" in case.document else None
    world.decide = last or by
    return world.run(case.given, case.now, approval)


def differences(case: Case, decision: Decision) -> dict[str, tuple[object, object]]:
    """Return what a decision says otherwise than the case expects, as (expected, said)."""
    facts = decision.facts()
    differing: dict[str, tuple[object, object]] = {}
    for name, expected in case.document["expect"].items():
        said = facts[name]
        same = expected in str(said) if name == "problem" and expected else exact(expected) == exact(said)
        if not same:
            differing[name] = (expected, said)
    return differing


def exact(value: object) -> str:
    """Spell a value so that 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


__all__ = ["FOLDER", "Case", "Decide", "World", "by_table", "decide", "differences", "policy_of", "prepare", "read"]
