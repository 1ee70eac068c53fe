"""The decision envelope of `POST /v1/enforce`, in the public field names, safe for every public client.

Both decision keys, always equal; no list is ever null; integers where clients decode integers; STEP_UP only with the
token of its hold. A field that says nothing is left out.
"""

from typing import Any, Final, Literal

import msgspec

ENVELOPE_VERSION: Final = "1"
Word = Literal["ALLOW", "BLOCK", "STEP_UP", "MODIFY", "DEFER"]


class DecisionEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the decision comes from: who decided, what the table said, in which mode, under which policy."""

    decision_id: str
    by: str
    verdict: str
    mode: str
    policy_digest: str
    would_be: tuple[str, ...] = ()
    trial: tuple[str, ...] = ()
    lenient: tuple[str, ...] = ()
    problem: str = ""


class ReceiptReference(msgspec.Struct, frozen=True, omit_defaults=True):
    """Under which id the record stands in the evidence log; its signed receipt is made from there.

    Where it was asked for it is here: `record` is the exact text that stands at `chain_index` of the log of `key_id`,
    `hash` its leaf, `proof` the receipt as `thoth evidence verify` reads it, with the checkpoint that is signed.
    """

    receipt_id: str
    decision_id: str
    schema_version: Literal["1"] = "1"
    signing_algorithm: Literal["ed25519"] | None = None
    key_id: str | None = None
    signature: str | None = None
    chain_index: int | None = None
    hash: str | None = None
    previous_hash: str | None = None
    record: str | None = None
    proof: dict[str, Any] | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One decision. `risk_score` is 0.0 to 1.0, `latency_ms` the time between the request's last byte and this."""

    decision: Word
    authorization_decision: Word
    decision_envelope_version: Literal["1"]
    enforcement_trace_id: str | None = None
    decision_reason_code: str
    reason: str
    risk_score: float
    latency_ms: float
    action_classification: str | None = None
    violation_id: str | None = None
    hold_token: str | None = None
    step_up_timeout_seconds: int | None = None
    defer_reason: str | None = None
    defer_timeout_seconds: int | None = None
    modified_tool_args: dict[str, Any] | None = None
    modification_reason: str | None = None
    pack_id: str | None = None
    pack_version: str | None = None
    regulatory_regimes: tuple[str, ...] = ()
    matched_rule_ids: tuple[str, ...] = ()
    matched_control_ids: tuple[str, ...] = ()
    policy_references: tuple[str, ...] = ()
    model_signals: tuple[str, ...] = ()
    decision_evidence: DecisionEvidence | None = None
    receipt: ReceiptReference | None = None
    action_attestation_id: str | None = None
    error: str | None = None
    message: str | None = None


class HoldStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a poll of a hold says. While it waits the decision is STEP_UP, and `resolution` null.

    When it ends in MODIFY, `resolution` is left out: a client that reads it would run the arguments unchanged.
    """

    token: str
    hold_token: str
    resolved: bool
    decision: Word
    authorization_decision: Word
    resolution: Literal["ALLOW", "BLOCK"] | msgspec.UnsetType | None = msgspec.UNSET
    reason: str | None = None
    decision_reason_code: str | None = None
    violation_id: str | None = None
    modified_tool_args: dict[str, Any] | None = None
    modification_reason: str | None = None
    decision_evidence: DecisionEvidence | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """Why there is no answer: a stable code and a sentence, flat, as every public client reads it."""

    error: str
    message: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What `POST /v1/explain` says to a person about a refusal."""

    violation_id: str | None
    tenant_id: str | None
    session_id: str | None
    agent_id: str | None
    user_id: str | None
    tool_name: str
    what_happened: str
    why_it_was_blocked: str
    what_to_do_next: str
    business_impact: str
    request_url: str | None
    timestamp: str
    severity: Literal["low", "medium", "high", "critical"]
    regulatory_context: str
    decision_reason_code: str
    action_classification: str | None
    risk_score: float


class ApprovalView(msgspec.Struct, frozen=True, kw_only=True):
    """A hold as an approver sees it: who wants to do what, with which arguments as they are to run, and who was asked.

    `asks` are [source, [names], how many]; `answers` are [source, name, principal, granted]. Times in epoch seconds.
    """

    id: str
    status: Literal["waiting", "approved", "denied", "expired"]
    tool_name: str
    tool_args: dict[str, Any]
    tenant_id: str | None
    agent_id: str | None
    user_id: str | None
    session_id: str | None
    rules: tuple[str, ...]
    risk: int
    asks: tuple[tuple[str, tuple[str, ...], int], ...]
    answers: tuple[tuple[str, str, str, bool], ...]
    created: float
    expires: float
    decision_reason_code: str
    comment: str


class ApprovalList(msgspec.Struct, frozen=True):
    """All holds that wait, oldest first."""

    data: list[ApprovalView]
    total: int


class Resolve(msgspec.Struct, frozen=True):
    """An approver's answer. Who they are is said by their key, never here."""

    decision: Literal["approve", "deny"]
    comment: str = ""


class SaidBody(msgspec.Struct, frozen=True):
    """What the user of a session said."""

    text: str
    tenant_id: str | None = None


class EventTaken(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event that was new: the decision that it is about, and where in the evidence that, or its ending, stands.

    The chain fields are there where they were asked for; client values of them are never taken.
    """

    event_id: str
    decision_id: str | None = None
    chain_index: int | None = None
    hash: str | None = None
    previous_hash: str | None = None
    signature: str | None = None


class EventsTaken(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many events were new, how many had come before, and how many of the new are about a decision that is known.

    `events` are the new ones, where they were asked for.
    """

    accepted: int
    duplicates: int
    paired: int
    events: tuple[EventTaken, ...] = ()


class OverrideView(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's override: for which calls, how long, and why. Times in epoch seconds."""

    id: str
    operator: str
    reason: str
    tools: tuple[str, ...]
    agents: tuple[str, ...]
    tenants: tuple[str, ...]
    rules: tuple[str, ...]
    begins: float
    until: float


class OverrideList(msgspec.Struct, frozen=True):
    """The overrides that count now, the first to end first."""

    data: list[OverrideView]
    total: int
