"""Events of public clients, in their three shapes: they tell how the calls ended that were decided here.

Python sends an array, Go an object with `events`, TypeScript the same with one event in camelCase. Each is about one
decision: the one that `metadata.decision_id` names, or of those that its sender had for its session and tool the
oldest that has no such event yet. A TOOL_CALL_PRE is about any, a TOOL_CALL_BLOCK about a refusal, a TOOL_CALL_POST
about a call under way, which it ends as `metadata.ending` says; what it carries as `metadata.result` reaches the
session's memory. An event that comes again counts once.
"""

import json
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import msgspec

from ..contract import Decision, Effect, Fault, RequestError
from ..contract.envelope import EventsTaken, EventTaken
from .dispatch import Dispatcher, call_of
from .resend import digest_of

SEEN_MAX: Final = 65_536
EVENTS_MAX: Final = 1_000
TYPES: Final = ("TOOL_CALL_PRE", "TOOL_CALL_POST", "TOOL_CALL_BLOCK", "LLM_INVOCATION")
PRE, POST, CLOSED, _ = TYPES
BIT: Final = {PRE: 1, CLOSED: 2}
"""Where it stands that a decision had such an event."""


def events_of(body: Any) -> list[dict[str, Any]] | Fault:
    """Return the events of a body, with names in snake_case, or what is wrong with it."""
    events = body.get("events") if isinstance(body, dict) else body
    if not isinstance(events, list):
        return Fault('a list of events, or {"events": […]}')
    if len(events) > EVENTS_MAX:
        return Fault(f"more than {EVENTS_MAX:,} events at once")
    found = []
    for place, event in enumerate(events):
        if not isinstance(event, dict):
            return Fault("an event is an object", f"[{place}]")
        plain = {_snake(name): value for name, value in event.items()}
        if plain.get("event_type") not in TYPES:
            return Fault(f"`event_type` is one of {', '.join(TYPES)}", f"[{place}]")
        for name in ("session_id", "tenant_id"):
            if not isinstance(plain.get(name), str):
                return Fault(f"`{name}` is a text", f"[{place}]")
        if not isinstance(plain.get("tool_name"), str):
            plain["tool_name"] = None  # it is about no call of ours
        metadata = plain.get("metadata")
        plain["metadata"] = {_snake(k): v for k, v in metadata.items()} if isinstance(metadata, dict) else {}
        found.append(plain)
    return found


def session_in(event: Any) -> Any:
    """Return which session an event is about, as it spells that."""
    return event.get("session_id", event.get("sessionId")) if isinstance(event, dict) else None


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


class Events:
    """Takes events in, each once."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def decided(self, decision: Decision, asker: str) -> None:
        """Note a decision that events of whoever asked may be about."""
        call = call_of(asker, decision.request)
        if call is not None:
            refused = decision.effect in (Effect.BLOCK, Effect.DEFER)
            self._dispatcher.docket.decided(call, decision.id, refused)

    def take(
        self, events: list[dict[str, Any]], asker: str, give: Callable[[EventsTaken, Exception | None], None]
    ) -> None:
        """Pair events with the decisions that `asker` had; `give` hears when the ends of calls are recorded.

        Where they cannot be, the same events count again when they come again.
        """
        new: list[bytes] = []
        ended: list[str] = []
        told: list[EventTaken] = []
        for event in events:
            id = id_of(event)
            key = _key_of(event["tenant_id"], id)
            if key in self._seen:
                continue
            self._seen[key] = None
            new.append(key)
            if len(self._seen) > SEEN_MAX:
                self._seen.popitem(last=False)
            about = self._about(event, asker)
            if about is not None and event["event_type"] == POST:
                ended.append(about)
            told.append(EventTaken(id, about))
        paired = sum(one.decision_id is not None for one in told)
        taken = EventsTaken(len(new), len(events) - len(new), paired, tuple(told))

        def recorded(error: Exception | None) -> None:
            if error is not None:
                for key in new:
                    self._seen.pop(key, None)
            give(taken, error)

        self._dispatcher.recorded(ended, recorded)

    def _about(self, event: dict[str, Any], asker: str) -> str | None:
        """Return which decision an event is about, None where none is known; the call that it ends has ended then."""
        type_ = event["event_type"]
        if type_ == POST:
            return self._end(event, asker)
        if type_ not in (PRE, CLOSED):
            return None
        named = event["metadata"].get("decision_id")
        for made in self._dispatcher.docket.made.get((asker, event["session_id"], event["tool_name"]), ()):
            if made.had & BIT[type_] or (type_ == CLOSED and not made.refused):
                continue
            if made.id == named or not isinstance(named, str) or not named:
                made.had |= BIT[type_]
                return made.id
        return None

    def _end(self, event: dict[str, Any], asker: str) -> str | None:
        """End the call that an event is about; return its decision's id, or None where there is none."""
        metadata = event["metadata"]
        named, ending = metadata.get("decision_id"), metadata.get("ending", "completed")
        if not isinstance(named, str) or not named:
            named = self._dispatcher.under_way(event["session_id"], event.get("tool_name"), asker, event["tenant_id"])
        if named is None or not isinstance(ending, str):
            return None
        result = metadata.get("result", msgspec.UNSET)
        try:
            self._dispatcher.ended(named, ending, result, True, asker, event["tenant_id"])
        except RequestError:
            return None
        return str(named)


def id_of(event: dict[str, Any]) -> str:
    """Return what an event is called: its own id, or one of what it says."""
    id = event.get("event_id")
    return id if isinstance(id, str) and id else sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()


def _key_of(tenant: str, id: str) -> bytes:
    """Return what makes an event the same when it comes again."""
    return digest_of(json.dumps([tenant, id]).encode())
