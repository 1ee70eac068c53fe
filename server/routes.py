"""What each HTTP request means: who may ask it, what is done, and what is answered.

Every route but the four for operators wants a key, in `x-api-key` or as a bearer token. A key of a tenant or of an
agent asks for that one only.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import msgspec

from ..contract import Decision, Effect, Fault, OperationError, RequestError, read_json
from ..contract.envelope import Envelope, SaidBody
from ..engine import Engine
from ..native.lane import Street
from ..native.posts import Posts
from .dispatch import Dispatcher, Given
from .envelopes import NOTHING_TOLD, Told, envelope_of, safe
from .events import Events
from .evidence_routes import EVENTS, RECEIPTS, EvidenceRoutes, wants
from .explanations import explanation_of
from .glass import Glass
from .hold_routes import APPROVALS, HOLD, HoldRoutes
from .holds import NotYours
from .http import Asked, HttpConnection
from .keys import Key, Keys, asker_of
from .load import OVERLOADED, TOO_MUCH, Load
from .metrics import METRICS_TYPE, exposition
from .overrides import Signed
from .receipts import Found, Receipts, reference_of
from .repeats import Repeat, Repeats
from .resend import digest_of
from .shapes import client_kind
from .templates import SHOWN, cut

SESSION_CHARS_MAX: Final = 512
ENFORCE: Final = "/v1/enforce"
SESSIONS: Final = "/v1/sessions/"
OVERRIDES: Final = "/v1/overrides"
RELOAD: Final = "/v1/policy/reload"
TOLD: Final = Told.__struct_fields__
ANSWERED: Final = Repeat(b"", 0.0, Repeats())
JSON_TYPES: Final = (b"", b"application/json")
CHALLENGE: Final = b'www-authenticate: Bearer realm="thoth"\r\n'

Handler: TypeAlias = "Callable[[Asked, Key], None]"

log = logging.getLogger(__name__)
_json = msgspec.json.encode


class Routes:
    """Takes requests to the dispatcher."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        keys: Keys | None,
        load: Load,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        later: Callable[..., Any],
        ready: Callable[[], str],
        reload: Callable[[Callable[[str], None]], None],
        gauges: Callable[[], dict[str, float]],
        description: bytes,
        glass: Glass | None = None,
        receipts: Receipts | None = None,
    ) -> None:
        """`later` is the loop's `call_later`; `ready` returns why not, or nothing; `reload` is told by whom to call."""
        self.dispatcher, self.keys, self.load = dispatcher, keys, load
        self.clock, self.monotonic = clock, monotonic
        self.ready, self.reload, self.gauges, self.description = ready, reload, gauges, description
        self.glass, self.receipts = glass, receipts
        self.counts = dispatcher.counts
        self.events = Events(dispatcher)
        self.holds, self.evidence = HoldRoutes(dispatcher, later), EvidenceRoutes(self.events, receipts)
        street = dispatcher.street(load)
        self.posts = None if keys is None else self._posts(street, keys)
        self._repeats = Repeats()
        self._exact: dict[str, dict[bytes, tuple[str, Handler]]] = {
            ENFORCE: {b"POST": ("execute", self.enforce)},
            "/v1/simulate": {b"POST": ("execute", self.simulate)},
            "/v1/explain": {b"POST": ("execute", self.explain)},
            EVENTS: {b"POST": ("execute write", self.evidence.take)},
            APPROVALS: {b"GET": ("read", self.holds.approvals)},
            OVERRIDES: {b"GET": ("read", self.overrides), b"POST": ("write", self.override)},
            RELOAD: {b"POST": ("write", self.reload_policy)},
        }
        self._open: dict[str, Callable[[Asked], None]] = {
            "/healthz": self.healthz,
            "/readyz": self.readyz,
            "/metrics": self.metrics,
            "/openapi.json": self.openapi,
        }

    def _posts(self, street: Street, keys: Keys) -> Posts:
        return Posts(
            target=ENFORCE.encode(),
            street=street,
            docket=self.dispatcher.docket,
            askers=keys.askers,
            shown=SHOWN,
            policy_of=self.engine,
            cut=partial(cut, self.engine),
            spell=_json,
            clock=self.clock,
        )

    @property
    def engine(self) -> Engine:
        """The engine, as it is now."""
        return self.dispatcher.engine

    # ------------------------------------------------------------ finding the route

    def take(self, asked: Asked) -> None:
        """Answer a request, now or later."""
        self.counts.tally.http_requests += 1
        try:
            self._take(asked)
        except Exception as error:  # noqa: BLE001 - said below
            self.failed(asked, error)

    def failed(self, asked: Asked, error: Exception) -> None:
        """Answer a request that could not be answered otherwise."""
        if isinstance(error, NotYours):
            asked.refuse(403, "forbidden", str(error))
        elif isinstance(error, RequestError):
            asked.refuse(404, "not_found", str(error))
        elif isinstance(error, OperationError):
            asked.refuse(503, "unavailable", str(error))
        else:
            self.counts.internal += 1
            log.error("internal path=%s", asked.path[:64].replace(" ", "_"), exc_info=error)
            asked.refuse(500, "internal", "this is a mistake of ours; the log has more of it")

    def _take(self, asked: Asked) -> None:
        path, method = asked.path, asked.method
        methods = self._exact.get(path)
        if methods is None:
            anybody = self._open.get(path)
            if anybody is not None:
                if method in (b"GET", b"HEAD"):
                    anybody(asked)
                else:
                    self._not_allowed(asked, b"GET, HEAD")
                return
            methods = self._with_name(path)
            if not methods:
                asked.refuse(404, "not_found", "there is no such route; `GET /openapi.json` lists them")
                return
        found = methods.get(method)
        if found is None:
            self._not_allowed(asked, b", ".join(methods))
            return
        permissions, handler = found
        key = self._key(asked)
        if key is None:
            asked.refuse(401, "unauthorized", "send a valid API key in `x-api-key` or as a bearer token", CHALLENGE)
        elif key.permissions.isdisjoint(permissions.split()):
            needed = permissions.replace(" ", "` or `")
            asked.refuse(403, "forbidden", f"this key has no permission `{needed}`")
        elif method == b"POST" and not _is_json(asked.headers.get(b"content-type", b"")):
            asked.refuse(415, "content_type", "a body is JSON here; send `content-type: application/json`")
        else:
            handler(asked, key)

    def _with_name(self, path: str) -> dict[bytes, tuple[str, Handler]]:
        if path.startswith(HOLD) and "/" not in path[len(HOLD) :]:
            return {b"GET": ("execute", self.holds.poll)}
        if path.startswith(RECEIPTS) and "/" not in path[len(RECEIPTS) :]:
            return {b"GET": ("read execute", self.evidence.receipt)}
        if path.startswith(SESSIONS) and path.endswith("/said") and path.count("/") == 4:
            return {b"POST": ("execute", self.said)}
        if path.startswith(f"{OVERRIDES}/") and path.endswith("/end") and path.count("/") == 4:
            return {b"POST": ("write", self.end_override)}
        if path.startswith(f"{APPROVALS}/"):
            name = path[len(APPROVALS) + 1 :]
            if name.endswith("/resolve") and name.count("/") == 1:
                return {b"POST": ("write", self.holds.resolve)}
            if name and "/" not in name:
                return {b"GET": ("read", self.holds.approval)}
        return {}

    def _not_allowed(self, asked: Asked, methods: bytes) -> None:
        text = f"write {methods.decode()} for this route"
        asked.refuse(405, "method", text, b"allow: " + methods + b"\r\n")

    def _key(self, asked: Asked) -> Key | None:
        shown = None if self.keys is None else key_shown(asked)
        return None if shown is None or self.keys is None else self.keys.find(shown, self.clock())

    # ------------------------------------------------------------ deciding

    def enforce(self, asked: Asked, key: Key) -> None:
        """Decide one call."""
        given = read_json(asked.body)
        told = self._of(asked, key, given)
        if told is None:
            return
        asker = asker_of(key)
        repeat = self._repeat(asked, asker, told)
        if repeat is ANSWERED:
            return
        give = self._give(asked, told, repeat, asker)
        try:
            if self.load.arrive():
                self.counts.tally.shed += 1
                made = self.dispatcher.refuse(given, OVERLOADED, TOO_MUCH, give)
            else:
                made = self.dispatcher.decide(given, asker, give)
        except Exception as error:
            if repeat is not None:
                repeat.failed(self.failed, error)
            raise
        if made is not None:
            give(made, "")

    def _give(self, asked: Asked, told: Told, repeat: Repeat | None, asker: str) -> Given:
        """Return what answers a request, once it is decided."""
        kind = client_kind(asked.headers.get(b"user-agent", b""))

        receipts = self.receipts if wants(asked.query, "receipt", "signed") else None

        def give(decision: Decision, token: str) -> None:
            try:
                give_out(decision, token)
            except Exception as error:  # noqa: BLE001 - it may come from a commit, where nobody else answers
                self.failed(asked, error)
                if repeat is not None:
                    repeat.failed(self.failed, error)

        def give_out(decision: Decision, token: str) -> None:
            shown, shaped = safe(self.engine, decision, kind)
            if shown is not decision:
                self.dispatcher.withdraw(decision, shown)
            self.events.decided(shown, asker)
            took = self.monotonic() - asked.at
            self.counts.tally.took(took)
            envelope = envelope_of(self.engine, shown, shaped, told, took, token if shown is decision else "")
            status = 200
            if decision.reason_code == "request_invalid":
                status = 400
                envelope = msgspec.structs.replace(envelope, error="malformed", message=decision.problem)
            if receipts is None:
                answered(envelope, status)
                return

            def sign(found: dict[str, Found]) -> None:
                receipt = reference_of(shown.id, found.get(shown.id))
                answered(msgspec.structs.replace(envelope, receipt=receipt), status)

            receipts.ask([shown.id], sign)

        def answered(envelope: Envelope, status: int) -> None:
            body = _json(envelope)
            if repeat is not None:
                repeat.answered(status, body)
            asked.answer(status, body)

        return give

    def straight(self, connection: HttpConnection, data: bytes) -> bytes | None:
        """Answer a plain `POST /v1/enforce` that came whole; None where nothing was done, and `take` has to be asked.

        What it does is what `take` and `enforce` do. Empty: the answer comes later, or was given to the connection.
        """
        found = None if self.posts is None else self.posts.take(connection, connection.reads, data)
        if found is None or type(found) is bytes:
            return found
        decision, asker, agent, members, body, at = found
        asked = connection.asked_for(body, agent, at)
        give = self._give(asked, Told(*map(members.get, TOLD)), None, asker)
        made = self.dispatcher.settle(decision, asker, give, body)
        if made is not None:
            give(made, "")
        return b""

    def _of(self, asked: Asked, key: Key, given: object) -> Told | None:
        """Return what a request says of itself; None, and an answer, where it is not this key's to ask."""
        if not isinstance(given, dict):
            return NOTHING_TOLD  # the engine says what is wrong with it, and records that
        if self.dispatcher.tenant is not None and given.get("tenant_id") is None:
            given["tenant_id"] = key.tenant  # known by the key: it is not the caller's word
        told = Told(*map(given.get, TOLD))
        if key.tenant is not None and told.tenant_id != key.tenant:
            asked.refuse(403, "forbidden", "this key is another tenant's")
            return None
        if key.agent is not None and told.agent_id != key.agent:
            asked.refuse(403, "forbidden", "this key is another agent's")
            return None
        return told

    def _repeat(self, asked: Asked, asker: str, told: Told) -> Repeat | None:
        """Return where to keep the answer to a request that names itself; ANSWERED where it came before."""
        id = told.request_id
        if not isinstance(id, str) or not id:
            return None
        digest = digest_of(asked.body)
        now = self.monotonic()
        held = self._repeats.find(asker, id, now)
        if held is None:
            return self._repeats.begin(asker, id, digest, now)
        if held.digest != digest:
            problem = "this request id was used for another request"

            def give(decision: Decision, token: str) -> None:
                asked.answer(200, _json(self._plain(decision, told, asked)))

            made = self.dispatcher.refuse(asked.body, "request_id_reused", problem, give)
            if made is not None:
                give(made, "")
        else:
            self.counts.resent += 1
            held.tell(asked)
        return ANSWERED

    def _plain(self, decision: Decision, told: Told, asked: Asked) -> Envelope:
        return envelope_of(self.engine, decision, None, told, self.monotonic() - asked.at)

    def simulate(self, asked: Asked, key: Key) -> None:
        """Say what would be decided now; nothing is recorded, counted or held."""
        given = read_json(asked.body)
        told = self._of(asked, key, given)
        if told is None:
            return
        decision = self.engine.weigh(given)
        shown, shaped = safe(self.engine, decision, client_kind(asked.headers.get(b"user-agent", b"")))
        token = "hold_none" if shown.effect is Effect.STEP_UP else ""
        envelope = envelope_of(self.engine, shown, shaped, told, self.monotonic() - asked.at, token)
        bad = decision.reason_code == "request_invalid"
        if bad:
            envelope = msgspec.structs.replace(envelope, error="malformed", message=decision.problem)
        asked.answer(400 if bad else 200, _json(envelope))

    def explain(self, asked: Asked, key: Key) -> None:
        """Explain a refusal to a person."""
        body = read_json(asked.body)
        if self._of(asked, key, body) is None:
            return
        if isinstance(body, Fault) or not isinstance(body, dict):
            asked.refuse(400, "malformed", str(body) if isinstance(body, Fault) else "a request is an object")
            return
        decision = self.engine.weigh(body)
        if decision.request is None:
            asked.refuse(400, "malformed", decision.problem)
            return
        asked.answer(200, _json(explanation_of(self.engine, decision, body, self.clock())))

    # ------------------------------------------------------------ what was said

    def said(self, asked: Asked, key: Key) -> None:
        """Take in what the user of a session said."""
        try:
            body = msgspec.json.decode(asked.body, type=SaidBody)
        except (msgspec.MsgspecError, ValueError) as error:
            asked.refuse(400, "malformed", str(error))
            return
        if key.tenant is not None and body.tenant_id not in (None, key.tenant):
            raise NotYours("this key is another tenant's")
        session = unquote(asked.path[len(SESSIONS) : -len("/said")])
        if not 0 < len(session) <= SESSION_CHARS_MAX:
            asked.refuse(400, "malformed", f"a session's id has 1 to {SESSION_CHARS_MAX} characters")
            return
        self.dispatcher.said(session, body.text, key.tenant if body.tenant_id is None else body.tenant_id)
        asked.answer(202, b"{}")

    # ------------------------------------------------------------ for operators

    def reload_policy(self, asked: Asked, key: Key) -> None:
        """Read the policy again; answered when it is in force, or with what is wrong with it."""

        def told(problem: str) -> None:
            if problem:
                asked.refuse(422, "policy", problem)
            else:
                asked.answer(200, _json({"policy_digest": self.engine.policy.digest}))

        log.info("reload_asked principal=%s", key.prefix)
        self.reload(told)

    def _glass(self) -> Glass:
        if self.glass is None:
            raise RequestError("there are no operators here; [operators.NAME] in the settings names them")
        return self.glass

    def overrides(self, asked: Asked, key: Key) -> None:
        """List the overrides that count for the key's tenant."""
        asked.answer(200, _json(self._glass().open(key.tenant)))

    def override(self, asked: Asked, key: Key) -> None:
        """Have an operator's signed override count."""
        glass = self._glass()
        try:
            signed = msgspec.json.decode(asked.body, type=Signed)
            told = glass.begin(signed, key.prefix)
        except (msgspec.MsgspecError, ValueError, RequestError) as error:
            asked.refuse(400, "malformed", str(error))
        else:
            asked.answer(201, _json(told))

    def end_override(self, asked: Asked, key: Key) -> None:
        """End an override before its time."""
        id = unquote(asked.path[len(OVERRIDES) + 1 : -len("/end")])
        asked.answer(200, _json(self._glass().end(id, key.prefix, key.tenant)))

    def healthz(self, asked: Asked) -> None:
        """Say that the loop runs."""
        asked.answer(200, b'{"status":"ok"}')

    def readyz(self, asked: Asked) -> None:
        """Say whether calls are decided: one is, now."""
        problem = self.ready()
        if problem:
            asked.refuse(503, "not_ready", problem)
        else:
            asked.answer(200, b'{"status":"ready"}')

    def metrics(self, asked: Asked) -> None:
        """Return the counters in Prometheus's text format."""
        asked.answer(200, exposition(self.counts, self.gauges()), METRICS_TYPE)

    def openapi(self, asked: Asked) -> None:
        """Return the description of all this."""
        asked.answer(200, self.description)


def key_shown(asked: Asked) -> str | None:
    """Return the key that a request shows, as `x-api-key` or as a bearer token; None where it shows none."""
    shown = asked.headers.get(b"x-api-key")
    if shown is None:
        scheme, _, shown = asked.headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            return None
    return shown.strip().decode("latin-1")


def _is_json(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind in JSON_TYPES or (kind.startswith(b"application/") and kind.endswith(b"+json"))
