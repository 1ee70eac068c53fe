"""One recorded call, and the session it belongs to: what every source of recordings is read into.

`labels` are for scoring: a policy never sees them.
"""

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec

from ..contract import Fault, Request
from ..engine.decide import admitted
from ..engine.forms import form_of

RECORDED: Final = "recorded"
"""Tenant and user of a recorded call that names none."""
ALONE: Final = -1
"""The group of a session that shares no counter with another."""
LABELS: Final = (
    "source",
    "run_kind",
    "injection_task",
    "attack",
    "is_injection_goal",
    "goal_role",
    "user_gt",
    "injection_seen",
    "oracle_arg_in_injection",
    "utility",
    "security",
    "defense",
)


@dataclass(frozen=True, slots=True)
class Was:
    """What was decided about a call when it was made; `rules` where the recording names them."""

    effect: str
    rules: tuple[str, ...] = ()
    reason_code: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it was made, and how it went.

    `ts` is in epoch seconds. `result` is what came back, None where that was not recorded; `whole` says whether it
    is all of it. `ended` is False where nobody knows whether the call completed or failed. `brought` are labels that
    the recording says the result brought. `request` is what the enforcement point sent, where the source knows it;
    `was` what was decided then.
    """

    session_id: str
    seq: int
    ts: float
    suite: str | None
    agent_id: str | None
    tool_name: Any
    tool_args: Any
    executed: bool
    tool_error: str | None
    result: str | None
    whole: bool
    labels: dict[str, Any]
    tenant_id: str = RECORDED
    user_id: str = RECORDED
    ended: bool = True
    brought: frozenset[str] = frozenset()
    sent: Request | Fault | None = None
    was: Was | None = None
    kind: str | None = field(default=None, init=False, compare=False, repr=False)
    """What a score counts the call as (`scores.kind_of`), None where nobody has asked its labels yet."""
    request: Request | Fault | None = field(default=None, init=False, compare=False, repr=False)


CALL: Final = form_of(Call)
"""Makes calls of all their fields in order, for readers of many."""


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """One session, or a part of one: what its user asked for (None: not recorded), and its calls in order.

    `opens` and `closes` say whether its first and its last call are among them; `begun` whether the recording
    saw it begin. `place` orders the sessions of a run, and `group` says which counters it shares (`counting`).
    """

    id: str
    prompt: str | None
    calls: tuple[Call, ...]
    opens: bool = True
    closes: bool = True
    begun: bool = True
    place: int = 0
    group: int = ALONE


Laid: TypeAlias = tuple[int, str | None, bool, Call]
"""A call with its number in the recording, its session's prompt, and whether the session was seen to begin."""


def request_of(call: Call) -> dict[str, Any]:
    """Return the request that a recorded call was: what the enforcement point would have sent, and no more."""
    if isinstance(call.sent, Request):
        return {name: value for name, value in msgspec.structs.asdict(call.sent).items() if value is not None}
    return {
        "tool_name": call.tool_name,
        "tool_args": call.tool_args,
        "agent_id": call.agent_id,
        "session_id": call.session_id,
        "environment": call.suite,
        "tenant_id": call.tenant_id,
        "user_id": call.user_id,
    }


def admitted_request(call: Call) -> Request | Fault:
    """Return the request of a call as the engine takes it in; sources that have done so already keep it."""
    return call.request or call.sent or admitted(request_of(call))
