"""What a refused call raises: who refused, why, what the agent may be told, and when to come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .enforcer import Reply
    from .waiting import Hold

LISTS: Final = (
    "regulatory_regimes",
    "matched_rule_ids",
    "matched_control_ids",
    "policy_references",
    "model_signals",
    "top_contributors",
)
SCALARS: Final = (
    "violation_id",
    "decision_reason_code",
    "action_classification",
    "authorization_decision",
    "risk_score",
    "latency_ms",
    "pack_id",
    "pack_version",
    "rule_version",
    "fastml_features",
    "score_components",
    "decision_evidence",
    "receipt",
    "decision_envelope_version",
    "enforcement_trace_id",
)


class ThothPolicyViolation(Exception):
    """A call that did not run, because it may not.

    `tool_name` and `reason` are always there; the other attributes hold what the enforcer said of the decision, None or
    an empty list where it said nothing. `tell` is meant for the agent. No argument value is in any of them, but those
    that an author wrote into a policy.
    """

    violation_id: str | None
    decision_reason_code: str | None
    action_classification: str | None
    authorization_decision: str | None
    risk_score: float | None
    latency_ms: float | None
    pack_id: str | None
    pack_version: str | None
    rule_version: int | None
    regulatory_regimes: list[str]
    matched_rule_ids: list[str]
    matched_control_ids: list[str]
    policy_references: list[str]
    model_signals: list[str]
    fastml_features: dict[str, float] | None
    score_components: dict[str, Any] | None
    top_contributors: list[dict[str, Any]]
    decision_evidence: dict[str, Any] | None
    receipt: dict[str, Any] | None
    decision_envelope_version: str | None
    enforcement_trace_id: str | None

    def __init__(
        self,
        tool_name: str,
        reason: str,
        *,
        tells: tuple[str, ...] = (),
        retry_after_s: int | None = None,
        hold: Hold | None = None,
        **envelope: Any,
    ) -> None:
        """`envelope` holds fields of the decision by their names on the wire."""
        super().__init__(tool_name, reason)
        self.tool_name = tool_name
        self.reason = reason
        self.tells = tells
        self.retry_after_s = retry_after_s
        self.hold = hold
        for name in SCALARS:
            setattr(self, name, envelope.get(name))
        for name in LISTS:
            setattr(self, name, list(envelope.get(name) or ()))

    @property
    def tell(self) -> str:
        """What the agent may be told: what the policy's author wrote for it, or the reason."""
        return "; ".join(self.tells) or self.reason

    def __str__(self) -> str:
        told = "; ".join(self.tells)
        return f"{self.tool_name}: {self.reason}" + (f"; {told}" if told else "")


class ThothDeferredError(ThothPolicyViolation):
    """A call that may not run now; `retry_after_s` says when to ask again."""


class ThothHeldError(ThothPolicyViolation):
    """A call that waits for a person while its caller cannot: `hold` is still open, and can be answered."""


class EnforcerUnavailable(ThothPolicyViolation):
    """A call that did not run, because the enforcer did not answer, or not with a decision."""


class ConfigurationError(ValueError):
    """Something needed to govern is missing or wrong; the message says what to write."""


class UngovernableTool(ConfigurationError, TypeError):
    """A tool that cannot be wrapped so that every call of it is asked about."""


def violation(tool: str, reply: Reply, hold: Hold | None = None, **more: Any) -> ThothPolicyViolation:
    """Return the exception for a reply that does not let the call through."""
    fields = envelope_of(reply)
    fields.update(more)
    reason = fields.pop("reason")
    tells = tuple(tell for _, tell in reply.tells)
    effect = fields["authorization_decision"]
    if effect == "DEFER":
        seconds = reply.retry_after_s
        if seconds:
            reason = f"{reason} (retry in {seconds}s)"
        return ThothDeferredError(tool, reason, tells=tells, retry_after_s=seconds, **fields)
    kind = ThothHeldError if effect == "STEP_UP" else ThothPolicyViolation
    return kind(tool, reason, tells=tells, hold=hold, **fields)


def envelope_of(reply: Reply) -> dict[str, Any]:
    """Return what a reply says, under the names of the wire: what came over it, or what an engine decided."""
    came: Mapping[str, Any] | None = getattr(reply, "envelope", None)
    if came is not None:
        return dict(came)
    from .contract import REASONS

    code = reply.reason_code
    reason = REASONS.get(code, code)
    if reply.rules:
        reason = f"{reason} ({', '.join(reply.rules)})"
    problem = getattr(reply, "problem", "")
    if problem:
        reason = f"{reason}: {problem}"
    risk = getattr(reply, "risk", 0)
    return {
        "reason": reason,
        "authorization_decision": reply.effect.value,
        "decision_reason_code": code,
        "violation_id": f"vio_{reply.id}" if reply.effect == "BLOCK" else None,
        "risk_score": risk / 100,
        "regulatory_regimes": getattr(reply, "regimes", ()),
        "matched_rule_ids": reply.rules,
        "matched_control_ids": getattr(reply, "controls", ()),
        "policy_references": [digest] if (digest := getattr(reply, "policy_digest", "")) else (),
        "decision_evidence": {"decision_id": reply.id},
    }
