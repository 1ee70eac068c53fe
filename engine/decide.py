"""One request against one decision table: the Policy Decision Point (PDP).

Pure: no clock, no disk, no socket. Everything a decision depends on is in its arguments, so that it
can be repeated from its evidence record alone.
"""

import json
from fractions import Fraction
from typing import Any, Final

from ..contract import Approval, By, Decision, Effect, Fault, Request, Reservation, admit
from ..contract.request import DEPTH_MAX, FIELDS, INT_BITS_MAX, TEXT_CHARS_MAX, VALUES_MAX
from ..native.admission import Bounds, read_plain_fields
from ..native.names import nfc
from ..native.provenance import spell
from ..native.table import Walk
from ..native.values import UNKNOWN, is_exact_number, text_of_value
from .assemble import Assembly, Judgement
from .binding import Binding
from .call import Call, steps_of
from .changes import ChangeError, change
from .checked import Argument, ResultRule, Rule
from .compile import DecisionTable
from .ledger import Ledger
from .session import Session

BOUNDS: Final = Bounds(DEPTH_MAX, INT_BITS_MAX, VALUES_MAX, TEXT_CHARS_MAX)
ALLOW, MODIFY = Effect.ALLOW, Effect.MODIFY


def decide(
    table: DecisionTable,
    given: object,
    *,
    session: Session | None = None,
    ledger: Ledger | None = None,
    now: float,
    approval: Approval | None = None,
    id: str = "",
) -> Decision:
    """Decide one request. Total: whatever is given, a decision comes back.

    Cost: one pass over the request, and over the rows of its tool; each distinct test at most once.
    """
    request = given if isinstance(given, Fault) else admitted(given)
    return decide_admitted(table, request, session=session, ledger=ledger, now=now, approval=approval, id=id)


def decide_admitted(
    table: DecisionTable,
    request: Request | Fault,
    *,
    session: Session | None,
    ledger: Ledger | None,
    now: float,
    approval: Approval | None,
    id: str,
) -> Decision:
    """Decide what `admitted` returned; nobody else may have had a hand on it since."""
    if isinstance(request, Fault):
        return refused(table, request, now, id)
    name = nfc(request.tool_name)
    binding = table.declarations.bind(name, request.environment, request.tool_args)
    leave_out = "" if approval is None else approval.reservations
    first = judge(table, Call(table.knowledge, request, name, binding, session, now), ledger, leave_out)
    assembly = Assembly(table, request, session, ledger, now, approval, id, first)
    if first.modifying and not binding.problem:
        try:
            args = changed(table, binding, first.modifying)
        except ChangeError as error:
            assembly.failed = str(error)
        else:
            again = table.declarations.bind_named(name, request.environment, args)
            second = judge(table, Call(table.knowledge, request, name, again, session, now), ledger, leave_out)
            assembly.judge_again(second, args)
    return assembly.decision()


def admitted(given: object) -> Request | Fault:
    """Return what `admit` returns; a plain dict, as JSON is read into, is taken in faster."""
    fields = read_plain_fields(given, FIELDS, BOUNDS)
    if fields is not None:
        name = fields.get("tool_name")
        if name and isinstance(name, str) and isinstance(fields.setdefault("tool_args", {}), dict):
            return Request(**fields)
    return admit(given)


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


def judge(table: DecisionTable, call: Call, ledger: Ledger | None, leave_out: str) -> Judgement:
    """Find the rows that hold, those that add risk first, and ask of each limit among them what it has left."""
    judgement = Judgement(call)
    declared = call.binding.declared
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
            rule = table.rows[number].rule
            if rule.limit is not None:
                reservation = reserve(rule, call)
                judgement.limits.append(reservation)
                if within(rule, reservation, now, ledger, leave_out):
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


def reserve(rule: Rule, call: Call) -> Reservation | None:
    """Return what a call takes from a limit, None where the key or the amount cannot be read."""
    limit = rule.limit
    assert limit is not None
    key: str | None = None
    if isinstance(limit.by, Argument):
        value = call.argument(steps_of(limit.by.steps))
        text = text_of_value(value)
        if isinstance(value, bool):
            key = json.dumps(value)
        elif is_exact_number(value):
            key = spell(value)
        elif text is not None:
            key = "=" + text
    elif limit.by == "session":
        key = None if call.session is None else call.session.id
    else:
        value = call.attribute(limit.by)
        key = None if value is UNKNOWN else value
    amount: Any = 1 if limit.of is None else call.argument(steps_of(limit.of.steps))
    if key is None or not is_exact_number(amount) or amount < 0:
        return None
    return Reservation(rule.id, key, Fraction(amount))


def within(rule: Rule, reservation: Reservation | None, now: float, ledger: Ledger | None, leave_out: str) -> bool:
    """Say whether a limit has room for a call; one that cannot be counted has none."""
    limit = rule.limit
    assert limit is not None
    if reservation is None or ledger is None:
        return False
    spent = ledger.total(reservation.limit, reservation.key, now - limit.window_s, leave_out)
    return spent is not None and spent + reservation.amount <= limit.amount
