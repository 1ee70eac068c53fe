"""Syntax tree to text: the canonical form, which looks like the one-page policy.

`parse(format(p)) == p` for every tree that `parse` returns, and formatting twice changes nothing.
Layout depends on the tree alone: an item stands on one line where it fits, else its clauses stand
on lines of their own; blank lines separate what takes several lines, and what differs in kind.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import write
from .syntax import (
    AgentItem,
    And,
    AskClause,
    Change,
    Comment,
    Condition,
    Expect,
    ForItem,
    Given,
    HoursItem,
    HoursRange,
    IntentItem,
    Item,
    LimitClause,
    Or,
    Param,
    PatternItem,
    Policy,
    PolicyItem,
    ResultRuleItem,
    RuleItem,
    SetItem,
    Setting,
    TestCall,
    TestItem,
    Text,
    ToolItem,
    Type,
    UseItem,
    Yield,
)

WIDTH = 100
INDENT = "    "
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
BOUNDS = ("provenance", "scan", "in flight")


@dataclass(slots=True)
class _Block:
    """The lines of one item, and the kind of item it is."""

    lines: list[str]
    kind: str


def format(policy: Policy) -> str:
    """Return the policy's canonical text; empty for a policy of nothing."""
    lines = _blocks(_item(item, WIDTH) for item in policy.items)
    if policy.comments:
        lines += [""] if lines else []
        lines += _comments(policy.comments)
    return "".join(f"{line}\n" for line in lines)


# ---------------------------------------------------------------- lines


def _blocks(blocks: Iterable[_Block]) -> list[str]:
    """Return the lines of all blocks; a blank one where kinds change or a block has several lines."""
    lines: list[str] = []
    last: _Block | None = None
    for block in blocks:
        if last and (last.kind != block.kind or len(last.lines) > 1 or len(block.lines) > 1):
            lines.append("")
        lines += block.lines
        last = block
    return lines


def _indented(lines: Iterable[str]) -> list[str]:
    return [INDENT + line if line else "" for line in lines]


def _comments(comments: Iterable[Comment]) -> list[str]:
    return [_comment(comment) for comment in comments]


def _comment(comment: Comment) -> str:
    return f"#{comment.text}" if comment.text.startswith("#") or not comment.text else f"# {comment.text}"


def _commented(lines: list[str], comments: Sequence[Comment]) -> list[str]:
    """Return lines with their comments: above them, and the trailing one behind the first."""
    trailing = [_comment(comment) for comment in comments if comment.trailing]
    first = "  ".join([lines[0], *trailing])
    return [*_comments(comment for comment in comments if not comment.trailing), first, *lines[1:]]


def _filled(head: str, parts: Sequence[str], tail: str, width: int) -> list[str]:
    """Return `head part, part tail`, on as many lines as the width asks for."""
    lines, line = [], head
    pieces = [f"{part}," for part in parts[:-1]] + [f"{part}{tail}" for part in parts[-1:]]
    for i, piece in enumerate(pieces):
        glue = "" if line.endswith("(") or not line.strip() else " "
        if len(line) + len(glue) + len(piece) > width and i > 0:
            lines.append(line)
            line = INDENT + piece
        else:
            line = f"{line}{glue}{piece}"
    return [*lines, line]


def _clauses(head: str, clauses: Sequence[list[str]], width: int) -> list[str]:
    """Return an item: on one line, or its head with the first clause and one line for every other."""
    whole = " ".join([head, *(" ".join(clause) for clause in clauses)])
    if len(whole) <= width or not clauses:
        return [whole]
    first = f"{head} {' '.join(clauses[0])}"
    lines = [first] if len(first) <= width else [head]
    for clause in clauses[len(first) <= width :]:
        joined = " ".join(clause)
        if len(joined) + len(INDENT) <= width:
            lines.append(INDENT + joined)
        else:
            lines += [INDENT + clause[0], *(2 * INDENT + more for more in clause[1:])]
    return lines


def _condition(keyword: str, condition: Condition | None) -> list[list[str]]:
    """Return `when CONDITION` in the pieces at which it may be broken."""
    if condition is None:
        return []
    if isinstance(condition, And):
        parts = [write.within_and(part) for part in condition.parts]
        return [[f"{keyword} {parts[0]}", *(f"and {part}" for part in parts[1:])]]
    if isinstance(condition, Or):
        parts = [write.condition(part) for part in condition.parts]
        return [[f"{keyword} {parts[0]}", *(f"or {part}" for part in parts[1:])]]
    return [[f"{keyword} {write.condition(condition)}"]]


def _text(keyword: str, text: Text | None) -> list[list[str]]:
    return [[f"{keyword} {write.quote(text.value)}"]] if text else []


# ---------------------------------------------------------------- items


def _item(item: Item, width: int) -> _Block:
    kind, lines = _kind_and_lines(item, width)
    return _Block(_commented(lines, item.comments), kind)


def _kind_and_lines(item: Item, width: int) -> tuple[str, list[str]]:
    match item:
        case PolicyItem():
            return "policy", [f"policy {item.name}", *_settings(item.settings)]
        case UseItem():
            return "use", [f"use {item.name} with allow" if item.with_allow else f"use {item.name}"]
        case SetItem():
            return "set", _filled(f"set {item.name} =", [write.value(value) for value in item.items], "", width)
        case PatternItem():
            return "pattern", [f"pattern {item.name} = {write.value(item.regex)}"]
        case HoursItem():
            return "hours", _hours(item, width)
        case ToolItem():
            return "tool", _tool(item, width)
        case AgentItem():
            head = f"agent {write.quote(item.pattern.value)} scope"
            return "agent", _filled(head, [write.tool(tool) for tool in item.scope], "", width)
        case IntentItem():
            return "intent", _filled(f"intent {item.name} allows", [write.tool(tool) for tool in item.tools], "", width)
        case RuleItem():
            return item.effect, _rule(item, width)
        case ResultRuleItem():
            return "on", _result_rule(item, width)
        case ForItem():
            inner = _blocks(_item(inner, width - len(INDENT)) for inner in item.items)
            return "for", [_for_head(item), *_indented([*inner, *_comments(item.closing)]), "}"]
        case TestItem():
            return "test", _test(item, width)


def _settings(settings: Sequence[Setting]) -> list[str]:
    lines: list[str] = []
    joinable = False  # the line before is a `bounds` line without a comment behind it
    for setting in settings:
        bound = setting.name in BOUNDS
        if bound and joinable and not setting.comments:
            lines[-1] += f", {setting.name} {write.values(setting.values)}"
            continue
        lines += _commented([_setting(setting)], setting.comments)
        joinable = bound and not any(comment.trailing for comment in setting.comments)
    return _indented(lines)


def _setting(setting: Setting) -> str:
    said = [write.value(value) for value in setting.values]
    if setting.name in BOUNDS:
        return f"bounds {setting.name} {said[0]}"
    if setting.name == "data":
        return f"data {' < '.join(said)}"
    if setting.name == "mode":
        return " ".join(["mode", *setting.form.split(), *said])
    if setting.name == "ladder" and said[-1][0].isdigit():
        return f"ladder {', '.join(said[:-1])} within {said[-1]}"
    return f"{setting.name} {', '.join(said)}"


def _hours(item: HoursItem, width: int) -> list[str]:
    zone = f" in {write.quote(item.zone.value)}"
    lines = _filled(f"hours {item.name} =", [_hours_range(part) for part in item.ranges], zone, width)
    if not item.excepted:
        return lines
    days = [write.value(day) for day in item.excepted]
    whole = f"{lines[-1]} except {', '.join(days)}"
    if len(whole) <= width:
        return [*lines[:-1], whole]
    return [*lines, *_filled(f"{INDENT}except", days, "", width)]


def _hours_range(part: HoursRange) -> str:
    days = DAYS[part.first] if part.first == part.last else f"{DAYS[part.first]}-{DAYS[part.last]}"
    return f"{days} {_clock(part.start)}-{_clock(part.end)}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _tool(item: ToolItem, width: int) -> list[str]:
    params = [_param(param) for param in item.params] + (["..."] if item.more else [])
    clauses: list[list[str]] = []
    if item.classes:
        clauses.append([f"is {', '.join(item.classes)}"])
    if item.risk:
        clauses.append([f"risk {item.risk}"])
    clauses += [[_yield(part)] for part in item.yields]
    if item.atomic:
        clauses.append(["atomic"])
    name = write.tool_name(item.name)
    head = f"tool {name}({', '.join(params)})"
    if len(head) <= width:
        return _clauses(head, clauses, width)
    lines = [f"tool {name}(", *(f"{2 * INDENT}{param}," for param in params[:-1]), f"{2 * INDENT}{params[-1]})"]
    return [*lines, *(INDENT + clause[0] for clause in clauses)]


def _param(param: Param) -> str:
    mark = ("key " if param.key else "") + ("shown " if param.shown else "")
    return f"{write.word(param.name)}{'?' if param.optional else ''}: {_type(param.type, mark)}"


def _type(type_: Type, mark: str) -> str:
    if type_.items is not None:
        return f"list of {_type(type_.items, mark)}"
    if type_.name == "enum":
        return f"{mark}enum {{{', '.join(write.word(value) for value in type_.values)}}}"
    return mark + type_.name


def _yield(part: Yield) -> str:
    return f"yields {part.label}" + (f" when result matches {write.value(part.pattern)}" if part.pattern else "")


# ---------------------------------------------------------------- rules


def _rule(rule: RuleItem, width: int) -> list[str]:
    head = f"{rule.effect} {write.tools(rule.tools)}"
    head += f" +{rule.points}" if rule.points is not None else ""
    head += f" as {rule.id}" if rule.id is not None else ""
    clauses: list[list[str]] = []
    if rule.limit:
        clauses.append([_limit(rule.limit)])
    clauses += _condition("when", rule.when) + _condition("unless", rule.unless)
    clauses += [[_change(change)] for change in rule.changes]
    within = f"within {write.value(rule.within)}" if rule.within else ""
    if rule.ask:
        clauses.append([f"{_ask(rule.ask)} {within}".rstrip()])
    elif within:
        clauses.append([within])
    if rule.retry_after:
        clauses.append([f"retry after {write.value(rule.retry_after)}"])
    if rule.control:
        clauses.append([f"control {write.values(rule.control)}"])
    if rule.code is not None:
        clauses.append([f"code {rule.code}"])
    if rule.until:  # before `trial`, which takes an `until` behind it for its own
        clauses.append([f"until {write.value(rule.until)}"])
    if rule.trial:
        clauses.append([f"trial until {write.value(rule.trial_until)}" if rule.trial_until else "trial"])
    clauses += _text("because", rule.because) + _text("tell", rule.tell)
    return _clauses(head, clauses, width)


def _limit(limit: LimitClause) -> str:
    what = f"of {write.path(limit.of)}" if limit.of else "calls"
    amount = write.value(limit.amount)
    return f"to {amount} {what} per {write.value(limit.per)} by {write.path(limit.by)} else {limit.otherwise}"


def _change(change: Change) -> str:
    path = write.path(change.path)
    if change.kind == "redact":
        assert change.pattern
        assert change.text
        return f"redact {path} matching {write.value(change.pattern)} with {write.value(change.text)}"
    if change.value is None:
        return f"{change.kind} {path}"
    glue = {"set": "=", "cap": "at", "truncate": "to"}[change.kind]
    return f"{change.kind} {path} {glue} {write.value(change.value)}"


def _ask(ask: AskClause) -> str:
    who = write.values(ask.approvers)
    if isinstance(ask.quorum, int):
        return f"ask {ask.quorum} of {who}"
    return f"ask {who} all" if ask.quorum == "all" else f"ask {who}"


def _result_rule(rule: ResultRuleItem, width: int) -> list[str]:
    head = f"on result {write.tools(rule.tools)}" + (f" as {rule.id}" if rule.id is not None else "")
    clauses = _condition("when", rule.when) + _condition("unless", rule.unless)
    if rule.action == "redact":
        assert rule.pattern
        assert rule.text
        clauses.append([f"redact result matching {write.value(rule.pattern)} with {write.value(rule.text)}"])
    else:
        clauses.append([f"label {rule.label}" if rule.action == "label" else rule.action])
    if rule.control:
        clauses.append([f"control {write.values(rule.control)}"])
    return _clauses(head, [*clauses, *_text("because", rule.because)], width)


def _for_head(item: ForItem) -> str:
    agents = ", ".join(write.quote(agent.value) for agent in item.agents)
    envs = ", ".join(_env(env.value) for env in item.envs)
    return f"for {', '.join(filter(None, [agents and f'agent {agents}', envs and f'env {envs}']))} {{"


def _env(value: str) -> str:
    return write.quote(value) if value in ("agent", "env") else write.word(value)


# ---------------------------------------------------------------- tests


def _test(item: TestItem, width: int) -> list[str]:
    width -= len(INDENT)
    lines = _given(item.given, width)
    for after in item.after:
        ending = f" is {after.ending}" if after.ending == "in flight" else f" {after.ending}".rstrip()
        ending += f" {write.value(after.returns)}" if after.returns else ""
        lines += _call("after", after, ending, width)
    if item.call:
        lines += _call("call", item.call, "", width)
    for expect in item.expects:
        lines += _commented([_expect(expect)], expect.comments)
    return [f"test {write.quote(item.name)} {{", *_indented([*lines, *_comments(item.closing)]), "}"]


def _given(given: Sequence[Given], width: int) -> list[str]:
    """Return what is given, as many on a line as fit; a comment keeps its own line."""
    lines: list[str] = []
    joinable = False
    for part in given:
        said = _given_part(part)
        if joinable and not part.comments and len(lines[-1]) + 2 + len(said) <= width:
            lines[-1] += f", {said}"
            continue
        lines += _commented([f"given {said}"], part.comments)
        joinable = not any(comment.trailing for comment in part.comments)
    return lines


def _given_part(given: Given) -> str:
    said = [value.value if isinstance(value, Text) else "" for value in given.values]
    match given.subject:
        case "env" | "intent" | "data" | "mode":
            return f"{given.subject} {write.word(said[0])}"
        case "scope":
            return f"scope {', '.join(write.tool_name(name) for name in said)}"
        case "context":
            return f"context {write.word(said[0])} {write.value(given.values[1])}"
        case "baseline":
            return f"baseline {given.tool}.{given.argument} {write.values(given.values)}"
        case "at":
            return f"at {said[0].replace('T', ' ')} in {write.quote(said[1])}"
    return f"{given.subject} {write.values(given.values)}"


def _call(keyword: str, call: TestCall, ending: str, width: int) -> list[str]:
    head = f"{keyword} {write.tool_name(call.tool)}("
    arguments = write.arguments(call.arguments) or [""]
    return _commented(_filled(head, arguments, f"){ending}", width), call.comments)


def _expect(expect: Expect) -> str:
    parts = [expect.effect or ""]
    parts.append(f"by {', '.join(expect.by)}" if expect.by else "")
    parts.append(f"rule {', '.join(expect.rules)}" if expect.rules else "")
    parts.append(f"code {expect.code}" if expect.code else "")
    parts.append(f"verdict {expect.verdict}" if expect.verdict else "")
    parts += [f"{write.path(path)} is {write.value(value)}" for path, value in expect.changed]
    return f"expect {' '.join(filter(None, parts))}"
