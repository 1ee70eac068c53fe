"""The enforcer on another machine, by the public protocol: HTTP/1.1, connections kept alive, JSON.

Results are not sent there unless the client is configured to; what a policy asks about them is unknown there otherwise.
Polls of a hold say how long they would wait, so an enforcer that can answer late answers at once; one that cannot is
asked again after the poll interval.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from .contract import Effect, OperationError
from .enforcer import UNTOLD, EnforcerAway, EnforcerRefused
from .http_pool import Connections, EveryLoop, Host
from .outcomes import outcome_of
from .waiting import Hold
from .wire_reply import WORDS, WireReply, effect_of, read_object, read_reply, reply_of

if TYPE_CHECKING:
    from .config import ThothConfig
    from .contract import Ending, Mode
    from .enforcer import Reply
    from .http_wire import Response
    from .sessions import Session

LONG_POLL_S: Final = 20.0
QUICK_S: Final = 1.0
GONE: Final = (404, 405, 501)
POST: Final = "POST"
EVENTS: Final = "/v1/events/batch"
EVENT_FIELDS: Final = (
    "tenant_id",
    "agent_id",
    "user_id",
    "session_id",
    "approved_scope",
    "enforcement_mode",
    "tool_name",
)
REPORTED: Final = (*EVENT_FIELDS, "request_id")  # fmt: skip


class HttpEnforcer:
    """Asks over HTTP. Safe to use from several threads and event loops."""

    immediate = False
    local = False

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        event_ingest_token: str | None = None,
        step_up_timeout_s: float = 900.0,
        poll_s: float = 5.0,
        tell_results: bool = False,
    ) -> None:
        """Nothing is connected yet.

        Raises:
            ConfigurationError: the address is none, or a key would go out in clear.
        """
        from . import __version__

        self.name = self.where = url
        self.host = Host(url)
        self._threads = Connections(self.host)
        self._loops = EveryLoop(self.host)
        self._step_up_timeout_s = step_up_timeout_s
        self._poll_s = poll_s
        self._tell = tell_results
        self._headers = {"user-agent": f"thoth-python/{__version__}", "accept": "application/json"}
        if api_key:
            self._headers |= {"x-api-key": _header(api_key), "authorization": f"Bearer {_header(api_key)}"}
        if event_ingest_token:
            self._headers["x-thoth-event-ingest-token"] = _header(event_ingest_token)
        self._headers_json = self._headers | {"content-type": "application/json"}

    # ------------------------------------------------------------ calls

    def check(self, request: dict[str, Any], session: Session) -> WireReply:
        """Decide one call."""
        response = self._threads.ask(POST, "/v1/enforce", self._headers_json, _json(request))
        return read_reply(_good(response), request)

    async def acheck(self, request: dict[str, Any], session: Session) -> WireReply:
        """As `check`."""
        response = await self._loops.here().ask(POST, "/v1/enforce", self._headers_json, _json(request))
        return read_reply(_good(response), request)

    def report(self, reply: Reply, ending: Ending, result: object = UNTOLD, *, whole: bool = True) -> None:
        """Take in how a call ended, as an event."""
        _good(
            self._threads.ask(
                POST, EVENTS, self._headers_json, _json([_ended(reply, ending, result, whole, self._tell)])
            )
        )

    async def areport(self, reply: Reply, ending: Ending, result: object = UNTOLD, *, whole: bool = True) -> None:
        """As `report`."""
        body = _json([_ended(reply, ending, result, whole, self._tell)])
        _good(await self._loops.here().ask(POST, EVENTS, self._headers_json, body))

    def deliver(self, reports: list[dict[str, Any]]) -> int:
        """Take in reports that were kept; those that it has already, by `event_id`, it counts once."""
        _good(self._threads.ask(POST, EVENTS, self._headers_json, _json([_event_of(report) for report in reports])))
        return 0

    def said(self, session: Session, text: str) -> None:
        """Take in what the user said; an enforcer without a door for it stays without."""
        path, body = _said(session, text)
        response = self._threads.ask(POST, path, self._headers_json, body)
        if response.status not in GONE:
            _good(response)

    async def asaid(self, session: Session, text: str) -> None:
        """As `said`."""
        path, body = _said(session, text)
        response = await self._loops.here().ask(POST, path, self._headers_json, body)
        if response.status not in GONE:
            _good(response)

    def filters(self, tool: str) -> bool:
        """Nothing comes back to be seen in place of a result."""
        return False

    def loosens(self, mode: Mode) -> str | None:
        """The enforcer does not say which policy it follows."""
        return None

    # ------------------------------------------------------------ holds

    def hold(self, reply: Reply, request: dict[str, Any], session: Session) -> Hold:
        """Return the hold of a call; it is answered where the enforcer keeps it."""
        assert isinstance(reply, WireReply)

        def answer(approver: str, principal: str, granted: bool) -> None:
            raise OperationError(f"this call is held at {self.name}; answer it there, by its token")

        seconds = self._step_up_timeout_s if reply.hold_s is None else float(reply.hold_s)
        return Hold(reply.hold_token, reply, request, session, expires=time.time() + seconds, answer=answer)

    def look(self, hold: Hold) -> WireReply | None:
        """Return what has become of a held call."""
        if hold.withdrawn:
            return hold.reply  # type: ignore[return-value]
        response = self._threads.ask("GET", _hold_path(hold, 0), self._headers, None)
        return _resolved(hold, _good(response)) or _over(hold)

    async def alook(self, hold: Hold) -> WireReply | None:
        """As `look`."""
        if hold.withdrawn:
            return hold.reply  # type: ignore[return-value]
        response = await self._loops.here().ask("GET", _hold_path(hold, 0), self._headers, None, waits=True)
        return _resolved(hold, _good(response)) or _over(hold)

    def wait(self, hold: Hold) -> WireReply:
        """Poll until the hold is resolved, or over. While the enforcer is away it is asked on."""
        import threading

        pause = threading.Event()
        end = hold.waking(pause.set)
        try:
            while True:
                if hold.withdrawn:
                    return hold.reply  # type: ignore[return-value]
                began, seconds = time.monotonic(), _slice(hold)
                reply = None
                try:
                    path = _hold_path(hold, seconds)
                    response = self._threads.ask("GET", path, self._headers, None, seconds=seconds + 5)
                    reply = _resolved(hold, _good(response))
                except EnforcerAway:
                    pass
                reply = reply or _over(hold)
                if reply is not None:
                    return reply
                if time.monotonic() - began < QUICK_S:
                    pause.wait(min(self._poll_s, _left(hold)))
        finally:
            end()

    async def await_hold(self, hold: Hold) -> WireReply:
        """As `wait`; the poll takes no other question's place."""
        import asyncio

        while True:
            if hold.withdrawn:
                return hold.reply  # type: ignore[return-value]
            began, seconds = time.monotonic(), _slice(hold)
            reply = None
            try:
                response = await self._loops.here().ask(
                    "GET", _hold_path(hold, seconds), self._headers, None, seconds=seconds + 5, waits=True
                )
                reply = _resolved(hold, _good(response))
            except EnforcerAway:
                pass
            reply = reply or _over(hold)
            if reply is not None:
                return reply
            if time.monotonic() - began < QUICK_S:
                await asyncio.sleep(min(self._poll_s, _left(hold)))

    def withdraw(self, hold: Hold) -> None:
        """The protocol has no word for it: the hold runs out there."""

    @property
    def unreported(self) -> int:
        """Nothing is kept here."""
        return 0

    def close(self) -> None:
        """Let go of the connections."""
        self._threads.close()


def connect(config: ThothConfig) -> HttpEnforcer:
    """Return the enforcer that a configuration names."""
    return HttpEnforcer(
        config.where,
        api_key=config.api_key,
        event_ingest_token=config.event_ingest_token,
        step_up_timeout_s=config.step_up_timeout_minutes * 60,
        poll_s=config.step_up_poll_interval_seconds,
        tell_results=config.tell_results,
    )


def _header(value: str) -> str:
    from .violation import ConfigurationError

    if not value.isascii() or not value.isprintable():
        raise ConfigurationError("an API key is one line of ASCII")
    return value


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()


def _good(response: Response) -> bytes:
    """Return the body of a good response.

    Raises:
        EnforcerAway: it has too much to do, or something is broken there.
        EnforcerRefused: it will not answer: the key, the request, or the address is wrong.
    """
    status = response.status
    if 200 <= status < 300:
        return response.body
    if status == 429 or status >= 500:
        raise EnforcerAway(f"status {status}")
    hint = {401: ", is the API key right?", 403: ", may this key ask here?", 404: ", is the address right?"}
    raise EnforcerRefused(f"status {status}{hint.get(status, '')}")


# ---------------------------------------------------------------- holds


def _hold_path(hold: Hold, seconds: float) -> str:
    path = f"/v1/enforce/hold/{quote(hold.token, safe='')}"
    return f"{path}?wait={int(seconds)}" if seconds >= 1 else path


def _left(hold: Hold) -> float:
    return max(0.0, (hold.expires or 0.0) - time.time())


def _slice(hold: Hold) -> float:
    return min(LONG_POLL_S, _left(hold))


def _resolved(hold: Hold, body: bytes) -> WireReply | None:
    """Return the reply that a poll brings, None while nobody has answered.

    Raises:
        EnforcerRefused: it is malformed.
    """
    status = read_object(body)
    word = status.get("decision", status.get("authorization_decision"))
    resolved = status.get("resolved")
    resolution = status.get("resolution")
    if resolved is not True and (word is None or (isinstance(word, str) and WORDS.get(word.upper()) is Effect.STEP_UP)):
        return None
    if word is None:
        status["decision"] = resolution
        status.pop("authorization_decision", None)
    reply = reply_of(status, hold.request)
    lets_through = reply.effect in (Effect.ALLOW, Effect.MODIFY)
    if lets_through and (resolved is False or effect_of({"decision": resolution or word}) is not reply.effect):
        raise EnforcerRefused("malformed answer: a hold that is resolved and is not, or in two ways")
    if reply.effect is Effect.STEP_UP:
        return None
    assert isinstance(hold.reply, WireReply)
    if reply.id in ("", reply.envelope.get("violation_id"), hold.request.get("request_id")):
        reply = _named(reply, hold.reply.id)
    return reply


def _named(reply: WireReply, id: str) -> WireReply:
    from dataclasses import replace

    return replace(reply, id=id)


def _over(hold: Hold) -> WireReply | None:
    """Return BLOCK where the time of a hold is over, None while it is not."""
    if _left(hold) > 0:
        return None
    assert isinstance(hold.reply, WireReply)
    reason = "step-up auth timeout — no approver response"
    envelope = {**hold.reply.envelope, "reason": reason, "decision_reason_code": "approval_expired"}
    envelope |= {"decision": "BLOCK", "authorization_decision": "BLOCK"}
    return reply_of(envelope, hold.request)


# ---------------------------------------------------------------- events


def _ended(reply: Reply, ending: Ending, result: object, whole: bool, tell: bool) -> dict[str, Any]:
    assert isinstance(reply, WireReply)
    event = _event_of(outcome_of(reply, ending, result, {name: reply.request.get(name) for name in REPORTED}))
    if tell and result is not UNTOLD and whole:
        event["metadata"]["result"] = result
    return event


def _event_of(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report as an event of the public protocol, by names, sizes and digests only."""
    outcome = report.get("kind") == "outcome"
    moment = datetime.fromtimestamp(report.get("occurred_us", time.time_ns() // 1000) / 1e6, UTC)
    ending = str(report.get("ending", ""))
    metadata = {
        "sdk_language": "python",
        "telemetry_capture": "minimal",
        "event_phase": "post" if outcome else "pre",
        "decision_id": report.get("decision_id"),
        "request_id": report.get("request_id"),
        "ending": ending or None,
        "fail_open": None if report.get("decision_id") else True,
        "result_size_bytes": report.get("result_bytes"),
        "result_sha256": report.get("result_sha256"),
    }
    return {
        "event_id": report.get("event_id") or f"{report.get('tenant_id')}:{report.get('request_id')}",
        "event_type": "TOOL_CALL_POST" if outcome else "TOOL_CALL_PRE",
        "source_type": "agent_tool_call",
        "content": f"tool call {ending}" if outcome else "tool call without an answer (fail_open)",
        "occurred_at": moment.isoformat().replace("+00:00", "Z"),
        "session_tool_calls": [],
        "metadata": {name: value for name, value in metadata.items() if value is not None},
        **{name: report.get(name) for name in EVENT_FIELDS},
    }


def _said(session: Session, text: str) -> tuple[str, bytes]:
    path = f"/v1/sessions/{quote(session.id, safe='')}/said"
    return path, _json({"text": text, "tenant_id": session.memory.tenant})
