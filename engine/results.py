"""What becomes of a result: labels it brings, redactions, and whether the agent may see it at all.

Result rules apply in doubt, as restrictions do: a result that is too long to be scanned, or cannot be, is withheld
rather than passed on unredacted, and a label that may hold is kept as one that may. Of a result that was told in part
nobody knows what the rest holds: it is withheld wherever a rule could filter it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ..contract import Json
from ..native.names import nfc
from .checked import CheckedPolicy, Pattern, ResultRule, Tool
from .toolsets import ToolSet

Spans: TypeAlias = Callable[[Pattern, str], list[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Passed:
    """A result as the agent may see it, and the labels that it brings for certain or perhaps."""

    result: Json
    withheld: bool
    labels: frozenset[str]
    perhaps: frozenset[str]


def may_filter(policy: CheckedPolicy, tool: str) -> bool:
    """Say whether a result rule could redact or withhold what a tool of this name returns, whatever it is."""
    name = nfc(tool)
    classes: list[frozenset[str] | None] = [one.classes for one in policy.tools.get(name, ())] or [None]
    return any(
        rule.action != "label" and ToolSet(rule.tools).fits(name, one) is not False
        for rule in policy.result_rules
        for one in classes
    )


def pass_on(
    result: Json, text: str, tool: Tool | None, rules: Iterable[ResultRule], scan_chars: int, spans: Spans
) -> Passed:
    """Apply the result rules that hold for a result; `text` is the whole of it as one text."""
    text = nfc(text)
    labels: set[str] = set()
    perhaps: set[str] = set()
    for brought in tool.yields if tool else ():
        if brought.pattern is None:
            labels.add(brought.label)
        elif len(text) > scan_chars:
            perhaps.add(brought.label)
        else:
            try:
                if spans(brought.pattern, text):
                    labels.add(brought.label)
            except Exception:  # noqa: BLE001  a lone surrogate cannot be scanned; an expression may give up
                perhaps.add(brought.label)
    withheld = False
    redactions: list[ResultRule] = []
    for rule in rules:
        if rule.action == "label":
            labels.add(rule.label)
        elif rule.action == "withhold" or len(text) > scan_chars:
            withheld = True
        else:
            redactions.append(rule)
    if redactions and not withheld:
        try:
            result = _redacted(result, sorted(redactions, key=lambda rule: rule.id), spans)
        except Exception:  # noqa: BLE001  as above: what cannot be scanned is not passed on
            withheld = True
    if withheld:
        result = None
    return Passed(result, withheld, frozenset(labels), frozenset(perhaps - labels))


def _redacted(value: Json, rules: list[ResultRule], spans: Spans) -> Json:
    if isinstance(value, str):
        return _redact_text(value, rules, spans)
    if isinstance(value, list | tuple):
        return [_redacted(item, rules, spans) for item in value]
    if isinstance(value, dict):
        return {_redact_text(key, rules, spans): _redacted(member, rules, spans) for key, member in value.items()}
    return value


def _redact_text(text: str, rules: list[ResultRule], spans: Spans) -> str:
    """Replace what the rules find in the text's NFC; united spans take the text of the first rule by id.

    A text in which nothing is found stays as it was received.
    """
    received, text = text, nfc(text)
    marks = sorted(
        (start, end, place)
        for place, rule in enumerate(rules)
        if rule.pattern is not None
        for start, end in spans(rule.pattern, text)
    )
    if not marks:
        return received
    united: list[tuple[int, int, int]] = []
    for start, end, place in marks:
        if united and start < united[-1][1]:
            before = united[-1]
            united[-1] = (before[0], max(before[1], end), min(before[2], place))
        else:
            united.append((start, end, place))
    for start, end, place in reversed(united):
        text = text[:start] + rules[place].text + text[end:]
    return text
