"""What modify rules make of a call's arguments: redact, truncate, cap, set, drop, in this order.

A spot is a container and the key in it at which a value stands, so that a value can be replaced
without walking its path again.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from ..contract.attributes import UNREADABLE
from ..native.names import nfc
from ..native.scan import Scan
from .checked import EACH, Change

Path = tuple[Any, ...]
Spot = tuple[Any, Any]

ROOT: Final = ""
NOT_SENT: Final = "the value to be changed was not sent"


class ChangeError(Exception):
    """A modification that cannot be carried out; says why."""


class Plan:
    """The changes of one modify rule, with their patterns compiled."""

    __slots__ = ("redactions", "rest", "rule_id")

    def __init__(self, rule_id: str, changes: Iterable[tuple[Change, Scan | None]]) -> None:
        self.rule_id = rule_id
        self.redactions: list[tuple[Path, Scan, str]] = []
        self.rest: dict[str, list[Change]] = {}
        for change, scan in changes:
            if change.kind == "redact":
                if scan is not None:
                    self.redactions.append((change.path, scan, change.text))
            else:
                self.rest.setdefault(change.kind, []).append(change)


def change(read: dict[str, Any], plans: Iterable[Plan], scan_chars: int) -> dict[str, Any]:
    """Return changed arguments; those given stay as they are. `plans` come by rule id.

    Raises:
        ChangeError: a value is of the wrong type, too long to scan, or cannot be reached.
    """
    plans = tuple(plans)
    box: dict[str, dict[str, Any]] = {ROOT: copied(read)}
    redact(box, plans, scan_chars)
    for kind, act in ACTS:
        for plan in plans:
            for one in plan.rest.get(kind, ()):
                act(box, one)
    return box[ROOT]


def copied(value: Any) -> Any:
    if type(value) is dict:
        return {key: copied(member) for key, member in value.items()}
    if type(value) is list:
        return [copied(item) for item in value]
    return value


def spots(box: dict[str, Any], path: Path) -> list[Spot]:
    """Return where a path leads in what the call carries, in order; a single value is a list of one."""
    found: list[Spot] = [(box, ROOT)]
    for step in path:
        ahead: list[Spot] = []
        for spot in found:
            value = spot[0][spot[1]]
            if isinstance(step, str):
                if not isinstance(value, dict):
                    raise ChangeError("a path leads through something that is not an object")
                if step in value:
                    ahead.append((value, step))
            elif not isinstance(value, list):
                if step is EACH or step == 0:
                    ahead.append(spot)
            elif step is EACH:
                ahead.extend((value, index) for index in range(len(value)))
            elif step < len(value):
                ahead.append((value, step))
        found = ahead
    return found


# ---------------------------------------------------------------- redactions


def redact(box: dict[str, Any], plans: tuple[Plan, ...], scan_chars: int) -> None:
    """Redact every text as it was received: all places are found, and all texts read, before one is changed."""
    marked: dict[tuple[int, Any], tuple[Spot, list[tuple[str, Scan, str]]]] = {}
    for plan in plans:
        for path, scan, text in plan.redactions:
            for spot in texts(box, path):
                marked.setdefault((id(spot[0]), spot[1]), (spot, []))[1].append((plan.rule_id, scan, text))
    for (container, key), marks in marked.values():
        text = container[key]
        if len(nfc(text)) > scan_chars:
            raise ChangeError("a text longer than the scan cap")
        container[key] = redacted(text, marks)


def texts(box: dict[str, Any], path: Path) -> list[Spot]:
    """Return the spots of the texts under a path; a list of texts stands for its items."""
    found: list[Spot] = []
    for container, key in spots(box, path):
        value = container[key]
        inner = [(value, index) for index in range(len(value))] if isinstance(value, list) else [(container, key)]
        for holder, place in inner:
            if not isinstance(holder[place], str):
                raise ChangeError("what is to be redacted is not a text")
            if holder[place] in UNREADABLE:
                raise ChangeError(NOT_SENT)
        found.extend(inner)
    return found


def redacted(text: str, marks: list[tuple[str, Scan, str]]) -> str:
    """Replace what patterns find in a text's NFC; where finds overlap, by the text of the rule whose id sorts first.

    A text in which nothing is found stays as it was received.
    """
    received, text = text, nfc(text)
    finds = sorted((span[0], span[1], rule_id, by) for rule_id, scan, by in marks for span in scan.spans(text))
    if not finds:
        return received
    pieces: list[str] = []
    done = place = 0
    while place < len(finds):
        start, end, first, by = finds[place]
        place += 1
        while place < len(finds) and finds[place][0] < end:
            _, further, rule_id, other = finds[place]
            end = max(end, further)
            first, by = min((first, by), (rule_id, other))
            place += 1
        pieces += (text[done:start], by)
        done = end
    return "".join(pieces) + text[done:]


# ---------------------------------------------------------------- the others


def truncate(box: dict[str, Any], one: Change) -> None:
    for container, key in reversed(spots(box, one.path)):
        value = container[key]
        if not isinstance(value, str | list):
            raise ChangeError("what is to be truncated is neither a text nor a list")
        if isinstance(value, str) and value in UNREADABLE:
            raise ChangeError(NOT_SENT)
        container[key] = value[: int(one.value or 0)]


def cap(box: dict[str, Any], one: Change) -> None:
    limit = literal(one.value)
    for container, key in reversed(spots(box, one.path)):
        value = container[key]
        if type(value) is not int and type(value) is not float:
            unsent = isinstance(value, str) and value in UNREADABLE
            raise ChangeError(NOT_SENT if unsent else "what is to be capped is not a number")
        if value > limit:
            container[key] = limit


def drop(box: dict[str, Any], one: Change) -> None:
    # From the last to the first, so that the indexes before stay right.
    for container, key in reversed(spots(box, one.path)):
        del container[key]


def put(box: dict[str, Any], one: Change) -> None:
    """Set a path to a literal, making the objects that lead to it."""
    *way, last = one.path
    items: Any = last
    holders: list[Spot] = [(box, ROOT)]
    for place, step in enumerate(way):
        ahead = spots(box, tuple(way[: place + 1]))
        if not ahead:
            if not isinstance(step, str):
                return
            for container, key in holders:
                container[key][step] = {}
            ahead = spots(box, tuple(way[: place + 1]))
        holders = ahead
    for container, key in holders:
        target = container[key]
        if isinstance(last, str):
            if not isinstance(target, dict):
                raise ChangeError("a path leads through something that is not an object")
            target[last] = literal(one.value)
        elif not isinstance(target, list):
            raise ChangeError("a path asks for an item of something that is not a list")
        elif last is EACH:
            target[:] = [literal(one.value)] * len(target)
        elif items < len(target):
            target[items] = literal(one.value)


def literal(value: Any) -> Any:
    """Return a policy's literal as the JSON value that a tool receives."""
    return float(value) if isinstance(value, Decimal) else value


ACTS: Final = (("truncate", truncate), ("cap", cap), ("set", put), ("drop", drop))
