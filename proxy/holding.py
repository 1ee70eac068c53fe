"""Calls that wait for a person: who is asked, and what the client hears meanwhile.

The user of this client can be asked through it, where the policy names the user as an approver and the client can ask.
In the handshake era that is a request of ours; in the stateless era the call is answered with a question, and goes on
when the client brings the answer together with the state that we gave. The state names one held call, and counts once.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..contract import Effect
from ..enforcer import Enforcer, Reply
from ..waiting import Hold
from .message import Message, canonical, loosely, notification, request_message, result_message
from .refusals import refusal

if TYPE_CHECKING:
    from .call import Call
    from .calls import Calls

USER: Final = "user"
STATE: Final = "thoth:"
"""How a state of ours begins."""
QUESTION: Final = "thoth-approval"
KEPT_MAX: Final = 256
ARGS_CHARS_MAX: Final = 4000
CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"


@dataclass(slots=True)
class Question:
    """A held call whose client has been asked, and answers with its next request."""

    call: "Call"
    hold: Hold
    enforcer: Enforcer
    key: str


@dataclass(slots=True)
class Parked:
    """A held call whose client was told so; it asks again. `reply` is what became of it, once that is known."""

    hold: Hold
    enforcer: Enforcer
    reply: Reply | None = None


class Holding:
    """The held calls of one run."""

    def __init__(self, calls: "Calls") -> None:
        self._calls = calls
        self._questions: dict[str, Question] = {}
        self._parked: dict[str, Parked] = {}
        self._holds: dict[int, tuple[Hold, Enforcer]] = {}

    def hold(self, call: "Call", reply: Reply, enforcer: Enforcer) -> None:
        """Take a call that was answered STEP_UP."""
        asks_user = any(USER in ask.approvers for ask in reply.asks)
        others = tuple(sorted({name for ask in reply.asks for name in ask.approvers} - {USER}))
        # Elsewhere answers are taken from people who log in there, not from us.
        can_ask = asks_user and enforcer.immediate and self._can_ask(call)
        elsewhere = self._calls.settings.elsewhere and enforcer is self._calls.enforcer
        hold = enforcer.hold(reply, call.request, self._calls.session)
        answerable = all(
            elsewhere or sum(1 for name in set(ask.approvers) if name == USER and can_ask) >= ask.quorum
            for ask in reply.asks
        )
        if not answerable:
            self._withdraw(hold, enforcer)
            who = " and ".join(others) if others else "the user"
            how = "through this client" if asks_user and not others else "from here"
            approvers = (*others, "the user") if asks_user else others
            self._calls.refuse(call, reply, f"{who} cannot be asked {how}, so it will not be made", approvers)
            return
        if can_ask and call.modern:
            self._ask_by_result(call, reply, hold, enforcer)
        elif self._calls.settings.on_hold == "pending" and not can_ask:
            self._park(call, hold, enforcer)
        else:
            self._holds[id(call)] = (hold, enforcer)
            call.hold_task = self._calls.spawn(self._wait(call, hold, enforcer, can_ask))

    def _can_ask(self, call: "Call") -> bool:
        can = call.meta.get(CAPABILITIES_KEY) if call.modern else self._calls.relay.client_can
        elicitation = can.get("elicitation") if isinstance(can, Mapping) else None
        return isinstance(elicitation, Mapping) and ("form" in elicitation or "url" not in elicitation)

    # ------------------------------------------------------------ waiting

    async def _wait(self, call: "Call", hold: Hold, enforcer: Enforcer, can_ask: bool) -> None:
        beside = [asyncio.create_task(self._keep_alive(call, hold))]
        if can_ask:
            beside.append(asyncio.create_task(self._ask_user(call, hold)))
        try:
            reply = await enforcer.await_hold(hold)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - no answer, no call
            self._calls.log.event("hold_lost", tool=call.tool, why=type(error).__name__)
            self._withdraw(hold, enforcer)
            reply = None
        finally:
            for task in beside:
                task.cancel()
        self._holds.pop(id(call), None)
        if call.ended:
            return
        call.hold_task = None
        if reply is None or reply.effect is Effect.STEP_UP:
            self._withdraw(hold, enforcer)
            self._calls.refuse(call, hold.reply, "nobody has approved it, and it will not be made")
        else:
            self._calls.act(call, reply, enforcer)

    async def _keep_alive(self, call: "Call", hold: Hold) -> None:
        """Tell the client at times that the call still waits, where it listens for that."""
        token = call.progress_token
        if not isinstance(token, str | int) or isinstance(token, bool):
            return
        text = f"waiting for the approval of {' and '.join(hold.approvers)}"
        beats = 0
        while True:
            beats += 1
            # Progress must grow, and the tool's own begins at 0 or more: small steps stay out of its way.
            step = {"progressToken": token, "progress": beats * 1e-6, "message": text}
            self._calls.relay.client.line(notification("notifications/progress", step))
            await asyncio.sleep(self._calls.settings.progress_s)

    async def _ask_user(self, call: "Call", hold: Hold) -> None:
        relay = self._calls.relay
        id = relay.new_id()
        line = request_message(id, "elicitation/create", self._elicitation(call, hold))
        try:
            answer = await relay.ask(relay.client, id, line, self._calls.settings.hold_s)
        except (TimeoutError, ConnectionError):
            return
        self._take_answer(hold, _result_of(answer))

    def _take_answer(self, hold: Hold, answer: object) -> None:
        """Count the user's answer; anything but a clear yes is a no."""
        granted = False
        if isinstance(answer, dict) and answer.get("action") == "accept":
            content = answer.get("content")
            granted = isinstance(content, dict) and content.get("answer") == "approve"
        user = self._calls.settings.user_id
        try:
            if granted:
                hold.approve(USER, user)
            else:
                hold.deny(USER, user)
        except Exception as error:  # noqa: BLE001 - an answer that may not count is none
            self._calls.log.event("answer_refused", tool=hold.tool, why=str(error)[:200])
            hold.withdraw()

    def _elicitation(self, call: "Call", hold: Hold) -> dict[str, Any]:
        """Return the question to the user. Everything that came from the agent is shown in ASCII, as JSON."""
        args = json.dumps(hold.tool_args, ensure_ascii=True, indent=1)
        if len(args) > ARGS_CHARS_MAX:
            args = f"{args[:ARGS_CHARS_MAX]}\n… and {len(args) - ARGS_CHARS_MAX:,} more characters"
        rules = f" ({', '.join(hold.reply.rules)})" if hold.reply.rules else ""
        text = (
            f"May the agent {self._calls.settings.fields.get('agent_id', '')!a} call {call.tool!a} of "
            f"{self._calls.settings.server!a}? A policy asks for your approval{rules}.\n{args}"
        )
        answers = {"type": "string", "title": "Your answer", "enum": ["approve", "deny"]}
        schema = {"type": "object", "properties": {"answer": answers}, "required": ["answer"]}
        return {"message": text, "requestedSchema": schema}

    # ------------------------------------------------------------ the stateless era

    def _ask_by_result(self, call: "Call", reply: Reply, hold: Hold, enforcer: Enforcer) -> None:
        state = STATE + os.urandom(24).hex()
        self._questions[state] = Question(call, hold, enforcer, self._key(call))
        while len(self._questions) > KEPT_MAX:
            old = self._questions.pop(next(iter(self._questions)))
            self._withdraw(old.hold, old.enforcer)
        form = {"mode": "form", **self._elicitation(call, hold)}
        question = {"method": "elicitation/create", "params": form}
        result = {"resultType": "input_required", "inputRequests": {QUESTION: question}, "requestState": state}
        patience = self._calls.settings.hold_s if reply.hold_s is None else reply.hold_s
        asyncio.get_running_loop().call_later(patience, self._out_of_time, state)
        call.ended = True  # this request is over; the held call goes on with the next one
        self._calls.relay.answer(call, result_message(call.message.raw_id, result))

    def _out_of_time(self, state: str) -> None:
        question = self._questions.pop(state, None)
        if question is not None:
            self._withdraw(question.hold, question.enforcer)

    def continued(self, call: "Call") -> bool:
        """Go on with a held call, where this request brings its state and answer; True where it is dealt with."""
        raw = call.params.get("requestState")
        state = loosely(raw) if raw is not None else None
        if not isinstance(state, str) or not state.startswith(STATE):
            return self._asked_again(call)
        question = self._questions.pop(state, None)
        responses = loosely(call.params.get("inputResponses", b"null"))
        # Whatever else it is, to the server our state and answer are strangers'.
        call.params.pop("requestState", None)
        call.params.pop("inputResponses", None)
        call.message = call.message.with_params(call.params)
        if question is None:
            self._calls.log.event("state_unknown", tool=call.tool)
            return False
        if question.key != self._key(call):
            self._calls.log.event("state_of_another_call", tool=call.tool)
            self._withdraw(question.hold, question.enforcer)
            return False
        first = question.call
        call.request, call.reply, call.enforcer = first.request, first.reply, question.enforcer
        call.params = {**first.params, **({"_meta": call.params["_meta"]} if "_meta" in call.params else {})}
        call.message = call.message.with_params(call.params)
        self._take_answer(question.hold, responses.get(QUESTION) if isinstance(responses, dict) else None)
        self._holds[id(call)] = (question.hold, question.enforcer)
        call.hold_task = self._calls.spawn(self._wait(call, question.hold, question.enforcer, False))
        return True

    def _key(self, call: "Call") -> str:
        """What a state is bound to. Principal and policy are bound by the approval itself, which names both."""
        fields = self._calls.settings.fields
        principal = [fields.get(name) for name in ("tenant_id", "agent_id", "user_id")]
        return canonical([call.tool, call.args, principal, self._calls.settings.server])

    # ------------------------------------------------------------ answering at once

    def _park(self, call: "Call", hold: Hold, enforcer: Enforcer) -> None:
        key = self._key(call)
        self._parked[key] = parked = Parked(hold, enforcer)
        self._calls.spawn(self._settle(parked))
        while len(self._parked) > KEPT_MAX:
            old = self._parked.pop(next(iter(self._parked)))
            self._let_go(old)
        self._pending(call, parked)

    def _pending(self, call: "Call", parked: Parked) -> None:
        more = "call it again with the same arguments later: once it is approved, it runs"
        call.ended = True
        result = refusal(parked.hold.reply, modern=call.modern, more=more, approvers=parked.hold.approvers)
        self._calls.relay.answer(call, result_message(call.message.raw_id, result))

    async def _settle(self, parked: Parked) -> None:
        try:
            parked.reply = await parked.enforcer.await_hold(parked.hold)
        except Exception as error:  # noqa: BLE001 - no answer, no call
            self._calls.log.event("hold_lost", tool=parked.hold.tool, why=type(error).__name__)
            parked.reply = parked.hold.reply

    def _asked_again(self, call: "Call") -> bool:
        if not self._parked:
            return False
        key = self._key(call)
        parked = self._parked.get(key)
        if parked is None:
            return False
        if parked.reply is None:
            self._pending(call, parked)
            return True
        del self._parked[key]
        call.request = parked.hold.request
        if parked.reply.effect is Effect.STEP_UP:
            self._withdraw(parked.hold, parked.enforcer)
            self._calls.refuse(call, parked.reply, "nobody has approved it")
        else:
            self._calls.act(call, parked.reply, parked.enforcer)
        return True

    def _let_go(self, parked: Parked) -> None:
        """A held call that nobody asked for again: what was let through is reported as cancelled."""
        from ..contract import Ending

        if parked.reply is None:
            self._withdraw(parked.hold, parked.enforcer)
        elif parked.reply.effect in (Effect.ALLOW, Effect.MODIFY):
            work = parked.enforcer.areport(parked.reply, Ending.CANCELLED)
            self._calls.spawn(_quietly(work))

    # ------------------------------------------------------------ ends

    def give_up(self, call: "Call") -> None:
        """A held call whose client does not want it any more."""
        found = self._holds.pop(id(call), None)
        if call.hold_task is not None:
            call.hold_task.cancel()
            call.hold_task = None
        if found is not None:
            self._withdraw(*found)

    def close(self) -> None:
        """Give up everything that waits."""
        for hold, enforcer in self._holds.values():
            self._withdraw(hold, enforcer)
        for question in self._questions.values():
            self._withdraw(question.hold, question.enforcer)
        for parked in self._parked.values():
            self._let_go(parked)
        self._holds.clear()
        self._questions.clear()
        self._parked.clear()

    def _withdraw(self, hold: Hold, enforcer: Enforcer) -> None:
        try:
            hold.withdraw()
            enforcer.withdraw(hold)
        except Exception as error:  # noqa: BLE001 - it runs out by itself
            self._calls.log.event("hold_not_withdrawn", tool=hold.tool, why=type(error).__name__)


async def _quietly(work: Any) -> None:
    try:
        await work
    except Exception:  # noqa: BLE001 - it is reported nowhere else either
        pass


def _result_of(answer: Message) -> object:
    return loosely(answer.fields["result"]) if "result" in answer.fields else None
