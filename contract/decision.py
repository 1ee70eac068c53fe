"""What the enforcer answered, in full: enough to enforce it, to explain it and to record it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, NoReturn

from .effects import By, Effect, Mode
from .request import Request

RULES_SHOWN_MAX: Final = 16
USER: Final = "user"
"""The approver name by which a rule's `ask user` means the request's own user."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Who must answer before a held call may run, and how many of them.

    `source` is the id of the rule or limit that asks, or `mode`. `quorum` counts distinct names of
    `approvers`, each answered by a different person.
    """

    source: str
    approvers: tuple[str, ...]
    quorum: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """One approver's word: for `source`, in the role `approver`, said by `principal`."""

    source: str
    approver: str
    principal: str
    granted: bool = True


@dataclass(frozen=True, slots=True)
class Approval:
    """Answers to one held call, bound to it by `call` and to a time (epoch seconds) by `expires`.

    `reservations` is the id under which the held decision reserved, so that its own reservation is
    left out when the call is decided again. It is used up once.
    """

    id: str
    call: str
    expires: float
    answers: tuple[Answer, ...] = ()
    reservations: str = ""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call takes from a limit when it is let through or held."""

    limit: str
    key: str
    amount: Fraction | int


@dataclass(frozen=True, slots=True)
class Counter:
    """What was read of a count: what a limit had spent for a key, None where nobody could say.

    The ladder's count, of a principal's violations before this one, stands under the limit `mode`.
    """

    limit: str
    key: str
    spent: Fraction | int | None


@dataclass(frozen=True, slots=True)
class Violation:
    """A soft violation to be counted by the ladder: `principal` (tenant, agent, user) and the call's digest."""

    principal: tuple[str, str, str]
    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One answer of the Policy Decision Point.

    `effect` is what is enforced, `verdict` what the table said, `by` what decided. `rules` are the
    rules of the enforced effect that apply, sorted, the first 16; `rules_more` counts the others.
    `args` are the arguments as they are to run. `would_be` names the rules that ask for the verdict
    where the mode does not enforce it, `trial` the rules on trial that apply.

    The last fields say what it was decided on, besides the request, the policy and `now`: the session, when it
    was opened and whether its beginning was seen; `session_digest`, 32 bytes, over all that happened in it, and
    `said_digest` over what the user of its root session said; the counters that were read; and the approval that
    was presented, used or not.
    """

    id: str
    effect: Effect
    verdict: Effect
    by: By
    reason_code: str
    policy_digest: str
    request: Request | None
    now: float
    mode: Mode = Mode.BLOCK
    rules: tuple[str, ...] = ()
    rules_more: int = 0
    would_be: tuple[str, ...] = ()
    trial: tuple[str, ...] = ()
    risk: int = 0
    args: dict[str, Any] | None = None
    modified: bool = False
    lenient: tuple[str, ...] = ()
    asks: tuple[Ask, ...] = ()
    hold_s: int | None = None
    retry_after_s: int | None = None
    tells: tuple[tuple[str, str], ...] = ()
    controls: tuple[str, ...] = ()
    regimes: tuple[str, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    violation: Violation | None = None
    call: str = ""
    approval: str = ""
    problem: str = ""
    session_id: str | None = None
    session_begun: bool = True
    session_opened_at: float = 0.0
    session_digest: bytes = b""
    said_digest: bytes = b""
    counters: tuple[Counter, ...] = ()
    presented: Approval | None = None
    explainer: "Callable[[Decision], str] | None" = field(default=None, compare=False, repr=False)

    def __bool__(self) -> NoReturn:
        raise TypeError("a decision has no truth value; compare `decision.effect`, e.g. `decision.effect == 'ALLOW'`")

    def explain(self) -> str:
        """Return what decided, condition by condition, as text; rendered now, from the facts of the decision."""
        return self.explainer(self) if self.explainer else f"{self.effect} by {self.by}: {self.reason_code}"

    def facts(self) -> dict[str, Any]:
        """Return everything that two evaluations of the same inputs must agree on, as JSON values."""
        return {
            "effect": self.effect.value,
            "verdict": self.verdict.value,
            "by": self.by.value,
            "rules": list(self.rules),
            "rules_more": self.rules_more,
            "reason_code": self.reason_code,
            "mode": self.mode.value,
            "would_be": list(self.would_be),
            "trial": list(self.trial),
            "risk": self.risk,
            "args": self.args,
            "modified": self.modified,
            "lenient": list(self.lenient),
            "asks": [[ask.source, list(ask.approvers), ask.quorum] for ask in self.asks],
            "hold_s": self.hold_s,
            "retry_after_s": self.retry_after_s,
            "tells": [list(tell) for tell in self.tells],
            "controls": list(self.controls),
            "regimes": list(self.regimes),
            "reservations": sorted([r.limit, r.key, str(r.amount)] for r in self.reservations),
            "violation": [list(self.violation.principal), self.violation.call] if self.violation else None,
            "call": self.call,
            "approval": self.approval,
            "problem": self.problem,
            "session_id": self.session_id,
            "session_begun": self.session_begun,
            "session_opened_at": self.session_opened_at,
            "session_digest": self.session_digest.hex(),
            "said_digest": self.said_digest.hex(),
            "counters": sorted([c.limit, c.key, str(c.spent)] for c in self.counters),
            "presented": self.presented.id if self.presented else "",
            "policy_digest": self.policy_digest,
        }


def call_digest(request: Request, args: dict[str, Any], session_id: str | None, policy_digest: str) -> str:
    """Return the SHA-256 (hex) that binds an approval to one call.

    It covers session, tool, arguments as they are to run, principal (tenant, agent, user), policy and
    request id, as JSON with sorted keys; `1` and `1.0` are different arguments here.
    """
    bound = [
        session_id,
        request.tool_name,
        args,
        request.tenant_id,
        request.agent_id,
        request.user_id,
        policy_digest,
        request.request_id,
    ]
    return hashlib.sha256(json.dumps(bound, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
