"""Random policies: whole syntax trees over few names, so that things collide.

Every tree drawn is one that `parse` could have returned: conditions are flat, comments stand in
their canonical places, clauses belong to their effects. What the names mean is not looked at.
"""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from thoth.grammar import syntax as s

NAMES = ("pii", "secrets", "finance_mail", "large-payment", "when", "to", "x1", "_y", "limit")
ARGUMENTS = ("to", "from", "amount", "key", "in", "is", "class", "user-id", "odd name", 'quo"te', "")
TOOLS = ("send_email", "db.read", "mcp/files:read-it", "class", "in", "odd tool", "env", "agent.x", "Ünï")
GLOBS = ("db.*", "*_email", "a*b", "in*", "odd *", "class.*")
WORDS = ("prod", "staging-*", "agent", "env", "user", "a b")
ROOTS = ("tool", "class", "server", "agent", "user", "tenant", "env", "purpose", "data", "risk", "now")
TRICKY = (
    "",
    "*@acme.com",
    'say "hi"',
    "back\\slash",
    "tab\tline\nend",
    "\u202e\U0001f600\u2028",
    "# no comment",
    "{(",
    "\0",
)
PATTERNS = ("^(a|b)$", r"\d+\.\d", '"quoted"', r"\\", r"a\\b\"c".replace('\\"', '"'), "#{", "")
EFFECTS = ("allow", "modify", "step_up", "defer", "block")

names = st.sampled_from(NAMES)
texts = st.builds(s.Text, st.sampled_from(TRICKY) | st.text(max_size=6))
words = st.builds(s.Text, st.sampled_from(WORDS))
regexes = st.builds(s.Regex, st.sampled_from(PATTERNS))
bare = st.builds(s.Name, names)
decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4) | (
    st.sampled_from(["1e3", "1e-9", "1.5e300", "-2.50", "0.0", "12345.678", "1e20"]).map(Decimal)
)
numbers = st.builds(s.Number, st.integers(-(10**6), 10**6) | st.sampled_from([0, 9999, 10_000, 10**30]) | decimals)
booleans = st.builds(s.Boolean, st.booleans())
durations = st.builds(s.Duration, st.integers(0, 999), st.sampled_from("smhdw"))
sizes = st.builds(s.Size, st.integers(0, 999), st.sampled_from(["b", "kb", "mb"]))
days = st.builds(s.Date, st.integers(1, 9999), st.integers(1, 12), st.integers(1, 28))
zones = st.builds(s.Text, st.sampled_from(["Europe/London", "UTC"]))
dates = st.builds(s.Date, st.integers(1, 9999), st.integers(1, 12), st.integers(1, 28), st.none() | zones)


def several(items: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    """Draw a tuple of one or a few."""
    return st.lists(items, min_size=1, max_size=most).map(tuple)


def some(items: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    """Draw a tuple of none or a few."""
    return st.lists(items, max_size=most).map(tuple)


# ---------------------------------------------------------------- comments

_comment_texts = st.sampled_from(["why", "# heading", "  indented", 'with "quotes', "{ ( [", "", "allow *"])


@st.composite
def comments(draw: st.DrawFn) -> tuple[s.Comment, ...]:
    """Draw comments as one node has them: some above it, at most one behind its first line."""
    above = draw(some(st.builds(s.Comment, _comment_texts), 2))
    trailing = draw(some(st.builds(s.Comment, _comment_texts, st.just(True)), 1))
    return (*above, *trailing)


closing = some(st.builds(s.Comment, _comment_texts), 2)

# ---------------------------------------------------------------- values and terms

scalars = texts | numbers | booleans
literals = st.recursive(
    scalars | st.builds(s.Null),
    lambda inner: (
        st.builds(s.ListLiteral, some(inner))
        | st.builds(
            s.RecordLiteral,
            st.dictionaries(st.sampled_from(ARGUMENTS), inner, max_size=2).map(lambda d: tuple(d.items())),
        )
    ),
    max_leaves=4,
)
members = texts | numbers | booleans | bare | days | durations


@st.composite
def paths(draw: st.DrawFn, root: str = "") -> s.Path:
    """Draw an attribute; of `args` most often."""
    root = root or draw(st.sampled_from(["args", "args", "session", "context", "task", *ROOTS]))
    if root in ROOTS:
        return s.Path(root)
    step = st.sampled_from(ARGUMENTS) | st.just(s.EACH) | st.integers(0, 12)
    steps = (draw(st.sampled_from(ARGUMENTS)), *draw(some(step, 2)))
    return s.Path(root, steps, root == "args" and steps[0] == "key" and draw(st.booleans()))


def tool_patterns() -> st.SearchStrategy[s.ToolPattern]:
    """Draw one pattern of tools, of every kind."""
    return (
        st.builds(s.ToolPattern, st.just("name"), st.sampled_from(TOOLS))
        | st.builds(s.ToolPattern, st.just("glob"), st.sampled_from(GLOBS))
        | st.builds(s.ToolPattern, st.just("class"), names | st.just("odd class"))
        | st.just(s.ToolPattern("any"))
    )


tools = several(tool_patterns())
counts = st.builds(s.Count, st.sampled_from(["calls", "completed", "failed"]), tools, st.none() | durations)
functions = st.builds(s.Call, st.sampled_from(["size", "lower", "host", "domain"]), paths() | texts)
subjects = paths() | functions | counts
set_literals = st.builds(s.SetLiteral, several(members))
terms = subjects | scalars | bare | durations | dates | set_literals

# ---------------------------------------------------------------- conditions


@st.composite
def tests(draw: st.DrawFn) -> s.Test:
    """Draw one test, with any operator."""
    operator = draw(st.sampled_from(OPERATORS))
    if operator == "has":
        return s.Test(draw(paths()), operator)
    left, each = draw(subjects), draw(st.sampled_from([None, "any", "all"]))
    negated = operator not in ("<", "<=", ">", ">=") and draw(st.booleans())
    right: Any = None
    if operator == "between":
        right = (draw(terms), draw(terms))
    elif operator == "matches":
        right = draw(regexes | bare)
    elif operator == "from tool":
        right = draw(
            st.none()
            | st.builds(s.Name, st.sampled_from(["read_inbox", "db.read"]))
            | st.builds(s.Text, st.sampled_from(TOOLS))
        )
    elif operator == "from tool class":
        right = draw(st.builds(s.Name, st.sampled_from(["read", "web"])))
    elif operator not in ALONE:
        right = draw(terms)
    return s.Test(left, operator, right, negated, each)


ALONE = ("in scope", "in intent", "in baseline", "by host in baseline", "from user", "by host from user")
OPERATORS = (
    *("is", "<", "<=", ">", ">=", "between", "in", "like", "matches", "starts with", "ends with", "contains"),
    *("under", "in cidr", "from tool", "from tool class", "has", *ALONE),
)


def _flat(kind: type[s.And] | type[s.Or]) -> Any:
    def build(parts: list[s.Condition]) -> s.Condition:
        flat: list[s.Condition] = []
        for part in parts:
            flat.extend(part.parts if isinstance(part, s.And | s.Or) and isinstance(part, kind) else (part,))
        return kind(tuple(flat))

    return build


def conditions() -> st.SearchStrategy[s.Condition]:
    """Draw a condition, nested a few deep."""
    return st.recursive(
        tests() | st.builds(s.After, tools),
        lambda inner: (
            st.builds(s.Not, inner)
            | st.lists(inner, min_size=2, max_size=3).map(_flat(s.And))
            | st.lists(inner, min_size=2, max_size=3).map(_flat(s.Or))
        ),
        max_leaves=5,
    )


# ---------------------------------------------------------------- items

_modes = st.builds(s.Name, st.sampled_from(["observe", "progressive", "step_up", "block"]))
_steps = st.builds(s.Name, st.sampled_from(["allow", "step_up", "block"]))


@st.composite
def policy_items(draw: st.DrawFn) -> s.PolicyItem:
    """Draw the `policy` item, with any of its settings in any order."""
    values: dict[str, Any] = {
        "version": texts.map(lambda text: (text,)),
        "regimes": several(bare | texts),
        "default": st.sampled_from(["allow", "block"]).map(lambda word: (s.Name(word),)),
        "approvers": several(texts),
        "arguments": st.just((s.Name("lenient"),)),
        "ladder": st.tuples(several(_steps), some(durations, 1)).map(lambda pair: (*pair[0], *pair[1])),
        "data": st.lists(bare, min_size=2, max_size=4).map(tuple),
        "provenance": sizes.map(lambda size: (size,)),
        "scan": sizes.map(lambda size: (size,)),
        "in flight": durations.map(lambda duration: (duration,)),
    }
    settings = []
    for name in draw(st.lists(st.sampled_from([*values, "mode"]), unique=True, max_size=6)):
        form = draw(st.sampled_from(["", "at least", "from request"])) if name == "mode" else ""
        if name == "mode":
            value: tuple[Any, ...] = () if form == "from request" else (draw(_modes),)
        else:
            value = draw(values[name])
        settings.append(s.Setting(name, value, form, draw(comments())))
    return s.PolicyItem(draw(names), tuple(settings), draw(comments()))


hours_ranges = st.builds(s.HoursRange, st.integers(0, 6), st.integers(0, 6), st.integers(0, 1439), st.integers(0, 1440))
_plain_types = st.sampled_from(
    ["string", "int", "number", "boolean", "id", "email", "url", "host", "path", "ip", "record", "any"]
)
types = st.recursive(
    st.builds(s.Type, _plain_types)
    | st.builds(s.Type, st.just("enum"), st.none(), several(names | st.just("key") | st.just("odd value"))),
    lambda inner: st.builds(s.Type, st.just("list"), inner),
    max_leaves=2,
)
params = st.builds(s.Param, st.sampled_from(ARGUMENTS), types, st.booleans(), st.booleans(), st.booleans())
tool_items = st.builds(
    s.ToolItem,
    st.sampled_from(TOOLS),
    st.lists(params, max_size=5, unique_by=lambda param: param.name).map(tuple),
    st.booleans(),
    some(names),
    st.none() | st.sampled_from(["low", "medium", "high", "critical"]),
    some(st.builds(s.Yield, names, st.none() | bare | regexes), 2),
    st.booleans(),
    comments(),
)


@st.composite
def rule_items(draw: st.DrawFn) -> s.RuleItem:
    """Draw a rule of any effect, with the clauses that belong to it."""
    effect = draw(st.sampled_from([*EFFECTS, "limit", "risk"]))
    maybe = lambda strategy: draw(st.none() | strategy)  # noqa: E731
    own: dict[str, Any] = {}
    otherwise = effect
    if effect == "limit":
        otherwise = draw(st.sampled_from(["step_up", "defer", "block"]))
        amount = draw(numbers)
        by = draw(st.sampled_from([s.Path(name) for name in ("session", "agent", "user", "tenant")]) | paths("args"))
        own["limit"] = s.LimitClause(amount, maybe(paths("args")), draw(durations), by, otherwise)
    if effect == "risk":
        own["points"] = draw(st.integers(1, 100))
    if effect == "modify":
        own["changes"] = draw(several(changes()))
    if otherwise == "step_up":
        own["ask"] = maybe(asks)
        own["within"] = maybe(durations)
    if otherwise == "defer":
        own["retry_after"] = maybe(durations)
    trial = draw(st.booleans())
    return s.RuleItem(
        effect,
        draw(tools),
        maybe(names),
        maybe(conditions()),
        maybe(conditions()),
        control=draw(some(texts, 2)),
        code=maybe(names),
        until=maybe(dates),
        trial=trial,
        trial_until=maybe(dates) if trial else None,
        because=maybe(texts),
        tell=maybe(texts),
        comments=draw(comments()),
        **own,
    )


asks = st.builds(
    s.AskClause,
    several(texts | st.just(s.Name("user"))),
    st.sampled_from(["any", "all"]) | st.integers(1, 3),
)


def changes() -> st.SearchStrategy[s.Change]:
    """Draw one modification."""
    argument = paths("args")
    return (
        st.builds(s.Change, st.just("redact"), argument, pattern=bare | regexes, text=texts)
        | st.builds(s.Change, st.just("set"), argument, value=literals)
        | st.builds(s.Change, st.just("drop"), argument)
        | st.builds(s.Change, st.sampled_from(["cap", "truncate"]), argument, value=numbers)
    )


@st.composite
def result_rule_items(draw: st.DrawFn) -> s.ResultRuleItem:
    """Draw a rule about results."""
    action = draw(st.sampled_from(["redact", "withhold", "label"]))
    own: dict[str, Any] = {}
    if action == "redact":
        own = {"pattern": draw(bare | regexes), "text": draw(texts)}
    if action == "label":
        own = {"label": draw(names)}
    when, unless = draw(st.none() | conditions()), draw(st.none() | conditions())
    return s.ResultRuleItem(
        draw(tools),
        action,
        draw(st.none() | names),
        when,
        unless,
        control=draw(some(texts, 1)),
        because=draw(st.none() | texts),
        comments=draw(comments()),
        **own,
    )


@st.composite
def for_items(draw: st.DrawFn) -> s.ForItem:
    """Draw a group of rules, tools and modules."""
    agents, envs = draw(some(texts, 2)), draw(some(words, 2))
    modules = st.builds(s.UseItem, names, st.booleans(), comments())
    items = draw(some(rule_items() | result_rule_items() | tool_items | modules, 3))
    return s.ForItem(agents or (s.Text("a*"),), envs, items, draw(comments()), draw(closing))


# ---------------------------------------------------------------- tests


@st.composite
def givens(draw: st.DrawFn) -> s.Given:
    """Draw one thing that a test gives."""
    subject = draw(st.sampled_from(SUBJECTS))
    note = draw(st.just(()) | comments())
    match subject:
        case "scope":
            return s.Given(subject, draw(several(st.builds(s.Text, st.sampled_from(TOOLS + GLOBS)))), comments=note)
        case "context":
            return s.Given(subject, (s.Text(draw(st.sampled_from(ARGUMENTS))), draw(literals)), comments=note)
        case "baseline":
            argument = draw(st.sampled_from(["to", "user-id"]))
            tool = draw(st.sampled_from(["send_email", "db.read", "env"]))
            return s.Given(subject, draw(several(texts)), tool, argument, note)
        case "at":
            moment = f"2026-{draw(st.integers(1, 12)):02}-23T{draw(st.integers(0, 23)):02}:05"
            return s.Given(subject, (s.Text(moment), draw(zones)), comments=note)
    return s.Given(subject, (draw(texts | words),), comments=note)


SUBJECTS = (
    *("agent", "user", "tenant", "env", "intent", "purpose", "data", "mode", "said"),
    *("scope", "context", "baseline", "at"),
)
_arguments = st.dictionaries(st.sampled_from(ARGUMENTS), literals, max_size=3).map(lambda d: tuple(d.items()))


@st.composite
def calls(draw: st.DrawFn, ended: bool) -> s.TestCall:
    """Draw a call in a test; `ended` ones may say how."""
    ending = draw(st.sampled_from(["", "returns", "fails", "in flight"])) if ended else ""
    returns = draw(texts) if ending == "returns" else None
    return s.TestCall(draw(st.sampled_from(TOOLS)), draw(_arguments), ending, returns, draw(comments()))


@st.composite
def expects(draw: st.DrawFn) -> s.Expect:
    """Draw what a test expects: at least one thing."""
    ids = names | st.just("soc2.large")
    effect = draw(st.none() | st.sampled_from(EFFECTS))
    expect = s.Expect(
        effect,
        draw(some(ids, 2)) if effect else (),
        draw(some(ids, 2)),
        draw(st.none() | names),
        draw(st.none() | st.sampled_from(EFFECTS)),
        draw(some(st.tuples(paths("args"), literals), 2)),
        draw(comments()),
    )
    return expect if expect != s.Expect(comments=expect.comments) else s.Expect("allow", comments=expect.comments)


test_items = st.builds(
    s.TestItem,
    st.sampled_from(TRICKY),
    some(givens(), 4),
    some(calls(ended=True), 2),
    st.none() | calls(ended=False),
    some(expects(), 2),
    comments(),
    closing,
)

# ---------------------------------------------------------------- policies


def items() -> st.SearchStrategy[s.Item]:
    """Draw an item of any kind."""
    return st.one_of(
        policy_items(),
        st.builds(s.UseItem, names, st.booleans(), comments()),
        st.builds(s.SetItem, names, several(members, 12), comments()),
        st.builds(s.PatternItem, names, regexes, comments()),
        st.builds(s.HoursItem, names, several(hours_ranges), zones, some(days, 9), comments()),
        tool_items,
        st.builds(s.AgentItem, texts, tools, comments()),
        st.builds(s.IntentItem, names, tools, comments()),
        rule_items(),
        result_rule_items(),
        for_items(),
        test_items,
    )


def policies(most: int = 4) -> st.SearchStrategy[s.Policy]:
    """Draw a whole file."""
    return st.builds(s.Policy, some(items(), most), closing)
