"""The reference's reading of a call's arguments: bound to the declared names, checked against the declared types."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ..contract import Request
from .checked import CheckedPolicy, Param, Tool, Type
from .reference_values import fits_glob, nfc

JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass
class Bound:
    """A call's arguments by name.

    `args` as they would run; `read` as tests read them (the same, but for what a lenient policy reads
    out of texts); `problem` says why they do not fit the declaration. `readable` is False where
    positional arguments could not be given names.
    """

    tool: Tool | None
    args: dict[str, Any]
    read: dict[str, Any]
    problem: str = ""
    readable: bool = True
    lenient: tuple[str, ...] = ()
    params: dict[str, Param] = field(default_factory=dict)

    def param(self, name: Any) -> Param | None:
        return self.params.get(name)


def bind(policy: CheckedPolicy, request: Request, args: dict[str, Any] | None = None) -> Bound:
    """Bind a request's arguments, or `args` in their place, to its tool's declaration."""
    tool, problem = declaration(policy, request)
    given = request.tool_args if args is None else args
    named = given if args is not None else by_name(given, tool)
    if named is None:
        return Bound(tool, given, given, problem or ("positional arguments do not fit" if tool else ""), readable=False)
    bound = Bound(tool, named, named, problem)
    if tool is not None:
        bound.params = {param.name: param for param in tool.params}
        fit(bound, tool, policy.lenient)
    return bound


def declaration(policy: CheckedPolicy, request: Request) -> tuple[Tool | None, str]:
    """Return the tool's declaration in the request's environment, and why there is none to choose.

    A tool that is declared for environments has no declaration where the request names none, not even a
    general one: leaving the environment out must not pick the milder of two.
    """
    declared = policy.tools.get(nfc(request.tool_name), ())
    env = request.environment
    special = [tool for tool in declared if tool.envs is not None]
    if special and not (isinstance(env, str) and env):
        return None, "the tool is declared by environment, and the request names none"
    for tool in special:
        if any(fits_glob(nfc(pattern), nfc(str(env))) for pattern in tool.envs or ()):
            return tool, ""
    return next((tool for tool in declared if tool.envs is None), None), ""


def by_name(given: dict[str, Any], tool: Tool | None) -> dict[str, Any] | None:
    """Give positional arguments their declared names; None where they cannot have any.

    Positional shapes of the wire: {"args": […]}, {"args": […], "kwargs": {…}}, {"arg0": …, "arg1": …}.
    """
    declared = {param.name for param in tool.params} if tool else set()
    positional: list[Any] | None = None
    by_keyword: dict[str, Any] = {}
    if set(given) in ({"args"}, {"args", "kwargs"}) and isinstance(given["args"], list) and "args" not in declared:
        positional = given["args"]
        keywords = given.get("kwargs", {})
        if not isinstance(keywords, dict):
            return given
        by_keyword = keywords
    elif given and set(given) == {f"arg{i}" for i in range(len(given))} and not declared & set(given):
        positional = [given[f"arg{i}"] for i in range(len(given))]
    if positional is None:
        return given
    if not positional:
        return by_keyword
    if tool is None or len(positional) > len(tool.params):
        return None
    named = {param.name: value for param, value in zip(tool.params, positional, strict=False)}
    return None if set(named) & set(by_keyword) else named | by_keyword


def fit(bound: Bound, tool: Tool, lenient: bool) -> None:
    """Check bound arguments against the declaration; note the first problem, in the declaration's order."""
    problems: list[str] = []
    read: dict[str, Any] = dict(bound.args)
    loose: list[str] = []
    for param in tool.params:
        value = bound.args.get(param.name)
        if lenient and param.optional and isinstance(value, str) and value in ("", "null"):
            loose.append(param.name)
            del read[param.name]
        elif param.name not in bound.args:
            if not param.optional:
                problems.append(f"`{param.name}` is missing")
        elif value is None and param.optional:
            del read[param.name]
        else:
            read[param.name] = typed(value, param.type, lenient, param.name, problems, loose)
    if not tool.more:
        problems.extend(f"`{name}` is not declared" for name in sorted(set(bound.args) - set(bound.params)))
    bound.read, bound.lenient = read, tuple(sorted(set(loose)))
    bound.problem = bound.problem or (problems[0] if problems else "")


def typed(value: Any, type_: Type, lenient: bool, path: str, problems: list[str], loose: list[str]) -> Any:
    """Return a value as its type reads it; a value of another type is a problem."""
    if type_.name == "list":
        if isinstance(value, list):
            inner = type_.items or Type("any")
            return [typed(v, inner, lenient, f"{path}[{i}]", problems, loose) for i, v in enumerate(value)]
    elif type_.name == "enum":
        if isinstance(value, str) and value in type_.values:
            return value
    elif FITS[type_.name](value):
        return value
    elif lenient and isinstance(value, str):
        spelled = spelled_value(value, type_.name)
        if spelled is not None:
            loose.append(path)
            return spelled
    problems.append(f"`{path}` is not {ARTICLE.get(type_.name, 'a')} {type_.name}")
    return value


def spelled_value(text: str, type_name: str) -> Any:
    """Return the number or boolean that a text spells in JSON's way, if it is of the type."""
    if type_name == "boolean":
        return {"true": True, "false": False}.get(text)
    if type_name in ("int", "number") and len(text) <= 1300 and JSON_NUMBER.fullmatch(text):
        try:
            number = int(text) if text.lstrip("-").isdigit() else float(text)
        except (ValueError, OverflowError):
            return None
        return number if FITS[type_name](number) else None
    return None


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) != float("inf")


def is_integer(value: Any) -> bool:
    return is_number(value) and Fraction(value).denominator == 1


def is_text(value: Any) -> bool:
    return isinstance(value, str)


FITS: dict[str, Callable[[Any], bool]] = {
    "any": lambda value: True,
    "string": is_text,
    "email": is_text,
    "url": is_text,
    "host": is_text,
    "path": is_text,
    "ip": is_text,
    "id": lambda value: is_text(value) or (isinstance(value, int) and not isinstance(value, bool)),
    "int": is_integer,
    "number": is_number,
    "boolean": lambda value: isinstance(value, bool),
    "record": lambda value: isinstance(value, dict),
}
ARTICLE = {"int": "an", "id": "an", "email": "an", "ip": "an", "enum": "one of its", "any": "an"}
