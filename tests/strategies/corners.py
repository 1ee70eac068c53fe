"""Small worlds around what random policies seldom come to: several things at once that have to be just so.

Each world is a policy, the requests and the session for it, drawn from so few values that a wrong reading of its
corner shows within a few dozen examples.
"""

from dataclasses import replace
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.strategies.decisions import AMOUNT, LABELS, NOW, ids
from thoth.contract import Effect, Ending, Mode
from thoth.engine import checked as c
from thoth.engine.session import Call, Session

World = tuple[c.CheckedPolicy, list[dict[str, Any]], Session | None]
ANYTHING = (c.ToolPattern("any"),)
TOOLS = ["read", "mail", "drop"]


def named(*names: str) -> tuple[c.ToolPattern, ...]:
    return tuple(c.ToolPattern("name", name) for name in names)


def policy_of(*rules: c.Rule, **settings: Any) -> c.CheckedPolicy:
    return c.CheckedPolicy("p", rules=rules, digest="d1", **settings)


def call_of(tool: str, args: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    people = {"tenant_id": "acme", "agent_id": "ada", "user_id": "bob"}
    return {"tool_name": tool, "tool_args": args or {}, **people, **fields}


def some(condition: c.Predicate, negated: bool = False, each: Any = "") -> c.Test:
    return c.Test(condition, negated, each)


@st.composite
def scopes(draw: DrawFn) -> World:
    """Agents registered more than once under patterns of equal and of other length; the request narrows it at times."""
    scope = st.lists(ids(TOOLS), min_size=1, max_size=2, unique=True).map(lambda names: named(*names))
    agents = st.builds(c.Agent, ids(["ada", "a*", "*", "?da"]), scope, ids([0, 1, 1, 2]))
    inside = some(c.InScope(), draw(ids([False, False, True])))
    rules = [c.Rule("let", Effect.ALLOW, ANYTHING, inside), c.Rule("stop", Effect.BLOCK, named("mail"), inside)]
    policy = policy_of(
        *draw(ids([rules, rules[:1], rules[1:]])), agents=tuple(draw(agents) for _ in range(draw(ids([2, 3, 1, 0]))))
    )
    brought = draw(ids([None, None, ["read"], ["tool_call:mail", "read"], []]))
    calls = [call_of(tool) if brought is None else call_of(tool, approved_scope=brought) for tool in TOOLS]
    return policy, calls, None


@st.composite
def memories(draw: DrawFn) -> Session:
    """Sessions of which the beginning was not seen, or a part was dropped."""
    session = Session("s1", NOW - draw(ids([10, 5000])), begun=draw(ids([False, False, True])))
    for number in range(draw(st.integers(0, 3))):
        call = Call(
            f"c{number}", draw(ids(TOOLS)), draw(ids([None, frozenset({"read"})])), NOW - draw(ids([5, 30, 100]))
        )
        call.pending = frozenset(draw(st.lists(ids(LABELS), max_size=1)))
        session.let_through(call, frozenset(draw(st.lists(ids(LABELS), max_size=1))))
        if draw(st.booleans()):
            session.ended(call, draw(ids(list(Ending))), draw(ids([None, "abc"])), frozenset())
    session.doubtful = set(draw(st.lists(ids(LABELS), max_size=1)))
    session.dropped_until = draw(ids([float("-inf"), float("-inf"), NOW - 50]))
    return session


@st.composite
def memory_worlds(draw: DrawFn) -> World:
    """Counts and labels of such a session, where they permit and where they forbid."""
    tools = draw(ids([ANYTHING, named("read"), named("mail", "drop"), (c.ToolPattern("class", "read"),)]))
    count = c.Count(draw(ids(["calls", "completed", "failed"])), tools, draw(ids([None, 20, 60, 3600])))
    counted = c.Compare(count, draw(ids(["is", "<", "<=", ">", ">="])), c.Constant(draw(st.integers(0, 3))))
    label, labels = c.Constant(draw(ids(LABELS))), c.Listing("session.labels")
    asked = draw(
        st.one_of(
            st.builds(c.Test, st.just(counted), st.booleans()),
            st.builds(c.Test, st.just(c.Contains(labels, label)), st.booleans()),
            st.builds(c.Test, st.just(c.Compare(labels, "is", label)), st.booleans(), ids(["any", "all"])),
        )
    )
    rules = (c.Rule("let", Effect.ALLOW, ANYTHING, asked), c.Rule("stop", Effect.DEFER, named("mail"), asked))
    session = draw(memories()) if draw(ids([True, True, True, False])) else None
    return policy_of(*rules), [call_of("read"), call_of("mail")], session


@st.composite
def changed_limits(draw: DrawFn) -> World:
    """Limits on an amount that a rule changes, under every mode: what is reserved is what runs."""
    limit = st.builds(
        c.Limit,
        ids([Fraction(0), Fraction(2), Fraction(5, 2), Fraction(10**6)]),
        ids([None, AMOUNT, AMOUNT]),
        ids([60]),
        ids(["agent", AMOUNT]),
        ids([Effect.STEP_UP, Effect.DEFER, Effect.BLOCK]),
    )
    over = some(c.Compare(AMOUNT, ">=", c.Constant(2)), draw(st.booleans()))
    rules = [
        c.Rule(
            f"l{number}", "limit", ANYTHING, draw(ids([c.TRUE, over])), limit=draw(limit), ask=c.Ask(("finance",), 1)
        )
        for number in range(draw(st.integers(1, 2)))
    ]
    cap = c.Change("cap", AMOUNT.steps, value=draw(ids([0, 1, 2])))
    change = c.Rule("change", Effect.MODIFY, ANYTHING, draw(ids([c.TRUE, over])), changes=(cap,))
    let = c.Rule("let", Effect.ALLOW, ANYTHING, draw(ids([c.TRUE, over])))
    policy = policy_of(let, change, *rules, mode=c.ModeSetting("from_request"), approvers=("owner",))
    modes = ["observe", "observe", "block", "step_up", "progressive"]
    calls = [call_of("read", {"amount": amount}, enforcement_mode=draw(ids(modes))) for amount in (1, 2, 3.5)]
    return policy, calls, None


@st.composite
def dropped_items(draw: DrawFn) -> World:
    """Changes to several items of one list."""
    each, text = c.EACH, ["abc", "b", "4111", "zz"]
    paths: list[tuple[Any, ...]] = [("to", each), ("to", 0), ("to", 1), ("rows", each, each), ("rows", each, "y")]
    path = draw(ids(paths))
    kind = draw(ids(["drop", "drop", "set", "truncate"]))
    change = c.Change(kind, path, value={"drop": None, "set": "new", "truncate": 1}[kind])
    rules = (c.Rule("change", Effect.MODIFY, ANYTHING, changes=(change,)), c.Rule("let", Effect.ALLOW, ANYTHING))
    rows = draw(ids([[["a", "b", "c"], ["d"], ["e", "f"]], [{"y": "k", "z": 1}, {"z": 2}, {"y": "l"}]]))
    args = {"to": draw(st.lists(ids(text), max_size=4)), "rows": rows}
    return policy_of(*rules), [call_of("read", args)], None


@st.composite
def risks(draw: DrawFn) -> World:
    """Points that add up to just under, just at and beyond 100, some of them on trial or over."""
    made = [
        c.Rule(
            f"k{number}",
            "risk",
            draw(ids([ANYTHING, named("read")])),
            points=draw(ids([10, 40, 50, 60, 100])),
            trial=draw(ids([False, False, False, True])),
            trial_until=draw(ids([None, NOW + 1, NOW - 1, NOW])),
            until=draw(ids([None, None, NOW, NOW + 1])),
        )
        for number in range(draw(st.integers(0, 4)))
    ]
    bound = draw(ids([50, 90, 100]))
    high = some(c.Compare(c.Attribute("risk"), ">=", c.Constant(bound)))
    low = some(c.Compare(c.Attribute("risk"), "<", c.Constant(bound)))
    judging = (c.Rule("let", Effect.ALLOW, ANYTHING, low), c.Rule("stop", Effect.DEFER, ANYTHING, high))
    return policy_of(*made, *judging), [call_of("read"), call_of("mail")], None


@st.composite
def choices(draw: DrawFn) -> World:
    """Many rules told apart by what one or two values equal, are a member of, or start with."""
    amounts = [1, True, "1", 2]
    texts = ["abc", "abd", "ab", "caf\u00e9", "1"]
    left = [c.Attribute("env"), c.Attribute("purpose"), c.Argument(("body",)), c.Argument(("id",)), c.Argument(("to",))]
    constant = st.builds(c.Constant, st.one_of(ids(texts), ids(texts), ids(amounts)))
    one = st.one_of(
        st.builds(c.Compare, ids(left), st.just("is"), constant),
        st.builds(
            lambda term, values: c.Member(term, tuple(values)), ids(left), st.lists(constant, min_size=1, max_size=3)
        ),
        st.builds(c.Affix, st.just("starts"), ids(left), st.builds(c.Constant, ids(texts))),
        st.builds(c.Compare, ids(left), ids(["<", ">="]), st.builds(c.Constant, ids([1, 2]))),
    )
    test = st.builds(c.Test, one, ids([False, False, False, True]), ids(["", "", "", "any"]))
    rules = []
    for number in range(draw(st.integers(1, 24))):
        parts = tuple(draw(st.lists(test, min_size=1, max_size=3)))
        when = c.AnyOf(parts) if draw(ids([False, False, False, True])) else c.AllOf(parts)
        effect = draw(ids([Effect.ALLOW, Effect.ALLOW, Effect.DEFER, Effect.BLOCK, Effect.STEP_UP, "risk"]))
        unless = draw(st.one_of(st.just(c.FALSE), st.just(c.FALSE), test))
        points = 10 if effect == "risk" else 0
        tools = draw(ids([ANYTHING, named("read")]))
        rules.append(c.Rule(f"r{number:02}", effect, tools, when, unless, points=points, tell=draw(ids(["", "no"]))))
    params = tuple(c.Param(name, c.Type(kind), True) for name, kind in (("body", "any"), ("id", "id"), ("to", "email")))
    tools = {"read": (c.Tool("read", None, params),)} if draw(st.booleans()) else {}
    values = ids([*texts, *amounts, 1.0, None, ["abc"], "cafe\u0301", "[truncated]", "abcd"])
    calls = []
    for _ in range(3):
        carried = {name: draw(values) for name in draw(st.lists(ids(["body", "id", "to"]), unique=True))}
        call = call_of(draw(ids(TOOLS)), carried, environment=draw(values), purpose=draw(values))
        calls.append(call)
    return policy_of(*rules, tools=tools, lenient=True), calls, None


MODES = st.one_of(
    st.just(c.ModeSetting()),
    st.builds(c.ModeSetting, ids(["fixed", "at_least", "from_request"]), ids(list(Mode))),
)


def in_modes(worlds: SearchStrategy[World]) -> SearchStrategy[World]:
    return st.builds(lambda world, mode: (replace(world[0], mode=mode), *world[1:]), worlds, MODES)


CORNERS: dict[str, SearchStrategy[World]] = {
    "scopes": in_modes(scopes()),
    "memory": in_modes(memory_worlds()),
    "risk": in_modes(risks()),
    "choices": in_modes(choices()),
    "limits of changed arguments": changed_limits(),
    "changes within lists": dropped_items(),
}
