"""Rules: their header, conditions and clauses, and the ids by which everybody speaks of them.

Rules that are equal in all but id and `because` are one rule, under the id that sorts first. A rule
without an id gets one from its content, whatever its place in the file.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

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

T = TypeVar("T", c.Rule, c.ResultRule)
RULES_MAX: Final = 200_000
RESERVED: Final = frozenset(by.value for by in By)
"""Words that say who decided; a rule of such a name would be taken for something else."""


@dataclass
class Rules:
    """All rules of a policy. `known` has every id that was written, with the id that it goes by."""

    rules: tuple[c.Rule, ...] = ()
    result_rules: tuple[c.ResultRule, ...] = ()
    known: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Made:
    """One rule as its item says it, before the others are looked at: its id is what was written, or nothing.

    `places` are those of its changes, `content` is its spelling without the id, `digest` that of the content.
    """

    rule: c.Rule | c.ResultRule
    file: File
    at: s.Span
    places: tuple[s.Span, ...]
    content: str
    digest: str


def read(
    written: Iterable[tuple[File, s.RuleItem | s.ResultRuleItem, s.ForItem | None]],
    names: Names,
    tools: Tools,
    approvers: tuple[str, ...],
) -> list[Made]:
    """Return the rules of all files in their order, after saying everything that is wrong with each."""
    found: list[Made] = []
    for file, item, group in written:
        if len(found) >= RULES_MAX:
            file.error(item.at, f"a policy holds at most {RULES_MAX} rules", "limit")
            break
        if not isinstance(item, s.RuleItem) or item.effect != "allow" or file.allows:
            found.append(make(file, item, group, names, tools, approvers))
    return found


def make(
    file: File,
    item: s.RuleItem | s.ResultRuleItem,
    group: s.ForItem | None,
    names: Names,
    tools: Tools,
    approvers: tuple[str, ...],
) -> Made:
    """Return one rule, after saying everything that is wrong with it."""
    if isinstance(item, s.RuleItem):
        return _rule(file, item, group, names, tools, approvers)
    return _result_rule(file, item, group, names, tools)


def together(made: list[Made], tools: Tools) -> Rules:
    """Return the rules as one policy has them, after saying which of them cannot stand beside each other."""
    kept, known = one_each(made)
    check_order(made, kept, tools)
    found = [(made[i].rule, id, written) for i, id, written in kept]
    return Rules(
        tuple(named(rule, id, written) for rule, id, written in found if isinstance(rule, c.Rule)),
        tuple(named(rule, id, written) for rule, id, written in found if isinstance(rule, c.ResultRule)),
        known,
    )


def check_order(made: list[Made], kept: Iterable[tuple[int, str, bool]], tools: Tools) -> None:
    """Say where two changes of arguments may meet."""
    found: list[tuple[c.Rule, File, tuple[s.Span, ...]]] = []
    for i, id, _ in kept:
        rule = made[i].rule
        if isinstance(rule, c.Rule) and rule.changes:
            found.append((replace(rule, id=id), made[i].file, made[i].places))
    changes.check_order(found, tools)


def named(rule: T, id: str, written: bool) -> T:
    """Return a rule under its id; `written` says whether somebody wrote that."""
    return rule if rule.id == id and rule.named == written else replace(rule, id=id, named=written)


# ---------------------------------------------------------------- one rule


def _rule(
    file: File,
    item: s.RuleItem,
    group: s.ForItem | None,
    names: Names,
    tools: Tools,
    approvers: tuple[str, ...],
) -> Made:
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
    return _made(checked, file, item.at, places if len(places) == len(changed) else (item.at,) * len(changed))


def _result_rule(file: File, item: s.ResultRuleItem, group: s.ForItem | None, names: Names, tools: Tools) -> Made:
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
    return _made(checked, file, item.at, ())


def _made(rule: c.Rule | c.ResultRule, file: File, at: s.Span, places: tuple[s.Span, ...]) -> Made:
    content = canonical(rule, without=("id",))
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    return Made(rule, file, at, places, content, digest)


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
    patterns = tool_patterns(file, tools, item.tools)
    shown = f"rule `{file.qualified(item.id)}`" if item.id else "this rule"
    rule = Rule(file, names, tools, shown, effect, patterns, line=item.at.line)
    if group is not None:
        for attribute, texts in (("agent", group.agents), ("env", group.envs)):
            globs = tuple(dict.fromkeys(nfc(text.value) for text in texts))
            for text in texts:
                if glob_mistake(text.value):
                    file.error(text.at, f"`{text.value}` {glob_mistake(text.value)}", "glob")
            if globs:
                front.append(c.Test(c.Like(c.Attribute(attribute), globs), at=rule.place(group.at)))
            if attribute == "env":
                rule.envs = globs
    return rule, tuple(front)


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


def one_each(made: list[Made]) -> tuple[list[tuple[int, str, bool]], dict[str, str]]:
    """Return the place of each distinct rule once, with its id and whether somebody wrote that; and, for every id that
    was written, the one that its rule goes by. Where two rules have the same id it is said."""
    written = _ids(made)
    first: dict[str, int] = {}
    owner: dict[str, int] = {}
    best = list(range(len(made)))
    for i, one in enumerate(made):
        j = first.setdefault(one.content, i)
        if j != i and written[i] < written[best[j]]:
            best[j] = i
        if written[i] in RESERVED:
            one.file.error(one.at, f"`{written[i]}` says who decided; give this rule another id", "clash")
        other = owner.setdefault(written[i], i)
        if other != i and made[other].content != one.content:
            one.file.error(
                one.at,
                f"another rule is `{written[i]}` at {made[other].file.place(made[other].at, one.file)};"
                " give this one its own id",
                "clash",
            )
    kept = [(i, written[best[i]], made[best[i]].rule.named) for i in first.values()]
    return kept, {written[i]: written[best[first[one.content]]] for i, one in enumerate(made)}


def _ids(made: list[Made]) -> list[str]:
    """Return each rule's id as the whole policy knows it: the written one, or one from its content."""
    taken: dict[str, set[str]] = {}
    if not all(one.rule.named for one in made):
        for one in made:
            taken.setdefault(one.digest[:8], set()).add(one.digest)
    ids = []
    for one in made:
        id = one.rule.id
        if not one.rule.named:
            effect = one.rule.effect.lower() if isinstance(one.rule, c.Rule) else one.rule.action
            id = f"{effect}-{one.digest[: 8 if len(taken[one.digest[:8]]) == 1 else 32]}"
        ids.append(one.file.qualified(id))
    return ids
