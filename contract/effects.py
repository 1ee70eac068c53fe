"""What a rule may ask for, how strict it is, and who can have decided.

*Effect* is what a rule asks for; *verdict* what the table says; *decision* what is enforced after
the mode. All three are spelled with the five words below, upper case as on the wire.
"""

from enum import StrEnum
from typing import Final


class Effect(StrEnum):
    """The five answers, mildest first; `ALLOW` is the only one that permits."""

    ALLOW = "ALLOW"
    MODIFY = "MODIFY"
    STEP_UP = "STEP_UP"
    DEFER = "DEFER"
    BLOCK = "BLOCK"


STRICTNESS: Final[dict[Effect, int]] = {effect: rank for rank, effect in enumerate(Effect)}


def strictest(*effects: Effect) -> Effect:
    """Return the strictest of one or more effects: BLOCK > DEFER > STEP_UP > MODIFY > ALLOW."""
    return max(effects, key=STRICTNESS.__getitem__)


class Mode(StrEnum):
    """The posture in which verdicts are enforced, mildest first (also called enforcement mode)."""

    OBSERVE = "observe"
    PROGRESSIVE = "progressive"
    STEP_UP = "step_up"
    BLOCK = "block"


MODE_NAMES: Final[dict[str, Mode]] = {**{mode.value: mode for mode in Mode}, "shadow": Mode.OBSERVE}
"""Spellings that requests use; `shadow` is the older word for observe."""


class By(StrEnum):
    """What decided, in the order in which the first one that asks for the outcome is named."""

    ERROR = "error"
    ARGUMENTS = "arguments"
    APPROVAL = "approval"
    RULE = "rule"
    LIMIT = "limit"
    MODE = "mode"
    DEFAULT = "default"
