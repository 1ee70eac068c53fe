"""One test: its operator, what may stand on both sides of it, and what to write where that does not fit."""

from collections.abc import Callable
from typing import Final

from ...grammar import syntax as s
from .. import checked as c
from . import values
from .names import Set
from .terms import ORDERED, Read, Rule, path, term, tool_patterns
from .texts import Wrong, anchored_form, folder, is_anchored, network
from .tools import NUMBERS, TEXTS, describe

SWAPPED: Final = {"is": "is", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
RESULT_OPERATORS: Final = frozenset({"matches", "contains", "like", "starts with", "ends with"})
TEXTUAL: Final = {
    "like": TEXTS,
    "matches": TEXTS,
    "starts with": TEXTS,
    "ends with": TEXTS,
    "under": frozenset({"path", "string"}),
    "in cidr": frozenset({"ip", "string", "host"}),
}
WHAT: Final = {"under": "asks about paths", "in cidr": "asks about addresses"}


def test(rule: Rule, node: s.Test, negated: bool, each: str, permits: bool) -> c.Condition:
    """Return one test with its names resolved; something false after saying what is wrong with it.

    `negated` and `each` are those of the test after `not` was pushed down. `permits` tells that the
    test's coming true can only let a call through.
    """
    special = _SPECIAL.get(node.operator)
    if special is not None:
        predicate = special(rule, node)
        if each and isinstance(predicate, c.From | c.InBaseline):
            if (each == "any") == negated:
                each = ""  # the question is about every item already
            elif (permits != negated) == (each == "any"):
                rule.file.error(
                    node.at,
                    f"here one item would answer for all the others, and `{node.operator}` asks about every item;"
                    f" leave `{node.each}` out",
                    "from",
                )
        return c.FALSE if predicate is None else c.Test(predicate, negated, each, rule.place(node.at))
    if isinstance(node.left, s.Path) and node.left.root == "now" and not node.left.steps:
        hours = _hours(rule, node)
        return c.FALSE if hours is None else c.Test(hours, negated, at=rule.place(node.at))
    left = term(rule, node.left)
    if left is None:
        return c.FALSE
    if left.is_constant and node.operator in SWAPPED and isinstance(node.right, s.Path | s.Call | s.Count):
        node = s.Test(node.right, SWAPPED[node.operator], node.left, node.negated, node.each, at=node.at)
        right = term(rule, node.left)
        if right is None:
            return c.FALSE
        left = right
    if left.is_constant:
        rule.file.error(left.at, "a test begins with an attribute or an argument", "type")
        return c.FALSE
    if not _fits(rule, node, left, bool(each)):
        return c.FALSE
    return _OPERATORS[node.operator](rule, node, left, negated, each, permits)


# ---------------------------------------------------------------- does the left side fit


def _fits(rule: Rule, node: s.Test, left: Read, each: bool) -> bool:
    """Tell whether an operator can ask about a term of these types, after saying why not."""
    error, operator = rule.file.error, node.operator
    if isinstance(left.term, c.Result) and operator not in RESULT_OPERATORS:
        error(
            node.at,
            f"`result` is a text: ask `matches`, `contains`, `like`, or `size(result)`, not `{operator}`",
            "result",
        )
        return False
    if each and isinstance(left.term, c.Apply) and left.term.function == "size":
        error(node.at, f"`{left.text}` is one number; leave `{node.each}` out", "type")
        return False
    if each and isinstance(left.term, c.Count):
        error(node.at, f"a count is one number; leave `{node.each}` out", "type")
        return False
    if left.is_list and not each and operator != "contains" and left.attribute != "class":
        instead = f"`{left.text} contains …`, " if isinstance(left.term, c.Listing) else ""
        error(left.at, f"`{left.text}` is a list; write {instead}`any {left.text} …` or `all {left.text} …`", "type")
        return False
    if left.attribute == "class" and not each and operator not in ("is", "in", "contains"):
        error(left.at, "`class` is a list; write `class is …`, `class in {…}` or `any class like …`", "type")
        return False
    if operator == "contains":
        return _can_contain(rule, left, each)
    if left.attribute == "class" and not each:
        return True
    for who, kind in left.item_types() if each else left.types:
        if kind.name == "any":
            continue
        if kind.name in ("record", "list"):
            part = f"{left.text}.name" if kind.name == "record" else f"{left.text}[*]"
            error(left.at, f"{who} is {describe(kind)}; ask about its parts, like `{part}`", "type")
            return False
        if operator in TEXTUAL and kind.name not in TEXTUAL[operator]:
            error(left.at, f"{who} is {describe(kind)}, and `{operator}` {WHAT.get(operator, 'reads texts')}", "type")
            return False
        ordered = operator in ("<", "<=", ">", ">=", "between")
        if ordered and kind.name not in NUMBERS and left.attribute not in ORDERED:
            error(left.at, f"{who} is {describe(kind)}, and `{operator}` compares numbers", "type")
            return False
    return True


def _can_contain(rule: Rule, left: Read, each: bool) -> bool:
    for who, kind in left.item_types() if each else left.types:
        if kind.name not in TEXTS | {"list", "any"}:
            rule.file.error(left.at, f"{who} is {describe(kind)}, and `contains` asks about texts and lists", "type")
            return False
    return True


# ---------------------------------------------------------------- comparing


def _compare(rule: Rule, node: s.Test, left: Read, negated: bool, each: str, permits: bool) -> c.Condition:
    assert node.right is not None
    assert not isinstance(node.right, tuple)
    right = values.right(rule, left, node.right, node.operator)
    if right is None:
        return c.FALSE
    if left.attribute == "class" and not each:
        return c.Test(c.Contains(left.term, right.term), negated, each, rule.place(node.at))
    return c.Test(c.Compare(left.term, node.operator, right.term), negated, each, rule.place(node.at))


def _between(rule: Rule, node: s.Test, left: Read, negated: bool, each: str, permits: bool) -> c.Condition:
    assert isinstance(node.right, tuple)
    low, high = (values.right(rule, left, side, "between") for side in node.right)
    if low is None or high is None:
        return c.FALSE
    if (each == "any" and not negated) or (each == "all" and negated):
        # Each half would be asked of another item.
        rule.file.error(
            node.at, "`between` cannot be asked of `any` item; ask it of `all`, or of one item like `[0]`", "between"
        )
        return c.FALSE
    if (
        isinstance(low.term, c.Constant)
        and isinstance(high.term, c.Constant)
        and not isinstance(low.term.value, str)
        and not isinstance(high.term.value, str)
        and low.term.value > high.term.value
    ):
        rule.file.error(
            node.at, f"nothing lies between {low.text} and {high.text}; write the smaller one first", "between"
        )
        return c.FALSE
    halves = (
        c.Test(c.Compare(left.term, ">=", low.term), negated, each, rule.place(node.at)),
        c.Test(c.Compare(left.term, "<=", high.term), negated, each, rule.place(node.at)),
    )
    return c.AnyOf(halves) if negated else c.AllOf(halves)


def _in(rule: Rule, node: s.Test, left: Read, negated: bool, each: str, permits: bool) -> c.Condition:
    found = values.members(rule, left, node.right, "in")
    if found is None:
        return c.FALSE
    if left.attribute == "class" and not each:
        parts = tuple(c.Test(c.Contains(left.term, item), negated, each, rule.place(node.at)) for item in found.items)
        if len(parts) == 1:
            return parts[0]
        return c.AllOf(parts) if negated else c.AnyOf(parts)
    return c.Test(c.Member(left.term, found.items), negated, each, rule.place(node.at))


def _contains(rule: Rule, node: s.Test, left: Read, negated: bool, each: str, permits: bool) -> c.Condition:
    assert node.right is not None
    assert not isinstance(node.right, tuple)
    right = values.right(rule, left, node.right, "contains")
    return c.FALSE if right is None else c.Test(c.Contains(left.term, right.term), negated, each, rule.place(node.at))


# ---------------------------------------------------------------- texts


def _texts(rule: Rule, node: s.Test, left: Read) -> tuple[str, ...] | None:
    """Return the text, or the texts of a set, on the right side."""
    if isinstance(node.right, s.Text):
        single = values.right(rule, left, node.right, node.operator)
        return None if single is None else (str(single.term.value),) if isinstance(single.term, c.Constant) else None
    found: Set | None = values.members(rule, left, node.right, node.operator)
    return None if found is None else found.texts


def _like(rule: Rule, node: s.Test, left: Read, negated: bool, each: str, permits: bool) -> c.Condition:
    globs = _texts(rule, node, left)
    if globs is None:
        return c.FALSE
    for glob in () if isinstance(node.right, s.Text) else globs:
        values.check_case(rule, left, glob, node.at, "like")
    return c.Test(c.Like(left.term, globs), negated, each, rule.place(node.at))


def _affix(rule: Rule, node: s.Test, left: Read, negated: bool, each: str, permits: bool) -> c.Condition:
    assert node.right is not None
    assert not isinstance(node.right, tuple)
    right = values.right(rule, left, node.right, node.operator)
    if right is None:
        return c.FALSE
    return c.Test(
        c.Affix(node.operator.removesuffix(" with"), left.term, right.term), negated, each, rule.place(node.at)
    )


def _matches(rule: Rule, node: s.Test, left: Read, negated: bool, each: str, permits: bool) -> c.Condition:
    if not isinstance(node.right, s.Name | s.Regex | s.Text):
        rule.file.error(node.at, "`matches` takes a regular expression in quotes, a pattern or a detector", "type")
        return c.FALSE
    pattern = rule.names.pattern(rule.file, node.right)
    if pattern is None:
        return c.FALSE
    if permits and pattern.detector:
        rule.file.error(
            node.right.at,
            f"`{pattern.detector}` searches, and here a match permits; write a pattern for the whole value, `^(…)$`",
            "anchor",
        )
    elif permits and not is_anchored(pattern.regex):
        form = anchored_form(pattern.regex)
        rule.file.error(
            node.right.at, f"here a match permits, so the pattern must cover the whole value; write `{form}`", "anchor"
        )
    return c.Test(c.Matches(left.term, pattern), negated, each, rule.place(node.at))


def _under(rule: Rule, node: s.Test, left: Read, negated: bool, each: str, permits: bool) -> c.Condition:
    return _each_text(
        rule,
        node,
        left,
        folder,
        lambda folders: c.Test(c.Under(left.term, folders), negated, each, rule.place(node.at)),
    )


def _in_cidr(rule: Rule, node: s.Test, left: Read, negated: bool, each: str, permits: bool) -> c.Condition:
    return _each_text(
        rule, node, left, network, lambda nets: c.Test(c.InCidr(left.term, nets), negated, each, rule.place(node.at))
    )


def _each_text(
    rule: Rule,
    node: s.Test,
    left: Read,
    read: Callable[[str], str | Wrong],
    make: Callable[[tuple[str, ...]], c.Condition],
) -> c.Condition:
    texts = _texts(rule, node, left)
    if texts is None:
        return c.FALSE
    found = [read(text) for text in texts]
    at = node.at if isinstance(node.right, tuple) or node.right is None else node.right.at
    for wrong in found:
        if isinstance(wrong, Wrong):
            rule.file.error(at, wrong.why, "value")
    return make(tuple(dict.fromkeys(text for text in found if isinstance(text, str))))


# ---------------------------------------------------------------- tests of their own kind


def _scope(rule: Rule, node: s.Test) -> c.Predicate | None:
    if not isinstance(node.left, s.Path) or node.left.root != "tool" or node.left.steps or node.each:
        rule.file.error(node.at, "a scope holds tools; write `tool in scope`", "path")
        return None
    return c.InScope()


def _intent(rule: Rule, node: s.Test) -> c.Predicate | None:
    if not isinstance(node.left, s.Path) or node.left.root != "tool" or node.left.steps or node.each:
        rule.file.error(node.at, "an intent allows tools; write `tool in intent`", "path")
        return None
    if not rule.names.intents:
        rule.file.warn(node.at, "no `intent` item says which tools an intent allows", "undeclared")
    return c.InIntent()


def _has(rule: Rule, node: s.Test) -> c.Predicate | None:
    if not isinstance(node.left, s.Path) or node.left.root != "args":
        rule.file.error(node.at, "`has` asks for arguments only; a test on what is missing elsewhere is unknown", "has")
        return None
    if node.each or node.left.keys or any(isinstance(step, s.Each) for step in node.left.steps):
        rule.file.error(node.at, "`has` asks for one argument, without `any`, `all`, `[*]` or `args.key`", "has")
        return None
    asked = dict(rule.read)
    left = path(rule, node.left)
    rule.read = asked  # a tool without the argument is no tool that the rule cannot see
    return c.Has(left.term) if left is not None and isinstance(left.term, c.Argument) else None


def _seen(rule: Rule, node: s.Test) -> c.Argument | c.Keys | None:
    if not isinstance(node.left, s.Path) or node.left.root != "args":
        rule.file.error(node.at, f"`{node.operator}` asks about arguments, like `args.to` or `args.key`", "from")
        return None
    left = path(rule, node.left)
    return left.term if left is not None and isinstance(left.term, c.Argument | c.Keys) else None


def _from_user(rule: Rule, node: s.Test) -> c.Predicate | None:
    left = _seen(rule, node)
    return None if left is None else c.From(left, "user", by_host=node.operator.startswith("by host"))


def _from_tool(rule: Rule, node: s.Test) -> c.Predicate | None:
    left = _seen(rule, node)
    if left is None:
        return None
    by_host = node.operator.startswith("by host")
    if node.right is None:
        return c.From(left, "tool", (c.ToolPattern("any"),), by_host)
    if not isinstance(node.right, s.Name | s.Text):
        rule.file.error(node.at, "`from tool` takes a tool's name, `class NAME`, or `*` for any", "from")
        return None
    kind = "glob" if "*" in node.right.value or "?" in node.right.value else "name"
    tools = tool_patterns(rule.file, rule.tools, (s.ToolPattern(kind, node.right.value, at=node.right.at),))
    return c.From(left, "tool", tools, by_host)


def _from_class(rule: Rule, node: s.Test) -> c.Predicate | None:
    left = _seen(rule, node)
    if left is None or not isinstance(node.right, s.Name):
        return None
    written = (s.ToolPattern("class", node.right.value, at=node.right.at),)
    return c.From(left, "tool", tool_patterns(rule.file, rule.tools, written))


def _baseline(rule: Rule, node: s.Test) -> c.Predicate | None:
    left = _seen(rule, node)
    return None if left is None else c.InBaseline(left, by_host=node.operator.startswith("by host"))


def _hours(rule: Rule, node: s.Test) -> c.Predicate | None:
    if node.operator != "in" or not isinstance(node.right, s.Name) or node.each:
        rule.file.error(node.at, "`now` is asked only as `now in HOURS`, with the name of an `hours` item", "path")
        return None
    if node.right.value not in rule.names.hours:
        near = rule.file.near(node.right.value, rule.names.hours)
        rule.file.error(node.right.at, f"unknown hours `{node.right.value}`{near}", "unknown-name")
        return None
    hours = rule.names.hours[node.right.value]
    return None if hours is None else c.InHours(hours)


_SPECIAL: Final[dict[str, Callable[[Rule, s.Test], c.Predicate | None]]] = {
    "in scope": _scope,
    "in intent": _intent,
    "has": _has,
    "from user": _from_user,
    "by host from user": _from_user,
    "from tool": _from_tool,
    "from tool class": _from_class,
    "by host from tool": _from_tool,
    "in baseline": _baseline,
    "by host in baseline": _baseline,
}
_OPERATORS: Final[dict[str, Callable[[Rule, s.Test, Read, bool, str, bool], c.Condition]]] = {
    "is": _compare,
    "<": _compare,
    "<=": _compare,
    ">": _compare,
    ">=": _compare,
    "between": _between,
    "in": _in,
    "contains": _contains,
    "like": _like,
    "starts with": _affix,
    "ends with": _affix,
    "matches": _matches,
    "under": _under,
    "in cidr": _in_cidr,
}
