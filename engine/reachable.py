"""Which tools an agent could ever be allowed to call, whatever the arguments, the session and the time.

An over-approximation: a condition counts as possible unless what is fixed for a run (agent, user, tenant,
environment, server, intent and the like) makes it false. So False is certain, and True is not. It is meant for lists
of tools: a tool is left out of one only where every call of it would be blocked.
"""

from collections.abc import Mapping
from typing import Any, Final

from ..contract import Effect, Fault, Mode, admit
from . import checked as c
from .reference import posture
from .reference_binding import bind
from .reference_conditions import holds
from .reference_facts import Facts

FIXED: Final = frozenset(
    ("tool", "tool.risk", "server", "agent", "user", "tenant", "env", "intent", "task.initiated_by", "task.id")
)
"""Attributes that are the same for every call of a tool in one run."""

FIXED_TESTS: Final = (c.ToolFits, c.InScope, c.InIntent)


def could_be_let_through(policy: c.CheckedPolicy, request: Mapping[str, Any]) -> bool:
    """Say whether any call of the tool in `request` could pass; `request` holds the fields that are fixed for a run.

    It is False only where the policy blocks by default, the mode enforces that, and no `allow` can apply.
    """
    admitted = admit({**request, "tool_args": {}})
    if isinstance(admitted, Fault):
        return True
    if policy.default is Effect.ALLOW or posture(policy, admitted) != {Mode.BLOCK}:
        return True
    facts = Facts(policy, admitted, bind(policy, admitted), None, 0.0)
    return any(
        rule.effect == Effect.ALLOW
        and facts.tool_fits(rule.tools) is not False
        and _possible(rule.when, facts)
        and not _certain(rule.unless, facts)
        for rule in policy.rules
    )


def _possible(condition: c.Condition, facts: Facts) -> bool:
    match condition:
        case c.AllOf(parts):
            return all(_possible(part, facts) for part in parts)
        case c.AnyOf(parts):
            return any(_possible(part, facts) for part in parts)
        case c.Test():
            return not _fixed(condition) or holds(condition, facts) is not False


def _certain(condition: c.Condition, facts: Facts) -> bool:
    match condition:
        case c.AllOf(parts):
            return all(_certain(part, facts) for part in parts)
        case c.AnyOf(parts):
            return any(_certain(part, facts) for part in parts)
        case c.Test():
            return _fixed(condition) and holds(condition, facts) is True


def _fixed(test: c.Test) -> bool:
    """Whether a test reads nothing but what is fixed for a run."""
    predicate = test.predicate
    if isinstance(predicate, FIXED_TESTS):
        return True
    if isinstance(predicate, c.Has | c.From | c.InBaseline | c.InHours):
        return False
    terms = [predicate.left, *([predicate.right] if isinstance(predicate, c.Compare | c.Affix | c.Contains) else [])]
    return all(
        isinstance(term, c.Constant)
        or (isinstance(term, c.Attribute) and term.name in FIXED)
        or (isinstance(term, c.Listing) and term.name == "class")
        for term in terms
    )
