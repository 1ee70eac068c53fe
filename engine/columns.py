"""How each test of a policy becomes a column of the table: hash-consed, with the reader of the value that it tests.

Most tests become a record that the machine answers by itself. Each has a column that Python answers as well, for values
that the machine has no form for; it is made when it is first asked. What no question fits is a function of the call.
"""

import ipaddress
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import idna
import re2

from ..contract import Ending
from ..contract.attributes import CWD, WIRE
from ..contract.detectors import DETECTORS
from ..native.arena import EACH_ALL, EACH_ANY, OPS
from ..native.columns import Asked, Sought, Tested, Together
from ..native.counts import Counted, Labelled
from ..native.facts import ArgumentPath, Folder, Function, Reader, TextField
from ..native.names import nfc, read_email, read_url_host
from ..native.questions import (
    Affixed,
    Below,
    Comparison,
    Containment,
    Finding,
    Inside,
    Likeness,
    Membership,
    Question,
)
from ..native.scan import Scan
from ..native.sweep import PATTERNS_MAX, Sweep
from ..native.table import Column
from ..native.values import ABSENT, ANY_KIND, HOST_CODE, UNKNOWN, Named, equal, follow, text_of_value
from . import checked as c
from .automaton import automaton_of
from .binding import glob_of
from .call import ATTRIBUTES, Call, Knowledge, Steps, Truth, in_hours, least, most, steps_of
from .flat import TEST, Flat, below_fraction, whole
from .forms import COUNTS, REQUEST
from .toolsets import ToolSet

Read = Callable[[Call], Any]

# What a test costs, roughly, so that a rule asks the cheap ones first.
CHOSEN, COMPARED, EACH_COMPARED, FOUND, CALLED, SCANNED, REMEMBERED = range(7)

TOGETHER_MIN: Final = 4
TOGETHER_MAX: Final = 256
"""So many patterns at least, and at most, are sought in a value by one pass."""

PREPARED_MAX: Final = 1_024
"""For more patterns than this what seeks them together is made when it is first asked."""

AMONG_MIN: Final = 8
"""More texts than this are looked up, fewer compared one by one."""


def scan_of(pattern: c.Pattern) -> Scan:
    """Return a pattern or detector, compiled for looking through texts."""
    detector = DETECTORS.get(pattern.detector)
    return Scan(compiled(regex_of(pattern)), detector is not None, "" if detector is None else detector.check)


def regex_of(pattern: c.Pattern) -> str:
    """Return the expression of a pattern, or of a detector, whose finds are checked further."""
    detector = DETECTORS.get(pattern.detector)
    return pattern.regex if detector is None else detector.regex


def key_of(test: c.Test) -> tuple[str, bool]:
    """Return what tells a test from any other, its opposite apart, and whether it is asked of each item.

    It is a text, which keeps apart what Python calls equal: 1, 1.0 and true.
    """
    inside = bool(test.each) and not isinstance(test.predicate, WHOLE)
    return f"{test.each if inside else ''} {inside and test.negated} {test.predicate!r}", inside


class Columns:
    """The distinct tests met so far, each a column by its number; what they read, and the records that are written."""

    def __init__(self, knowledge: Knowledge, flat: Flat) -> None:
        self.knowledge = knowledge
        self.flat = flat
        self.readers: list[Reader] = []
        self.terms: list[c.Term | None] = []
        self.costs: list[int] = []
        self.tests: list[c.Test] = []
        self._reader_of: dict[str, int] = {}
        self._column_of: dict[str, int] = {}
        self._scans: dict[c.Pattern, Scan] = {}
        self._toolsets: dict[tuple[c.ToolPattern, ...], ToolSet] = {}
        self._met: dict[int, tuple[c.Test, tuple[int, bool]]] = {}
        self._joined: dict[int, list[int]] = {}
        self._joinable: dict[tuple[int, bool], list[int]] = {}
        self._sought: dict[int, Sought] = {}

    def fork(self, knowledge: Knowledge) -> "Columns":
        """Return these columns for a table of its own: what is added here later is not there."""
        fork = Columns(knowledge, Flat())
        fork.readers, fork.terms, fork.tests = self.readers[:], self.terms[:], self.tests[:]
        fork._reader_of, fork._column_of = self._reader_of.copy(), self._column_of.copy()
        fork._scans, fork._toolsets = self._scans.copy(), self._toolsets.copy()
        fork._joined = self._joined.copy()
        return fork

    # ------------------------------------------------------------ numbers

    def number(self, test: c.Test) -> tuple[int, bool]:
        """Return a test's column, and whether the test is that its answer is NO."""
        met = self._met.get(id(test))
        if met is not None:
            return met[1]
        key, inside = key_of(test)
        column = self._column_of.get(key)
        if column is None:
            column = self._column_of[key] = len(self.tests)
            self.tests.append(test)
            self.note_pattern(column, test)
            record, cost = self.record(test, inside)
            self.flat.tests.append(record)
            self.costs.append(cost)
        # The test is kept beside its column, so that no other can come to have its id.
        found = (column, test.negated and not inside)
        self._met[id(test)] = (test, found)
        return found

    def place_of(self, test: c.Test) -> tuple[int, bool] | None:
        """Return a test's column, and whether the test is that its answer is NO; None for a test never met."""
        key, inside = key_of(test)
        if len(self._column_of) < len(self.tests):  # they came with a bundle
            self._column_of = {key_of(one)[0]: number for number, one in enumerate(self.tests)}
        column = self._column_of.get(key)
        return None if column is None else (column, test.negated and not inside)

    def make(self, number: int) -> Column:
        """Return a column as Python answers it."""
        test, met = self.tests[number], len(self.readers)
        if test.each and not isinstance(test.predicate, WHOLE):
            column = self.quantified(test.predicate, test.each, test.negated)
        elif isinstance(test.predicate, c.Matches) and not isinstance(test.predicate.left, c.Listing):
            column = self.sought(number)
        else:
            column = self.single(test.predicate)
        assert len(self.readers) == met, "a reader that the table does not have"
        return column

    # ------------------------------------------------------------ in a bundle

    def groups(self) -> list[tuple[int, ...]]:
        """Return the columns whose patterns are sought together."""
        return list(dict.fromkeys(tuple(numbers) for numbers in self._joined.values()))

    def restore(
        self,
        tests: Sequence[c.Test],
        terms: Sequence[c.Term | None],
        groups: Sequence[Sequence[int]],
        cwd: Callable[[], Reader],
    ) -> None:
        """Take in the columns of a table that was laid out elsewhere: their tests, the terms read, and `groups`."""
        self.tests = tests  # type: ignore[assignment]
        for term in terms:
            if term is None:
                self.add_reader("cwd", cwd(), None)
            else:
                self.reader(term)
        if len(self.readers) != len(terms):
            raise ValueError("a term is read twice")
        for numbers in groups:
            self._joined.update((number, list(numbers)) for number in numbers)

    # ------------------------------------------------------------ patterns

    def join_patterns(self) -> None:
        """Say of tests that look for patterns in one value that they may do it together, where they are some."""
        self._met, self._joined = {}, {}  # every test has been met
        for numbers in self._joinable.values():
            if len(numbers) >= TOGETHER_MIN:
                for first in range(0, len(numbers), TOGETHER_MAX):
                    for number in numbers[first : first + TOGETHER_MAX]:
                        self._joined[number] = numbers[first : first + TOGETHER_MAX]
                        *fields, together = TEST.unpack(self.flat.tests[number])
                        if not together:
                            self.flat.write_test(number, TEST.pack(*fields, 1))

    def note_pattern(self, number: int, test: c.Test) -> None:
        """Note a test that may be asked together with others."""
        predicate = test.predicate
        if not isinstance(predicate, c.Matches) or test.each or isinstance(predicate.left, c.Listing):
            return
        if self.scan(predicate.pattern).compiled is not None:
            plain = self.plain(predicate.pattern) is not None
            self._joinable.setdefault((self.reader(predicate.left), plain), []).append(number)

    def sought(self, number: int) -> Column:
        """Return the column of a pattern; those that are sought together are made together."""
        if number not in self._sought:
            numbers = self._joined.get(number, [number])
            columns: list[Sought] = []
            together = None
            if len(numbers) > 1:
                sweep = self.sweep(numbers)
                # Texts in other letters than ASCII are left to the set, too.
                together = Together(sweep, self.searching(numbers), columns)
            for one in numbers:
                predicate: Any = self.tests[one].predicate
                columns.append(Sought(self.reader(predicate.left), one, self.scan(predicate.pattern), together))
                self._sought[one] = columns[-1]
        return self._sought[number]

    def plain(self, pattern: c.Pattern) -> tuple[bytes, int, int, int] | None:
        """Return the automaton that finds a pattern in ASCII, None where there is none."""
        return None if pattern.detector else automaton_of(pattern.regex)

    def sweep(self, numbers: list[int]) -> Sweep | None:
        """Return the automaton of all of some patterns, None where one has none or they make too many states."""
        automata = []
        for number in numbers[:PATTERNS_MAX]:
            predicate: Any = self.tests[number].predicate
            automaton = self.plain(predicate.pattern)
            if automaton is not None:
                automata.append(automaton)
        if len(automata) < len(numbers):
            return None
        sweep = Sweep(automata)
        return sweep if sweep.made else None

    def prepare(self) -> None:
        """Make what seeks patterns together, so that no call waits for it; of very many, each when it is asked."""
        if len(self._joined) <= PREPARED_MAX:
            for number in list(self._joined):
                self.sought(number)

    def searching(self, numbers: list[int]) -> Callable[[bytes], list[int]] | None:
        """Return what says which of some patterns are found in a text, and behind them one that always is."""
        options = re2.Options()
        options.log_errors = False
        patterns = re2.Set.SearchSet(options)
        try:
            for number in numbers:
                predicate: Any = self.tests[number].predicate
                patterns.Add(regex_of(predicate.pattern))
            patterns.Add("")
            patterns.Compile()
        except re2.error:
            return None
        match: Callable[[bytes], list[int]] = patterns.Match
        return match

    # ------------------------------------------------------------ records

    def record(self, test: c.Test, inside: bool) -> tuple[bytes, int]:
        """Return a test as the machine answers it, or that it cannot, and what it costs; its readers are met, too."""
        predicate = test.predicate
        left, right = getattr(predicate, "left", None), getattr(predicate, "right", None)
        if isinstance(predicate, WHOLE):
            remembered = isinstance(predicate, c.From | c.InBaseline)
            return TEST.pack(0, 0, 0, OPS["ask"], 0, 0, 0), REMEMBERED if remembered else CALLED
        assert left is not None
        reader = self.reader(left)
        if right is not None and not isinstance(right, c.Constant):
            self.reader(right)
        if isinstance(predicate, c.Under):
            self.cwd()
        found = None if isinstance(left, c.Listing) else self.operation(predicate)
        if found is None:
            scanned = isinstance(predicate, c.Matches | c.Contains)
            return TEST.pack(0, 0, 0, OPS["ask"], 0, 0, 0), SCANNED if scanned else CALLED
        op, first, count, cost = found
        each = 0 if not inside else EACH_ANY if test.each == "any" else EACH_ALL
        cost = max(cost, EACH_COMPARED) if each else cost
        return TEST.pack(first, count, reader, OPS[op], each, inside and test.negated, 0), cost

    def operation(self, predicate: Any) -> tuple[str, int, int, int] | None:
        """Return the operation of a test, where its constants stand, how many, and its cost; None if it has none."""
        flat = self.flat
        match predicate:
            case c.Compare(_, "is", c.Constant(value)):
                return self.equal((constant(value),))
            case c.Member(_, values):
                return self.equal(tuple(constant(value.value) for value in values))
            case c.Compare(_, op, c.Constant(value)):
                compared = bound_of(op, constant(value))
                if compared is not None:
                    return compared[0], *flat.constants_of((flat.number(compared[1]),)), CHOSEN
            case c.Affix(op, _, c.Constant(str(text))):
                return op, *flat.constants_of((flat.text(nfc(text)),)), COMPARED
            case c.Like(_, globs):
                return "like", *flat.constants_of([self.glob(glob_of(glob)) for glob in globs]), COMPARED
            case c.Under(_, folders):
                return "under", *flat.constants_of([flat.text(folder_of(folder)) for folder in folders]), COMPARED
            case c.Matches(_, pattern) if self.scan(pattern).compiled is not None:
                automaton = self.plain(pattern)
                if automaton is not None:
                    return "find", flat.automaton(automaton), 0, FOUND
        return None

    def equal(self, constants: tuple[Any, ...]) -> tuple[str, int, int, int] | None:
        flat = self.flat
        if constants and all(isinstance(one, str) for one in constants):
            records = [flat.text(one) for one in constants]
            if len(records) > AMONG_MIN:
                return "among", *flat.entries_of([(record, 0) for record in dict.fromkeys(records)]), CHOSEN
            return "equal text", *flat.constants_of(records), CHOSEN
        if constants and all(whole(one) is not None for one in constants):
            return "equal number", *flat.constants_of([flat.number(one) for one in constants]), CHOSEN
        return None

    def glob(self, glob: str) -> bytes:
        """Return the record of a glob: a text, a text around one star, or anything."""
        if "\\" not in glob and "?" not in glob:
            before, star, behind = glob.partition("*")
            if not star:
                return self.flat.text(glob)
            behind = behind.lstrip("*")
            split = len(before.encode())
            if "*" not in behind and split < 2**16:
                return self.flat.text(before + behind, shape="around", split=split)
        return self.flat.text(glob, shape="general")

    # ------------------------------------------------------------ columns

    def single(self, predicate: c.Predicate) -> Column:
        """Return the column of a test of one value."""
        match predicate:
            case c.ToolFits(tools):
                return Asked(fitting(self.toolset(tools)))
            case c.InScope():
                return Asked(Call.in_scope)
            case c.InIntent():
                return Asked(Call.in_intent)
            case c.InHours(hours):
                return Asked(hours_of(hours))
            case c.Has(one):
                return Asked(carrying(steps_of(one.steps)))
            case c.From() | c.InBaseline():
                return Asked(self.provenance(predicate, least))
            case c.Contains(c.Listing("session.labels"), c.Constant(str(label))):
                return Asked(Labelled(COUNTS, nfc(label)))
            case c.Contains(c.Listing(name), right):
                return Asked(holding(name, self.read_term(right)))
        question, compared, right_reader = self.question(predicate)
        return Tested(self.reader(predicate.left), question, compared, right_reader)

    def quantified(self, predicate: Any, each: str, negated: bool) -> Column:
        """Return the column of a test of each item."""
        left = predicate.left
        if isinstance(predicate, c.From | c.InBaseline):
            return Asked(self.provenance(predicate, most if each == "any" else least, negated))
        if isinstance(left, c.Listing):
            return Asked(self.listed(predicate, left.name, each, negated))
        question, compared, right_reader = self.question(predicate)
        mode = EACH_ANY if each == "any" else EACH_ALL
        return Tested(self.reader(left), question, compared, right_reader, mode, negated)

    def question(self, predicate: Any) -> tuple[Question, Any, int]:
        """Return the question a predicate asks of a value, and what it compares it with, or who reads that."""
        scan_chars = self.knowledge.scan_chars
        match predicate:
            case c.Compare(_, op, right):
                return Comparison(op), *self.right(right)
            case c.Member(_, values):
                return Membership(tuple(constant(value.value) for value in values)), None, -1
            case c.Affix(op, _, right):
                return Affixed(op == "ends"), *self.right(right)
            case c.Contains(_, right):
                return Containment(scan_chars), *self.right(right)
            case c.Like(_, globs):
                emails, hosts = ([named_glob(glob, kind) for glob in globs] for kind in ("email", "host"))
                question = Likeness(tuple(map(glob_of, globs)), tuple(emails), tuple(hosts), scan_chars)
                return question, None, -1
            case c.Matches(_, pattern):
                return Finding(self.scan(pattern), scan_chars), None, -1
            case c.Under(_, folders):
                return Below(tuple(map(nfc, folders))), None, self.cwd()
            case c.InCidr(_, networks):
                return Inside(tuple(map(network_of, networks))), None, -1
        raise AssertionError(predicate)

    def right(self, term: c.Term) -> tuple[Any, int]:
        return (constant(term.value), -1) if isinstance(term, c.Constant) else (None, self.reader(term))

    def cwd(self) -> int:
        return self.add_reader("cwd", Folder(REQUEST, *CWD), None)

    def listed(self, predicate: Any, name: str, each: str, negated: bool) -> Read:
        """Return the test of each class, label or link of the chain; of labels some may be uncertain."""
        one = self.of_item(predicate, negated)
        together, empty = (most, False) if each == "any" else (least, True)

        def ask_classes(call: Call) -> Truth:
            classes = call.classes()
            return None if classes is None else together([one(call, item) for item in classes])

        def ask_labels(call: Call) -> Truth:
            session = call.session
            if session is None:
                return None
            truths = [one(call, label) for label in session.labels]
            # A label that may not be there can only keep the answer that it would have without it, or blur it.
            truths += [empty if one(call, label) is empty else None for label in session.uncertain_labels()]
            return together(truths if session.begun else [*truths, None])

        def ask_chain(call: Call) -> Truth:
            chain = read_chain(call)
            return None if chain is UNKNOWN else together([one(call, item) for item in chain])

        return {"class": ask_classes, "session.labels": ask_labels}.get(name, ask_chain)

    def of_item(self, predicate: Any, negated: bool) -> Callable[[Call, Any], Truth]:
        if isinstance(predicate, c.Contains) and isinstance(predicate.left, c.Listing):
            holds = holding(predicate.left.name, self.read_term(predicate.right))
            return lambda call, item: turned(holds(call), negated)
        question, right, right_reader = self.question(predicate)
        read_right = self.readers[right_reader] if right_reader >= 0 else None

        def ask(call: Call, item: Any) -> Truth:
            if item is UNKNOWN:
                return None
            compared = right if read_right is None else read_right(call)
            if compared is ABSENT:
                return False
            return None if compared is UNKNOWN else turned(question.truth(item, compared), negated)

        return ask

    def provenance(
        self, predicate: c.From | c.InBaseline, together: Callable[[list[Truth]], Truth], negated: bool = False
    ) -> Read:
        """Return the test that asks where the items of an argument have been seen; `negated` turns each answer."""
        scan_chars, by_host = self.knowledge.scan_chars, predicate.by_host
        sought_max = -1 if isinstance(predicate, c.InBaseline) else c.ITEMS_SOUGHT_MAX
        if isinstance(predicate, c.InBaseline):

            def seen(call: Call, name: str, item: Any) -> Truth:
                return call.in_baseline(item, name, by_host)

        else:
            from_user, tools = predicate.source == "user", self.toolset(predicate.tools)

            def seen(call: Call, name: str, item: Any) -> Truth:
                return call.from_user(item, by_host) if from_user else call.from_tools(item, by_host, tools)

        steps = None if isinstance(predicate.left, c.Keys) else steps_of(predicate.left.steps)
        decisive = together is most  # an item of which this is true settles the answer

        def ask(call: Call) -> Any:
            carried: list[tuple[str, Any]] | None
            if steps is None:
                carried = call.key_arguments()
            else:
                value = call.argument(steps)
                if value is ABSENT:
                    return ABSENT
                carried = [(str(steps[0]), value)]
            truths: list[Truth] = []
            for name, value in carried or ():
                for item in value if isinstance(value, list) else (value,):
                    if len(truths) == sought_max:
                        return together([*truths, None])
                    if item is UNKNOWN or item is ABSENT or (isinstance(item, str) and len(item) > scan_chars):
                        truths.append(None)
                        continue
                    here = turned(seen(call, name, item), negated)
                    if here is decisive:
                        return here
                    truths.append(here)
            return together(truths) if truths else None

        return ask

    # ------------------------------------------------------------ parts

    def scan(self, pattern: c.Pattern) -> Scan:
        if pattern not in self._scans:
            self._scans[pattern] = scan_of(pattern)
        return self._scans[pattern]

    def toolset(self, tools: tuple[c.ToolPattern, ...]) -> ToolSet:
        if tools not in self._toolsets:
            self._toolsets[tools] = ToolSet(tools)
        return self._toolsets[tools]

    def add_reader(self, key: str, read: Reader, term: c.Term | None) -> int:
        if key not in self._reader_of:
            self._reader_of[key] = len(self.readers)
            self.readers.append(read)
            self.terms.append(term)
        return self._reader_of[key]

    def reader(self, term: c.Term) -> int:
        key = repr(term)
        found = self._reader_of.get(key)
        return self.add_reader(key, self.read_term(term), term) if found is None else found

    def read_term(self, term: c.Term) -> Reader:
        """Return the reader of a term: of a value, ABSENT or UNKNOWN."""
        match term:
            case c.Attribute(name) if name not in ATTRIBUTES:
                return read_text(name)
            case c.Argument(steps):
                return ArgumentPath(steps_of(steps))
            case c.Count(function, tools, window_s):
                ending = None if function == "calls" else function == "completed"
                return Counted(COUNTS, fitting_memory(self.toolset(tools)), window_s, Ending.COMPLETED, ending)
        return Function(self.read_otherwise(term))

    def read_otherwise(self, term: c.Term) -> Read:
        """Return a function of the call that reads a term."""
        match term:
            case c.Constant(value):
                exact = constant(value)
                return lambda call: exact
            case c.Attribute(name):
                return ATTRIBUTES[name]
            case c.Listing("task.chain"):
                return read_chain
            case c.Listing():
                return lambda call: UNKNOWN
            case c.Keys():
                return Call.keys
            case c.Context(steps):
                return read_context(steps_of(steps))
            case c.Result():
                return result_of
            case c.Apply(function, inner):
                return applying(function, self.read_term(inner))
        raise AssertionError(term)


def result_of(call: Call) -> Any:
    """Read what a call returned; a lone surrogate is no Unicode, and UTF-8 has no way to write it."""
    if call.result is None:
        return UNKNOWN
    try:
        call.result.encode()
    except UnicodeEncodeError:
        return UNKNOWN
    return nfc(call.result)


WHOLE: Final = (c.ToolFits, c.InScope, c.InIntent, c.InHours, c.Has)
"""Predicates that ask of the call as a whole."""


def turned(truth: Truth, negated: bool) -> Truth:
    return truth if truth is None or not negated else not truth


def constant(value: str | bool | int | Decimal) -> Any:
    """Return a literal as it compares: text in NFC, numbers exact, as integer or double where that is exact."""
    if isinstance(value, str):
        return nfc(value)
    if isinstance(value, Decimal):
        exact = Fraction(value)
        if exact.denominator == 1:
            return exact.numerator
        return float(value) if Fraction(float(value)) == exact else exact
    return value


def bound_of(op: str, bound: Any) -> tuple[str, int | float] | None:
    """Return an order as the machine compares it: operator and number, None where it has none that is exact."""
    if isinstance(bound, Fraction):
        near = below_fraction(bound)
        # No number that a call can bring lies between the fraction and the double before it.
        return None if near is None else (">" if op in (">", ">=") else "<=", near)
    exact = whole(bound)
    return None if exact is None else (op, exact[1])


def folder_of(folder: str) -> str:
    """Return a folder with a slash behind it: what a path below it begins with."""
    folder = nfc(folder)
    return folder if folder == "/" else folder + "/"


def compiled(regex: str) -> Any:
    """Return an expression compiled by RE2, or None where RE2 will not have it: then finding it is in doubt."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(regex, options)
    except re2.error:
        return None


def network_of(network: str) -> tuple[int, int, int]:
    """Return version, first address and mask of a network."""
    parsed = ipaddress.ip_network(network)
    return parsed.version, int(parsed.network_address), int(parsed.netmask)


def named_glob(glob: str, kind: str) -> str:
    """Return a glob in the form in which hosts, or hosts of addresses, compare: lower case, IDNA, no trailing dot."""
    local, at, host = glob.rpartition("@") if kind == "email" else ("", "", glob)
    labels = [
        label if label.isascii() or "*" in label or "?" in label else ascii_label(label)
        for label in nfc(host).split(".")
    ]
    return glob_of(local + at + ".".join(label.lower() for label in labels).removesuffix("."))


def ascii_label(label: str) -> str:
    try:
        return idna.encode(label, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return label


# ---------------------------------------------------------------- functions of the call


def read_text(name: str) -> Reader:
    path = WIRE[name]
    return TextField(REQUEST, path[0]) if len(path) == 1 else Function(lambda call: call.text(name))


def read_context(steps: Steps) -> Read:
    def read(call: Call) -> Any:
        value = follow(call.request.metadata, ANY_KIND, steps)
        return UNKNOWN if value is ABSENT else value

    return read


def read_chain(call: Call) -> Any:
    chain = call.sent("task.chain")
    if not isinstance(chain, list):
        return UNKNOWN
    return [UNKNOWN if link is None else nfc(link) if isinstance(link, str) else link for link in chain]


def fitting(tools: ToolSet) -> Read:
    return lambda call: call.tool_fits(tools)


def carrying(steps: Steps) -> Read:
    return lambda call: call.carries(steps)


def hours_of(hours: c.Hours) -> Read:
    return lambda call: in_hours(call.now, hours.zone, hours.ranges, hours.excepted)


def fitting_memory(tools: ToolSet) -> Callable[[str, frozenset[str] | None], Truth]:
    """Return the test that a tool that was called is one of some."""
    return lambda tool, classes: tools.fits(nfc(tool), classes)


def holding(name: str, read_word: Reader) -> Callable[[Call], Truth]:
    """Return the test that a class, a label or a link of the chain is a word."""

    def ask(call: Call) -> Truth:
        word = text_of_value(read_word(call))
        if word is None:
            return None
        if name == "session.labels":
            return call.has_label(word)
        if name == "class":
            classes = call.classes()
            return None if classes is None else word in classes
        chain: Any = read_chain(call) if name == "task.chain" else UNKNOWN
        return None if chain is UNKNOWN else most([None if link is UNKNOWN else equal(link, word) for link in chain])

    return ask


def applying(function: str, read: Reader) -> Read:
    """Return the reader of a function of a term; of a list, all but size are taken of each item."""
    apply = FUNCTIONS[function]

    def one(value: Any) -> Any:
        if value is ABSENT or value is UNKNOWN:
            return value
        text = text_of_value(value)
        return UNKNOWN if text is None else apply(text)

    def size(call: Call) -> Any:
        value = read(call)
        return len(value) if isinstance(value, list | dict) else one(value)

    def each(call: Call) -> Any:
        value = read(call)
        return [one(item) for item in value] if isinstance(value, list) else one(value)

    return size if function == "size" else each


def host(text: str) -> Any:
    found = read_url_host(text)
    return UNKNOWN if found is None else Named(HOST_CODE, found)


def domain(text: str) -> Any:
    found = read_email(text)
    return UNKNOWN if found is None else Named(HOST_CODE, found[found.rindex("@") + 1 :])


FUNCTIONS: Final[dict[str, Callable[[str], Any]]] = {
    "size": len,
    "lower": lambda text: nfc(text.lower()),
    "host": host,
    "domain": domain,
}
