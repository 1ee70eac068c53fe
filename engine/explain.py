"""Why a decision is what it is: what decided, each condition with the value that it saw, and the nearest allow.

The decision is taken as it is; conditions are read once more from the same facts. Text is rendered only
when somebody asks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..contract import Approval, Decision, Effect, Request
from . import checked as c
from .session import Session
from .witness import Witness
from .wording import tests_of, word_condition, word_effect, word_predicate, word_tools

if TYPE_CHECKING:
    from .embed import Engine

NEAREST: Final = 3
Asking: TypeAlias = Callable[[Request, Session | None, float, int], Witness]
WORDS: Final = {True: "true", False: "false", None: "unknown"}


@dataclass(frozen=True, slots=True)
class Seen:
    """One condition: its words, what it came to (true, false, unknown), and the value that it looked at."""

    words: str
    truth: bool | None
    value: str


@dataclass(frozen=True, slots=True)
class RuleSeen:
    """One rule and its conditions; `lacks` is the condition that kept an allow rule from applying."""

    id: str
    effect: str
    tools: str
    place: str
    because: str
    when: tuple[Seen, ...]
    unless: tuple[Seen, ...]
    lacks: Seen | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and the rules behind it; `nearest` are allow rules, those that lack least first."""

    decision: Decision
    policy: str
    rules: tuple[RuleSeen, ...]
    nearest: tuple[RuleSeen, ...]
    moved_on: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the explanation for machines."""

        def seen(one: Seen) -> dict[str, Any]:
            return {"condition": one.words, "truth": WORDS[one.truth], "saw": one.value}

        def rule(one: RuleSeen) -> dict[str, Any]:
            shown: dict[str, Any] = {"id": one.id, "effect": one.effect, "tools": one.tools, "place": one.place}
            shown |= {"because": one.because, "when": [seen(s) for s in one.when]}
            shown |= {"unless": [seen(s) for s in one.unless]}
            return shown | ({"lacks": seen(one.lacks)} if one.lacks else {})

        facts = self.decision.facts()
        facts["decision"] = facts.pop("effect")
        return facts | {
            "policy": self.policy,
            "why": [rule(r) for r in self.rules],
            "nearest": [rule(r) for r in self.nearest],
        }

    def as_text(self) -> str:
        """Return the explanation as people read it."""
        decision = self.decision
        lines = [f"{decision.effect.value} by {decision.by.value}: {decision.reason_code}"]
        if decision.request is not None:
            lines.append(f"  tool {decision.request.tool_name}, policy {self.policy}, mode {decision.mode.value}")
        if decision.verdict != decision.effect:
            lines.append(f"  the table says {decision.verdict.value}; the mode enforces {decision.effect.value}")
        if decision.problem:
            lines.append(f"  {decision.problem}")
        if self.moved_on:
            lines.append("  (the session has moved on since; what it knows is shown as it is now)")
        for rule in self.rules:
            lines.extend(_rule_lines(rule))
        if decision.asks:
            lines.append("  who may approve:")
            lines.extend(f"    {a.source}: {a.quorum} of {', '.join(a.approvers)}" for a in decision.asks)
            lines.append(f"    within {decision.hold_s} seconds")
        if decision.modified:
            lines.append("  the arguments are changed before the call runs")
        if decision.retry_after_s is not None:
            lines.append(f"  try again after {decision.retry_after_s} seconds")
        lines.extend(f"  tell ({rule_id}): {text}" for rule_id, text in decision.tells)
        if self.nearest:
            lines.append("  nearest rules that would allow it:")
            for rule in self.nearest:
                lines.append(f"    {rule.id} ({rule.place}): {rule.effect} {rule.tools}")
                if rule.lacks:
                    lines.append(f"      lacks: {_seen_line(rule.lacks)}")
        return "\n".join(lines)


def _rule_lines(rule: RuleSeen) -> list[str]:
    lines = [f"  {rule.id} ({rule.place}): {rule.effect} {rule.tools}"]
    if rule.because:
        lines.append(f"    because {rule.because}")
    lines.extend(f"    when   {_seen_line(seen)}" for seen in rule.when)
    lines.extend(f"    unless {_seen_line(seen)}" for seen in rule.unless)
    return lines


def _seen_line(seen: Seen) -> str:
    return f"{seen.words}   is {WORDS[seen.truth]}" + (f", saw {seen.value}" if seen.value else "")


def explain(
    engine: "Engine", decision: Decision, session: Session | None, approval: Approval | None, seen_version: int
) -> str:
    """Return a decision's explanation as text; see `explanation`."""
    moved = session is not None and session.version > seen_version + 1
    return explanation(engine.policy, decision, session, moved_on=moved, witness=engine.witness).as_text()


def explanation(
    policy: c.CheckedPolicy,
    decision: Decision,
    session: Session | None,
    *,
    moved_on: bool = False,
    witness: Asking | None = None,
) -> Explanation:
    """Explain one decision from the facts that it was made of; `witness` is the engine's that made it."""
    name = f"{policy.name} {policy.version}".strip() + f" ({policy.digest[:12]})"
    if decision.request is None:
        return Explanation(decision, name, (), ())
    asked = (decision.request, session, decision.now, decision.risk)
    seer = Witness(policy, *asked) if witness is None else witness(*asked)
    by_id = {rule.id: rule for rule in policy.rules}
    named = [*decision.rules, *[rule_id for rule_id in decision.would_be if rule_id not in decision.rules]]
    rules = tuple(_seen_rule(by_id[rule_id], seer) for rule_id in named if rule_id in by_id)
    nearest: tuple[RuleSeen, ...] = ()
    if decision.reason_code in ("no_rule_allows", "policy_scope_violation") or decision.by.value == "mode":
        nearest = _nearest(policy, seer)
    return Explanation(decision, name, rules, nearest, moved_on)


def _seen_rule(rule: c.Rule, seer: Witness, lacks: Seen | None = None) -> RuleSeen:
    when = tuple(_see(test, seer) for test in tests_of(rule.when))
    unless = tuple(_see(test, seer) for test in tests_of(rule.unless))
    place = f"{rule.source}:{rule.at.line}" if rule.source else f"line {rule.at.line}"
    return RuleSeen(rule.id, word_effect(rule), word_tools(rule.tools), place, rule.because, when, unless, lacks)


def _see(test: c.Test, seer: Witness) -> Seen:
    words = f"{test.each} " if test.each else ""
    return Seen(words + word_predicate(test.predicate, test.negated), seer.truth(test), seer.shown(test))


def _nearest(policy: c.CheckedPolicy, seer: Witness) -> tuple[RuleSeen, ...]:
    """Return the allow rules that lack least, each with the first thing that it lacks."""
    ranked: list[tuple[int, str, c.Rule, Seen]] = []
    for rule in policy.rules:
        if rule.effect is not Effect.ALLOW:
            continue
        target = c.Test(c.ToolFits(rule.tools))
        lacking = [] if seer.truth(target) is True else [_see(target, seer)]
        distance = 100 * len(lacking)
        missing = _lacking(rule.when, seer, wanted=True) + _lacking(rule.unless, seer, wanted=False)
        distance += len(missing)
        if lacking or missing:
            ranked.append((distance, rule.id, rule, (lacking + missing)[0]))
    ranked.sort(key=lambda one: one[:2])
    return tuple(_seen_rule(rule, seer, lacks) for _, _, rule, lacks in ranked[:NEAREST])


def _lacking(condition: c.Condition, seer: Witness, wanted: bool) -> list[Seen]:
    """Return the fewest tests that would have to change for a condition to come out as wanted."""
    if isinstance(condition, c.Test):
        return [] if seer.truth(condition) is wanted else [_see(condition, seer)]
    parts = [_lacking(part, seer, wanted) for part in condition.parts]
    everything_counts = isinstance(condition, c.AllOf) is wanted
    if everything_counts:
        return [seen for part in parts for seen in part]
    if not parts:
        return [Seen(word_condition(condition), not wanted, "")]
    return min(parts, key=len)
