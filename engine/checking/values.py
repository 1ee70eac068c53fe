"""What stands on the right side of a test: literals, sets, words, or another attribute."""

from typing import TypeAlias

from ...contract.attributes import RISK_ORDER
from ...contract.detectors import DETECTORS
from ...grammar import syntax as s
from .. import checked as c
from .names import Set, check_globs, literal, typed
from .report import listed
from .terms import ORDERED, WORDS, Read, Rule, term, type_of, written
from .tools import NUMBERS, TEXTS, describe

Right: TypeAlias = "s.Term | tuple[s.Term, s.Term] | None"


def right(rule: Rule, left: Read, node: s.Term, operator: str) -> Read | None:
    """Return the value on the right of an operator, None after saying what is wrong with it."""
    if isinstance(node, s.Path | s.Call | s.Count):
        return _attribute(rule, left, node, operator)
    if isinstance(node, s.Name):
        constant = _word(rule, left, node, operator)
    else:
        constant = literal(node)
        if constant is None or isinstance(node, s.Regex):
            instead = "`matches`" if isinstance(node, s.Regex) else "`in` or `like`"
            rule.file.error(node.at, f"`{operator}` compares with one value; with this one write {instead}", "type")
            return None
    if constant is None or not _agrees(rule, left, constant, node, operator):
        return None
    if isinstance(constant.value, str):
        check_case(rule, left, constant.value, node.at, operator)
        if operator in ("is", "contains"):
            _check_known(rule, left, constant.value, node)
    return Read(constant, (("the value", type_of(constant)),), node.at, written(constant.value))


def members(rule: Rule, left: Read, node: Right, operator: str) -> Set | None:
    """Return the set on the right of `in`, `like`, `under` or `in cidr`, None after saying what is wrong."""
    if isinstance(node, s.Name):
        found = _named(rule, node, operator)
        at = node.at
        if found is None:
            return None
        for item in found.items:
            if not _agrees(rule, left, item, node, operator):
                return None
            if operator == "in" and isinstance(item.value, str):
                check_case(rule, left, item.value, at, operator)
    elif isinstance(node, s.SetLiteral):
        at = node.at
        items: list[c.Constant] = []
        for value in node.items:
            constant = _word(rule, left, value, operator) if isinstance(value, s.Name) else literal(value)
            if constant is None:
                if not isinstance(value, s.Name):
                    rule.file.error(value.at, "a set holds single values", "set")
                return None
            if not _agrees(rule, left, constant, value, operator):
                return None
            if operator == "in" and isinstance(constant.value, str):
                check_case(rule, left, constant.value, value.at, operator)
                _check_known(rule, left, constant.value, value)
            items.append(constant)
        found = typed(items)
        if not check_globs(rule.file, found, at):
            return None
    else:
        place = left.at if node is None or isinstance(node, tuple) else node.at
        if operator == "in":
            rule.file.error(place, 'write a set after `in`: its name, or one in place like `{"a", "b"}`', "type")
        else:
            rule.file.error(place, f"`{operator}` takes a text in double quotes, or a set of texts", "type")
        return None
    if operator == "in" and found.kind in ("globs", "networks"):
        instead, what = ("like", "globs") if found.kind == "globs" else ("in cidr", "networks")
        rule.file.error(at, f"this set holds {what}; write `{instead}` instead of `in`", "set")
        return None
    if operator != "in" and len(found.texts) != len(found.items):
        rule.file.error(at, f"`{operator}` takes texts, and this set holds numbers", "type")
        return None
    return found


def check_case(rule: Rule, left: Read, text: str, at: s.Span, operator: str) -> None:
    """Warn of capitals in what is compared with a value that has none: a host, an address's domain, what `lower` gives.

    `is`, `in` and `like` bring a host or an address to the form in which it compares; parts of one stay as written.
    """
    if isinstance(left.term, c.Apply) and left.term.function == "lower":
        if text != text.lower():
            rule.file.warn(at, f"`lower(…)` has no capitals; write `{text.lower()}`", "host-case")
        return
    kinds = {kind.name for _, kind in left.item_types()}
    if operator != "in" and "host" in kinds and text != text.lower():
        rule.file.warn(at, f"hosts compare in lower case; write `{text.lower()}`", "host-case")
    elif "email" in kinds and (operator.endswith(" with") or (operator == "contains" and not left.is_list)):
        local, sign, domain = text.rpartition("@")
        if domain != domain.lower() and (sign or operator == "ends with"):
            form = local + sign + domain.lower()
            rule.file.warn(at, f"the domain of an address compares in lower case; write `{form}`", "host-case")


def _named(rule: Rule, node: s.Name, operator: str) -> Set | None:
    """Return the set of a name."""
    found = rule.names.sets.get(node.value)
    if found is not None:
        return None if found.kind == "broken" else found
    if node.value in rule.names.hours:
        rule.file.error(node.at, f"`{node.value}` are hours; write `now in {node.value}`", "wrong-name")
    elif node.value in rule.names.patterns or node.value in DETECTORS:
        rule.file.error(node.at, f"`{node.value}` is a pattern; write `matches {node.value}`", "wrong-name")
    else:
        instead = "" if operator == "in" else "; texts are written in double quotes"
        near = rule.file.near(node.value, rule.names.sets)
        rule.file.error(node.at, f"unknown set `{node.value}`{near or instead}", "unknown-name")
    return None


def _attribute(rule: Rule, left: Read, node: s.Path | s.Call | s.Count, operator: str) -> Read | None:
    """Return the attribute with which another is compared."""
    found = term(rule, node)
    if found is None:
        return None
    if found.is_list:
        rule.file.error(node.at, f"`{found.text}` is a list; a test compares with one value", "type")
        return None
    if operator in ("<", "<=", ">", ">=", "between"):
        if left.attribute in ORDERED or found.attribute in ORDERED:
            if left.attribute and found.attribute and left.attribute != found.attribute:
                rule.file.error(node.at, f"`{left.attribute}` and `{found.attribute}` have no common order", "type")
                return None
            return found
        allowed, what = NUMBERS | {"any"}, f"`{operator}` compares numbers"
    elif operator in ("starts with", "ends with"):
        allowed, what = TEXTS | {"any"}, f"`{operator}` reads texts"
    elif operator == "contains":
        return found
    else:
        known = {_family(kind) for _, kind in left.item_types()} - {"any"}
        other = {_family(kind) for _, kind in found.types} - {"any"}
        if known and other and not known & other:
            (who, kind), (other_who, other_kind) = left.item_types()[0], found.types[0]
            rule.file.error(
                node.at,
                f"{who} is {describe(kind)} and {other_who} is {describe(other_kind)}; they are never equal",
                "type",
            )
            return None
        return found
    for who, kind in found.types:
        if kind.name not in allowed:
            rule.file.error(node.at, f"{who} is {describe(kind)}, and {what}", "type")
            return None
    return found


def _family(kind: c.Type) -> str:
    return "text" if kind.name in TEXTS else "number" if kind.name in NUMBERS else kind.name


def _word(rule: Rule, left: Read, node: s.Name, operator: str) -> c.Constant | None:
    """Return what a bare name says beside `left`: a word, where that has words."""
    word = node.value
    enums = [kind for _, kind in left.item_types() if kind.name == "enum"]
    if left.attribute in WORDS or (enums and any(word in kind.values for kind in enums)):
        return c.Constant(word)
    if enums:
        known = [value for kind in enums for value in kind.values]
        rule.file.error(
            node.at, f"`{word}` is none of the words of `{left.text}`{_one_of(rule, word, known)}", "unknown-word"
        )
    elif word in rule.names.sets:
        rule.file.error(node.at, f"`{word}` is a set; write `in {word}` or `like {word}`", "wrong-name")
    elif word in rule.names.patterns or word in DETECTORS:
        rule.file.error(node.at, f"`{word}` is a pattern; write `matches {word}`", "wrong-name")
    elif word in rule.names.hours:
        rule.file.error(node.at, f"`{word}` are hours; write `now in {word}`", "wrong-name")
    else:
        rule.file.error(node.at, f"unknown name `{word}`; texts are written in double quotes", "unknown-name")
    return None


def _one_of(rule: Rule, word: str, known: list[str]) -> str:
    return rule.file.near(word, known) or f"; write one of {', '.join(dict.fromkeys(known))}"


def _check_known(rule: Rule, left: Read, word: str, node: s.Term) -> None:
    """Say where a label, class, intent or tool that is read is one that nothing brings."""
    tools = rule.tools
    if left.attribute == "session.labels" and word not in rule.names.labels:
        if rule.names.labels and not rule.file.pack:
            near = rule.file.near(word, rule.names.labels)
            choice = near or f"; tools and rules bring {listed(sorted(rule.names.labels))}"
            rule.file.error(node.at, f"unknown label `{word}`{choice}", "unknown-name")
        else:
            rule.file.warn(node.at, f"no tool and no rule brings the label `{word}`", "undeclared")
    elif left.attribute == "class" and tools.classes and word not in tools.classes:
        rule.file.warn(
            node.at, f"no declared tool is of class `{word}`{rule.file.near(word, tools.classes)}", "undeclared"
        )
    elif left.attribute == "tool" and tools.by_name and word not in tools.by_name:
        rule.file.warn(node.at, f"tool `{word}` is not declared{rule.file.near(word, tools.by_name)}", "undeclared")
    elif left.attribute == "intent" and rule.names.intents and word not in rule.names.intents:
        rule.file.error(
            node.at, f"unknown intent `{word}`{_one_of(rule, word, list(rule.names.intents))}", "unknown-name"
        )


def _agrees(rule: Rule, left: Read, constant: c.Constant, node: s.Term, operator: str) -> bool:
    """Tell whether a literal is of the type with which it is compared, after saying why not."""
    value = constant.value
    error = rule.file.error
    if operator in ("like", "under", "in cidr", "starts with", "ends with") and not isinstance(value, str):
        error(node.at, f"`{operator}` takes texts in double quotes, not {written(value)}", "type")
        return False
    if left.attribute in ORDERED:
        known = RISK_ORDER if left.attribute == "tool.risk" else rule.names.data_order
        if operator not in ("is", "in", "<", "<=", ">", ">=", "between"):
            return True
        if value not in known:
            error(
                node.at,
                f"`{value}` is none of the words of `{left.attribute}`{_one_of(rule, str(value), list(known))}",
                "unknown-word",
            )
            return False
        return True
    if operator in ("<", "<=", ">", ">=", "between") and (isinstance(value, bool | str)):
        error(node.at, f"`{operator}` compares numbers, not {written(value)}", "type")
        return False
    if operator == "contains":
        kinds = [(who, (kind.items or c.ANY) if kind.name == "list" else kind) for who, kind in left.types]
    elif operator in ("is", "in"):
        kinds = list(left.item_types())
    else:
        return True
    for who, kind in kinds:
        problem = ""
        if kind.name in TEXTS and not isinstance(value, str):
            problem = f"write {written(written(value))}" if not isinstance(value, bool) else "write a text"
        elif kind.name in NUMBERS and (isinstance(value, bool | str)):
            problem = "write a number"
        elif kind.name == "boolean" and not isinstance(value, bool):
            problem = "write `true` or `false`"
        if problem:
            error(node.at, f"{who} is {describe(kind)} and never {written(value)}; {problem}", "type")
            return False
        if kind.name == "enum" and operator != "contains" and value not in kind.values:
            error(
                node.at,
                f"`{value}` is none of the words of {who}{_one_of(rule, str(value), list(kind.values))}",
                "unknown-word",
            )
            return False
    return True
