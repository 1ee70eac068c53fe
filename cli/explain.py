"""`thoth explain`: why one call is decided as it is, condition by condition."""

import copy
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from ..contract import Decision, Fault, Mode, OperationError, Request, admit_json, read_json
from ..engine import UNTOLD, Engine, Session
from ..engine.checked import ModeSetting
from ..engine.explain import explanation
from ..engine.files import read_text
from .arguments import EvaluatorName, Folders, Format, Learned, PolicyFiles
from .printing import EFFECT_STYLES, plain, print_json, say

ENDINGS = ("completed", "failed", "in_flight")


def explain(
    *,
    policy: PolicyFiles,
    request: Annotated[Path, Parameter(help="one request in JSON, or - for stdin")],
    session: Annotated[Path | None, Parameter(help="what the session holds already, in JSON")] = None,
    path: Folders = None,
    learned: Learned = None,
    format: Format = "text",
    evaluator: EvaluatorName = "native",
) -> int:
    """Say why one call is decided as it is.

    Prints the decision, what decided it, each condition of the rules behind it
    with the value that it saw, and, where nothing allows the call, the rules
    that nearly would. Nothing is run, counted or recorded.

    For example:
      thoth explain --policy policy.thoth --request request.json
      thoth explain --policy policy.thoth --request - --session session.json

    The request holds `tool_name` and `tool_args`, and whatever of `agent_id`,
    `user_id`, `tenant_id`, `purpose`, ... there is. The session holds what was
    said and the calls that were let through before this one:
      {"said": ["refund A-1"],
       "calls": [{"tool_name": "read_customer", "tool_args": {"id": "42"},
                  "ended": "completed", "result": "Ann, ann@example.com"}]}
    `ended` is completed (if unsaid), failed or in_flight; `result` may be left
    out. Without a session what it would know is unknown, not absent.

    Exit codes: 0 explained, whatever the decision, 1 the policy has mistakes,
    2 wrong usage or a file that cannot be read.
    """
    now = time.time()
    engine = Engine.from_files(policy, path=path or (), learned=learned, evaluator=evaluator, clock=lambda: now)
    text = _read(request)
    admitted = admit_json(text)
    known = None
    if session is not None:
        known = _session(engine, evaluator, session, admitted, now)
    elif isinstance(admitted, Request) and admitted.session_id:
        begun = admitted.session_tool_calls == [admitted.tool_name]
        known = Session(admitted.session_id, now, begun, admitted.tenant_id)
    # What the call itself adds to the session is no reason for the decision about it.
    before = copy.deepcopy(known)
    decision = engine.decide(text, session=known)
    told = explanation(engine.policy, decision, before, witness=engine.witness)
    if format == "json":
        print_json(told.as_json())
    else:
        _say(decision, told.as_text())
    return 0


def _say(decision: Decision, text: str) -> None:
    shown = Text(plain(text))
    shown.stylize(EFFECT_STYLES[decision.effect], 0, len(decision.effect.value))
    for outcome, style in (("true", "green"), ("false", "red"), ("unknown", "yellow")):
        shown.highlight_regex(rf"(?m)   is {outcome}(?=, saw|$)", style=style)
    say(shown)


def _read(file: Path) -> bytes:
    if file == Path("-"):
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise OperationError(f"`{file}` cannot be read: {error.strerror or error}") from error


def _session(engine: Engine, evaluator: Any, file: Path, admitted: Request | Fault, now: float) -> Session:
    """Return a session in which all that `file` says has happened.

    Raises:
        OperationError: the file does not say it in the form of `--help`.
    """
    held = read_json(read_text(file))
    if isinstance(held, Fault):
        raise OperationError(f"`{file}`: {held}")
    if not isinstance(held, dict) or not set(held) <= {"said", "calls"}:
        raise OperationError(f"`{file}` is not a session; `thoth explain --help` shows one")
    said, calls = held.get("said", []), held.get("calls", [])
    if not isinstance(said, list) or not isinstance(calls, list):
        raise OperationError(f"`{file}`: `said` and `calls` are lists; `thoth explain --help` shows them")
    fields = _fields(admitted)
    session = engine.session(fields.get("session_id") or "explained", tenant_id=fields.get("tenant_id"))
    past = Engine(
        replace(engine.policy, mode=ModeSetting("fixed", Mode.OBSERVE)), evaluator=evaluator, clock=lambda: now
    )
    past.ledger = engine.ledger
    for turn in said:
        if not isinstance(turn, str):
            raise OperationError(f"`{file}`: what was `said` is text, not {json.dumps(turn)[:40]}")
        session.said(turn)
    for number, call in enumerate(calls):
        place = f"`{file}`: `calls[{number}]`"
        if not isinstance(call, Mapping) or call.get("ended", "completed") not in ENDINGS:
            raise OperationError(f"{place} is an object whose `ended` is {', '.join(ENDINGS)}")
        decision = past.decide(fields | {"tool_args": {}} | call, session=session)
        if decision.request is None:
            raise OperationError(f"{place}: {decision.problem}")
        past.ran(decision, session)
        result = call.get("result", UNTOLD)
        if call.get("ended") == "failed":
            past.failed(decision, result)
        elif call.get("ended") != "in_flight":
            past.completed(decision, result)
    return session


def _fields(admitted: Request | Fault) -> dict[str, Any]:
    """Return who calls in this request: its fields without the call."""
    if isinstance(admitted, Fault):
        return {}
    fields = {name: getattr(admitted, name) for name in Request.__struct_fields__}
    return {
        name: value
        for name, value in fields.items()
        if value is not None and name not in ("tool_name", "tool_args", "request_id")
    }
