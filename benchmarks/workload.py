"""The rules and requests that every engine of the benchmark gets: one generator, one seed, the same for all.

A rule names one tool and asks one to six further conditions of distinct attributes; 30 % of the rules restrict, the
others allow. One condition of each rule is narrow (an agent, a folder, a service: one value in thousands), the others
are of any kind. Half of the requests are made to come under a rule drawn evenly from all, and where that restricts,
under an allow as well if both can be; of the others every second one misses a rule by a single condition, and the rest
is drawn freely.

Only the standard library is used, so that a peer's own environment can read this file. Everything here is data: how a
rule is spelled for a peer stands in that peer's driver.
"""

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Final, NamedTuple

SEED: Final = 20_261
RESTRICTING: Final = 0.3
TOOLS_MAX: Final = 500
KINDS: Final = ("is", "in", "between", "at least", "at most", "under", "like", "matches", "any in", "all in")

ENVS = ("prod", "staging", "dev", "test")
REGIONS = ("eu", "us", "ap", "sa")
COLOURS = ("blue", "green", "red", "grey")
SERVERS = tuple(f"mcp-{number:02}" for number in range(20))
CURRENCIES = ("EUR", "USD", "GBP", "CHF", "JPY", "SEK", "NOK", "DKK")
TAGS = tuple(f"tag-{number:02}" for number in range(24))
PURPOSES = tuple(f"purpose-{number:02}" for number in range(60))
AMOUNT_MAX = 10_000
COUNT_MAX = 500


def sample_sets(name: str, items: tuple[str, ...], least: int, most: int) -> dict[str, tuple[str, ...]]:
    drawn = random.Random(f"{SEED} {name}")
    sets = (sorted(drawn.sample(items, drawn.randint(least, most))) for _ in range(40))
    return {f"{name}_{number:02}": tuple(items) for number, items in enumerate(sets)}


TAG_SETS: Final = sample_sets("tags", TAGS, 12, 20)
PURPOSE_SETS: Final = sample_sets("purposes", PURPOSES, 4, 8)
NAMED: Final = {items: name for name, items in (TAG_SETS | PURPOSE_SETS).items()}
"""Longer lists are sets with names, shared by many rules, as one would write them."""


class Condition(NamedTuple):
    """One test: `kind` is one of `KINDS`; `value` a text, a number, a list, or the two ends of a range."""

    attribute: str
    kind: str
    value: Any


class Rule(NamedTuple):
    """One rule: `effect` is allow, step_up, defer or block; all of its conditions must hold."""

    id: str
    effect: str
    tool: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """Where an attribute stands on the wire, how a value is drawn, and its type where it is an argument."""

    name: str
    path: tuple[str, ...]
    draw: Callable[[random.Random], Any]
    type: str = ""


def agent(drawn: random.Random) -> str:
    return f"team-{drawn.randrange(2_000):04}-bot-{drawn.randrange(5)}"


def folder(drawn: random.Random) -> str:
    return f"/srv/area-{drawn.randrange(100):02}/project-{drawn.randrange(100):02}"


def file(drawn: random.Random) -> str:
    return f"{folder(drawn)}/part-{drawn.randrange(10)}/{drawn.randrange(1_000_000)}.txt"


def service(drawn: random.Random) -> str:
    return f"svc-{drawn.randrange(5_000):04}-{drawn.choice(REGIONS)}-{drawn.choice(COLOURS)}"


def tags(drawn: random.Random) -> list[str]:
    return drawn.sample(TAGS, drawn.randint(1, 4))


def subject(drawn: random.Random) -> str:
    return (
        f"{drawn.choice(('invoice', 'order', 'ticket', 'refund'))} {drawn.randrange(1_000_000)} {drawn.choice(COLOURS)}"
    )


SEVEN: Final = (
    Attribute("env", ("environment",), lambda drawn: drawn.choice(ENVS)),
    Attribute("agent", ("agent_id",), agent),
    Attribute("args.amount", ("tool_args", "amount"), lambda drawn: drawn.randrange(AMOUNT_MAX), "int"),
    Attribute("args.path", ("tool_args", "path"), file, "path"),
    Attribute("args.service", ("tool_args", "service"), service, "string"),
    Attribute("args.tags", ("tool_args", "tags"), tags, "list of string"),
)
"""The seventh is the tool."""

FIFTEEN: Final = (
    *SEVEN,
    Attribute("tenant", ("tenant_id",), lambda drawn: f"tenant-{drawn.randrange(100):02}"),
    Attribute("user", ("user_id",), lambda drawn: f"user-{drawn.randrange(10_000):04}"),
    Attribute("purpose", ("purpose",), lambda drawn: drawn.choice(PURPOSES)),
    Attribute("server", ("server",), lambda drawn: drawn.choice(SERVERS)),
    Attribute("context.region", ("metadata", "region"), lambda drawn: drawn.choice(REGIONS)),
    Attribute("args.count", ("tool_args", "count"), lambda drawn: drawn.randrange(COUNT_MAX), "int"),
    Attribute("args.currency", ("tool_args", "currency"), lambda drawn: drawn.choice(CURRENCIES), "string"),
    Attribute("args.subject", ("tool_args", "subject"), subject, "string"),
)

PATHS: Final = {attribute.name: attribute.path for attribute in FIFTEEN}


# ---------------------------------------------------------------- conditions


def narrow(drawn: random.Random) -> Condition:
    """Draw a condition that one request in hundreds or thousands meets."""
    match drawn.randrange(5):
        case 0:
            return Condition("agent", "is", agent(drawn))
        case 1:
            return Condition("agent", "in", sorted(agent(drawn) for _ in range(drawn.randint(2, 6))))
        case 2:
            return Condition("agent", "like", f"team-{drawn.randrange(2_000):04}-*")
        case 3:
            return Condition("args.path", "under", folder(drawn))
        case _:
            return Condition("args.service", "like", f"svc-{drawn.randrange(5_000):04}-*")


def broad(attribute: str, drawn: random.Random) -> Condition:
    """Draw a condition on an attribute that many requests meet."""
    match attribute:
        case "env":
            if drawn.random() < 0.5:
                return Condition(attribute, "is", drawn.choice(ENVS))
            return Condition(attribute, "in", sorted(drawn.sample(ENVS, 2)))
        case "agent":
            return Condition(attribute, "like", f"team-{drawn.randrange(20):02}*")
        case "args.amount":
            return in_range(attribute, AMOUNT_MAX, drawn)
        case "args.path":
            return Condition(attribute, "under", f"/srv/area-{drawn.randrange(100):02}")
        case "args.service":
            if drawn.random() < 0.7:
                digits, places = drawn.choice(("02468", "13579", "0-4", "5-9")), drawn.sample(REGIONS, 2)
                return Condition(attribute, "matches", f"^(svc-[0-9]*[{digits}]-({'|'.join(places)})-[a-z]+)$")
            return Condition(attribute, "like", f"svc-*-{drawn.choice(REGIONS)}-{drawn.choice(COLOURS)}")
        case "args.tags":
            if drawn.random() < 0.5:
                return Condition(attribute, "any in", sorted(drawn.sample(TAGS, drawn.randint(1, 4))))
            return Condition(attribute, "all in", list(drawn.choice(list(TAG_SETS.values()))))
        case "tenant":
            return Condition(attribute, "is", f"tenant-{drawn.randrange(100):02}")
        case "user":
            return Condition(attribute, "like", f"user-{drawn.randrange(100):02}*")
        case "purpose":
            return Condition(attribute, "in", list(drawn.choice(list(PURPOSE_SETS.values()))))
        case "server":
            return Condition(attribute, "is", drawn.choice(SERVERS))
        case "context.region":
            return Condition(attribute, "in", sorted(drawn.sample(REGIONS, 2)))
        case "args.count":
            return in_range(attribute, COUNT_MAX, drawn)
        case "args.currency":
            return Condition(attribute, "in", sorted(drawn.sample(CURRENCIES, 3)))
    return Condition(attribute, "like", drawn.choice(("invoice *", "order *", "*blue", "*green")))


def in_range(attribute: str, limit: int, drawn: random.Random) -> Condition:
    low, high = sorted((drawn.randrange(limit), drawn.randrange(limit)))
    match drawn.randrange(3):
        case 0:
            return Condition(attribute, "at least", low)
        case 1:
            return Condition(attribute, "at most", high)
        case _:
            return Condition(attribute, "between", [low, high])


def holds(condition: Condition, value: Any) -> bool:
    """Say whether a condition holds of a value, the obvious way."""
    wanted = condition.value
    match condition.kind:
        case "is":
            return bool(value == wanted)
        case "in":
            return value in wanted
        case "between":
            return bool(wanted[0] <= value <= wanted[1])
        case "at least":
            return bool(value >= wanted)
        case "at most":
            return bool(value <= wanted)
        case "under":
            return value == wanted or value.startswith(wanted + "/")
        case "like":
            return fnmatchcase(value, wanted)
        case "matches":
            return re.search(wanted, value) is not None
        case "any in":
            return any(item in wanted for item in value)
        case "all in":
            return all(item in wanted for item in value)
    raise AssertionError(condition.kind)


def meet(condition: Condition, draw: Callable[[random.Random], Any], drawn: random.Random) -> Any:
    """Draw a value of which a condition holds."""
    wanted = condition.value
    match condition.kind:
        case "is":
            return wanted
        case "in":
            return drawn.choice(wanted)
        case "under":
            return f"{wanted}/{draw(drawn).removeprefix('/srv/')}"
        case "between":
            return drawn.randint(*wanted)
    for _ in range(200):
        value = draw(drawn)
        if holds(condition, value):
            return value
        if condition.kind == "like" and wanted.endswith("*") and "*" not in wanted[:-1]:
            return wanted[:-1] + value[len(wanted) - 1 :]
        if condition.kind == "all in":
            return drawn.sample(wanted, drawn.randint(1, 4))
        if condition.kind in ("at least", "at most"):
            return wanted
    if condition.kind == "like":
        first, _, last = wanted.partition("*")
        return f"{first}{drawn.randrange(5_000):04}{last}"
    raise AssertionError(condition)


# ---------------------------------------------------------------- the workload


@dataclass(frozen=True)
class Workload:
    """Rules, and as many distinct requests as one likes, each as JSON text."""

    name: str
    attributes: tuple[Attribute, ...]
    tools: tuple[str, ...]
    rules: tuple[Rule, ...]
    seed: int
    near: bool = True

    def requests(self) -> Iterator[str]:
        """Draw requests, no two alike; the n-th is always the same."""
        drawn = random.Random(f"{self.seed} {self.name} requests")
        seen: set[int] = set()
        while True:
            text = json.dumps(self._request(drawn))
            if hash(text) not in seen:
                seen.add(hash(text))
                yield text

    def first(self, count: int) -> list[str]:
        """Return the first requests."""
        upcoming = self.requests()
        return [next(upcoming) for _ in range(count)]

    def _request(self, drawn: random.Random) -> dict[str, Any]:
        values = {attribute.name: attribute.draw(drawn) for attribute in self.attributes}
        tool = drawn.choice(self.tools)
        fate = drawn.random()
        if self.near and fate < 0.75:
            rule = drawn.choice(self.rules)
            tool = rule.tool
            draws = {attribute.name: attribute.draw for attribute in self.attributes}
            met = list(rule.conditions)
            if fate >= 0.5:
                met.remove(drawn.choice(met))
            if fate < 0.5 and rule.effect != "allow":
                met += self._compatible(rule, drawn)
            for condition in met:
                values[condition.attribute] = meet(condition, draws[condition.attribute], drawn)
        return wire(tool, values, drawn)

    def _compatible(self, rule: Rule, drawn: random.Random) -> tuple[Condition, ...]:
        """Return what an allow of the same tool asks that can hold beside a restriction, so that not nothing allows."""
        asked = {condition.attribute for condition in rule.conditions}
        allows = self._allows.get(rule.tool, ())
        for other in drawn.sample(allows, min(20, len(allows))):
            if asked.isdisjoint(condition.attribute for condition in other.conditions):
                return other.conditions
        return ()

    @cached_property
    def _allows(self) -> dict[str, list[Rule]]:
        by_tool: dict[str, list[Rule]] = {}
        for rule in self.rules:
            if rule.effect == "allow":
                by_tool.setdefault(rule.tool, []).append(rule)
        return by_tool

    def neutral(self) -> dict[str, Any]:
        """Return the rules as plain JSON values, as the peers' drivers read them."""
        return {
            "name": self.name,
            "seed": self.seed,
            "attributes": {a.name: {"path": a.path, "type": a.type} for a in self.attributes},
            "tools": self.tools,
            "rules": [rule._asdict() | {"conditions": [c._asdict() for c in rule.conditions]} for rule in self.rules],
        }

    def policy(self) -> str:
        """Return the rules as policy text."""
        params = ", ".join(f"{a.name.removeprefix('args.')}: {a.type}" for a in self.attributes if a.type)
        lines = ["policy benchmark", '    approvers "ops"', ""]
        lines += [f"set {name} = {', '.join(map(quoted, items))}" for items, name in NAMED.items()]
        lines += [f"tool {tool}({params}) is act" for tool in self.tools]
        lines.append("")
        for rule in self.rules:
            asked = " and ".join(spelled(condition) for condition in rule.conditions)
            lines.append(f"{rule.effect} {rule.tool} as {rule.id} when {asked}")
        return "\n".join(lines) + "\n"


def wire(tool: str, values: dict[str, Any], drawn: random.Random) -> dict[str, Any]:
    """Return a request as it comes over the wire: some attributes at the top, others inside."""
    request: dict[str, Any] = {"request_id": f"{drawn.getrandbits(64):016x}", "tool_name": tool}
    for name, value in values.items():
        place = request
        for step in PATHS[name][:-1]:
            place = place.setdefault(step, {})
        place[PATHS[name][-1]] = value
    return request


def spelled(condition: Condition) -> str:
    """Return a condition in our policy language."""
    attribute, kind, value = condition
    match kind:
        case "is":
            return f"{attribute} is {quoted(value)}"
        case "between":
            return f"{attribute} between {value[0]} and {value[1]}"
        case "at least":
            return f"{attribute} >= {value}"
        case "at most":
            return f"{attribute} <= {value}"
        case "in":
            return f"{attribute} in {listed(value)}"
        case "any in" | "all in":
            return f"{kind[:3]} {attribute} in {listed(value)}"
    return f"{attribute} {kind} {quoted(value)}"


def quoted(text: str) -> str:
    assert '"' not in text, text
    return f'"{text}"'


def listed(texts: list[str]) -> str:
    name = NAMED.get(tuple(texts))
    return name or "{" + ", ".join(map(quoted, texts)) + "}"


def effects(rule_count: int, drawn: random.Random) -> list[str]:
    """Return the rules' effects: the share that restricts is exact, and shared evenly."""
    restricting = round(RESTRICTING * rule_count)
    made = [("block", "step_up", "defer")[number % 3] for number in range(restricting)]
    made += ["allow"] * (rule_count - restricting)
    drawn.shuffle(made)
    return made


def typical(rule_count: int, attribute_count: int = 7, seed: int = SEED) -> Workload:
    """Return the main workload: rules spread over tools, one narrow condition each, no two alike but for names."""
    drawn = random.Random(f"{seed} {rule_count} {attribute_count}")
    attributes = {7: SEVEN, 15: FIFTEEN}[attribute_count]
    names = [attribute.name for attribute in attributes]
    tools = tuple(f"tool_{number:03}" for number in range(min(TOOLS_MAX, max(5, rule_count // 10))))
    rules: list[Rule] = []
    written: set[tuple[str, str, frozenset[str]]] = set()
    for number, effect in enumerate(effects(rule_count, drawn)):
        while len(rules) == number:
            first = narrow(drawn)
            others = drawn.sample([name for name in names if name != first.attribute], drawn.randint(0, 5))
            conditions = [first, *(broad(name, drawn) for name in others)]
            drawn.shuffle(conditions)
            tool = drawn.choice(tools)
            said = effect, tool, frozenset(map(spelled, conditions))
            if said not in written:  # a rule that is written twice is one rule, to us
                written.add(said)
                rules.append(Rule(f"r{number:06}", effect, tool, tuple(conditions)))
    return Workload(f"typical-{rule_count}-{attribute_count}", attributes, tools, tuple(rules), seed)


def nothing_selective(rule_count: int, seed: int = SEED) -> Workload:
    """Return rules on one tool that test nothing but ranges and a wide glob; no request comes under any."""
    drawn = random.Random(f"{seed} {rule_count} nothing")
    rules = []
    for number, effect in enumerate(effects(rule_count, drawn)):
        low = AMOUNT_MAX + drawn.randrange(1_000_000)
        conditions = (
            Condition("env", "in", list(ENVS)),
            Condition("args.service", "like", "svc-*"),
            Condition("args.amount", "between", [low, low + drawn.randrange(1, 1_000_000)]),
        )
        rules.append(Rule(f"r{number:06}", effect, "tool_000", conditions))
    return Workload(f"nothing-{rule_count}", SEVEN, ("tool_000",), tuple(rules), seed, near=False)


def every_rule(rule_count: int, seed: int = SEED) -> Workload:
    """Return rules on one tool of which every one applies to every request."""
    drawn = random.Random(f"{seed} {rule_count} every")
    rules = []
    for number, effect in enumerate(effects(rule_count, drawn)):
        conditions = (
            Condition("env", "in", list(ENVS)),
            Condition("args.service", "like", "svc-*"),
            Condition("args.amount", "at most", AMOUNT_MAX + drawn.randrange(1_000_000)),
        )
        rules.append(Rule(f"r{number:06}", effect, "tool_000", conditions))
    return Workload(f"every-{rule_count}", SEVEN, ("tool_000",), tuple(rules), seed, near=False)


def value_of(request: dict[str, Any], attribute: str) -> Any:
    """Return an attribute of a request."""
    found: Any = request
    for step in PATHS[attribute]:
        found = found[step]
    return found


def applying(workload: Workload, request: dict[str, Any]) -> list[str]:
    """Return the ids of all rules that apply, sorted; as slow as it gets, and nobody's engine."""
    return [
        rule.id
        for rule in workload.rules
        if rule.tool == request["tool_name"]
        and all(holds(condition, value_of(request, condition.attribute)) for condition in rule.conditions)
    ]
