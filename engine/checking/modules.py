"""Which files make up a policy: the root, and the modules that it uses, each taken once.

A module gives its sets, patterns, hours, tools and rules. It gives its allow rules only where every
`use` on the way from the root says `with allow`: nobody's module opens what the root did not open.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from ...grammar.messages import PolicyError
from ...grammar.syntax import ForItem, Item, Policy, RuleItem, UseItem
from .report import File, Report

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
        for use in file.policy.items:
            if not isinstance(use, UseItem):
                continue
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
            elif used.source in gathered:
                opened.append((use, file, gathered[used.source]))
            else:
                pack = pack_name(use.name)
                module = File(used, report, pack, allows=False)
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
            yield item, None


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
