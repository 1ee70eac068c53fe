"""From what was written to what it means: every name resolved, every type compared, or every mistake told.

Pure: modules come through `find`, the baseline is handed in, zone data comes with the `tzdata` package.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..grammar import syntax as s
from ..grammar.messages import Message, PolicyError
from . import checked as c
from .checking import examples, rules, settings
from .checking.modules import Find, gather, items, never
from .checking.names import collect
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
    files = gather(root, find, report)
    first = files[-1]
    said = settings.read(first)
    names = collect(files)
    names.data_order = said.data_order
    tools = declare(files, names)
    names.labels = _labels(files)
    names.intents = _intents(first, tools)
    agents = _agents(first, tools)
    written = (
        (file, item, group)
        for file in files
        for item, group in items(file)
        if isinstance(item, s.RuleItem | s.ResultRuleItem)
    )
    found = rules.read(written, names, tools, said.approvers)
    tests = examples.check_tests(first, tools, found, said.data_order)
    if mistakes or report.errors:
        broken = frozenset(word for file in files for word in file.policy.broken)
        raise PolicyError([*mistakes, *(m for m in report.errors if not _follows(m, broken))])
    policy = c.CheckedPolicy(
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
        tools=tools.as_checked(),
        agents=agents,
        intents=names.intents,
        rules=found.rules,
        result_rules=found.result_rules,
        tests=tests,
        baseline=None if baseline is None else dict(baseline),
    )
    warnings = sorted(report.warnings, key=lambda m: (m.source, m.at.line, m.at.column))
    return Checked(replace(policy, digest=digest(policy)), tuple(warnings))


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
