"""What a policy means: names resolved, types known, groups unfolded, `not` pushed down, nothing optional left to guess.

This is the meeting point of the room: `check` makes it, the reference evaluator walks it, `compile`
lays it out flat. Every value here is immutable.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeAlias

from ..contract import Effect, Mode
from ..grammar.syntax import EACH, NOWHERE, Each, Span, TestItem

__all__ = ["EACH", "Each"]

# ---------------------------------------------------------------- tools and values


@dataclass(frozen=True, slots=True)
class Type:
    """A parameter's type: string int number boolean id email url host path ip enum list record any."""

    name: str
    items: "Type | None" = None
    values: tuple[str, ...] = ()


ANY: Final = Type("any")


@dataclass(frozen=True, slots=True)
class Param:
    """One declared argument; `key` and `shown` hold for the whole argument, also where its items carry the word."""

    name: str
    type: Type
    optional: bool = False
    key: bool = False
    shown: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """What `matches` and `redact` look for: RE2 syntax in `regex`, or a detector's name in `detector`."""

    regex: str = ""
    detector: str = ""


@dataclass(frozen=True, slots=True)
class Yield:
    """A label that a tool's calls bring: always, or where the result matches."""

    label: str
    pattern: Pattern | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """One declaration. `envs` are the glob patterns under which it stands, or None where it holds everywhere."""

    name: str
    envs: tuple[str, ...] | None
    params: tuple[Param, ...]
    more: bool = False
    classes: frozenset[str] = frozenset()
    risk: str = "medium"
    yields: tuple[Yield, ...] = ()
    atomic: bool = False


@dataclass(frozen=True, slots=True)
class ToolPattern:
    """Which tools: kind name, glob, class or any."""

    kind: str
    value: str = "*"


# ---------------------------------------------------------------- terms


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: str, bool, int, Decimal (exact), or a duration in seconds (int)."""

    value: str | bool | int | Decimal


@dataclass(frozen=True, slots=True)
class Attribute:
    """One value of the context: tool, server, agent, user, tenant, env, intent, purpose, data, tool.risk,
    task.initiated_by, task.id, task.depth, risk, session.age (seconds), session.blocks.

    `data` and `tool.risk` are ordered words: they compare by rank (`CheckedPolicy.data_order`,
    `RISK_ORDER`), and a word outside the order is unknown.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of the context: class, session.labels, task.chain, scope is none of them (see InScope)."""

    name: str


@dataclass(frozen=True, slots=True)
class Argument:
    """A path into the arguments: names, indexes, EACH. Steps (name, …) are never empty."""

    steps: tuple[str | int | Each, ...]


@dataclass(frozen=True, slots=True)
class Keys:
    """`args.key`: the values of all `key` arguments that the call carries, lists flattened."""


@dataclass(frozen=True, slots=True)
class Context:
    """A path into the caller's metadata."""

    steps: tuple[str | int | Each, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What the tool returned, as text; in result rules only."""


@dataclass(frozen=True, slots=True)
class Apply:
    """size, lower, host or domain of a term."""

    function: str
    term: "Term"


@dataclass(frozen=True, slots=True)
class Count:
    """How many calls of the session to any of `tools` in the last `window_s`; `function` calls, completed or failed."""

    function: str
    tools: tuple[ToolPattern, ...]
    window_s: int | None = None


Term: TypeAlias = Constant | Attribute | Listing | Argument | Keys | Context | Result | Apply | Count


# ---------------------------------------------------------------- tests


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right`; op: is < <= > >=."""

    left: Term
    op: str
    right: Term


@dataclass(frozen=True, slots=True)
class Member:
    """`left in values`: equality with any of them, as `is` means it."""

    left: Term
    values: tuple[Constant, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """The whole value fits one of the globs (`*` any run, `?` one character, `\\` escapes)."""

    left: Term
    globs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """A pattern is found in the value."""

    left: Term
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Affix:
    """`starts with`, `ends with` (op: starts, ends) of strings."""

    op: str
    left: Term
    right: Term


@dataclass(frozen=True, slots=True)
class Contains:
    """A text holds a text, or a list holds an item equal to `right`."""

    left: Term
    right: Term


@dataclass(frozen=True, slots=True)
class Under:
    """The path is one of `folders` or below it; folders are plain absolute paths."""

    left: Term
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InCidr:
    """The address lies in one of the networks."""

    left: Term
    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Has:
    """The call carries the argument (null counts as absent where it is optional or undeclared-null is unknown)."""

    argument: Argument


ITEMS_SOUGHT_MAX: Final = 256
"""How many items of a list are looked for in what was said or returned; where the others come from is unknown."""


@dataclass(frozen=True, slots=True)
class From:
    """Where the value has been seen: source user or tool (`tools`); `by_host` asks it of a URL's host."""

    left: "Argument | Keys"
    source: str
    tools: tuple[ToolPattern, ...] = ()
    by_host: bool = False


@dataclass(frozen=True, slots=True)
class InBaseline:
    """Each item was used for this tool and argument in recorded behaviour; `by_host` asks it of a URL's host."""

    left: "Argument | Keys"
    by_host: bool = False


@dataclass(frozen=True, slots=True)
class ToolFits:
    """The call's tool fits one of the patterns (a class is unknown for an undeclared tool)."""

    tools: tuple[ToolPattern, ...]


@dataclass(frozen=True, slots=True)
class InScope:
    """`tool in scope`."""


@dataclass(frozen=True, slots=True)
class InIntent:
    """`tool in intent`."""


@dataclass(frozen=True, slots=True)
class HoursRange:
    """Days 0 (Monday) to 6 on which it starts, and minutes since midnight; `end` at or before `start`: next day."""

    days: frozenset[int]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hours:
    """Named hours in a zone; `excepted` are local dates on which no range starts."""

    ranges: tuple[HoursRange, ...]
    zone: str
    excepted: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True)
class InHours:
    """`now in HOURS`."""

    hours: Hours


Predicate: TypeAlias = (
    Compare
    | Member
    | Like
    | Matches
    | Affix
    | Contains
    | Under
    | InCidr
    | Has
    | From
    | InBaseline
    | ToolFits
    | InScope
    | InIntent
    | InHours
)


@dataclass(frozen=True, slots=True)
class Test:
    """One atomic test; `each` any or all asks it of every item of the predicate's left term.

    `negated` turns the answer for one item round (true and false change places); a test on an
    argument that the call does not carry is false either way, `Has` apart. The lines of `at` count
    from that of the rule, so that a rule that moves keeps its tests.
    """

    predicate: Predicate
    negated: bool = False
    each: str = ""
    at: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class AllOf:
    """Kleene's and; of none it is true."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Kleene's or; of none it is false."""

    parts: "tuple[Condition, ...]"


Condition: TypeAlias = Test | AllOf | AnyOf

TRUE: Final = AllOf(())
FALSE: Final = AnyOf(())


# ---------------------------------------------------------------- rules


@dataclass(frozen=True, slots=True)
class Change:
    """One modification: kind redact, truncate, cap, set or drop, on a path; `value` for cap, truncate and set."""

    kind: str
    path: tuple[str | int | Each, ...]
    pattern: Pattern | None = None
    text: str = ""
    value: str | bool | int | Decimal | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Who is asked, and how many distinct names must say yes."""

    approvers: tuple[str, ...]
    quorum: int


@dataclass(frozen=True, slots=True)
class Limit:
    """`amount` of calls (`of` None) or of an argument, in the last `window_s`, by `by`, else `otherwise`.

    `by` is "session", "agent", "user", "tenant" or an argument's path.
    """

    amount: Fraction
    of: Argument | None
    window_s: int
    by: str | Argument
    otherwise: Effect


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. It concerns a call whose tool fits `tools`; then `when` and `unless` decide.

    `effect` is an effect, or "limit" or "risk". A `step_up` rule always has an `ask`: the checker
    takes the policy's approvers where the rule names none, and where the policy names none either,
    `ask.approvers` is empty and the rule's effect counts as BLOCK (`approver_missing`).
    `until` and `trial_until` are epoch seconds: the rule holds while now < until; it is only recorded
    while `trial` and (trial_until is None or now < trial_until).
    """

    id: str
    effect: Effect | str
    tools: tuple[ToolPattern, ...]
    when: Condition = TRUE
    unless: Condition = FALSE
    points: int = 0
    changes: tuple[Change, ...] = ()
    ask: Ask = Ask((), 0)
    within_s: int = 900
    retry_after_s: int | None = None
    limit: Limit | None = None
    controls: tuple[str, ...] = ()
    code: str | None = None
    until: float | None = None
    trial: bool = False
    trial_until: float | None = None
    because: str = ""
    tell: str = ""
    named: bool = True
    source: str = field(default="", compare=False)
    at: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class ResultRule:
    """A rule about what a tool returned; `action` redact, withhold or label. Applies in doubt, as restrictions do."""

    id: str
    tools: tuple[ToolPattern, ...]
    action: str
    when: Condition = TRUE
    unless: Condition = FALSE
    pattern: Pattern | None = None
    text: str = ""
    label: str = ""
    controls: tuple[str, ...] = ()
    because: str = ""
    named: bool = True
    source: str = field(default="", compare=False)
    at: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Agent:
    """The tools for which agents fitting `pattern` (a glob) are registered; `literal` counts its plain characters."""

    pattern: str
    scope: tuple[ToolPattern, ...]
    literal: int


@dataclass(frozen=True, slots=True)
class ModeSetting:
    """`kind` at_least (also where the policy is silent), fixed or from_request."""

    kind: str = "at_least"
    mode: Mode = Mode.BLOCK


@dataclass(frozen=True, slots=True)
class Ladder:
    """The steps of the progressive mode: the n-th violation within `window_s` gets step n, later ones the last."""

    steps: tuple[Effect, ...] = (Effect.ALLOW, Effect.STEP_UP, Effect.STEP_UP, Effect.BLOCK)
    window_s: int = 86_400
    same_s: int = 60


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is remembered and read: bytes of what a session heard, characters of one scan, seconds in flight."""

    provenance_bytes: int = 1024 * 1024
    scan_chars: int = 64 * 1024
    in_flight_s: int = 86_400


@dataclass(frozen=True, slots=True)
class CheckedPolicy:
    """A policy that may be loaded. `rules` are in the order of the text, modules first; ids are unique.

    `tools` maps a name to its declarations, of which at most one holds in any one environment.
    `baseline` maps (tool, argument) to SHA-256 digests (hex) of values, None where none was loaded.
    `digest` (hex) covers all of it and everything that the meaning depends on.
    """

    name: str
    version: str = ""
    regimes: tuple[str, ...] = ()
    default: Effect = Effect.BLOCK
    mode: ModeSetting = ModeSetting()
    approvers: tuple[str, ...] = ()
    lenient: bool = False
    ladder: Ladder = Ladder()
    bounds: Bounds = Bounds()
    data_order: tuple[str, ...] = ("public", "internal", "confidential", "restricted")
    tools: dict[str, tuple[Tool, ...]] = field(default_factory=dict)
    agents: tuple[Agent, ...] = ()
    intents: dict[str, tuple[ToolPattern, ...]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    result_rules: tuple[ResultRule, ...] = ()
    tests: tuple[TestItem, ...] = ()
    baseline: dict[tuple[str, str], frozenset[str]] | None = None
    digest: str = ""
