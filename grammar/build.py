"""Parse results to nodes, second half: items, rules and tests."""

from dataclasses import replace
from typing import Any

from lark import Token

from . import words
from .build_conditions import Clause, Conditions, Parts, as_text, bare_or_text, listed, members, place
from .messages import Mistake
from .syntax import (
    AgentItem,
    AskClause,
    Change,
    Date,
    Duration,
    Expect,
    ForItem,
    Given,
    HoursItem,
    HoursRange,
    IntentItem,
    LimitClause,
    Name,
    Param,
    PatternItem,
    PolicyItem,
    ResultRuleItem,
    RuleItem,
    SetItem,
    Setting,
    Size,
    TestCall,
    TestItem,
    Text,
    ToolItem,
    ToolPattern,
    Type,
    UseItem,
    Yield,
)

APPROVERS_MAX = 1000
LIST_DEPTH_MAX = 16

BELONGS = {
    "ask": ("step_up", "limit"),
    "within": ("step_up", "limit"),
    "retry after": ("defer", "limit"),
    "to": ("limit",),
    "redact": ("modify",),
    "set": ("modify",),
    "drop": ("modify",),
    "cap": ("modify",),
    "truncate": ("modify",),
}
"""Clauses that only some effects have; behind a limit's `else` stand the clauses of that effect."""

NEEDS = {
    "risk": ("points", "its points: write `risk TOOLS +30`"),
    "limit": ("to", "what it limits: write `to 30 calls per 1m by agent else block`"),
    "modify": ("change", 'a change: write `redact PATH matching P with "…"`, `set`, `drop`, `cap` or `truncate`'),
}


def word(token: Token) -> Name:
    """Return a keyword as a name."""
    return Name(str(token), at=words.span(token))


def name_or_text(token: Token) -> Name | Text:
    """Return a bare word as a name, a quoted one as a text."""
    return as_text(token) if token.type == "STRING" else word(token)


def tool_name(token: Token) -> str:
    """Return the name of one tool; a glob is a mistake."""
    if token.type != "STRING" and "*" in token:
        raise Mistake("one tool's name is wanted here, not a pattern", words.span(token))
    return bare_or_text(token)


def collect(clauses: list[Clause]) -> dict[str, Any]:
    """Return the clauses by name; `control`, `change` and `yields` gather, others come once."""
    found: dict[str, Any] = {}
    for clause in clauses:
        if clause.name in ("control", "change", "yields"):
            found[clause.name] = (*found.get(clause.name, ()), *clause.value)
        elif clause.name in found:
            raise Mistake(f"a second `{clause.name}`; each clause comes once{TWICE.get(clause.name, '')}", clause.at)
        else:
            found[clause.name] = clause.value
    return found


TWICE = {
    "when": ": join the two conditions with `and`",
    "unless": ": join the two conditions with `or`",
    "ask": ": name all approvers in one, `ask all of` them if all must agree",
    "is": ": separate the classes with commas",
}


def check_belongs(effect: str, limit: LimitClause | None, clause: Clause) -> None:
    """Refuse a clause that rules of another effect have."""
    name = clause.value[0].kind if clause.name == "change" else clause.name
    owners = BELONGS.get(name)
    if owners is None:
        return
    if effect not in owners:
        raise Mistake(f"`{name}` belongs to `{owners[0]}` rules; this is `{effect}`", clause.at)
    if effect == "limit" and limit is not None and name != "to" and limit.otherwise != owners[0]:
        raise Mistake(f"`{name}` belongs to `else {owners[0]}`; this is `else {limit.otherwise}`", clause.at)


def called(parts: Parts) -> TestCall:
    """Return the call that `TOOL(name: value, …)` writes."""
    return TestCall(tool_name(parts[0]), members(listed(parts[2:-1])))


class Items(Conditions):
    """The rules of `thoth.lark` from `item` down to `tests`."""

    # ------------------------------------------------------------ the policy and its settings

    def policy_item(self, parts: Parts) -> PolicyItem:
        settings: list[Setting] = []
        for part in parts[2:]:
            settings.extend(part.value if isinstance(part, Clause) else (part,))
        seen: set[str] = set()
        for setting in settings:
            if setting.name in seen:
                raise Mistake(f"a second `{setting.name}`; each setting comes once", setting.at)
            seen.add(setting.name)
        return PolicyItem(str(parts[1]), tuple(settings), at=place(parts))

    def version(self, parts: Parts) -> Setting:
        return Setting("version", (as_text(parts[1]),), at=place(parts))

    def regimes(self, parts: Parts) -> Setting:
        return Setting("regimes", tuple(name_or_text(token) for token in listed(parts[1:])), at=place(parts))

    def default(self, parts: Parts) -> Setting:
        return Setting("default", (word(parts[1]),), at=place(parts))

    def mode(self, parts: Parts) -> Setting:
        if parts[-1] == "request":
            return Setting("mode", (), "from request", at=place(parts))
        return Setting("mode", (word(parts[-1]),), "at least" if len(parts) == 4 else "", at=place(parts))

    def approvers(self, parts: Parts) -> Setting:
        return Setting("approvers", tuple(as_text(token) for token in listed(parts[1:])), at=place(parts))

    def arguments(self, parts: Parts) -> Setting:
        return Setting("arguments", (word(parts[1]),), at=place(parts))

    def ladder(self, parts: Parts) -> Setting:
        values: list[Name | Duration] = []
        for token in listed(parts[1:]):
            if token.type == "DURATION":
                values.append(self.duration([token]))
            elif token != "within":
                values.append(word(token))
        return Setting("ladder", tuple(values), at=place(parts))

    def bounds(self, parts: Parts) -> Clause:
        return Clause("bounds", listed(parts[1:]), place(parts))

    def bound(self, parts: Parts) -> Setting:
        token = parts[-1]
        if token.type == "DURATION":
            return Setting("in flight", (self.duration([token]),), at=place(parts))
        size = Size(*words.amount(token, "a size"), at=words.span(token))
        return Setting(str(parts[0]), (size,), at=place(parts))

    def data(self, parts: Parts) -> Setting:
        return Setting("data", tuple(word(token) for token in parts[1::2]), at=place(parts))

    # ------------------------------------------------------------ names for things

    def use_item(self, parts: Parts) -> UseItem:
        return UseItem(str(parts[1]), len(parts) == 4, at=place(parts))

    def set_item(self, parts: Parts) -> SetItem:
        return SetItem(str(parts[1]), tuple(listed(parts[3:])), at=place(parts))

    def pattern_item(self, parts: Parts) -> PatternItem:
        return PatternItem(str(parts[1]), parts[3], at=place(parts))

    def hours_item(self, parts: Parts) -> HoursItem:
        ranges = tuple(part for part in parts if isinstance(part, HoursRange))
        excepted = tuple(part for part in parts if isinstance(part, Date))
        zone = next(part for part in parts if isinstance(part, Token) and part.type == "STRING")
        return HoursItem(str(parts[1]), ranges, as_text(zone), excepted, at=place(parts))

    def hours_range(self, parts: Parts) -> HoursRange:
        days = parts[0].split("-")
        first, last = words.DAYS.index(days[0]), words.DAYS.index(days[-1])
        return HoursRange(first, last, words.minutes(parts[1]), words.minutes(parts[3], end=True), at=place(parts))

    # ------------------------------------------------------------ tools, agents, intents

    def tool_item(self, parts: Parts) -> ToolItem:
        close = parts.index(")")
        inside = listed(parts[3:close])
        params = tuple(part for part in inside if isinstance(part, Param))
        names: set[str] = set()
        for param in params:
            if param.name in names:
                raise Mistake(f"a second parameter `{param.name}`; leave one out", param.at)
            names.add(param.name)
        if len(inside) - len(params) > 1 or (len(inside) > len(params) and isinstance(inside[-1], Param)):
            raise Mistake(
                "`...` comes once and last, behind the parameters that have names", place(parts[2 : close + 1])
            )
        found = collect(parts[close + 1 :])
        return ToolItem(
            tool_name(parts[1]),
            params,
            len(inside) > len(params),
            found.get("is", ()),
            found.get("risk"),
            found.get("yields", ()),
            "atomic" in found,
            at=place(parts),
        )

    def more(self, parts: Parts) -> Clause:
        return Clause("more", None, place(parts))

    def param(self, parts: Parts) -> Param:
        marks, type_ = parts[-1].value
        return Param(bare_or_text(parts[0]), type_, parts[1] == "?", "key" in marks, "shown" in marks, at=place(parts))

    def type(self, parts: Parts) -> Clause:
        marks = [str(part) for part in parts if isinstance(part, Token) and part.type in ("KEY", "SHOWN")]
        rest = parts[len(marks) :]
        if rest[0] == "list":
            inner_marks, inner = rest[2].value
            marks += inner_marks
            depth, below = 1, inner
            while below.items is not None:
                depth, below = depth + 1, below.items
            if depth > LIST_DEPTH_MAX:
                raise Mistake(f"lists in lists, more than {LIST_DEPTH_MAX} deep; write `any`", place(parts))
            type_ = Type("list", inner, at=place(rest))
        elif rest[0] == "enum":
            type_ = Type("enum", None, tuple(bare_or_text(token) for token in listed(rest[2:-1])), at=place(rest))
        else:
            type_ = Type(str(rest[0]), at=words.span(rest[0]))
        if len(marks) > len(set(marks)):
            raise Mistake(f"`{marks[0]}` twice for one parameter; leave one out", place(parts))
        return Clause("type", (marks, type_), place(parts))

    def classes(self, parts: Parts) -> Clause:
        return Clause("is", tuple(str(token) for token in listed(parts[1:])), place(parts))

    def risk_level(self, parts: Parts) -> Clause:
        return Clause("risk", parts[0].split()[1], place(parts))

    def yields(self, parts: Parts) -> Clause:
        pattern = parts[-1] if len(parts) > 2 else None
        return Clause("yields", (Yield(str(parts[1]), pattern, at=place(parts)),), place(parts))

    def atomic(self, parts: Parts) -> Clause:
        return Clause("atomic", True, place(parts))

    def agent_item(self, parts: Parts) -> AgentItem:
        return AgentItem(as_text(parts[1]), parts[3].value, at=place(parts))

    def intent_item(self, parts: Parts) -> IntentItem:
        return IntentItem(str(parts[1]), parts[3].value, at=place(parts))

    # ------------------------------------------------------------ rules

    def rule_item(self, parts: Parts) -> RuleItem:
        effect = str(parts[0])
        tools: tuple[ToolPattern, ...] = parts[1].value
        clauses = [part for part in parts[2:] if isinstance(part, Clause)]
        id_, points = None, None
        for i, part in enumerate(parts[2:], 2):
            if isinstance(part, Token) and part.type == "POINTS":
                points = words.whole(Token.new_borrow_pos("NUMBER", part[1:], part), 100, "points")
                if effect != "risk":
                    raise Mistake(f"points belong to `risk` rules; this is a `{effect}`", words.span(part))
            elif isinstance(part, Token) and part.type == "AS":
                id_ = str(parts[i + 1])
        found = collect(clauses)
        limit: LimitClause | None = found.get("to")
        for clause in clauses:
            check_belongs(effect, limit, clause)
        if effect in NEEDS and points is None and NEEDS[effect][0] not in found:
            raise Mistake(f"this `{effect}` lacks {NEEDS[effect][1]}", words.span(parts[0]))
        trial, trial_until = found.get("trial", (False, None))
        return RuleItem(
            effect,
            tools,
            id_,
            found.get("when"),
            found.get("unless"),
            points,
            found.get("change", ()),
            found.get("ask"),
            found.get("within"),
            found.get("retry after"),
            limit,
            found.get("control", ()),
            found.get("code"),
            found.get("until"),
            trial,
            trial_until,
            found.get("because"),
            found.get("tell"),
            at=place(parts),
        )

    def when(self, parts: Parts) -> Clause:
        return Clause("when", parts[1], place(parts))

    def unless(self, parts: Parts) -> Clause:
        return Clause("unless", parts[1], place(parts))

    def redact(self, parts: Parts) -> Clause:
        change = Change("redact", parts[1], pattern=parts[3], text=as_text(parts[5]), at=place(parts))
        return Clause("change", (change,), change.at)

    def change_set(self, parts: Parts) -> Clause:
        change = Change("set", parts[1], value=parts[3], at=place(parts))
        return Clause("change", (change,), change.at)

    def drop(self, parts: Parts) -> Clause:
        change = Change("drop", parts[1], at=place(parts))
        return Clause("change", (change,), change.at)

    def cap(self, parts: Parts) -> Clause:
        change = Change("cap", parts[1], value=parts[3], at=place(parts))
        return Clause("change", (change,), change.at)

    def truncate(self, parts: Parts) -> Clause:
        change = Change("truncate", parts[1], value=parts[3], at=place(parts))
        return Clause("change", (change,), change.at)

    def ask(self, parts: Parts) -> Clause:
        quorum: str | int = "any"
        rest = parts[1:]
        if rest[0].type == "NUMBER":
            quorum = words.whole(rest[0], APPROVERS_MAX, "a number of approvers")
            rest = rest[2:]
        if rest[-1] == "all":
            if quorum != "any":
                raise Mistake("either `all` or a number of approvers; leave one out", words.span(rest[-1]))
            quorum = "all"
            rest = rest[:-1]
        approvers = tuple(name_or_text(token) for token in listed(rest))
        return Clause("ask", AskClause(approvers, quorum, at=place(parts)), place(parts))

    def within(self, parts: Parts) -> Clause:
        return Clause("within", self.duration(parts[1:]), place(parts))

    def retry_after(self, parts: Parts) -> Clause:
        return Clause("retry after", self.duration(parts[2:]), place(parts))

    def limit_to(self, parts: Parts) -> Clause:
        of = parts[3] if parts[2] == "of" else None
        per, by, otherwise = parts[-5], parts[-3], str(parts[-1])
        return Clause("to", LimitClause(parts[1], of, per, by, otherwise, at=place(parts)), place(parts))

    def control(self, parts: Parts) -> Clause:
        return Clause("control", tuple(as_text(token) for token in listed(parts[1:])), place(parts))

    def code(self, parts: Parts) -> Clause:
        return Clause("code", str(parts[1]), place(parts))

    def until(self, parts: Parts) -> Clause:
        return Clause("until", parts[1], place(parts))

    def trial(self, parts: Parts) -> Clause:
        return Clause("trial", (True, parts[2] if len(parts) == 3 else None), place(parts))

    def because(self, parts: Parts) -> Clause:
        return Clause("because", as_text(parts[1]), place(parts))

    def tell(self, parts: Parts) -> Clause:
        return Clause("tell", as_text(parts[1]), place(parts))

    def result_rule_item(self, parts: Parts) -> ResultRuleItem:
        clauses = [part for part in parts[3:] if isinstance(part, Clause)]
        actions = [clause for clause in clauses if clause.name in ("result redact", "withhold", "label")]
        if not actions:
            raise Mistake(
                'this rule lacks what to do: write `redact result matching P with "…"`, `withhold` or `label NAME`',
                words.span(parts[0]),
            )
        if len(actions) > 1:
            raise Mistake("one rule does one thing with a result; write a second rule for this", actions[1].at)
        id_ = next((str(parts[i + 1]) for i, part in enumerate(parts) if part == "as"), None)
        found = collect(clauses)
        action, (pattern, text, label) = actions[0].name.split()[-1], actions[0].value
        return ResultRuleItem(
            parts[2].value,
            action,
            id_,
            found.get("when"),
            found.get("unless"),
            pattern,
            text,
            label,
            found.get("control", ()),
            found.get("because"),
            at=place(parts),
        )

    def result_redact(self, parts: Parts) -> Clause:
        return Clause("result redact", (parts[3], as_text(parts[5]), None), place(parts))

    def withhold(self, parts: Parts) -> Clause:
        return Clause("withhold", (None, None, None), place(parts))

    def label(self, parts: Parts) -> Clause:
        return Clause("label", (None, None, str(parts[1])), place(parts))

    def for_item(self, parts: Parts) -> ForItem:
        brace = parts.index("{")
        subjects: dict[str, list[Text]] = {"agent": [], "env": []}
        subject = ""
        head = listed(parts[1:brace])
        for i, token in enumerate(head):
            if token.type in ("AGENT", "ENV"):
                subject = str(token)
            else:
                subjects[subject].append(as_text(head[i]))
        items = tuple(parts[brace + 1 : -1])
        return ForItem(tuple(subjects["agent"]), tuple(subjects["env"]), items, at=place(parts))

    # ------------------------------------------------------------ tests

    def test_item(self, parts: Parts) -> TestItem:
        given: list[Given] = []
        after: list[TestCall] = []
        calls: list[TestCall] = []
        expects: list[Expect] = []
        for part in parts[3:-1]:
            if isinstance(part, Expect):
                expects.append(part)
            elif part.name == "given":
                given.extend(part.value)
            elif part.name == "after":
                after.append(part.value)
            else:
                calls.append(part.value)
        if len(calls) > 1:
            raise Mistake(
                "a second `call` in one test; write another test, or `after` for an earlier call", calls[1].at
            )
        call = calls[0] if calls else None
        return TestItem(words.text(parts[1]), tuple(given), tuple(after), call, tuple(expects), at=place(parts))

    def given_line(self, parts: Parts) -> Clause:
        given: list[Given] = []
        for part in listed(parts[1:]):
            if isinstance(part, Given):
                given.append(part)
                continue
            last, more = given[-1], part.value
            if last.subject not in ("scope", "baseline") or (last.subject == "baseline" and more.type != "STRING"):
                raise Mistake(
                    "what is given with this? write `agent`, `user`, `tenant`, `env`, `scope`, `intent`, `purpose`,"
                    " `data`, `mode`, `context`, `said`, `baseline` or `at` before it",
                    part.at,
                )
            given[-1] = replace(last, values=(*last.values, as_text(more)), at=place([last, part]))
        return Clause("given", tuple(given), place(parts))

    def given_word(self, parts: Parts) -> Given:
        return Given(str(parts[0]), (as_text(parts[1]),), at=place(parts))

    def given_scope(self, parts: Parts) -> Given:
        return Given("scope", (as_text(parts[1]),), at=place(parts))

    def given_context(self, parts: Parts) -> Given:
        return Given("context", (as_text(parts[1]), parts[2]), at=place(parts))

    def given_said(self, parts: Parts) -> Given:
        return Given("said", (as_text(parts[1]),), at=place(parts))

    def given_baseline(self, parts: Parts) -> Given:
        tool, dot, argument = parts[1].rpartition(".")
        if not dot or not argument.replace("-", "_").isidentifier():
            raise Mistake(
                'a baseline is of a tool\'s argument: write `baseline send_email.to "…"`', words.span(parts[1])
            )
        return Given("baseline", (as_text(parts[2]),), tool, argument, at=place(parts))

    def given_at(self, parts: Parts) -> Given:
        words.date(parts[1], None, words.span(parts[1]))
        minutes = words.minutes(parts[2])
        moment = Text(f"{parts[1]}T{minutes // 60:02}:{minutes % 60:02}", at=place(parts[1:3]))
        zone = as_text(parts[4]) if len(parts) == 5 else Text("UTC")
        return Given("at", (moment, zone), at=place(parts))

    def given_more(self, parts: Parts) -> Clause:
        return Clause("more", parts[0], place(parts))

    def after_call(self, parts: Parts) -> Clause:
        close = parts.index(")")
        ending = " ".join(part for part in parts[close + 1 :] if part.type != "STRING")
        returns = as_text(parts[-1]) if ending == "returns" else None
        call = called(parts[1 : close + 1])
        ending = "in flight" if ending == "is in flight" else ending
        return Clause("after", replace(call, ending=ending, returns=returns, at=place(parts)), place(parts))

    def call(self, parts: Parts) -> Clause:
        return Clause("call", replace(called(parts[1:]), at=place(parts)), place(parts))

    def expect(self, parts: Parts) -> Expect:
        clauses: list[Clause] = parts[1:]
        changed = tuple(clause.value for clause in clauses if clause.name == "args")
        found = collect([clause for clause in clauses if clause.name != "args"])
        effect, by = found.get("effect", (None, ()))
        return Expect(
            effect, by, found.get("rule", ()), found.get("code"), found.get("verdict"), changed, at=place(parts)
        )

    def expect_effect(self, parts: Parts) -> Clause:
        by = tuple(str(token) for token in listed(parts[2:]))
        return Clause("effect", (str(parts[0]), by), place(parts))

    def expect_rule(self, parts: Parts) -> Clause:
        return Clause("rule", tuple(str(token) for token in listed(parts[1:])), place(parts))

    def expect_code(self, parts: Parts) -> Clause:
        return Clause("code", str(parts[1]), place(parts))

    def expect_verdict(self, parts: Parts) -> Clause:
        return Clause("verdict", str(parts[1]), place(parts))

    def expect_change(self, parts: Parts) -> Clause:
        return Clause("args", (parts[0], parts[2]), place(parts))
