"""Checked conditions and rules in the language's own words, for explanations, tables and messages."""

from decimal import Decimal
from typing import Final

from ..contract import Effect
from . import checked as c
from .checked import Each

TIMES: Final = ((604_800, "w"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
LOOSE: Final = {"is": "is not", "<": "not <", "<=": "not <=", ">": "not >", ">=": "not >="}


def word_text(text: str) -> str:
    """Return a text in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def word_value(value: str | bool | int | Decimal | None) -> str:
    """Return a literal as the language writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return word_text(value)
    if value is None:
        return "null"
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    return repr(float(value))


def word_duration(seconds: int) -> str:
    """Return a duration with the largest unit that fits it."""
    size, unit = next((size, unit) for size, unit in TIMES if seconds % size == 0) if seconds else (1, "s")
    return f"{seconds // size}{unit}"


def word_steps(root: str, steps: tuple[str | int | Each, ...]) -> str:
    """Return a path."""
    text = root
    for step in steps:
        if isinstance(step, Each):
            text += "[*]"
        elif isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("_", "a").replace("-", "a").isalnum() and not step[0].isdigit() and step.isascii():
            text += f'["{step}"]' if (text, step) == ("args", "key") else f".{step}"
        else:
            text += f"[{word_text(step)}]"
    return text


def word_tools(tools: tuple[c.ToolPattern, ...]) -> str:
    """Return tool patterns as a rule names them."""
    return ", ".join(f"class {t.value}" if t.kind == "class" else "*" if t.kind == "any" else t.value for t in tools)


def word_term(term: c.Term) -> str:
    """Return what a test looks at."""
    match term:
        case c.Constant(value):
            return word_value(value)
        case c.Attribute(name) | c.Listing(name):
            return name
        case c.Argument(steps):
            return word_steps("args", steps)
        case c.Context(steps):
            return word_steps("context", steps)
        case c.Keys():
            return "args.key"
        case c.Result():
            return "result"
        case c.Apply(function, inner):
            return f"{function}({word_term(inner)})"
        case c.Count(function, tools, window):
            within = "" if window is None else f", in {word_duration(window)}"
            return f"{function}({word_tools(tools)}{within})"


def word_pattern(pattern: c.Pattern | None) -> str:
    """Return a pattern: the detector's name, or the expression in quotes."""
    if pattern is None:
        return '""'
    return pattern.detector or '"' + pattern.regex.replace('"', '\\"') + '"'


def word_set(values: tuple[str, ...]) -> str:
    """Return one text, or several in braces; long sets are cut."""
    shown = ", ".join(word_text(value) for value in values[:8])
    return shown if len(values) == 1 else f"{{{shown}{', …' if len(values) > 8 else ''}}}"


def word_predicate(predicate: c.Predicate, negated: bool) -> str:
    """Return a test without its quantifier."""
    no = "not " if negated else ""
    match predicate:
        case c.Compare(left, op, right):
            return f"{word_term(left)} {LOOSE[op] if negated else op} {word_term(right)}"
        case c.Member(left, values):
            shown = ", ".join(word_value(v.value) for v in values[:8])
            return f"{word_term(left)} {no}in {{{shown}{', …' if len(values) > 8 else ''}}}"
        case c.Like(left, globs):
            return f"{word_term(left)} {no}like {word_set(globs)}"
        case c.Matches(left, pattern):
            return f"{word_term(left)} {no}matches {word_pattern(pattern)}"
        case c.Affix(op, left, right):
            return f"{word_term(left)} {no}{op} with {word_term(right)}"
        case c.Contains(left, right):
            return f"{word_term(left)} {no}contains {word_term(right)}"
        case c.Under(left, folders):
            return f"{word_term(left)} {no}under {word_set(folders)}"
        case c.InCidr(left, networks):
            return f"{word_term(left)} {no}in cidr {word_set(networks)}"
        case c.Has(argument):
            return f"{no}has {word_term(argument)}"
        case c.From(left, source, tools, by_host):
            where = "user" if source == "user" else f"tool {word_tools(tools)}"
            return f"{word_term(left)} {no}{'by host ' if by_host else ''}from {where}"
        case c.InBaseline(left, by_host):
            return f"{word_term(left)} {no}{'by host ' if by_host else ''}in baseline"
        case c.ToolFits(tools):
            return f"tool {no}is {word_tools(tools)}"
        case c.InScope():
            return f"tool {no}in scope"
        case c.InIntent():
            return f"tool {no}in intent"
        case c.InHours(hours):
            return f"now {no}in hours of {word_text(hours.zone)}"


def word_condition(condition: c.Condition, inside: bool = False) -> str:
    """Return a condition; parts that bind more loosely stand in parentheses."""
    match condition:
        case c.Test(predicate, negated, each):
            return f"{each} {word_predicate(predicate, negated)}" if each else word_predicate(predicate, negated)
        case c.AllOf(parts):
            return " and ".join(word_condition(part, True) for part in parts) or "true"
        case c.AnyOf(parts):
            text = " or ".join(word_condition(part, False) for part in parts) or "false"
            return f"({text})" if inside and len(parts) > 1 else text


def word_effect(rule: c.Rule) -> str:
    """Return what a rule asks for, in lower case, with its own clause where that is short."""
    if rule.effect == "risk":
        return f"risk +{rule.points}"
    if rule.limit is not None:
        by = rule.limit.by if isinstance(rule.limit.by, str) else word_term(rule.limit.by)
        amount = rule.limit.amount
        count = f"{int(amount):_}" if amount.denominator == 1 else str(float(amount))
        what = "calls" if rule.limit.of is None else f"of {word_term(rule.limit.of)}"
        otherwise = rule.limit.otherwise.value.lower()
        return f"limit to {count} {what} per {word_duration(rule.limit.window_s)} by {by} else {otherwise}"
    return rule.effect.value.lower() if isinstance(rule.effect, Effect) else rule.effect


def tests_of(condition: c.Condition) -> list[c.Test]:
    """Return the atomic tests of a condition, in the order of the text."""
    if isinstance(condition, c.Test):
        return [condition]
    return [test for part in condition.parts for test in tests_of(part)]
