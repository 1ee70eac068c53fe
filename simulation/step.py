"""The replay step: a group of sessions in, decisions and a tally out.

A plain function over plain values: what it knows it is handed, what it found it returns. Groups that share no counter
may be replayed in any order, on any machine; their tallies add up.

The session is told what really happened, whatever was decided. So once a policy has stopped a call of a session, nobody
knows whether its later calls would have been made: they are decided all the same, and counted as *hypothetical*.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ..contract import Decision
from ..engine.collecting import not_collecting
from ..engine.ledger import Ledger
from ..engine.rerun import Rerun
from ..engine.session import Session
from .calls import ALONE, Call, RecordedSession, admitted_request
from .changes import cause_of, sentence
from .coverage import Coverage
from .scores import kind_of
from .tally import EXAMPLES_MAX, Example, Names, Outcome, Tally

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
    counts: dict[tuple[Any, ...], int] = field(default_factory=dict)
    """What `tally.outcomes` will hold once the group is done."""
    who: dict[tuple[str, str, bool], int] = field(default_factory=dict)
    ledgers: dict[int, tuple[Ledger, Ledger]] = field(default_factory=dict)
    open: dict[tuple[str, str], Open] = field(default_factory=dict)
    tools: Names = field(default_factory=Names)
    agents: Names = field(default_factory=Names)
    because: dict[str, str] = field(default_factory=dict)
    day: tuple[float, float, str] = (0.0, 0.0, "")
    number: int = 0

    def __post_init__(self) -> None:
        """Gather what the rules give as their reasons, for examples."""
        for one in (self.old, self.new):
            self.because |= {rule.id: rule.because for rule in one.policy.rules} if one else {}


def replay_group(carry: Replayer, sessions: Iterable[RecordedSession]) -> Tally:
    """Decide every call of the sessions in order, and return the tally with them counted.

    A session that comes in parts is one session; those of one `group` share their counters.
    """
    with not_collecting():
        for recorded in sessions:
            calls = recorded.calls
            key = (calls[0].tenant_id, recorded.id)
            under_way = _opened(carry, recorded) if recorded.opens else carry.open[key]
            under_way.place = recorded.place
            for call in calls:
                _decide(carry, under_way, call)
            carry.tally.calls += len(calls)
            if not recorded.closes:
                carry.open[key] = under_way
                continue
            if not recorded.opens:
                del carry.open[key]
            carry.tally.sessions += 1
            carry.tally.sessions_stopped += under_way.stopped
    carry.tally.outcomes.update({Outcome(*key): count for key, count in carry.counts.items()})
    carry.tally.agents.update(carry.who)
    carry.counts, carry.who = {}, {}
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


def _decide(carry: Replayer, under_way: Open, call: Call) -> None:
    """Decide one call, count it, and take in what really happened."""
    request = call.request
    if request is None:
        request = admitted_request(call)
    ts, new, session = call.ts, carry.new, under_way.new
    number = carry.number = carry.number + 1
    decision = new.decide(request, session, under_way.ledgers[0], ts, str(number))
    if carry.coverage is not None:
        carry.coverage.look(new, decision, session)
    was, was_by = "", ""
    was_rules: tuple[str, ...] = ()
    if carry.old is not None and under_way.old is not None:
        before = carry.old.decide(request, under_way.old, under_way.ledgers[1], ts, str(number))
        was, was_by, was_rules = before.effect._value_, before.by._value_, before.rules
        _told(carry.old, before, under_way.old, under_way.ledgers[1], call)
    elif call.was is not None:
        was, was_by, was_rules = call.was.effect, call.was.reason_code, call.was.rules
    # `_value_` and not `value`: a member's own attribute, not the way through its class.
    effect, stopped, kind, problem = decision.effect._value_, under_way.stopped, call.kind, decision.problem
    labels, tool, agent = call.labels, call.tool_name, call.agent_id
    if kind is None:
        kind = kind_of(labels)
    if tool not in carry.tools.known:
        tool = carry.tools.of(tool)
    if agent not in carry.agents.known:
        agent = carry.agents.of(agent)
    rules = decision.rules
    key = (
        labels.get("source", "") if labels else "", call.suite or "", kind, tool, stopped, not problem, effect,
        decision.verdict._value_, decision.by._value_, decision.reason_code, rules, decision.would_be, decision.trial,
        was, was_by, was_rules,
    )  # fmt: skip
    counts = carry.counts
    count = counts[key] = counts.get(key, 0) + 1
    who = (agent, effect, stopped)
    carry.who[who] = carry.who.get(who, 0) + 1
    tally = carry.tally
    if not carry.day[0] <= ts < carry.day[1]:
        carry.day = _day(ts)
        tally.days.add(carry.day[2])
    if ts < tally.first_ts:
        tally.first_ts = ts
    if ts > tally.last_ts:
        tally.last_ts = ts
    if effect == "STEP_UP":
        day = carry.day[2]
        tally.disturbed[call.user_id, day] += 1
        for name in sorted({name for ask in decision.asks for name in ask.approvers}):
            tally.asked[name, day] += 1
    if problem:
        tally.misfits[tool, problem[:200]] += 1
    # A group of examples takes the first few; they are among the first few of the outcomes that it is made of.
    if count <= EXAMPLES_MAX and was != effect and (was or effect not in RUNS):
        place = (under_way.place, call.seq)
        held = tally.example((was, effect, cause_of(Outcome(*key))), place)
        if held is not None:
            text = sentence(call, decision, was, was_rules, carry.because)
            held.append(Example(place, text, call.session_id, call.seq))
    if carry.write is not None:
        row = Row(
            call.session_id, call.seq, effect, decision.verdict._value_, decision.by._value_, rules,
            decision.reason_code, stopped, was or None, was_rules if was else None,
        )  # fmt: skip
        carry.write(under_way.place, ENCODE(row))
    new.happened(
        decision,
        session,
        under_way.ledgers[0],
        executed=call.executed,
        ended=call.ended,
        failed=call.tool_error is not None,
        result=call.result,
        whole=call.whole,
        brought=call.brought,
    )
    if effect not in RUNS:
        under_way.stopped = True


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
