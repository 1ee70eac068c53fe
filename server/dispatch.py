"""One dispatcher, whatever the door: decides, holds, counts, and says when an answer may be given out.

Runs on the loop, so that the calls of a session are decided one after another. Everything that takes time is done
elsewhere: holds are written by the store's thread, commits awaited by another.
"""

import logging
import sqlite3
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

import msgspec

from ..contract import Decision, Effect, Ending, OperationError, Outcome, Request, RequestError
from ..contract.frames import HEADER_BYTES
from ..contract.result import Result, decision_of
from ..engine import Engine
from ..engine.decide import admitted_bytes
from ..engine.embed import UNTOLD
from ..engine.forms import DECISION
from ..native.clients import Kept
from ..native.docket import Docket
from ..native.lane import Street
from ..native.load import Load
from ..native.running import Running
from .commit import Commit
from .counts import Counts
from .holds import Hold, Holds
from .overrides import REFUSALS, Override, Overrides, is_named
from .refusal import blocked
from .results import RESULTS

RUNNING_MAX: Final = 100_000
RUNNING_BYTES_MAX: Final = 256 << 20
"""So many calls are under way at most, and so many bytes of them are kept; the oldest are forgotten."""
ENDED_MAX: Final = 65_536
EARLIER: Final = "earlier"
"""Who asked for a call that an earlier process let through: its record does not say. Any peer of the socket may report
it, and a key that speaks for its tenant."""
MADE_MAX: Final = 10_000
MADE_EACH: Final = 64
"""Events may be about the last so many decisions of each of so many calls."""
RECENT_MAX: Final = 512
RECENT_EACH: Final = 16
RECENT_BYTES_MAX: Final = 64 << 10
"""Every so many-th call of no more bytes is remembered, to be decided under the next policy as well."""
ENDINGS: Final = {ending.value: ending for ending in Ending}
ALLOW, MODIFY, STEP_UP, BLOCK = Effect.ALLOW, Effect.MODIFY, Effect.STEP_UP, Effect.BLOCK

Given: TypeAlias = Callable[[Decision, str], None]
"""Takes an answer that may be given out: the decision, and the token of its hold or nothing."""

Call: TypeAlias = tuple[str, str, str]
"""Who asked, the session, and the tool: what events say of a call."""

UnderWay: TypeAlias = tuple[str, Call | None, bytes | Decision, bytes | int]
"""A call that was let through: who asked, what a docket knows it by, the question, and its answer in a frame. A
decision is many objects, and most calls end soon, so it is made again where somebody asks for it. One that such a frame
does not say is kept itself, and then how many bytes its question has."""

log = logging.getLogger(__name__)
_json = msgspec.json.encode


class EndedBefore(RequestError):
    """The end of this call was reported before, and counts once."""


class Dispatcher:
    """The engine, and what a process around it has to keep. Not safe to use from several threads."""

    tenant: str | None = None
    """The only tenant that is decided for; None where requests say whose they are."""

    overrides: Overrides | None = None
    """What operators have signed, where there are any."""

    def __init__(
        self, engine: Engine, holds: Holds, commit: Commit | None, counts: Counts, clock: Callable[[], float]
    ) -> None:
        self.engine, self.holds, self.commit, self.counts, self.clock = engine, holds, commit, counts, clock
        self._recent: deque[Request] = deque(maxlen=RECENT_MAX)
        self._running: Running[UnderWay] = Running(engine.desk.ids.text)
        self.docket = Docket(MADE_MAX, MADE_EACH)
        self._ended: OrderedDict[str, tuple[str, object]] = OrderedDict()
        self._asked = 0
        holds.commit, holds.let_through = commit, self._let_through

    # ------------------------------------------------------------ deciding

    def street(self, load: Load) -> Street:
        """Return what lanes need to decide plain questions themselves, as `decide` does.

        Where operators may override a refusal, lanes leave refusals to `settle`.
        """
        return Street(
            desk=self.engine.desk,
            load=load,
            results=RESULTS,
            tally=self.counts.tally,
            answer=DECISION,
            allow=ALLOW,
            block=BLOCK if self.overrides is None else None,
            running=self._running,
            running_max=RUNNING_MAX,
            running_bytes_max=RUNNING_BYTES_MAX,
            forget_oldest=self._forget_oldest,
            recent=self._recent,
            recent_each=RECENT_EACH,
            recent_bytes_max=RECENT_BYTES_MAX,
            waits=None if self.commit is None else self.commit.waiting,
            undurable=self._undurable,
            tenant=self.tenant,
        )

    @property
    def asked(self) -> int:
        """How many calls were decided."""
        return self._asked + self.counts.tally.allowed + self.counts.tally.blocked

    def decide(self, given: object, asker: str, give: Given) -> Decision | None:
        """Decide one call. An answer that may be given out at once is returned; any other goes to `give`, later."""
        return self.settle(self.engine.decide(given), asker, give)

    def settle(self, decision: Decision, asker: str, give: Given, question: bytes = b"") -> Decision | None:
        """Take a decision of the engine in, as `decide` does; `question` is what it was made from, if known."""
        if self.overrides is not None and decision.effect in REFUSALS:
            decision = self._in_spite(decision, self.overrides)
        effect = decision.effect
        self.counts.decided(decision)
        self._asked += 1
        request = decision.request
        if not self._asked % RECENT_EACH and request is not None and len(_json(request)) <= RECENT_BYTES_MAX:
            self._recent.append(request)
        if effect is STEP_UP:
            self._hold(decision, asker, give)
            return None
        if effect is ALLOW or effect is MODIFY:
            self._let_through(decision, asker, question)
        if self.commit is None:
            return decision
        self.commit.add(decision, lambda made, error: give(self.durable(made, error), ""))
        return None

    def _undurable(self, kept: Kept, error: Exception) -> None:
        """Give out what becomes of a plain answer of a lane's whose record is not durable."""
        assert kept.question is not None
        assert kept.answer is not None
        kept.give(self.durable(self._decision_of(kept.question, kept.answer), error), "")

    def _in_spite(self, decision: Decision, overrides: Overrides) -> Decision:
        """Return a refusal, or the decision that an operator's override makes of it."""
        try:
            found = overrides.find(decision)
        except sqlite3.Error as error:
            log.error("overrides_unknown error=%s", type(error).__name__)
            return decision
        override = next((one for one in found if one.all_rules or self._alone(decision, one)), None)
        if override is None:
            return decision
        made = self.engine.overridden(decision, override.id)
        if made.reason_code == "break_glass":
            self.counts.overridden += 1
        log.warning("overridden decision=%s override=%s refused=%s", made.id, override.id, decision.id)
        return made

    def _alone(self, decision: Decision, override: Override) -> bool:
        """Say whether nothing but the rules of an override stands against a call."""
        assert decision.request is not None
        weighed = self.engine.weigh_without(decision.request, lambda id: is_named(override.rules, id))
        return weighed.effect in (ALLOW, MODIFY)

    def refuse(self, given: object, reason_code: str, problem: str, give: Given) -> Decision | None:
        """Answer a call with BLOCK by error, recorded; as `decide` does."""
        return self.refused(self.engine.refuse(given, reason_code, problem), give)

    def refused(self, decision: Decision, give: Given) -> Decision | None:
        """Take a BLOCK by error of the engine's in, as `refuse` does."""
        self.counts.decided(decision)
        if self.commit is None:
            return decision
        self.commit.add(decision, lambda made, error: give(self.durable(made, error), ""))
        return None

    def durable(self, decision: Decision, error: Exception | None) -> Decision:
        """Return a decision as it may be given out, given what became of its record."""
        if error is None:
            return decision
        self.counts.tally.unrecorded += 1
        self._forget(decision.id)
        log.error("evidence_unavailable decision=%s error=%s", decision.id, type(error).__name__)
        return blocked(decision, "evidence_unavailable", f"the decision could not be recorded ({type(error).__name__})")

    def _hold(self, decision: Decision, asker: str, give: Given) -> None:
        def opened(hold: Hold | None) -> None:
            if hold is not None:
                give(decision, hold.token)
                return
            self.engine.refused(decision)
            refusal = blocked(decision, "evidence_unavailable", "the call could not be held")
            answer = self.refuse(decision.request, refusal.reason_code, refusal.problem, give)
            if answer is not None:
                give(answer, "")

        def durable(made: Decision, error: Exception | None) -> None:
            if error is not None:
                self.engine.refused(made)
                give(self.durable(made, error), "")
            else:
                self.holds.open(made, asker, opened)

        if self.commit is None:
            self.holds.open(decision, asker, opened)
        else:
            self.commit.add(decision, durable)

    def _let_through(self, decision: Decision, asker: str, question: bytes = b"") -> None:
        assert decision.request is not None
        running, tally = self._running, self.counts.tally
        call = call_of(asker, decision.request)
        answer = RESULTS.spelled(decision, 0)
        question = question or _json(decision.request)
        kept: UnderWay = (asker, call, decision, len(question)) if answer is None else (asker, call, question, answer)
        running[decision.id] = kept
        tally.under_way_bytes += _size_of(kept)
        if call is not None:
            self.docket.let_through(call, decision.id)
        while len(running) > RUNNING_MAX or tally.under_way_bytes > RUNNING_BYTES_MAX:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._forget(self._running.oldest())

    def _forget(self, decision_id: str) -> None:
        found = self._running.pop(decision_id, None)
        if found is None:
            return
        self.counts.tally.under_way_bytes -= _size_of(found)
        if found[1] is not None:
            self.docket.ended(found[1], decision_id)

    def withdraw(self, decision: Decision, refusal: Decision) -> None:
        """Note that a call was not let through after all: its client could not carry the decision out."""
        self._forget(decision.id)
        if decision.effect is STEP_UP:
            return  # whoever polls its hold is told in the same way
        self.engine.refuse(decision.request, refusal.reason_code, refusal.problem)
        try:
            self.engine.cancelled(decision)
        except RequestError:
            pass  # its end is known
        except Exception as error:  # noqa: BLE001 - it is told all the same that the call must not run
            self.counts.tally.unrecorded += 1
            log.error("evidence_unavailable outcome=%s error=%s", decision.id, type(error).__name__)

    def recent(self, count: int) -> list[Request]:
        """Return some of the calls that were decided last."""
        return list(self._recent)[-count:]

    def _decision(self, running: UnderWay) -> Decision:
        """Return the decision that let a call through, but for what was known of its session."""
        _, _, question, answer = running
        if isinstance(question, Decision):
            return question
        assert isinstance(answer, bytes)
        made = self._decision_of(question, answer)
        assert made.request is not None
        return made

    def _decision_of(self, question: bytes, answer: bytes) -> Decision:
        result = msgspec.msgpack.decode(answer[HEADER_BYTES:], type=Result)
        request = admitted_bytes(question)
        if not isinstance(request, Request):
            return decision_of(result, None)
        if self.tenant is not None:
            request = msgspec.structs.replace(request, tenant_id=self.tenant)  # the question need not have said it
        return decision_of(result, request)

    # ------------------------------------------------------------ what was said, and how it ended

    def said(self, session_id: str, text: str, tenant_id: str | None) -> None:
        """Take in what the user of a session said.

        Raises:
            RequestError: the session is another tenant's.
        """
        session = self.engine.session(session_id, tenant_id=tenant_id, begins=False)
        if session.tenant is not None and session.tenant != tenant_id:
            raise RequestError(f"there is no session `{session_id}`")
        session.said(text)

    def knows(self, decision_id: str) -> bool:
        """Say whether a call was let through here, and is under way or has ended."""
        return decision_id in self._running or decision_id in self._ended

    def take_over(self, under_way: Mapping[str, Decision], ended: Mapping[str, object]) -> None:
        """Take in what an earlier process let through: calls under way, and the tenants of those that ended, by id."""
        for decision in under_way.values():
            self._let_through(decision, EARLIER)
        for decision_id, tenant in ended.items():
            self._note_ended(decision_id, EARLIER, tenant)

    def under_way(self, session_id: str, tool_name: str | None, asker: str, tenant: object = None) -> str | None:
        """Return the oldest call under way of a session and a tool that `asker` may report, for a tenant."""
        if tool_name is None:
            return None
        for id in self.docket.open.get((EARLIER, session_id, tool_name), ()):
            request = self._decision(self._running[id]).request
            if request is not None and request.tenant_id == tenant:
                return id
        return next(iter(self.docket.open.get((asker, session_id, tool_name), ())), None)

    def ended(
        self, decision_id: str, ending: str, result: Any, whole: bool, asker: str, tenant: object = None
    ) -> Outcome:
        """Take in how a call ended; return what the agent may see of its result, to be given out as `recorded` says.

        `tenant` is whom a key speaks for. Of a call that an earlier process let through the arguments are not known,
        so no rule can judge what it returned: that stays untold, and where a rule might filter it, is withheld.

        Raises:
            EndedBefore: the end of this call is known; also to be given out as `recorded` says.
            RequestError: there is no such call under way of whoever says so, or no such ending.
            OperationError: it could not be recorded.
        """
        if ending not in ENDINGS:
            raise RequestError(f"a call ends {', '.join(ENDINGS)}; `{ending[:64]}` is none of them")
        found = self._running.get(decision_id)
        if found is None and ending == Ending.CANCELLED and self.holds.withdraw(decision_id, asker):
            return Outcome(decision_id, Ending.CANCELLED)
        withheld = result is not msgspec.UNSET and any(
            rule.action != "label" for rule in self.engine.policy.result_rules
        )
        if found is None:
            before = self._ended.get(decision_id)
            if before is None or not _may_report(asker, tenant, *before):
                raise RequestError("there is no such call under way: it was not let through here, or has ended before")
            if withheld:
                return Outcome(decision_id, ENDINGS[ending], withheld=True)
            raise EndedBefore("there is no such call under way: its end was reported before")
        of, decision = found[0], self._decision(found)
        whose = None if decision.request is None else decision.request.tenant_id
        if not _may_report(asker, tenant, of, whose):
            raise RequestError("there is no such call under way: it was not let through here, or has ended before")
        self._forget(decision_id)
        told = UNTOLD if result is msgspec.UNSET or of == EARLIER else result
        try:
            outcome = self.engine.ended(decision, ENDINGS[ending], told, whole=whole)
        except RequestError:
            raise
        except Exception as error:
            raise OperationError(f"the ending could not be recorded ({type(error).__name__})") from error
        self._note_ended(decision_id, of, whose)
        return replace(outcome, withheld=True) if of == EARLIER and withheld else outcome

    def _note_ended(self, decision_id: str, asker: str, tenant: object) -> None:
        self._ended[decision_id] = asker, tenant if asker == EARLIER else None
        if len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)

    def recorded(self, decision_ids: Iterable[str], give: Callable[[Exception | None], None]) -> None:
        """Have `give` called when the ends of these calls are as durable as an answer has to be, or cannot be."""
        if self.commit is None:
            give(None)
            return

        def durable(ids: list[str], error: Exception | None) -> None:
            if error is not None:
                self.counts.tally.unrecorded += 1
                log.error("evidence_unavailable outcomes=%d error=%s", len(ids), type(error).__name__)
                for id in ids:
                    self._ended.pop(id, None)
            give(error)

        self.commit.add(list(decision_ids), durable)


def call_of(asker: str, request: Request | None) -> Call | None:
    """Return what a docket knows a call by; None where nobody reports it by events, which name no decision: those who
    come without a key name theirs.
    """
    if asker[0] == "u" or request is None or type(request.session_id) is not str:
        return None
    return asker, request.session_id, request.tool_name


def _size_of(running: UnderWay) -> int:
    """Return how many bytes of a call are kept, about."""
    _, _, question, answer = running
    if isinstance(answer, int):
        return answer
    assert isinstance(question, bytes)
    return len(question) + len(answer)


def _may_report(asker: str, tenant: object, of: str, whose: object) -> bool:
    """Say whether `asker`, who speaks for `tenant`, may report a call that `of` asked for as the tenant `whose`."""
    return asker == of or (of == EARLIER and (asker[0] == "u" or tenant == whose))
