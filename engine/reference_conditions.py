"""The reference's reading of conditions: three values, test by test, the obvious way.

True, False, or None for unknown. A test on an argument that the call does not carry is false in either
sense; what cannot be read without guessing is unknown.
"""

from collections.abc import Callable, Iterable
from fractions import Fraction
from ipaddress import ip_network
from typing import Any

from . import checked as c
from .reference_facts import Facts
from .reference_values import (
    ABSENT,
    UNKNOWN,
    Named,
    Truth,
    all_of,
    any_of,
    equal,
    fits_glob,
    found,
    glob_for,
    less,
    negate,
    nfc,
    plain,
    read_email,
    read_ip,
    read_path,
    read_url_host,
    text_of_value,
)


def holds(condition: c.Condition, facts: Facts) -> Truth:
    """Evaluate a condition in Kleene's three values."""
    match condition:
        case c.AllOf(parts):
            return all_of([holds(part, facts) for part in parts])
        case c.AnyOf(parts):
            return any_of([holds(part, facts) for part in parts])
        case c.Test(predicate, negated, each):
            return ask(predicate, facts, negated, each)


def ask(predicate: c.Predicate, facts: Facts, negated: bool, each: str) -> Truth:
    """Answer one test. A test on an argument that the call does not carry is false in either sense."""
    match predicate:
        case c.ToolFits(tools):
            return turned(facts.tool_fits(tools), negated)
        case c.InScope():
            return turned(facts.in_scope(), negated)
        case c.InIntent():
            return turned(facts.in_intent(), negated)
        case c.InHours(hours):
            return turned(facts.in_hours(hours), negated)
        case c.Has(argument):
            return turned(carried(argument, facts), negated)
        case c.From() | c.InBaseline():
            return provenance(predicate, facts, negated, each)
    if each:
        return quantified(predicate, facts, negated, each)
    left = read(predicate.left, facts)
    return False if left is ABSENT else one(predicate, left, facts, negated)


def turned(truth: Truth, negated: bool) -> Truth:
    return negate(truth) if negated else truth


def carried(argument: c.Argument, facts: Facts) -> Truth:
    value = facts.argument(argument.steps)
    if value is UNKNOWN:
        name = argument.steps[0]
        present = facts.bound.readable and len(argument.steps) == 1 and facts.bound.read.get(str(name)) is not None
        return True if present else None
    return value is not ABSENT


def quantified(predicate: Any, facts: Facts, negated: bool, each: str) -> Truth:
    """Ask a test of every item: `any` of none is false, `all` of none is true."""
    left = predicate.left
    together = any_of if each == "any" else all_of
    if isinstance(left, c.Listing) and left.name != "task.chain":
        return listed(predicate, left, facts, negated, together)
    values = read(left, facts)
    if values is ABSENT or values is UNKNOWN:
        return False if values is ABSENT else None
    items = values if isinstance(values, list) else [values]
    truths = [False if item is ABSENT else one(predicate, item, facts, negated) for item in items]
    return any_of(truths) if each == "any" else all_of(truths)


def listed(
    predicate: Any, left: c.Listing, facts: Facts, negated: bool, together: Callable[[list[Truth]], Truth]
) -> Truth:
    """Ask a test of the call's classes or the session's labels, of which some may be uncertain."""
    if left.name == "class":
        tool = facts.bound.tool
        return (
            None if tool is None else together([one(predicate, item, facts, negated) for item in sorted(tool.classes)])
        )
    session = facts.session
    if session is None:
        return None
    truths = [one(predicate, item, facts, negated) for item in sorted(session.labels)]
    for item in sorted(session.uncertain_labels()):
        truth = one(predicate, item, facts, negated)
        truths.append(truth if truth is together([]) else None)
    return together([*truths, *([] if session.begun else [None])])


def one(predicate: Any, left: Any, facts: Facts, negated: bool) -> Truth:
    """Ask a test of one value, or of one item."""
    if isinstance(predicate, c.Contains) and isinstance(predicate.left, c.Listing):
        return turned(listing_contains(predicate, facts), negated)
    if left is UNKNOWN:
        return None
    right = read(predicate.right, facts) if isinstance(predicate, c.Compare | c.Affix | c.Contains) else None
    if right is ABSENT:
        return False
    return None if right is UNKNOWN else turned(truth_of(predicate, left, right, facts), negated)


def truth_of(predicate: Any, left: Any, right: Any, facts: Facts) -> Truth:
    """Compare two values, or one value with a test's constants."""
    match predicate:
        case c.Compare(_, "is"):
            return equal(left, right)
        case c.Compare(_, "<"):
            return less(left, right)
        case c.Compare(_, ">"):
            return less(right, left)
        case c.Compare(_, "<="):
            return negate(less(right, left))
        case c.Compare(_, ">="):
            return negate(less(left, right))
        case c.Member(_, values):
            return any_of([equal(left, constant(value.value)) for value in values])
        case c.Contains():
            if isinstance(left, list):
                return any_of([None if item is UNKNOWN else equal(item, right) for item in left if item is not ABSENT])
    text = text_of_value(left)
    if text is None:
        return None
    scanned = isinstance(predicate, c.Like | c.Matches | c.Contains)
    if scanned and len(text) > facts.policy.bounds.scan_chars:
        return None
    match predicate:
        case c.Like(_, globs):
            kind = left.kind if isinstance(left, Named) else ""
            return any(
                fits_glob(glob_for(kind, glob) if kind in ("email", "host") else nfc(glob), text) for glob in globs
            )
        case c.Matches(_, pattern):
            return found(pattern, text)
        case c.Under(_, folders):
            path = read_path(text, facts.cwd())
            return (
                None
                if path is None
                else any(f == "/" or path == f or path.startswith(f + "/") for f in map(nfc, folders))
            )
        case c.InCidr(_, networks):
            return in_networks(text, networks)
    wanted = text_of_value(right)
    if wanted is None:
        return None
    match predicate:
        case c.Affix("starts"):
            return text.startswith(wanted)
        case c.Affix("ends"):
            return text.endswith(wanted)
        case c.Contains():
            return wanted in text
    raise AssertionError(predicate)


def in_networks(text: str, networks: Iterable[str]) -> Truth:
    address = read_ip(text)
    if address is None:
        return None
    return any(address in ip_network(network) for network in networks)


def listing_contains(predicate: c.Contains, facts: Facts) -> Truth:
    word = text_of_value(read(predicate.right, facts))
    name = predicate.left.name if isinstance(predicate.left, c.Listing) else ""
    if word is None:
        return None
    if name == "session.labels":
        return facts.label(word)
    if name == "class":
        return None if facts.bound.tool is None else word in facts.bound.tool.classes
    chain = read(predicate.left, facts)
    return None if chain is UNKNOWN else any_of([None if item is UNKNOWN else equal(item, word) for item in chain])


def constant(value: Any) -> Any:
    return value if isinstance(value, bool) else plain(value)


def read(term: c.Term, facts: Facts) -> Any:
    """Read the value of a term: a value, ABSENT or UNKNOWN."""
    match term:
        case c.Constant(value):
            return constant(value)
        case c.Attribute(name):
            return facts.attribute(name)
        case c.Listing("task.chain"):
            chain = facts.sent("task.chain")
            return [plain(item) for item in chain] if isinstance(chain, list) else UNKNOWN
        case c.Listing():
            return UNKNOWN
        case c.Argument(steps):
            return facts.argument(steps)
        case c.Keys():
            return facts.keys()
        case c.Context(steps):
            return facts.context(steps)
        case c.Result():
            return UNKNOWN if facts.result is None or not is_unicode(facts.result) else plain(facts.result)
        case c.Count():
            return facts.count(term)
        case c.Apply(function, inner):
            value = read(inner, facts)
            if isinstance(value, list) and function != "size":
                return [applied(function, item) for item in value]
            return applied(function, value)
    raise AssertionError(term)


def is_unicode(text: str) -> bool:
    """Say whether a text holds no lone surrogate: JSON can spell one, and nobody can search for it."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def applied(function: str, value: Any) -> Any:
    if value is ABSENT or value is UNKNOWN:
        return value
    if function == "size" and isinstance(value, list | dict):
        return Fraction(len(value))
    text = text_of_value(value)
    if text is None:
        return UNKNOWN
    if function == "size":
        return Fraction(len(text))
    if function == "lower":
        return nfc(text.lower())
    if function == "host":
        host = read_url_host(text)
        return UNKNOWN if host is None else Named("host", host)
    address = read_email(text)
    return UNKNOWN if address is None else Named("host", address.rpartition("@")[2])


def provenance(predicate: c.From | c.InBaseline, facts: Facts, negated: bool, each: str) -> Truth:
    """Ask where the items of an argument have been seen: every one of them, unless `each` is "any".

    Of an empty list, or of no key argument, it is unknown; so is where further items come from than are looked for.
    """
    if isinstance(predicate.left, c.Keys):
        carried_keys = facts.key_arguments()
        if not carried_keys:
            return None
        items = [(name, item) for name, value in carried_keys for item in listed_items(value)]
    else:
        value = facts.argument(predicate.left.steps)
        if value is ABSENT:
            return False
        items = [(str(predicate.left.steps[0]), item) for item in listed_items(value)]
    if not items:
        return None
    if isinstance(predicate, c.From) and len(items) > c.ITEMS_SOUGHT_MAX:
        items = [*items[: c.ITEMS_SOUGHT_MAX], ("", UNKNOWN)]
    truths: list[Truth] = []
    for name, item in items:
        unreadable = item is UNKNOWN or item is ABSENT
        if unreadable or (isinstance(item, str) and len(item) > facts.policy.bounds.scan_chars):
            truths.append(None)
        elif isinstance(predicate, c.From):
            truths.append(facts.seen(item, predicate.source, predicate.tools, predicate.by_host))
        else:
            truths.append(facts.in_baseline(item, name, predicate.by_host))
    if each:
        return (any_of if each == "any" else all_of)([turned(truth, negated) for truth in truths])
    return turned(all_of(truths), negated)


def listed_items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
