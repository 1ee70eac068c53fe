"""Under which of its tests each row of a bucket lies, so that a call looks only at the rows that it may come under.

A row can hold only if each test that its `when` joins by `and` does. Of those that look a value up, the one that
it shares with the fewest rows is its pivot; a row without such a test is looked at by every call. Many rules that ask
the same but for the span in which one number lies are a family: one row, and one look-up of the number.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from ..contract import Effect
from ..native.arena import FORMS, KINDS, LENGTHS
from ..native.names import nfc, read_email, read_host
from . import checked as c
from .binding import glob_of
from .columns import Columns, bound_of, constant, folder_of
from .flat import BUCKET, FAMILY, PIVOT, Span, whole

PIVOTED_MIN: Final = 8
PIVOTS_MAX: Final = 6
FAMILY_MIN: Final = 16
CONSTANTS_MAX: Final = 64
TEXT, NUMBER, BEGINNING, FOLDER, SPAN = "text", "number", "beginning", "folder", "span"
NUMBERS: Final = 1 << FORMS["integer"] | 1 << FORMS["double"]
NAMED: Final = {"email": read_email, "host": read_host}

Chain: TypeAlias = Callable[[int, frozenset[int], tuple[c.Test, ...]], tuple[int, int]]
"""Lays out what a rule asks but for some tests (by `id`), behind others; returns where these begin, and where it."""


class Key:
    """Tests that a row can lie under: what kind they are of, whose value they look up, and what they compare it with.

    `exact`: a row that is found under it need not ask `tests` again. `shares` are what rows under the same constant
    have in common.
    """

    __slots__ = ("constants", "exact", "group", "kind", "reader", "shares", "tests")

    def __init__(
        self, kind: str, reader: int, constants: tuple[Any, ...], tests: tuple[c.Test, ...], exact: bool = True
    ) -> None:
        self.kind, self.reader, self.constants, self.tests, self.exact = kind, reader, constants, tests, exact
        self.group = (kind, reader)
        self.shares = [(kind, reader, one) for one in constants]

    @property
    def asked(self) -> frozenset[int]:
        return frozenset(map(id, self.tests))


@dataclass(slots=True)
class Item:
    """A row to be: a rule's number, or -1 - n of family n, which asks what rule `asks` does but for some tests."""

    number: int
    asks: int
    until: float | None
    keys: list[Key]
    left_out: frozenset[int] = frozenset()
    under: Key | None = field(default=None)


class Pivoting:
    """The rules of a policy, to be laid out bucket by bucket; the tests of each are looked through once."""

    def __init__(self, columns: Columns, alike: Callable[[c.Rule], object]) -> None:
        """Take what says what an answer takes from a rule, None where the rule has to be found by itself."""
        self.columns, self.flat = columns, columns.flat
        self.rules: Sequence[c.Rule] = ()
        self.alike = alike
        self._keys: dict[int, list[Key]] = {}
        self._readers: dict[c.Term, int] = {}
        self._named: dict[int, tuple[str, ...]] = {}
        self._shared: Counter[Any] | None = None
        self._distinct: Counter[Any] = Counter()

    def take(self, rules: Sequence[c.Rule]) -> None:
        """Take the rules, by number, of which buckets are laid out from now on."""
        self.rules, self._keys = rules, {}

    def lay_out(self, numbers: Sequence[int], chain: Chain) -> int:
        """Write a bucket of rules; return its number."""
        items = self.items(numbers, chain)
        pivoted = len(items) >= PIVOTED_MIN
        if pivoted:
            self.choose(items)
        else:
            self.choose_first(items)
        # Rows that are looked at together lie side by side.
        together: dict[Any, list[Item]] = {}
        for item in items:
            together.setdefault(item.under.shares[0] if pivoted and item.under is not None else None, []).append(item)
        first = self.flat.row_count
        under: dict[tuple[str, int], list[tuple[int, Key]]] = {}
        rest: list[int] = []
        for item in (item for items in together.values() for item in items):
            place = self.row(item, chain)
            if item.under is None or not pivoted:
                rest.append(place)
            else:
                under.setdefault(item.under.group, []).append((place, item.under))
        row_count = self.flat.row_count - first
        rest_run = self.flat.run(rest)
        pivots = [self.pivot(group, rows) for group, rows in under.items()]
        pivot_first = len(self.flat.pivots)
        self.flat.pivots += pivots
        self.flat.buckets.append(BUCKET.pack(first, row_count, *rest_run, pivot_first, len(pivots)))
        return len(self.flat.buckets) - 1

    def row(self, item: Item, chain: Chain) -> int:
        key = item.under
        if key is None:
            start, skip = chain(item.asks, item.left_out, ())
        else:
            start, skip = chain(item.asks, item.left_out | key.asked, key.tests)
        skip = skip if key is None or key.exact else start
        return self.flat.row(item.number, start, skip, self.flat.until(item.until))

    # ------------------------------------------------------------ choosing

    def choose(self, items: list[Item]) -> None:
        """Choose the pivot of each row of a large bucket."""
        shared = Counter(share for item in items for key in item.keys for share in key.shares)

        def weight(key: Key) -> float:
            if key.kind == SPAN:
                return len(items) / (4 if key.constants[0].low is not None and key.constants[0].high is not None else 2)
            return sum([shared[share] for share in key.shares])

        for item in items:
            item.under = min(item.keys, key=weight, default=None)
        groups = Counter([item.under.group for item in items if item.under is not None])
        kept = {group for group, _ in groups.most_common(PIVOTS_MAX)}
        if len(kept) < len(groups):
            for item in items:
                item.under = min((key for key in item.keys if key.group in kept), key=weight, default=None)

    def choose_first(self, items: list[Item]) -> None:
        """Choose what each row of a small bucket asks first: what it shares with the fewest rules of the policy."""
        if self._shared is None:
            self._shared = Counter(
                share for n in range(len(self.rules)) for key in self.keys(n) for share in key.shares
            )
            self._distinct = Counter(share[:2] for share in self._shared)
        shared, distinct = self._shared, self._distinct

        def weight(key: Key) -> float:
            if key.kind == SPAN:
                return 1
            asked = sum([shared[share] for share in key.shares]) / max(1, distinct[key.group])
            return asked / (1 + max(map(len, key.constants)) if key.kind in (BEGINNING, FOLDER) else 1)

        for item in items:
            item.under = min(item.keys, key=weight, default=None)

    # ------------------------------------------------------------ families

    def items(self, numbers: Sequence[int], chain: Chain) -> list[Item]:
        """Return the rows of a bucket, families in the place of the rules in them."""
        found: dict[Any, list[tuple[int, Key]]] = {}
        if len(numbers) >= FAMILY_MIN:
            for number in numbers:
                alike = self.alike(self.rules[number])
                if alike is not None:
                    for key in self.keys(number):
                        if key.kind == SPAN:
                            signature = (key.reader, alike, self.signature(self.rules[number], key.asked))
                            found.setdefault(signature, []).append((number, key))
        items: list[Item] = []
        taken: set[int] = set()
        for (reader, *_), members in sorted(found.items(), key=lambda one: -len(one[1])):
            left = [(number, key) for number, key in members if number not in taken]
            if len(left) < FAMILY_MIN:
                continue
            taken.update(number for number, _ in left)
            items.append(self.family(reader, left, chain))
        for number in numbers:
            if number not in taken:
                items.append(Item(number, number, self.rules[number].until, self.keys(number)))
        return items

    def family(self, reader: int, members: list[tuple[int, Key]], chain: Chain) -> Item:
        flat = self.flat
        number, key = members[0]
        starts = [chain(number, key.asked, key.tests)[0] for number, key in members]
        row_first = flat.row_count
        for (one, _), start in zip(members, starts, strict=True):
            flat.row(one, start, start)
        tree = flat.tree([(key.constants[0], number) for number, key in members], numbered=True)
        everyone = flat.run(sorted(number for number, _ in members), numbered=True)
        doubtful = self.rules[number].effect is not Effect.ALLOW
        flat.families.append(FAMILY.pack(reader, tree, *everyone, row_first, len(members), doubtful))
        keys = [one for one in self.keys(number) if one is not key]
        return Item(-len(flat.families), number, None, keys, key.asked)

    def signature(self, rule: c.Rule, left_out: frozenset[int]) -> object:
        """Return what tells what a rule asks, but for some tests, from what others ask."""

        def of(condition: c.Condition) -> object:
            if isinstance(condition, c.Test):
                return None if id(condition) in left_out else self.columns.number(condition)
            parts = [one for part in condition.parts if (one := of(part)) is not None]
            return (isinstance(condition, c.AllOf), tuple(sorted(parts, key=repr)))

        return of(rule.when), of(rule.unless)

    # ------------------------------------------------------------ keys

    def keys(self, number: int) -> list[Key]:
        """Return the tests under which a row can lie."""
        found = self._keys.get(number)
        if found is None:
            tests = list(self.tests_of(self.rules[number].when))
            found = self._keys[number] = [key for test in tests if (key := self.key(test)) is not None]
            found += self.spans(tests)
        return found

    def tests_of(self, condition: c.Condition) -> Iterator[c.Test]:
        """Yield the tests that all have to hold, each as it stands."""
        match condition:
            case c.AllOf(parts):
                for part in parts:
                    yield from self.tests_of(part)
            case c.Test(predicate, False, "") if looked_up(getattr(predicate, "left", None)):
                yield condition

    def key(self, test: c.Test) -> Key | None:
        match test.predicate:
            case c.Compare(left, "is", c.Constant(value)):
                return self.equal(left, (constant(value),), test)
            case c.Member(left, values) if 0 < len(values) <= CONSTANTS_MAX:
                return self.equal(left, tuple(constant(value.value) for value in values), test)
            case c.Affix("starts", left, c.Constant(str(beginning))) if beginning:
                return Key(BEGINNING, self.reader(left), (nfc(beginning),), (test,))
            case c.Like(left, globs) if len(globs) <= CONSTANTS_MAX:
                globs = tuple(map(glob_of, globs))
                beginnings = outermost(map(beginning_of, globs))
                if "" not in beginnings:
                    exact = all(glob == beginning_of(glob) + "*" for glob in globs)
                    return Key(BEGINNING, self.reader(left), beginnings, (test,), exact)
            case c.Under(left, folders) if len(folders) <= CONSTANTS_MAX:
                return Key(FOLDER, self.reader(left), outermost(map(folder_of, folders)), (test,))
        return None

    def equal(self, left: c.Term, constants: tuple[Any, ...], test: c.Test) -> Key | None:
        if all(isinstance(one, str) for one in constants):
            return Key(TEXT, self.reader(left), tuple(dict.fromkeys(constants)), (test,))
        exact = [whole(one) for one in constants]
        if None in exact:
            return None
        return Key(NUMBER, self.reader(left), tuple(dict.fromkeys(one[1] for one in exact if one)), (test,))

    def spans(self, tests: list[c.Test]) -> Iterator[Key]:
        """Yield for each number that is held against bounds the span in which it has to lie."""
        bounds: dict[int, list[tuple[c.Test, str, int | float]]] = {}
        for test in tests:
            match test.predicate:
                case c.Compare(left, ("<" | "<=" | ">" | ">="), c.Constant(value)):
                    bound = bound_of(test.predicate.op, constant(value))
                    if bound is not None:
                        bounds.setdefault(self.reader(left), []).append((test, *bound))
        for reader, asked in bounds.items():
            # Of several bounds on one side the first is looked up, the others are asked as any test.
            low = next((one for one in asked if one[1] in (">", ">=")), None)
            high = next((one for one in asked if one[1] in ("<", "<=")), None)
            span = Span(
                None if low is None else low[2],
                low is not None and low[1] == ">",
                None if high is None else high[2],
                high is not None and high[1] == "<",
            )
            yield Key(SPAN, reader, (span,), tuple(one[0] for one in (low, high) if one is not None))

    def reader(self, term: c.Term) -> int:
        found = self._readers.get(term)
        if found is None:
            found = self._readers[term] = self.columns.reader(term)
        return found

    # ------------------------------------------------------------ pivots

    def pivot(self, group: tuple[str, int], placed: list[tuple[int, Key]]) -> bytes:
        kind, reader = group
        lengths: list[int] = []
        every = self.flat.run(place for place, _ in placed)
        forms = 1 << FORMS["text"]
        if kind == SPAN:
            forms = NUMBERS
            first, count = self.flat.tree([(key.constants[0], place) for place, key in placed]), 1
        elif kind in (TEXT, NUMBER):
            by_record: dict[bytes, dict[int, None]] = {}
            named = self.named(reader) if kind == TEXT else ()
            for place, key in placed:
                for one in key.constants:
                    for record in self.records(one, named):
                        by_record.setdefault(record, {})[place] = None
            forms = NUMBERS if kind == NUMBER else forms | sum(1 << FORMS[name] for name in named)
            first, count = self.entries(by_record)
        else:
            by_beginning: dict[str, list[int]] = {}
            for place, key in placed:
                for one in key.constants:
                    by_beginning.setdefault(one, []).append(place)
            # A folder is looked up without the slash behind it.
            texts = {one.removesuffix("/") if kind == FOLDER else one: at for one, at in by_beginning.items()}
            lengths = sorted({len(text.encode()) for text in texts})
            if len(lengths) <= LENGTHS and lengths[-1] < 2**16:
                kind = f"hashed {kind}"
                first, count = self.entries({self.flat.text(text): at for text, at in texts.items()})
            else:
                lengths = []
                first, count = self.flat.beginnings_of({one: self.flat.run(at) for one, at in by_beginning.items()})
        padded = lengths + [0] * (LENGTHS - len(lengths))
        return PIVOT.pack(reader, first, count, *every, KINDS[kind], forms, len(lengths), *padded)

    def entries(self, by_record: Mapping[bytes, Collection[int]]) -> tuple[int, int]:
        return self.flat.entries_of([(record, self.flat.rows_of(tuple(at))) for record, at in by_record.items()])

    def records(self, one: Any, named: Iterable[str]) -> Iterator[bytes]:
        """Yield a constant in each form in which a value may equal it."""
        if not isinstance(one, str):
            yield self.flat.number(one)
            return
        yield self.flat.text(one)
        for form in named:
            normal = NAMED[form](one)
            if normal is not None:
                yield self.flat.text(normal, form)

    def named(self, reader: int) -> tuple[str, ...]:
        """Return the forms of addresses and hosts that a reader may read."""
        found = self._named.get(reader)
        if found is None:
            term = self.columns.terms[reader]
            names: set[str] = set()
            if isinstance(term, c.Argument):
                declared = (d for ones in self.columns.knowledge.policy.tools.values() for d in ones)
                names = {p.type.name for d in declared for p in d.params if p.name == term.steps[0]}
            elif isinstance(term, c.Apply):
                names = {"host"}
            found = self._named[reader] = tuple(sorted(names & NAMED.keys()))
        return found


def looked_up(term: c.Term | None) -> bool:
    """Say whether a value costs little to read, so that it may be read for a call that no row would ask it of."""
    match term:
        case c.Argument() | c.Context():
            return True
        case c.Attribute(name):
            # An order's words are compared by Python: a pivot could tell nothing about them.
            return not name.startswith("session.") and name not in ("data", "tool.risk")
        case c.Apply(_, inner):
            return looked_up(inner)
    return False


def beginning_of(glob: str) -> str:
    """Return what every text begins with that a glob fits."""
    return glob[: min((place for sign in SPECIAL if (place := glob.find(sign)) >= 0), default=len(glob))]


SPECIAL: Final = "*?\\["


def outermost(beginnings: Iterable[str]) -> tuple[str, ...]:
    """Return those of some beginnings that begin with no other one, so that a text has at most one of them."""
    found: list[str] = []
    for one in sorted(set(beginnings)):
        if not found or not one.startswith(found[-1]):
            found.append(one)
    return tuple(found)
