"""An engine in your own process: a policy file, a clock and a recorder wired to the decision.

This is the one file of the room that looks at the clock; `files` reads policies for it. Everything else is pure.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from ..contract import (
    Answer,
    Approval,
    By,
    Decision,
    Effect,
    Ending,
    Json,
    Mode,
    OperationError,
    Outcome,
    Recorder,
    Request,
    RequestError,
)
from ..grammar import Message
from ..native.desk import Desk
from ..native.digests import digest_of
from ..native.running import Running
from . import bundle as bundles
from .answers import blank
from .checked import CheckedPolicy, Tool
from .collecting import not_collecting
from .compiler import Compiler
from .decide import ENTRY, WIRE, admitted_bytes
from .evaluators import EVALUATORS, Evaluator, Native, Reference
from .explain import explain
from .files import compiled, load, read_bytes
from .forms import CALL, CALLS, DECISION, OUTCOME, REQUEST, TOLD
from .held import Held, HeldCalls
from .learned import Baseline
from .ledger import Ledger
from .results import may_filter, pass_on
from .session import CALLS_MAX, Session, text_of
from .sessions import KeptSessions
from .toolsets import ToolSet
from .witness import Witness

RUNNING_MAX: Final = 100_000
NO_LABELS: Final[frozenset[str]] = frozenset()
ALLOW: Final = Effect.ALLOW
LET_THROUGH: Final = (Effect.ALLOW, Effect.MODIFY)
CROSSED: Final = frozenset({By.RULE, By.LIMIT, By.MODE, By.DEFAULT})
"""What an override crosses: by these a call is refused that could be let through."""
OVERRIDE: Final = "override-"
"""Before the id of an override, where a decision names an approval."""
TEXT: Final = (bytes, str)


class _Untold:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


UNTOLD: Final = _Untold("UNTOLD")
"""In place of a result: the call ended, and what it returned is not told."""
UNREADABLE: Final = _Untold("UNREADABLE")
"""In place of a result that cannot be made a text: an object within itself, an integer too long to be spelled."""


class Engine:
    """Decides calls under one policy, keeps their sessions and counters, and records through a `Recorder`.

    Safe to use from several threads; the decisions of one session are taken one after another.
    """

    def __init__(
        self,
        policy: CheckedPolicy,
        *,
        recorder: Recorder | None = None,
        evaluator: Literal["native", "reference"] | Evaluator = "native",
        clock: Callable[[], float] = time.time,
        warnings: Sequence[Message] = (),
        files: Sequence[str] = (),
    ) -> None:
        """Take a checked policy, and tell the recorder that it is in force; `files` are those that it was read from.

        The class methods `from_file`, `from_files` and `from_text` read one. `evaluator` is a name, or an evaluator of
        this very policy.
        """
        self.policy = policy
        self.warnings = tuple(warnings)
        self._evaluator: Evaluator = EVALUATORS[evaluator](policy) if isinstance(evaluator, str) else evaluator
        self._clock = clock
        self._sessions = KeptSessions(clock)
        self._held = HeldCalls()
        self.id_prefix = os.urandom(8).hex()
        """What the ids of this engine's decisions begin with, before the dash."""
        self._desk = self._desk_of(recorder, clock)
        self._lock, self._ids = self._desk.lock, self._desk.ids
        self._running: Running[Session | None] = self._desk.running
        self._files = tuple(files)
        self._compiler: Compiler | None = None
        if recorder is not None:
            _announce(recorder, policy, self._files)

    @property
    def recorder(self) -> Recorder | None:
        """Where decisions and endings are written down, if anywhere."""
        recorder: Recorder | None = self._desk.recorder
        return recorder

    @recorder.setter
    def recorder(self, recorder: Recorder | None) -> None:
        self._desk.recorder = recorder

    @property
    def desk(self) -> Desk:
        """What takes each decision, for those who ask it without Python; it stays the same under another policy."""
        return self._desk

    @property
    def ledger(self) -> Ledger:
        """The counters that calls are counted in."""
        ledger: Ledger = self._desk.ledger
        return ledger

    @ledger.setter
    def ledger(self, ledger: Ledger) -> None:
        self._desk.ledger = ledger

    def _desk_of(self, recorder: Recorder | None, clock: Callable[[], float]) -> Desk:
        desk = Desk(
            prefix=self.id_prefix,
            wire=WIRE,
            admit_text=admitted_bytes,
            clock=clock,
            recorder=recorder,
            ledger=Ledger(),
            sessions=self._sessions.kept,
            engine=self,
            explain=_explain,
            session_of=self._session_of,
            unrecorded=_unrecorded,
            account=self._account,
            remember=self._memory_of,
            allow=ALLOW,
            request=REQUEST,
            decision=DECISION,
            session=CALLS,
            call=CALL,
            outcome=OUTCOME,
            heard=TOLD,
            endings=Ending,
            running_max=RUNNING_MAX,
            calls_max=CALLS_MAX,
        )
        desk.take(*_ways_of(self._evaluator, self.policy))
        return desk

    # ------------------------------------------------------------ from policy text

    @classmethod
    def from_file(cls, file: str | os.PathLike[str], **settings: Any) -> "Engine":
        """Read the policy in `file` and the modules that it uses; settings as in `from_files`."""
        return cls.from_files([file], **settings)

    @classmethod
    def from_files(
        cls,
        files: Iterable[str | os.PathLike[str]],
        *,
        path: Iterable[str | os.PathLike[str]] = (),
        learned: str | os.PathLike[str] | Baseline | None = None,
        recorder: Recorder | None = None,
        evaluator: Literal["native", "reference"] = "native",
        clock: Callable[[], float] = time.time,
        trusted: Sequence[str | os.PathLike[str]] | None = None,
    ) -> "Engine":
        """Read one root policy and modules that it uses; further modules are looked for beside each file,
        then in the folders of `path`, then among the installed packs. `learned` names a baseline.

        One compiled bundle may stand in the place of all files; the baseline is in it. With `trusted`, files of
        Ed25519 public keys (PEM), nothing but a bundle that one of these keys signed is taken.

        Raises:
            PolicyError: with every mistake of the policy.
            OperationError: a file cannot be read, several files are roots, or a bundle is not to be trusted.
        """
        files = list(files)
        if len(files) == 1 and bundles.is_bundle(files[0]):
            keys = None if trusted is None else [read_bytes(key) for key in trusted]
            bundle = bundles.read(files[0], keys)
            if learned is not None:
                raise OperationError(f"`{files[0]}` holds its baseline already; build it with the other one")
            policy = bundle.table.policy
            over = Native.over(bundle.table, bundle.windows) if evaluator == "native" else evaluator
            named = os.fspath(files[0])
            return cls(policy, recorder=recorder, evaluator=over, clock=clock, files=[named])
        if trusted is not None:
            named = ", ".join(f"`{os.fspath(file)}`" for file in files)
            raise OperationError(f"{named}: not a bundle, and only signed bundles count here; `thoth build --sign`")
        names = [os.fspath(file) for file in files]
        with not_collecting():
            policy, warnings = load(names, path=path, learned=learned)
        return cls(policy, recorder=recorder, evaluator=evaluator, clock=clock, warnings=warnings, files=names)

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        source: str = "policy.thoth",
        modules: Mapping[str, str] | None = None,
        learned: Baseline | None = None,
        recorder: Recorder | None = None,
        evaluator: Literal["native", "reference"] = "native",
        clock: Callable[[], float] = time.time,
        compiler: Compiler | None = None,
    ) -> "Engine":
        """Read a policy from text; `modules` maps the names that it uses to their texts. With a `compiler`, the next
        text that `replace` is given is read where it differs.

        Raises:
            PolicyError: with every mistake of the policy.
        """
        policy, warnings, over = compiled(compiler, text, source, modules, learned, evaluator)
        engine = cls(policy, recorder=recorder, evaluator=over, clock=clock, warnings=warnings)
        engine._compiler = compiler
        return engine

    # ------------------------------------------------------------ another policy

    @property
    def evaluator(self) -> Evaluator:
        """What decides now; it can be asked from any thread, and keeps no state."""
        return self._evaluator

    def adopt(self, policy: CheckedPolicy, evaluator: Evaluator) -> None:
        """Decide under another policy from the next call on; sessions, counters and held calls stay.

        An approval of a call that was held under the old policy counts no longer: it was bound to that.

        Raises:
            OperationError: that it is in force cannot be recorded; the old policy stays.
        """
        with self._lock:
            if self.recorder is not None:
                _announce(self.recorder, policy, self._files)
            self.policy, self._evaluator = policy, evaluator
            self._desk.take(*_ways_of(evaluator, policy))

    def replace(
        self,
        text: str,
        *,
        source: str = "policy.thoth",
        modules: Mapping[str, str] | None = None,
        learned: Baseline | None = None,
    ) -> None:
        """Decide under another text of the policy from the next call on, as `adopt` does.

        Of a text that differs in a few rules from the one before, these alone are read and laid out. That one is the
        last that `replace` was given, or that of `from_text` where it was given a compiler. For one thread at a time.

        Raises:
            PolicyError: with every mistake of the policy; the old one stays.
            OperationError: that it is in force cannot be recorded; the old policy stays.
        """
        self._compiler = self._compiler or Compiler()
        policy, warnings, over = compiled(self._compiler, text, source, modules, learned, "native")
        self.adopt(policy, over)
        self.warnings = warnings

    def tool_of(self, request: Request) -> Tool | None:
        """Return the declaration of a request's tool."""
        return self._evaluator.tool_of(request)

    # ------------------------------------------------------------ sessions

    def session(
        self, id: str, *, root: Session | None = None, tenant_id: str | None = None, begins: bool = True
    ) -> Session:
        """Return the session of this id, opened now if it was never open; `root` is the one whose user it serves.

        An id that was open before and has been forgotten since is continued: what was lost of it is unknown. So it is
        where `begins` is False: then somebody spoke of a session that this engine never saw begin.
        """
        with self._lock:
            bound = self.policy.bounds.provenance_bytes
            return self._sessions.open(id, root, tenant_id, begins=begins, provenance_bytes=bound)

    def sessions(self) -> list[Session]:
        """Return the sessions that are kept, those that were asked for last first."""
        with self._lock:
            return list(reversed(self._sessions.kept.values()))

    def forget_idle(self, seconds: float) -> int:
        """Forget the sessions in which nothing has happened for so long; return how many.

        One that is spoken of again is continued, and what was lost of it is unknown. What limits count stays. To be
        called now and then: a session is idle from the first call that finds it as the last one did.
        """
        with self._lock:
            return self._sessions.forget_idle(seconds)

    def _session_of(self, request: Request) -> Session | None:
        return self._sessions.of(request, self.policy.bounds.provenance_bytes)

    # ------------------------------------------------------------ deciding

    def decide(
        self,
        request: Mapping[str, Any] | Request | bytes | str | object,
        *,
        session: Session | None = None,
        approval: Approval | None = None,
    ) -> Decision:
        """Decide one call before it runs: a mapping in the wire's field names, one as JSON
        or MessagePack, or a `Request`.

        Never raises for anything in the request; what is wrong with it is a decision. The decision is
        recorded before it is given out, counted in its session, and reserved with its limits.
        """
        decision: Decision = self._desk.decide(request, session, approval)
        return decision

    def refuse(self, request: object, reason_code: str, problem: str = "") -> Decision:
        """Return a BLOCK by error for a call that is not decided at all, recorded as any decision is."""
        admitted = admitted_bytes(request) if isinstance(request, TEXT) else self._evaluator.admit(request)
        decision: Decision = self._desk.refuse(admitted, reason_code, problem)
        return decision

    def weigh(self, request: object, *, session: Session | None = None, approval: Approval | None = None) -> Decision:
        """Return what a call would be decided as now; nothing is recorded, counted or reserved."""
        admitted = admitted_bytes(request) if isinstance(request, bytes | str) else self._evaluator.admit(request)
        with self._lock:
            id = self._ids.next()
            return self._evaluator.decide(
                admitted, session=session, ledger=self.ledger, now=self._clock(), approval=approval, id=id
            )

    def _account(self, decision: Decision, session: Session | None, approval: Approval | None) -> None:
        """Count a decision: its call, its block, its reservations, its violation, the approval that it used up."""
        if decision.violation is not None:
            ladder = self.policy.ladder
            self.ledger.violate(decision.violation, decision.now, ladder.same_s)
        if approval is not None and approval.call == decision.call:
            held = self._held.find(approval.reservations)
            if decision.effect is Effect.STEP_UP and held is not None:
                self._hold(decision.id, held)  # still waiting: the hold stays as it is
                return
            self._give_back(approval.reservations)
        if decision.approval:
            self.ledger.use(decision.approval)
        windows = self._evaluator.windows
        for reservation in decision.reservations:
            self.ledger.reserve(reservation, decision.now, decision.id, windows[reservation.limit])
        if decision.effect in LET_THROUGH:
            self._desk.let_through(decision, session)
        elif decision.effect is Effect.STEP_UP:
            self._hold(decision.id, Held(decision, []))
        elif decision.effect is Effect.BLOCK and session is not None:
            session.blocked()

    def _hold(self, decision_id: str, held: Held) -> None:
        """Hold a call under one more decision; what a call that is pushed out had reserved is given back."""
        self._return(self._held.add(decision_id, held))

    def ran(self, decision: Decision, session: Session | None = None) -> None:
        """Count a call as let through, whatever was decided: for replaying what really happened.

        A call that was held is held no longer, and keeps what it reserved.
        """
        with self._lock:
            self._held.remove(decision.id)
            if decision.id not in self._running:
                self._desk.let_through(decision, session)

    def _memory_of(self, request: Request) -> tuple[frozenset[str] | None, frozenset[str], frozenset[str]]:
        """Return a tool's classes, the labels that its calls bring, and those that their results may bring."""
        tool = self._evaluator.tool_of(request)
        labels, pending = NO_LABELS, self._evaluator.result_labels(request)
        if tool is not None and tool.yields:
            labels = frozenset([y.label for y in tool.yields if y.pattern is None])
            pending = pending | {y.label for y in tool.yields if y.pattern is not None}
        return None if tool is None else tool.classes, labels, pending - labels

    def witness(self, request: Request, session: Session | None, now: float, risk: int) -> Witness:
        """Return who says what each condition of a decision came to, from the table that decided it."""
        return self._evaluator.witness(request, session, now, risk)

    # ------------------------------------------------------------ in spite of the policy

    def overridden(self, decision: Decision, override: str) -> Decision:
        """Return the decision that lets a refused call through by an override that its owner has checked; recorded.

        Its verdict stays what the table said, and its rules are those that were not enforced. It runs with the
        arguments that the refusal has, changed where they are; what a held call had reserved it takes over.

        Raises:
            RequestError: the call was refused for what no override crosses.
        """
        if decision.request is None or decision.effect in LET_THROUGH or decision.by not in CROSSED:
            raise RequestError(f"no override crosses what is refused by {decision.by}: {decision.reason_code}")
        with self._lock:
            made = replace(
                decision,
                id=self._ids.next(),
                effect=Effect.MODIFY if decision.modified else Effect.ALLOW,
                by=By.MODE,
                reason_code="break_glass",
                mode=Mode.OBSERVE,
                rules=(),
                rules_more=0,
                would_be=decision.rules or decision.would_be,
                asks=(),
                hold_s=None,
                retry_after_s=None,
                tells=(),
                violation=None,
                approval=f"{OVERRIDE}{override}",
                presented=None,
            )
            if self.recorder is not None:
                try:
                    self.recorder.decided(made)
                except Exception as error:  # noqa: BLE001 - whatever went wrong, there is no evidence
                    return _unrecorded(made, error)
            self._give_back(decision.id)
            windows = self._evaluator.windows
            for reservation in made.reservations:
                self.ledger.reserve(reservation, made.now, made.id, windows[reservation.limit])
            self._desk.let_through(made, self._session_of(decision.request))
        return made

    def weigh_without(self, request: Request, crossed: Callable[[str], bool]) -> Decision:
        """Return what a call would be decided as now if rules with some ids were not there; nothing is recorded.

        Cost: a look at every rule, by the reference evaluator.
        """
        with self._lock:
            policy = replace(self.policy, rules=tuple(rule for rule in self.policy.rules if not crossed(rule.id)))
            return Reference(policy).decide(
                request,
                session=self._session_of(request),
                ledger=self.ledger,
                now=self._clock(),
                approval=None,
                id=self._ids.next(),
            )

    # ------------------------------------------------------------ approvals

    def answer(self, decision: Decision, *, approver: str, principal: str, granted: bool = True) -> Approval:
        """Take one approver's answer to a held call and return the approval as it stands.

        `approver` is a name that the policy asks (or "user"), `principal` the person who speaks, as your
        own authentication knows them. Decide the same request again with the approval; it is used up by the
        call that it lets through.

        Raises:
            RequestError: the decision holds nothing, nobody of that name was asked, or the request does not say
                whose call it is, so that anybody could be its agent or user.
            OperationError: the answer cannot be recorded, and does not count.
        """
        with self._lock:
            held = self._held.find(decision.id)
            if held is None:
                raise RequestError("this decision holds no call; only a STEP_UP of this engine can be answered")
            asked = held.decision
            if asked.request is None or not (asked.request.agent_id and asked.request.user_id):
                raise RequestError(
                    "nobody may approve a call without `agent_id` and `user_id`; send both to have it held"
                )
            asks = [ask for ask in asked.asks if approver in ask.approvers]
            if not asks:
                names = sorted({name for ask in asked.asks for name in ask.approvers})
                raise RequestError(f"`{approver}` was not asked; the call waits for {', '.join(names)}")
            given = [Answer(ask.source, approver, principal, granted) for ask in asks]
            approval = Approval(
                id=f"approval-{asked.id}",
                call=asked.call,
                expires=asked.now + (asked.hold_s or 0),
                answers=(*held.answers, *given),
                reservations=asked.id,
            )
            record = getattr(self.recorder, "answered", None)
            if record is not None:
                for answer in given:  # what cannot be recorded does not count
                    record(approval, answer, asked)
            held.answers.extend(given)
            return approval

    def reinstate(self, decision: Decision, answers: Iterable[Answer]) -> None:
        """Hold a call again that an earlier process held, with the answers so far; it reserves again what it had."""
        with self._lock:
            windows = self._evaluator.windows
            for reservation in decision.reservations:
                if reservation.limit in windows:
                    self.ledger.reserve(reservation, decision.now, decision.id, windows[reservation.limit])
            self._hold(decision.id, Held(decision, list(answers)))

    def refused(self, decision: Decision) -> None:
        """Say that a held call will not run after all: what it reserved is given back."""
        with self._lock:
            self._give_back(decision.id)

    def _give_back(self, decision_id: str) -> None:
        self._return(self._held.remove(decision_id))

    def _return(self, held: Held | None) -> None:
        if held is not None:
            for reservation in held.decision.reservations:
                self.ledger.give_back(reservation, held.decision.id)

    # ------------------------------------------------------------ endings

    def completed(self, decision: Decision, result: object = UNTOLD, *, whole: bool = True) -> Outcome:
        """Report that a call let through has completed, and what it returned; return what the agent may see of it.

        `whole` is False where `result` is only a part: what it holds is remembered, what it lacks stays unknown, and
        where a result rule could redact or withhold some of it, the agent may see nothing.

        Raises:
            RequestError: this engine did not let the call through, or it has ended before.
        """
        return self.ended(decision, Ending.COMPLETED, result, whole=whole)

    def failed(self, decision: Decision, result: object = UNTOLD, *, whole: bool = True) -> Outcome:
        """Report that a call failed; `result` is the message that the agent sees."""
        return self.ended(decision, Ending.FAILED, result, whole=whole)

    def cancelled(self, decision: Decision) -> Outcome:
        """Report that a call was cancelled: it counts as failed and gives nothing back."""
        return self.ended(decision, Ending.CANCELLED)

    def timed_out(self, decision: Decision) -> Outcome:
        """Report that a call did not end in time: it counts as failed and gives nothing back."""
        return self.ended(decision, Ending.TIMED_OUT)

    def ended(self, decision: Decision, ending: Ending, result: object = UNTOLD, *, whole: bool = True) -> Outcome:
        """Report how a call ended; it counts in the session that it was decided in."""
        taken: Outcome | None = self._desk.ended(decision, ending, result, whole)
        if taken is not None:
            return taken
        request = decision.request
        with self._lock:
            if request is None or decision.id not in self._running:
                raise RequestError("there is no such call under way: it was not let through here, or has ended before")
            session = self._running.pop(decision.id)
            told, text = _told(result)
            now = self._clock()
            tool = self._evaluator.tool_of(request)
            call = session.find(decision.id) if session else None
            heard: str | None = None
            rules = () if text is None else self._evaluator.on_result(request, decision.args or {}, text, session, now)
            passed = None
            if text is not None:
                scan = self.policy.bounds.scan_chars
                passed = pass_on(told, text, tool, rules, scan, self._evaluator.spans)
                if not whole and may_filter(self.policy, request.tool_name):
                    passed = replace(passed, result=None, withheld=True)
            in_time = now - decision.now <= self.policy.bounds.in_flight_s
            if session is not None and call is not None and in_time:
                labels, perhaps = (passed.labels, passed.perhaps) if passed else (NO_LABELS, NO_LABELS)
                session.ended(call, ending, text, labels, whole, perhaps)
                heard = text
            self._settle(decision, ending, tool)
        outcome = Outcome(
            decision.id,
            ending,
            passed.result if passed else None,
            passed.withheld if passed else told is UNREADABLE,
            tuple(sorted(rule.id for rule in rules)),
            tuple(sorted(passed.labels)) if passed else (),
            "" if heard is None else digest_of(heard).hex(),
            not whole,
            tuple(sorted(passed.perhaps)) if passed else (),
            not in_time,
        )
        if self.recorder is not None:
            self.recorder.ended(decision, outcome)
        return outcome

    def restored(self, decision: Decision, outcome: Outcome) -> None:
        """Take an ending from a record, where the result itself was not kept, only its digest and its labels."""
        with self._lock:
            session = self._running.pop(decision.id, None)
            call = session.find(decision.id) if session else None
            if session is not None and call is not None and not outcome.late:
                labels, perhaps = frozenset(outcome.labels), frozenset(outcome.perhaps)
                heard = bytes.fromhex(outcome.heard)
                session.restored(call, outcome.ending, heard, labels, not outcome.part, perhaps)

    def _settle(self, decision: Decision, ending: Ending, tool: Tool | None) -> None:
        """A limit gives back only where an atomic tool reports failure."""
        if ending is Ending.FAILED and tool is not None and tool.atomic:
            for reservation in decision.reservations:
                self.ledger.give_back(reservation, decision.id)


def _ways_of(evaluator: Evaluator, policy: CheckedPolicy) -> tuple[Any, ...]:
    """Return what a desk takes of an evaluator: the compiled way to decide, if any, and which tools are simple."""
    late_s = policy.bounds.in_flight_s
    refusal = blank(
        effect=Effect.BLOCK,
        verdict=Effect.BLOCK,
        by=By.ERROR,
        mode=Mode.BLOCK,
        policy_digest=policy.digest,
        regimes=policy.regimes,
    )
    if not isinstance(evaluator, Native):
        return None, None, evaluator.admit, evaluator.decide, frozenset(), frozenset(), late_s, refusal
    declarations = evaluator.table.declarations
    plain = frozenset(declarations.general.keys() - declarations.special.keys())
    rules = [ToolSet(rule.tools) for rule in policy.result_rules]

    def is_quiet(name: str) -> bool:
        tools = policy.tools[name]
        return not any(one.yields or any(rule.fits(name, one.classes) is not False for rule in rules) for one in tools)

    quiet = frozenset(filter(is_quiet, plain & policy.tools.keys()))
    return ENTRY, evaluator.table, evaluator.admit, evaluator.decide, plain, quiet, late_s, refusal


def _announce(recorder: Recorder, policy: CheckedPolicy, files: tuple[str, ...]) -> None:
    """Say which policy is in force, and what of calls it shows, where the recorder wants to know."""
    shows, loaded = getattr(recorder, "shows", None), getattr(recorder, "policy_loaded", None)
    if shows is not None:
        shows(
            {
                name: {param.name for tool in declarations for param in tool.params if param.shown}
                for name, declarations in policy.tools.items()
            }
        )
    if loaded is not None:
        loaded(policy.digest, files=files)


def _explain(engine: Engine, session: Session | None, approval: Approval | None, seen: int, decision: Decision) -> str:
    return explain(engine, decision, session, approval, seen)


def _told(result: object) -> tuple[Any, str | None]:
    """Return a result as JSON, and as one text; what is not JSON is told as the text that `str` makes of it.

    UNTOLD stays that, without a text, and what cannot be told so is UNREADABLE: as if untold, but nobody may see it.
    """
    if isinstance(result, _Untold):
        return result, None
    try:
        told = _json(result)
        return told, text_of(told)
    except Exception:  # noqa: BLE001 - a result with methods of its own can raise anything
        return UNREADABLE, None


def _json(value: object) -> Json:
    if isinstance(value, Mapping):
        return {str(key): _json(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _unrecorded(decision: Decision, error: Exception) -> Decision:
    return replace(
        decision,
        effect=Effect.BLOCK,
        by=By.ERROR,
        reason_code="evidence_unavailable",
        rules=(),
        rules_more=0,
        asks=(),
        hold_s=None,
        retry_after_s=None,
        tells=(),
        controls=(),
        reservations=(),
        violation=None,
        modified=False,
        args=decision.request.tool_args if decision.request else None,
        approval="",
        problem=f"the decision could not be recorded ({type(error).__name__})",
    )
