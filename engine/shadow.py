"""Which rules another one covers: without them every decision has the same effect and the same verdict.

A rule is covered by one that concerns all its tools, applies whenever it does, never lapses before it, and
asks for at least as much. Sound, not complete: what is not seen to be covered is left alone.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from ..contract import STRICTNESS, Effect, Mode
from . import checked as c
from .checking.texts import glob_fits
from .implication import below

PAIRS_MAX: Final = 1_000_000
"""Most pairs of rules that are compared; beyond them nothing is said."""


def shadows(policy: c.CheckedPolicy, now: float) -> Iterator[tuple[c.Rule, c.Rule | None]]:
    """Return each rule that changes no decision, with the rule that covers it.

    None in its place: the policy allows by default. Of rules that cover each other the first is kept.
    """
    place = {rule.id: i for i, rule in enumerate(policy.rules)}
    by_pattern: dict[c.ToolPattern, list[c.Rule]] = defaultdict(list)
    for rule in policy.rules:
        if not _on_trial(rule, now) and rule.effect in (Effect.BLOCK, Effect.DEFER, Effect.STEP_UP, Effect.ALLOW):
            for pattern in rule.tools:
                by_pattern[pattern].append(rule)
    pairs = 0
    for rule in policy.rules:
        if _on_trial(rule, now) or rule.effect == "risk" or not rule.tools:
            continue
        if rule.effect == Effect.ALLOW and policy.default == Effect.ALLOW:
            yield rule, None
            continue
        fitting = (p for p in by_pattern if _covers_pattern(p, rule.tools[0], policy, Effect.BLOCK))
        for wider in (wide for pattern in fitting for wide in by_pattern[pattern]):
            pairs += 1
            if pairs > PAIRS_MAX:
                return
            if wider is rule or not _covers(wider, rule, policy):
                continue
            if place[wider.id] > place[rule.id] and _covers(rule, wider, policy):
                continue
            yield rule, wider
            break


def _on_trial(rule: c.Rule, now: float) -> bool:
    return rule.trial and (rule.trial_until is None or now < rule.trial_until)


def _covers(wider: c.Rule, rule: c.Rule, policy: c.CheckedPolicy) -> bool:
    """Tell whether `rule` changes nothing beside `wider`."""
    return (
        _asks_enough(wider, rule, policy)
        and (wider.until is None or (rule.until is not None and rule.until <= wider.until))
        and all(
            any(_covers_pattern(pattern, one, policy, wider.effect) for pattern in wider.tools) for one in rule.tools
        )
        and below(rule.when, wider.when)
        and below(wider.unless, rule.unless)
    )


def _covers_pattern(wide: c.ToolPattern, pattern: c.ToolPattern, policy: c.CheckedPolicy, effect: Effect | str) -> bool:
    """Tell whether every call that fits `pattern` fits `wide`; for a restriction, or may fit it."""
    if wide.kind == "any" or wide == pattern:
        return True
    if pattern.kind != "name":
        return False
    if wide.kind == "glob":
        return glob_fits(wide.value, pattern.value)
    # Where a tool is not declared its class is unknown, which is enough for a restriction and not for an allow.
    declared = policy.tools.get(pattern.value, ())
    sure = bool(declared) and all(wide.value in tool.classes for tool in declared)
    return wide.kind == "class" and sure and effect != Effect.ALLOW


def _asks_enough(wider: c.Rule, rule: c.Rule, policy: c.CheckedPolicy) -> bool:
    """Tell whether what `wider` asks for includes what `rule` does: its effect, its words and its deadline."""
    if wider.effect == Effect.ALLOW:
        return rule.effect == Effect.ALLOW and _says_no_more(rule, wider)
    blocks = wider.effect == Effect.BLOCK
    if rule.effect == Effect.ALLOW:
        # An allow keeps its call from counting as a violation, and from the ladder's steps.
        return blocks and not _may_climb(policy)
    if rule.effect == Effect.MODIFY or rule.limit is not None:
        return blocks
    asked = Effect.BLOCK if rule.effect == Effect.STEP_UP and not rule.ask.approvers else rule.effect
    if not isinstance(asked, Effect) or not isinstance(wider.effect, Effect):
        return False
    if wider.effect == Effect.STEP_UP and not wider.ask.approvers:
        return False
    if STRICTNESS[asked] < STRICTNESS[wider.effect]:
        return True
    if asked != wider.effect or rule.effect != wider.effect or not _says_no_more(rule, wider):
        return False
    if asked == Effect.STEP_UP:
        return rule.ask == wider.ask and rule.within_s >= wider.within_s
    return asked != Effect.DEFER or (rule.retry_after_s or 0) <= (wider.retry_after_s or 0)


def _says_no_more(rule: c.Rule, wider: c.Rule) -> bool:
    """Tell whether nothing that a decision by `rule` carries would be missed."""
    return (
        rule.tell in ("", wider.tell) and rule.code in (None, wider.code) and set(rule.controls) <= set(wider.controls)
    )


def _may_climb(policy: c.CheckedPolicy) -> bool:
    """Tell whether the ladder's steps may decide something under this policy."""
    if policy.mode.kind == "fixed":
        return policy.mode.mode is Mode.PROGRESSIVE
    return policy.mode.kind == "from_request" or policy.mode.mode is not Mode.BLOCK
