"""The sections of a table while they are written: records that name each other by number, each kept once.

What the records are is told in `native/arena.pxd`; the arena checks every number again when it takes them in.
"""

import math
import struct
from array import array
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

import xxhash

from ..native.arena import (
    ENTRY_FORM_BITS,
    FORMS,
    HEADER_BYTES,
    MAGIC,
    RUN_OF_ONE,
    SHAPES,
    SIDES,
    SIZES,
    VERSION,
)

CONSTANT: Final = struct.Struct("<qIHBB")
TEST: Final = struct.Struct("<IIiBBBB")
NODE: Final = struct.Struct("<iii16sBBxx")
ROW_FIELDS: Final = 4
ENTRY: Final = struct.Struct("<IIII")
EMPTY: Final = bytes(ENTRY.size)
BEGINNING: Final = struct.Struct("<QIiII")
PIVOT: Final = struct.Struct("<iIIIIBBBx4H")
BUCKET: Final = struct.Struct("<IIIIII")
TREE: Final = struct.Struct("<IIIxxxx")
SEGMENT: Final = struct.Struct("<II")
FAMILY: Final = struct.Struct("<iIIIIIIxxxx")
AUTOMATON: Final = struct.Struct("<IHHHxx")
TEST_AT: Final = 12
ALONE_AT: Final = 29
TEXT, INTEGER, DOUBLE = FORMS["text"], FORMS["integer"], FORMS["double"]
LINE: Final = 64  # of a processor's cache: no record of 16 or 32 bytes lies in two
INT_MIN, INT_MAX = -(2**63), 2**63 - 1


class Span(NamedTuple):
    """Where a number has to lie: from `low` on, or `beyond` it; up to `high`, or only `below` it. None is no end."""

    low: int | float | None = None
    beyond: bool = False
    high: int | float | None = None
    below: bool = False


def whole(value: object) -> tuple[int, int | float] | None:
    """Return the form of a number and the number in it, None where the machine has none that is exact."""
    if isinstance(value, float) and value == value // 1 and INT_MIN <= value <= INT_MAX:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        return DOUBLE, value
    return (INTEGER, value) if INT_MIN <= value <= INT_MAX else None


class Flat:
    """What has been written so far."""

    def __init__(self) -> None:
        self.texts = bytearray()
        self.constants = bytearray()
        self.tests: list[bytes] = []
        self.nodes = bytearray()
        self.rows = array("i")
        self.places = array("I")
        self.numbered: list[tuple[int, int]] = []
        self.entries: list[bytes] = []
        self.beginnings: list[bytes] = []
        self.pivots: list[bytes] = []
        self.buckets: list[bytes] = []
        self.trees: list[bytes] = []
        self.segments: list[bytes] = []
        self.families: list[bytes] = []
        self.untils = array("d", [0.0])
        self.automata: list[bytes] = []
        self._texts: dict[bytes, int] = {}
        self._constants: dict[bytes, int] = {}
        self._entries: dict[bytes, tuple[int, int]] = {}
        self._automata: dict[bytes, int] = {}
        self._asked_by: dict[int, list[int]] = {}

    # ------------------------------------------------------------ constants

    def text_at(self, text: bytes) -> int:
        """Return where a text begins."""
        found = self._texts.get(text)
        if found is None:
            found = self._texts[text] = len(self.texts)
            self.texts += text
        return found

    def text(self, text: str, form: str = "text", shape: str = "exact", split: int = 0) -> bytes:
        """Return the record of a text, or of a glob; `split` is in bytes."""
        encoded = text.encode()
        return CONSTANT.pack(self.text_at(encoded), len(encoded), split, FORMS[form], SHAPES[shape])

    def number(self, value: int | float, side: str = "from") -> bytes:
        """Return the record of a number that `whole` takes."""
        found = whole(value)
        assert found is not None
        form, exact = found
        if form == DOUBLE:
            exact = struct.unpack("<q", struct.pack("<d", exact))[0]
        return CONSTANT.pack(exact, 0, 0, form, SIDES[side])

    def constants_of(self, records: Sequence[bytes]) -> tuple[int, int]:
        """Return where these constants stand side by side, and how many there are."""
        joined = b"".join(records)
        found = self._constants.get(joined)
        if found is None:
            found = self._constants[joined] = len(self.constants) // CONSTANT.size
            self.constants += joined
        return found, len(records)

    def hash_of(self, record: bytes) -> int:
        """Return what a constant hashes to."""
        value, size, _, form, _ = CONSTANT.unpack(record)
        hashed = record[:8] if form in (INTEGER, DOUBLE) else bytes(self.texts[value : value + size])
        return xxhash.xxh3_64_intdigest(hashed) & 0xFFFFFFFF

    def entry(self, record: bytes, run: int) -> bytes:
        """Return the record of an entry: a constant, and the rows that lie under it."""
        value, size, _, form, _ = CONSTANT.unpack(record)
        at = self.constants_of((record,))[0] if form in (INTEGER, DOUBLE) else value
        assert size < 1 << 32 - ENTRY_FORM_BITS, "a text that no entry can hold"
        return ENTRY.pack(self.hash_of(record), at, size << ENTRY_FORM_BITS | form, run)

    def entries_of(self, runs: Iterable[tuple[bytes, int]]) -> tuple[int, int]:
        """Return a table from constants to runs of rows."""
        runs = list(runs)
        key = repr(runs).encode()
        if key in self._entries:
            return self._entries[key]
        capacity = 2
        while capacity < 2 * len(runs):
            capacity *= 2
        table = [EMPTY] * capacity
        for record, run in runs:
            entry = self.entry(record, run)
            place = int.from_bytes(entry[:4], "little") & (capacity - 1)
            while table[place] is not EMPTY:
                place = (place + 1) & (capacity - 1)
            table[place] = entry
        found = self._entries[key] = (len(self.entries), capacity)
        self.entries += table
        return found

    def beginnings_of(self, runs: dict[str, tuple[int, int]]) -> tuple[int, int]:
        """Return beginnings in their order, each with the longest one that it begins with itself."""
        first = len(self.beginnings)
        above: list[tuple[bytes, int]] = []
        for place, (text, run) in enumerate(sorted((text.encode(), run) for text, run in runs.items())):
            while above and not text.startswith(above[-1][0]):
                above.pop()
            constant, _ = self.constants_of((self.text(text.decode()),))
            key = int.from_bytes(text[:8].ljust(8, b"\0"), "big")
            self.beginnings.append(BEGINNING.pack(key, constant, above[-1][1] if above else -1, *run))
            above.append((text, place))
        return first, len(runs)

    def automaton(self, table: tuple[bytes, int, int, int]) -> int:
        """Return the number of an automaton: its bytes, states, classes and the state that it starts in."""
        text, states, classes, start = table
        record = AUTOMATON.pack(self.text_at(text), states, classes, start)
        found = self._automata.get(record)
        if found is None:
            found = self._automata[record] = len(self.automata)
            self.automata.append(record)
        return found

    # ------------------------------------------------------------ rows

    def node(self, column: int, accepted: int, refused: int, mask: int) -> int:
        """Write a node; return its number. Each holds its column's test, and whether no other looks at the column."""
        number = len(self.nodes) // NODE.size
        others = self._asked_by.setdefault(column, [])
        if len(others) == 1:
            self.nodes[others[0] * NODE.size + ALONE_AT] = False
        self.nodes += NODE.pack(column, accepted, refused, self.tests[column], mask, not others)
        others.append(number)
        return number

    def write_test(self, column: int, record: bytes) -> None:
        """Write a test anew, in its place and in the nodes that hold it."""
        self.tests[column] = record
        for number in self._asked_by.get(column, ()):
            at = number * NODE.size + TEST_AT
            self.nodes[at : at + TEST.size] = record

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return len(self.rows) // ROW_FIELDS

    def row(self, number: int, start: int, skip: int, until: int = 0) -> int:
        """Write a row: of a rule's number, or -1 - n of family n; return its place."""
        self.rows.extend((number, start, skip, until))
        return self.row_count - 1

    def run(self, places: Iterable[int], numbered: bool = False) -> tuple[int, int]:
        """Return where some places, or (`numbered`) numbers of rules, stand side by side, and how many there are."""
        first = len(self.places)
        self.places.extend(places)
        if numbered:
            self.numbered.append((first, len(self.places)))
        return first, len(self.places) - first

    def rows_of(self, places: Sequence[int]) -> int:
        """Return rows as an entry names them: one by its place, more by where they stand behind their count."""
        if len(places) == 1:
            return RUN_OF_ONE | places[0]
        first, _ = self.run((len(places), *places))
        return first

    def give_up(self, first: int, end: int) -> None:
        """Let rows to which nothing leads any more be of the first rule, which there always is."""
        self.rows[first * ROW_FIELDS : end * ROW_FIELDS : ROW_FIELDS] = array("i", [0] * (end - first))

    def renumber(self, moved: Sequence[int]) -> None:
        """Give rules other numbers, in all rows and runs: `moved` has the new one for each, in the same order."""
        numbers = self.rows[::ROW_FIELDS]
        self.rows[::ROW_FIELDS] = array("i", [one if one < 0 else moved[one] for one in numbers])
        for first, end in self.numbered:
            self.places[first:end] = array("I", [moved[one] for one in self.places[first:end]])

    def until(self, until: float | None) -> int:
        if until is None:
            return 0
        self.untils.append(until)
        return len(self.untils) - 1

    def tree(self, spans: Sequence[tuple[Span, int]], numbered: bool = False) -> int:
        """Return a tree over spans; each of its segments holds the members whose span covers it, rising: places of rows
        or, `numbered`, numbers of rules."""
        ends = {cut for span, _ in spans for cut in cuts_of(span) if cut is not None}
        cuts = sorted(ends)
        place = {cut: number for number, cut in enumerate(cuts, 1)}
        count = len(cuts) + 1
        held: list[list[int]] = [[] for _ in range(2 * count)]
        for span, member in sorted(spans, key=lambda one: one[1]):
            low, high = cuts_of(span)
            left, right = (
                count if low is None else count + place[low],
                2 * count if high is None else count + place[high],
            )
            while left < right:
                if left & 1:
                    held[left].append(member)
                    left += 1
                if right & 1:
                    right -= 1
                    held[right].append(member)
                left >>= 1
                right >>= 1
        records = b"".join(self.number(value, "beyond" if beyond else "from") for value, beyond in cuts)
        cut_first = len(self.constants) // CONSTANT.size
        self.constants += records
        segment_first = len(self.segments)
        self.segments += [
            SEGMENT.pack(*self.run(members, numbered)) if members else bytes(SEGMENT.size) for members in held
        ]
        self.trees.append(TREE.pack(cut_first, len(cuts), segment_first))
        return len(self.trees) - 1

    # ------------------------------------------------------------ all of it

    def build(self) -> bytes:
        """Return the table: a header that says where each section begins and how many records it has, and these."""
        sections: list[bytes] = [
            bytes(self.texts),
            bytes(self.constants),
            b"".join(self.tests),
            bytes(self.nodes),
            self.rows.tobytes(),
            self.places.tobytes(),
            *(b"".join(one) for one in (self.entries, self.beginnings, self.pivots, self.buckets)),
            *(b"".join(one) for one in (self.trees, self.segments, self.families)),
            self.untils.tobytes(),
            b"".join(self.automata),
        ]
        assert len(sections) == len(SIZES)
        header = [MAGIC, struct.pack("<II", VERSION, len(sections))]
        offset = HEADER_BYTES + -HEADER_BYTES % LINE
        body = [bytes(offset - HEADER_BYTES)]
        for section, size in zip(sections, SIZES, strict=True):
            assert len(section) % size == 0
            header.append(struct.pack("<QQ", offset, len(section) // size))
            padded = section + bytes(-len(section) % LINE)
            body.append(padded)
            offset += len(padded)
        return b"".join(header + body)


def cuts_of(span: Span) -> tuple[tuple[int | float, bool] | None, tuple[int | float, bool] | None]:
    """Return the cuts at which a span begins and ends: a number is behind one from it on, or only beyond it."""
    low = None if span.low is None else (span.low, span.beyond)
    high = None if span.high is None else (span.high, not span.below)
    return low, high


def below_fraction(value: Fraction) -> float | None:
    """Return the greatest double below a fraction that none is, None where integers could lie between them."""
    if abs(value) >= 2**53:
        return None
    near = float(value)
    if Fraction(near) > value:
        near = math.nextafter(near, -math.inf)
    return near


assert [CONSTANT.size, TEST.size, NODE.size, 4 * ROW_FIELDS, 4, ENTRY.size, BEGINNING.size] == list(SIZES[1:8])
assert [PIVOT.size, BUCKET.size, TREE.size, SEGMENT.size, FAMILY.size, 8, AUTOMATON.size] == list(SIZES[8:])
