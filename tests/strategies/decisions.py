"""Random policies, requests, sessions and ledgers over few names, so that conditions collide and rules overlap."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from thoth.contract import Answer as Reply
from thoth.contract import Approval, Effect, Ending, Mode, Reservation, Violation
from thoth.contract.decision import Decision
from thoth.engine import checked as c
from thoth.engine.ledger import Ledger
from thoth.engine.session import Call, Session

NOW = 1_770_000_000.5
NOWS = st.sampled_from([NOW, NOW + 3600 * 9, NOW + 86_400 * 3, 1_770_000_000, 1_774_747_800.0])

TOOLS = ["read", "db.query", "db.drop", "mail", "caf\u00e9"]
TOOL_NAMES = [*TOOLS, *TOOLS, "cafe\u0301", "ghost", "db.x", "Read"]
CLASSES = ["read", "write", "delete"]
ENVS = ["prod", "prod-eu", "dev"]
LABELS = ["pii", "secret"]
PEOPLE = ["ada", "bob", "eve", "treasury-1"]

TEXTS = [
    "",
    "a",
    "abc",
    "ABC",
    "caf\u00e9",
    "cafe\u0301",
    "25000",
    "1,000",
    "true",
    "null",
    "1.0",
    "-0",
    "1e3",
    "[truncated]",
    "[function]",
    "ada",
    "Ada@acme.com",
    "Ada@ACME.com.",
    "eve@evil.example",
    "ada@caf\u00e9.example",
    "a b@acme.com",
    "acme.com",
    "ACME.com.",
    "xn--caf-dma.example",
    "CAF\u00c9.example",
    "10.0.0.1",
    "10.0.0.01",
    "::ffff:10.0.0.1",
    "fe80::1",
    "[fe80::1]",
    "https://acme.com/x",
    "http://user@acme.com/",
    "HTTPS://Acme.com:8443?q",
    "https://acme.com%2e",
    "/etc/passwd",
    "/etc/../home/x",
    "etc/x",
    "~/x",
    "/a\\b",
    "$HOME/x",
    "card 4111 1111 1111 1111 and 4111 1111 1111 1112",
    "iban DE89 3704 0044 0532 0130 00 x",
    "ssn 123-45-6789 or 000-12-3456",
    "mail Ada@acme.com, tel 25,000.00",
    "x" * 70,
    "\u212a",
    "e\u0301" * 30,
    "a" + "\u0301\u0323\u0345" * 40,
    "a caf\u00e9, a cafe\u0301",
]
NUMBERS: list[Any] = [
    0, 1, 2, 3, -1, 1.0, 2.5, 0.1, 1000, 1000.0, 25_000, 999, 2**53 - 1, 2**53, 2**53 + 1, float(2**53),
    10**30, -(2**4000), 1e308, 5e-324,
]  # fmt: skip
CONSTANTS: list[Any] = [0, 1, 2, Decimal("1.0"), Decimal("0.1"), Decimal("2.5"), 1000, 2**53 + 1, 2**53, True, False]
PARAMS: dict[str, c.Type] = {
    "to": c.Type("list", c.Type("email")),
    "cc": c.Type("email"),
    "amount": c.Type("number"),
    "count": c.Type("int"),
    "body": c.Type("string"),
    "path": c.Type("path"),
    "url": c.Type("url"),
    "host": c.Type("host"),
    "ip": c.Type("ip"),
    "id": c.Type("id"),
    "flag": c.Type("boolean"),
    "kind": c.Type("enum", values=("a", "abc")),
    "meta": c.Type("record"),
    "free": c.Type("any"),
    "rows": c.Type("list", c.Type("list", c.Type("id"))),
    "items": c.Type("list", c.Type("record")),
    "args": c.Type("list", c.Type("any")),
}
NAMES = [*PARAMS, *["amount", "body"] * 5]
"""Two arguments come up often: what a rule changes, another rule has to ask about."""
STEPS: list[tuple[Any, ...]] = [
    ("x",), ("x", c.EACH), ("x", c.EACH, "y"), (c.EACH,), (0,), (1,), (c.EACH, c.EACH), (c.EACH, "y"), (0, "y"),
    ("x", 0),
]  # fmt: skip

_sampled: dict[str, SearchStrategy[Any]] = {}


def ids(values: Sequence[Any]) -> SearchStrategy[Any]:
    """Draw one of some values; the same strategy for the same values, since making one costs more than drawing."""
    return _sampled.setdefault(repr(values), st.sampled_from(values))


@cache
def scalars() -> SearchStrategy[Any]:
    return st.one_of(ids(TEXTS), ids(NUMBERS), st.booleans(), st.none())


@cache
def json_values() -> SearchStrategy[Any]:
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(ids(["x", "y", "e\u0301"]), inner, max_size=2)
        ),
        max_leaves=5,
    )


# ---------------------------------------------------------------- policies


@cache
def paths() -> SearchStrategy[tuple[Any, ...]]:
    return st.builds(lambda name, rest: (name, *rest), ids(NAMES), st.one_of(st.just(()), st.just(()), ids(STEPS)))


@cache
def arguments() -> SearchStrategy[c.Argument]:
    return st.builds(c.Argument, paths())


@cache
def tool_patterns() -> SearchStrategy[tuple[c.ToolPattern, ...]]:
    one = st.one_of(
        st.just(c.ToolPattern("any")),
        st.builds(c.ToolPattern, st.just("name"), ids(TOOL_NAMES)),
        st.builds(c.ToolPattern, st.just("glob"), ids(["db.*", "*", "?ead", "caf?", "*\\*", "ghos*"])),
        st.builds(c.ToolPattern, st.just("class"), ids(CLASSES)),
    )
    return st.lists(one, min_size=1, max_size=2).map(tuple)


@cache
def constants() -> SearchStrategy[c.Constant]:
    return st.builds(c.Constant, st.one_of(ids(TEXTS), ids(CONSTANTS), ids(["low", "high", "public", "restricted"])))


@cache
@st.composite
def terms(draw: DrawFn, deep: bool = True) -> c.Term:
    kind = draw(ids(["argument"] * 6 + ["attribute"] * 4 + ["keys", "context", "count", "listing", "apply", "apply"]))
    match kind:
        case "argument":
            return draw(arguments())
        case "attribute":
            return c.Attribute(
                draw(
                    ids([
                        "tool", "server", "agent", "user", "tenant", "env", "intent", "purpose", "data", "tool.risk",
                        "task.initiated_by", "task.id", "task.depth", "session.age", "session.blocks",
                    ])
                )
            )  # fmt: skip
        case "keys":
            return c.Keys()
        case "context":
            return c.Context(draw(ids([("a",), ("a", c.EACH), ("a", "x"), ("b", 0), ()])))
        case "count":
            return c.Count(
                draw(ids(["calls", "completed", "failed"])), draw(tool_patterns()), draw(ids([None, 60, 3600]))
            )
        case "listing":
            return c.Listing(draw(ids(["class", "session.labels", "task.chain"])))
    if not deep:
        return draw(arguments())
    return c.Apply(draw(ids(["size", "lower", "host", "domain"])), draw(terms(deep=False)))


PATTERNS = [
    c.Pattern("a+"),
    c.Pattern("(?i)ABC"),
    c.Pattern("^(abc|25000)$"),
    c.Pattern("4111"),
    c.Pattern("x*"),
    c.Pattern("caf\u00e9|\u0323+"),
    *(c.Pattern(detector=name) for name in ("email", "card_number", "iban", "us_ssn", "api_key", "url", "ip")),
]


@cache
@st.composite
def predicates(draw: DrawFn) -> c.Predicate:
    kind = draw(ids([*range(16), 0, 0, 1]))
    match kind:
        case 0:
            right = draw(st.one_of(constants(), constants(), terms()))
            return c.Compare(draw(terms()), draw(ids(["is", "is", "<", "<=", ">", ">="])), right)
        case 1:
            return c.Member(draw(terms()), tuple(draw(st.lists(constants(), min_size=1, max_size=4))))
        case 2:
            globs = ids(
                [
                    "*@acme.com",
                    "*@ACME.com.",
                    "*",
                    "a?c",
                    "*.example",
                    "caf\u00e9*",
                    "Ada@*",
                    "10.*",
                    "*@caf\u00e9.example",
                ]
            )
            return c.Like(draw(terms()), tuple(draw(st.lists(globs, min_size=1, max_size=3))))
        case 3:
            return c.Matches(draw(terms()), draw(ids(PATTERNS)))
        case 4:
            return c.Affix(draw(ids(["starts", "ends"])), draw(terms()), draw(st.one_of(constants(), terms())))
        case 5:
            return c.Contains(draw(terms()), draw(st.one_of(constants(), terms())))
        case 6:
            return c.Under(
                draw(terms()), tuple(draw(st.lists(ids(["/etc", "/", "/home", "/caf\u00e9"]), min_size=1, max_size=2)))
            )
        case 7:
            return c.InCidr(
                draw(terms()),
                tuple(draw(st.lists(ids(["10.0.0.0/8", "fe80::/10", "0.0.0.0/0"]), min_size=1, max_size=2))),
            )
        case 8:
            return c.Has(draw(arguments()))
        case 9 | 10:
            left = draw(st.one_of(arguments(), st.just(c.Keys())))
            source = draw(ids(["user", "tool"]))
            return c.From(left, source, draw(tool_patterns()) if source == "tool" else (), draw(st.booleans()))
        case 11:
            return c.InBaseline(draw(st.one_of(arguments(), st.just(c.Keys()))), draw(st.booleans()))
        case 12:
            return c.ToolFits(draw(tool_patterns()))
        case 13:
            return c.InScope()
        case 14:
            return c.InIntent()
    ranges = st.builds(c.HoursRange, st.frozensets(st.integers(0, 6)), st.integers(0, 1439), st.integers(0, 1440))
    hours = c.Hours(
        tuple(draw(st.lists(ranges, max_size=2))),
        draw(ids(["UTC", "Europe/London", "Asia/Kolkata"])),
        frozenset({date(2026, 2, 2)}),
    )
    return c.InHours(hours)


@cache
@st.composite
def tests(draw: DrawFn) -> c.Test:
    if draw(ids([True, False, False])):
        return c.Test(draw(ids(HOT_TESTS)), draw(st.booleans()))
    return c.Test(draw(predicates()), draw(st.booleans()), draw(ids(["", "", "any", "all"])))


@st.composite
def conditions(draw: DrawFn, pool: list[c.Test], deep: bool = True) -> c.Condition:
    """Two levels of `and` and `or` over the tests of a pool, some of them empty."""
    joins: Any = draw(ids([None, c.AllOf, c.AnyOf]))
    if joins is None:
        return draw(ids(pool))
    parts = [
        draw(conditions(pool, False) if deep and draw(ids([False, True])) else ids(pool))
        for _ in range(draw(ids([0, 1, 2, 2, 3])))
    ]
    return joins(tuple(parts))  # type: ignore[no-any-return]


def risk_bound(rule_effect: Any) -> c.Test:
    op = "<" if rule_effect == Effect.ALLOW else ">="
    return c.Test(c.Compare(c.Attribute("risk"), op, c.Constant(40)))


AMOUNT, BODY = c.Argument(("amount",)), c.Argument(("body",))
HOT_TESTS = [
    *(c.Compare(AMOUNT, op, c.Constant(number)) for op in ("is", "<", ">=") for number in (0, 2, 1000)),
    c.Has(AMOUNT),
    c.Has(BODY),
    c.Matches(BODY, c.Pattern("4111")),
    c.Compare(c.Apply("size", BODY), ">", c.Constant(3)),
    c.Contains(BODY, c.Constant("[x]")),
    c.Compare(BODY, "is", c.Constant("abc")),
]
HOT_CHANGES = [
    *(c.Change("cap", AMOUNT.steps, value=value) for value in (0, 2, 1000)),
    c.Change("set", AMOUNT.steps, value=0),
    c.Change("set", BODY.steps, value="abc"),
    c.Change("drop", AMOUNT.steps),
    c.Change("drop", BODY.steps),
    c.Change("truncate", BODY.steps, value=3),
    c.Change("redact", BODY.steps, c.Pattern("a+"), "[x]"),
    c.Change("redact", BODY.steps, c.Pattern("[a-z0-9]"), "[y]"),
    c.Change("redact", BODY.steps, c.Pattern(detector="card_number"), "[card]"),
]


@cache
@st.composite
def changes(draw: DrawFn) -> c.Change:
    if draw(ids([True, True, False])):
        return draw(ids(HOT_CHANGES))
    kind = draw(ids(["redact", "redact", "truncate", "cap", "set", "drop"]))
    path = draw(paths())
    match kind:
        case "redact":
            return c.Change(kind, path, draw(ids(PATTERNS)), draw(ids(["[x]", "", "[longer mark]"])))
        case "truncate":
            return c.Change(kind, path, value=draw(ids([0, 1, 3])))
        case "cap":
            return c.Change(kind, path, value=draw(ids([0, 2, 1000, Decimal("2.5"), 2**53])))
        case "set":
            return c.Change(kind, path, value=draw(ids(["abc", 1, True, Decimal("2.5"), "Ada@acme.com"])))
    return c.Change(kind, path)


ASKS = [
    c.Ask((), 0),
    c.Ask(("finance",), 1),
    c.Ask(("finance", "user"), 1),
    c.Ask(("finance", "user"), 2),
    c.Ask(("finance", "owner", "user"), 2),
]


@st.composite
def rules(draw: DrawFn, number: int, pool: list[c.Test]) -> c.Rule:
    kind = draw(
        ids(
            [
                "allow",
                "allow",
                "allow",
                "modify",
                "modify",
                "step_up",
                "step_up",
                "defer",
                "block",
                "limit",
                "limit",
                "risk",
            ]
        )
    )
    effect: Any = Effect[kind.upper()] if kind not in ("limit", "risk") else kind
    limit = None
    if kind == "limit":
        limit = c.Limit(
            draw(ids([Fraction(0), Fraction(1), Fraction(5, 2), Fraction(1000)])),
            draw(st.one_of(st.none(), st.just(AMOUNT), arguments())),
            draw(ids([60, 86_400])),
            draw(st.one_of(ids(["session", "agent", "user", "tenant"]), arguments())),
            draw(ids([Effect.STEP_UP, Effect.DEFER, Effect.BLOCK])),
        )
    when = draw(st.one_of(st.just(c.TRUE), conditions(pool)))
    if kind != "risk" and draw(ids([False, False, True])):
        when = c.AllOf((when, risk_bound(effect)))
    return c.Rule(
        f"r{number}" if draw(st.booleans()) else f"{'zab'[number % 3]}.{number}",
        effect,
        draw(tool_patterns()),
        when=when,
        unless=draw(st.one_of(st.just(c.FALSE), st.just(c.FALSE), conditions(pool))),
        points=draw(ids([0, 20, 30, 90])) if kind == "risk" else 0,
        changes=tuple(draw(st.lists(changes(), min_size=1, max_size=3))) if kind == "modify" else (),
        ask=draw(ids(ASKS)) if kind in ("step_up", "limit") else c.Ask((), 0),
        within_s=draw(ids([900, 60])),
        retry_after_s=draw(ids([None, 60, 1800])),
        limit=limit,
        controls=draw(ids([(), ("soc2:CC6.1",), ("pci:7", "soc2:CC6.1")])),
        code=draw(ids([None, None, "data_exfiltration"])),
        until=draw(ids([None, None, None, NOW + 1, NOW - 1])),
        trial=draw(ids([False, False, False, True])),
        trial_until=draw(ids([None, NOW + 1, NOW - 1])),
        tell=draw(ids(["", "no"])),
    )


@cache
@st.composite
def declarations(draw: DrawFn, name: str, envs: tuple[str, ...] | None) -> c.Tool:
    names = draw(st.lists(ids(NAMES), unique=True, max_size=5))
    flag = st.booleans
    params = tuple(c.Param(n, PARAMS[n], optional=draw(flag()), key=draw(flag())) for n in names)
    return c.Tool(
        name,
        envs,
        params,
        more=draw(st.booleans()),
        classes=frozenset(draw(st.lists(ids(CLASSES), max_size=2))),
        risk=draw(ids(["low", "medium", "high", "critical"])),
    )


@st.composite
def policies(draw: DrawFn) -> c.CheckedPolicy:
    pool = draw(st.lists(tests(), min_size=1, max_size=6))
    tools: dict[str, tuple[c.Tool, ...]] = {}
    for name in draw(st.lists(ids(TOOLS), unique=True)):
        variants = draw(ids([(None,), (None,), (("prod*",),), (("prod",), None), (("prod",), ("d?v", "test"))]))
        tools[name] = tuple(draw(declarations(name, envs)) for envs in variants)
    agents = st.builds(c.Agent, ids(["treasury-*", "*", "a*", "ada"]), tool_patterns(), st.integers(0, 3))
    result_rules = st.builds(
        lambda tools, when, unless: ("", tools, "withhold", when, unless),
        tool_patterns(),
        conditions(pool),
        conditions(pool),
    )
    digests = {"ab" * 32, "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"}
    return c.CheckedPolicy(
        "p",
        regimes=draw(ids([(), ("soc2",)])),
        default=draw(ids([Effect.BLOCK, Effect.BLOCK, Effect.ALLOW])),
        mode=c.ModeSetting(draw(ids(["at_least", "fixed", "from_request", "from_request"])), draw(ids(list(Mode)))),
        approvers=draw(ids([(), ("owner",), ("owner", "user")])),
        lenient=draw(st.booleans()),
        bounds=draw(ids([c.Bounds(), c.Bounds(scan_chars=40)])),
        tools=tools,
        agents=tuple(draw(st.lists(agents, max_size=2))) if draw(st.booleans()) else (),
        intents=draw(st.dictionaries(ids(["caf\u00e9", "abc"]), tool_patterns(), max_size=2)),
        rules=tuple(draw(rules(number, pool)) for number in range(draw(st.integers(0, 7)))),
        result_rules=tuple(
            c.ResultRule(f"q{number}", *parts[1:])
            for number, parts in enumerate(draw(st.lists(result_rules, max_size=2)))
        ),
        baseline=draw(ids([None, {(tool, name): frozenset(digests) for tool in TOOLS for name in ("body", "id")}])),
        digest="d1",
    )


# ---------------------------------------------------------------- requests


TYPED: dict[str, list[Any]] = {
    "to": [["Ada@acme.com"], [], ["Ada@ACME.com.", "eve@evil.example"], "ada@acme.com"],
    "cc": ["Ada@acme.com", "eve@evil.example", "not one"],
    "amount": NUMBERS,
    "count": [1, 2.0, 1000, 2**53 + 1, "1"],
    "body": TEXTS,
    "path": ["/etc/passwd", "/etc/../home", "etc/x", "/", "//x"],
    "url": ["https://acme.com/x", "http://10.0.0.1:80", "ftp://x"],
    "host": ["acme.com", "ACME.com.", "10.0.0.1", "0x7f.1"],
    "ip": ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fe80::1%eth0", "1.2.3"],
    "id": ["abc", 25_000, 1, "1", "25000"],
    "flag": [True, False, "true"],
    "kind": ["a", "abc", "b"],
    "meta": [{"x": 1}, {"x": [{"y": "abc"}, {}]}, {"x": None}, {}],
    "free": [None, "abc", 1, True, [1, 1.0, True, "1"], {"x": "abc"}],
    "rows": [[["a", 1], ["1"]], [], [[]]],
    "items": [[{"y": 1}, {"y": "abc"}, {}], []],
    "args": [[1, "abc"], []],
}


@cache
@st.composite
def arguments_sent(draw: DrawFn) -> Any:
    shape = draw(ids(["named"] * 8 + ["positional", "keyword", "numbered", "odd"]))
    match shape:
        case "positional":
            return {"args": draw(st.lists(scalars(), max_size=3))}
        case "keyword":
            return {
                "args": draw(st.lists(scalars(), max_size=2)),
                "kwargs": draw(st.dictionaries(ids(["body", "id"]), scalars())),
            }
        case "numbered":
            return {f"arg{place}": draw(scalars()) for place in range(draw(st.integers(1, 3)))}
        case "odd":
            return draw(
                st.one_of(json_values(), st.dictionaries(ids(["args", "kwargs", "arg0", "arg1"]), json_values()))
            )
    names = draw(st.lists(ids(NAMES), unique=True, max_size=6))
    return {name: draw(st.one_of(ids(TYPED[name]), ids(TYPED[name]), json_values())) for name in names}


@st.composite
def requests(draw: DrawFn) -> dict[str, Any]:
    """Requests in the wire's shape; some fields are missing, some are not what they should be."""
    people = st.one_of(ids(PEOPLE), ids(PEOPLE), st.none(), ids(["", 3, "caf\u00e9"]))
    given: dict[str, Any] = {"tool_name": draw(ids(TOOL_NAMES)), "tool_args": draw(arguments_sent())}
    fields: dict[str, SearchStrategy[Any]] = {
        "tenant_id": people,
        "agent_id": people,
        "user_id": people,
        "approved_scope": st.one_of(
            st.lists(ids([*TOOL_NAMES, "tool_call:read", "tool_call:mail"])), ids(["read", [1], []])
        ),
        "enforcement_mode": ids(["observe", "shadow", "progressive", "step_up", "block", "nonsense", 1]),
        "environment": st.one_of(ids(ENVS), ids(["", 1])),
        "session_intent": ids(["caf\u00e9", "cafe\u0301", "abc", "other", 1]),
        "purpose": scalars(),
        "data_classification": ids(["public", "restricted", "secretive", 1]),
        "task_context": st.one_of(
            st.dictionaries(ids(["initiated_by", "initiatedBy", "taskId", "task_id"]), scalars()),
            st.builds(lambda chain: {"chain": chain}, st.one_of(st.lists(scalars(), max_size=3), scalars())),
            scalars(),
        ),
        "metadata": st.one_of(
            st.dictionaries(ids(["a", "b"]), json_values()),
            ids([{"cwd": "/etc"}, {"cwd": "etc"}, {"cwd": 1}, {"cwd": "/"}, [1], "x"]),
        ),
        "server": people,
        "request_id": people,
    }
    for name, strategy in fields.items():
        if draw(ids([True, True, False])):
            given[name] = draw(strategy)
    return given


@cache
def malformed() -> SearchStrategy[Any]:
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    bad = ids([float("nan"), float("inf"), 2**5000, "\ud800", deep, {1: 2}, {"\udfff": 1}, object(), b"x", {1, 2}])
    return st.one_of(
        bad,
        scalars(),
        st.builds(lambda value: {"tool_name": "read", "tool_args": {"free": value}}, bad),
        st.builds(lambda value: {"tool_name": value, "tool_args": {}}, st.one_of(bad, scalars())),
        st.builds(lambda value: {"tool_name": "read", "tool_args": value}, st.one_of(bad, scalars())),
        st.builds(lambda value: {"tool_name": "read", "metadata": [value], "unknown": value}, bad),
    )


# ---------------------------------------------------------------- sessions and ledgers


SAID = [
    "pay 25,000 to Ada@acme.com today",
    "see https://acme.com/x, then ACME.com",
    "abc",
    "xabc abc-d",
    "cafe\u0301",
    "10.0.0.1 and 25000.0",
    "pay 2.50 or -1000",
    "/etc/passwd",
]


@st.composite
def sessions(draw: DrawFn) -> Session | None:
    if draw(ids([True, False, False, False])):
        return None
    bound = draw(ids([1024, 30]))
    session = Session(
        draw(ids(["s1", "s2"])), NOW - draw(ids([10, 5000, 0.25])), begun=draw(st.booleans()), provenance_bytes=bound
    )
    if draw(st.booleans()):
        session.root = Session("root", NOW - 6000, provenance_bytes=bound)
    top = session.root or session
    for text in draw(st.lists(ids(SAID), max_size=2)):
        top.said(text)
    session.labels = set(draw(st.lists(ids(LABELS), max_size=1)))
    session.doubtful = set(draw(st.lists(ids(LABELS), max_size=1)))
    session.blocks = draw(st.integers(0, 3))
    for number in range(draw(st.integers(0, 4))):
        classes = draw(st.one_of(st.none(), st.frozensets(ids(CLASSES))))
        call = Call(f"c{number}", draw(ids(TOOL_NAMES)), classes, NOW - draw(ids([0, 30, 100])))
        call.pending = frozenset(draw(st.lists(ids(LABELS), max_size=1)))
        session.let_through(call, frozenset())
        if draw(st.booleans()):
            session.ended(call, draw(ids(list(Ending))), draw(st.one_of(st.none(), ids(SAID))), frozenset())
    if draw(ids([True, False, False])):
        session.dropped_until = NOW - 50
    return session


@st.composite
def ledgers(draw: DrawFn, policy: c.CheckedPolicy) -> Ledger | None:
    if draw(ids([True, False, False, False])):
        return None
    ledger = Ledger()
    limits = [rule.id for rule in policy.rules if rule.limit]
    keys = ["s1", *PEOPLE, "=abc", "1", "true", "25000", "=acme.com"]
    for _ in range(draw(st.integers(0, 4)) if limits else 0):
        reservation = Reservation(
            draw(ids(limits)), draw(ids(keys)), draw(ids([Fraction(1), Fraction(1, 2), Fraction(1000)]))
        )
        ledger.reserve(reservation, NOW - draw(ids([0, 30, 100])), draw(ids(["", "d1"])), 86_400)
    for _ in range(draw(st.integers(0, 3))):
        principal = (draw(ids(PEOPLE)), draw(ids(PEOPLE)), draw(ids(PEOPLE)))
        ledger.violate(Violation(principal, draw(ids(["c1", "c2"]))), NOW - draw(ids([0, 30, 100])), 60)
    ledger.lost_until = draw(ids([float("-inf"), float("-inf"), NOW - 20, NOW - 90_000]))
    return ledger


@st.composite
def approvals(draw: DrawFn, decision: Decision) -> Approval:
    """An approval for a held decision; some are late, refused, incomplete, for another call, or by the wrong person."""
    people = [*PEOPLE, "caf\u00e9", "cafe\u0301", str(decision.request.user_id if decision.request else ""), ""]
    answers = [
        Reply(ask.source, approver, draw(ids(people)), draw(ids([True, True, True, True, False])))
        for ask in decision.asks
        for approver in ask.approvers
        for _ in range(draw(ids([1, 1, 0, 2])))
    ]
    return Approval(
        draw(ids(["a1", "a2"])),
        decision.call if draw(ids([True, True, True, False])) else "other",
        decision.now + draw(ids([60, 60, 0, -1])),
        tuple(answers),
        draw(ids(["", "d1"])),
    )


# ---------------------------------------------------------------- changes that matter


@st.composite
def changing_policies(draw: DrawFn) -> c.CheckedPolicy:
    """Policies about one tool with two arguments that rules change and others ask about, so that law 8 has work."""
    pool = draw(st.lists(st.builds(c.Test, ids(HOT_TESTS), st.booleans()), min_size=2, max_size=5))
    anything = (c.ToolPattern("any"),)
    made = []
    for number in range(draw(st.integers(1, 5))):
        rule = draw(rules(number, pool))
        made.append(replace(rule, tools=anything, until=None, trial=False, unless=c.FALSE))
    change = st.lists(ids(HOT_CHANGES), min_size=1, max_size=2).map(tuple)
    made.append(c.Rule("change", Effect.MODIFY, anything, changes=draw(change)))
    made.append(c.Rule("let", Effect.ALLOW, anything, when=draw(st.one_of(st.just(c.TRUE), ids(pool)))))
    params = (c.Param("amount", PARAMS["amount"], optional=draw(st.booleans())), c.Param("body", PARAMS["body"], True))
    return c.CheckedPolicy(
        "p",
        mode=c.ModeSetting("from_request"),
        approvers=("owner",),
        tools={"read": (c.Tool("read", None, params, risk="low"),)},
        rules=tuple(made),
        digest="d1",
    )


@st.composite
def changeable_requests(draw: DrawFn) -> dict[str, Any]:
    """Calls of that tool that fit its declaration."""
    args = {"amount": draw(ids([0, 1, 2, 2.5, 1000, 25_000]))}
    if draw(ids([True, True, False])):
        args["body"] = draw(ids(["abc", "aab", "zz", "card 4111 1111 1111 1111", "[x]"]))
    people = {name: draw(ids(PEOPLE)) for name in ("tenant_id", "agent_id", "user_id")}
    mode = draw(ids(["block", "block", "observe", "progressive", "step_up"]))
    return {"tool_name": "read", "tool_args": args, "enforcement_mode": mode, **people}
