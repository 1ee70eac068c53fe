"""When one condition follows from another, and when tests exclude each other: sound, and not complete.

`below(a, b)` says that a's truth never exceeds b's, false < unknown < true. So whatever applies because a is
not false applies because b is not false, and what a's truth proves, b's proves too. `excluded` says that tests
are never all true at once; that some are unknown may still be, and a restriction needs only doubt.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from ..contract.attributes import RISK_ORDER
from . import checked as c
from .checking.texts import glob_fits, globs_overlap

BRANCHES_MAX: Final = 64
FLIPPED: Final = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
NO_TEXT: Final = frozenset({"data", "tool.risk", "risk", "task.depth", "session.age", "session.blocks"})

Constant: TypeAlias = str | bool | int | Decimal
Orders: TypeAlias = Mapping[str, tuple[str, ...]]
"""The attributes that are ordered words, each with its words in rising order."""


def orders_of(policy: c.CheckedPolicy) -> Orders:
    """Return the ordered words that the conditions of a policy compare."""
    return {"data": policy.data_order, "tool.risk": RISK_ORDER}


# ---------------------------------------------------------------- what follows


def below(one: c.Condition, other: c.Condition) -> bool:
    """Tell whether `other` is true wherever `one` is, and not false wherever `one` is not false."""
    if isinstance(other, c.AllOf):
        return all(below(one, part) for part in other.parts)
    if isinstance(one, c.AnyOf):
        return all(below(part, other) for part in one.parts)
    if isinstance(one, c.AllOf) and any(below(part, other) for part in one.parts):
        return True
    if isinstance(other, c.AnyOf):
        return any(below(one, part) for part in other.parts)
    return isinstance(one, c.Test) and _test_below(one, other)


def _test_below(one: c.Test, other: c.Test) -> bool:
    one, other = _upright(one), _upright(other)
    if one.each != other.each or one.negated != other.negated:
        return False
    if one.negated:
        one, other = other, one
    a, b = one.predicate, other.predicate
    if _same(a, b):
        return True
    if not _same_left(a, b):
        return False
    if isinstance(a, c.Like) and isinstance(b, c.Like):
        return set(a.globs) <= set(b.globs)
    if isinstance(a, c.Under) and isinstance(b, c.Under):
        return set(a.folders) <= set(b.folders)
    if isinstance(a, c.InCidr) and isinstance(b, c.InCidr):
        return set(a.networks) <= set(b.networks)
    values, others = _values(a), _values(b)
    if values is not None and others is not None:
        return all(any(_identical(value, other) for other in others) for value in values)
    first, second = _bound(a, {}), _bound(b, {})
    if first is None or second is None or first[0][0] != second[0][0]:
        return False
    (op, limit), (other_op, other_limit) = first, second
    if limit == other_limit:
        return len(op) <= len(other_op)
    return limit > other_limit if op[0] == ">" else limit < other_limit


def _upright(test: c.Test) -> c.Test:
    """Return a test with `not <` written as `>=`, which is the same to every value."""
    if test.negated and isinstance(test.predicate, c.Compare) and test.predicate.op in FLIPPED:
        predicate = c.Compare(test.predicate.left, FLIPPED[test.predicate.op], test.predicate.right)
        return c.Test(predicate, False, test.each, test.at)
    return test


def _same(one: object, other: object) -> bool:
    """Tell whether two parts are equal in every type too: 1 is not true."""
    return one == other and repr(one) == repr(other)


def _same_left(one: c.Predicate, other: c.Predicate) -> bool:
    left = getattr(one, "left", None)
    return left is not None and _same(left, getattr(other, "left", None))


def _identical(one: Constant, other: Constant) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and isinstance(one, str) == isinstance(other, str) and (
        one == other
    )  # fmt: skip


def _values(predicate: c.Predicate) -> tuple[Constant, ...] | None:
    """Return the constants one of which the left side has to equal."""
    if isinstance(predicate, c.Member):
        return tuple(value.value for value in predicate.values)
    if isinstance(predicate, c.Compare) and predicate.op == "is" and isinstance(predicate.right, c.Constant):
        return (predicate.right.value,)
    return None


def _bound(predicate: c.Predicate, orders: Orders) -> tuple[str, int | Decimal] | None:
    """Return an ordered comparison with a number, or with the rank of a word."""
    if not isinstance(predicate, c.Compare) or predicate.op == "is" or not isinstance(predicate.right, c.Constant):
        return None
    value = predicate.right.value
    if isinstance(value, str):
        order = _order(predicate.left, orders)
        return (predicate.op, order.index(value)) if value in order else None
    return None if isinstance(value, bool) else (predicate.op, value)


def _order(left: c.Term, orders: Orders) -> tuple[str, ...]:
    return orders.get(left.name, ()) if isinstance(left, c.Attribute) else ()


# ---------------------------------------------------------------- what excludes each other


def excluded(condition: c.Condition, given: Iterable[c.Test], orders: Orders) -> tuple[c.Test, ...] | None:
    """Return tests for which a condition can never be true while `given` are, or None where it may be.

    Of a condition with several ways to be true, each is excluded, and the tests are those of the first way.
    """
    ways = ways_of(condition)
    if ways is None:
        return None
    first: tuple[c.Test, ...] | None = None
    for way in ways:
        found = _clash([*given, *way], orders)
        if found is None:
            return None
        first = first or found
    return first


def ways_of(condition: c.Condition) -> list[list[c.Test]] | None:
    """Return the ways in which a condition can be true, each a list of tests; None where they are too many."""
    if isinstance(condition, c.Test):
        return [[condition]]
    if isinstance(condition, c.AnyOf):
        ways: list[list[c.Test]] = []
        for part in condition.parts:
            found = ways_of(part)
            if found is None or len(ways) + len(found) > BRANCHES_MAX:
                return None
            ways += found
        return ways
    ways = [[]]
    for part in condition.parts:
        found = ways_of(part)
        if found is None or len(ways) * len(found) > BRANCHES_MAX:
            return None
        ways = [[*way, *more] for way in ways for more in found]
    return ways


def _clash(tests: list[c.Test], orders: Orders) -> tuple[c.Test, ...] | None:
    upright = [_upright(test) for test in tests]
    for i, one in enumerate(upright):
        if _never(one):
            return (tests[i],)
        for j in range(i):
            if _exclude(upright[j], one, orders) or _exclude(one, upright[j], orders):
                return (tests[j], tests[i])
    return None


def _never(test: c.Test) -> bool:
    """Tell whether a count or a size is asked to be less than nothing."""
    bound = _bound(test.predicate, {})
    if bound is None or test.negated or test.each:
        return False
    left = getattr(test.predicate, "left", None)
    counts = isinstance(left, c.Count) or (isinstance(left, c.Apply) and left.function == "size")
    return counts and ((bound[0] == "<" and bound[1] <= 0) or (bound[0] == "<=" and bound[1] < 0))


def _exclude(one: c.Test, other: c.Test, orders: Orders) -> bool:
    a, b = one.predicate, other.predicate
    if one.negated != other.negated and _same(a, b):
        return {one.each, other.each} in ({""}, {"any", "all"})
    if one.each or other.each or one.negated or not _same_left(a, b):
        return False
    left = getattr(a, "left", None)
    values = _values(a)
    if values is not None:
        return all(_refuses(other, value, left, orders) for value in values)
    if other.negated:
        return False
    if isinstance(a, c.Like) and isinstance(b, c.Like) and _is_text(left):
        return not any(globs_overlap(_nfc(glob), _nfc(against)) for glob in a.globs for against in b.globs)
    first, second = _bound(a, orders), _bound(b, orders)
    if first is None or second is None or first[0][0] == second[0][0]:
        return False
    (low_op, low), (high_op, high) = (first, second) if first[0][0] == ">" else (second, first)
    return low > high or (low == high and (len(low_op) == 1 or len(high_op) == 1))


def _refuses(test: c.Test, value: Constant, left: object, orders: Orders) -> bool:
    """Tell whether a test can surely not be true of something that equals `value`."""
    predicate = test.predicate
    values = _values(predicate)
    if values is not None:
        if test.negated:
            return any(_identical(value, other) for other in values)
        return all(_differ(value, other, left) for other in values)
    if isinstance(predicate, c.Like) and _is_text(left):
        fits = isinstance(value, str) and any(glob_fits(_nfc(glob), _nfc(value)) for glob in predicate.globs)
        return fits == test.negated
    bound = _bound(predicate, orders)
    if bound is None or test.negated:
        return False
    if isinstance(value, str):
        order = _order(predicate.left, orders) if isinstance(predicate, c.Compare) else ()
        return value not in order or not _holds(order.index(value), *bound)
    return isinstance(value, bool) or not _holds(value, *bound)


def _holds(value: int | Decimal, op: str, limit: int | Decimal) -> bool:
    return {"<": value < limit, "<=": value <= limit, ">": value > limit, ">=": value >= limit}[op]


def _differ(one: Constant, other: Constant, left: object) -> bool:
    """Tell whether nothing can equal both.

    A host or an address compares in lower case and IDNA form, and an id equals a number and its digits: of
    texts that a reader may spell otherwise it is not known that they differ.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return not _identical(one, other)
    if isinstance(one, str) and isinstance(other, str):
        if isinstance(left, c.Attribute):
            return _nfc(one) != _nfc(other)
        plain = one.isascii() and other.isascii() and "[" not in one + other
        return plain and one.lower().removesuffix(".") != other.lower().removesuffix(".")
    return not isinstance(one, str) and not isinstance(other, str) and one != other


def _is_text(left: object) -> bool:
    """Tell whether a term is one text as it was sent, so that globs cover it as they stand."""
    return isinstance(left, c.Attribute) and left.name not in NO_TEXT


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
