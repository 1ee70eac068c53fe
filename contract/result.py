"""A decision as it travels in a `result` frame: every field by its own name, left out where it says nothing."""

from fractions import Fraction
from typing import Any

import msgspec

from .decision import Ask, Decision, Reservation, Violation
from .effects import By, Effect, Mode
from .request import Request


class Result(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One decision. `verdict` is left out where it is the decision itself, `args` where the call runs as it came.

    `asks` are [source, [approvers], quorum], `reservations` [limit, key, amount as text], `violation`
    [tenant, agent, user, call]. `hold_token` is there for STEP_UP, and always then. `resolved` is false in the
    answer to a `hold_wait` whose hold still waits.
    """

    decision: str
    id: str
    by: str
    reason_code: str
    policy_digest: str
    now: float
    verdict: str = ""
    mode: str = "block"
    rules: tuple[str, ...] = ()
    rules_more: int = 0
    would_be: tuple[str, ...] = ()
    trial: tuple[str, ...] = ()
    risk: int = 0
    args: dict[str, Any] | None = None
    modified: bool = False
    lenient: tuple[str, ...] = ()
    asks: tuple[tuple[str, tuple[str, ...], int], ...] = ()
    hold_s: int | None = None
    retry_after_s: int | None = None
    tells: tuple[tuple[str, str], ...] = ()
    controls: tuple[str, ...] = ()
    regimes: tuple[str, ...] = ()
    reservations: tuple[tuple[str, str, str], ...] = ()
    violation: tuple[str, str, str, str] | None = None
    call: str = ""
    approval: str = ""
    problem: str = ""
    hold_token: str = ""
    resolved: bool = True


def result_of(decision: Decision, hold_token: str = "") -> Result:
    """Return a decision in the form in which it travels."""
    request, args = decision.request, decision.args
    if request is not None and args is request.tool_args:
        args = None
    effect, verdict, violation = decision.effect, decision.verdict, decision.violation
    return Result(
        effect,
        decision.id,
        decision.by,
        decision.reason_code,
        decision.policy_digest,
        decision.now,
        "" if verdict is effect else verdict,
        decision.mode,
        decision.rules,
        decision.rules_more,
        decision.would_be,
        decision.trial,
        decision.risk,
        args,
        decision.modified,
        decision.lenient,
        tuple([(ask.source, ask.approvers, ask.quorum) for ask in decision.asks]) if decision.asks else (),
        decision.hold_s,
        decision.retry_after_s,
        decision.tells,
        decision.controls,
        decision.regimes,
        tuple([(r.limit, r.key, str(r.amount)) for r in decision.reservations]) if decision.reservations else (),
        None if violation is None else (*violation.principal, violation.call),
        decision.call,
        decision.approval,
        decision.problem,
        hold_token,
    )


def decision_of(result: Result, request: Request | None) -> Decision:
    """Return the decision that a result says, about a request as its sender knows it."""
    effect = Effect(result.decision)
    if result.reason_code == "request_invalid":
        request = None  # as the engine, which could not read it
    args = result.args
    if args is None and request is not None:
        args = request.tool_args
    violation = result.violation
    return Decision(
        id=result.id,
        effect=effect,
        verdict=Effect(result.verdict) if result.verdict else effect,
        by=By(result.by),
        reason_code=result.reason_code,
        policy_digest=result.policy_digest,
        request=request,
        now=result.now,
        mode=Mode(result.mode),
        rules=result.rules,
        rules_more=result.rules_more,
        would_be=result.would_be,
        trial=result.trial,
        risk=result.risk,
        args=args,
        modified=result.modified,
        lenient=result.lenient,
        asks=tuple(Ask(*ask) for ask in result.asks),
        hold_s=result.hold_s,
        retry_after_s=result.retry_after_s,
        tells=result.tells,
        controls=result.controls,
        regimes=result.regimes,
        reservations=tuple(Reservation(limit, key, Fraction(amount)) for limit, key, amount in result.reservations),
        violation=None if violation is None else Violation(violation[:3], violation[3]),
        call=result.call,
        approval=result.approval,
        problem=result.problem,
    )
