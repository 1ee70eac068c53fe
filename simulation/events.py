"""Event batches, as enforcement points send them, read as calls.

Three spellings are public, and all are read: snake_case with every field, snake_case without empty ones, camelCase. A
file holds events, or batches of them (an array, or an object with `events`), one a line, or one document.

A call is a TOOL_CALL_PRE and what closes it: TOOL_CALL_POST (it completed) or TOOL_CALL_BLOCK (it was refused). One
that nothing closes did run, for all that is known, and whether it failed is not. What users said is in no event, and
results are in few, so conditions on where a value comes from are unknown more often than they were live.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ..contract import Fault
from ..engine.decide import admitted
from ..engine.session import clean
from .calls import RECORDED, Call, Laid, Was
from .opening import Progress, lines
from .problems import Problems
from .reading import read_line, seconds

PRE, POST, BLOCK, LLM = "TOOL_CALL_PRE", "TOOL_CALL_POST", "TOOL_CALL_BLOCK", "LLM_INVOCATION"
KINDS: Final = frozenset({PRE, POST, BLOCK, LLM})
SPELLED: Final = {
    "eventId": "event_id", "tenantId": "tenant_id", "sessionId": "session_id", "userId": "user_id",
    "agentId": "agent_id", "toolName": "tool_name", "sourceType": "source_type", "eventType": "event_type",
    "approvedScope": "approved_scope", "sessionToolCalls": "session_tool_calls",
    "enforcementMode": "enforcement_mode", "occurredAt": "occurred_at", "ingestedAt": "ingested_at",
    "dataClassification": "data_classification", "taskContext": "task_context",
}  # fmt: skip
KNOWN: Final = frozenset(
    {
        *SPELLED.values(), "content", "metadata", "ttl", "purpose", "initiated_by", "task_id", "delegation_chain",
        "endpoint_id", "hostname", "violation_id", "chain_index", "hash", "previous_hash", "signature",
    }
)  # fmt: skip
SENT: Final = (
    "tenant_id", "user_id", "agent_id", "session_id", "tool_name", "approved_scope", "enforcement_mode",
    "session_tool_calls", "purpose", "data_classification", "task_context",
)  # fmt: skip
PAST_MAX: Final = 100_000


@dataclass(slots=True)
class EventReader:
    """Reads event files; `calls` yields each call with its number, in the order in which calls are known to be over."""

    found: Problems
    number: int = 0
    pending: dict[tuple[str, str, str], list[tuple[int, bool, Call]]] = field(default_factory=dict)
    count: int = 0

    def calls(
        self, files: list[Path], progress: Progress | None = None
    ) -> Iterator[tuple[int, str | None, bool, Call]]:
        """Return (number, prompt, whether the session was seen to begin, call) for each call of the files."""
        for file in files:
            for place, event in self._events(file, progress):
                over = self._take(place, event)
                if over is not None:
                    yield over[0], None, over[1], over[2]
                if self.count > PAST_MAX:
                    yield from self._left()
        yield from self._left()

    def _left(self) -> Iterator[Laid]:
        for held in self.pending.values():
            for number, begun, call in held:
                yield number, None, begun, call
        self.pending.clear()
        self.count = 0

    def _events(self, file: Path, progress: Progress | None) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, line in documents(file, progress):
            place = f"{file}:{number}"
            batch = read_line(line)
            if isinstance(batch, Fault):
                self.found.problem(place, str(batch))
                continue
            if isinstance(batch, dict) and isinstance(batch.get("events"), list):
                batch = batch["events"]
            for event in batch if isinstance(batch, list) else [batch]:
                if isinstance(event, dict):
                    yield place, {SPELLED.get(str(name), str(name)): value for name, value in event.items()}
                else:
                    self.found.problem(place, "an event is an object")

    def _take(self, place: str, event: dict[str, Any]) -> tuple[int, bool, Call] | None:
        """Take one event in; return the call that it closes."""
        kind, tool, ts = event.get("event_type"), event.get("tool_name"), seconds(event.get("occurred_at"))
        for name in event:
            if name not in KNOWN:
                self.found.remark(place, f"unknown field `{name[:64]}`")
        if kind == LLM:
            return None
        if kind not in KINDS:
            self.found.problem(place, f"`event_type` is none of {', '.join(sorted(KINDS))}")
            return None
        if ts is None:
            self.found.problem(place, "`occurred_at` is not a time")
            return None
        if not isinstance(event.get("session_id"), str) or not event["session_id"]:
            self.found.problem(place, "`session_id` is not a text")
            return None
        metadata = event["metadata"] if isinstance(event.get("metadata"), dict) else {}
        trace = metadata.get("enforcement_trace_id")
        key = (
            str(event.get("tenant_id") or RECORDED),
            event["session_id"],
            f"{tool} {trace if isinstance(trace, str) else ''}",
        )
        if kind == PRE:
            call, begun = self._call(event, metadata, ts)
            self.pending.setdefault(key, []).append((self.number, begun, call))
            self.number, self.count = self.number + 1, self.count + 1
            return None
        held = self.pending.get(key)
        if held:
            number, begun, call = held.pop(0)
            self.count -= 1
            if not held:
                del self.pending[key]
        elif kind == POST:
            self.found.problem(place, "a call ended that no event began")
            return None
        else:
            call, begun = self._call(event, metadata, ts)
            number, self.number = self.number, self.number + 1
        return number, begun, _closed(call, kind, event, metadata)

    def _call(self, event: dict[str, Any], metadata: dict[str, Any], ts: float) -> tuple[Call, bool]:
        request = {name: event[name] for name in SENT if event.get(name) is not None}
        args = arguments(event, metadata)
        request["tool_args"] = args
        environment = metadata.get("environment")
        if isinstance(environment, str):
            request["environment"] = environment
        names = {"initiated_by": "initiated_by", "task_id": "task_id", "delegation_chain": "chain"}
        task = {name: event[field] for field, name in names.items() if event.get(field)}
        if task and "task_context" not in request:
            request["task_context"] = task
        history = event.get("session_tool_calls")
        begun = isinstance(history, list) and history in ([], [event.get("tool_name")])
        call = Call(
            session_id=clean(event["session_id"]),
            seq=0,
            ts=ts,
            suite=environment if isinstance(environment, str) else None,
            agent_id=event.get("agent_id") if isinstance(event.get("agent_id"), str) else None,
            tool_name=event.get("tool_name"),
            tool_args=args,
            executed=True,
            tool_error=None,
            result=None,
            whole=False,
            labels={},
            tenant_id=str(event.get("tenant_id") or RECORDED),
            user_id=str(event.get("user_id") or RECORDED),
            ended=False,
            sent=admitted(request),
        )
        return call, begun


def _closed(call: Call, kind: str, event: dict[str, Any], metadata: dict[str, Any]) -> Call:
    decided = metadata.get("authorization_decision")
    if kind == BLOCK:
        effect = decided if decided in ("BLOCK", "STEP_UP", "DEFER") else "BLOCK"
        reason = metadata.get("decision_reason_code")
        return replace(call, executed=False, was=Was(effect, (), reason if isinstance(reason, str) else ""))
    effect = decided if decided in ("ALLOW", "MODIFY") else "ALLOW"
    content = event.get("content")
    # In camelCase the content of a POST is the result; elsewhere it is a label.
    told = isinstance(content, str) and "metadata" not in event and content != ""
    result = clean(content) if told and isinstance(content, str) else None
    return replace(call, ended=True, result=result, whole=told, was=Was(effect))


def arguments(event: dict[str, Any], metadata: dict[str, Any]) -> Any:
    """Return a call's arguments, from wherever its enforcement point puts them; {} where nowhere."""
    named = metadata.get("tool_call")
    if isinstance(named, dict) and "arguments" in named:
        return named["arguments"]
    if "tool_args" in metadata:
        return metadata["tool_args"]
    content = event.get("content")
    if isinstance(content, str) and content[:1] == "{":
        read = read_line(content.encode("utf-8", "replace"))
        if isinstance(read, dict):
            return read
    return {}


def documents(file: Path, progress: Progress | None = None) -> Iterator[tuple[int, bytes]]:
    """Return the JSON documents of a file: one a line, or the whole file where its first line is not one."""
    whole: list[bytes] = []
    for number, line in lines(file, progress):
        if whole or (number == 1 and isinstance(read_line(line), Fault) and line.lstrip()[:1] in b"[{"):
            whole.append(line)
        else:
            yield number, line
    if whole:
        yield 1, b"".join(whole)
