"""Evidence logs read as calls: what was asked for, what was decided, how it ended.

A log keeps requests with their arguments in the vault, and the labels that results brought, but neither what users said
nor what tools returned. A call that an approval let through stands there twice, held and decided again; it is one call.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..contract import Ending
from ..engine.decide import admitted
from ..evidence import LogReader
from ..evidence.errors import EvidenceError
from .calls import RECORDED, Call, Laid, Was
from .derive import request_of as request_in
from .problems import Problems

HELD = "approval-"


def log_calls(folder: Path, found: Problems) -> Iterator[Laid]:
    """Return (number, prompt, whether the session was seen to begin, call) for each call of a log."""
    calls: dict[str, tuple[int, bool, Call]] = {}
    again: dict[str, str] = {}
    reader = LogReader(folder)
    for number, entry in enumerate(reader.entries()):
        record = entry.record
        kind, id = record.get("kind"), str(record.get("id"))
        if kind == "outcome":
            decision = str(record.get("decision"))
            place = again.get(decision, decision)
            if place in calls:
                was = calls[place]
                calls[place] = (was[0], was[1], _ended(was[2], record))
            continue
        if kind != "decision":
            continue
        held = str(record.get("approval") or "").removeprefix(HELD)
        if held in calls:
            again[id] = held
            was = calls[held]
            calls[held] = (was[0], was[1], replace(was[2], executed=record.get("effect") in ("ALLOW", "MODIFY")))
            continue
        what = ""
        if "tool" not in record:
            what = "a decision about something that was no request"
        elif record.get("shortened"):
            what = "its values are shortened"
        if not what:
            try:
                values = reader.values(entry)
            except EvidenceError as error:
                what = f"its values cannot be read: {error}"
            else:
                calls[id] = (number, *_call(record, request_in(record, values)))
                continue
        found.problem(f"{folder}:{entry.place}", what)
    for number, begun, call in calls.values():
        yield number, None, begun, call


def _call(record: dict[str, Any], request: dict[str, Any]) -> tuple[bool, Call]:
    effect = str(record.get("effect"))
    history = request.get("session_tool_calls")
    rules = tuple(map(str, record.get("rules") or ()))
    call = Call(
        session_id=str(record.get("session") or f"decision {record.get('id')}"),
        seq=0,
        ts=int(record["decided_us"]) / 1_000_000,
        suite=request.get("environment"),
        agent_id=request.get("agent_id"),
        tool_name=request.get("tool_name"),
        tool_args=request.get("tool_args"),
        executed=effect in ("ALLOW", "MODIFY"),
        tool_error=None,
        result=None,
        whole=False,
        labels={},
        tenant_id=str(record.get("tenant") or RECORDED),
        user_id=str(record.get("principal") or RECORDED),
        ended=False,
        sent=admitted(request),
        was=Was(effect, rules, str(record.get("reason_code") or "")),
    )
    return history == [request.get("tool_name")], call


def _ended(call: Call, record: dict[str, Any]) -> Call:
    ending = Ending(record["ended"])
    labels = frozenset(map(str, record.get("labels", ())))
    return replace(call, ended=True, tool_error=None if ending is Ending.COMPLETED else ending.value, brought=labels)
