"""Random worlds over few names, so that conditions collide and rules overlap: a policy, what went before, a request.

A world is drawn as a golden case (`tests/cases/run.py`), so a counterexample reads as one.
"""

from typing import Any

from hypothesis import strategies as st

from ..cases.run import Case

PROLOGUE = """\
set ours = "*@acme.com", "*@acme.co.uk"
hours office = mon-fri 09:00-17:00 in "UTC"
tool pay(amount: number, to: key string, n?: int) is write risk low
tool send(to: list of key email, body?: string, level?: enum {low, high}) is send risk high yields mail
tool peek(path?: path) is read risk low yields secret when result matches "SECRET"
intent errand allows pay, class read
"""
AGENTS = 'agent "a*" scope pay, peek\nagent "al" scope pay, send\n'
TOOLS = ("pay", "send", "peek", "raw")
PATTERNS = ("*", "*", "p*", "*y", "raw, class send", "class read", "class delete", "pay, send")
NAMED = ("pay, send", "class read")

CONTEXT = (
    *("env is prod", "env is not prod", 'purpose in {"bills", "chat"}', 'purpose not like "b*"', "data >= internal"),
    *("task.depth > 1", 'task.chain contains "eve"', "task.initiated_by is user", 'user is "amy"', 'agent like "a*"'),
    *(
        "context.n > 2",
        "context.flag is true",
        'any context.list[*] is "x"',
        "tool.risk >= high",
        "class contains send",
    ),
    *("tool in scope", "tool not in scope", "tool in intent", "now in office", 'server is "home"'),
    *("calls(pay) > 0", "completed(peek) >= 1", "failed(p*, in 5m) >= 1", "after send", "calls(class send) < 2"),
    *("session.blocks > 1", "session.age > 30m", "session.labels contains mail", "session.labels not contains secret"),
    "any session.labels in {secret, mail}",
)
ARGUMENTS = (
    *(
        "args.amount > 100",
        "args.n between 2 and 5",
        "args.n is not 3",
        'args.to is "bob"',
        'any args.to like "*@acme.com"',
    ),
    *("all args.to like ours", 'not any args.to is "eve@evil.example"', "has args.n", "not has args.body"),
    *('args.path under "/etc"', 'args.path not under "/home"', 'args.body contains "x"', "size(args.body) <= 3"),
    *('args.body matches "^([0-9]+)$"', 'lower(args.level) is "low"', "args.to from user", "args.key from user"),
    *("args.body from tool peek", "args.body from tool class read"),
    *("args.to in baseline", "args.key not in baseline", "args.to is args.body"),
)
CHANGES = (
    *(
        'redact args.body matching "[0-9]+" with "#"',
        "truncate args.body to 2",
        "cap args.amount at 150",
        "drop args.n",
    ),
    *('set args.note = "seen"', 'redact args.level matching "ow" with "ong"', "truncate args.to to 1"),
)
LIMITS = ("to 1 calls per 1h by agent", "to 2 calls per 1h by user", "to 150 of args.amount per 1d by tenant")
ELSE = ("else block", 'else step_up ask "ops"', "else defer retry after 5m")
ASKS = ('ask "ops"', 'ask "ops", "legal" all', "ask user", "", 'ask 2 of "ops", "legal", "board" within 5m')


def conditions(atoms: tuple[str, ...]) -> st.SearchStrategy[str]:
    atom = st.sampled_from(atoms)
    turned = atom.map(lambda text: f"not ({text})")
    part = atom | atom | turned
    pair = st.builds("{} {} {}".format, part, st.sampled_from(("and", "or")), part)
    return part | part | pair | pair.map(lambda text: f"not ({text})")


@st.composite
def rules(draw: st.DrawFn, id: str, effect: str | None = None, change: str | None = None) -> str:
    """Return one rule, as it is written."""
    effects = ("allow", "allow", "block", "step_up", "defer", "limit", "risk")
    effect = effect or draw(st.sampled_from(effects))
    tools = draw(st.sampled_from(PATTERNS))
    atoms: tuple[str, ...] = CONTEXT
    if tools not in NAMED and "raw" not in tools:
        atoms += ARGUMENTS
    words = [effect, tools]
    if effect == "risk":
        words.append(f"+{draw(st.sampled_from((10, 30, 60)))}")
    words += ["as", id]
    when = draw(st.none() | st.none() | conditions(atoms))
    if effect not in ("risk", "modify") and draw(st.integers(0, 4)) == 0:
        threshold = "risk < 40" if effect == "allow" else "risk >= 30"
        when = f"{threshold} and ({when})" if when else threshold
    if when:
        words += ["when", when]
    unless = draw(st.none() | st.none() | conditions(atoms))
    if unless:
        words += ["unless", unless]
    if effect == "step_up":
        words.append(draw(st.sampled_from(ASKS)))
    elif effect == "limit":
        narrow = tools in NAMED or "raw" in tools
        words += [draw(st.sampled_from(LIMITS[:2] if narrow else LIMITS)), draw(st.sampled_from(ELSE))]
    elif effect == "modify":
        words.append(change or draw(st.sampled_from(CHANGES)))
    if draw(st.integers(0, 9)) == 0:
        words.append("trial")
    return " ".join(word for word in words if word)


@st.composite
def rule_lists(draw: st.DrawFn, modifying: bool = True, most: int = 7) -> list[str]:
    lines = [draw(rules(f"r{number}")) for number in range(draw(st.integers(0, most)))]
    if draw(st.booleans()):
        lines.append("allow * as everything")
    if modifying:
        for number, change in enumerate(draw(st.lists(st.sampled_from(CHANGES), unique=True, max_size=2))):
            lines.append(f"modify * as m{number} {change}")
    return lines


SETTINGS = (
    "",
    "default allow",
    "mode observe",
    "mode step_up",
    "mode progressive",
    "mode from request",
    "default allow",
)
APPROVERS = ("", 'approvers "ops"', 'approvers "ops"')


def policy(settings: tuple[str, ...], lines: list[str], agents: bool = False) -> str:
    """Return a whole policy's text."""
    head = "policy drawn\n" + "".join(f"    {setting}\n" for setting in settings if setting)
    return head + PROLOGUE + (AGENTS if agents else "") + "\n".join(lines) + "\n"


ADDRESSES = ("bob@acme.com", "eve@evil.example", "Bob@ACME.co.uk", "not an address")
TEXTS = ("bob", "amy", "x", "card 4711", "[truncated]", "bob@acme.com", "")
NUMBERS = (0, 3, 99, 100.5, 150, 5000, -1, True, "5")

arguments = st.fixed_dictionaries(
    {},
    optional={
        "amount": st.sampled_from(NUMBERS),
        "to": st.sampled_from(TEXTS) | st.lists(st.sampled_from(ADDRESSES), max_size=2),
        "n": st.sampled_from((1, 2, 3, 3.0, 7, None, "3")),
        "body": st.sampled_from(TEXTS),
        "level": st.sampled_from(("low", "high", "LOW")),
        "path": st.sampled_from(("/etc/passwd", "/home/../etc", "/home/x", "notes", "~/x", "/%2e")),
    },
)
FITTING: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "pay": st.fixed_dictionaries(
        {"amount": st.sampled_from((3, 99, 100.5, 5000)), "to": st.sampled_from(("bob", "eve", "ACME"))},
        optional={"n": st.sampled_from((1, 3, 7))},
    ),
    "send": st.fixed_dictionaries(
        {"to": st.lists(st.sampled_from(ADDRESSES), max_size=2)},
        optional={"body": st.sampled_from(TEXTS), "level": st.sampled_from(("low", "high"))},
    ),
    "peek": st.fixed_dictionaries({}, optional={"path": st.sampled_from(("/etc/passwd", "/home/x", "notes"))}),
    "raw": arguments,
}


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    tool = draw(st.sampled_from(TOOLS))
    return {"tool_name": tool, "tool_args": draw(FITTING[tool] | FITTING[tool] | arguments)}


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    context = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "agent_id": st.sampled_from(("al", "abe", "zoe")),
                "user_id": st.sampled_from(("amy", "zed")),
                "tenant_id": st.just("acme"),
                "environment": st.sampled_from(("prod", "dev")),
                "purpose": st.sampled_from(("bills", "chat", "fun")),
                "data_classification": st.sampled_from(("public", "internal", "restricted", "odd")),
                "session_intent": st.sampled_from(("errand", "mischief")),
                "approved_scope": st.lists(st.sampled_from(TOOLS), max_size=3),
                "enforcement_mode": st.sampled_from(("observe", "progressive", "step_up", "block")),
                "server": st.sampled_from(("home", "away")),
                "task_context": st.fixed_dictionaries(
                    {}, optional={"chain": st.lists(st.sampled_from(("al", "eve"))), "initiated_by": st.just("amy")}
                ),
                "metadata": st.fixed_dictionaries(
                    {},
                    optional={
                        "n": st.sampled_from((1, 5)),
                        "flag": st.booleans(),
                        "list": st.lists(st.sampled_from(("x", "y")), max_size=2),
                        "cwd": st.sampled_from(("/home", "/etc")),
                    },
                ),
            },
        )
    )
    return draw(calls()) | context


SAID = ("pay bob 5000", "write to bob@acme.com", "eve@evil.example and ACME", "card 4711")
RETURNED = ("SECRET x", "card 4711", "hello", "")
steps = (
    st.sampled_from(SAID).map(lambda text: {"said": text})
    | st.integers(1, 3).map(lambda count: {"blocked": count})
    | st.builds(
        lambda call, ending, ago: {"call": call, "ago": ago, **ending},
        calls(),
        st.sampled_from((*({"returns": text} for text in RETURNED), {"fails": "no"}, {"in_flight": True}, {})),
        st.sampled_from((30, 200, 1200)),
    )
)


@st.composite
def worlds(draw: st.DrawFn, modifying: bool = True, most: int = 7, settings: tuple[str, ...] | None = None) -> Case:
    """Return a whole case without what it expects."""
    if settings is None:
        settings = (draw(st.sampled_from(SETTINGS)), draw(st.sampled_from(APPROVERS)))
    lines = draw(rule_lists(modifying, most))
    document: dict[str, Any] = {
        "note": "drawn",
        "policy": policy(settings, lines, draw(st.booleans())),
        "lines": lines,
        "request": draw(requests()),
        "before": [{"ago": 300 - i, "request": call} for i, call in enumerate(draw(st.lists(calls(), max_size=2)))],
    }
    if draw(st.integers(0, 3)):
        document["session"] = draw(st.lists(steps, max_size=3))
        document["unseen"] = draw(st.integers(0, 3)) == 0
    if draw(st.booleans()):
        document["learned"] = {"pay.to": ["ACME", "bob"], "send.to": ["bob@acme.com"]}
    return Case("drawn", document)
