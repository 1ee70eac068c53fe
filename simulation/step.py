"""The replay step: a group of sessions in, decisions and a tally out.

A plain function over plain values: what it knows it is handed, what it found it returns. Groups that share no counter
may be replayed in any order, on any machine; their tallies add up.

The session is told what really happened, whatever was decided. So once a policy has stopped a call of a session, nobody
knows whether its later calls would have been made: they are decided all the same, and counted as *hypothetical*.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec

from ..contract import Decision, Fault, Request
from ..engine.collecting import not_collecting
from ..engine.ledger import Ledger
from ..engine.rerun import Rerun
from ..engine.session import CALLS_MAX, Session
from .calls import ALONE, Call, RecordedSession, admitted_request
from .changes import cause_of
from .coverage import Coverage
from .scores import kind_of
from .tally import EXAMPLES_MAX, Example, Names, Outcome, Tally

Key: TypeAlias = tuple[Any, ...]
RUNS: Final = frozenset({"ALLOW", "MODIFY"})
ENCODE: Final = msgspec.json.Encoder().encode
DAY_S: Final = 86_400


class Row(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One line of a decisions file."""

    session_id: str
    seq: int
    decision: str
    verdict: str
    by: str
    rules: tuple[str, ...]
    reason_code: str
    hypothetical: bool
    was: str | None = None
    was_rules: tuple[str, ...] | None = None


"""Without the last two where nothing is compared."""


@dataclass(slots=True)
class Open:
    """A session under way: its facts under the policy and under the one that it is compared with."""

    new: Session
    old: Session | None
    ledgers: tuple[Ledger, Ledger]
    stopped: bool = False
    place: int = 0


@dataclass(slots=True)
class Replayer:
    """What a replay carries from group to group: the policies, the counters, and the tally.

    `old` is the policy to compare with; without it calls are compared with what was decided when they were recorded,
    where that is known. `write` takes the place of a session and one line of the decisions file.
    """

    new: Rerun
    old: Rerun | None = None
    write: Callable[[int, bytes], Any] | None = None
    coverage: Coverage | None = None
    tally: Tally = field(default_factory=Tally)
    cells: dict[tuple[str, str], dict[Key, list[int]]] = field(default_factory=dict)
    """By source and suite, what `tally.outcomes` will hold once the group is done."""
    ledgers: dict[int, tuple[Ledger, Ledger]] = field(default_factory=dict)
    open: dict[tuple[str, str], Open] = field(default_factory=dict)
    tools: Names = field(default_factory=Names)
    agents: Names = field(default_factory=Names)
    day: tuple[float, float, str] = (0.0, 0.0, "")
    number: int = 0
    passage: Any = field(default=None, init=False)
    """The fast way through plain calls, None where there is none."""

    def __post_init__(self) -> None:
        """Ask the evaluator for its fast way."""
        self.passage = self.new.passage(Call)

    def cells_of(self, call: Call) -> dict[Key, list[int]]:
        """Return where the outcomes of the source and suite of a call are counted."""
        return self.cells.setdefault(place_of(call), {})

    def note(self, agent: str | None, effects: list[str]) -> None:
        """Count what the calls of one agent came out as."""
        name = self.agents.of(agent)
        for effect, count in Counter(effects).items():
            self.tally.agents[name, effect] += count


def replay_group(carry: Replayer, sessions: Iterable[RecordedSession]) -> Tally:
    """Decide every call of the sessions in order, and return the tally with them counted.

    A session that comes in parts is one session; those of one `group` share their counters.
    """
    with not_collecting():
        for recorded in sessions:
            key = (recorded.calls[0].tenant_id, recorded.id)
            under_way = _opened(carry, recorded) if recorded.opens else carry.open[key]
            under_way.place = recorded.place
            _replay(carry, under_way, recorded.calls)
            if not recorded.closes:
                carry.open[key] = under_way
                continue
            if not recorded.opens:
                del carry.open[key]
            carry.tally.sessions += 1
            carry.tally.sessions_stopped += under_way.stopped
    for place, cells in carry.cells.items():
        for found, (count,) in cells.items():
            carry.tally.outcomes[outcome_of(place, found)] += count
    carry.cells = {}
    return carry.tally


def _opened(carry: Replayer, recorded: RecordedSession) -> Open:
    first, group = recorded.calls[0], recorded.group
    at, tenant = first.ts, first.tenant_id
    if group == ALONE or group not in carry.ledgers:
        ledgers = Ledger(), Ledger()
        if group != ALONE:
            carry.ledgers[group] = ledgers
    else:
        ledgers = carry.ledgers[group]
    new = carry.new.session(recorded.id, at, tenant, recorded.prompt, recorded.begun)
    old = None if carry.old is None else carry.old.session(recorded.id, at, tenant, recorded.prompt, recorded.begun)
    return Open(new, old, ledgers, place=recorded.place)


def _replay(carry: Replayer, under_way: Open, calls: tuple[Call, ...]) -> None:
    """Decide the calls of one session in order, count each, and take in what really happened.

    Written out in one piece, for it is all that a replay does: a name for each step would cost as much as the step.
    Stretches of plain calls are gone through by native code, which hands back whatever takes more than that.
    """
    new, session, ledger = carry.new, under_way.new, under_way.ledgers[0]
    decide, kinds, coverage, write = new.decided, new.kinds, carry.coverage, carry.write
    known, tally, old = carry.tools.known, carry.tally, carry.old
    number, (since, until, day) = carry.number, carry.day
    stopped, compared = under_way.stopped, old is not None
    marks: list[str] = []
    agent = calls[0].agent_id
    suite, counts = calls[0].suite, carry.cells_of(calls[0])
    passage = carry.passage if coverage is None and write is None and not compared else None
    at = 0
    while at < len(calls):
        call = calls[at]
        ts, request, decision = call.ts, call.request, None
        if call.suite != suite:
            suite, counts = call.suite, carry.cells_of(call)
        if call.agent_id != agent:
            carry.note(agent, marks)
            agent, marks = call.agent_id, []
        if not since <= ts < until:
            since, until, day = carry.day = _day(ts)
            tally.days.add(day)
        if passage is not None:
            begun = at
            at, stopped, number, decision = passage.run(
                calls, at, session, ledger, counts, known, marks, suite, agent, since, until, stopped, number,
                EXAMPLES_MAX,
            )  # fmt: skip
            if at == len(calls):
                break
            if at > begun:
                call = calls[at]
                if decision is None:
                    continue
                ts, request = call.ts, call.request
        at += 1
        if request is None:
            request = admitted_request(call)
        if decision is None:
            number += 1
            decision = decide(request, session=session, ledger=ledger, now=ts, approval=None, id=str(number))
        id = decision.id
        if decision.reservations or decision.violation is not None:
            new.counted(decision, ledger)
        if coverage is not None:
            coverage.look(new, decision, session)

        # `_value_` and not `value`: a member's own attribute, not the way through its class.
        effect, problem, rules = decision.effect._value_, decision.problem, decision.rules
        kind, tool = call.kind, call.tool_name
        if kind is None:
            kind = kind_of(call.labels)
        if tool not in known:
            tool = carry.tools.of(tool)
        key: Key = (tool, kind, stopped, effect, decision.by._value_, decision.reason_code, rules)
        was = was_by = ""
        was_rules: tuple[str, ...] = ()
        if compared or call.was is not None:
            was, was_by, was_rules = _before(carry, under_way, call, request, id)
            key = (*key, was, was_by, was_rules)
        if problem or decision.would_be or decision.trial or decision.verdict is not decision.effect:
            key = (*key, not problem, decision.verdict._value_, decision.would_be, decision.trial)
        cell = counts.get(key)  # a cell, so that a key is hashed once
        if cell is None:
            cell = counts[key] = [0]
        cell[0] += 1
        marks.append(effect)
        if effect != "ALLOW":
            if effect == "STEP_UP":
                tally.disturbed[call.user_id, day] += 1
                for name in _approvers(decision):
                    tally.asked[name, day] += 1
            if problem:
                tally.misfits[tool, problem[:200]] += 1
        # A group of examples takes the first few; they are among the first few of the outcomes that it is made of.
        if cell[0] <= EXAMPLES_MAX and was != effect and (was or effect not in RUNS):
            _exemplify(tally, under_way, call, decision, outcome_of(place_of(call), key))
        if write is not None:
            row = Row(
                call.session_id, call.seq, effect, decision.verdict._value_, decision.by._value_, rules,
                decision.reason_code, stopped, was or None, was_rules if was else None,
            )  # fmt: skip
            write(under_way.place, ENCODE(row))

        result, means = call.result, kinds.get((call.tool_name, call.suite))
        if (
            means is not None and means.plain and result is not None and call.executed and call.ended
            and call.tool_error is None and len(session.calls) < CALLS_MAX
        ):  # fmt: skip
            if effect == "BLOCK":
                session.blocks += 1
            new.completed(id, means, session, ts, result, call.whole)
        else:
            _told(new, decision, session, ledger, call)
        if effect not in RUNS:
            stopped = True
    carry.note(agent, marks)
    under_way.stopped, carry.number = stopped, number
    tally.calls += len(calls)
    tally.first_ts = min(tally.first_ts, calls[0].ts)
    tally.last_ts = max(tally.last_ts, calls[-1].ts)


def _before(
    carry: Replayer, under_way: Open, call: Call, request: Request | Fault, id: str
) -> tuple[str, str, tuple[str, ...]]:
    """Return what the call is compared with: its effect, what decided, and the rules."""
    old = carry.old
    if old is None or under_way.old is None:
        return (call.was.effect, call.was.reason_code, call.was.rules) if call.was is not None else ("", "", ())
    before = old.decide(request, under_way.old, under_way.ledgers[1], call.ts, id)
    _told(old, before, under_way.old, under_way.ledgers[1], call)
    return before.effect._value_, before.by._value_, before.rules


def place_of(call: Call) -> tuple[str, str]:
    """Return the source and the suite of a call."""
    return str(call.labels.get("source", "")), call.suite or ""


def outcome_of(place: tuple[str, str], key: Key) -> Outcome:
    """Return the outcome that a key of `Replayer.cells` stands for: what is usual is left out of a key."""
    (tool, kind, stopped, effect, by, reason_code, rules), rest = key[:7], key[7:]
    was, was_by, was_rules = rest[:3] if len(rest) in (3, 7) else ("", "", ())
    fits, verdict, would_be, trial = rest[-4:] if len(rest) in (4, 7) else (True, effect, (), ())
    return Outcome(
        *place, kind, tool, stopped, fits, effect, verdict, by, reason_code, rules, would_be, trial,
        was, was_by, was_rules,
    )  # fmt: skip


def _exemplify(tally: Tally, under_way: Open, call: Call, decision: Decision, outcome: Outcome) -> None:
    """Keep a call as an example of what becomes of such calls, where there are not enough yet."""
    place = (under_way.place, call.seq)
    held = tally.example((outcome.was, outcome.effect, cause_of(outcome)), place)
    if held is not None:
        held.append(Example(place, call, outcome, tuple(_approvers(decision)), decision.problem))


def _approvers(decision: Decision) -> list[str]:
    return sorted({name for ask in decision.asks for name in ask.approvers})


def _told(rerun: Rerun, decision: Decision, session: Session, ledger: Ledger, call: Call) -> None:
    rerun.happened(
        decision,
        session,
        ledger,
        executed=call.executed,
        ended=call.ended,
        failed=call.tool_error is not None,
        result=call.result,
        whole=call.whole,
        brought=call.brought,
    )


def _day(ts: float) -> tuple[float, float, str]:
    """Return the day (UTC) of a time: from, until, and its date."""
    start = ts // DAY_S * DAY_S
    return start, start + DAY_S, time.strftime("%Y-%m-%d", time.gmtime(start))
