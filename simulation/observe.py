"""What recorded sessions did, tool by tool: how often, by whom, where, and with arguments of which shapes.

Memory grows with tools, arguments and agents, not with calls: of values only their kinds, bounds and a bounded number
of digests are kept.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from ..engine.checked import ANY, Param, Tool, Type
from ..engine.reference_values import read_email, read_path, read_url_host
from .calls import Call, RecordedSession

DISTINCT_MAX: Final = 10_000
"""So many distinct values of one argument are told apart; beyond them there are "many"."""

WORDS_MAX: Final = 6
"""An argument of at most so many short words is an `enum`, if it was seen often enough."""
WORDS_SEEN_MIN: Final = 20
_word: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,19}")


@dataclass(slots=True)
class Shape:
    """The values that one argument had: their kinds, how long and large they were, and how many were distinct.

    `kinds` are the language's type names, of items for lists; `lists` counts the values that were lists.
    """

    present: int = 0
    empty: int = 0
    lists: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    distinct: set[Any] = field(default_factory=set)
    longest: int = 0
    least: float | None = None
    most: float | None = None

    def add(self, value: Any) -> None:
        """Take in one value."""
        if value is None:
            self.empty += 1
            return
        self.present += 1
        self.lists += isinstance(value, list)
        for item in value if isinstance(value, list) else [value]:
            kind = kind_of_value(item)
            self.kinds[kind] += 1
            if kind in ("int", "number"):
                self.least = item if self.least is None else min(self.least, item)
                self.most = item if self.most is None else max(self.most, item)
            if isinstance(item, str):
                self.longest = max(self.longest, len(item))
                if len(self.distinct) < DISTINCT_MAX:
                    self.distinct.add(item if len(item) <= 64 else hash(item))

    def type(self) -> Type:
        """Return the narrowest type that all values have."""
        found = self._item()
        if self.lists and self.lists == self.present:
            return Type("list", found)
        return ANY if self.lists else found

    def _item(self) -> Type:
        kinds = set(self.kinds)
        if not kinds:
            return ANY
        if kinds <= {"int", "number"}:
            return Type("int" if kinds == {"int"} else "number")
        if len(kinds) == 1:
            (kind,) = kinds
            return self._words() if kind == "string" else Type(kind)
        return Type("string") if kinds <= TEXTS else ANY

    def _words(self) -> Type:
        words = sorted(value for value in self.distinct if isinstance(value, str))
        few = len(words) == len(self.distinct) <= WORDS_MAX and self.kinds["string"] >= WORDS_SEEN_MIN
        if few and all(_word.fullmatch(value) for value in words):
            return Type("enum", values=tuple(words))
        return Type("string")


TEXTS: Final = frozenset({"string", "email", "url", "path", "ip", "host"})


def kind_of_value(value: Any) -> str:
    """Return the name of the narrowest type of one JSON value."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "int"
        case float() | Decimal():
            return "number"
        case dict():
            return "record"
        case str():
            return _kind_of_text(value)
    return "any"


def _kind_of_text(text: str) -> str:
    if "@" in text and read_email(text) is not None:
        return "email"
    if text.startswith(("http://", "https://")) and read_url_host(text) is not None:
        return "url"
    if text.startswith("/") and read_path(text, None) is not None:
        return "path"
    return "string"


@dataclass(slots=True)
class ToolSeen:
    """One tool as it was used under one set of argument names: calls that ran, by agent, environment and session."""

    name: str
    calls: int = 0
    failed: int = 0
    sessions: int = 0
    most_in_session: int = 0
    agents: Counter[str] = field(default_factory=Counter)
    envs: Counter[str] = field(default_factory=Counter)
    shapes: dict[str, Shape] = field(default_factory=dict)
    unreadable: int = 0

    def declared(self, envs: tuple[str, ...] | None, keys: frozenset[str]) -> Tool:
        """Return a declaration that all seen calls fit."""
        params = tuple(
            Param(name, shape.type(), optional=shape.present < self.calls - self.unreadable, key=name in keys)
            for name, shape in sorted(self.shapes.items())
        )
        return Tool(self.name, envs, params, more=bool(self.unreadable), classes=frozenset({guessed_class(self.name)}))


@dataclass(slots=True)
class Observed:
    """What the picked sessions did. `tools` by environment ("" for none) and name."""

    sessions: int = 0
    calls: int = 0
    ran: int = 0
    tools: dict[tuple[str, str], ToolSeen] = field(default_factory=dict)
    agents: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    agent_sessions: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)

    def add(self, session: RecordedSession) -> None:
        """Take in one session."""
        self.sessions += 1
        here: Counter[tuple[str, str]] = Counter()
        for agent in {call.agent_id for call in session.calls if call.agent_id}:
            self.agent_sessions[agent] += 1
        for call in session.calls:
            self.calls += 1
            place = (call.suite or "", call.tool_name)
            why = reason_to_leave(call)
            if why:
                self.odd[why] += 1
                continue
            self.ran += 1
            seen = self.tools.setdefault(place, ToolSeen(call.tool_name))
            seen.calls += 1
            seen.envs[call.suite or ""] += 1
            here[place] += 1
            if call.agent_id:
                seen.agents[call.agent_id] += 1
                self.agents.setdefault(call.agent_id, set()).add(place)
            if isinstance(call.tool_args, dict):
                for name, value in call.tool_args.items():
                    seen.shapes.setdefault(name, Shape()).add(value)
            else:
                seen.unreadable += 1
        for place, count in here.items():
            self.tools[place].sessions += 1
            self.tools[place].most_in_session = max(self.tools[place].most_in_session, count)


def reason_to_leave(call: Call) -> str:
    """Return why nothing is learned from a call, "" where something is: only calls that ran and succeeded teach."""
    if not isinstance(call.tool_name, str) or not call.tool_name:
        return "named no tool"
    if not call.executed:
        return "did not run"
    if not call.ended:
        return "ended nobody knows how"
    return "failed" if call.tool_error is not None else ""


def observe(sessions: Iterable[RecordedSession]) -> Observed:
    """Return what the sessions did."""
    observed = Observed()
    for session in sessions:
        observed.add(session)
    return observed


# ---------------------------------------------------------------- guesses, which the written policy marks as such

VERBS: Final = (
    ("delete", ("delete", "remove", "drop", "cancel", "clear", "purge", "revoke", "unstar")),
    ("credential", ("password", "ssh", "credential", "token", "login", "verify", "otp")),
    ("payment", ("pay", "money", "transfer", "checkout", "refund", "purchase", "transaction")),
    ("send", ("send", "post", "mail", "share", "invite", "publish", "push", "reply", "forward", "reserve", "book")),
    ("read", ("get", "read", "list", "search", "find", "view", "fetch", "browse", "check", "look", "show", "query")),
    ("write", ("write", "create", "update", "add", "set", "append", "move", "copy", "edit", "save", "upload")),
)
KEYS: Final = frozenset({"email", "url", "path", "host", "ip"})
"""Kinds of values that say to whom or what by themselves."""
KEY_WORDS: Final = re.compile(r"(?i)(^|_)(to|cc|bcc|id|ids|recipient|recipients|account|user|email|url|path|name)s?$")


def guessed_class(name: str) -> str:
    """Return the class that a tool's name suggests: the verb at its beginning first, else any; `write` in doubt."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    reads = dict(VERBS)["read"]
    for word in words[:1]:
        if word in reads:
            return "read"
    for kind, verbs in VERBS:
        if any(word in verbs for word in words):
            return kind
    return "write"


def guessed_keys(seen: Iterable[ToolSeen]) -> Iterator[str]:
    """Return the arguments that seem to say to whom or what a call is about."""
    for tool in seen:
        for name, shape in tool.shapes.items():
            kinds = set(shape.kinds)
            if (kinds & KEYS) or (kinds and kinds <= TEXTS and KEY_WORDS.search(name)):
                yield name
