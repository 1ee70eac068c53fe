"""A call's arguments as the table reads them: by name, held against the tool's declaration.

Most calls fit their declaration as they stand, and one compiled look says so; the rest of this file
is for those that do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import Any, Final

from ..native.glob import match_glob
from ..native.names import nfc
from ..native.values import Kind, fit_exactly
from .checked import Tool, Type

NO_KINDS: Final[dict[str, Kind]] = {}
SPELLED_CHARS_MAX: Final = 1300


@lru_cache(maxsize=4096)
def kind_of(type_: Type) -> Kind:
    """Return a declared type in the form in which values are read: for equal types the same one."""
    return Kind(type_.name, None if type_.items is None else kind_of(type_.items), type_.values)


def glob_of(glob: str) -> str:
    """Return a glob in NFC, without a backslash at its end that takes nothing literally."""
    glob = nfc(glob)
    slashes = len(glob) - len(glob.rstrip("\\"))
    return glob[:-1] if slashes % 2 else glob


class Declared:
    """One tool declaration, laid out: its parameters as (name, kind, optional), and who fits it."""

    __slots__ = ("envs", "keys", "kinds", "more", "number", "optional", "params", "tool")

    def __init__(self, tool: Tool, number: int) -> None:
        self.tool = tool
        self.number = number
        # What tools have in common lies in one place, so that it is at hand whichever of them is called.
        self.params = tuple((intern(param.name), kind_of(param.type), param.optional) for param in tool.params)
        self.kinds = {name: kind for name, kind, _ in self.params}
        self.optional = frozenset(name for name, _, optional in self.params if optional)
        self.keys = tuple(param.name for param in tool.params if param.key)
        self.more = tool.more
        self.envs = None if tool.envs is None else tuple(map(glob_of, tool.envs))


@dataclass(slots=True)
class Binding:
    """Arguments by name: `args` as they would run, `read` as tests read them, `problem` where they do not fit."""

    declared: Declared | None
    args: dict[str, Any]
    read: dict[str, Any]
    problem: str = ""
    readable: bool = True
    lenient: tuple[str, ...] = ()


class Declarations:
    """All declarations of a policy, by the tool's name."""

    def __init__(self, tools: Mapping[str, tuple[Tool, ...]], lenient: bool) -> None:
        self.lenient = lenient
        self.every: list[Declared] = []
        self.general: dict[str, Declared] = {}
        self.special: dict[str, tuple[Declared, ...]] = {}
        for name, tools_of_name in tools.items():
            special = []
            for tool in tools_of_name:
                declared = Declared(tool, len(self.every))
                self.every.append(declared)
                if tool.envs is not None:
                    special.append(declared)
                else:
                    self.general.setdefault(name, declared)
            if special:
                self.special[name] = tuple(special)

    def find(self, name: str, env: object) -> tuple[Declared | None, str]:
        """Return the declaration of a tool (name in NFC) in an environment, and why there is none to choose."""
        special = self.special.get(name)
        if special is not None:
            if not isinstance(env, str) or not env:
                return None, "the tool is declared by environment, and the request names none"
            env = nfc(env)
            for declared in special:
                if any(match_glob(glob, env) for glob in declared.envs or ()):
                    return declared, ""
        return self.general.get(name), ""

    def bind(self, name: str, env: object, given: dict[str, Any]) -> Binding:
        """Bind what a request carries to the declaration of its tool; positional arguments get their names first."""
        declared, problem = self.find(name, env)
        named = by_name(given, declared)
        if named is None:
            if declared is not None and not problem:
                problem = "positional arguments do not fit"
            return Binding(declared, given, given, problem, readable=False)
        return self.fit(declared, problem, named)

    def bind_named(self, name: str, env: object, args: dict[str, Any]) -> Binding:
        """Bind arguments that have their names already: those that were changed, or that have run."""
        declared, problem = self.find(name, env)
        return self.fit(declared, problem, args)

    def fit(self, declared: Declared | None, problem: str, args: dict[str, Any]) -> Binding:
        if declared is None or fit_exactly(args, declared.params, declared.more, self.lenient):
            return Binding(declared, args, args, problem)
        fitting = _Fitting(self.lenient)
        read = fitting.read(declared, args)
        return Binding(declared, args, read, problem or fitting.problem, lenient=tuple(sorted(set(fitting.loose))))


def by_name(given: dict[str, Any], declared: Declared | None) -> dict[str, Any] | None:
    """Return arguments under their declared names, None where positional ones cannot have any.

    Positional are {"args": […]}, {"args": […], "kwargs": {…}} and {"arg0": …, "arg1": …}, unless declared so.
    """
    by_keyword: dict[str, Any] = {}
    kinds = NO_KINDS if declared is None else declared.kinds
    if "args" in given:
        if "args" in kinds or not isinstance(given["args"], list) or len(given) > 2:
            return given
        if len(given) == 2:
            if "kwargs" not in given or not isinstance(given["kwargs"], dict):
                return given
            by_keyword = given["kwargs"]
        values = given["args"]
    elif "arg0" in given:
        values = []
        for place in range(len(given)):
            name = f"arg{place}"
            if name not in given or name in kinds:
                return given
            values.append(given[name])
    else:
        return given
    if not values:
        return by_keyword
    if declared is None or len(values) > len(declared.params):
        return None
    named = {param[0]: value for param, value in zip(declared.params, values, strict=False)}
    if not named.keys().isdisjoint(by_keyword):
        return None
    named.update(by_keyword)
    return named


class _Fitting:
    """One slow look at arguments: the first problem, in the declaration's order, and what was read loosely."""

    __slots__ = ("lenient", "loose", "problem")

    def __init__(self, lenient: bool) -> None:
        self.lenient = lenient
        self.problem = ""
        self.loose: list[str] = []

    def note(self, problem: str) -> None:
        self.problem = self.problem or problem

    def read(self, declared: Declared, args: dict[str, Any]) -> dict[str, Any]:
        read = dict(args)
        for name, kind, optional in declared.params:
            if name not in args:
                if not optional:
                    self.note(f"`{name}` is missing")
                continue
            value = args[name]
            if optional and value is None:
                del read[name]
            elif optional and self.lenient and isinstance(value, str) and (not value or value == "null"):
                self.loose.append(name)
                del read[name]
            else:
                read[name] = self.value(value, kind, name)
        if not declared.more:
            undeclared = sorted(name for name in args if name not in declared.kinds)
            if undeclared:
                self.note(f"`{undeclared[0]}` is not declared")
        return read

    def value(self, value: Any, kind: Kind, path: str) -> Any:
        if kind.name == "list" and isinstance(value, list):
            return [self.value(item, kind.items, f"{path}[{index}]") for index, item in enumerate(value)]
        if kind.fits(value):
            return value
        if self.lenient and isinstance(value, str):
            meant = spelled(value, kind)
            if meant is not None:
                self.loose.append(path)
                return meant
        self.note(f"`{path}` is not {ARTICLES.get(kind.name, 'a')} {kind.name}")
        return value


ARTICLES: Final = {"int": "an", "id": "an", "email": "an", "ip": "an", "any": "an", "enum": "one of its"}


def spelled(text: str, kind: Kind) -> bool | int | float | None:
    """Return the boolean or number that a text spells as JSON does, where the kind takes it."""
    if kind.name == "boolean":
        return True if text == "true" else False if text == "false" else None
    if kind.name not in ("int", "number") or len(text) > SPELLED_CHARS_MAX or not text.isascii():
        return None
    number = _json_number(text)
    return number if number is not None and kind.fits(number) else None


def _json_number(text: str) -> int | float | None:
    """Read a number by the grammar of RFC 8259; None for anything else, and beyond a double."""
    whole, point, rest = text.removeprefix("-").partition(".")
    exponent = ""
    if point:
        fraction, mark, exponent = _exponent(rest)
        if not fraction.isdigit():
            return None
    else:
        whole, mark, exponent = _exponent(whole)
    if not whole.isdigit() or (len(whole) > 1 and whole[0] == "0"):
        return None
    if mark:
        digits = exponent[1:] if exponent[:1] in ("+", "-") else exponent
        if not digits.isdigit():
            return None
    elif not point:
        return int(text)
    number = float(text)
    return None if number in (float("inf"), float("-inf")) else number


def _exponent(text: str) -> tuple[str, str, str]:
    return text.partition("e") if "e" in text else text.partition("E")
