"""What a policy gives names to: sets, patterns and hours, from whichever file they come.

All files share one space of names. A name given twice with the same content is one name; with
different contents it is an error that names both places.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TypeVar

from ...contract.detectors import DETECTORS
from ...grammar import syntax as s
from .. import checked as c
from ..zones import zone_names
from .modules import items
from .report import File
from .texts import glob_mistake, is_glob, is_network, nfc, regex_mistake

T = TypeVar("T")


@dataclass(frozen=True)
class Set:
    """A set's items and what they are: texts, globs, networks, numbers, mixed or broken."""

    kind: str
    items: tuple[c.Constant, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The items that are texts."""
        return tuple(item.value for item in self.items if isinstance(item.value, str))


@dataclass
class Names:
    """Everything that a bare name in a condition may mean."""

    sets: dict[str, Set] = field(default_factory=dict)
    patterns: dict[str, c.Pattern] = field(default_factory=dict)
    hours: dict[str, c.Hours | None] = field(default_factory=dict)
    intents: dict[str, tuple[c.ToolPattern, ...]] = field(default_factory=dict)
    labels: frozenset[str] = frozenset()
    data_order: tuple[str, ...] = ()

    def pattern(self, file: File, node: s.Name | s.Regex | s.Text) -> c.Pattern | None:
        """Return what a name or a regular expression in place looks for; None after saying why not."""
        if isinstance(node, s.Name):
            found = self.patterns.get(node.value) or detector(node.value)
            if found is None:
                if node.value in self.sets:
                    file.error(node.at, f"`{node.value}` is a set; write `in` or `like`", "wrong-name")
                    return None
                known = [*self.patterns, *DETECTORS]
                file.error(
                    node.at,
                    f"unknown pattern `{node.value}`"
                    + (file.near(node.value, known) or "; a regular expression is written in double quotes"),
                    "unknown-name",
                )
            return found if found and (found.regex or found.detector) else None
        mistake = regex_mistake(node.value)
        if mistake:
            file.error(node.at, mistake, "regex")
            return None
        return c.Pattern(regex=nfc(node.value))


def detector(name: str) -> c.Pattern | None:
    """Return the detector of a name."""
    return c.Pattern(detector=name) if name in DETECTORS else None


def exact(value: int | Decimal) -> int | Decimal:
    """Return the number that a request's JSON would carry: with a point or an exponent, the nearest double.

    So `0.1` here is `0.1` there, although no double is a tenth. Whole ones are integers.
    """
    if isinstance(value, int):
        return value
    double = Decimal(float(value))
    return int(double) if double == double.to_integral_value() else double


def typed(values: Iterable[c.Constant]) -> Set:
    """Return a set with the kind that its items give it."""
    constants = tuple(dict.fromkeys((type(v.value) is bool, v) for v in values))
    found = tuple(v for _, v in constants)
    texts = [v.value for v in found if isinstance(v.value, str)]
    if not texts:
        return Set("mixed" if any(isinstance(v.value, bool) for v in found) else "numbers", found)
    if len(texts) < len(found):
        return Set("mixed", found)
    if all(is_network(text) for text in texts):
        return Set("networks", found)
    return Set("globs" if any(is_glob(text) for text in texts) else "texts", found)


def collect(files: list[File]) -> Names:
    """Return the names of all files (labels, intents and the order of `data` come later)."""
    names = Names()
    first: dict[tuple[str, str], tuple[File, s.Span]] = {}
    for file in files:
        for item, _ in items(file):
            if isinstance(item, s.SetItem):
                _add(file, item, "set", names.sets, _set(file, item), first)
            elif isinstance(item, s.PatternItem):
                _add(file, item, "pattern", names.patterns, _pattern(file, item), first)
            elif isinstance(item, s.HoursItem):
                _add(file, item, "hours", names.hours, _hours(file, item), first)
    for file in files:  # only now is every set known
        for item, _ in items(file):
            if isinstance(item, s.SetItem):
                for value in item.items:
                    if isinstance(value, s.Name) and value.value in names.sets:
                        file.error(value.at, f"`{value.value}` is a set, and sets hold values; write its items", "set")
    return names


def _add(
    file: File,
    item: s.SetItem | s.PatternItem | s.HoursItem,
    kind: str,
    into: dict[str, T],
    value: T,
    first: dict[tuple[str, str], tuple[File, s.Span]],
) -> None:
    if item.name in DETECTORS and kind != "hours":
        file.error(item.at, f"`{item.name}` is a detector's name; give the {kind} another one", "clash")
        return
    if item.name in into and into[item.name] != value:
        other, at = first[kind, item.name]
        file.error(
            item.at, f"{kind} `{item.name}` has other contents at {other.place(at, file)}; rename one of them", "clash"
        )
        return
    into[item.name] = value
    first.setdefault((kind, item.name), (file, item.at))


def _set(file: File, item: s.SetItem) -> Set:
    """Return a set as its items type it; broken ones are kept so that its name is known."""
    constants: list[c.Constant] = []
    for value in item.items:
        constant = literal(value)
        if constant is None or isinstance(constant.value, bool):
            file.error(value.at, "a set holds texts and numbers", "set")
            return Set("broken", ())
        constants.append(constant)
    made = typed(constants)
    if made.kind == "mixed":
        file.error(item.at, f"set `{item.name}` holds both texts and numbers; make two sets of it", "set")
        return Set("broken", ())
    return made if check_globs(file, made, item.at) else Set("broken", ())


def check_globs(file: File, made: Set, at: s.Span) -> bool:
    """Tell whether all globs of a set are well-formed, after saying which are not."""
    mistakes = [(text, glob_mistake(text)) for text in made.texts] if made.kind == "globs" else []
    for text, mistake in mistakes:
        if mistake:
            file.error(at, f"`{text}` {mistake}", "glob")
    return not any(mistake for _, mistake in mistakes)


def literal(value: s.Value) -> c.Constant | None:
    """Return what a literal says, a bare name as its word; None for what is no single value."""
    if isinstance(value, s.Text | s.Name):
        return c.Constant(nfc(value.value))
    if isinstance(value, s.Regex):
        return c.Constant(nfc(value.value))
    if isinstance(value, s.Number):
        return c.Constant(exact(value.value))
    if isinstance(value, s.Boolean):
        return c.Constant(value.value)
    if isinstance(value, s.Duration):
        return c.Constant(value.seconds)
    return None


def _pattern(file: File, item: s.PatternItem) -> c.Pattern:
    """Return a pattern; a broken one is empty, so that its name is known and nothing more is said of it."""
    mistake = regex_mistake(item.regex.value)
    if mistake:
        file.error(item.regex.at, mistake, "regex")
        return c.Pattern()
    return c.Pattern(regex=nfc(item.regex.value))


def zone_mistake(file: File, zone: s.Text | None) -> bool:
    """Tell whether a zone is unknown, after saying so."""
    if zone is None or zone.value in zone_names():
        return False
    file.error(
        zone.at,
        f"unknown zone `{zone.value}`{file.near(zone.value, zone_names()) or '; write one like `Europe/London`'}",
        "zone",
    )
    return True


def _hours(file: File, item: s.HoursItem) -> c.Hours | None:
    wrong = zone_mistake(file, item.zone)
    ranges: list[c.HoursRange] = []
    for written in item.ranges:
        if not (0 <= written.start < 1440 and 0 < written.end <= 1440):
            file.error(written.at, "times of day go from 00:00 to 24:00, and nothing starts at 24:00", "hours")
            wrong = True
        length = (written.last - written.first) % 7 + 1
        days = frozenset((written.first + later) % 7 for later in range(length))
        ranges.append(c.HoursRange(days, written.start, written.end))
    excepted: set[date] = set()
    for day in item.excepted:
        try:
            excepted.add(date(day.year, day.month, day.day))
        except ValueError:
            file.error(day.at, f"`{day.year:04}-{day.month:02}-{day.day:02}` is no date of the calendar", "date")
            wrong = True
        if day.zone is not None and day.zone.value != item.zone.value:
            file.error(day.at, f"the dates of `{item.name}` are those of its zone; leave this zone out", "zone")
            wrong = True
    return None if wrong else c.Hours(tuple(ranges), item.zone.value, frozenset(excepted))
