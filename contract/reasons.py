"""The closed list of reason codes: one stable machine-readable word for why a decision is what it is."""

from typing import Final

REASONS: Final[dict[str, str]] = {
    # by = error: enforced in every mode
    "request_invalid": "the request is not well-formed",
    "request_id_reused": "a request id came again with different contents",
    "overloaded": "the enforcer had no time left for this request",
    "evidence_unavailable": "the decision could not be recorded",
    "modification_failed": "the arguments could not be changed as a rule asks",
    # by = arguments
    "arguments_invalid": "the arguments do not fit the tool's declaration",
    # by = approval
    "approval_granted": "everybody who had to approve this call has done so",
    "approval_denied": "an approver said no",
    "approval_expired": "no complete answer came in time",
    "approval_invalid": "the approval is for another call, was used before, or came from somebody who may not give it",
    # by = rule
    "allowed_by_policy": "a rule allows the call",
    "forbidden_action_static_policy": "a rule forbids the call",
    "step_up_required": "a rule asks for a second person",
    "step_up_high_risk": "the call's risk asks for a second person",
    "approver_missing": "a second person is asked for, and the policy names none",
    "deferred_by_policy": "a rule puts the call off",
    "defer_waiting_for_approval": "the call waits for an approval elsewhere",
    "minimum_necessary_transform": "a rule changes the arguments",
    "tool_not_allowed_for_session_intent": "the tool is outside the session's declared intent",
    "lineage_ancestor_blocked": "the calling process descends from one that is not allowed",
    "lineage_upstream_binary_blocked": "the upstream program is not allowed",
    "data_exfiltration": "data would leave where it belongs",
    "destructive_action": "the call destroys or cannot be undone",
    "credential_exposure": "a secret would be exposed or changed",
    "unrequested_action": "nobody who may ask for this call has asked for it",
    # by = limit
    "limit_exceeded": "a limit is used up",
    # by = mode
    "mode_observe": "observe mode lets the call through and records what would have happened",
    "mode_step_up": "nothing allows the call, and the mode asks a person",
    "progressive_warning": "nothing allows the call; the first violation is let through with a warning",
    "progressive_step_up": "nothing allows the call; repeated violations ask a person",
    "progressive_block": "nothing allows the call, and the violations are too many",
    "break_glass": "an operator's override lets the call through, whatever the policy says",
    # by = default
    "allowed_by_default": "no rule objects, and the policy allows by default",
    "no_rule_allows": "no rule allows the call",
    "policy_scope_violation": "no rule allows the call, and the tool is outside the agent's scope",
}
