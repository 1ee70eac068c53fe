"""Events of public clients, in their three shapes: they tell how the calls ended that were decided here.

Python sends an array, Go an object with `events`, TypeScript the same with one event in camelCase. A TOOL_CALL_POST
ends the call that `metadata.decision_id` names, or the oldest under way of its session and tool, as `metadata.ending`
says; what it carries as `metadata.result` reaches the session's memory. An event that comes again counts once.
"""

import json
from collections import OrderedDict
from collections.abc import Callable
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


def session_in(event: Any) -> Any:
    """Return which session an event is about, as it spells that."""
    return event.get("session_id", event.get("sessionId")) if isinstance(event, dict) else None


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


class Events:
    """Takes events in, each once."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._seen: OrderedDict[tuple[Any, str], None] = OrderedDict()

    def take(
        self, events: list[dict[str, Any]], asker: str, give: Callable[[EventsTaken, Exception | None], None]
    ) -> None:
        """Pair events with the calls under way that `asker` may report; `give` hears when their ends are recorded.

        Where they cannot be, the same events count again when they come again.
        """
        new: list[tuple[Any, str]] = []
        ended: list[str] = []
        for event in events:
            key = _key_of(event)
            if key in self._seen:
                continue
            self._seen[key] = None
            new.append(key)
            if len(self._seen) > SEEN_MAX:
                self._seen.popitem(last=False)
            if event["event_type"] == "TOOL_CALL_POST":
                ended += self._end(event, asker)
        taken = EventsTaken(len(new), len(events) - len(new), len(ended))

        def recorded(error: Exception | None) -> None:
            if error is not None:
                for key in new:
                    self._seen.pop(key, None)
            give(taken, error)

        self._dispatcher.recorded(ended, recorded)

    def _end(self, event: dict[str, Any], asker: str) -> list[str]:
        """End the call that an event is about; return its decision's id, or nothing where there is none."""
        metadata = event["metadata"]
        named, ending = metadata.get("decision_id"), metadata.get("ending", "completed")
        if not isinstance(named, str) or not named:
            named = self._dispatcher.under_way(event["session_id"], event.get("tool_name"), asker, event["tenant_id"])
        if named is None or not isinstance(ending, str):
            return []
        result = metadata.get("result", msgspec.UNSET)
        try:
            self._dispatcher.ended(named, ending, result, True, asker, event["tenant_id"])
        except RequestError:
            return []
        return [named]


def _key_of(event: dict[str, Any]) -> tuple[Any, str]:
    """Return what makes an event the same when it comes again."""
    id = event.get("event_id")
    if not isinstance(id, str) or not id:
        id = sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()
    return event["tenant_id"], id
