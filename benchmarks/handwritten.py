"""The evaluator that a Python developer would write for these rules: a dict by tool, then the checks as Python code.

Each tool gets one function, generated and compiled: it reads the attributes that its rules test into local variables
and asks rule after rule, cheap tests first, restrictions before allows, and stops where nothing can change the answer
any more. What is asked of an engine beyond that is left out, which flatters it: nothing is checked (a missing field
raises, a path with `..` is taken as it stands), nothing is recorded, no mode, session, limit or approval is looked at,
and the answer is a bare tuple.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from workload import PATHS, Condition, Rule

SHOWN_MAX: Final = 16
REASONS: Final = {
    "block": "forbidden_action_static_policy",
    "defer": "deferred_by_policy",
    "step_up": "step_up_required",
    "allow": "allowed_by_policy",
}
NO: Final = ("BLOCK", (), 0, "no_rule_allows")
COST: Final = ("at least", "at most", "between", "is", "in", "like", "under", "any in", "all in", "matches")

Answer = tuple[str, tuple[str, ...], int, str]
"""Effect, the first rules that ask for it, how many more there are, reason code."""


class Handwritten:
    """The functions by tool."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Generate and compile the functions."""
        by_tool: dict[str, list[Rule]] = {}
        for rule in sorted(rules):
            by_tool.setdefault(rule.tool, []).append(rule)
        self._constants: dict[Any, str] = {}
        self._globals: dict[str, Any] = {"NO": NO, "answer": answer}
        self._by_tool: dict[str, Callable[[dict[str, Any]], Answer]] = {}
        for number, (tool, of_tool) in enumerate(by_tool.items()):
            exec(compile(self._function(f"tool_{number}", of_tool), tool, "exec"), self._globals)
            self._by_tool[tool] = self._globals[f"tool_{number}"]

    def decide(self, request: dict[str, Any]) -> Answer:
        """Return the answer about one request."""
        decide = self._by_tool.get(request["tool_name"])
        return NO if decide is None else decide(request)

    def _function(self, name: str, rules: list[Rule]) -> str:
        lines = [f"def {name}(request):"]
        read = sorted({condition.attribute for rule in rules for condition in rule.conditions})
        for parent in sorted({PATHS[attribute][0] for attribute in read if len(PATHS[attribute]) > 1}):
            lines.append(f"    {parent} = request[{parent!r}]")
        for attribute in read:
            parent = PATHS[attribute][-2] if len(PATHS[attribute]) > 1 else "request"
            lines.append(f"    {local(attribute)} = {parent}[{PATHS[attribute][-1]!r}]")
        # What wins is asked first; without an allow nothing but a block can still be named.
        lines += self._asked("block", rules)
        lines += ["    if block: return answer('BLOCK', block, 'block')"]
        lines += self._asked("allow", rules)
        lines += ["    if not allow: return NO"]
        for effect in ("defer", "step_up"):
            lines += self._asked(effect, rules)
            lines += [f"    if {effect}: return answer({effect.upper()!r}, {effect}, {effect!r})"]
        lines += ["    return answer('ALLOW', allow, 'allow')"]
        return "\n".join(lines) + "\n"

    def _asked(self, effect: str, rules: list[Rule]) -> list[str]:
        lines = [f"    {effect} = []"]
        for rule in rules:
            if rule.effect == effect:
                tests = sorted(rule.conditions, key=lambda condition: COST.index(condition.kind))
                lines.append(f"    if {' and '.join(map(self._test, tests))}: {effect}.append({rule.id!r})")
        return lines if len(lines) > 1 else [f"    {effect} = ()"]

    def _test(self, condition: Condition) -> str:
        it, value = local(condition.attribute), condition.value
        match condition.kind:
            case "is":
                return f"{it} == {value!r}"
            case "in":
                return f"{it} in {{{', '.join(map(repr, value))}}}"
            case "between":
                return f"{value[0]} <= {it} <= {value[1]}"
            case "at least":
                return f"{it} >= {value}"
            case "at most":
                return f"{it} <= {value}"
            case "under":
                return f"({it}.startswith({value + '/'!r}) or {it} == {value!r})"
            case "like":
                return self._glob(it, value)
            case "matches":
                return f"{self._constant(re.compile(value).search)}({it})"
            case "any in":
                return f"not {self._constant(frozenset(value))}.isdisjoint({it})"
            case "all in":
                return f"{self._constant(frozenset(value))}.issuperset({it})"
        raise AssertionError(condition.kind)

    def _glob(self, it: str, glob: str) -> str:
        first, *middle, last = glob.split("*")
        assert not middle, glob
        tests = [f"{it}.startswith({first!r})"] if first else []
        tests += [f"{it}.endswith({last!r})"] if last else []
        tests += [f"len({it}) >= {len(first) + len(last)}"] if first and last else []
        return " and ".join(tests)

    def _constant(self, value: Any) -> str:
        return self._constants.setdefault(value, self._name(value))

    def _name(self, value: Any) -> str:
        name = self._constants.get(value) or f"constant_{len(self._constants)}"
        self._globals[name] = value
        return name


def local(attribute: str) -> str:
    return attribute.replace(".", "_")


def answer(effect: str, ids: list[str], asked: str) -> Answer:
    """Return an answer with the first ids; they stand in order, for the rules were asked in order."""
    return effect, tuple(ids[:SHOWN_MAX]), max(0, len(ids) - SHOWN_MAX), REASONS[asked]
