"""Calls that wait for a person: one hold for one call, until it is answered or its time is over.

The holds live on the loop; the store has them too, before anybody is told of them. Who may answer is decided here and
once more by the engine: a member of a name that the policy asks, never the agent that asked, nor whoever holds the
key that it asked with, by that or another key; its user only where the policy says `ask user`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from ..contract import Answer, Approval, Decision, Effect, OperationError, Request, RequestError
from ..contract.decision import USER
from ..contract.result import Result, decision_of, result_of
from ..engine import Engine
from ..engine.assemble import names_answered
from ..native.names import nfc
from .commit import Commit
from .refusal import blocked
from .store import Store
from .tokens import token_for

WAITING_MAX: Final = 10_000
KEPT_S: Final = 3600.0
"""How long an answered hold can still be asked for."""

Word: TypeAlias = tuple[str, str, str, bool]
"""One answer: source, approver's name, principal, granted."""
Told: TypeAlias = Callable[["Hold"], None]
Opened: TypeAlias = Callable[["Hold | None"], None]
Answered: TypeAlias = Callable[[Exception | None], None]
Later: TypeAlias = Callable[..., Any]


class Hold(msgspec.Struct, omit_defaults=True):
    """One held call. `decision` is the STEP_UP, `outcome` the decision that ended the waiting, None until then.

    `asker` is who asked, as the door knows them; they may wait for it, and never answer it. Times in epoch seconds.
    """

    token: str
    asker: str
    decision: Result
    request: dict[str, Any]
    created: float
    expires: float
    answers: list[Word] = []
    outcome: Result | None = None
    comment: str = ""

    @property
    def waiting(self) -> bool:
        return self.outcome is None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who speaks, as a door has authenticated them; `key` names the key or the peer."""

    name: str
    key: str
    tenant: str | None = None


class NotYours(RequestError):
    """Whoever speaks may not answer this hold."""


class Holds:
    """Every hold that waits or was answered within the hour, and who waits to hear of it."""

    def __init__(
        self,
        engine: Engine,
        store: Store | None,
        members: Mapping[str, frozenset[str]],
        clock: Callable[[], float],
        later: Later,
        record: Callable[[Approval, Answer, Decision], None] | None,
        notify: Callable[[Hold], None] | None = None,
        token_for: Callable[[Request], str] = token_for,
        keeps: Callable[[str], bool] = lambda token: True,
    ) -> None:
        """`members` are the people behind each approver's name; `later` runs a function on the loop.

        `token_for` makes a hold's token, `keeps` says of which tokens an earlier process's holds are ours.
        """
        self._token_for, self._keeps = token_for, keeps
        self._engine, self._store, self._members = engine, store, members
        self._clock, self._later, self._record, self._notify = clock, later, record, notify
        self._all: dict[str, Hold] = {}
        self._decisions: dict[str, Decision] = {}
        self._told: dict[str, list[Told]] = {}
        self._ending: set[str] = set()
        """The holds that are decided, of which nobody has heard: what was decided is not durable yet."""
        self.waiting = 0
        self.commit: Commit | None = None
        self.let_through: Callable[[Decision, str], None] | None = None
        self.principal_behind: Callable[[str], str | None] = lambda asker: None
        """Returns whose key it was that somebody asked with."""

    # ------------------------------------------------------------ beginning

    def restore(self) -> None:
        """Take up the holds of an earlier run, as they were."""
        if self._store is None:
            return
        for hold in stored(self._store, self._clock()):
            if not self._keeps(hold.token):
                continue
            self._all[hold.token] = hold
            if hold.waiting:
                decision = decision_of(hold.decision, Request(**hold.request))
                self._decisions[hold.token] = decision
                self.waiting += 1
                self._engine.reinstate(decision, [Answer(*word) for word in hold.answers])

    def open(self, decision: Decision, asker: str, opened: Opened) -> None:
        """Hold a STEP_UP; `opened` gets the hold once it is durable, or None where it cannot be held."""
        request = decision.request
        if self._store is None or request is None or self.waiting >= WAITING_MAX:
            opened(None)
            return
        token = self._token_for(request)
        hold = Hold(
            token,
            asker,
            result_of(decision, token),
            {name: value for name, value in msgspec.structs.asdict(request).items() if value is not None},
            decision.now,
            decision.now + (decision.hold_s or 0),
        )

        def kept(error: Exception | None) -> None:
            if error is not None:
                self.waiting -= 1
                opened(None)
                return
            self._all[token] = hold
            self._decisions[token] = decision
            opened(hold)
            if self._notify is not None:
                self._notify(hold)

        self.waiting += 1
        self._keep(hold, kept)

    def _keep(self, hold: Hold, kept: Callable[[Exception | None], None]) -> None:
        assert self._store is not None
        body = msgspec.json.encode(hold)
        self._store.keep(hold.token, hold.expires, hold.waiting, body, lambda error: self._later(kept, error))

    # ------------------------------------------------------------ asking

    def find(self, token: str) -> Hold | None:
        """Return a hold that waits or was answered within the hour."""
        return self._all.get(token)

    def open_for(self, principal: Principal) -> Iterable[Hold]:
        """Return the holds that wait and that this principal may see: those of its tenant, oldest first."""
        return [
            hold
            for hold in self._all.values()
            if hold.waiting and principal.tenant in (None, hold.request.get("tenant_id"))
        ]

    def wait(self, token: str, told: Told) -> Callable[[], None] | None:
        """Have `told` called when a hold is answered; return what ends the waiting, None where nothing waits."""
        hold = self._all.get(token)
        if hold is None or not hold.waiting:
            return None
        waiters = self._told.setdefault(token, [])
        waiters.append(told)

        def give_up() -> None:
            if told in waiters:
                waiters.remove(told)

        return give_up

    # ------------------------------------------------------------ answering

    def answer(self, token: str, principal: Principal, granted: bool, comment: str, answered: Answered) -> Hold:
        """Take one person's answer; `answered` is called when it is durable. Return the hold as it stands.

        Raises:
            NotYours: they were not asked, or asked themselves.
            RequestError: nothing waits under this token.
        """
        hold = self._all.get(token)
        if hold is None or (principal.tenant is not None and principal.tenant != hold.request.get("tenant_id")):
            raise RequestError(f"`{token}` holds no call")
        if not self.takes_answers(hold):
            raise RequestError("this call waits no longer: it was answered, or its time is over")
        if self._clock() >= hold.expires:
            self._end(hold)
            raise RequestError("this call waits no longer: its time is over")
        decision = self._decisions[token]
        names = self._names_of(hold, decision, principal)
        if granted and any(said == principal.name and yes for _, _, said, yes in hold.answers):
            self._noted(hold, answered)  # a yes that was said before adds nothing
            return hold
        approval: Approval | None = None
        before = len(hold.answers)
        for name in names:
            approval = self._engine.answer(decision, approver=name, principal=principal.name, granted=granted)
        assert approval is not None
        hold.answers = [(a.source, a.approver, a.principal, a.granted) for a in approval.answers]
        hold.comment = comment or hold.comment
        if self._record is not None:
            for answer in approval.answers[before:]:
                try:
                    self._record(approval, answer, decision)
                except Exception as error:
                    raise OperationError(f"the answer could not be recorded ({type(error).__name__})") from error
        decided: Decision | None = None
        if not granted or complete(decision, approval.answers):
            decided = self._decide(decision, approval)
        if decided is None:
            self._noted(hold, answered)
        else:
            self._settle(hold, decided, answered)
        return hold

    def takes_answers(self, hold: Hold) -> bool:
        """Say whether a hold is still to be decided; one that is waits until that is durable, and takes no answer."""
        return hold.waiting and hold.token not in self._ending

    def _names_of(self, hold: Hold, decision: Decision, principal: Principal) -> list[str]:
        request = decision.request
        assert request is not None
        asked = sorted({name for ask in decision.asks for name in ask.approvers})
        name = nfc(principal.name)
        themselves = {nfc(one) for one in (request.agent_id, self.principal_behind(hold.asker)) if one}
        if name in themselves or principal.key == hold.asker:
            raise NotYours("whoever asked for a call does not approve it")
        names = [one for one in asked if one != USER and principal.name in self._members.get(one, ())]
        if name == nfc(request.user_id or ""):
            names = [USER] if USER in asked else []
        if not names:
            raise NotYours(f"`{principal.name}` was not asked; the call waits for {', '.join(asked)}")
        return names

    def _decide(self, decision: Decision, approval: Approval) -> Decision | None:
        """Decide a held call once more; None where it still waits."""
        decided = self._engine.decide(decision.request, approval=approval)
        if decided.effect is Effect.STEP_UP:
            return None
        self._engine.refused(decision)
        return decided

    def _noted(self, hold: Hold, answered: Answered) -> None:
        """Make a hold that waits on durable as it stands now."""

        def kept(made: object, error: Exception | None) -> None:
            if error is not None:
                answered(error)
            else:
                self._keep(hold, answered)

        if self.commit is None:
            self._keep(hold, answered)
        else:
            self.commit.add(hold, kept)

    def _settle(self, hold: Hold, decided: Decision, answered: Answered | None) -> None:
        """End a hold: what was decided is made durable, and only then is it the answer to whoever asks or waits."""
        self._ending.add(hold.token)

        def recorded(decision: Decision, error: Exception | None) -> None:
            if error is not None:
                decision = blocked(decision, "evidence_unavailable", "the answer could not be recorded")
            elif self.let_through is not None and decision.effect in (Effect.ALLOW, Effect.MODIFY):
                self.let_through(decision, hold.asker)
            outcome = result_of(decision)

            def kept(error: Exception | None) -> None:
                hold.outcome = outcome
                self._decisions[hold.token] = decision
                self._ending.discard(hold.token)
                self.waiting -= 1
                for told in self._told.pop(hold.token, ()):
                    told(hold)
                if answered is not None:
                    answered(error)

            self._keep(msgspec.structs.replace(hold, outcome=outcome), kept)

        if self.commit is None:
            recorded(decided, None)
        else:
            self.commit.add(decided, recorded)

    def withdraw(self, decision_id: str, asker: str) -> bool:
        """End a hold because whoever asked does not want the call any more; say whether there was one."""
        for hold in self._all.values():
            if hold.decision.id == decision_id and hold.asker == asker and self.takes_answers(hold):
                self._end(hold)
                return True
        return False

    # ------------------------------------------------------------ time

    def sweep(self) -> None:
        """End the holds whose time is over, and forget those that were answered an hour ago."""
        now = self._clock()
        for token, hold in list(self._all.items()):
            if hold.waiting:
                if now >= hold.expires and self.takes_answers(hold):
                    self._end(hold)
            elif now >= hold.expires + KEPT_S:
                del self._all[token]
                self._decisions.pop(token, None)

    def _end(self, hold: Hold) -> None:
        """No complete answer came in time: the call is decided once more, BLOCK, and gives back what it reserved."""
        decision = self._decisions[hold.token]
        answers = tuple(Answer(*word) for word in hold.answers)
        expired = min(hold.expires, self._clock())
        approval = Approval(f"approval-{decision.id}", decision.call, expired, answers, decision.id)
        decided = self._decide(decision, approval)
        assert decided is not None, "an approval after its time lets nothing through"
        self._settle(hold, decided, None)


def stored(store: Store, now: float) -> list[Hold]:
    """Return the holds that an earlier run left: those that wait, and those that can still be asked for."""
    return [msgspec.json.decode(body, type=Hold) for body in store.holds(now - KEPT_S)]


def complete(decision: Decision, answers: Iterable[Answer]) -> bool:
    """Say whether everybody who had to answer has; the engine judges once more."""
    given = list(answers)
    return all(
        names_answered([a for a in given if a.source == ask.source and a.approver in ask.approvers]) >= ask.quorum
        for ask in decision.asks
    )
