"""What answers are made of: rows, each tool's place, each mode's stance; laid out for `native.answer`.

Most answers are put together there from what lies ready; `assemble` says the same in full, and whatever takes more.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, TypeAlias

from ..contract import MODE_NAMES, STRICTNESS, Ask, By, Decision, Effect, Mode, Request, call_digest
from ..native.answer import Answers, Place, Stance, Words
from ..native.limits import Limit
from ..native.signatures import Signature
from ..native.table import Rows, Table
from . import checked as c
from .binding import NO_KINDS, Declarations, Declared
from .call import NONE_OPTIONAL, Call, Knowledge
from .changes import Plan
from .forms import DECISION, REQUEST, SESSION
from .outcomes import MODE_ASKS, MODE_HOLD_S, MODE_OUTCOMES, RULE_REASONS
from .session import Session

EFFECTS: Final = tuple(Effect)
DECIDERS: Final = (By.RULE, By.LIMIT, By.MODE, By.DEFAULT)
REASONS: Final = (
    *(RULE_REASONS[effect] for effect in Effect),
    "limit_exceeded",
    "approver_missing",
    "allowed_by_default",
    "mode_observe",
    "mode_step_up",
    "no_rule_allows",
    "policy_scope_violation",
)
"""The reason codes of the effects, mildest first, and those that `Answers` counts on behind them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rule of the table. `asks` is what it asks for when it applies, None for risk rules.

    A hold that nobody may answer asks for BLOCK; a limit asks for what stands after its `else`.
    """

    rule: c.Rule
    asks: Effect | None
    plan: Plan | None = None
    limit: Limit | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """The rows that a call of one tool may come under: those that add risk, and all others."""

    risk: tuple[Rows, ...]
    rules: tuple[Rows, ...]


@dataclass(frozen=True, slots=True)
class Posture:
    """The modes of which the stricter outcome is enforced."""

    modes: frozenset[Mode]
    mode: Mode
    observing: bool


def posture_of(*modes: Mode) -> Posture:
    """Return the posture of some modes; it observes where all of them do."""
    return Posture(frozenset(modes), max(modes, key=list(Mode).index), set(modes) == {Mode.OBSERVE})


def asks_for(rule: c.Rule) -> Effect | None:
    """Return what a rule asks for when it applies."""
    asked = rule.effect if rule.limit is None else rule.limit.otherwise
    if not isinstance(asked, Effect):
        return None
    return Effect.BLOCK if asked is Effect.STEP_UP and not rule.ask.approvers else asked


def postures(setting: c.ModeSetting) -> dict[str | None, Posture]:
    """Return the posture for each mode that a request may name; None stands for any other word, and for none."""
    asked: dict[str | None, Mode] = dict(MODE_NAMES.items())
    asked[None] = Mode.BLOCK
    match setting.kind:
        case "fixed":
            return dict.fromkeys(asked, posture_of(setting.mode))
        case "from_request":
            return {said: posture_of(mode) for said, mode in asked.items()}
    return {said: posture_of(setting.mode, mode) for said, mode in asked.items()}


# ---------------------------------------------------------------- laid out

Laid: TypeAlias = tuple[str, float, int, int, bool, bool, int, Limit | None, Words | None]
"""A row as `Answers` takes it: id, end of its trial, points, level, modifies, holds, for how long, limit, words."""


def answers_of(
    policy: c.CheckedPolicy,
    knowledge: Knowledge,
    declarations: Declarations,
    table: Table,
    laid: list[Laid],
    known: Mapping[tuple[str, int], Bucket],
    unknown: Bucket,
    said: Mapping[str | None, Posture],
) -> Answers:
    """Return where calls are answered by the rows that hold."""
    digest = policy.digest
    limited = any(one[7] is not None for one in laid)

    def bound(request: Request, args: dict[str, Any], session: Session | None) -> str:
        return call_digest(request, args, None if session is None else session.id, digest)

    def place(name: str) -> Place | None:
        if name in declarations.special:
            return None  # the declaration depends on the environment
        declared = declarations.general.get(name)
        return placed(declarations, declared, known[name, -1 if declared is None else declared.number], limited)

    stances = {posture: stance_of(posture, policy.approvers) for posture in said.values()}
    return Answers(
        table,
        REQUEST,
        DECISION,
        SESSION,
        Call,
        knowledge,
        bound,
        Call.default_reason,
        {name: place(name) for name in {name for name, _ in known}},
        placed(declarations, None, unknown, limited),
        {word: stances[posture] for word, posture in said.items()},
        laid,
        EFFECTS,
        REASONS,
        DECIDERS,
        blank(policy_digest=digest, regimes=policy.regimes),
        policy.default == Effect.ALLOW,
        bool(knowledge.agents),
        Ask(MODE_ASKS, policy.approvers, 1),
        MODE_HOLD_S,
    )


def placed(declarations: Declarations, declared: Declared | None, bucket: Bucket, limited: bool) -> Place:
    if declared is None:
        return Place(None, None, NO_KINDS, NONE_OPTIONAL, bucket.risk, bucket.rules, limited)
    signature = Signature(declared.params, declared.more, declarations.lenient)
    return Place(declared, signature, declared.kinds, declared.optional, bucket.risk, bucket.rules, limited)


def stance_of(posture: Posture, approvers: tuple[str, ...]) -> Stance:
    """Return what a posture makes of a call that nothing allows."""
    outcomes = [MODE_OUTCOMES[mode] for mode in posture.modes if mode is not Mode.PROGRESSIVE]
    soft = max(outcomes, key=STRICTNESS.__getitem__, default=Effect.ALLOW)
    if soft is Effect.STEP_UP and not approvers:
        soft = Effect.BLOCK
    return Stance(posture.mode, STRICTNESS[soft], posture.observing, Mode.PROGRESSIVE in posture.modes)


def laid_out(row: Row) -> Laid:
    """Return a row as `Answers` takes it."""
    rule = row.rule
    ask = Ask(rule.id, rule.ask.approvers, rule.ask.quorum) if row.asks is Effect.STEP_UP else None
    tell = (rule.id, rule.tell) if rule.tell else None
    words = None
    if rule.code or ask or tell or rule.retry_after_s is not None or rule.controls:
        words = Words(rule.code or None, ask, tell, rule.retry_after_s, frozenset(rule.controls))
    return (
        rule.id,
        trial_end(rule),
        rule.points,
        STRICTNESS[row.asks or Effect.ALLOW],
        row.asks is Effect.MODIFY,
        rule.effect == Effect.STEP_UP,
        rule.within_s,
        row.limit,
        words,
    )


def trial_end(rule: c.Rule) -> float:
    """Return the time before which a rule is only recorded."""
    if not rule.trial:
        return -math.inf
    return math.inf if rule.trial_until is None else rule.trial_until


def blank(**said: object) -> tuple[Any, ...]:
    """Return the fields of a decision with their defaults, but for those that are the same in all of a table's."""
    defaults = (None if field.default is MISSING else field.default for field in fields(Decision))
    return tuple(said.get(name, default) for name, default in zip(DECISION.names, defaults, strict=True))
