"""What a policy counts across sessions, and so which sessions must be replayed together.

A session keeps its own counts and labels. Limits by agent, user, tenant or argument, and the ladder of the progressive
mode, count over many: two sessions that share such a key share a counter. Those that share none, even by way of
others, are groups that may be replayed apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ..contract import Mode
from ..engine.checked import CheckedPolicy
from .calls import Call

BY_ARGUMENT: Final = "an argument"
FIELDS: Final = ("tenant", "user", "agent")
LEDGERS: Final = 64


def counted_by(*policies: CheckedPolicy) -> tuple[str, ...]:
    """Return what the policies count by across sessions, of agent, user, tenant and an argument; () if by nothing."""
    found: set[str] = set()
    for policy in policies:
        for rule in policy.rules:
            if rule.limit is not None and rule.limit.by != "session":
                found.add(rule.limit.by if isinstance(rule.limit.by, str) else BY_ARGUMENT)
        if policy.mode.kind == "from_request" or policy.mode.mode is Mode.PROGRESSIVE:
            found.add("agent")  # the ladder counts by tenant, agent and user together: agents share at least as much
    return tuple(sorted(found))


@dataclass(slots=True)
class Groups:
    """Joins what shares a counter: every key of a session is in one group, and so is every session of a key."""

    by: tuple[str, ...]
    parents: list[int] = field(default_factory=list)
    nodes: dict[tuple[str, str], int] = field(default_factory=dict)

    def join(self, node: int, call: Call) -> int:
        """Join a call's keys to a session's node (-1: none yet) and return the node."""
        for key in self._keys(call):
            other = self.nodes.get(key)
            if other is None:
                other = self.nodes[key] = len(self.parents)
                self.parents.append(other)
            node = other if node < 0 else self._united(node, other)
        return node

    def group(self, node: int) -> int:
        """Return the group of a node: the first key of it, counted in the order of the recording."""
        parents = self.parents
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    @property
    def count(self) -> int:
        """Return how many groups there are."""
        return sum(parent == node for node, parent in enumerate(self.parents))

    def _united(self, one: int, other: int) -> int:
        first, second = sorted((self.group(one), self.group(other)))
        self.parents[second] = first
        return first

    def _keys(self, call: Call) -> Iterator[tuple[str, str]]:
        if BY_ARGUMENT in self.by:
            yield BY_ARGUMENT, ""  # one value may stand in any session, so all are one group
        for name, value in (("tenant", call.tenant_id), ("user", call.user_id), ("agent", call.agent_id or "")):
            if name in self.by:
                yield name, value


def said_of_jobs(by: tuple[str, ...], groups: int, jobs: int) -> str:
    """Return in words why so many jobs can work, "" where nothing stands in the way."""
    if not by:
        return ""
    words = " and ".join(by)
    if BY_ARGUMENT in by:
        return f"the policy counts by {words}, which any session may share: this is one job, whatever `--jobs` says"
    if groups < jobs:
        are = f"{groups} groups" if groups != 1 else "one group"
        return f"the policy counts by {words}, and the sessions are {are} of it: {groups} of {jobs} jobs can work"
    return f"the policy counts by {words}: sessions that share one are replayed together, in the order of time"
