"""A refusal in words for a person: what happened, why, and what to do next."""

from datetime import UTC, datetime
from typing import Any, Final, Literal

from ..contract import REASONS, Decision, Effect
from ..contract.envelope import Explanation
from ..engine import Engine
from .envelopes import classification, reason_of

NEXT: Final = {
    Effect.ALLOW: "Nothing: the call would be let through now.",
    Effect.MODIFY: "Nothing: the call would be let through now, with changed arguments.",
    Effect.STEP_UP: "Wait for the approval, or ask one of those who may give it.",
    Effect.DEFER: "Try again later.",
    Effect.BLOCK: "Do without this call, or ask whoever writes the policy to allow it.",
}
SEVERITIES: Final[tuple[tuple[int, Literal["low", "medium", "high", "critical"]], ...]] = (
    (25, "low"),
    (50, "medium"),
    (75, "high"),
)


def explanation_of(engine: Engine, decision: Decision, body: dict[str, Any], now: float) -> Explanation:
    """Explain a decision; `body` is what the client sent, with the decision that it was given."""
    request = decision.request
    assert request is not None
    given = body.get("decision_reason_code")
    code = given if isinstance(given, str) and given in REASONS else decision.reason_code
    word = body.get("decision") if isinstance(body.get("decision"), str) else decision.effect.value
    violation = body.get("violation_id")
    return Explanation(
        violation_id=violation if isinstance(violation, str) else None,
        tenant_id=_text(request.tenant_id),
        session_id=_text(request.session_id),
        agent_id=_text(request.agent_id),
        user_id=_text(request.user_id),
        tool_name=request.tool_name,
        what_happened=f"The call of {request.tool_name} was answered {str(word)[:16]}.",
        why_it_was_blocked=reason_of(decision) if code == decision.reason_code else REASONS[code],
        what_to_do_next=NEXT[decision.effect],
        business_impact="The agent goes on without this call.",
        request_url=None,
        timestamp=datetime.fromtimestamp(now, UTC).isoformat(),
        severity=next((name for top, name in SEVERITIES if decision.risk < top), "critical"),
        regulatory_context=", ".join((*decision.regimes, *decision.controls)),
        decision_reason_code=code,
        action_classification=classification(engine, decision),
        risk_score=decision.risk / 100,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
