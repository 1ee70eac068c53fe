"""The clauses of a rule, each with the effect that has it, and what they mean."""

from fractions import Fraction
from typing import Final

from ...contract import REASONS, Effect
from ...contract.decision import USER
from ...grammar import syntax as s
from .. import checked as c
from .names import exact, zone_mistake
from .report import File
from .terms import Rule, argument_types, length
from .texts import Wrong, day_start
from .tools import NUMBERS, describe, spell

EFFECTS: Final = {
    "allow": Effect.ALLOW,
    "modify": Effect.MODIFY,
    "step_up": Effect.STEP_UP,
    "defer": Effect.DEFER,
    "block": Effect.BLOCK,
}
WITHIN_S: Final = 900
POINTS_MAX: Final = 100
RULE_CODES: Final = frozenset(REASONS) - {
    # those of errors, arguments, approvals, modes and the default are never a rule's
    "request_invalid", "request_id_reused", "overloaded", "evidence_unavailable", "modification_failed",
    "arguments_invalid", "approval_granted", "approval_denied", "approval_expired", "approval_invalid",
    "mode_observe", "mode_step_up", "progressive_warning", "progressive_step_up", "progressive_block",
    "break_glass", "allowed_by_default", "no_rule_allows", "policy_scope_violation",
}  # fmt: skip


def check_belonging(file: File, item: s.RuleItem) -> None:
    """Say which clauses belong to another effect, and which the rule's own effect lacks."""
    otherwise = item.limit.otherwise if item.limit is not None else ""
    asks = item.effect == "step_up" or (item.effect == "limit" and otherwise == "step_up")
    waits = item.effect == "defer" or (item.effect == "limit" and otherwise == "defer")
    foreign = (
        ("ask", item.ask is not None and not asks, "step_up rules, and to limits with `else step_up`"),
        ("within", item.within is not None and not asks, "step_up rules, and to limits with `else step_up`"),
        ("retry after", item.retry_after is not None and not waits, "defer rules, and to limits with `else defer`"),
        ("to", item.limit is not None and item.effect != "limit", "limit rules"),
        ("+N", item.points is not None and item.effect != "risk", "risk rules"),
    )
    at = item.ask.at if item.ask is not None else item.at
    for clause, wrong, owners in foreign:
        if wrong:
            place = at if clause == "ask" else _place(item, clause)
            file.error(place, f"`{clause}` belongs to {owners}, and this is a {item.effect} rule", "clause")
    if item.changes and item.effect != "modify":
        change = item.changes[0]
        file.error(change.at, f"`{change.kind}` belongs to modify rules, and this is a {item.effect} rule", "clause")
    if item.effect == "modify" and not item.changes:
        file.error(
            item.at, "a modify rule says what it changes; write `redact`, `set`, `drop`, `cap` or `truncate`", "clause"
        )
    if item.effect == "limit" and item.limit is None:
        file.error(item.at, "a limit says how much; write `to 10 calls per 1m by session else block`", "clause")
    if item.effect == "risk":
        if item.points is None:
            file.error(item.at, "a risk rule says how many points it adds, like `risk * +30`", "clause")
        elif not 1 <= item.points <= POINTS_MAX:
            file.error(item.at, f"a risk rule adds 1 to {POINTS_MAX} points, not {item.points}", "clause")


def _place(item: s.RuleItem, clause: str) -> s.Span:
    node = {"within": item.within, "retry after": item.retry_after, "to": item.limit}.get(clause)
    return item.at if node is None else node.at


def code(file: File, item: s.RuleItem) -> str | None:
    """Return the reason code of a rule."""
    if item.code is None or item.code in RULE_CODES:
        return item.code
    if item.code in REASONS:
        file.error(item.at, f"`{item.code}` is never a rule's reason; write one like `data_exfiltration`", "code")
    else:
        near = file.near(item.code, RULE_CODES)
        file.error(item.at, f"unknown reason code `{item.code}`{near or '; the list is closed'}", "unknown-name")
    return None


def moment(file: File, day: s.Date | None, days_later: int) -> float | None:
    """Return the start of a date, some days later, in epoch seconds."""
    if day is None or zone_mistake(file, day.zone):
        return None
    start = day_start(day, days_later)
    if isinstance(start, Wrong):
        file.error(day.at, start.why, "date")
        return None
    return start


def ask(file: File, item: s.RuleItem, approvers: tuple[str, ...]) -> c.Ask:
    """Return who is asked: whom the rule names, else the policy's approvers, else nobody."""
    if item.ask is None:
        if not approvers:
            file.warn(
                item.at,
                'nobody can approve this, so it blocks; write `ask "…"` here or `approvers "…"` in the policy item',
                "approver-missing",
            )
            return c.Ask((), 0)
        return c.Ask(approvers, 1)
    names: dict[str, None] = {}
    for node in item.ask.approvers:
        if isinstance(node, s.Name) and node.value != USER:
            file.error(
                node.at, f"unknown approver `{node.value}`; write `user`, or a name in double quotes", "unknown-name"
            )
        elif not node.value:
            file.error(node.at, "an approver has a name", "clause")
        elif isinstance(node, s.Text) and node.value == USER:
            file.error(node.at, '`"user"` in quotes would be a group of that name; write `user`', "clause")
        elif node.value in names:
            file.error(node.at, f"`{node.value}` is asked twice; each answer comes from somebody else", "clause")
        names[node.value] = None
    quorum = item.ask.quorum
    if isinstance(quorum, str):
        return c.Ask(tuple(names), len(names) if quorum == "all" else 1)
    if not 1 <= quorum <= len(names):
        file.error(
            item.ask.at, f"{quorum} of {len(names)} approvers cannot all answer; name more, or ask fewer", "clause"
        )
        return c.Ask(tuple(names), 1)
    return c.Ask(tuple(names), quorum)


def limit(rule: Rule, node: s.LimitClause) -> c.Limit | None:
    """Return a limit, None after saying what is wrong with it."""
    file = rule.file
    amount = exact(node.amount.value)
    wrong = False
    if amount < 0 or (node.of is None and not isinstance(amount, int)):
        what = "a number of calls is whole, 0 or more" if node.of is None else "a limit is 0 or more"
        file.error(node.amount.at, what, "clause")
        wrong = True
    window = length(file, node.per)
    of: c.Argument | None = None
    if node.of is not None:
        of, types = _single(rule, node.of, "of")
        wrong = wrong or of is None
        for who, kind in types:
            if kind.name not in NUMBERS | {"any"}:
                file.error(node.of.at, f"{who} is {describe(kind)}; a limit adds up numbers", "type")
                wrong = True
    by: str | c.Argument | None = None
    if node.by.root in ("session", "agent", "user", "tenant") and not node.by.steps:
        by = node.by.root
    elif node.by.root == "args":
        by, _ = _single(rule, node.by, "by")
    else:
        file.error(node.by.at, "a limit counts by session, agent, user, tenant or an argument", "clause")
    if node.otherwise not in ("step_up", "defer", "block"):
        file.error(node.at, "a limit ends in `else step_up`, `else defer` or `else block`", "clause")
        wrong = True
    return None if wrong or by is None else c.Limit(Fraction(amount), of, window, by, EFFECTS[node.otherwise])


def _single(rule: Rule, node: s.Path, word: str) -> tuple[c.Argument | None, tuple[tuple[str, c.Type], ...]]:
    """Return the argument after `of` or `by`, which must be a single value."""
    if node.root != "args" or node.keys or not node.steps or not isinstance(node.steps[0], str):
        rule.file.error(node.at, f"`{word}` takes one argument, like `args.amount`", "clause")
        return None, ()
    if any(isinstance(step, s.Each) for step in node.steps):
        rule.file.error(node.at, f"`{word}` takes one value; `{spell(node.steps)}` is a list of them", "clause")
        return None, ()
    types = argument_types(rule, node.steps, node.at)
    if types is None:
        return None, ()
    for who, kind in types:
        if kind.name in ("list", "record"):
            rule.file.error(node.at, f"{who} is {describe(kind)}, and `{word}` takes one value", "type")
            return None, ()
    return c.Argument(node.steps), types
