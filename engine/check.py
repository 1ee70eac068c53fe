"""From what was written to what it means: every name resolved, every type compared, or every mistake told.

Pure: modules come through `find`, the baseline is handed in, zone data comes with the `tzdata` package.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..grammar import syntax as s
from ..grammar.messages import Message, PolicyError
from . import checked as c
from .checking import examples, rules, settings
from .checking.modules import Find, gather, items, never
from .checking.names import Names, collect
from .checking.report import File, Report
from .checking.terms import tool_patterns
from .checking.texts import glob_mistake, glob_tokens, nfc
from .checking.tools import Tools, declare
from .digest import digest

_quoted = re.compile(r"`(?:args\.)?([A-Za-z_][A-Za-z0-9_.-]*)`")

__all__ = ["Checked", "Find", "check", "never"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A policy that may be loaded, and what its author should know of it all the same."""

    policy: c.CheckedPolicy
    warnings: tuple[Message, ...] = ()


def check(
    root: s.Policy,
    find: Find = never,
    *,
    baseline: Mapping[tuple[str, str], frozenset[str]] | None = None,
    mistakes: Sequence[Message] = (),
) -> Checked:
    """Return what a policy and the modules that it uses mean.

    `find(name, source)` returns the module that the file `source` uses under `name`, parsed, or None.
    `baseline` maps (tool, argument) to digests of values that recorded behaviour used. `mistakes` are those
    that reading the files has found already (a list that `find` may still add to): they are told together
    with what is wrong with the items that could be read.
    Cost: linear in the text, but for modifications of the same argument of the same tools.

    Raises:
        PolicyError: with every mistake of all files.
    """
    report = Report()
    ground = grounded(root, find, report)
    found = rules.together(
        rules.read(ground.written(), ground.names, ground.tools, ground.said.approvers), ground.tools
    )
    tests = tuple(item for item in root.items if isinstance(item, s.TestItem))
    examples.check_tests(ground.first, tests, ground.tools, found.known, ground.said.data_order)
    policy = ground.policy(found, tests, baseline, mistakes)
    return Checked(replace(policy, digest=digest(policy)), in_order(report.warnings))


@dataclass(frozen=True)
class Ground:
    """What the rules of a policy stand on: everything in its files but rules and tests."""

    report: Report
    files: list[File]
    said: settings.Settings
    names: Names
    tools: Tools
    agents: tuple[c.Agent, ...]

    @property
    def first(self) -> File:
        """The root file."""
        return self.files[-1]

    def written(self) -> Iterator[tuple[File, s.RuleItem | s.ResultRuleItem, s.ForItem | None]]:
        """Yield the rules of all files as they are written, each with its group."""
        for file in self.files:
            for item, group in items(file):
                if isinstance(item, s.RuleItem | s.ResultRuleItem):
                    yield file, item, group

    def policy(
        self,
        found: rules.Rules,
        tests: tuple[s.TestItem, ...],
        baseline: Mapping[tuple[str, str], frozenset[str]] | None,
        mistakes: Sequence[Message],
    ) -> c.CheckedPolicy:
        """Return the policy, without its digest.

        Raises:
            PolicyError: with every mistake.
        """
        if mistakes or self.report.errors:
            broken = frozenset(word for file in self.files for word in file.policy.broken)
            raise PolicyError([*mistakes, *(m for m in self.report.errors if not _follows(m, broken))])
        said = self.said
        return c.CheckedPolicy(
            name=said.name,
            version=said.version,
            regimes=said.regimes,
            default=said.default,
            mode=said.mode,
            approvers=said.approvers,
            lenient=said.lenient,
            ladder=said.ladder,
            bounds=c.Bounds(said.provenance_bytes, said.scan_chars, said.in_flight_s),
            data_order=said.data_order,
            tools=self.tools.as_checked(),
            agents=self.agents,
            intents=self.names.intents,
            rules=found.rules,
            result_rules=found.result_rules,
            tests=tests,
            baseline=None if baseline is None else dict(baseline),
        )


def grounded(root: s.Policy, find: Find, report: Report) -> Ground:
    """Return what the rules of a policy stand on, after saying what is wrong with it."""
    files = gather(root, find, report)
    first = files[-1]
    said = settings.read(first)
    names = collect(files)
    names.data_order = said.data_order
    tools = declare(files, names)
    names.labels = _labels(files)
    names.intents = _intents(first, tools)
    return Ground(report, files, said, names, tools, _agents(first, tools))


def in_order(warnings: Iterable[Message]) -> tuple[Message, ...]:
    """Return warnings as they are told: by file and place."""
    return tuple(sorted(warnings, key=lambda m: (m.source, m.at.line, m.at.column)))


def _follows(message: Message, broken: frozenset[str]) -> bool:
    """Say whether a mistake may only be there because an item that names something could not be read."""
    named = _quoted.search(message.text)
    return message.code.startswith("unknown-") and named is not None and named[1] in broken


def _labels(files: list[File]) -> frozenset[str]:
    """Return the labels that some tool yields or some result rule gives."""
    found: set[str] = set()
    for file in files:
        for item, _ in items(file):
            if isinstance(item, s.ToolItem):
                found.update(written.label for written in item.yields)
            elif isinstance(item, s.ResultRuleItem) and item.label:
                found.add(item.label)
    return frozenset(found)


def _intents(file: File, tools: Tools) -> dict[str, tuple[c.ToolPattern, ...]]:
    """Return the declared intents of the root file."""
    found: dict[str, tuple[c.ToolPattern, ...]] = {}
    for item in file.policy.items:
        if isinstance(item, s.IntentItem):
            patterns = tuple(sorted(tool_patterns(file, tools, item.tools), key=lambda p: (p.kind, p.value)))
            if item.name in found and set(found[item.name]) != set(patterns):
                file.error(item.at, f"intent `{item.name}` allows other tools above; write one list", "clash")
            found.setdefault(item.name, patterns)
    return found


def _agents(file: File, tools: Tools) -> tuple[c.Agent, ...]:
    """Return the registered agents of the root file."""
    found: dict[c.Agent, None] = {}
    for item in file.policy.items:
        if isinstance(item, s.AgentItem):
            pattern = nfc(item.pattern.value)
            if glob_mistake(pattern):
                file.error(item.pattern.at, f"`{pattern}` {glob_mistake(pattern)}", "glob")
            literal = sum(1 for token in glob_tokens(pattern) if token not in ("*", "?"))
            found[c.Agent(pattern, tool_patterns(file, tools, item.scope), literal)] = None
    return tuple(found)
