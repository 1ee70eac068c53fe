"""The declared tools: what they take, and which of them a pattern fits.

At most one declaration of a tool holds in any one environment: one for everywhere, and beside it
others for environments that no two of them share.
"""

from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property
from itertools import takewhile
from typing import Final

from ...contract.attributes import RISK_ORDER
from ...grammar import syntax as s
from .. import checked as c
from .modules import items
from .names import Names
from .report import File
from .texts import glob_beginning, glob_fits, glob_mistake, globs_overlap, nfc

TYPES: Final = (
    "any", "boolean", "email", "enum", "host", "id", "int", "ip", "list", "number", "path", "record", "string", "url",
)  # fmt: skip
TEXTS: Final = frozenset({"string", "id", "email", "url", "host", "path", "ip", "enum"})
NUMBERS: Final = frozenset({"int", "number"})
TYPE_DEPTH_MAX: Final = 16


class Tools:
    """All declarations, by name; what a path of arguments has for a type in each."""

    def __init__(self) -> None:
        self.by_name: dict[str, list[tuple[c.Tool, File, s.Span]]] = {}
        self._fitting: dict[c.ToolPattern, tuple[str, ...]] = {}
        self._types: dict[tuple[int, tuple[str | int | s.Each, ...]], c.Type | str] = {}
        self._unseen: dict[tuple[c.ToolPattern, tuple[str | int | s.Each, ...]], tuple[str, ...]] = {}

    def declared(self, name: str, envs: tuple[str, ...] = ()) -> list[c.Tool]:
        """Return a tool's declarations that may hold in the environments (globs) of a rule, () for all."""
        found = (tool for tool, _, _ in self.by_name.get(nfc(name), ()))
        return [
            tool
            for tool in found
            if not envs or tool.envs is None or any(globs_overlap(a, b) for a in envs for b in tool.envs)
        ]

    def fitting(self, pattern: c.ToolPattern) -> tuple[str, ...]:
        """Return the declared tools that a pattern fits, by name."""
        if pattern not in self._fitting:
            names: Iterable[str] = self._names
            if pattern.kind == "glob":  # only those that begin as the glob does need a closer look
                beginning = glob_beginning(pattern.value)
                start = bisect_left(self._names, beginning)
                names = takewhile(lambda name: name.startswith(beginning), self._names[start:])
            self._fitting[pattern] = tuple(name for name in names if self.fits(pattern, name))
        return self._fitting[pattern]

    def fits(self, pattern: c.ToolPattern, name: str) -> bool:
        """Tell whether a pattern fits a tool that has this name, as far as is declared."""
        if pattern.kind == "name":
            return pattern.value == name
        if pattern.kind == "glob":
            return glob_fits(pattern.value, name)
        return pattern.kind == "any" or any(pattern.value in tool.classes for tool in self.declared(name))

    def type_at(self, tool: c.Tool, steps: tuple[str | int | s.Each, ...]) -> c.Type | str:
        """Return the type of a path in a tool's arguments, or as text what is wrong with the path there.

        An empty text says that the tool has no such argument.
        """
        key = (id(tool), steps)
        if key not in self._types:
            self._types[key] = _type_at(tool, steps)
        return self._types[key]

    def unseen(self, pattern: c.ToolPattern, steps: tuple[str | int | s.Each, ...]) -> tuple[str, ...]:
        """Return the tools that a pattern fits and of which no declaration has the argument."""
        key = (pattern, steps[:1])
        if key not in self._unseen:
            self._unseen[key] = tuple(
                name
                for name in self.fitting(pattern)
                if not any(tool.more or any(p.name == steps[0] for p in tool.params) for tool in self.declared(name))
            )
        return self._unseen[key]

    def overlap(self, one: c.ToolPattern, other: c.ToolPattern) -> bool:
        """Tell whether some tool may fit both patterns; where classes meet, undeclared tools may."""
        if one.kind == "name" and other.kind == "name":
            return one.value == other.value
        if one.kind != "name" and other.kind == "name":
            one, other = other, one
        if one.kind == "name":
            return self.fits(other, one.value) or (other.kind == "class" and one.value not in self.by_name)
        return not (one.kind == other.kind == "glob") or globs_overlap(one.value, other.value)

    @cached_property
    def _names(self) -> list[str]:
        return sorted(self.by_name)

    @cached_property
    def classes(self) -> frozenset[str]:
        """All classes that some tool is of."""
        return frozenset(word for found in self.by_name.values() for tool, _, _ in found for word in tool.classes)

    @cached_property
    def argument_names(self) -> frozenset[str]:
        """All arguments that some tool takes."""
        return frozenset(p.name for found in self.by_name.values() for tool, _, _ in found for p in tool.params)

    def as_checked(self) -> dict[str, tuple[c.Tool, ...]]:
        """Return the declarations as the checked policy holds them."""
        return {
            name: tuple(sorted((tool for tool, _, _ in found), key=lambda tool: sorted(tool.envs or ())))
            for name, found in self.by_name.items()
        }


def _type_at(tool: c.Tool, steps: tuple[str | int | s.Each, ...]) -> c.Type | str:
    at = next((param.type for param in tool.params if param.name == steps[0]), None)
    if at is None:
        return c.ANY if tool.more else ""
    listed = False
    for i, step in enumerate(steps[1:], 1):
        if at.name == "any":
            break
        if at.name == "record" and isinstance(step, str):
            at = c.ANY
        elif at.name == "list" and not isinstance(step, str):
            at = at.items or c.ANY
            listed = listed or isinstance(step, s.Each)
        elif at.name == "list":
            return f"`{spell(steps[:i])}` of {tool.name} is a list; write `{spell((*steps[:i], s.EACH, *steps[i:]))}`"
        else:
            return f"`{spell(steps[:i])}` of {tool.name} is {describe(at)} and has no parts"
    if at.name == "any" and any(isinstance(step, s.Each) for step in steps[1:]):
        listed = True
    return c.Type("list", items=at) if listed else at


def spell(steps: Iterable[str | int | s.Each], root: str = "args") -> str:
    """Return a path as policies write it."""
    text = root
    for step in steps:
        if isinstance(step, str):
            plain = step.isidentifier() and not (text == "args" and step == "key")
            text += f".{step}" if plain else '["' + step.replace("\\", "\\\\").replace('"', '\\"') + '"]'
        else:
            text += "[*]" if isinstance(step, s.Each) else f"[{step}]"
    return text


def describe(kind: c.Type) -> str:
    """Return a type with its article, for messages."""
    if kind.name == "list" and kind.items is not None and kind.items.name != "any":
        return f"a list of {kind.items.name}"
    article = "an" if kind.name[0] in "aeiou" and kind.name != "url" else "a"
    return f"{article} {kind.name}"


# ---------------------------------------------------------------- declarations


def declare(files: list[File], names: Names) -> Tools:
    """Return all declared tools, after saying what is wrong with their declarations."""
    tools = Tools()
    for file in files:
        for item, group in items(file):
            if not isinstance(item, s.ToolItem):
                continue
            if group is not None and group.agents:
                file.error(
                    item.at, f"a tool is the same for every agent; declare `{item.name}` outside `for agent`", "tool"
                )
            envs = tuple(dict.fromkeys(nfc(env.value) for env in group.envs)) if group is not None else ()
            _join(tools, file, item, _tool(file, item, envs or None, names))
    return tools


def _join(tools: Tools, file: File, item: s.ToolItem, tool: c.Tool) -> None:
    """Add a declaration, unless it is a repetition, or clashes with another of the same environments."""
    others = tools.by_name.setdefault(tool.name, [])
    for place, (other, other_file, other_at) in enumerate(others):
        same = (other.params, other.more, other.classes, other.risk, other.yields, other.atomic) == (
            tool.params, tool.more, tool.classes, tool.risk, tool.yields, tool.atomic,
        )  # fmt: skip
        if (other.envs is None) != (tool.envs is None):
            continue
        if other.envs is None or tool.envs is None:
            if same:
                return
        elif same:
            envs = tuple(dict.fromkeys((*other.envs, *tool.envs)))
            others[place] = (_in(other, envs), other_file, other_at)
            return
        elif not any(globs_overlap(a, b) for a in other.envs for b in tool.envs):
            continue
        where = "" if tool.envs is None else " for an environment that both have"
        file.error(
            item.at,
            f"tool `{tool.name}` is declared otherwise at {other_file.place(other_at, file)}{where};"
            " keep one of the two",
            "clash",
        )
        return
    others.append((tool, file, item.at))


def _in(tool: c.Tool, envs: tuple[str, ...]) -> c.Tool:
    return c.Tool(tool.name, envs, tool.params, tool.more, tool.classes, tool.risk, tool.yields, tool.atomic)


def _tool(file: File, item: s.ToolItem, envs: tuple[str, ...] | None, names: Names) -> c.Tool:
    params: dict[str, c.Param] = {}
    for param in item.params:
        if param.name in params:
            file.error(param.at, f"`{item.name}` has two arguments named `{param.name}`; rename one", "tool")
        key = param.key or _says(param.type, "key")
        shown = param.shown or _says(param.type, "shown")
        params[param.name] = c.Param(nfc(param.name), _type(file, param.type), param.optional, key, shown)
    if item.risk is not None and item.risk not in RISK_ORDER:
        file.error(
            item.at, f"unknown risk `{item.risk}` of {item.name}; write low, medium, high or critical", "unknown-name"
        )
    for env in envs or ():
        if glob_mistake(env):
            file.error(item.at, f"`{env}` {glob_mistake(env)}", "glob")
    yields: list[c.Yield] = []
    for written in item.yields:
        if written.pattern is None:
            yields.append(c.Yield(written.label))
        else:
            pattern = names.pattern(file, written.pattern)
            yields.append(c.Yield(written.label, pattern))
    risk = item.risk if item.risk in RISK_ORDER else "medium"
    return c.Tool(
        nfc(item.name), envs, tuple(params.values()), item.more, frozenset(item.classes), risk or "medium",
        tuple(dict.fromkeys(yields)), item.atomic,
    )  # fmt: skip


def _says(written: s.Type, word: str) -> bool:
    """Tell whether an item type carries `key` or `shown`, where the tree keeps it there."""
    return bool(getattr(written, word, False)) or (written.items is not None and _says(written.items, word))


def _type(file: File, written: s.Type, depth: int = 0) -> c.Type:
    if written.name not in TYPES:
        file.error(
            written.at,
            f"unknown type `{written.name}`{file.near(written.name, TYPES) or '; the types are ' + ', '.join(TYPES)}",
            "unknown-name",
        )
        return c.ANY
    if depth >= TYPE_DEPTH_MAX:
        file.error(written.at, f"lists stand more than {TYPE_DEPTH_MAX} deep in each other", "limit")
        return c.ANY
    if written.name == "list":
        return c.Type("list", items=_type(file, written.items, depth + 1) if written.items else c.ANY)
    if written.name == "enum":
        if not written.values:
            file.error(written.at, "an enum names its words, like `enum {open, closed}`", "tool")
        for value in dict.fromkeys(written.values):
            if written.values.count(value) > 1:
                file.error(written.at, f"`{value}` stands twice in the enum", "tool")
        return c.Type("enum", values=tuple(dict.fromkeys(nfc(value) for value in written.values)))
    return c.Type(written.name)
