"""A decision that cannot be given out as it was made, and is given out as BLOCK instead."""

from dataclasses import replace

from ..contract import By, Decision, Effect


def blocked(decision: Decision, reason_code: str, problem: str) -> Decision:
    """Return a decision turned into BLOCK by error."""
    return replace(
        decision,
        effect=Effect.BLOCK,
        by=By.ERROR,
        reason_code=reason_code,
        rules=(),
        rules_more=0,
        asks=(),
        hold_s=None,
        retry_after_s=None,
        tells=(),
        controls=(),
        reservations=(),
        modified=False,
        args=decision.request.tool_args if decision.request else None,
        approval="",
        problem=problem,
    )
