"""Takes each HTTP request to the worker that has to do with it, as it came, and gives out the answer as it is.

By its session, its hold, or, where it has an id and no session, by that; a request id is remembered by one worker, so
that it is known again wherever it comes. What is about all workers is asked of all: metrics, held calls, a new policy.
"""

import json
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import unquote

import msgspec

from ..contract import Fault, read_json
from .counts import Sum
from .events import session_in
from .evidence_routes import EVENTS, RECEIPTS
from .hold_routes import APPROVALS, HOLD
from .http import Asked, HttpConnection, Takes
from .metrics import METRICS_TYPE, added, exposition
from .repeats import REPEAT_S, REPEATS_MAX
from .resend import digest_of
from .routes import ENFORCE, RELOAD, SESSIONS, key_shown

if TYPE_CHECKING:
    from .worker import Worker

WAIT_S: Final = 65.0
"""How long another worker may take for a poll that waits."""
ANSWER_S: Final = 5.0
UNAVAILABLE: Final = "the worker that keeps this is being restarted; try again"
HEADERS: Final = (b"x-api-key", b"authorization", b"user-agent", b"content-type")


class _Enforce(msgspec.Struct):
    session_id: Any = None
    request_id: Any = None


_enforce = msgspec.json.Decoder(_Enforce)


class WorkerRoutes:
    """Routes before the routes."""

    def __init__(
        self,
        worker: "Worker",
        local: Takes,
        monotonic: Callable[[], float],
        numbers: Callable[[], list[Any]],
    ) -> None:
        """`local` is what this worker does itself, `numbers` returns what it has counted and what it measures."""
        self.worker, self.local, self.monotonic, self.numbers = worker, local, monotonic, numbers
        self.counts = local.counts
        self._ids: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        handlers = worker.links.handlers
        handlers["http"], handlers["claim"], handlers["numbers"] = self._asked, self._claim, self._numbers

    def take(self, asked: Asked) -> None:
        """Answer a request, now or later."""
        path, method = asked.path, asked.method
        worker = self.worker
        if path == ENFORCE and method == b"POST":
            self._enforce(asked)
        elif path.startswith(HOLD):
            self._to(worker.owner_of_hold(path[len(HOLD) :]), asked)
        elif path == APPROVALS and method == b"GET":
            self._every(asked, _listed)
        elif path.startswith(f"{APPROVALS}/"):
            self._to(worker.owner_of_hold(path[len(APPROVALS) + 1 :]), asked)
        elif path.startswith(SESSIONS) and path.endswith("/said"):
            self._to(worker.owner_of(unquote(path[len(SESSIONS) : -len("/said")])), asked)
        elif path.startswith(RECEIPTS):
            self._every(asked, _any, whatever=True)
        elif path == EVENTS and method == b"POST":
            self._events(asked)
        elif path == RELOAD and method == b"POST":
            self._every(asked, _worst)
        elif path == "/metrics" and method in (b"GET", b"HEAD"):
            self.counts.tally.http_requests += 1
            worker.links.gather("numbers", [], lambda found: self._metrics(asked, found))
        else:
            self.local.take(asked)

    def straight(self, connection: HttpConnection, data: bytes) -> bytes | None:
        """Answer a plain question about a session that is kept here; which worker decides any other says `take`."""
        return self.local.straight(connection, data)

    def failed(self, asked: Asked, error: Exception) -> None:
        """Answer a request that could not be answered otherwise."""
        self.local.failed(asked, error)

    # ------------------------------------------------------------ to another worker, and back

    def _to(self, worker: int, asked: Asked) -> None:
        if worker == self.worker.index:
            self.local.take(asked)
            return

        def told(answer: Any, why: str) -> None:
            if answer is None:
                asked.refuse(503, "unavailable", UNAVAILABLE)
            else:
                asked.send(answer)

        self._ask(worker, asked, asked.body, told)

    def _ask(
        self, worker: int, asked: Asked, body: bytes, told: Callable[[Any, str], None], answer_s: float = ANSWER_S
    ) -> None:
        headers = [asked.headers.get(name) for name in HEADERS]
        arguments = [asked.method, asked.path, asked.query, headers, body, asked.close, asked.head_only]
        self.worker.links.call(worker, "http", arguments, told, WAIT_S if "wait=" in asked.query else answer_s)

    def _asked(self, arguments: list[Any], answer: Callable[[Any], None]) -> None:
        """Answer a request that another worker took."""
        asked = Asked(_Elsewhere(answer), self.monotonic())  # type: ignore[arg-type]
        asked.method, asked.path, asked.query, headers, asked.body, asked.close, asked.head_only = arguments
        asked.headers = {name: value for name, value in zip(HEADERS, headers, strict=True) if value is not None}
        self.local.take(asked)

    # ------------------------------------------------------------ one call

    def _enforce(self, asked: Asked) -> None:
        try:
            named = _enforce.decode(asked.body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.local.take(asked)  # it is refused
            return
        worker = self.worker
        owner = worker.owner_of(named.session_id)
        id = named.request_id
        if not isinstance(id, str) or not id:
            self._to(owner, asked)
            return
        name = f"{key_shown(asked)}\0{id}"
        keeper = worker.owner_of(name)
        if not isinstance(named.session_id, str) or not named.session_id:
            owner = keeper

        def told(fresh: Any, why: str) -> None:
            if fresh is None:
                asked.refuse(503, "unavailable", UNAVAILABLE)
            else:
                # An id that was another request's goes where that was decided, and is refused there.
                self._to(owner if fresh == FRESH else fresh, asked)

        worker.links.call(keeper, "claim", [digest_of(name.encode()), owner], told)

    def _claim(self, arguments: list[Any], answer: Callable[[Any], None]) -> None:
        """Note who decides a request id; answer FRESH, or who does where it came before."""
        name, owner = arguments
        now = self.monotonic()
        held = self._ids.get(name)
        if held is not None and now - held[1] <= REPEAT_S:
            answer(held[0])
            return
        self._ids[name] = owner, now
        self._ids.move_to_end(name)
        while len(self._ids) > REPEATS_MAX:
            self._ids.popitem(last=False)
        answer(FRESH)

    # ------------------------------------------------------------ events

    def _events(self, asked: Asked) -> None:
        """Send each event where its session is kept, and add the answers up."""
        body: Any = read_json(asked.body)
        events = body.get("events") if isinstance(body, dict) else body
        if isinstance(body, Fault) or not isinstance(events, list):
            self.local.take(asked)  # it is refused
            return
        owners = [self.worker.owner_of(session_in(event)) for event in events]
        several = set(owners)
        if len(several) < 2:
            self._to(owners[0] if owners else self.worker.index, asked)
            return
        answers: list[Any] = []

        def told(answer: Any, why: str) -> None:
            answers.append(answer)
            if len(answers) == len(several):
                _tell(asked, answers, _added)

        for worker in several:
            part = [event for event, owner in zip(events, owners, strict=True) if owner == worker]
            self._ask(worker, asked, json.dumps(part).encode(), told)

    # ------------------------------------------------------------ all workers

    def _every(self, asked: Asked, merge: "Merge", *, whatever: bool = False) -> None:
        answers: list[Any] = []

        def told(answer: Any, why: str) -> None:
            answers.append(answer)
            if len(answers) == self.worker.count:
                _tell(asked, answers, merge, whatever=whatever)

        for worker in range(self.worker.count):
            self._ask(worker, asked, asked.body, told, WAIT_S)

    def _numbers(self, arguments: list[Any], answer: Callable[[Any], None]) -> None:
        answer(self.numbers())

    def _metrics(self, asked: Asked, found: list[Any]) -> None:
        there = [one for one in found if one is not None]
        gauges = added(gauges for _, gauges in there)
        gauges |= {"workers": len(found), "workers_answering": len(there)}
        asked.answer(200, exposition(Sum(values for values, _ in there), gauges), METRICS_TYPE)


FRESH: Final = -1
Merge: TypeAlias = Callable[[list[tuple[int, Any]]], tuple[int, Any]]
"""Makes one answer, a status and a body, of those of all workers."""


class _Elsewhere:
    """In place of a connection: the answer goes to another worker."""

    def __init__(self, answer: Callable[[Any], None]) -> None:
        self._answer = answer

    def answered(self, asked: Asked) -> None:
        self._answer(asked.sent)


def _tell(asked: Asked, answers: list[Any], merge: Merge, *, whatever: bool = False) -> None:
    """Answer with what is made of the answers of several workers, which are those of HTTP.

    One that is bad is the answer, but for `whatever`, where one that is good is enough.
    """
    if not whatever and any(answer is None for answer in answers):
        asked.refuse(503, "unavailable", "a worker is being restarted; try again")
        return
    read = []
    for answer in filter(None, answers):
        head, _, body = answer.partition(b"\r\n\r\n")
        read.append((int(head.split(b" ", 2)[1]), msgspec.json.decode(body) if body else {}))
    bad = None if whatever else next((one for one in read if one[0] >= 400), None)
    status, body = bad or merge(read)
    asked.answer(status, msgspec.json.encode(body))


def _listed(read: list[tuple[int, Any]]) -> tuple[int, Any]:
    found = sorted((hold for _, body in read for hold in body["data"]), key=lambda hold: hold["created"])
    return 200, {"data": found, "total": len(found)}


def _added(read: list[tuple[int, Any]]) -> tuple[int, Any]:
    total: dict[str, Any] = {}
    for _, body in read:
        for name, more in body.items():
            total[name] = total[name] + more if name in total else more
    return 202, total


def _any(read: list[tuple[int, Any]]) -> tuple[int, Any]:
    return min(read, key=lambda one: one[0])


def _worst(read: list[tuple[int, Any]]) -> tuple[int, Any]:
    return read[0]
