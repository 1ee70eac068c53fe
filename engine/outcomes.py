"""What follows from an effect or a mode alone: reason codes, what a mode makes of a call that nothing allows."""

from typing import Final

from ..contract import Effect, Mode

# Names of their own: a member is looked up faster here than in its class.
ALLOW, MODIFY, STEP_UP, DEFER, BLOCK = Effect

MODE_ASKS: Final = "mode"
MODE_HOLD_S: Final = 900

RULE_REASONS: Final = {
    ALLOW: "allowed_by_policy",
    MODIFY: "minimum_necessary_transform",
    STEP_UP: "step_up_required",
    DEFER: "deferred_by_policy",
    BLOCK: "forbidden_action_static_policy",
}
LADDER_REASONS: Final = {ALLOW: "progressive_warning", STEP_UP: "progressive_step_up", BLOCK: "progressive_block"}
MODE_OUTCOMES: Final = {Mode.BLOCK: BLOCK, Mode.STEP_UP: STEP_UP, Mode.OBSERVE: ALLOW}
LADDER_FLOORS: Final = {"high": STEP_UP, "critical": BLOCK}
