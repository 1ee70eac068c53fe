"""What turns one test of a policy one way or the other: patches for situations, made of the constants of two policies.

A patch is a guess; `holds` asks the reference what a test really comes to.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from ..contract.attributes import WIRE
from . import checked as c
from .implication import ways_of
from .learned import digest_of
from .placing import Patch, after, as_it_is, at, drop_argument, placed, set_argument, then, undone, with_field
from .reference_values import read_url_host
from .samples import OTHER, PLAIN, fitting, matching, plain_value, values
from .situation import Judge, Past, Situation
from .toolsets import ToolSet
from .witness import Witness
from .wording import tests_of

NAMED: Final = "Kestrel-4711"
"""A value that nothing else says, for asking where a value comes from."""
GUESSED_MAX: Final = 12
STEP_S: Final = 1_800
WEEK_S: Final = 7 * 86_400
UNDECLARED: Final = "a_tool_that_nobody_declared"


class Patches:
    """The tools of two policies, plain calls of them, and what turns their tests."""

    def __init__(self, old: c.CheckedPolicy, new: c.CheckedPolicy) -> None:
        """Take the policies."""
        self.policies = (old, new)
        self.tools = self._tools()
        self._hours: dict[c.Hours, list[float]] = {}
        self._known: list[str] | None = None
        self.judges = [Judge(policy) for policy in self.policies]

    # ------------------------------------------------------------ tools

    def _tools(self) -> list[str]:
        found: dict[str, None] = {}
        for policy in self.policies:
            for name in policy.tools:
                found[name] = None
        patterns: list[c.ToolPattern] = []
        for policy in self.policies:
            for rules in (policy.rules, policy.result_rules):
                patterns += [tool for rule in rules for tool in rule.tools]
            patterns += [tool for agent in policy.agents for tool in agent.scope]
            patterns += [tool for tools in policy.intents.values() for tool in tools]
        for pattern in patterns:
            if pattern.kind == "name":
                found[pattern.value] = None
            elif pattern.kind == "glob" and not any(ToolSet((pattern,)).fits(name, None) for name in found):
                found[next(fitting(pattern.value))] = None
        return [*found, UNDECLARED]

    def declared(self, tool: str) -> list[c.Tool]:
        """Return every declaration of a tool in either policy."""
        return [one for policy in self.policies for one in policy.tools.get(tool, ())]

    def bases(self, tool: str) -> list[Situation]:
        """Return plain calls of a tool: for each declaration with all arguments, with the required ones, and none."""
        found = []
        for declared in self.declared(tool):
            for params in (declared.params, [param for param in declared.params if not param.optional]):
                base = Situation(tool, {param.name: plain_value(param.type) for param in params})
                for env in declared.envs or ("test",):
                    found.append(base.with_field("environment", next(fitting(env))))
        found.append(Situation(tool))
        unique = {base.key(): base for base in found}
        return list(unique.values())

    def fitting_tools(self, patterns: tuple[c.ToolPattern, ...]) -> list[str]:
        """Return tools that patterns mean, declared ones before the others."""
        fits = ToolSet(patterns)

        def meant(name: str) -> bool:
            known = self.declared(name)
            return any(fits.fits(name, tool.classes) for tool in known) if known else fits.fits(name, None) is not False

        return [name for name in self.tools if meant(name)]

    # ------------------------------------------------------------ what a test comes to

    def all_true(self, situation: Situation, tests: Iterable[c.Test], policy: c.CheckedPolicy | None) -> Situation:
        """Patch a situation until each test of a way is true, as far as some patch makes it so."""
        for test in tests:
            for patch in [as_it_is, *self.patches(test)]:
                patched = patch(situation)
                if self.holds(test, patched):
                    situation = patched
                    break
        return situation

    def holds(self, test: c.Test, situation: Situation) -> bool:
        for judge in self.judges:
            witness = judge.witness(situation)
            try:
                if witness is not None and Witness.truth(witness, test) is True:
                    return True
            except (KeyError, AssertionError):  # a test of the other policy that this one cannot read
                continue
        return False

    # ------------------------------------------------------------ patches

    def patches(self, test: c.Test) -> list[Patch]:
        """Return what turns a test one way or the other, and what takes away what it asks about."""
        predicate = test.predicate
        match predicate:
            case c.Has(argument):
                return [
                    lambda s: set_argument(s, argument.steps, "a text"),
                    lambda s: drop_argument(s, argument.steps),
                ]
            case c.From():
                return list(self._seen(predicate))
            case c.InBaseline():
                return list(self._used(predicate))
            case c.ToolFits():
                return []
            case c.InScope():
                return list(self.scoped())
            case c.InIntent():
                names = [name for policy in self.policies for name in policy.intents]
                return [with_field("session_intent", name) for name in [*names, OTHER, None]]
            case c.InHours(hours):
                return [at(now) for now in self.moments_of(hours)]
            case c.Contains(c.Listing("session.labels"), c.Constant(str(label))):
                return list(self._labelled(label))
            case c.Compare(c.Attribute("risk")):
                return list(self._risky())
        left: Any = predicate.left
        found = [patch for value in values(predicate) for patch in self._put(left, value, predicate)]
        right = getattr(predicate, "right", None)
        if right is not None and not isinstance(right, c.Constant):
            both = [
                pair
                for value in ("alike", 7)
                for pair in zip(self._put(left, value, predicate), self._put(right, value, predicate), strict=False)
            ]
            found += [then(one, other) for one, other in both]
        return [*found, *self._taken(left)]

    def _put(self, term: Any, value: Any, predicate: Any) -> list[Patch]:
        """Return what makes a term come to a value."""
        match term:
            case c.Argument(steps):
                return [lambda s: set_argument(s, steps, value)]
            case c.Keys():
                return [lambda s: self._set_keys(s, value)]
            case c.Context(steps):
                return [lambda s: s.with_field("metadata", placed(s.fields.get("metadata") or {}, steps, value))]
            case c.Listing("task.chain"):
                return [lambda s: s.with_field("task_context", {"chain": [value]})]
            case c.Count(function, tools):
                return self._counted(function, tools, value)
            case c.Apply(function, inner):
                return self._put(inner, undone(function, value), predicate)
            case c.Attribute("session.age"):
                return [lambda s: replace(s, age_s=max(0, int(value)))] if isinstance(value, int | float) else []
            case c.Attribute("session.blocks"):
                return [lambda s: replace(s, blocks=max(0, min(200, int(value))))] if isinstance(value, int) else []
            case c.Attribute("task.depth"):
                if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 20:
                    return []
                return [lambda s: s.with_field("task_context", {"chain": [f"agent-{i}" for i in range(value)]})]
            case c.Attribute(name) if name in WIRE and name != "tool":
                field, *members = WIRE[name]
                if members:
                    return [lambda s: s.with_field(field, {**(s.fields.get(field) or {}), members[0]: value})]
                return [with_field(field, value)]
        return []

    def _taken(self, term: Any) -> list[Patch]:
        """Return what takes away what a term reads."""
        match term:
            case c.Argument(steps):
                return [lambda s: drop_argument(s, steps)]
            case c.Context():
                return [with_field("metadata", None)]
            case c.Apply(_, inner):
                return self._taken(inner)
            case c.Attribute("task.depth") | c.Listing("task.chain"):
                return [with_field("task_context", None)]
            case c.Attribute(name) if name in WIRE and name != "tool":
                return [with_field(WIRE[name][0], None)]
            case c.Count():
                return [lambda s: replace(s, session=False)]
        return []

    def _set_keys(self, situation: Situation, value: Any) -> Situation:
        for declared in self.declared(situation.tool):
            for param in declared.params:
                if param.key and param.name in situation.args:
                    item = [value] if param.type.name == "list" else value
                    return replace(situation, args={**situation.args, param.name: item})
        return situation

    def _asked_about(self, left: c.Argument | c.Keys, situation: Situation) -> list[tuple[str, Any]]:
        """Return the arguments that a test asks the past of, each with every single value that it carries."""
        if isinstance(left, c.Argument):
            names = [str(left.steps[0])]
        else:
            params = [param for tool in self.declared(situation.tool) for param in tool.params]
            names = sorted({param.name for param in params if param.key})
        found = [(name, situation.args.get(name)) for name in names]
        pairs = [(name, item) for name, value in found for item in (value if isinstance(value, list) else [value])]
        return [(name, item) for name, item in pairs if item is not None]

    def _seen(self, asked: c.From) -> Iterator[Patch]:
        """Return what has the user or a tool say a value of the call, or only its host, and what does not."""

        def told(situation: Situation) -> str:
            values = [str(item) for _, item in self._asked_about(asked.left, situation)]
            if asked.by_host:
                values = [read_url_host(value) or value for value in values]
            return " and ".join(values) or NAMED

        def said(situation: Situation) -> Situation:
            situation = self._with_address(asked, situation)
            return replace(situation, said=(*situation.said, f"It is about {told(situation)} today."))

        if asked.source == "user":
            yield said
            yield lambda s: replace(s, said=())
            return
        for tool in self.fitting_tools(asked.tools)[:2]:
            args = next((base.args for base in self.bases(tool)), {})
            yield lambda s, tool=tool, args=args: replace(s, past=(*s.past, Past(tool, args, f"see {told(s)} there")))  # type: ignore[misc]
            yield lambda s, tool=tool, args=args: replace(s, past=(*s.past, Past(tool, args, "nothing")))  # type: ignore[misc]
            yield lambda s, tool=tool, args=args: replace(s, past=(*s.past, Past(tool, args, None)))  # type: ignore[misc]

    def _with_address(self, asked: c.From | c.InBaseline, situation: Situation) -> Situation:
        """Return a situation whose call carries an address of the web where a test asks for the host of one."""
        if not asked.by_host or any(read_url_host(str(item)) for _, item in self._asked_about(asked.left, situation)):
            return situation
        return self._put_known(situation, asked.left, str(PLAIN["url"]))

    def _used(self, asked: c.InBaseline) -> Iterator[Patch]:
        """Return what puts the call's values into the baseline, others in their place, and values that are in it.

        A baseline holds digests, so of its own values only those are known that somebody can guess.
        """

        def used(situation: Situation) -> Situation:
            situation = self._with_address(asked, situation)
            given = [(situation.tool, name, value) for name, value in self._asked_about(asked.left, situation)]
            if asked.by_host:
                given = [(tool, name, f"https://{read_url_host(str(value))}/") for tool, name, value in given]
            return replace(situation, baseline=tuple(dict.fromkeys((*situation.baseline, *given))))

        def others(situation: Situation) -> Situation:
            names = dict.fromkeys(name for name, _ in self._asked_about(asked.left, situation))
            return replace(situation, baseline=tuple((situation.tool, name, NAMED) for name in names))

        yield used
        yield others
        yield lambda s: replace(s, baseline=())
        for value in self._guessed():
            yield lambda s, value=value: self._put_known(s, asked.left, value)  # type: ignore[misc]

    def _guessed(self) -> list[str]:
        """Return texts of the policies' own conditions that a baseline holds for some argument."""
        if self._known is None:
            digests = {one for policy in self.policies for held in (policy.baseline or {}).values() for one in held}
            rules: list[c.Rule | c.ResultRule] = []
            for policy in self.policies:
                rules += [*policy.rules, *policy.result_rules]
            tests = (
                [test for rule in rules for test in (*tests_of(rule.when), *tests_of(rule.unless))] if digests else []
            )
            texts = {text for test in tests for text in values(test.predicate) if isinstance(text, str)}
            texts |= {text for text in PLAIN.values() if isinstance(text, str)} if digests else set()
            guesses = sorted(text for text in texts if {digest_of(text), digest_of(text, "email")} & digests)
            self._known = guesses[:GUESSED_MAX]
        return self._known

    def _put_known(self, situation: Situation, left: c.Argument | c.Keys, value: str) -> Situation:
        if isinstance(left, c.Argument):
            return set_argument(situation, left.steps, value)
        return self._set_keys(situation, value)

    def scoped(self) -> Iterator[Patch]:
        for pattern in dict.fromkeys(agent.pattern for policy in self.policies for agent in policy.agents):
            yield with_field("agent_id", next(fitting(pattern)))
        yield lambda s: s.with_field("approved_scope", [s.tool])
        yield with_field("approved_scope", [OTHER])
        yield with_field("agent_id", OTHER)
        yield with_field("agent_id", None)

    def _labelled(self, label: str) -> Iterator[Patch]:
        """Return past calls that bring a label: by declaration, by a result that matches, or by a result rule."""
        for tool in self.tools:
            args = next((base.args for base in self.bases(tool)), {})
            for declared in self.declared(tool):
                for gives in declared.yields:
                    if gives.label == label:
                        for text in [*(matching(gives.pattern) if gives.pattern else ["done"]), "nothing"]:
                            yield after(Past(tool, args, text))
        for policy in self.policies:
            for rule in policy.result_rules:
                if rule.action == "label" and rule.label == label:
                    texts = [v for test in tests_of(rule.when) for v in values(test.predicate) if isinstance(v, str)]
                    for tool in self.fitting_tools(rule.tools)[:3]:
                        args = next((base.args for base in self.bases(tool)), {})
                        yield from (after(Past(tool, args, text)) for text in [*texts, "nothing"])
        yield lambda s: replace(s, past=())

    def _counted(self, function: str, tools: tuple[c.ToolPattern, ...], value: Any) -> list[Patch]:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 200:
            return []
        ending: Any = "failed" if function == "failed" else "completed"
        found = []
        for tool in self.fitting_tools(tools)[:2]:
            args = next((base.args for base in self.bases(tool)), {})
            past = (Past(tool, args, "done", ending),) * value
            found.append(lambda s, past=past: replace(s, past=(*s.past, *past)))
        return found  # type: ignore[return-value]

    def _risky(self) -> Iterator[Patch]:
        """Return what makes risk rules apply: one by one, then all together."""
        risks = [rule for policy in self.policies for rule in policy.rules if rule.effect == "risk"]
        steps = [self._towards(rule) for rule in risks]
        yield from steps

        def all_of(situation: Situation) -> Situation:
            for step in steps:
                situation = step(situation)
            return situation

        yield all_of

    def _towards(self, rule: c.Rule) -> Patch:
        def step(situation: Situation) -> Situation:
            situation = self.all_true(situation, next(iter(ways_of(rule.when) or []), []), None)
            for test in tests_of(rule.unless):
                for patch in self.patches(test):
                    if self.holds(test, situation):
                        situation = patch(situation)
            return situation

        return step

    def moments_of(self, hours: c.Hours) -> list[float]:
        """Return moments at which hours begin and end, in the week of the plain moment."""
        if hours not in self._hours:
            start = Situation("").now
            edges: list[float] = []
            before: bool | None = None
            test = c.Test(c.InHours(hours))
            for step in range(WEEK_S // STEP_S + 1):
                inside = self.holds(test, replace(Situation("x"), now=start + step * STEP_S))
                if before is not None and inside != before:
                    edges += [start + (step - 1) * STEP_S, start + step * STEP_S]
                before = inside
            self._hours[hours] = edges[:12]
        return self._hours[hours]
