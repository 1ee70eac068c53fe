"""One request against one decision table: the Policy Decision Point (PDP).

Pure: no clock, no disk, no socket. Everything a decision depends on is in its arguments, so that it
can be repeated from its evidence record alone.
"""

from typing import Any, Final, Protocol

import msgspec

from ..contract import Approval, By, Decision, Effect, Fault, Request, admit, admit_json
from ..contract.request import DEPTH_MAX, INT_BITS_MAX, TEXT_CHARS_MAX, VALUES_MAX
from ..native.admission import Bounds, Intake
from ..native.entry import Entry
from ..native.names import nfc
from ..native.table import Walk
from ..native.wire import Wire
from .assemble import Assembly, Judgement
from .binding import Binding
from .call import Call
from .changes import ChangeError, change
from .checked import ResultRule, Rule
from .compile import DecisionTable
from .forms import REQUEST
from .ledger import Ledger
from .session import Session

INTAKE: Final = Intake(REQUEST, Bounds(DEPTH_MAX, INT_BITS_MAX, VALUES_MAX, TEXT_CHARS_MAX), "tool_name", "tool_args")
WIRE: Final = Wire(INTAKE, msgspec.json.decode, msgspec.msgpack.decode)
PACKED_MAPS: Final = frozenset(bytes([head]) for head in (*range(0x80, 0x90), 0xDE, 0xDF))
ALLOW, MODIFY, STEP_UP, DEFER, BLOCK = Effect


def in_full(
    table: DecisionTable,
    request: Request | Fault,
    session: Session | None,
    ledger: Ledger | None,
    now: float,
    approval: Approval | None,
    id: str,
) -> Decision:
    """Decide what `admitted` returned, step by step: whatever `native.answer` leaves, and all else just the same."""
    if isinstance(request, Fault):
        return refused(table, request, now, id)
    return judged(table, request, session, ledger, now, approval, id).decision()


def judged(
    table: DecisionTable,
    request: Request,
    session: Session | None,
    ledger: Ledger | None,
    now: float,
    approval: Approval | None,
    id: str,
) -> Assembly:
    """Return what the rows say of a request, and of its arguments as they are changed."""
    name = nfc(request.tool_name)
    binding = table.declarations.bind(name, request.environment, request.tool_args)
    leave_out = "" if approval is None else approval.reservations
    first = judge(table, Call(table.knowledge, request, name, binding, session, now), binding, ledger, leave_out)
    assembly = Assembly(table, request, session, ledger, now, approval, id, first)
    if first.modifying and not binding.problem:
        try:
            args = changed(table, binding, first.modifying)
        except ChangeError as error:
            assembly.failed = str(error)
        else:
            again = table.declarations.bind_named(name, request.environment, args)
            second = judge(table, Call(table.knowledge, request, name, again, session, now), again, ledger, leave_out)
            assembly.judge_again(second, args)
    return assembly


def admitted(given: object) -> Request | Fault:
    """Return what `admit` returns; a plain dict, as JSON is read into, and a `Request` are taken in faster."""
    request: Request | None = INTAKE.read(given)
    return admit(given) if request is None else request


def admitted_bytes(data: bytes | str) -> Request | Fault:
    """Return what `admit_json` returns; a MessagePack map is taken in as well.

    Where the bytes can be read in more than one way, or hold what JSON does not, that is a fault.
    """
    request: Request | None = WIRE.read(data)
    if request is not None:
        return request
    if isinstance(data, bytes) and data[:1] in PACKED_MAPS:
        try:
            known = admit(msgspec.msgpack.decode(data))
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            return Fault(f"not MessagePack: {error}")
        return known if isinstance(known, Fault) else Fault("a key that stands twice, or no JSON value")
    return admit_json(data)


def on_result(
    table: DecisionTable, request: Request, args: dict[str, Any], result: str, session: Session | None, now: float
) -> list[ResultRule]:
    """Return the result rules that apply to what a call with these arguments returned."""
    if not len(table.result_rows):
        return []
    name = nfc(request.tool_name)
    binding = table.declarations.bind_named(name, request.environment, args)
    walk = Walk(table.table, Call(table.knowledge, request, name, binding, session, now, result))
    return [table.policy.result_rules[number] for number in walk.holding(table.result_rows, now)]


def refused(table: DecisionTable, fault: Fault, now: float, id: str) -> Decision:
    """Return the decision about something that is no well-formed request."""
    return Decision(
        id=id,
        effect=Effect.BLOCK,
        verdict=Effect.BLOCK,
        by=By.ERROR,
        reason_code="request_invalid",
        policy_digest=table.policy.digest,
        request=None,
        now=now,
        regimes=table.policy.regimes,
        problem=str(fault),
    )


def judge(table: DecisionTable, call: Call, binding: Binding, ledger: Ledger | None, leave_out: str) -> Judgement:
    """Find the rows that hold, those that add risk first, and ask of each limit among them what it has left."""
    judgement = Judgement(call, binding)
    declared = call.declared
    bucket = table.bucket(call.name, -1 if declared is None else declared.number)
    walk, now = Walk(table.table, call), call.now
    for rows in bucket.risk:
        for number in walk.holding(rows, now):
            rule = table.rows[number].rule
            if on_trial(rule, now):
                judgement.trial.add(rule.id)
            else:
                call.risk = min(100, call.risk + rule.points)
    for rows in bucket.rules:
        for number in walk.holding(rows, now):
            row = table.rows[number]
            rule = row.rule
            if row.limit is not None:
                reservation = row.limit.reserve(call)
                judgement.limits.append(reservation)
                if row.limit.has_room(reservation, now, ledger, leave_out, judgement.counters):
                    continue
            if on_trial(rule, now):
                judgement.trial.add(rule.id)
            elif rule.limit is not None:
                judgement.exceeded.add(number)
            elif rule.effect is ALLOW:
                judgement.allowing.add(number)
            else:
                judgement.rules.add(number)
                if rule.effect is MODIFY:
                    judgement.modifying.add(number)
    return judgement


def on_trial(rule: Rule, now: float) -> bool:
    """Say whether a rule is only recorded."""
    return rule.trial and (rule.trial_until is None or now < rule.trial_until)


def changed(table: DecisionTable, binding: Binding, numbers: set[int]) -> dict[str, Any]:
    """Return the arguments as the modify rules change them.

    Raises:
        ChangeError: they cannot be changed so.
    """
    if not binding.readable:
        raise ChangeError("positional arguments have no names")
    plans = [plan for number in sorted(numbers) if (plan := table.rows[number].plan) is not None]
    return change(binding.read, plans, table.knowledge.scan_chars)


class Decide(Protocol):
    """Decide one request. Total: whatever is given, a decision comes back.

    Cost: one pass over the request, and over the rows of its tool; each distinct test at most once.
    """

    def __call__(
        self,
        table: DecisionTable,
        given: object,
        *,
        session: Session | None = None,
        ledger: Ledger | None = None,
        now: float,
        approval: Approval | None = None,
        id: str = "",
    ) -> Decision: ...


class DecideAdmitted(Protocol):
    """Decide what `admitted` returned; nobody else may have had a hand on it since."""

    def __call__(
        self,
        table: DecisionTable,
        request: Request | Fault,
        *,
        session: Session | None,
        ledger: Ledger | None,
        now: float,
        approval: Approval | None,
        id: str,
    ) -> Decision: ...


ENTRY: Final = Entry(INTAKE, Fault, admit, in_full)
decide: Final[Decide] = ENTRY.decide
decide_admitted: Final[DecideAdmitted] = ENTRY.decide_admitted
