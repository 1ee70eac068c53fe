"""One spelling for what a policy means, and the digest of it: equal meaning, equal digest.

The spelling is independent of the order of rules, of sets' items and of the parts of `and` and `or`,
and of where anything stands. Whatever else the meaning depends on goes in as well: zone data, the
versions of language, Unicode, RE2 and IDNA, the detectors, and the baseline.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final

from ..contract.detectors import DETECTORS
from ..grammar.syntax import Each
from . import checked as c
from .zones import zone_bytes

LANGUAGE: Final = "1"

_LEFT_OUT: Final = frozenset({"at", "source", "because", "named", "tests", "digest", "baseline"})
_UNORDERED: Final = frozenset(
    {
        (c.Rule, "tools"), (c.Rule, "controls"), (c.ResultRule, "tools"), (c.ResultRule, "controls"),
        (c.AllOf, "parts"), (c.AnyOf, "parts"), (c.Member, "values"), (c.Like, "globs"), (c.Under, "folders"),
        (c.InCidr, "networks"), (c.From, "tools"), (c.ToolFits, "tools"), (c.Count, "tools"), (c.Ask, "approvers"),
        (c.Agent, "scope"), (c.Hours, "ranges"), (c.Tool, "envs"), (c.Tool, "yields"), (c.CheckedPolicy, "regimes"),
        (c.CheckedPolicy, "agents"), (c.CheckedPolicy, "approvers"), (c.CheckedPolicy, "rules"),
        (c.CheckedPolicy, "result_rules"),
    }
)  # fmt: skip
_FIELDS: Final[dict[type, tuple[tuple[str, bool], ...]]] = {}


NOTHING: Final[Mapping[str, Iterable[str]]] = {}


def digest(
    policy: c.CheckedPolicy, spelled: Mapping[str, Iterable[str]] = NOTHING, zones: Iterable[str] | None = None
) -> str:
    """Return the SHA-256 (hex) of a policy and of everything that its meaning depends on.

    Whoever has them already hands in the spelling of what a field holds, and the zones of `zones_of` every rule.
    """
    seal = hashlib.sha256()
    detectors = ",".join(f"{name}={kind.check}:{kind.regex}" for name, kind in sorted(DETECTORS.items()))
    for part in (*versions().values(), detectors, canonical(policy, spelled=spelled)):
        seal.update(f"{len(part)}:".encode())
        seal.update(part.encode("utf-8", "surrogatepass"))
    for zone in sorted(zones_of(*policy.rules, *policy.result_rules) if zones is None else set(zones)):
        seal.update(f"zone {zone} {hashlib.sha256(zone_bytes(zone)).hexdigest()}\n".encode())
    if policy.baseline is None:
        seal.update(b"no baseline")
    else:
        for tool, argument in sorted(policy.baseline):
            seen = "".join(sorted(policy.baseline[tool, argument]))
            line = f"{len(tool)}:{tool}{len(argument)}:{argument}{len(seen)}:{seen}\n"
            seal.update(line.encode("utf-8", "surrogatepass"))
    return seal.hexdigest()


def canonical(value: Any, without: tuple[str, ...] = (), spelled: Mapping[str, Iterable[str]] = NOTHING) -> str:
    """Return the one spelling of a checked node; texts and places for people are no part of it.

    `without` names further fields of the node itself to leave out, `spelled` has what its unordered ones hold.
    """
    kind = type(value)
    if kind is str:
        return f"{len(value)}:{value}"
    if kind is tuple:
        return "[" + ",".join([canonical(item) for item in value]) + "]"
    known = _FIELDS.get(kind)
    if known is None:
        if not is_dataclass(kind):
            return _plain(value)
        known = tuple((f.name, (kind, f.name) in _UNORDERED) for f in fields(kind) if f.name not in _LEFT_OUT)
        _FIELDS[kind] = known
    if kind is Each:
        return "*"
    parts = []
    for name, unordered in known:
        if name in without:
            continue
        if name in spelled:
            parts.append("{" + ",".join(sorted(set(spelled[name]))) + "}")
            continue
        inner = getattr(value, name)
        if unordered and inner is not None:
            parts.append("{" + ",".join(sorted({canonical(item) for item in inner})) + "}")
        else:
            parts.append(canonical(inner))
    return f"{kind.__name__}({';'.join(parts)})"


def with_id(content: str, id: str) -> str:
    """Return the spelling of a rule whose spelling without its id is `content`."""
    kind, opened, rest = content.partition("(")
    return f"{kind}{opened}{len(id)}:{id};{rest}"


def _plain(value: Any) -> str:
    """Return the spelling of what is no node: numbers by their value, so that 1.0 is 1 and `true` is not."""
    if value is None:
        return "~"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, Enum):
        return f"e{value.value}"
    if isinstance(value, str):
        return f"{len(value)}:{value}"
    if isinstance(value, int | Decimal | Fraction):
        return f"n{Fraction(value)}"
    if isinstance(value, float):
        return f"x{value.hex()}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, frozenset):
        return "{" + ",".join(sorted(canonical(item) for item in value)) + "}"
    assert isinstance(value, dict), f"no spelling for {type(value)}"
    return "{" + ",".join(sorted(f"{canonical(key)}={canonical(item)}" for key, item in value.items())) + "}"


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return what the meaning depends on beside the policy's own text, for people to read."""
    return {
        "language": LANGUAGE,
        "unicode": unicodedata.unidata_version,
        "re2": version("google-re2"),
        "idna": version("idna"),
    }


def zones_of(*rules: c.Rule | c.ResultRule) -> set[str]:
    """Return the zones of all hours that some rule asks about."""
    found: set[str] = set()
    todo: list[c.Condition] = []
    for rule in rules:
        todo += (rule.when, rule.unless)
    while todo:
        condition = todo.pop()
        if not isinstance(condition, c.Test):
            todo.extend(condition.parts)
        elif isinstance(condition.predicate, c.InHours):
            found.add(condition.predicate.hours.zone)
    return found
