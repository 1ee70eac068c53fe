"""What changed a decision, and calls told as sentences.

A call that comes out stricter was changed by what decides it now; one that comes out milder by what decided it before
and does so no longer, or, where nothing had allowed it, by what allows it now.
"""

import time
from collections.abc import Mapping
from typing import Final

from ..contract import REASONS, STRICTNESS, Effect
from .masking import Masking
from .tally import Example, Outcome

NOW: Final = {
    "ALLOW": "it would be allowed",
    "MODIFY": "it would run with changed arguments",
    "STEP_UP": "it would wait for a person",
    "DEFER": "it would be put off",
    "BLOCK": "it would be blocked",
}
WAS: Final = {
    "ALLOW": "allowed",
    "MODIFY": "run with changed arguments",
    "STEP_UP": "held for a person",
    "DEFER": "put off",
    "BLOCK": "blocked",
}


def stricter(one: str, other: str) -> bool:
    """Say whether an effect is stricter than another."""
    return STRICTNESS[Effect(one)] > STRICTNESS[Effect(other)]


def cause_of(outcome: Outcome) -> str:
    """Return what changed a decision: rules, or what decided where no rule did."""
    now = ", ".join(outcome.rules) or f"({outcome.by}: {outcome.reason_code})"
    if not outcome.was or stricter(outcome.effect, outcome.was):
        return now
    before = ", ".join(outcome.was_rules)
    return before or now


def sentence(example: Example, because: Mapping[str, str], masking: Masking) -> str:
    """Return one call and what becomes of it, as a person would tell it; `because` has the reasons of rules."""
    call, outcome = example.call, example.outcome
    when = time.strftime("%Y-%m-%d at %H:%M UTC", time.gmtime(call.ts))
    told = f"On {when} {call.agent_id or 'an agent'} called {masking.call(call)}."
    before = ""
    if outcome.was:
        names = ", ".join(outcome.was_rules)
        before = f" It was {WAS.get(outcome.was, outcome.was)}{f' by {names}' if names else ''};"
    now = NOW[outcome.effect]
    if example.approvers and outcome.effect == "STEP_UP":
        now = f"it would wait for {' or '.join(example.approvers)}"
    reason = next((because[rule] for rule in outcome.rules if because.get(rule)), "")
    if not reason:
        reason = example.problem or REASONS.get(outcome.reason_code, outcome.reason_code)
    by = f" ({', '.join(outcome.rules)})" if outcome.rules else ""
    return f"{told}{before} {now if before else now[:1].upper() + now[1:]}: {reason}{by}."
