"""A policy as a decision table that people read: what asks for most comes first, each rule a row.

Two views of the same rows. In words: a rule's conditions as its author wrote them, one to a line. As marks: each
distinct condition is a column, and a row says which of them must be true (T), must be false (F), or do not
matter; a rule that can apply in several ways has a row for each. Unlike the engine's own table this one is for
looking at: it leaves out that a restriction applies in doubt, and an allow only with proof.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeAlias

from ..contract import Effect
from ..grammar import syntax as s
from ..grammar import write
from . import checked as c
from .implication import ways_of
from .wording import (
    word_condition,
    word_duration,
    word_effect,
    word_pattern,
    word_predicate,
    word_steps,
    word_text,
    word_tools,
    word_value,
)

GROUPS: Final = ("block", "defer", "step_up", "limit", "modify", "risk", "allow", "on result")
"""The kinds of rules as they are laid out: strictest first, then what only adds points, and what opens."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rule. `when` and `unless` are lines that belong together, `then` what the rule asks for.

    `marks` has one mapping for each way in which the rule can apply, from a column to T or F; an `unless` that
    stands in the way is in `excuses`, likewise. `marks` is empty where the ways are too many to write down.
    """

    id: str
    group: str
    tools: str
    when: tuple[str, ...]
    unless: tuple[str, ...]
    then: tuple[str, ...]
    because: str
    place: str
    marks: tuple[dict[str, str], ...] = ()
    excuses: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """All rows in their order, the columns of the second view in the order in which rows first ask for them."""

    name: str
    facts: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    otherwise: str
    groups: tuple[tuple[str, tuple[Row, ...]], ...] = field(default=())


def lay_out(policy: c.CheckedPolicy, trees: Sequence[s.Policy] = ()) -> Layout:
    """Return a policy's table; for rules that stand in `trees`, in the words of their author.

    Without its tree a rule is told in the words of what was checked, with sets spelled out.
    """
    written = _written(trees)
    rows = [_row(rule, written) for rule in policy.rules] + [_row(rule, written) for rule in policy.result_rules]
    rows.sort(key=lambda row: (GROUPS.index(row.group), row.tools == "*", row.tools.startswith("class "), row.tools))
    columns = dict.fromkeys(column for row in rows for way in (*row.marks, *row.excuses) for column in way)
    grouped = tuple((group, tuple(row for row in rows if row.group == group)) for group in GROUPS)
    mode = policy.mode.kind.replace("_", " ")
    mode = f"{'' if mode == 'fixed' else f'{mode} '}{policy.mode.mode.value}" if mode != "from request" else mode
    facts = (
        ("version", policy.version),
        ("regimes", ", ".join(policy.regimes)),
        ("mode", mode),
        ("approvers", ", ".join(policy.approvers)),
        ("tools", str(len(policy.tools))),
        ("digest", policy.digest[:12]),
    )
    default = policy.default.value.lower()
    return Layout(
        policy.name,
        tuple((name, value) for name, value in facts if value),
        tuple(rows),
        tuple(columns),
        f"{default} what no rule {'allows' if default == 'block' else 'stops'}",
        tuple((group, members) for group, members in grouped if members),
    )


# ---------------------------------------------------------------- a row


Written: TypeAlias = dict[tuple[str, s.Span], tuple[s.RuleItem | s.ResultRuleItem, s.ForItem | None]]
"""Rules as they were written, with their groups, by file and place."""


def _written(trees: Iterable[s.Policy]) -> Written:
    found: Written = {}
    for tree in trees:
        for item in tree.items:
            for inner in item.items if isinstance(item, s.ForItem) else (item,):
                if isinstance(inner, s.RuleItem | s.ResultRuleItem):
                    found[tree.source, inner.at] = (inner, item if isinstance(item, s.ForItem) else None)
    return found


def _row(rule: c.Rule | c.ResultRule, written: Written) -> Row:
    item, group = written.get((rule.source, rule.at), (None, None))
    if item is None:
        when, unless = _lines(rule.when), _lines(rule.unless)
    else:
        when, unless = (*_group_lines(group), *_item_lines(item.when)), _item_lines(item.unless)
    return Row(
        id=rule.id,
        group=_group(rule),
        tools=word_tools(rule.tools),
        when=when,
        unless=unless,
        then=_then(rule),
        because=rule.because,
        place=f"{rule.source}:{rule.at.line}",
        marks=_marks(rule.when),
        excuses=_marks(rule.unless) if rule.unless != c.FALSE else (),
    )


def _group(rule: c.Rule | c.ResultRule) -> str:
    if isinstance(rule, c.ResultRule):
        return "on result"
    return rule.effect.lower()


def _group_lines(group: s.ForItem | None) -> tuple[str, ...]:
    if group is None:
        return ()
    agents = ", ".join(write.quote(agent.value) for agent in group.agents)
    envs = ", ".join(write.word(env.value) for env in group.envs)
    return tuple(line for line in (agents and f"agent {agents}", envs and f"env {envs}") if line)


def _item_lines(condition: s.Condition | None) -> tuple[str, ...]:
    """Return a condition as it was written, each part of an `and`, or of an `or`, on its line."""
    match condition:
        case None:
            return ()
        case s.And(parts):
            return tuple(write.within_and(part) for part in parts)
        case s.Or(parts):
            words = [write.condition(part) for part in parts]
            return (words[0], *(f"or {word}" for word in words[1:]))
    return (write.condition(condition),)


def _lines(condition: c.Condition) -> tuple[str, ...]:
    match condition:
        case c.AllOf(parts):
            return tuple(word_condition(part, True) for part in parts)
        case c.AnyOf(parts):
            words = [word_condition(part) for part in parts]
            return (*words[:1], *(f"or {word}" for word in words[1:]))
    return (word_condition(condition),)


def _marks(condition: c.Condition) -> tuple[dict[str, str], ...]:
    found = ways_of(condition)
    marked: list[dict[str, str]] = []
    for way in found or ():
        marks: dict[str, str] = {}
        for test in way:
            column, mark = _column(test)
            marks[column] = mark if marks.get(column, mark) == mark else "T and F"
        marked.append(marks)
    return tuple(marked)


def _column(test: c.Test) -> tuple[str, str]:
    """Return the condition that a test asks about, in its plain sense, and T, or F where the test turns it round."""
    if not test.negated:
        return word_condition(test), "T"
    turned = {"any": "all ", "all": "any "}.get(test.each, "")
    return f"{turned}{word_predicate(test.predicate, False)}", "F"


# ---------------------------------------------------------------- what a rule asks for


def _then(rule: c.Rule | c.ResultRule) -> tuple[str, ...]:
    if isinstance(rule, c.ResultRule):
        action = f"label {rule.label}" if rule.action == "label" else rule.action
        if rule.action == "redact":
            action = f"redact result matching {word_pattern(rule.pattern)} with {word_text(rule.text)}"
        return (action, *_controls(rule))
    lines = [_change(change) for change in rule.changes]
    if rule.effect == "risk" or rule.limit is not None:
        lines.append(word_effect(rule).removeprefix("limit "))
    asks = rule.effect == Effect.STEP_UP or (rule.limit is not None and rule.limit.otherwise == Effect.STEP_UP)
    if asks:
        lines.append(_ask(rule))
    if rule.retry_after_s is not None:
        lines.append(f"retry after {word_duration(rule.retry_after_s)}")
    if rule.code:
        lines.append(f"code {rule.code}")
    if rule.until is not None:
        lines.append(f"until {_day(rule.until - 1)}")
    if rule.trial:
        lines.append("trial" if rule.trial_until is None else f"trial until {_day(rule.trial_until)}")
    if rule.tell:
        lines.append(f"tell {word_text(rule.tell)}")
    return (*lines, *_controls(rule))


def _controls(rule: c.Rule | c.ResultRule) -> tuple[str, ...]:
    return (f"control {', '.join(rule.controls)}",) if rule.controls else ()


def _ask(rule: c.Rule) -> str:
    who = ", ".join(rule.ask.approvers)
    if not who:
        return "nobody to ask: blocks"
    count = len(rule.ask.approvers)
    if count > 1:
        who = f"all of {who}" if rule.ask.quorum == count else f"{rule.ask.quorum} of {who}"
    return f"ask {who} within {word_duration(rule.within_s)}"


def _change(change: c.Change) -> str:
    path = word_steps("args", change.path)
    match change.kind:
        case "redact":
            return f"redact {path} matching {word_pattern(change.pattern)} with {word_text(change.text)}"
        case "drop":
            return f"drop {path}"
        case "set":
            return f"set {path} = {word_value(change.value)}"
        case "cap":
            return f"cap {path} at {word_value(change.value)}"
    return f"truncate {path} to {word_value(change.value)}"


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
