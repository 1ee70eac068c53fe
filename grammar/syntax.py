"""The syntax tree: what was written, item by item; every node knows its place.

Nothing is resolved here: a bare name may turn out to be a set, a pattern, a detector, a label or a
word of an enumeration, and only `engine.check` can tell. Two trees are equal when they say the same,
wherever it stands; comments are part of what is said.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Span:
    """A place in one text: 1-based lines and columns (in code points), the end exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


NOWHERE = Span(0, 0, 0, 0)


def _at() -> Span:
    """Make the field that says where a node stands; it takes no part in comparing."""
    return field(default=NOWHERE, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Comment:
    """One `#` comment, without the mark. `trailing` if it stands behind something on its line."""

    text: str
    trailing: bool = False
    at: Span = _at()


# ---------------------------------------------------------------- values


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted string; `value` is what it says, escapes resolved."""

    value: str
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Regex:
    """A quoted regular expression, taken as it stands between the quotes (only `\\"` is an escape, for `"`)."""

    value: str
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Number:
    """A number: `10_000`, `0.5`, `-3`, `1e3`; exact. `written` integers stay integers."""

    value: int | Decimal
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`."""

    value: bool
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Null:
    """`null`: only in the arguments of a test's calls."""

    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Name:
    """A bare word: a set, a pattern, a label, a class, an enumeration's word; `check` resolves it."""

    value: str
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Duration:
    """`30s`, `15m`, `2h`, `1d`, `90d`; `unit` is s, m, h, d or w."""

    amount: int
    unit: str
    at: Span = _at()

    @property
    def seconds(self) -> int:
        """The length in seconds."""
        return self.amount * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[self.unit]


@dataclass(frozen=True, slots=True)
class Size:
    """`64kb`, `1mb`; `unit` is b, kb or mb (powers of 1,024)."""

    amount: int
    unit: str
    at: Span = _at()

    @property
    def bytes(self) -> int:
        """The size in bytes."""
        return self.amount * {"b": 1, "kb": 1024, "mb": 1024 * 1024}[self.unit]


@dataclass(frozen=True, slots=True)
class Date:
    """`2026-11-23`, with `in "Zone"` where one is written."""

    year: int
    month: int
    day: int
    zone: Text | None = None
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class SetLiteral:
    """A set in place: `{"a", "b"}`, `{read, write}`."""

    items: tuple["Value", ...]
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class ListLiteral:
    """A JSON list in a test's arguments: `["eve@evil.example"]`."""

    items: tuple["Value", ...]
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class RecordLiteral:
    """A JSON object in a test's arguments: `{"a": 1, b: 2}`; keys as texts."""

    members: tuple[tuple[str, "Value"], ...]
    at: Span = _at()


Value: TypeAlias = (
    Text | Regex | Number | Boolean | Null | Name | Duration | Date | SetLiteral | ListLiteral | RecordLiteral
)


# ---------------------------------------------------------------- terms: what a condition looks at


@dataclass(frozen=True, slots=True)
class Each:
    """The step `[*]` of a path."""


EACH = Each()


@dataclass(frozen=True, slots=True)
class Path:
    """An attribute: `args.items[*].price` is root `args` and steps ("items", EACH, "price").

    A step is a member's name (text; `["key"]` in brackets says the same), an index (int) or EACH.
    Roots: tool, class, server, args, agent, user, tenant, env, scope, intent, purpose, data, session,
    task, risk, now, context, result. `args.key` is steps ("key",) with `keys` true; `args["key"]` is
    steps ("key",) with `keys` false.
    """

    root: str
    steps: tuple[str | int | Each, ...] = ()
    keys: bool = False
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Call:
    """A function of one value: `size(args.to)`, `lower(x)`, `host(url)`, `domain(email)`."""

    function: str
    argument: "Term"
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Count:
    """`calls(TOOLS, in 10m)`, `completed(…)`, `failed(…)`; `window` None means the whole session."""

    function: str
    tools: "tuple[ToolPattern, ...]"
    window: Duration | None = None
    at: Span = _at()


Term: TypeAlias = Path | Call | Count | Value


# ---------------------------------------------------------------- conditions


@dataclass(frozen=True, slots=True)
class Test:
    """One test: `left OPERATOR right`, or its opposite where `negated` (`is not`, `not in`, `not like`, …).

    `operator` is one of: is, <, <=, >, >=, between (right is a pair), in, like, matches, starts with,
    ends with, contains, under, in cidr, from user, by host from user, from tool (right is a Name or
    Text with the tool's name, or None for `*`), from tool class (right is a Name), in baseline,
    by host in baseline, has (left is the path, right None), in scope, in intent (left is the path `tool`).
    For `each` "any" or "all" the test is asked of every item of `left`.
    """

    left: Term
    operator: str
    right: "Term | tuple[Term, Term] | None" = None
    negated: bool = False
    each: str | None = None
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class After:
    """`after TOOLS`: short for `calls(TOOLS) > 0`."""

    tools: "tuple[ToolPattern, ...]"
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Not:
    """`not CONDITION`."""

    part: "Condition"
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class And:
    """Two or more conditions that must all hold."""

    parts: "tuple[Condition, ...]"
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Or:
    """Two or more conditions of which one must hold."""

    parts: "tuple[Condition, ...]"
    at: Span = _at()


Condition: TypeAlias = Test | After | Not | And | Or


# ---------------------------------------------------------------- items


@dataclass(frozen=True, slots=True)
class ToolPattern:
    """Which tools: kind `name` (`db.read`), `glob` (`db.*`), `class` (`class delete`) or `any` (`*`)."""

    kind: str
    value: str = "*"
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a `policy` item; `name` is its first word or words, `values` what follows.

    version (Text) · regimes (Name or Text, …) · default (Name allow|block) · mode (Name M; prefix "at
    least" or "from request" in `form`) · approvers (Text, …) · arguments (Name lenient) · ladder
    (Name, …, optional Duration last) · data (Name, … in rising order) · provenance (Size) · scan (Size)
    · in flight (Duration). `bounds provenance 256kb, scan 64kb` is written as one line and read as
    one Setting for each part.
    """

    name: str
    values: "tuple[Value | Size, ...]" = ()
    form: str = ""
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class PolicyItem:
    """`policy NAME` with its settings."""

    name: str
    settings: tuple[Setting, ...] = ()
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class UseItem:
    """`use NAME [with allow]`."""

    name: str
    with_allow: bool = False
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class SetItem:
    """`set NAME = item, item, …`."""

    name: str
    items: tuple[Value, ...]
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class PatternItem:
    """`pattern NAME = "regex"`."""

    name: str
    regex: Regex
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class HoursRange:
    """`mon-fri 09:00-17:00`: days 0 (Monday) to 6, in the order written, minutes since midnight.

    `first` to `last` may wrap (`sat-mon`); a single day has both equal. `start` is in, `end` is out;
    an `end` at or before `start` belongs to the next day. 24:00 is 1440.
    """

    first: int
    last: int
    start: int
    end: int
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class HoursItem:
    """`hours NAME = mon-fri 09:00-17:00, sat 10:00-12:00 in "Europe/London" except 2026-12-25, …`."""

    name: str
    ranges: tuple[HoursRange, ...]
    zone: Text
    excepted: tuple[Date, ...] = ()
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Type:
    """A parameter's type: `name`, for `list` its `items`, for `enum` its `values`; `key` inside `list of key email`."""

    name: str
    items: "Type | None" = None
    values: tuple[str, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Param:
    """`to: list of key email`, `note?: shown string`; `key` and `shown` may stand before the type or its item type."""

    name: str
    type: Type
    optional: bool = False
    key: bool = False
    shown: bool = False
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Yield:
    """`yields pii` or `yields pii when result matches PATTERN` (a Name or Regex)."""

    label: str
    pattern: Name | Regex | None = None
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class ToolItem:
    """`tool NAME(params, …) is class, class risk high yields label atomic`. `more` is the `…` (or `...`)."""

    name: str
    params: tuple[Param, ...] = ()
    more: bool = False
    classes: tuple[str, ...] = ()
    risk: str | None = None
    yields: tuple[Yield, ...] = ()
    atomic: bool = False
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class AgentItem:
    """`agent PATTERN scope TOOLS`."""

    pattern: Text
    scope: tuple[ToolPattern, ...]
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class IntentItem:
    """`intent NAME allows TOOLS`."""

    name: str
    tools: tuple[ToolPattern, ...]
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


# ---------------------------------------------------------------- rules


@dataclass(frozen=True, slots=True)
class Change:
    """One modification. `kind`: redact, set, drop, cap, truncate.

    redact PATH matching `pattern` with `text` · set PATH = `value` · drop PATH · cap PATH at `value`
    (Number) · truncate PATH to `value` (Number).
    """

    kind: str
    path: Path
    pattern: Name | Regex | None = None
    text: Text | None = None
    value: Value | None = None
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class AskClause:
    """`ask "finance-leads", user all within 15m` or `ask 2 of "a", "b", "c"`; `user` is a Name.

    `quorum`: "any" if unsaid, "all", or a number.
    """

    approvers: tuple[Text | Name, ...]
    quorum: str | int = "any"
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class LimitClause:
    """`to AMOUNT calls per DURATION by KEY else EFFECT`, or `to AMOUNT of PATH per …`.

    `of` is None for calls. `by` is a Path: root session, agent, user, tenant or args. `otherwise` is
    step_up, defer or block.
    """

    amount: Number
    of: Path | None
    per: Duration
    by: Path
    otherwise: str
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class RuleItem:
    """One rule: `EFFECT TOOLS as ID when … unless … CLAUSES`. None where a clause is not written.

    `effect`: allow, modify, step_up, defer, block, limit, risk. `control` holds the texts of all
    `control` clauses. `trial_until` only counts where `trial`.
    """

    effect: str
    tools: tuple[ToolPattern, ...]
    id: str | None = None
    when: Condition | None = None
    unless: Condition | None = None
    points: int | None = None
    changes: tuple[Change, ...] = ()
    ask: AskClause | None = None
    within: Duration | None = None
    retry_after: Duration | None = None
    limit: LimitClause | None = None
    control: tuple[Text, ...] = ()
    code: str | None = None
    until: Date | None = None
    trial: bool = False
    trial_until: Date | None = None
    because: Text | None = None
    tell: Text | None = None
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class ResultRuleItem:
    """`on result TOOLS as ID when … unless … ACTION`: redact result matching P with "…", withhold, or label L.

    `action`: redact, withhold or label; `pattern` and `text` belong to redact, `label` to label.
    """

    tools: tuple[ToolPattern, ...]
    action: str
    id: str | None = None
    when: Condition | None = None
    unless: Condition | None = None
    pattern: Name | Regex | None = None
    text: Text | None = None
    label: str | None = None
    control: tuple[Text, ...] = ()
    because: Text | None = None
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class ForItem:
    """`for agent "a*", env prod, staging { items }`: the same conditions for a group of rules, tools or modules.

    Each of `agents` and `envs` is a list of which one must fit (glob patterns as texts); empty where
    not written. `closing` are the comments behind the last item, before the brace.
    """

    agents: tuple[Text, ...]
    envs: tuple[Text, ...]
    items: "tuple[RuleItem | ResultRuleItem | ToolItem | UseItem, ...]"
    comments: tuple[Comment, ...] = ()
    closing: tuple[Comment, ...] = ()
    at: Span = _at()


# ---------------------------------------------------------------- tests


@dataclass(frozen=True, slots=True)
class Given:
    """One thing that a test gives: `subject` is agent, user, tenant, env, scope, intent, purpose, data,
    mode, context (values: the member's name as Text and its value), said (Text), baseline (`tool` and
    `argument` named, values: Text), at (values: Text with ISO date and time `2026-11-23T03:00`, Text zone).
    """

    subject: str
    values: tuple[Value, ...] = ()
    tool: str | None = None
    argument: str | None = None
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class TestCall:
    """A call in a test: its tool and its arguments by name; `ending`: returns, fails, "in flight" or ""."""

    tool: str
    arguments: tuple[tuple[str, Value], ...] = ()
    ending: str = ""
    returns: Text | None = None
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class Expect:
    """What a test expects, each None or empty where not written.

    `expect EFFECT by ID, ID` · `expect rule ID` (among the rules) · `expect code CODE` ·
    `expect verdict EFFECT` · `expect args PATH is VALUE`.
    """

    effect: str | None = None
    by: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    code: str | None = None
    verdict: str | None = None
    changed: tuple[tuple[Path, Value], ...] = ()
    comments: tuple[Comment, ...] = ()
    at: Span = _at()


@dataclass(frozen=True, slots=True)
class TestItem:
    """`test "…" { given … after … call … expect … }`; `expects` in the order written.

    `closing` are the comments behind the last line, before the brace.
    """

    name: str
    given: tuple[Given, ...] = ()
    after: tuple[TestCall, ...] = ()
    call: TestCall | None = None
    expects: tuple[Expect, ...] = ()
    comments: tuple[Comment, ...] = ()
    closing: tuple[Comment, ...] = ()
    at: Span = _at()


Item: TypeAlias = (
    PolicyItem
    | UseItem
    | SetItem
    | PatternItem
    | HoursItem
    | ToolItem
    | AgentItem
    | IntentItem
    | RuleItem
    | ResultRuleItem
    | ForItem
    | TestItem
)


@dataclass(frozen=True, slots=True)
class Policy:
    """One file: its items in order, the comments after the last of them, and the text it was read from.

    `broken` holds the words that stood in items that could not be read (only `read_policy` returns such a
    tree): what they might have named is not known, so nobody should call them unknown.
    """

    items: tuple[Item, ...]
    comments: tuple[Comment, ...] = ()
    source: str = field(default="policy.thoth", compare=False)
    text: str = field(default="", compare=False, repr=False)
    broken: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
