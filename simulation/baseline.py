"""The baseline of recorded behaviour: digests of `key` values with counts, and where they were seen.

The file that `write_learned` makes is read by `in baseline`. It holds no value, only SHA-256 digests of values in their
normal form, so what is short or guessable can be guessed from it: keep it as you keep the traces.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..contract import Fault, admit
from ..engine.checked import CheckedPolicy
from ..engine.learned import Baseline, key_digests
from .calls import RecordedSession, request_of
from .observe import reason_to_leave


@dataclass(slots=True)
class Seen:
    """One value of one argument: how often, in how many sessions, in which environments, of how many agents."""

    calls: int = 0
    sessions: int = 0
    envs: set[str] = field(default_factory=set)
    agents: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Recorded:
    """A baseline with its counts, by (tool, argument) and digest. `unfit` counts calls that fit no declaration."""

    values: dict[tuple[str, str], dict[str, Seen]] = field(default_factory=dict)
    sessions: int = 0
    calls: int = 0
    unfit: Counter[str] = field(default_factory=Counter)

    def add(self, policy: CheckedPolicy, session: RecordedSession) -> None:
        """Take in one session, as a policy declares its tools."""
        self.sessions += 1
        here: set[tuple[str, str, str]] = set()
        for call in session.calls:
            if reason_to_leave(call):
                continue
            request = admit(request_of(call))
            digests = None if isinstance(request, Fault) else key_digests(policy, request)
            if digests is None:
                self.unfit[str(call.tool_name)] += 1
                continue
            self.calls += 1
            for argument, digest in digests:
                seen = self.values.setdefault((call.tool_name, argument), {}).setdefault(digest, Seen())
                seen.calls += 1
                seen.sessions += (call.tool_name, argument, digest) not in here
                here.add((call.tool_name, argument, digest))
                if call.suite:
                    seen.envs.add(call.suite)
                if call.agent_id:
                    seen.agents.add(call.agent_id)

    def baseline(self) -> Baseline:
        """Return what a policy is loaded with."""
        return {place: frozenset(digests) for place, digests in self.values.items()}


def record(policy: CheckedPolicy, sessions: Iterable[RecordedSession]) -> Recorded:
    """Return the baseline of sessions under a policy's declarations; what failed or did not run teaches nothing."""
    recorded = Recorded()
    for session in sessions:
        recorded.add(policy, session)
    return recorded


def write_learned(recorded: Recorded, where: str) -> str:
    """Return the learned file as JSON, the same text for the same sessions in any order."""
    values: dict[str, dict[str, dict[str, int]]] = {}
    seen: dict[str, dict[str, dict[str, Any]]] = {}
    for (tool, argument), digests in sorted(recorded.values.items()):
        values.setdefault(tool, {})[argument] = {digest: digests[digest].calls for digest in sorted(digests)}
        seen.setdefault(tool, {})[argument] = {
            digest: {
                "sessions": digests[digest].sessions,
                "agents": len(digests[digest].agents),
                "environments": sorted(digests[digest].envs),
            }
            for digest in sorted(digests)
        }
    learned = {
        "thoth_learned": 1,
        "from": {"where": where, "sessions": recorded.sessions, "calls": recorded.calls},
        "values": values,
        "seen": seen,
    }
    return json.dumps(learned, indent=1, ensure_ascii=False) + "\n"
