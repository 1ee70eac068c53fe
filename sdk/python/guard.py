"""One agent's enforcement point: asks before a call runs, lets it wait, and reports how it ended.

Nothing here knows how a tool is called; `wrapping.py` and the integrations do. A call is a `Run` from the moment it is
let through. Whoever begins one ends it, once, whatever happens: what has begun and not ended shows in `audit`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from .config import HANDED_OUT
from .contract import Effect, Ending, Outcome
from .enforcer import UNTOLD, EnforcerAway, EnforcerRefused
from .runs import Run, Seat
from .sessions import CURRENT, Session
from .tally import Tally
from .violation import ConfigurationError, EnforcerUnavailable, ThothPolicyViolation, violation
from .waiting import OPEN, Hold

if TYPE_CHECKING:
    from .config import ThothConfig
    from .enforcer import Enforcer, Passed, Reply
    from .spool import Spool

ALLOW, MODIFY, STEP_UP = Effect.ALLOW, Effect.MODIFY, Effect.STEP_UP
COMPLETED: Final = Ending.COMPLETED
PARKED_MAX: Final = 1_000


class Guard:
    """Asks the enforcer for one agent. Safe to use from several threads and event loops."""

    def __init__(self, config: ThothConfig, enforcer: Enforcer, spool: Spool | None = None) -> None:
        """Take a checked configuration and the enforcer that it names; `spool` keeps reports while that is away."""
        self.config = config
        self.enforcer = enforcer
        self.agent_id = config.agent_id
        self.tally = Tally()
        self.session = Session(config.session_id)
        self.spool = spool
        self._fields = config.fields()
        self._scope = frozenset(config.approved_scope)
        self._immediate = enforcer.immediate
        self._hands_out = config.on_hold in HANDED_OUT
        self._parked: dict[tuple[str, str, str], Hold] = {}
        self._parking = threading.Lock()
        self._warned = False

    # ------------------------------------------------------------ before a call

    def seat(self) -> Seat:
        """Return this guard's seat in the session that the code runs in: a sub-session inside another agent's tool."""
        frame = CURRENT.get()
        if frame is None:
            session = self.session
        else:
            session, above = frame
            if above is not None and above is not self and above.agent_id != self.agent_id:
                session = session.child(self.agent_id, self._scope, above)
        seat: Seat | None = session.seats.get(self)
        return self._seated(session) if seat is None else seat

    def _seated(self, session: Session) -> Seat:
        memory, tenant = session.memory, self.config.tenant_id
        if memory.tenant not in (None, tenant):
            raise ConfigurationError(
                f"session `{session.id}` belongs to tenant `{memory.tenant}`, and this agent to `{tenant}`; give each "
                "tenant sessions of its own"
            )
        memory.tenant = tenant
        seat: Seat = session.seats.setdefault(self, Seat(session, self, self._fields_in(session)))
        return seat

    def scope_in(self, session: Session) -> frozenset[str]:
        """Return the tools for which this agent may ask in a session."""
        return self._scope if session.scope is None else self._scope & session.scope

    def _fields_in(self, session: Session) -> dict[str, Any]:
        fields = {**self._fields, **session.fields, "session_id": session.id}
        if session.scope is not None:
            fields["approved_scope"] = sorted(self.scope_in(session))
        if session.chain:
            context = dict(fields.get("task_context") or {})
            context["chain"] = [*context.get("chain", ()), *session.chain]
            fields["task_context"] = context
        if not self._immediate:
            trace = session.fields.get("enforcement_trace_id") or self.config.enforcement_trace_id
            fields["enforcement_trace_id"] = trace or session.id
        return fields

    def _request(self, seat: Seat, tool: str, shown: dict[str, Any]) -> dict[str, Any]:
        request = {**seat.fields, "tool_name": tool, "tool_args": shown}
        if not self._immediate:
            request["request_id"] = os.urandom(16).hex()
            request["session_tool_calls"] = [*seat.memory.tool_calls, tool]
        return request

    def begin(self, tool: str, shown: dict[str, Any]) -> Run:
        """Ask for one call, and return it once it is let through; a held call waits, and only its own thread does.

        Raises:
            ThothPolicyViolation: it does not run; of its kinds, `ThothHeldError` says that it waits and the caller
                cannot.
        """
        seat = self.seat()
        request = self._request(seat, tool, shown)
        if self._parked and (hold := self._unpark(seat, tool, shown)) is not None:
            return self._resumed(hold, seat)
        try:
            if seat.told != len(seat.memory.turns):
                self._tell(seat)
            reply = self.enforcer.check(request, seat.session)
        except (EnforcerAway, EnforcerRefused) as error:
            return self._unanswered(tool, request, seat, error)
        if reply.effect is STEP_UP:
            reply = self._held(reply, request, seat)
        return self._let(tool, request, reply, seat)

    async def abegin(self, tool: str, shown: dict[str, Any]) -> Run:
        """As `begin`, on an event loop: only the calling task waits."""
        seat = self.seat()
        request = self._request(seat, tool, shown)
        if self._parked and (hold := self._unpark(seat, tool, shown)) is not None:
            return await self._aresumed(hold, seat)
        try:
            if self._immediate:
                if seat.told != len(seat.memory.turns):
                    self._tell(seat)
                reply = self.enforcer.check(request, seat.session)
            else:
                if seat.told != len(seat.memory.turns):
                    await self._atell(seat)
                reply = await self.enforcer.acheck(request, seat.session)
        except (EnforcerAway, EnforcerRefused) as error:
            return self._unanswered(tool, request, seat, error)
        if reply.effect is STEP_UP:
            reply = await self._aheld(reply, request, seat)
        return self._let(tool, request, reply, seat)

    def _let(self, tool: str, request: dict[str, Any], reply: Reply, seat: Seat) -> Run:
        effect = reply.effect
        if self.spool is not None and self.spool.count:
            self.spool.nudge()
        if effect is ALLOW or effect is MODIFY:
            self.tally.let_through()
            run = Run(tool, request, reply, seat)
            self.tally.began(run)
            return run
        self.tally.refusal()
        raise violation(tool, reply)

    def not_applied(self, run: Run, why: str) -> ThothPolicyViolation:
        """Return the exception for a call whose changed arguments could not be given to the tool; it has not run."""
        self.end(run, Ending.CANCELLED)
        reply = run.reply
        assert reply is not None, "only an enforcer changes arguments"
        error = violation(run.tool, reply, authorization_decision="BLOCK", decision_reason_code="modification_failed")
        error.reason = f"the arguments could not be changed as the policy asks: {why}"
        return error

    def not_the_same(self, run: Run) -> ThothPolicyViolation:
        """Return the exception for a call whose arguments have changed since it was asked about; it has not run."""
        self.end(run, Ending.CANCELLED)
        return ThothPolicyViolation(
            run.tool,
            "the arguments changed while the call was decided; ask with arguments that nobody changes meanwhile",
            authorization_decision="BLOCK",
            decision_reason_code="arguments_invalid",
        )

    # ------------------------------------------------------------ what the user said

    def _tell(self, seat: Seat) -> None:
        memory, enforcer = seat.memory, self.enforcer
        while (told := memory.told.get(enforcer, 0)) < len(memory.turns):
            memory.told[enforcer] = told + 1
            enforcer.said(seat.session, memory.turns[told])
        seat.told = len(memory.turns)

    async def _atell(self, seat: Seat) -> None:
        memory, enforcer = seat.memory, self.enforcer
        while (told := memory.told.get(enforcer, 0)) < len(memory.turns):
            memory.told[enforcer] = told + 1
            await enforcer.asaid(seat.session, memory.turns[told])
        seat.told = len(memory.turns)

    # ------------------------------------------------------------ held calls

    def _held(self, reply: Reply, request: dict[str, Any], seat: Seat) -> Reply:
        hold = self.enforcer.hold(reply, request, seat.session)
        if self._hands_out:
            raise self._park(hold, seat)
        if _on_a_loop():
            return self._answered_at_once(hold, seat)
        return self._waited(hold)

    def _answered_at_once(self, hold: Hold, seat: Seat) -> Reply:
        """Return what `on_hold` makes of a hold before it returns: on an event loop a plain function cannot wait."""
        reply = None
        if callable(self.config.on_hold):
            OPEN.add(hold)
            try:
                answer = self.config.on_hold(hold)
                if hasattr(answer, "close"):
                    answer.close()  # a coroutine, for which there is no time
                reply = self.enforcer.look(hold)
            except (EnforcerAway, EnforcerRefused):
                pass
            except BaseException:
                self._withdraw(hold)
                OPEN.remove(hold)
                raise
        if reply is None:
            raise self._park(hold, seat)
        OPEN.remove(hold)
        return reply

    def _waited(self, hold: Hold) -> Reply:
        OPEN.add(hold)
        try:
            if callable(self.config.on_hold):
                answer = self.config.on_hold(hold)
                if hasattr(answer, "__await__"):
                    answer.close() if hasattr(answer, "close") else None
                    raise TypeError(
                        "`on_hold` is async, and the call is not; give a plain function, or make the tool async"
                    )
            return self.enforcer.wait(hold)
        except (EnforcerAway, EnforcerRefused) as error:
            raise self._unavailable(hold.tool, error) from error
        except BaseException:
            self._withdraw(hold)
            raise
        finally:
            OPEN.remove(hold)

    async def _aheld(self, reply: Reply, request: dict[str, Any], seat: Seat) -> Reply:
        hold = self.enforcer.hold(reply, request, seat.session)
        if self._hands_out:
            raise self._park(hold, seat)
        return await self._awaited(hold)

    async def _awaited(self, hold: Hold) -> Reply:
        import asyncio

        OPEN.add(hold)
        asking: asyncio.Future[Any] | None = None
        try:
            if callable(self.config.on_hold):
                answer = self.config.on_hold(hold)
                if hasattr(answer, "__await__"):
                    asking = asyncio.ensure_future(answer)
                    asking.add_done_callback(lambda done: hold.withdraw() if _failed(done) else None)
            reply = await self.enforcer.await_hold(hold)
            if asking is not None and asking.done():
                asking.result()  # what `on_hold` raised is the application's to hear
            return reply
        except (EnforcerAway, EnforcerRefused) as error:
            raise self._unavailable(hold.tool, error) from error
        except BaseException:
            self._withdraw(hold)
            raise
        finally:
            OPEN.remove(hold)
            if asking is not None:
                asking.cancel()

    def _withdraw(self, hold: Hold) -> None:
        hold.withdrawn = True
        self.enforcer.withdraw(hold)

    def _park(self, hold: Hold, seat: Seat) -> ThothPolicyViolation:
        """Keep a hold for when the same call comes again, for the same user in the same session, and return the
        exception that says so."""
        key = (_spelled(seat.fields), hold.tool, _spelled(hold.request["tool_args"]))
        with self._parking:
            self._parked[key] = hold
            while len(self._parked) > PARKED_MAX:
                OPEN.remove(self._parked.pop(next(iter(self._parked))))
        OPEN.add(hold)
        return violation(hold.tool, hold.reply, hold)

    def _unpark(self, seat: Seat, tool: str, shown: dict[str, Any]) -> Hold | None:
        with self._parking:
            hold = self._parked.pop((_spelled(seat.fields), tool, _spelled(shown)), None)
        if hold is None:
            return None
        OPEN.remove(hold)
        return None if hold.withdrawn else hold

    def _resumed(self, hold: Hold, seat: Seat) -> Run:
        """Go on with a call whose hold the application has in hand: where nobody has answered, it still cannot wait."""
        try:
            reply = self.enforcer.look(hold)
        except (EnforcerAway, EnforcerRefused) as error:
            self._park(hold, seat)
            raise self._unavailable(hold.tool, error) from error
        if reply is None:
            raise self._park(hold, seat)
        return self._let(hold.tool, hold.request, reply, seat)

    async def _aresumed(self, hold: Hold, seat: Seat) -> Run:
        try:
            reply = await self.enforcer.alook(hold)
        except (EnforcerAway, EnforcerRefused) as error:
            self._park(hold, seat)
            raise self._unavailable(hold.tool, error) from error
        if reply is None:
            raise self._park(hold, seat)
        return self._let(hold.tool, hold.request, reply, seat)

    # ------------------------------------------------------------ no answer

    def _unanswered(self, tool: str, request: dict[str, Any], seat: Seat, error: EnforcerAway | EnforcerRefused) -> Run:
        """Let a call through without an answer where that is configured, or raise."""
        if isinstance(error, EnforcerRefused) or not self.config.fail_open:
            self.tally.refusal()
            raise self._unavailable(tool, error) from error
        run = Run(tool, request, None, seat)
        self.tally.went_open()
        self.tally.let_through()
        self.tally.began(run)
        if not self._warned:
            self._warned = True
            import warnings

            warnings.warn(
                f"the enforcer at {self.enforcer.name} does not answer ({error}), and `fail_open` is configured: calls "
                "run ungoverned until it does",
                RuntimeWarning,
                stacklevel=4,
            )
        self._keep({"kind": "went_open", "request_id": request.get("request_id"), **self._about(run)})
        return run

    def _unavailable(self, tool: str, error: Exception) -> EnforcerUnavailable:
        code = "enforcer_rejected_request" if isinstance(error, EnforcerRefused) else "enforcer_unavailable"
        what = "enforcer rejected request" if isinstance(error, EnforcerRefused) else "enforcer unavailable"
        return EnforcerUnavailable(tool, f"{what}: {error}", authorization_decision="BLOCK", decision_reason_code=code)

    # ------------------------------------------------------------ after a call

    def end(self, run: Run, ending: Ending, result: object = UNTOLD, *, whole: bool = True) -> Passed | None:
        """Report how a call ended; return what the agent may see of the result, None where nothing is said of it.

        A call ends once; of a result that comes after its end nobody says what may be seen.
        """
        if not self.tally.ended(run, ending):
            return self._unjudged(run, ending, result)
        if ending is COMPLETED and not self._immediate:
            run.seat.memory.tool_calls.append(run.tool)
        reply = run.reply
        if reply is None:
            self._keep_outcome(run, ending, result)
            return None
        try:
            return self.enforcer.report(reply, ending, result, whole=whole)
        except (EnforcerAway, EnforcerRefused):
            self._keep_outcome(run, ending, result)
            return self._unjudged(run, ending, result)
        except BaseException:
            self._keep_outcome(run, ending, result)  # interrupted while it waited: nobody knows whether it was taken
            raise

    async def aend(self, run: Run, ending: Ending, result: object = UNTOLD, *, whole: bool = True) -> Passed | None:
        """As `end`, on an event loop; the report is kept where the task is cancelled meanwhile."""
        if self._immediate or run.reply is None:
            return self.end(run, ending, result, whole=whole)
        if not self.tally.ended(run, ending):
            return self._unjudged(run, ending, result)
        if ending is COMPLETED:
            run.seat.memory.tool_calls.append(run.tool)
        try:
            return await self.enforcer.areport(run.reply, ending, result, whole=whole)
        except (EnforcerAway, EnforcerRefused):
            self._keep_outcome(run, ending, result)
            return self._unjudged(run, ending, result)
        except BaseException:
            self._keep_outcome(run, ending, result)
            raise

    def closed(self, run: Run) -> None:
        """Report that a call was left in a coroutine that is being closed: nothing can be awaited there any more."""
        if self._immediate or run.reply is None:
            self.end(run, Ending.CANCELLED)
        elif self.tally.ended(run, Ending.CANCELLED):
            self._keep_outcome(run, Ending.CANCELLED, UNTOLD)

    def _unjudged(self, run: Run, ending: Ending, result: object) -> Passed | None:
        """Return what may be seen of a result that nobody could judge: nothing, where a rule might have changed it."""
        if result is UNTOLD or run.reply is None or not self.enforcer.filters(run.tool):
            return None
        return Outcome(run.reply.id, ending, withheld=True)

    def _about(self, run: Run) -> dict[str, Any]:
        fields = run.request
        names = (
            "tenant_id",
            "agent_id",
            "user_id",
            "session_id",
            "approved_scope",
            "enforcement_mode",
            "tool_name",
            "request_id",
        )
        return {name: fields.get(name) for name in names}

    def _keep_outcome(self, run: Run, ending: Ending, result: object) -> None:
        from .outcomes import outcome_of

        self._keep(outcome_of(run.reply, ending, result, self._about(run)))

    def _keep(self, report: dict[str, Any]) -> None:
        if self.spool is None or not self.spool.keep(report):
            self.tally.loss()

    @property
    def untaken(self) -> int:
        """How many reports the enforcer did not take."""
        return 0 if self.spool is None else self.spool.untaken

    @property
    def unreported(self) -> int:
        """How many reports wait for the enforcer."""
        return (0 if self.spool is None else self.spool.count) + self.enforcer.unreported


def _spelled(args: dict[str, Any]) -> str:
    return json.dumps(args, sort_keys=True, separators=(",", ":"), default=str)


def _on_a_loop() -> bool:
    """Whether this thread runs an event loop now, which waiting would stop."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _failed(done: Any) -> bool:
    return not done.cancelled() and done.exception() is not None
