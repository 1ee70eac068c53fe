"""The reference's way of changing arguments: redact, truncate, cap, set, drop, in this order."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ..contract.attributes import UNREADABLE
from .checked import EACH, Change, Each, Rule
from .reference_binding import Bound, is_number
from .reference_values import nfc, spans

KINDS = ("redact", "truncate", "cap", "set", "drop")
Place = tuple[str | int, ...]


class CannotChange(Exception):
    """A modification that cannot be carried out."""


def change(bound: Bound, rules: Iterable[Rule], scan_chars: int) -> dict[str, Any]:
    """Return changed arguments; the ones given stay as they are.

    Redactions match the value as received; united spans take the text of the rule whose id sorts first.

    Raises:
        CannotChange: a value is of the wrong type, too long to scan, or cannot be reached.
    """
    if not bound.readable:
        raise CannotChange("positional arguments have no names")
    args: dict[str, Any] = copy(bound.read)
    changes = [(rule.id, one) for rule in sorted(rules, key=lambda rule: rule.id) for one in rule.changes]
    redactions: dict[Place, list[tuple[str, Change]]] = {}
    for rule_id, one in changes:
        if one.kind == "redact":
            for place in text_places(args, one.path):
                redactions.setdefault(place, []).append((rule_id, one))
    for place, by in redactions.items():
        put(args, place, redacted(get(args, place), by, scan_chars))
    for kind in KINDS[1:]:
        for _, one in changes:
            if one.kind == kind:
                apply(args, one)
    return args


def copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: copy(member) for key, member in value.items()}
    return [copy(item) for item in value] if isinstance(value, list) else value


def text_places(args: dict[str, Any], path: tuple[Any, ...]) -> list[Place]:
    """Return the places of all texts that a redaction's path names; a list of texts stands for its items."""
    found: list[Place] = []
    for place in places(args, path):
        value = get(args, place)
        inner = [(*place, index) for index in range(len(value))] if isinstance(value, list) else [place]
        for one in inner:
            if not isinstance(get(args, one), str):
                raise CannotChange("what is to be redacted is not a text")
            seen(get(args, one))
            found.append(one)
    return found


def redacted(text: str, by: list[tuple[str, Change]], scan_chars: int) -> str:
    """Return a text with what is found in its NFC replaced, or as it was received where nothing is."""
    received, text = text, nfc(text)
    if len(text) > scan_chars:
        raise CannotChange("a text longer than the scan cap")
    marks = sorted(
        (start, end, rule_id, one.text)
        for rule_id, one in by
        if one.pattern is not None
        for start, end in spans(one.pattern, text)
    )
    if not marks:
        return received
    united: list[tuple[int, int, str, str]] = []
    for start, end, rule_id, replacement in marks:
        if united and start < united[-1][1]:
            first, last, *by_first = united.pop()
            named = min((by_first[0], by_first[1]), (rule_id, replacement))
            united.append((first, max(last, end), *named))
        else:
            united.append((start, end, rule_id, replacement))
    for start, end, _, replacement in reversed(united):
        text = text[:start] + replacement + text[end:]
    return text


def apply(args: dict[str, Any], one: Change) -> None:
    """Carry out one truncate, cap, set or drop; on what the call does not carry only `set` does anything."""
    if one.kind == "set":
        create(args, one.path, literal(one.value))
        return
    for place in reversed(places(args, one.path)):
        value = get(args, place)
        if one.kind in ("truncate", "cap"):
            seen(value)
        if one.kind == "drop":
            del get(args, place[:-1])[place[-1]]
        elif one.kind == "truncate":
            if not isinstance(value, str | list):
                raise CannotChange("what is to be truncated is neither a text nor a list")
            put(args, place, value[: int(one.value or 0)])
        elif one.kind == "cap":
            limit = literal(one.value)
            if not is_number(value):
                raise CannotChange("what is to be capped is not a number")
            if Fraction(value) > Fraction(limit):
                put(args, place, limit)


def seen(value: Any) -> None:
    """Refuse to change a value that the client did not send: nobody knows what would be left of it."""
    if isinstance(value, str) and value in UNREADABLE:
        raise CannotChange("the value to be changed was not sent")


def literal(value: Any) -> Any:
    """Return a policy's literal as the JSON value that a tool receives."""
    return float(value) if isinstance(value, Decimal) else value


def places(args: dict[str, Any], path: tuple[Any, ...]) -> list[Place]:
    """Return the places that a path names and the call carries."""
    found: list[Place] = [()]
    for step in path:
        further: list[Place] = []
        for place in found:
            value = get(args, place)
            if isinstance(step, str):
                if not isinstance(value, dict):
                    raise CannotChange("a path leads through something that is not an object")
                further.extend([(*place, step)] if step in value else [])
            elif isinstance(value, list):
                indexes = range(len(value)) if step is EACH else [step] if step < len(value) else []
                further.extend((*place, index) for index in indexes)
            elif step is EACH or step == 0:
                further.append(place)
        found = further
    return found


def create(args: dict[str, Any], path: tuple[str | int | Each, ...], value: Any) -> None:
    """Set a path, making the objects that lead to it."""
    *way, last = path
    for place, step in enumerate(way):
        found = places(args, path[: place + 1])
        if not found:
            if not isinstance(step, str):
                return
            for parent in places(args, path[:place]):
                get(args, parent)[step] = {}
    for parent in places(args, tuple(way)):
        target = get(args, parent)
        if isinstance(last, str):
            if not isinstance(target, dict):
                raise CannotChange("a path leads through something that is not an object")
            target[last] = value
        elif isinstance(target, list):
            for index in range(len(target)) if isinstance(last, Each) else range(last, min(last + 1, len(target))):
                target[index] = value
        else:
            raise CannotChange("a path asks for an item of something that is not a list")


def get(args: Any, place: Place) -> Any:
    for step in place:
        args = args[step]
    return args


def put(args: Any, place: Place, value: Any) -> None:
    get(args, place[:-1])[place[-1]] = value
