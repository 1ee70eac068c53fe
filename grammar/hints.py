"""What to write instead: from the place where reading stopped to a message that shows the way out."""

import re

from .chunks import EFFECTS, ITEM_WORDS, TEST_WORDS
from .messages import Mistake, did_you_mean
from .syntax import Span

SPELLINGS = {
    "==": "is",
    "=": "is",
    "===": "is",
    "!=": "is not",
    "<>": "is not",
    "&&": "and",
    "&": "and",
    "||": "or",
    "|": "or",
    "!": "not",
    "=>": ">=",
    "=<": "<=",
    "≥": ">=",
    "≤": "<=",
    "≠": "is not",
    "~": "matches",
    "=~": "matches",
}
"""Operators of other languages, and what this one writes."""

SYNONYMS = {
    "step-up": "step_up",
    "stepup": "step_up",
    "escalate": "step_up",
    "deny": "block",
    "forbid": "block",
    "reject": "block",
    "refuse": "block",
    "permit": "allow",
    "accept": "allow",
    "rewrite": "modify",
    "change": "modify",
    "delay": "defer",
    "throttle": "limit",
    "score": "risk",
    "import": "use",
    "include": "use",
    "regex": "pattern",
    "if": "when",
    "where": "when",
    "except": "unless",
    "reason": "because",
    "message": "tell",
    "equals": "is",
    "eq": "is",
    "isnt": "is not",
    "ne": "is not",
    "gt": ">",
    "lt": "<",
    "id": "as",
    "approvers": "ask",
}
"""Words of other languages, and what this one writes where it can stand."""

KINDS = {
    "NAME": "a name",
    "RULE_ID": "a rule's id",
    "TOOL_NAME": "a tool (`db.read`, `db.*`, `*`)",
    "STRING": 'a text in double quotes (`"…"`)',
    "NUMBER": "a number",
    "POINTS": "points (`+30`)",
    "DURATION": "a duration (`30s`, `15m`, `2h`, `1d`)",
    "SIZE": "a size (`64kb`, `1mb`)",
    "DATE": "a date (`2026-11-23`)",
    "TIME": "a time (`09:00`)",
    "DAYS": "days (`mon-fri`)",
    "BOOLEAN": "`true` or `false`",
    "FUNCTION": "a function (`size(…)`)",
    "COUNT": "a count (`calls(…)`)",
    "TYPE": "a type (`string`, `number`, `email`, …)",
    "RISK_LEVEL": "`risk` with low, medium, high or critical",
    "PATH": "an attribute (`args.amount`, `agent`, …)",
}

SIGNS = {
    "LPAR": "(",
    "RPAR": ")",
    "LBRACE": "{",
    "RBRACE": "}",
    "LSQB": "[",
    "RSQB": "]",
    "COMMA": ",",
    "EQUAL": "=",
    "COLON": ":",
    "MINUS": "-",
    "QMARK": "?",
    "LESSTHAN": "<",
    "MORETHAN": ">",
    "__ANON_0": "<=",
}

ROOTS = [
    "tool",
    "class",
    "server",
    "args",
    "agent",
    "user",
    "tenant",
    "env",
    "scope",
    "intent",
    "purpose",
    "data",
    "session",
    "task",
    "risk",
    "now",
    "context",
    "result",
]

TYPES = [
    "string",
    "int",
    "number",
    "boolean",
    "id",
    "email",
    "url",
    "host",
    "path",
    "ip",
    "record",
    "any",
    "list",
    "enum",
]

OPERATORS = {"IS", "IN", "LIKE", "CONTAINS", "UNDER", "STARTS", "ENDS", "MATCHES", "BETWEEN", "FROM", "BY"}
CLAUSES = {"WHEN", "UNLESS", "ASK", "WITHIN", "RETRY", "CONTROL", "CODE", "UNTIL", "TRIAL", "BECAUSE", "TELL"}
CHANGES = {"REDACT", "SET", "DROP", "CAP", "TRUNCATE", "TO"}
SETTINGS = {"VERSION", "REGIMES", "DEFAULT", "MODE", "APPROVERS", "ARGUMENTS", "LADDER", "BOUNDS", "DATA"}
CONDITION = {"LPAR", "COUNT", "FUNCTION", "PATH", "AFTER", "ALL", "ANY", "HAS", "NOT"}
VALUE = {
    "LBRACE",
    "LSQB",
    "BOOLEAN",
    "COUNT",
    "DATE",
    "DURATION",
    "FUNCTION",
    "NAME",
    "NULL",
    "NUMBER",
    "PATH",
    "STRING",
}
ITEMS = {word.upper() for word in ITEM_WORDS}

_word = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_operator = re.compile(r"[=!<>&|~≥≤≠]+")
_number = re.compile(r"[+-]?[0-9][A-Za-z0-9_.:-]*")
_quoted = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_curly = "“”„«»‘’"


def mistake(text: str, offset: int, accepts: set[str], line: int, start: str) -> Mistake:
    """Return the mistake at an offset of a text that begins on `line`, where only `accepts` could follow."""
    offset = offset + len(text[offset:]) - len(text[offset:].lstrip(" \t\n"))
    at_end = offset >= len(text)
    if at_end:
        offset = len(_without_comments(text).rstrip(" \t\n"))
    row = text.count("\n", 0, offset)
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    what, length = _at_end(text, accepts, start) if at_end else _here(text, offset, accepts, start)
    return Mistake(what, Span(line + row, column, line + row, column + length))


def _without_comments(text: str) -> str:
    return re.sub(r'("(?:[^"\\\n]|\\.)*")|#[^\n]*', lambda m: m[1] or "", text)


def _at_end(text: str, accepts: set[str], start: str) -> tuple[str, int]:
    ended = {"lone_condition": "condition", "lone_line": "line"}.get(start, "item")
    if not text.strip():
        return f"nothing here; expected {expected(accepts, start)}", 1
    if "TOOL_NAME" in accepts and text.strip() in EFFECTS:
        return f"which tools? write `{text.strip()} send_email`, `db.*`, `class NAME`, or `*` for every tool", 1
    return f"the {ended} ends too early; expected {expected(accepts, start)}", 1


def _here(text: str, offset: int, accepts: set[str], start: str) -> tuple[str, int]:
    """Return what is wrong at an offset, and how many characters are."""
    sign = text[offset]
    if quoted := _quoted.match(text, offset):
        return _at_text(text, offset, quoted[0], accepts, start), len(quoted[0])
    if sign == '"':
        end = text.find("\n", offset)
        return 'missing closing `"`; a text ends on the line it begins', (end if end > 0 else len(text)) - offset
    if sign in "'`" or sign in _curly:
        return 'texts stand in double quotes; write `"…"`', 1
    if not sign.isprintable() or (sign.isspace() and sign not in " \t\n"):
        return f"unexpected character U+{ord(sign):04X}; write a plain blank", 1
    if sign == ";":
        return "items and clauses end without `;`; leave it out", 1
    if match := _operator.match(text, offset):
        return _at_operator(match[0], accepts, start), len(match[0])
    if match := _number.match(text, offset):
        return _at_number(match[0], accepts, start), len(match[0])
    if match := _word.match(text, offset):
        return _at_word(text, offset, match[0], accepts, start), len(match[0])
    if sign == "}" and "RBRACE" not in accepts and start == "item" and offset == 0:
        return "this `}` closes nothing; leave it out", 1
    return f"unexpected `{sign}`; expected {expected(accepts, start)}", 1


def _at_text(text: str, offset: int, quoted: str, accepts: set[str], start: str) -> str:
    before = text[:offset].split()
    if len(before) > 1 and before[-2] == "as" and before[-1].upper() in CLAUSES:
        return f"`{before[-1]}` was read as the rule's id; write `as ID {before[-1]} …`"
    if "NAME" in accepts and _word.fullmatch(quoted[1:-1]):
        return f"a name stands without quotes here; write `{quoted[1:-1]}`"
    return f"unexpected text; expected {expected(accepts, start)}"


def _at_operator(sign: str, accepts: set[str], start: str) -> str:
    meant = SPELLINGS.get(sign)
    if meant is None and sign[0] == "!":
        meant = "not"
    if meant is not None and _can(meant.split()[0], accepts):
        return f"unknown operator `{sign}`; write `{meant}`"
    if sign == "=" and "COLON" in accepts:
        return "unexpected `=`; write `:` between a name and its value"
    return f"unexpected `{sign}`; expected {expected(accepts, start)}"


def _at_number(number: str, accepts: set[str], start: str) -> str:
    digits = number.lstrip("+-").rstrip("abcdefghijklmnopqrstuvwxyz")
    if "DURATION" in accepts and "NUMBER" not in accepts:
        if digits.isdigit():
            units = f"`{digits}s`, `{digits}m`, `{digits}h` or `{digits}d`"
            return f"`{number}` is no duration; write its unit too, as in {units}"
        return f"`{number}` is no duration; write `30s`, `15m`, `2h`, `1d` or `2w`"
    if "SIZE" in accepts:
        return f"`{number}` is no size; write its unit too, as in `{digits}kb` or `{digits}mb`"
    if "POINTS" in accepts and digits.isdigit():
        return f"`{number}` are no points; write `+{digits}`"
    if "DATE" in accepts and "NUMBER" not in accepts:
        return f"`{number}` is no date; write year-month-day, as in `2026-11-23`"
    if "TIME" in accepts:
        return f"`{number}` is no time; write hours and minutes, as in `09:00`"
    if "NUMBER" in accepts:
        return f"`{number}` is no number; write `10_000`, `-3`, `0.5` or `1e3`"
    return f"unexpected `{number}`; expected {expected(accepts, start)}"


def _at_word(text: str, offset: int, word: str, accepts: set[str], start: str) -> str:
    lower = word.lower()
    before = text[:offset].split()
    first_on_line = not text[text.rfind("\n", 0, offset) + 1 : offset].strip(" \t")
    if start == "item" and "POLICY" in accepts:
        return _at_item_word(word)
    if word in ITEM_WORDS and first_on_line and start == "item" and "RBRACE" not in accepts and "$END" in accepts:
        return f"`{word}` begins a new item; write it in the first column"
    if len(before) == 2 and before[0] in EFFECTS and before[1] in ("when", "unless", "as"):
        return f"which tools? write a name, `db.*`, `class NAME`, or `*` for every tool before `{before[1]}`"
    if (before[-2:] == ["is", "in"] or before[-3:] == ["is", "not", "in"]) and "IN" not in accepts:
        negated = "not in" if before[-2] == "not" else "in"
        return f"unexpected `{word}`; write `{negated}` without `is`"
    if lower == "has" and "IS" in accepts:
        return "`has` stands before the argument; write `has args.to`"
    if lower == "not" and "PATH" in accepts:
        return "`not not` says nothing; leave both out"
    if lower != word and _can(lower, accepts):
        return f"unknown word `{word}`; write `{lower}`"
    meant = SYNONYMS.get(lower)
    if meant is not None and _can(meant.split()[0], accepts):
        return f"unknown word `{word}`; write `{meant}`"
    if lower == "not" and "AND" in accepts:
        return "`not` cannot stand here; write it before the condition or the operator"
    if "TYPE" in accepts:
        return f"unknown type `{word}`{did_you_mean(word, TYPES) or f'; expected {expected(accepts, start)}'}"
    if "VERDICT" in accepts and (near := did_you_mean(lower, (*EFFECTS, "rule", "code", "verdict", "args"))):
        return f"unexpected `{word}`{near}"
    if "PATH" in accepts:
        return _at_attribute(text, offset, word, accepts, start)
    if "STRING" in accepts and "NAME" not in accepts and not accepts & CLAUSES:
        return f'`{word}` lacks its quotes; write `"{word}"`'
    if word == "risk" and "RISK_LEVEL" in accepts:
        return "which risk? write `risk low`, `risk medium`, `risk high` or `risk critical`"
    known = [keyword.lower() for keyword in accepts if keyword.isalpha() and keyword not in KINDS]
    known += ["step_up"] if "STEP_UP" in accepts else []
    known += ITEM_WORDS if first_on_line else ()
    near = did_you_mean(lower, known)
    return f"unexpected `{word}`{near or f'; expected {expected(accepts, start)}'}"


def _at_item_word(word: str) -> str:
    lower = word.lower()
    if word in TEST_WORDS:
        return f'`{word}` stands inside the braces of a test; write `test "…" {{` before it'
    if word.upper() in CLAUSES | CHANGES | SETTINGS:
        return f"`{word}` continues an item; indent it"
    meant = SYNONYMS.get(lower, lower)
    if meant in ITEM_WORDS:
        return f"no item begins with `{word}`; write `{meant}`"
    near = did_you_mean(lower, ITEM_WORDS)
    return f"no item begins with `{word}`{near or '; expected an item (`allow`, `block`, `set`, `tool`, `test`, …)'}"


def _at_attribute(text: str, offset: int, word: str, accepts: set[str], start: str) -> str:
    if text[offset + len(word) : offset + len(word) + 1] in (".", "["):
        path = re.match(r"[A-Za-z0-9_.\[\]*-]*", text[offset + len(word) :])
        rest = path[0] if path else ""
        near = did_you_mean(word, ROOTS)
        if near:
            root = near.split("`")[1]
            return f"unknown attribute `{word}{rest}`; did you mean `{root}{rest}`?"
        return f"unknown attribute `{word}{rest}`; attributes begin with `args`, `agent`, `session`, `context`, …"
    if "NAME" in accepts:
        return f"unexpected `{word}`; expected {expected(accepts, start)}"
    return f"unknown attribute `{word}`{did_you_mean(word, ROOTS) or f'; arguments are written `args.{word}`'}"


def _can(word: str, accepts: set[str]) -> bool:
    names = {"<": "LESSTHAN", ">": "MORETHAN", "true": "BOOLEAN"}
    if word in (">=", "<="):
        return "IS" in accepts
    return names.get(word, word.upper()) in accepts


def expected(accepts: set[str], start: str) -> str:
    """Return in words of the language what may follow."""
    left = set(accepts)
    parts: list[str] = []
    for group, said in (
        (ITEMS, "an item (`allow`, `block`, `set`, `tool`, `test`, …)"),
        (OPERATORS, "an operator (`is`, `in`, `>`, `like`, `matches`, …)"),
        (CLAUSES, "a clause (`when`, `unless`, `because`, …)"),
        (SETTINGS, "a setting (`version`, `default`, `approvers`, …)"),
        (CONDITION, "a condition, such as `args.amount > 10_000`"),
        (VALUE, 'a value (`"…"`, `10_000`, `true`, …)'),
    ):
        if len(left & group) > 4:
            left -= group
            left -= CHANGES if group is CLAUSES else set()
            left -= {"LESSTHAN", "MORETHAN", "NOT"} if group is OPERATORS else set()
            parts.append(said)
    left -= {"POINTS"} if "AS" in left else set()  # only behind `risk`, which says so itself
    end = "$END" in left
    for name in sorted(left - {"$END"}, key=lambda name: (name not in SIGNS, name not in KINDS, name)):
        if name in KINDS:
            parts.append(KINDS[name])
        elif name in SIGNS:
            parts.append(f"`{SIGNS[name]}`")
        elif not name.startswith("__"):
            parts.append(f"`{name.lower()}`")
    if len(parts) > 8:
        parts = [*parts[:8], "…"]
    if end:
        parts.append({"lone_condition": "the end of the condition"}.get(start, "the end of the item"))
    return " or ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
