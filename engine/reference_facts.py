"""What the reference knows when it judges one call: the request bound to its declaration, and the facts around it.

`Facts` answers every question that a condition can ask: arguments by their declared types, context,
scope, the session's counts and labels, where a value has been seen. Nothing here decides anything.
"""

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ..contract import Request
from ..contract.attributes import ALIASES, CWD, RISK_ORDER, UNREADABLE, WIRE
from .checked import ANY, EACH, CheckedPolicy, Count, Each, Hours, ToolPattern, Type
from .reference_binding import Bound
from .reference_values import (
    ABSENT,
    UNKNOWN,
    Named,
    Range,
    Truth,
    Word,
    all_of,
    any_of,
    fits_glob,
    nfc,
    plain,
    read_url_host,
)
from .session import Session
from .zones import zone_of


@dataclass
class Facts:
    """One request, bound, and everything that a decision about it may read."""

    policy: CheckedPolicy
    request: Request
    bound: Bound
    session: Session | None
    now: float
    risk: int = 0
    result: str | None = None

    # ------------------------------------------------------------ context

    def attribute(self, name: str) -> Any:
        """Read one attribute of the context; what the caller did not send, or sent as something else, is unknown."""
        session = self.session
        match name:
            case "risk":
                return Fraction(self.risk)
            case "tool.risk":
                tool = self.bound.tool
                return UNKNOWN if tool is None else Word(tool.risk, RISK_ORDER.index(tool.risk), RISK_ORDER)
            case "session.age":
                if session is None:
                    return UNKNOWN
                age = Fraction(self.now) - Fraction(session.opened_at)
                return age if session.begun else Range(age, math.inf)
            case "session.blocks":
                if session is None:
                    return UNKNOWN
                return Fraction(session.blocks) if session.begun else Range(Fraction(session.blocks), math.inf)
            case "task.depth":
                chain = self.sent("task.chain")
                return Fraction(len(chain)) if isinstance(chain, list) else UNKNOWN
        value = plain(self.sent(name)) if isinstance(self.sent(name), str) else UNKNOWN
        if name == "data" and value is not UNKNOWN:
            order = self.policy.data_order
            return Word(value, order.index(value), order) if value in order else UNKNOWN
        return value if value != "" else UNKNOWN

    def sent(self, name: str) -> Any:
        """Return the raw field behind an attribute's name, None where it was not sent."""
        field, *members = WIRE[name]
        value = getattr(self.request, field)
        for member in members:
            if not isinstance(value, dict):
                return None
            alias = next((a for a, known in ALIASES.items() if known == member and a in value), member)
            value = value.get(member, value.get(alias))
        return value

    def context(self, steps: tuple[str | int | Each, ...]) -> Any:
        """Read a path into the caller's metadata: what is missing is unknown, not absent."""
        found = self.follow(self.request.metadata, ANY, steps)
        return UNKNOWN if found is ABSENT else found

    # ------------------------------------------------------------ arguments

    def argument(self, steps: tuple[str | int | Each, ...]) -> Any:
        """Read one path into the arguments; with EACH in it, a list of what stands there."""
        if not self.bound.readable:
            return UNKNOWN
        declared = self.bound.param(steps[0])
        value: Any = self.bound.read.get(steps[0], ABSENT) if isinstance(steps[0], str) else UNKNOWN
        if value is ABSENT or (value is None and declared is not None and declared.optional):
            return ABSENT
        return self.follow(value, declared.type if declared else ANY, steps[1:])

    def follow(self, value: Any, type_: Type, steps: tuple[str | int | Each, ...]) -> Any:
        """Follow steps into a JSON value. A single value is a list of one where a list is asked about."""
        for place, step in enumerate(steps):
            if value is None or (isinstance(value, str) and value in UNREADABLE):
                return UNKNOWN
            if step is EACH:
                items = value if isinstance(value, list) else [value]
                inner = type_.items or ANY if type_.name == "list" else type_
                found = [self.follow(item, inner, steps[place + 1 :]) for item in items]
                if EACH not in steps[place + 1 :]:
                    return found
                return [value for one in found for value in (one if isinstance(one, list) else [one])]
            if isinstance(step, str):
                if not isinstance(value, dict):
                    return UNKNOWN
                if step not in value:
                    return ABSENT
                value, type_ = value[step], ANY
            elif isinstance(step, int):
                items = value if isinstance(value, list) else [value]
                if step >= len(items):
                    return ABSENT
                value, type_ = items[step], (type_.items or ANY if type_.name == "list" else type_)
        return self.value(value, type_)

    def value(self, value: Any, type_: Type) -> Any:
        if isinstance(value, str) and value in UNREADABLE:
            return UNKNOWN
        if isinstance(value, list):
            inner = type_.items or ANY if type_.name == "list" else ANY
            return [self.value(item, inner) for item in value]
        return plain(value, type_.name)

    def keys(self) -> Any:
        """Read `args.key`: the values of all key arguments carried, flattened; unknown for an undeclared tool."""
        carried = self.key_arguments()
        if carried is None:
            return UNKNOWN
        values: list[Any] = []
        for _, value in carried:
            values.extend(value if isinstance(value, list) else [value])
        return values

    def key_arguments(self) -> list[tuple[str, Any]] | None:
        """Return name and value of each key argument that the call carries."""
        if self.bound.tool is None or not self.bound.readable:
            return None
        keys = [param for param in self.bound.tool.params if param.key]
        read = [(param.name, self.argument((param.name,))) for param in keys]
        return [(name, value) for name, value in read if value is not ABSENT]

    # ------------------------------------------------------------ tools and scope

    def fits(self, tools: Iterable[ToolPattern], tool: str, classes: frozenset[str] | None) -> Truth:
        """Say whether a tool is one of those meant; whether an undeclared one has a class is unknown."""
        name = nfc(tool)
        truths: list[Truth] = []
        for pattern in tools:
            match pattern.kind:
                case "any":
                    truths.append(True)
                case "name":
                    truths.append(name == nfc(pattern.value))
                case "glob":
                    truths.append(fits_glob(nfc(pattern.value), name))
                case _:
                    truths.append(None if classes is None else pattern.value in classes)
        return any_of(truths)

    def tool_fits(self, tools: Iterable[ToolPattern]) -> Truth:
        """Say whether the call's tool is one of those meant."""
        tool = self.bound.tool
        return self.fits(tools, self.request.tool_name, None if tool is None else tool.classes)

    def in_scope(self) -> Truth:
        """Say whether the agent is registered for the tool, cut with the scope that the request brings."""
        brought = self.brought_scope()
        if not self.policy.agents:
            return brought
        registered = self.registered_scope()
        return registered if self.request.approved_scope is None else all_of([registered, brought])

    def brought_scope(self) -> Truth:
        scope = self.request.approved_scope
        if not isinstance(scope, list) or not all(isinstance(entry, str) for entry in scope):
            return None
        names = {nfc(entry.removeprefix("tool_call:")) for entry in scope}
        return nfc(self.request.tool_name) in names

    def registered_scope(self) -> Truth:
        agent = self.attribute("agent")
        if agent is UNKNOWN:
            return None
        fitting = [a for a in self.policy.agents if fits_glob(nfc(a.pattern), agent)]
        if not fitting:
            return False
        longest = max(a.literal for a in fitting)
        return all_of([self.tool_fits(a.scope) for a in fitting if a.literal == longest])

    def in_intent(self) -> Truth:
        """Say whether the tool belongs to the session's declared intent; an intent nobody declared has no tools."""
        intent = self.attribute("intent")
        if intent is UNKNOWN:
            return None
        declared = {nfc(name): tools for name, tools in self.policy.intents.items()}
        return self.tool_fits(declared.get(intent, ()))

    # ------------------------------------------------------------ session

    def count(self, count: Count) -> Any:
        """Count the session's calls; what is running, undeclared or no longer held makes it a range."""
        session = self.session
        if session is None:
            return Range(Fraction(0), math.inf)
        since = -math.inf if count.window_s is None else self.now - count.window_s
        low = high = 0
        for call in session.calls:
            if call.at <= since:
                continue
            fits = self.fits(count.tools, call.tool, call.classes)
            counted: Truth = True
            if count.function == "completed":
                counted = None if call.ending is None else call.completed
            elif count.function == "failed":
                counted = None if call.ending is None else call.failed
            counted = all_of([fits, counted])
            low, high = low + (counted is True), high + (counted is not False)
        missing = since < session.seen_from()
        return Range(Fraction(low), math.inf if missing else Fraction(high))

    def label(self, label: str) -> Truth:
        """Say whether the session holds a label; a result not told, or a beginning not seen, leaves it unknown."""
        session = self.session
        if session is None:
            return None
        if label in session.labels:
            return True
        return None if label in session.uncertain_labels() or not session.begun else False

    # ------------------------------------------------------------ where a value has been seen

    def seen(self, value: Any, source: str, tools: tuple[ToolPattern, ...], by_host: bool) -> Truth:
        """Say whether one scalar stands as a whole token in what the user said, or in results of `tools`."""
        token = token_of(value, by_host)
        session = self.session
        if token is None or session is None:
            return None
        if source == "user":
            return True if any(stands_in(token, text) for text in session.heard()) else None
        fitting = [(self.fits(tools, told.tool, told.classes), told.text) for told in session.results]
        hits = [fit for fit, text in fitting if fit is not False and stands_in(token, text)]
        if True in hits:
            return True
        if hits or session.results_cut or not session.whole():
            return None
        untold = [
            call for call in session.calls if not call.told and self.fits(tools, call.tool, call.classes) is not False
        ]
        return None if untold else False

    def in_baseline(self, value: Any, argument: str, by_host: bool) -> Truth:
        """Say whether one value, or its host, was used for this tool and argument in recorded behaviour."""
        baseline = self.policy.baseline
        token = token_of(value, by_host)
        if baseline is None or token is None:
            return None
        text = f"host\0{token[1]}" if by_host else token[1]
        digest = hashlib.sha256(text.encode()).hexdigest()
        return digest in baseline.get((nfc(self.request.tool_name), argument), frozenset())

    # ------------------------------------------------------------ time

    def in_hours(self, hours: Hours) -> bool:
        """Say whether now lies in the hours; a range belongs to the day on which it starts."""
        local = datetime.fromtimestamp(self.now, UTC).astimezone(zone_of(hours.zone))
        minute = local.hour * 60 + local.minute
        for back in (0, 1):
            day: date = local.date() - timedelta(days=back)
            for span in hours.ranges:
                end = span.end if span.end > span.start else span.end + 1440
                if (
                    day.weekday() in span.days
                    and day not in hours.excepted
                    and span.start <= minute + 1440 * back < end
                ):
                    return True
        return False

    def cwd(self) -> Any:
        """Return the folder that the caller says relative paths start from."""
        value: Any = self.request
        for step in CWD:
            value = value.get(step) if isinstance(value, dict) else getattr(value, step, None)
        return value


# ---------------------------------------------------------------- tokens


def token_of(value: Any, by_host: bool) -> tuple[str, str] | None:
    """Return kind and normal form of a value that can be looked for, or None where it says too little.

    Too little: shorter than three characters, a boolean, a bare number below 1,000.
    """
    if by_host:
        host = value.text if isinstance(value, Named) and value.kind == "host" else None
        if isinstance(value, str):
            host = read_url_host(value)
        return None if host is None or len(host) < 3 else ("host", host)
    if isinstance(value, Fraction):
        return None if abs(value) < 1000 else ("number", spell(value))
    if isinstance(value, Named) and value.kind in ("email", "host"):
        return (value.kind, value.text) if len(value.text) >= 3 else None
    text = value.text if isinstance(value, Named) else value
    if not isinstance(text, str) or len(text) < 3:
        return None
    number = read_number(text)
    return None if number is not None and abs(number) < 1000 else ("text", text)


def spell(number: Fraction) -> str:
    """Spell a number in one way: an integer, or numerator and denominator."""
    return str(number)


NUMBER = re.compile(r"-?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?")


def read_number(text: str) -> Fraction | None:
    """Read a number as people write it: digits, groups of three with commas, a decimal point."""
    if not NUMBER.fullmatch(text):
        return None
    return Fraction(Decimal(text.replace(",", "")))


def stands_in(token: tuple[str, str], text: str) -> bool:
    """Say whether a token stands in a text as a whole: nothing that would continue it comes before or after."""
    kind, wanted = token
    text = nfc(text)
    if kind == "number":
        for match in NUMBER.finditer(text):
            whole = edge(text, match.start()) and edge(text, match.end())
            if whole and len(match.group()) <= 1300 and spell(read_number(match.group()) or Fraction(0)) == wanted:
                return True
        return False
    local = wanted.rpartition("@")[0] if kind == "email" else ""
    haystack = ascii_lower(text) if kind in ("email", "host") else text
    needle = ascii_lower(wanted) if kind in ("email", "host") else wanted
    start = haystack.find(needle)
    while start >= 0:
        end = start + len(needle)
        same = text[start : start + len(local)] == local
        host = kind == "host"
        starts = edge(text, start) or (host and text[max(0, start - 2) : start] == "//")
        if same and starts and (edge(text, end) or (host and host_ends(text, end))):
            return True
        start = haystack.find(needle, start + 1)
    return False


def ascii_lower(text: str) -> str:
    """Lower the letters A to Z only, so that every character keeps its place."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


JOINERS = frozenset(".,-@/:+%=&#~'_$")


def word(c: str) -> bool:
    return c.isalnum() or c == "_"


def edge(text: str, place: int) -> bool:
    """Say whether a token may begin or end here: neither side goes on, directly or over one joining character."""
    before, after = text[:place][-2:], text[place : place + 2]
    if before and after and word(before[-1]) and word(after[0]):
        return False
    if len(after) == 2 and after[0] in JOINERS and word(after[1]) and before and word(before[-1]):
        return False
    return not (len(before) == 2 and before[1] in JOINERS and word(before[0]) and after and word(after[0]))


def host_ends(text: str, end: int) -> bool:
    """Say whether a host ends here inside a URL: before its path, query, fragment or port."""
    return text[end : end + 1] in ("/", "?", "#") or re.match(r":[0-9]", text[end : end + 2]) is not None
