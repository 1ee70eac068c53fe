"""Under which of its tests each row of a bucket lies, so that a call looks only at the rows that it may come under.

A row can hold only if each test that its `when` joins by `and` does. Of those that look a value up, the one that
it shares with the fewest rows is its pivot; a row without such a test is looked at by every call.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from ..native.names import nfc, read_email, read_host
from ..native.pivots import (
    FORM_COUNT,
    FORM_EMAIL,
    FORM_HOST,
    FORM_ID,
    FORM_NUMBER,
    FORM_TEXT,
    Beginning,
    Bounded,
    Matching,
)
from ..native.table import Pivot, Rows, Table
from ..native.values import is_exact_number
from . import checked as c
from .binding import glob_of
from .columns import Columns, constant

PIVOTED_MIN: Final = 8
PIVOTS_MAX: Final = 6
EQUALS, BEGINS, ABOVE, BELOW = "equals", "begins", "above", "below"
BOUNDS: Final = {">": ABOVE, ">=": ABOVE, "<": BELOW, "<=": BELOW}
SPECIAL: Final = "*?\\["

Laid = tuple[int, int, float]
"""A row as `Rows` takes it: number, first node, until when it holds."""


class Key:
    """One test that a row can lie under: what kind it is of, whose value it looks up, and what it compares it with.

    `shares` are what rows under the same constant have in common; 1 and true are two constants.
    """

    __slots__ = ("constants", "group", "kind", "reader", "shares")

    def __init__(self, kind: str, reader: int, constants: tuple[Any, ...]) -> None:
        self.kind, self.reader, self.constants = kind, reader, constants
        self.group = (kind, reader)
        self.shares = [(kind, reader, type(one), one) for one in constants]


class Pivoting:
    """The rules of a policy, to be laid out bucket by bucket; the tests of each are looked through once."""

    def __init__(self, columns: Columns, rules: Sequence[c.Rule]) -> None:
        self.columns = columns
        self.rules = rules
        self._keys: dict[int, list[Key]] = {}
        self._readers: dict[c.Term, int] = {}

    def lay_out(self, table: Table, rows: list[Laid]) -> Rows:
        """Return the rows of a bucket, under pivots where they are many."""
        if len(rows) < PIVOTED_MIN:
            return Rows(table, rows)
        keys = [self.keys(number) for number, _, _ in rows]
        shared = Counter(share for ours in keys for key in ours for share in key.shares)

        def weight(key: Key) -> float:
            if key.kind in (ABOVE, BELOW):
                return len(rows) / 2
            return sum([shared[share] for share in key.shares])

        chosen = [min(ours, key=weight, default=None) if len(ours) != 1 else ours[0] for ours in keys]
        groups = Counter([key.group for key in chosen if key is not None])
        kept = {group for group, _ in groups.most_common(PIVOTS_MAX)}
        if len(kept) < len(groups):
            chosen = [min((key for key in ours if key.group in kept), key=weight, default=None) for ours in keys]
        # Rows that are looked at together lie side by side.
        together: dict[Any, list[tuple[Laid, Key | None]]] = {}
        for row, one in zip(rows, chosen, strict=True):
            together.setdefault(None if one is None else one.shares[0], []).append((row, one))
        rows = []
        under: dict[tuple[str, int], list[tuple[int, Key]]] = {}
        rest: list[int] = []
        for place, (row, one) in enumerate(pair for pairs in together.values() for pair in pairs):
            rows.append(row)
            if one is None:
                rest.append(place)
            else:
                under.setdefault(one.group, []).append((place, one))
        pivots = tuple(pivot(self.columns, group, placed) for group, placed in under.items())
        return Rows(table, rows, run(rest), pivots) if pivots else Rows(table, rows)

    def keys(self, number: int) -> list[Key]:
        """Return the tests under which a row can lie."""
        found = self._keys.get(number)
        if found is None:
            found = self._keys[number] = list(self.keys_of(self.rules[number].when))
        return found

    def keys_of(self, condition: c.Condition) -> Iterator[Key]:
        """Yield the tests under which a row with this `when` can lie."""
        match condition:
            case c.AllOf(parts):
                for part in parts:
                    yield from self.keys_of(part)
            case c.Test(predicate, False, ""):
                key = self.key(predicate)
                if key is not None:
                    yield key

    def key(self, predicate: c.Predicate) -> Key | None:
        match predicate:
            case c.Compare(left, "is", c.Constant(value)) if looked_up(left):
                return Key(EQUALS, self.reader(left), (constant(value),))
            case c.Member(left, values) if values and looked_up(left):
                return Key(EQUALS, self.reader(left), tuple(constant(value.value) for value in values))
            case c.Compare(left, op, c.Constant(value)) if op in BOUNDS and looked_up(left):
                bound = constant(value)
                return Key(BOUNDS[op], self.reader(left), (bound,)) if is_exact_number(bound) else None
            case c.Affix("starts", left, c.Constant(str(beginning))) if looked_up(left):
                return Key(BEGINS, self.reader(left), (nfc(beginning),))
            case c.Like(left, (glob,)) if looked_up(left):
                literal = beginning_of(glob_of(glob))
                return Key(BEGINS, self.reader(left), (literal,)) if literal else None
        return None

    def reader(self, term: c.Term) -> int:
        found = self._readers.get(term)
        if found is None:
            found = self._readers[term] = self.columns.reader(term)
        return found


def looked_up(term: c.Term) -> bool:
    """Say whether a value costs little to read, so that it may be read for a call that no row would ask it of."""
    match term:
        case c.Argument() | c.Context():
            return True
        case c.Attribute(name):
            return not name.startswith("session.")
        case c.Apply(_, inner):
            return looked_up(inner)
    return False


def beginning_of(glob: str) -> str:
    """Return what every text begins with that a glob fits."""
    return glob[: min((place for sign in SPECIAL if (place := glob.find(sign)) >= 0), default=len(glob))]


# ---------------------------------------------------------------- pivots


def pivot(columns: Columns, group: tuple[str, int], placed: list[tuple[int, Key]]) -> Pivot:
    kind, reader = group
    every = run(place for place, _ in placed)
    if kind == EQUALS:
        return matching(reader, placed, every)
    if kind == BEGINS:
        by_beginning: dict[str, list[int]] = {}
        for place, key in placed:
            by_beginning.setdefault(key.constants[0], []).append(place)
        runs = {beginning: run(places) for beginning, places in by_beginning.items()}
        return Beginning(reader, runs, every, columns.knowledge.scan_chars)
    rising = sorted(placed, key=lambda one: one[1].constants[0])
    bounds = [key.constants[0] for _, key in rising]
    return Bounded(reader, bounds, run(place for place, _ in rising), every, kind == ABOVE)


def matching(reader: int, placed: list[tuple[int, Key]], every: bytes) -> Matching:
    """Return the pivot of an equality; in each form a value is looked up by what is equal to it in that form."""
    runs: list[dict[Any, bytes]] = []
    defaults: list[bytes] = []
    for form in range(FORM_COUNT):
        by_value: dict[Any, set[int]] = {}
        doubtful: set[int] = set()
        for place, key in placed:
            for one in key.constants:
                same = in_form(one, form)
                if same is None:
                    doubtful.add(place)
                elif same != ():
                    by_value.setdefault(same, set()).add(place)
        runs.append({value: run(sorted(places | doubtful)) for value, places in by_value.items()})
        defaults.append(run(sorted(doubtful)))
    return Matching(reader, tuple(runs), tuple(defaults), every)


def in_form(one: Any, form: int) -> Any:
    """Return what a value of a form has to be to equal a constant; None where that is in doubt, () where none does."""
    if form == FORM_NUMBER:
        return one if is_exact_number(one) else None
    if form == FORM_ID and is_exact_number(one):
        return str(int(one)) if one == one // 1 else ()
    if not isinstance(one, str):
        return None
    if form == FORM_EMAIL:
        return read_email(one) or ()
    if form == FORM_HOST:
        return read_host(one) or ()
    assert form in (FORM_TEXT, FORM_ID)
    return one


def run(places: Iterable[int]) -> bytes:
    """Return places as a pivot takes them."""
    return array("i", places).tobytes()


assert array("i").itemsize == 4
