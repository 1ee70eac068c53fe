"""What the table may ask about one call: context, arguments, scope, session, provenance, the hours.

A `Call` is made for each judgement and read by the columns, each value at most once. It decides nothing.
"""

import hashlib
import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from ..contract import Request
from ..contract.attributes import ALIASES, RISK_ORDER, WIRE
from ..native.facts import Facts, TextField
from ..native.glob import match_glob
from ..native.names import nfc
from ..native.provenance import token_of
from ..native.values import ABSENT, UNKNOWN, Kind, Range, Word, argument
from .binding import NO_KINDS, Binding, Declared, glob_of
from .checked import EACH, CheckedPolicy, HoursRange
from .forms import REQUEST
from .session import Session
from .toolsets import ToolSet
from .zones import zone_of

Truth = bool | None
Steps = tuple[str | int | None, ...]

NONE_OPTIONAL: Final[frozenset[str]] = frozenset()
SCOPE_PREFIX: Final = "tool_call:"


AGENT: Final = TextField(REQUEST, *WIRE["agent"])


class Knowledge:
    """What a policy knows beside its rules, laid out once: registered agents, intents, ordered words."""

    def __init__(self, policy: CheckedPolicy) -> None:
        self.policy = policy
        self.scan_chars = policy.bounds.scan_chars
        agents = [(glob_of(agent.pattern), agent.literal, ToolSet(agent.scope)) for agent in policy.agents]
        self.agents = tuple(sorted(agents, key=lambda agent: -agent[1]))
        self.intents = {nfc(name): ToolSet(tools) for name, tools in policy.intents.items()}
        self.data = {word: Word(word, policy.data_order) for word in policy.data_order}


RISKS: Final = {word: Word(word, RISK_ORDER) for word in RISK_ORDER}
PATHS: Final = {name: (path[0], path[1:]) for name, path in WIRE.items()}
SPELLINGS: Final[dict[str, tuple[str, ...]]] = {
    member: tuple(alias for alias, known in ALIASES.items() if known == member)
    for path in WIRE.values()
    for member in path[1:]
}


class Call(Facts):
    """One request, bound, and the facts around it. `risk` is what the risk rules have summed up so far."""

    __slots__ = ()

    knowledge: Knowledge
    request: Request
    declared: Declared | None
    session: Session | None
    result: str | None

    def __init__(
        self,
        knowledge: Knowledge,
        request: Request,
        name: str,
        binding: Binding,
        session: Session | None,
        now: float,
        result: str | None = None,
    ) -> None:
        self.knowledge = knowledge
        self.request = request
        self.name = name
        declared = self.declared = binding.declared
        self.read = binding.read
        self.readable = binding.readable
        self.kinds: dict[str, Kind] = NO_KINDS if declared is None else declared.kinds
        self.optional = NONE_OPTIONAL if declared is None else declared.optional
        self.session = session
        self.now = now
        self.risk = 0
        self.result = result

    # ------------------------------------------------------------ context

    def sent(self, name: str) -> Any:
        """Return the field behind an attribute's name as it was sent, None where it was not."""
        field, members = PATHS[name]
        value = getattr(self.request, field)
        if value is None:
            return None
        for member in members:
            if not isinstance(value, dict):
                return None
            if member in value:
                value = value[member]
            else:
                value = next((value[alias] for alias in SPELLINGS[member] if alias in value), None)
        return value

    def text(self, name: str) -> Any:
        """Read an attribute that is a text: anything else, the empty text too, is UNKNOWN."""
        value = self.sent(name)
        return nfc(value) if isinstance(value, str) and value else UNKNOWN

    def attribute(self, name: str) -> Any:
        """Read one attribute of the context."""
        reader = ATTRIBUTES.get(name)
        return self.text(name) if reader is None else reader(self)

    def tool_risk(self) -> Any:
        declared = self.declared
        return UNKNOWN if declared is None else RISKS[declared.tool.risk]

    def data(self) -> Any:
        value = self.text("data")
        return UNKNOWN if value is UNKNOWN else self.knowledge.data.get(value, UNKNOWN)

    def age(self) -> Any:
        """Read how many seconds ago the session opened: at least so many, where its beginning was not seen."""
        session = self.session
        if session is None:
            return UNKNOWN
        age = Fraction(self.now) - Fraction(session.opened_at)
        return age if session.begun else Range(age, math.inf)

    def blocks(self) -> Any:
        session = self.session
        if session is None:
            return UNKNOWN
        return session.blocks if session.begun else Range(session.blocks, math.inf)

    def depth(self) -> Any:
        chain = self.sent("task.chain")
        return len(chain) if isinstance(chain, list) else UNKNOWN

    def summed_risk(self) -> int:
        return self.risk

    # ------------------------------------------------------------ arguments

    def argument(self, steps: Steps) -> Any:
        """Read one path into the arguments."""
        return argument(self.read, self.kinds, self.optional, steps) if self.readable else UNKNOWN

    def carries(self, steps: Steps) -> Truth:
        """Say whether the call carries an argument; of something unreadable on the way it is unknown."""
        value = self.argument(steps)
        if value is not UNKNOWN:
            return value is not ABSENT
        return True if self.readable and len(steps) == 1 and self.read.get(str(steps[0])) is not None else None

    def key_arguments(self) -> list[tuple[str, Any]] | None:
        """Return name and value of each key argument that the call carries, None where nobody declared the tool."""
        declared = self.declared
        if declared is None or not self.readable:
            return None
        read = [(name, self.argument((name,))) for name in declared.keys]
        return [(name, value) for name, value in read if value is not ABSENT]

    def keys(self) -> Any:
        """Read the values of all key arguments as one list."""
        carried = self.key_arguments()
        if carried is None:
            return UNKNOWN
        return [item for _, value in carried for item in (value if isinstance(value, list) else (value,))]

    # ------------------------------------------------------------ tools and scope

    def classes(self) -> frozenset[str] | None:
        """Return the classes of the call's tool, None where nobody declared it."""
        declared = self.declared
        return None if declared is None else declared.tool.classes

    def tool_fits(self, tools: ToolSet) -> Truth:
        return tools.fits(self.name, self.classes())

    def in_scope(self) -> Truth:
        """Say whether the agent is registered for the tool, cut with the scope that the request brings."""
        brings = self.request.approved_scope is not None
        if not self.knowledge.agents:
            return self.in_brought_scope()
        registered = self.in_registered_scope()
        if not brings or registered is False:
            return registered
        brought = self.in_brought_scope()
        return brought if registered or brought is False else None

    def in_brought_scope(self) -> Truth:
        scope: Any = self.request.approved_scope
        if not isinstance(scope, list):
            return None
        fits = False
        for entry in scope:
            if not isinstance(entry, str):
                return None
            fits = fits or nfc(entry.removeprefix(SCOPE_PREFIX)) == self.name
        return fits

    def in_registered_scope(self) -> Truth:
        agent = AGENT(self)
        if agent is UNKNOWN:
            return None
        longest, fits = -1, []
        for glob, literal, tools in self.knowledge.agents:
            if literal < longest:
                break
            if match_glob(glob, agent):
                longest = literal
                fits.append(self.tool_fits(tools))
        return least(fits) if fits else False

    def default_reason(self) -> str:
        """Return why the default blocks: for want of a rule, or because the tool is outside a scope."""
        scoped = bool(self.knowledge.agents) or self.request.approved_scope is not None
        return "policy_scope_violation" if scoped and self.in_scope() is not True else "no_rule_allows"

    def in_intent(self) -> Truth:
        """Say whether the tool belongs to the declared intent; one that nobody declared has no tools."""
        intent = self.text("intent")
        if intent is UNKNOWN:
            return None
        tools = self.knowledge.intents.get(intent)
        return False if tools is None else self.tool_fits(tools)

    # ------------------------------------------------------------ session

    def has_label(self, label: str) -> Truth:
        session = self.session
        if session is None:
            return None
        if label in session.labels:
            return True
        return None if not session.begun or session.may_hold(label) else False

    # ------------------------------------------------------------ where a value has been seen

    def from_user(self, value: Any, by_host: bool) -> Truth:
        """Say whether the user is known to have said a value; that they did not is never known."""
        token = token_of(value, by_host)
        if token is None or self.session is None:
            return None
        speaker = self.session.speaker()
        return True if speaker.said_memory.places(token, speaker.texts) else None

    def from_tools(self, value: Any, by_host: bool, tools: ToolSet) -> Truth:
        """Say whether a value stands in a result of some tools; that it does not takes every whole result."""
        token = token_of(value, by_host)
        session = self.session
        if token is None or session is None:
            return None
        fits = tools.remembering()
        doubt = session.results_cut or not session.whole()
        for place in session.told_memory.places(token, session.results):
            told = session.results[place]
            fit = fits(told.tool, told.classes)
            if fit:
                return True
            doubt = doubt or fit is None
        if doubt or any(not call.told and fits(call.tool, call.classes) is not False for call in session.calls):
            return None
        return False

    def in_baseline(self, value: Any, name: str, by_host: bool) -> Truth:
        """Say whether a value, or its host, was used for this tool and argument in recorded behaviour."""
        baseline = self.knowledge.policy.baseline
        if baseline is None:
            return None
        token = token_of(value, by_host)
        if token is None:
            return None
        used = baseline.get((self.name, name))
        spelled = b"host\0" + token[1].encode() if by_host else token[1].encode()
        return used is not None and hashlib.sha256(spelled).hexdigest() in used


ATTRIBUTES: Final = {
    "tool.risk": Call.tool_risk,
    "data": Call.data,
    "session.age": Call.age,
    "session.blocks": Call.blocks,
    "task.depth": Call.depth,
    "risk": Call.summed_risk,
}


def steps_of(steps: tuple[Any, ...]) -> Steps:
    """Return a path with None for each item."""
    return tuple(None if step is EACH else step for step in steps)


def least(truths: list[Truth]) -> Truth:
    """Return Kleene's and."""
    return False if False in truths else None if None in truths else True


def most(truths: list[Truth]) -> Truth:
    """Return Kleene's or."""
    return True if True in truths else None if None in truths else False


def in_hours(now: float, zone: str, ranges: tuple[HoursRange, ...], excepted: frozenset[Any]) -> bool:
    """Say whether a time lies in named hours; a range belongs to the day on which it starts."""
    local = datetime.fromtimestamp(now, UTC).astimezone(zone_of(zone))
    today = local.date()
    yesterday = today - timedelta(days=1)
    minute = local.hour * 60 + local.minute
    for span in ranges:
        if span.end > span.start:
            if span.start <= minute < span.end and today.weekday() in span.days and today not in excepted:
                return True
            continue
        if minute >= span.start and today.weekday() in span.days and today not in excepted:
            return True
        if minute < span.end and yesterday.weekday() in span.days and yesterday not in excepted:
            return True
    return False
