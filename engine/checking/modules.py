"""Which files make up a policy: the root, and the modules that it uses, each taken once.

A module gives its sets, patterns, hours, tools and rules. It gives its allow rules only where every
`use` on the way from the root says `with allow`: nobody's module opens what the root did not open.
A `use` inside a group gives the group's conditions to all rules and tools of the module.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, TypeAlias

from ...grammar.messages import PolicyError
from ...grammar.syntax import NOWHERE, ForItem, Item, Policy, RuleItem, UseItem
from .report import File, Report
from .texts import glob_mistake

Find: TypeAlias = Callable[[str, str], Policy | None]
"""From a module's name and the using file's source to the parsed module, or None where there is none."""

DEPTH_MAX: Final = 64


def never(name: str, using: str) -> None:
    """Find no module."""


def pack_name(name: str) -> str:
    """Return the last part of a module's name, which its rule ids carry in front."""
    return name.replace("/", ".").rpartition(".")[2]


def gather(root: Policy, find: Find, report: Report) -> list[File]:
    """Return all files, used ones before those that use them, the root last."""
    gathered: dict[str, File] = {}
    by_pack: dict[str, File] = {}
    first = File(root, report)
    opened: list[tuple[UseItem, File, File]] = []

    def take(file: File, chain: tuple[str, ...]) -> None:
        for use, written in uses(file.policy):
            group = file.group if written is None else _conditions(file, written)
            try:
                used = find(use.name, file.source)
            except PolicyError as error:  # the module's own text is broken
                for message in error.messages:
                    report.say(message)
                continue
            if used is None:
                file.error(
                    use.at,
                    f"unknown module `{use.name}`; it is looked for beside this file, in `--path`, and among the packs",
                    "unknown-module",
                )
            elif used.source in chain or used.source == file.source:
                way = " uses ".join((*chain[(*chain, used.source).index(used.source) :], file.source, used.source))
                file.error(use.at, f"modules use each other in a circle: {way}; take one `use` away", "circle")
            elif len(chain) >= DEPTH_MAX:
                file.error(use.at, f"modules use each other more than {DEPTH_MAX} deep", "limit")
            elif used.source in gathered and not _same(gathered[used.source].group, group):
                file.error(
                    use.at,
                    f"`{use.name}` is used under other conditions as well; use it once, in a group that names them all",
                    "clash",
                )
            elif group is not None and any(isinstance(item, ForItem) for item in used.items):
                file.error(
                    use.at, f"`{use.name}` has groups of its own, and a group has none inside; use it outside", "group"
                )
            elif used.source in gathered:
                opened.append((use, file, gathered[used.source]))
            else:
                pack = pack_name(use.name)
                module = File(used, report, pack, allows=False, group=group)
                if pack in by_pack:
                    other = by_pack[pack].source
                    file.error(
                        use.at,
                        f"two modules are named `{pack}`: {other} and {used.source}; rename one of the files",
                        "clash",
                    )
                    continue
                by_pack[pack] = module
                take(module, (*chain, file.source))
                gathered[used.source] = module
                opened.append((use, file, module))

    take(first, ())
    _open(opened)
    for module in gathered.values():
        rules = 0 if module.allows else sum(1 for rule in _rules(module) if rule.effect == "allow")
        if rules:
            use, user = next((use, user) for use, user, used in opened if used is module)
            user.warn(
                use.at,
                f"{rules} allow {'rule' if rules == 1 else 'rules'} of `{module.pack}` left out;"
                f" write `use {use.name} with allow` to take {'it' if rules == 1 else 'them'}",
                "allow-left-out",
            )
    return [*gathered.values(), first]


def items(file: File) -> Iterator[tuple[Item, ForItem | None]]:
    """Return a file's items, groups unfolded, each with its group."""
    for item in file.policy.items:
        if isinstance(item, ForItem):
            for inner in item.items:
                yield inner, item
        else:
            yield item, file.group


def uses(policy: Policy) -> Iterator[tuple[UseItem, ForItem | None]]:
    """Return what a file uses, each with the group that it stands in."""
    for item in policy.items:
        if isinstance(item, UseItem):
            yield item, None
        elif isinstance(item, ForItem):
            yield from ((inner, item) for inner in item.items if isinstance(inner, UseItem))


def _conditions(file: File, group: ForItem) -> ForItem:
    """Return a group without its items, for the modules that it takes in; what is wrong with it is said here."""
    for text in (*group.agents, *group.envs):
        if glob_mistake(text.value):
            file.error(text.at, f"`{text.value}` {glob_mistake(text.value)}", "glob")
    agents, envs = (
        tuple(text for text in texts if not glob_mistake(text.value)) for texts in (group.agents, group.envs)
    )
    return replace(group, agents=agents, envs=envs, items=(), comments=(), closing=(), at=NOWHERE)


def _same(one: ForItem | None, other: ForItem | None) -> bool:
    """Tell whether two groups ask the same."""

    def asked(group: ForItem | None) -> tuple[frozenset[str], ...]:
        texts = () if group is None else (group.agents, group.envs)
        return tuple(frozenset(text.value for text in part) for part in texts)

    return asked(one) == asked(other)


def _rules(file: File) -> Iterator[RuleItem]:
    return (item for item, _ in items(file) if isinstance(item, RuleItem))


def _open(uses: list[tuple[UseItem, File, File]]) -> None:
    """Mark the modules that the root reaches through `with allow` alone."""
    changed = True
    while changed:
        changed = False
        for use, user, used in uses:
            if use.with_allow and user.allows and not used.allows:
                used.allows = changed = True
