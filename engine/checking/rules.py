"""Rules: their header, conditions and clauses, and the ids by which everybody speaks of them.

Rules that are equal in all but id and `because` are one rule, under the id that sorts first. A rule
without an id gets one from its content, whatever its place in the file.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from ...contract import By
from ...grammar import syntax as s
from .. import checked as c
from ..digest import canonical
from . import changes, clauses
from .conditions import condition
from .names import Names
from .report import File, listed
from .terms import Rule, length, tool_patterns
from .texts import glob_mistake, nfc
from .tools import Tools, spell

RULES_MAX: Final = 200_000
RESERVED: Final = frozenset(by.value for by in By)
"""Words that say who decided; a rule of such a name would be taken for something else."""


@dataclass
class Rules:
    """All rules of a policy. `known` has every id that was written, with the id that it goes by."""

    rules: tuple[c.Rule, ...] = ()
    result_rules: tuple[c.ResultRule, ...] = ()
    known: dict[str, str] = field(default_factory=dict)


@dataclass
class _Made:
    """A rule before it has its final id, with its place and the places of its changes."""

    rule: c.Rule | c.ResultRule
    file: File
    at: s.Span
    places: tuple[s.Span, ...] = ()


def read(
    written: Iterable[tuple[File, s.RuleItem | s.ResultRuleItem, s.ForItem | None]],
    names: Names,
    tools: Tools,
    approvers: tuple[str, ...],
) -> Rules:
    """Return the rules of all files in their order, after saying everything that is wrong with them."""
    made: list[_Made] = []
    for file, item, group in written:
        if len(made) >= RULES_MAX:
            file.error(item.at, f"a policy holds at most {RULES_MAX} rules", "limit")
            break
        if isinstance(item, s.RuleItem):
            if item.effect != "allow" or file.allows:
                made.append(_rule(file, item, group, names, tools, approvers))
        else:
            made.append(_result_rule(file, item, group, names, tools))
    result = Rules()
    kept = _one_each(made, result.known)
    changes.check_order([(m.rule, m.file, m.places) for m in kept if isinstance(m.rule, c.Rule)], tools)
    result.rules = tuple(m.rule for m in kept if isinstance(m.rule, c.Rule))
    result.result_rules = tuple(m.rule for m in kept if isinstance(m.rule, c.ResultRule))
    return result


# ---------------------------------------------------------------- one rule


def _rule(
    file: File,
    item: s.RuleItem,
    group: s.ForItem | None,
    names: Names,
    tools: Tools,
    approvers: tuple[str, ...],
) -> _Made:
    rule, front = _begin(file, item, group, names, tools, item.effect)
    if item.effect not in (*clauses.EFFECTS, "limit", "risk"):
        file.error(item.at, f"unknown effect `{item.effect}`{file.near(item.effect, clauses.EFFECTS)}", "unknown-name")
    clauses.check_belonging(file, item)
    when, unless = _conditions(rule, item, front)
    changed = changes.changes(rule, item)
    limited = clauses.limit(rule, item.limit) if item.limit is not None and item.effect == "limit" else None
    asks = item.effect == "step_up" or (limited is not None and limited.otherwise is clauses.EFFECTS["step_up"])
    if item.trial_until is not None and not item.trial:
        file.error(item.trial_until.at, "a date of a trial belongs behind `trial until`", "clause")
    _warn_unseen(rule)
    checked = c.Rule(
        id=item.id or "",
        effect=clauses.EFFECTS.get(item.effect, item.effect),
        tools=rule.patterns,
        when=when,
        unless=unless,
        points=item.points or 0,
        changes=changed,
        ask=clauses.ask(file, item, approvers) if asks else c.Ask((), 0),
        within_s=length(file, item.within) if item.within is not None else clauses.WITHIN_S,
        retry_after_s=length(file, item.retry_after) if item.retry_after is not None else None,
        limit=limited,
        controls=tuple(dict.fromkeys(text.value for text in item.control)),
        code=clauses.code(file, item),
        until=clauses.moment(file, item.until, 1),
        trial=item.trial,
        trial_until=clauses.moment(file, item.trial_until, 0),
        because=item.because.value if item.because is not None else "",
        tell=item.tell.value if item.tell is not None else "",
        named=item.id is not None,
        source=file.source,
        at=item.at,
    )
    # A change that was refused leaves the places one short; then there is an error anyway.
    places = tuple(change.path.at for change in item.changes)
    return _Made(checked, file, item.at, places if len(places) == len(changed) else (item.at,) * len(changed))


def _result_rule(file: File, item: s.ResultRuleItem, group: s.ForItem | None, names: Names, tools: Tools) -> _Made:
    rule, front = _begin(file, item, group, names, tools, item.action)
    rule.result = True
    when, unless = _conditions(rule, item, front)
    pattern = None
    if item.action == "redact":
        if item.pattern is None or item.text is None:
            file.error(item.at, 'write `redact result matching PATTERN with "…"`', "clause")
        else:
            pattern = names.pattern(file, item.pattern)
    elif item.action == "label" and not item.label:
        file.error(item.at, "write which label, like `label pii`", "clause")
    elif item.action not in ("withhold", "label"):
        file.error(item.at, f"unknown action `{item.action}`; write `redact`, `withhold` or `label`", "unknown-name")
    _warn_unseen(rule)
    checked = c.ResultRule(
        id=item.id or "",
        tools=rule.patterns,
        action=item.action,
        when=when,
        unless=unless,
        pattern=pattern,
        text=item.text.value if item.text is not None else "",
        label=item.label or "",
        controls=tuple(dict.fromkeys(text.value for text in item.control)),
        because=item.because.value if item.because is not None else "",
        named=item.id is not None,
        source=file.source,
        at=item.at,
    )
    return _Made(checked, file, item.at)


def _begin(
    file: File,
    item: s.RuleItem | s.ResultRuleItem,
    group: s.ForItem | None,
    names: Names,
    tools: Tools,
    effect: str,
) -> tuple[Rule, tuple[c.Condition, ...]]:
    """Return what the conditions are read with, and those that the rule's group brings."""
    front: list[c.Condition] = []
    envs: tuple[str, ...] = ()
    if group is not None:
        for attribute, texts in (("agent", group.agents), ("env", group.envs)):
            globs = tuple(dict.fromkeys(nfc(text.value) for text in texts))
            for text in texts:
                if glob_mistake(text.value):
                    file.error(text.at, f"`{text.value}` {glob_mistake(text.value)}", "glob")
            if globs:
                front.append(c.Test(c.Like(c.Attribute(attribute), globs), at=group.at))
            if attribute == "env":
                envs = globs
    patterns = tool_patterns(file, tools, item.tools)
    shown = f"rule `{file.qualified(item.id)}`" if item.id else "this rule"
    return Rule(file, names, tools, shown, effect, patterns, envs), tuple(front)


def _conditions(
    rule: Rule, item: s.RuleItem | s.ResultRuleItem, front: tuple[c.Condition, ...]
) -> tuple[c.Condition, c.Condition]:
    when = condition(rule, item.when, "when")
    if front:
        rest = when.parts if isinstance(when, c.AllOf) else (when,)
        when = c.AllOf((*front, *rest)) if len(front) + len(rest) > 1 else front[0]
    return when, condition(rule, item.unless, "unless")


def _warn_unseen(rule: Rule) -> None:
    """Warn of declared tools that a wide pattern fits although they lack what the rule reads."""
    for pattern in rule.patterns:
        if rule.keys is not None and pattern.kind == "name":
            for tool in rule.tools.declared(pattern.value, rule.envs):
                if not any(param.key for param in tool.params):
                    rule.file.warn(rule.keys, f"{tool.name} has no `key` argument, so `args.key` is unknown", "no-key")
    wide = [pattern for pattern in rule.patterns if pattern.kind != "name"]
    for steps, at in rule.read.items() if wide else ():
        unseen, fitting = rule.tools.unseen(wide[0], steps), rule.tools.fitting(wide[0])
        for pattern in wide[1:]:
            unseen = tuple(sorted({*unseen, *rule.tools.unseen(pattern, steps)}))
            fitting = tuple({*fitting, *rule.tools.fitting(pattern)})
        if not unseen:
            continue
        argument = spell(steps[:1])
        if len(unseen) == len(fitting):
            near = rule.file.near(str(steps[0]), rule.tools.argument_names, lambda name: spell((name,)))
            rule.file.warn(at, f"{rule.name} sees none of its declared tools: none takes `{argument}`{near}", "unseen")
        else:
            rule.file.warn(at, f"{rule.name} cannot see {listed(unseen)}: not taking `{argument}`", "unseen")


# ---------------------------------------------------------------- ids


def _one_each(made: list[_Made], known: dict[str, str]) -> list[_Made]:
    """Return each distinct rule once with its id; say where two have the same id."""
    contents = [canonical(m.rule, without=("id",)) for m in made]
    _name(made, contents)
    written = [m.rule.id for m in made]
    first: dict[str, int] = {}
    owner: dict[str, int] = {}
    for i, content in enumerate(contents):
        j = first.setdefault(content, i)
        if j != i and written[i] < made[j].rule.id:
            made[j].rule = replace(made[j].rule, id=written[i], named=made[i].rule.named)
        if written[i] in RESERVED:
            made[i].file.error(made[i].at, f"`{written[i]}` says who decided; give this rule another id", "clash")
        other = owner.setdefault(written[i], i)
        if contents[other] != content:
            made[i].file.error(
                made[i].at,
                f"another rule is `{written[i]}` at {made[other].file.place(made[other].at, made[i].file)};"
                " give this one its own id",
                "clash",
            )
    for i, content in enumerate(contents):
        known[written[i]] = made[first[content]].rule.id
    return [made[i] for i in first.values()]


def _name(made: list[_Made], contents: list[str]) -> None:
    """Give each rule its qualified id: the written one, or one from its content."""
    hashes = [hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest() for content in contents]
    taken: dict[str, set[str]] = {}
    for digest in hashes:
        taken.setdefault(digest[:8], set()).add(digest)
    for m, digest in zip(made, hashes, strict=True):
        if m.rule.named:
            m.rule = replace(m.rule, id=m.file.qualified(m.rule.id))
            continue
        effect = m.rule.effect.lower() if isinstance(m.rule, c.Rule) else m.rule.action
        length_of_it = 8 if len(taken[digest[:8]]) == 1 else 32
        m.rule = replace(m.rule, id=m.file.qualified(f"{effect}-{digest[:length_of_it]}"))
