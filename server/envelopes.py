"""From a decision to the envelope that public clients read; where an envelope would not be safe, to BLOCK."""

from typing import Any, Final, Literal

import msgspec

from ..contract import REASONS, Decision, Effect, Request
from ..contract.envelope import (
    ENVELOPE_VERSION,
    ApprovalView,
    DecisionEvidence,
    Envelope,
    HoldStatus,
    ReceiptReference,
)
from ..contract.result import Result, decision_of
from ..engine import Engine
from .holds import Hold
from .refusal import blocked
from .shapes import ClientKind, mirrored

CLASSES: Final = ("delete", "execute", "send", "write", "read")
"""Which class of a tool is named, where it has several: the one that matters most."""
BLOCK, STEP_UP, DEFER, MODIFY = Effect.BLOCK, Effect.STEP_UP, Effect.DEFER, Effect.MODIFY


class Told(msgspec.Struct, frozen=True):
    """What a request says that is no part of the decision: whose it is, and what is to be echoed."""

    tenant_id: Any = None
    agent_id: Any = None
    enforcement_trace_id: Any = None
    action_attestation_id: Any = None
    request_id: Any = None


NOTHING_TOLD: Final = Told()


def classification(engine: Engine, decision: Decision) -> str | None:
    """Return what kind of action the call's tool is declared as."""
    tool = None if decision.request is None else engine.tool_of(decision.request)
    if tool is None or not tool.classes:
        return None
    return next((name for name in CLASSES if name in tool.classes), min(tool.classes))


def reason_of(decision: Decision) -> str:
    """Return why, as a sentence: what the rule tells, or what its code means."""
    for _, tell in decision.tells:
        return tell
    return decision.problem or REASONS.get(decision.reason_code, decision.reason_code)


def safe(engine: Engine, decision: Decision, kind: ClientKind) -> tuple[Decision, dict[str, Any] | None]:
    """Return a decision as a client of this kind can carry it out, and its changed arguments in their shape."""
    if not decision.modified or decision.request is None or decision.args is None:
        return decision, None
    shaped = mirrored(decision.request.tool_args, decision.args, engine.tool_of(decision.request), kind)
    if shaped is None:
        return blocked(decision, "modification_failed", "no shape of changed arguments is safe for this client"), None
    return decision, shaped


def envelope_of(
    engine: Engine, decision: Decision, shaped: dict[str, Any] | None, told: Told, latency_s: float, token: str = ""
) -> Envelope:
    """Return the envelope of a decision that `safe` has passed; a STEP_UP has the token of its hold.

    A STEP_UP without one would be run by some clients, so it is an assertion, and never sent.
    """
    effect = decision.effect
    assert effect is not STEP_UP or token, "a STEP_UP always has a hold"
    word: Any = effect.value
    policy = engine.policy
    kind_of_action = classification(engine, decision)
    refused = effect is BLOCK or effect is DEFER
    modified = effect is MODIFY
    trace, attestation = told.enforcement_trace_id, told.action_attestation_id
    return Envelope(
        decision=word,
        authorization_decision=word,
        decision_envelope_version=ENVELOPE_VERSION,
        enforcement_trace_id=trace if isinstance(trace, str) else None,
        decision_reason_code=decision.reason_code,
        reason=reason_of(decision),
        risk_score=decision.risk / 100,
        latency_ms=round(latency_s * 1e3, 3),
        action_classification=kind_of_action,
        violation_id=f"vio_{decision.id}" if refused else None,
        hold_token=token or None,
        step_up_timeout_seconds=decision.hold_s if effect is STEP_UP else None,
        defer_reason=reason_of(decision) if effect is DEFER else None,
        defer_timeout_seconds=(decision.retry_after_s or 0) if effect is DEFER else None,
        modified_tool_args=shaped if modified else None,
        modification_reason=reason_of(decision) if modified else None,
        pack_id=policy.name or None,
        pack_version=policy.version or None,
        regulatory_regimes=decision.regimes,
        matched_rule_ids=decision.rules,
        matched_control_ids=decision.controls,
        policy_references=tuple([f"{policy.name}#{rule}" for rule in decision.rules]) if decision.rules else (),
        model_signals=(f"classification:{kind_of_action}",) if kind_of_action else (),
        decision_evidence=evidence_of(decision),
        receipt=ReceiptReference(f"rec_{decision.id}", decision.id),
        action_attestation_id=attestation if isinstance(attestation, str) else None,
    )


def evidence_of(decision: Decision) -> DecisionEvidence:
    """Return where a decision comes from."""
    return DecisionEvidence(
        decision.id,
        decision.by.value,
        decision.verdict.value,
        decision.mode.value,
        decision.policy_digest,
        decision.would_be,
        decision.trial,
        decision.lenient,
        decision.problem,
    )


def status_of(engine: Engine, hold: Hold, kind: ClientKind) -> HoldStatus:
    """Return what a poll of a hold says."""
    if hold.outcome is None:
        return HoldStatus(
            token=hold.token,
            hold_token=hold.token,
            resolved=False,
            decision="STEP_UP",
            authorization_decision="STEP_UP",
            resolution=None,
            reason="this call waits for an approval",
        )
    request = Request(**hold.request)
    decision, shaped = safe(engine, decision_of(hold.outcome, request), kind)
    effect = decision.effect
    if effect is DEFER or effect is STEP_UP:
        effect = BLOCK  # nobody waits for a hold twice
    word: Any = effect.value
    return HoldStatus(
        token=hold.token,
        hold_token=hold.token,
        resolved=True,
        decision=word,
        authorization_decision=word,
        resolution=msgspec.UNSET if effect is MODIFY else word,
        reason=hold.comment or reason_of(decision),
        decision_reason_code=decision.reason_code,
        violation_id=f"vio_{decision.id}" if effect is BLOCK else None,
        modified_tool_args=shaped if effect is MODIFY else None,
        modification_reason=reason_of(decision) if effect is MODIFY else None,
        decision_evidence=evidence_of(decision),
    )


def view_of(hold: Hold) -> ApprovalView:
    """Return a hold as an approver sees it."""
    request, decision = hold.request, hold.decision
    return ApprovalView(
        id=hold.token,
        status=_state(hold.outcome),
        tool_name=request["tool_name"],
        tool_args=request.get("tool_args", {}) if decision.args is None else decision.args,
        tenant_id=request.get("tenant_id"),
        agent_id=request.get("agent_id"),
        user_id=request.get("user_id"),
        session_id=request.get("session_id"),
        rules=decision.rules,
        risk=decision.risk,
        asks=decision.asks,
        answers=tuple(hold.answers),
        created=hold.created,
        expires=hold.expires,
        decision_reason_code=decision.reason_code,
        comment=hold.comment,
    )


def _state(outcome: Result | None) -> Literal["waiting", "approved", "denied", "expired"]:
    if outcome is None:
        return "waiting"
    if outcome.decision in ("ALLOW", "MODIFY"):
        return "approved"
    return "expired" if outcome.reason_code == "approval_expired" else "denied"
