"""Events of public clients, in their three shapes: they tell how the calls ended that were decided here.

Python sends an array, Go an object with `events`, TypeScript the same with one event in camelCase. A TOOL_CALL_POST
ends the call that `metadata.decision_id` names, or the oldest under way of its session and tool, as `metadata.ending`
says; what it carries as `metadata.result` reaches the session's memory. An event that comes again counts once.
"""

import json
from collections import OrderedDict
from hashlib import sha256
from typing import Any, Final

import msgspec

from ..contract import Fault, RequestError
from ..contract.envelope import EventsTaken
from .dispatch import Dispatcher

SEEN_MAX: Final = 65_536
EVENTS_MAX: Final = 1_000
TYPES: Final = ("TOOL_CALL_PRE", "TOOL_CALL_POST", "TOOL_CALL_BLOCK", "LLM_INVOCATION")


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
        metadata = plain.get("metadata")
        plain["metadata"] = {_snake(k): v for k, v in metadata.items()} if isinstance(metadata, dict) else {}
        found.append(plain)
    return found


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


class Events:
    """Takes events in, each once."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._seen: OrderedDict[tuple[Any, str], None] = OrderedDict()

    def take(self, events: list[dict[str, Any]], asker: str) -> EventsTaken:
        """Pair events with the calls under way that `asker` asked for."""
        duplicates = paired = 0
        for event in events:
            if self._again(event):
                duplicates += 1
            elif event["event_type"] == "TOOL_CALL_POST" and self._end(event, asker):
                paired += 1
        return EventsTaken(len(events) - duplicates, duplicates, paired)

    def _again(self, event: dict[str, Any]) -> bool:
        id = event.get("event_id")
        if not isinstance(id, str) or not id:
            id = sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()
        key = event["tenant_id"], id
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return False

    def _end(self, event: dict[str, Any], asker: str) -> bool:
        metadata = event["metadata"]
        named, ending = metadata.get("decision_id"), metadata.get("ending", "completed")
        if not isinstance(named, str) or not named:
            named = self._dispatcher.under_way(event["session_id"], event.get("tool_name"), asker)
        if named is None or not isinstance(ending, str):
            return False
        try:
            self._dispatcher.ended(named, ending, metadata.get("result", msgspec.UNSET), True, asker)
        except RequestError:
            return False
        return True
