"""A regular expression of the plain sort as an automaton over ASCII: one step for each character, and no other.

Only what RE2 and everybody else mean alike is taken: characters, classes, `.`, groups, alternatives, repetition,
`^` and `$` as the ends of the text, and a leading `(?i)` or `(?s)`. Of anything else, and of expressions that would
need too many states, there is none, and RE2 is asked. Over a text in ASCII the answer is RE2's; of others RE2 is asked.
"""

from functools import lru_cache
from typing import Any, Final

from .expressions import BEGIN, END, NotPlain, Reader

STATES_MAX: Final = 255
PARTS_MAX: Final = 600
STUCK, FOUND = 0, 1

Edge = tuple[frozenset[int] | int | None, int]


def _edges(part: Any, edges: list[list[Edge]], start: int) -> int:
    """Add a part's edges, (what is taken, where to), from a place on; return where it ends."""

    def place() -> int:
        if len(edges) > PARTS_MAX:
            raise NotPlain
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
        final = _edges(Reader(regex).read(), edges, 0)
        return _determined(edges, 0, final)
    except (NotPlain, RecursionError):
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
                raise NotPlain
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
