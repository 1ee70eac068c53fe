"""What a condition looks at: attributes, arguments, functions, counts; with what is known of their types."""

from dataclasses import dataclass, field
from typing import Final

from ...contract.attributes import RISK_ORDER
from ...grammar import syntax as s
from .. import checked as c
from .names import Names, literal
from .report import File
from .texts import glob_mistake, nfc
from .tools import NUMBERS, TEXTS, Tools, describe, spell

_TEXT: Final = c.Type("string")
_NUMBER: Final = c.Type("number")
_LIST: Final = c.Type("list", items=_TEXT)

SINGLE: Final = {
    "tool": _TEXT, "server": _TEXT, "agent": _TEXT, "user": _TEXT, "tenant": _TEXT, "env": _TEXT, "intent": _TEXT,
    "purpose": _TEXT, "data": _TEXT, "tool.risk": c.Type("enum", values=RISK_ORDER), "task.initiated_by": _TEXT,
    "task.id": _TEXT, "task.depth": _NUMBER, "risk": _NUMBER, "session.age": _NUMBER, "session.blocks": _NUMBER,
}  # fmt: skip
LISTS: Final = ("class", "session.labels", "task.chain")
WORDS: Final = frozenset({"class", "data", "tool.risk", "env", "intent", "purpose", "session.labels", "tool"})
"""Attributes whose values may be written as bare words."""
ORDERED: Final = frozenset({"data", "tool.risk"})
FUNCTIONS: Final = ("domain", "host", "lower", "size")
WINDOW_S_MAX: Final = 366 * 86_400


@dataclass
class Rule:
    """What the reading of a rule's conditions has to know of the rule, and the argument paths that it met."""

    file: File
    names: Names
    tools: Tools
    name: str
    effect: str
    patterns: tuple[c.ToolPattern, ...]
    envs: tuple[str, ...] = ()
    result: bool = False
    line: int = 0
    read: dict[tuple[str | int | s.Each, ...], s.Span] = field(default_factory=dict)
    keys: s.Span | None = None

    def place(self, at: s.Span) -> s.Span:
        """Return a place as a test of this rule keeps it: in lines from the rule's first, which moves more often."""
        return s.Span(at.line - self.line, at.column, at.end_line - self.line, at.end_column)


@dataclass(frozen=True)
class Read:
    """A term that was read: what is known of its type, by whom it is declared, and how it was written."""

    term: c.Term
    types: tuple[tuple[str, c.Type], ...]
    at: s.Span
    text: str

    @property
    def attribute(self) -> str:
        """The name of the attribute or list of the context, or nothing."""
        return self.term.name if isinstance(self.term, c.Attribute | c.Listing) else ""

    @property
    def is_constant(self) -> bool:
        """Whether it is a literal."""
        return isinstance(self.term, c.Constant)

    @property
    def is_list(self) -> bool:
        """Whether it certainly is a list, so that a test on it needs `any` or `all`."""
        return (
            isinstance(self.term, c.Listing | c.Keys)
            or any(kind.name == "list" for _, kind in self.types)
            or (isinstance(self.term, c.Argument | c.Context) and any(isinstance(x, s.Each) for x in self.term.steps))
        )

    def item_types(self) -> tuple[tuple[str, c.Type], ...]:
        """Return the types of what `any` and `all` ask about: of lists the items."""
        return tuple((who, (kind.items or c.ANY) if kind.name == "list" else kind) for who, kind in self.types)


def term(rule: Rule, node: s.Term) -> Read | None:
    """Return what a term means; None after saying what is wrong with it. Bare names are not read here."""
    if isinstance(node, s.Path):
        return path(rule, node)
    if isinstance(node, s.Call):
        return _call(rule, node)
    if isinstance(node, s.Count):
        return _count(rule, node)
    if isinstance(node, s.Name):
        _unknown_attribute(rule, node.value, node.at)
        return None
    constant = literal(node)
    if constant is None:
        rule.file.error(node.at, "a test compares single values; ask `in` of a set", "type")
        return None
    return Read(constant, (("the value", type_of(constant)),), node.at, written(constant.value))


def type_of(constant: c.Constant) -> c.Type:
    """Return a literal's type."""
    if isinstance(constant.value, bool):
        return c.Type("boolean")
    return _TEXT if isinstance(constant.value, str) else _NUMBER


def written(value: object) -> str:
    """Return a literal as policies write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else str(value)


def path(rule: Rule, node: s.Path) -> Read | None:
    """Return what an attribute's path means; None after saying what is wrong with it."""
    if node.root == "args":
        return _argument(rule, node)
    if node.root == "context":
        if not node.steps:
            rule.file.error(node.at, "`context` is a record; name one of its members, like `context.channel`", "path")
            return None
        return Read(c.Context(node.steps), (), node.at, spell(node.steps, "context"))
    if node.root == "result":
        if not rule.result:
            rule.file.error(
                node.at, "`result` is known only after the call; ask about it in an `on result` rule", "result"
            )
            return None
        if node.steps:
            rule.file.error(node.at, "`result` is read as text and has no members; write `result`", "path")
            return None
        return Read(c.Result(), (("`result`", _TEXT),), node.at, "result")
    name = ".".join((node.root, *(step if isinstance(step, str) else "[" for step in node.steps)))
    if name in LISTS:
        return Read(c.Listing(name), ((f"`{name}`", _LIST),), node.at, name)
    if name in SINGLE:
        return Read(c.Attribute(name), ((f"`{name}`", SINGLE[name]),), node.at, name)
    if name == "scope":
        rule.file.error(node.at, "`scope` is asked only as `tool in scope`", "path")
    elif name == "now":
        rule.file.error(node.at, "`now` is asked only as `now in HOURS`, with the name of an `hours` item", "path")
    else:
        _unknown_attribute(rule, spell(node.steps, node.root), node.at)
    return None


def _unknown_attribute(rule: Rule, name: str, at: s.Span) -> None:
    near = rule.file.near(name, (*SINGLE, *LISTS, "now", "scope"))
    rule.file.error(at, f"unknown attribute `{name}`{near or '; arguments are written `args.…`'}", "unknown-attribute")


def _argument(rule: Rule, node: s.Path) -> Read | None:
    if node.keys:
        rule.keys = rule.keys or node.at
        return Read(c.Keys(), (), node.at, "args.key")
    if not node.steps or not isinstance(node.steps[0], str):
        rule.file.error(node.at, "`args` is a record; name one of its members, like `args.path`", "path")
        return None
    types = argument_types(rule, node.steps, node.at)
    return None if types is None else Read(c.Argument(node.steps), types, node.at, spell(node.steps))


def argument_types(
    rule: Rule, steps: tuple[str | int | s.Each, ...], at: s.Span
) -> tuple[tuple[str, c.Type], ...] | None:
    """Return the types that the tools which the rule names declare for an argument; None after an error."""
    rule.read.setdefault(steps, at)
    types: list[tuple[str, c.Type]] = []
    wrong = False
    for pattern in rule.patterns:
        if pattern.kind != "name":
            continue
        for tool in rule.tools.declared(pattern.value, rule.envs):
            found = rule.tools.type_at(tool, steps)
            if isinstance(found, c.Type):
                types.append((f"`{spell(steps)}` of {tool.name}", found))
                continue
            wrong = True
            if found:
                rule.file.error(at, found, "type")
                continue
            near = rule.file.near(str(steps[0]), [p.name for p in tool.params], lambda name: spell((name,)))
            rule.file.error(at, f"unknown argument `{spell(steps)}` of {tool.name}{near}", "unknown-argument")
    return None if wrong else tuple(types)


def _call(rule: Rule, node: s.Call) -> Read | None:
    if node.function not in FUNCTIONS:
        rule.file.error(
            node.at,
            f"unknown function `{node.function}`"
            f"{rule.file.near(node.function, FUNCTIONS) or '; there are ' + ', '.join(FUNCTIONS)}",
            "unknown-name",
        )
        return None
    inner = term(rule, node.argument)
    if inner is None:
        return None
    text = f"{node.function}({inner.text})"
    made = c.Apply(node.function, inner.term)
    if inner.is_constant or isinstance(inner.term, c.Count) or inner.attribute == "risk":
        rule.file.error(
            node.at, f"`{node.function}` asks about an attribute or an argument, not `{inner.text}`", "type"
        )
        return None
    if node.function == "size":
        if isinstance(inner.term, c.Argument | c.Context) and any(isinstance(x, s.Each) for x in inner.term.steps):
            rule.file.error(node.at, "`size` counts one list or text; leave `[*]` out", "type")
            return None
        sized = TEXTS | {"list", "record", "any"}
        if not _fits(rule, node, inner.types, sized, "counts characters, items or members"):
            return None
        return Read(made, ((f"`{text}`", _NUMBER),), node.at, text)
    allowed, what, result = {
        "lower": (TEXTS, "reads texts", "string"),
        "host": (frozenset({"url", "host", "string"}), "reads a URL", "host"),
        "domain": (frozenset({"email", "string"}), "reads an e-mail address", "host"),
    }[node.function]
    if not _fits(rule, node, inner.item_types(), allowed | {"any"}, what):
        return None
    of = c.Type("list", items=c.Type(result)) if inner.is_list else c.Type(result)
    return Read(made, ((f"`{text}`", of),), node.at, text)


def _fits(rule: Rule, node: s.Call, types: tuple[tuple[str, c.Type], ...], allowed: frozenset[str], what: str) -> bool:
    for who, kind in types:
        if kind.name not in allowed:
            rule.file.error(node.at, f"{who} is {describe(kind)}, and `{node.function}` {what}", "type")
            return False
    return True


def _count(rule: Rule, node: s.Count) -> Read | None:
    tools = tool_patterns(rule.file, rule.tools, node.tools)
    window = None
    if node.window is not None:
        window = length(rule.file, node.window)
    return Read(
        c.Count(node.function, tools, window), ((f"`{node.function}(…)`", _NUMBER),), node.at, f"{node.function}(…)"
    )


def length(file: File, duration: s.Duration) -> int:
    """Return a duration's seconds, after saying if it is none or too long."""
    if not 0 < duration.seconds <= WINDOW_S_MAX:
        file.error(duration.at, "a duration is at least 1s and at most 366d", "limit")
        return 1
    return duration.seconds


def is_number(read: Read) -> bool:
    """Tell whether all that is known of a term says that it is a number."""
    return bool(read.types) and all(kind.name in NUMBERS for _, kind in read.types)


def tool_patterns(file: File, tools: Tools, written: tuple[s.ToolPattern, ...]) -> tuple[c.ToolPattern, ...]:
    """Return which tools are meant, after saying which of them nobody declared."""
    found: dict[c.ToolPattern, None] = {}
    for node in written:
        value = nfc(node.value)
        if node.kind == "glob" and glob_mistake(value):
            file.error(node.at, f"`{node.value}` {glob_mistake(value)}", "glob")
        if node.kind == "name" and tools.by_name and value not in tools.by_name:
            file.warn(
                node.at, f"tool `{node.value}` is not declared{file.near(node.value, tools.by_name)}", "undeclared"
            )
        if node.kind == "class" and tools.classes and node.value not in tools.classes:
            file.warn(
                node.at,
                f"no declared tool is of class `{node.value}`{file.near(node.value, tools.classes)}",
                "undeclared",
            )
        found[c.ToolPattern(node.kind, "*" if node.kind == "any" else value)] = None
    everything = c.ToolPattern("any")
    return (everything,) if everything in found else tuple(found)
