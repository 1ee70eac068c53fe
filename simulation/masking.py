"""A call as a report may show it: to whom and how much in clear, texts by their length, secrets not at all.

Reports are sent around and kept with builds, by people who may not read what was recorded. So of an argument stands in
clear what the policy says is no content: `key` and `shown` arguments, enumerations, numbers. Of these, too, whatever a
pattern of the policy or a detector of secrets finds is masked, and nothing at all is shown of arguments that carry
credentials, by their name or by their tool's class.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ..engine.checked import CheckedPolicy, Matches, Param, Pattern, ResultRule, Rule, Tool
from ..engine.reference_values import spans
from ..engine.rerun import Rerun
from ..engine.wording import tests_of
from .calls import Call

VALUE_CHARS_MAX: Final = 60
CALL_CHARS_MAX: Final = 220
SCANNED_CHARS_MAX: Final = 10_000
SECRETS: Final = ("private_key", "api_key", "card_number", "us_ssn")
"""Detectors whose finds are never shown."""
SECRET_NAME: Final = re.compile(
    r"(?i)pass(?:word|wd|phrase|code)|secret|token|api_?key|private_?key|credential|authori[sz]ation|cookie"
    r"|(?:^|[^a-z])(?:pin|otp|cvv|cvc)(?:$|[^a-z])"
)
SECRET_CLASSES: Final = frozenset({"credential"})
HIDDEN: Final = "[hidden]"


@dataclass(slots=True)
class Masking:
    """How calls are shown under some policies; `values`: texts in clear as well, but for what is a secret."""

    reruns: tuple[Rerun, ...]
    values: bool = False
    patterns: tuple[Pattern, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Gather what the policies look for."""
        found = [Pattern(detector=name) for name in SECRETS]
        if not self.values:
            found += [pattern for rerun in self.reruns for pattern in masked_by(rerun.policy)]
        self.patterns = tuple(dict.fromkeys(found))

    def call(self, call: Call) -> str:
        """Return a call in one line."""
        name = call.tool_name if isinstance(call.tool_name, str) else json.dumps(call.tool_name, default=str)
        if not isinstance(call.tool_args, dict):
            return f"{name[:80]}({self._value(call.tool_args, False)})"
        tools = [tool for rerun in self.reruns if (tool := rerun.declaration(call.tool_name, call.suite)) is not None]
        hidden = any(tool.classes & SECRET_CLASSES for tool in tools)
        told = (
            f"{key[:40]}: {HIDDEN if hidden or SECRET_NAME.search(key) else self._value(value, is_clear(tools, key))}"
            for key, value in call.tool_args.items()
        )
        text = ", ".join(told)
        return f"{name[:80]}({text if len(text) <= CALL_CHARS_MAX else text[: CALL_CHARS_MAX - 1] + '…'})"

    def _value(self, value: Any, clear: bool) -> str:
        """Return a value as JSON, or how much of it there is. Finds are masked before it is cut: half of one is one."""
        if not (clear or self.values or value is None or isinstance(value, bool | int | float)):
            return _size(value)
        text = json.dumps(value, ensure_ascii=False, default=str)[:SCANNED_CHARS_MAX]
        for pattern in self.patterns:
            for start, end in reversed(spans(pattern, text)):
                text = f"{text[:start]}[{pattern.detector or 'masked'}]{text[end:]}"
        return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 1] + "…"


def is_clear(tools: Iterable[Tool], name: str) -> bool:
    """Say whether every declaration of an argument says that it is no content; of undeclared ones nobody knows."""
    params: list[Param | None] = [next((one for one in tool.params if one.name == name), None) for tool in tools]
    return bool(params) and all(
        one is not None and (one.key or one.shown or (one.type.items or one.type).name == "enum") for one in params
    )


def masked_by(policy: CheckedPolicy) -> Iterator[Pattern]:
    """Return the patterns that a policy redacts, and the detectors that it looks for."""
    rules: tuple[Rule | ResultRule, ...] = (*policy.rules, *policy.result_rules)
    for rule in rules:
        for test in (*tests_of(rule.when), *tests_of(rule.unless)):
            if isinstance(test.predicate, Matches) and test.predicate.pattern.detector in SECRETS:
                yield test.predicate.pattern
    yield from (change.pattern for rule in policy.rules for change in rule.changes if change.pattern is not None)
    yield from (rule.pattern for rule in policy.result_rules if rule.pattern is not None)


def _size(value: Any) -> str:
    match value:
        case str():
            return f"[{len(value):,} character{'s'[: len(value) != 1]}]"
        case list():
            return f"[{len(value):,} item{'s'[: len(value) != 1]}]"
        case dict():
            return f"[{len(value):,} member{'s'[: len(value) != 1]}]"
    return HIDDEN
