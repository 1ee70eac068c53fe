"""A regular expression of the plain sort as an automaton over ASCII: one step for each character, and no other.

Only what RE2 and everybody else mean alike is taken: characters, classes, `.`, groups, alternatives, repetition,
`^` and `$` as the ends of the text, and a leading `(?i)` or `(?s)`. Of anything else, and of expressions that would
need too many states, there is none, and RE2 is asked. Over a text in ASCII the answer is RE2's; of others RE2 is asked.
"""

from functools import lru_cache
from typing import Any, Final

STATES_MAX: Final = 255
PARTS_MAX: Final = 600
ALL: Final = frozenset(range(128))
DIGITS: Final = frozenset(b"0123456789")
WORDS: Final = DIGITS | frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
SPACES: Final = frozenset(b"\t\n\f\r ")
ESCAPED: Final = {
    "d": DIGITS, "D": ALL - DIGITS, "w": WORDS, "W": ALL - WORDS, "s": SPACES, "S": ALL - SPACES,
    "t": frozenset(b"\t"), "n": frozenset(b"\n"), "r": frozenset(b"\r"), "f": frozenset(b"\f"),
}  # fmt: skip
BEGIN, END = -1, -2
STUCK, FOUND = 0, 1


class _NotPlain(Exception):
    """Something of which no automaton is made."""


class _Reader:
    """Reads an expression into parts: a set of characters, BEGIN or END, ("all", parts), ("any", parts), or
    ("again", part, least, most)."""

    def __init__(self, regex: str) -> None:
        self.fold = self.dot_all = False
        if not regex.isascii() or not regex.isprintable():
            raise _NotPlain
        while regex.startswith(("(?i)", "(?s)", "(?is)", "(?si)")):
            flags, _, regex = regex.partition(")")
            self.fold |= "i" in flags
            self.dot_all |= "s" in flags
        self.regex, self.at = regex, 0

    def read(self) -> Any:
        part = self.alternatives()
        if self.at != len(self.regex):
            raise _NotPlain
        return part

    def peek(self) -> str:
        return self.regex[self.at : self.at + 1]

    def alternatives(self) -> Any:
        parts = [self.sequence()]
        while self.peek() == "|":
            self.at += 1
            parts.append(self.sequence())
        return ("any", parts)

    def sequence(self) -> Any:
        parts = []
        while self.peek() not in ("", "|", ")"):
            part = self.one()
            least, most = self.count()
            if (least, most) != (1, 1):
                # Anchors repeated, lazy and possessive marks, marks upon marks are left to RE2.
                if part in (BEGIN, END) or self.peek() in ("*", "+", "?", "{"):
                    raise _NotPlain
                part = ("again", part, least, most)
            parts.append(part)
        return ("all", parts)

    def count(self) -> tuple[int, int | None]:
        mark = self.peek()
        if mark and mark in "*+?":
            self.at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[mark]
        if mark != "{":
            return 1, 1
        inner, closed, _ = self.regex[self.at + 1 :].partition("}")
        least, comma, most = inner.partition(",")
        if not closed or not least.isdigit() or (most and not most.isdigit()) or len(least) > 3 or len(most) > 3:
            raise _NotPlain
        self.at += len(inner) + 2
        found = (int(least), None if comma and not most else int(most or least))
        if found[1] == 0 or (found[1] is not None and found[1] < found[0]):
            raise _NotPlain
        return found

    def one(self) -> Any:
        mark = self.peek()
        if mark == "(":
            self.at += 1
            if self.regex.startswith("?:", self.at):
                self.at += 2
            elif self.peek() == "?":
                raise _NotPlain
            part = self.alternatives()
            if self.peek() != ")":
                raise _NotPlain
            self.at += 1
            return part
        if mark in ("^", "$"):
            self.at += 1
            return BEGIN if mark == "^" else END
        return self.folded(self.taken())

    def taken(self) -> frozenset[int]:
        mark = self.peek()
        self.at += 1
        if mark == ".":
            return ALL if self.dot_all else ALL - {10}
        if mark == "[":
            return self.bracketed()
        if mark == "\\":
            return self.escaped()
        if mark in ("*", "+", "?", "{", "}", "]", ""):
            raise _NotPlain
        return frozenset((ord(mark),))

    def escaped(self) -> frozenset[int]:
        mark = self.peek()
        self.at += 1
        if mark in ESCAPED:
            return ESCAPED[mark]
        if not mark or mark.isalnum() or mark == "_":
            raise _NotPlain
        return frozenset((ord(mark),))

    def bracketed(self) -> frozenset[int]:
        turned = self.peek() == "^"
        self.at += turned
        found: set[int] = set()
        first = True
        while first or self.peek() != "]":
            mark = self.peek()
            self.at += 1
            if mark in ("", "[") or (first and mark == "]"):
                raise _NotPlain
            first = False
            taken = self.escaped() if mark == "\\" else frozenset((ord(mark),))
            if self.peek() == "-" and self.regex[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                last = self.peek()
                self.at += 1
                if mark == "\\" or last in ("", "\\", "[") or ord(last) < ord(mark):
                    raise _NotPlain
                taken = frozenset(range(ord(mark), ord(last) + 1))
            elif mark == "-" and (found or self.peek() != "]"):
                raise _NotPlain
            found |= taken
        self.at += 1
        folded = self.folded(frozenset(found))
        return ALL - folded if turned else folded

    def folded(self, taken: frozenset[int]) -> frozenset[int]:
        if not self.fold:
            return taken
        both = {c ^ 32 for c in taken if chr(c).isalpha()}
        return taken | both


Edge = tuple[frozenset[int] | int | None, int]


def _edges(part: Any, edges: list[list[Edge]], start: int) -> int:
    """Add a part's edges, (what is taken, where to), from a place on; return where it ends."""

    def place() -> int:
        if len(edges) > PARTS_MAX:
            raise _NotPlain
        edges.append([])
        return len(edges) - 1

    if not isinstance(part, tuple):
        end = place()
        edges[start].append((part, end))
        return end
    if part[0] == "all":
        for one in part[1]:
            start = _edges(one, edges, start)
        return start
    end = place()
    if part[0] == "any":
        for one in part[1]:
            begun = place()
            edges[start].append((None, begun))
            edges[_edges(one, edges, begun)].append((None, end))
        return end
    _, inner, least, most = part
    for _ in range(least):
        start = _edges(inner, edges, start)
    if most is None:
        edges[start].append((None, end))
        edges[_edges(inner, edges, end)].append((None, end))
        return end
    for _ in range(most - least):
        edges[start].append((None, end))
        start = _edges(inner, edges, start)
    edges[start].append((None, end))
    return end


@lru_cache(maxsize=4096)
def automaton_of(regex: str) -> tuple[bytes, int, int, int] | None:
    """Return the automaton that searches for an expression: its bytes, states, classes, and the state it starts in.

    The bytes are the class of each ASCII character, for each state the next one by class, and for each state whether a
    text may end there. State 0 is stuck; state 1 has found.
    """
    edges: list[list[Edge]] = [[]]
    try:
        final = _edges(_Reader(regex).read(), edges, 0)
        return _determined(edges, 0, final)
    except (_NotPlain, RecursionError):
        return None


def _determined(edges: list[list[Edge]], start: int, final: int) -> tuple[bytes, int, int, int]:
    sets = {taken for out in edges for taken, _ in out if isinstance(taken, frozenset)}
    signatures: dict[tuple[bool, ...], int] = {}
    class_of = [signatures.setdefault(tuple(c in one for one in sets), len(signatures)) for c in range(128)]
    sample = {number: c for c, number in enumerate(class_of)}

    def reached(places: set[int], begins: bool, ends: bool) -> frozenset[int]:
        found, upcoming = set(places), list(places)
        while upcoming:
            for taken, to in edges[upcoming.pop()]:
                free = taken is None or (taken == BEGIN and begins) or (taken == END and ends)
                if free and to not in found:
                    found.add(to)
                    upcoming.append(to)
        return frozenset(found)

    # The beginning of a text is a state of its own, for only there `^` holds.
    numbers: dict[tuple[bool, frozenset[int]], int] = {}
    order: list[tuple[bool, frozenset[int]]] = []

    def number_of(begins: bool, places: frozenset[int]) -> int:
        if final in places:
            return FOUND
        key = (begins, places)
        if key not in numbers:
            if len(order) + 2 > STATES_MAX:
                raise _NotPlain
            numbers[key] = len(order) + 2
            order.append(key)
        return numbers[key]

    begun = number_of(True, reached({start}, True, False))
    rows: list[list[int]] = []
    while len(rows) < len(order):
        _, places = order[len(rows)]
        row = []
        for number in range(len(signatures)):
            c = sample[number]
            went = {to for place in places for taken, to in edges[place] if isinstance(taken, frozenset) and c in taken}
            # What is searched for may begin at any character.
            row.append(number_of(False, reached(went | {start}, False, False)))
        rows.append(row)
    ends = [False, True, *(final in reached(set(places), begins, True) for begins, places in order)]
    # Where nothing can be found any more, the automaton is stuck.
    live = {number for number, end in enumerate(ends) if end}
    grown = True
    while grown:
        more = {number for number, row in enumerate(rows, 2) if not live.isdisjoint(row)} - live
        live |= more
        grown = bool(more)
    width = len(signatures)
    table = [bytes(width), bytes([FOUND]) * width, *(bytes(n if n in live else STUCK for n in row) for row in rows)]
    text = bytes(class_of) + b"".join(table) + bytes(ends)
    return text, len(ends), width, begun if begun in live else STUCK
