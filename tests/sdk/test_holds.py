"""Calls that wait for a person: nobody else waits with them, and nothing runs without the answer."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import thoth
from thoth.integrations.calls import call

from .office import World


def _pay(client: Any, ran: list[Any]) -> Any:
    @client.tool
    def pay(amount: float, to: str, note: str = "") -> str:
        ran.append(amount)
        return "paid"

    return pay


def _apay(client: Any, ran: list[Any]) -> Any:
    @client.tool
    async def pay(amount: float, to: str, note: str = "") -> str:
        ran.append(amount)
        return "paid"

    return pay


def test_an_approved_call_runs(world: Any) -> None:
    ran: list[Any] = []
    assert _pay(world.client(on_hold=world.approve), ran)(20_000, "ACME") == "paid"
    assert ran == [20_000]
    assert world.recorder.effects == [("pay", "STEP_UP"), ("pay", "ALLOW")]
    assert world.recorder.decisions[-1].reason_code == "approval_granted"


def test_a_denied_call_does_not_run(world: Any) -> None:
    ran: list[Any] = []
    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        _pay(world.client(on_hold=world.deny), ran)(20_000, "ACME")
    assert refused.value.decision_reason_code == "approval_denied"
    assert ran == []


def test_a_call_that_nobody_answers_in_time_does_not_run(world: Any) -> None:
    ran: list[Any] = []
    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        _pay(world.client(on_hold=lambda hold: world.later(901)), ran)(20_000, "ACME")
    assert refused.value.decision_reason_code == "approval_expired"
    assert ran == []
    assert world.recorder.decisions[-1].effect == "BLOCK"


def test_a_hold_says_whom_it_waits_for_and_what_would_run(world: Any) -> None:
    seen: list[Any] = []

    def on_hold(hold: thoth.Hold) -> None:
        seen.append((hold.tool, hold.tool_args, hold.approvers, hold in thoth.holds()))
        hold.deny("finance-leads", "bob")

    with pytest.raises(thoth.ThothPolicyViolation):
        _pay(world.client(on_hold=on_hold), [])(20_000, "ACME")
    assert seen == [("pay", {"amount": 20_000, "to": "ACME", "note": ""}, ("finance-leads",), True)]
    assert thoth.holds() == ()


def test_only_the_thread_of_a_held_call_waits(world: Any) -> None:
    ran: list[Any] = []
    held = threading.Event()
    client = world.client(on_hold=lambda hold: held.set())
    pay = _pay(client, ran)
    waiting = threading.Thread(target=pay, args=(20_000, "ACME"))
    waiting.start()
    assert held.wait(10)
    assert pay(1, "ACME") == "paid"
    assert ran == [1]
    (hold,) = thoth.holds()
    world.approve(hold)
    waiting.join(10)
    assert ran == [1, 20_000]


def test_only_the_task_of_a_held_call_waits(world: Any) -> None:
    ran: list[Any] = []
    pay = _apay(world.client(), ran)

    async def run() -> None:
        held = asyncio.ensure_future(pay(20_000, "ACME"))
        await asyncio.sleep(0)
        assert await pay(1, "ACME") == "paid"
        assert not held.done()
        world.approve(thoth.holds()[0])
        assert await held == "paid"

    asyncio.run(run())
    assert ran == [1, 20_000]


def test_a_hold_may_be_answered_from_another_thread_than_the_loop(world: Any) -> None:
    ran: list[Any] = []

    def on_hold(hold: thoth.Hold) -> None:
        threading.Thread(target=world.approve, args=(hold,)).start()

    assert asyncio.run(_apay(world.client(on_hold=on_hold), ran)(20_000, "ACME")) == "paid"


def test_an_application_may_ask_its_people_with_a_coroutine(world: Any) -> None:
    async def on_hold(hold: thoth.Hold) -> None:
        await asyncio.sleep(0)
        world.approve(hold)

    assert asyncio.run(_apay(world.client(on_hold=on_hold), [])(20_000, "ACME")) == "paid"


def test_what_the_applications_callback_raises_reaches_the_caller_and_nothing_runs(world: Any) -> None:
    ran: list[Any] = []

    async def on_hold(hold: thoth.Hold) -> None:
        raise LookupError("nobody is there")

    with pytest.raises(LookupError):
        asyncio.run(_apay(world.client(on_hold=on_hold), ran)(20_000, "ACME"))

    def sync_on_hold(hold: thoth.Hold) -> None:
        raise LookupError("nobody is there")

    with pytest.raises(LookupError):
        _pay(world.client(on_hold=sync_on_hold), ran)(20_000, "ACME")
    assert ran == []
    assert thoth.holds() == ()


def test_a_task_that_is_cancelled_while_it_waits_gives_its_hold_up(world: Any) -> None:
    ran: list[Any] = []
    client = world.client()
    pay = _apay(client, ran)

    async def run() -> None:
        held = asyncio.ensure_future(pay(20_000, "ACME"))
        await asyncio.sleep(0)
        (hold,) = thoth.holds()
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
        with pytest.raises(Exception, match="holds no call"):
            world.approve(hold)

    asyncio.run(run())
    assert ran == []
    assert thoth.holds() == ()
    assert client.audit().balanced


def test_a_plain_tool_never_stops_the_loop_it_is_called_on(world: Any) -> None:
    ran: list[Any] = []
    pay = _pay(world.client(), ran)

    async def run() -> None:
        with pytest.raises(thoth.ThothHeldError) as held:
            pay(20_000, "ACME")
        assert held.value.hold is not None
        world.approve(held.value.hold)
        assert pay(20_000, "ACME") == "paid"

    asyncio.run(run())
    assert ran == [20_000]


def test_a_hold_can_be_handed_to_the_application_and_the_same_call_goes_on_later(world: Any) -> None:
    ran: list[Any] = []
    pay = _pay(world.client(on_hold="raise"), ran)
    with pytest.raises(thoth.ThothHeldError) as held:
        pay(20_000, "ACME")
    hold = held.value.hold
    assert hold is not None
    assert hold in thoth.holds()
    with pytest.raises(thoth.ThothHeldError) as other:
        pay(20_001, "ACME")  # another call, and a hold of its own
    assert other.value.hold is not hold
    world.approve(hold)
    assert pay(20_000, "ACME") == "paid"
    assert ran == [20_000]
    with pytest.raises(thoth.ThothHeldError):
        pay(20_000, "ACME")  # one approval is for one call


def test_a_hold_that_was_handed_out_is_not_another_users(world: Any) -> None:
    ran: list[Any] = []
    pay = _pay(world.client(on_hold="raise"), ran)
    with thoth.session("case", user_id="ann"), pytest.raises(thoth.ThothHeldError) as held:
        pay(25_000, to="ACME")
    assert held.value.hold is not None
    world.approve(held.value.hold)
    with thoth.session("case", user_id="eve"), pytest.raises(thoth.ThothHeldError):
        pay(25_000, to="ACME")
    assert ran == []
    with thoth.session("case", user_id="ann"):
        assert pay(25_000, to="ACME") == "paid"


def test_a_hold_that_was_handed_out_and_is_not_answered_is_still_held(world: Any) -> None:
    pay = _pay(world.client(on_hold="raise"), [])
    for _ in range(2):
        with pytest.raises(thoth.ThothHeldError) as held:
            pay(20_000, "ACME")
    assert len([d for d in world.recorder.decisions if d.effect == "STEP_UP"]) == 1
    assert held.value.hold in thoth.holds()
    held.value.hold.withdraw()


def test_an_approver_who_was_not_asked_does_not_count(world: Any) -> None:
    def on_hold(hold: thoth.Hold) -> None:
        with pytest.raises(Exception, match="was not asked"):
            hold.approve("somebody", "eve")
        world.deny(hold)

    with pytest.raises(thoth.ThothPolicyViolation):
        _pay(world.client(on_hold=on_hold), [])(20_000, "ACME")


# ---------------------------------------------------------------- arguments that change meanwhile


POLICY = """
policy mail
    approvers "finance-leads"
allow   * as all
step_up send as asks when any args.to is "ann" ask "finance-leads" within 15m
modify  send as cut when any args.to is "carl" redact args.note matching card_number with "[card]"
"""


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_call_whose_arguments_change_while_it_waits_does_not_run(asynchronous: bool) -> None:
    """What was approved is what was shown; the list that the caller passed is another one by now."""
    world = World(POLICY)
    ran = []

    def send(to: list[str]) -> None:
        ran.append(to)

    async def asend(to: list[str]) -> None:
        ran.append(to)

    def approve(hold: thoth.Hold) -> None:
        to.append("eve")
        world.approve(hold)

    client = world.client(approved_scope=["send"], on_hold=approve)
    now, later = client.tool(send), client.tool(name="send")(asend)
    to = ["ann"]
    with pytest.raises(thoth.ThothPolicyViolation, match="changed while the call was decided"):
        asyncio.run(later(to)) if asynchronous else now(to)
    assert ran == []
    assert world.recorder.endings == ["cancelled"]
    assert client.audit().balanced


@pytest.mark.parametrize("way", ["function", "many", "framework", "modified"])
def test_a_call_whose_arguments_change_while_it_is_decided_does_not_run(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(POLICY)
    ran = []
    client = world.client(approved_scope=["send"])
    check = world.enforcer.check
    to, other = ["bob"], ["carl"]

    def meanwhile(request: Any, session: Any) -> Any:
        reply = check(request, session)
        to.append("eve")
        other.append("eve")
        return reply

    monkeypatch.setattr(world.enforcer, "check", meanwhile)

    def send(to: list[str], note: Any = None) -> None:
        ran.append(to)

    def send_all(**more: Any) -> None:
        ran.append(more)

    ways: dict[str, Callable[[], Any]] = {
        "function": lambda: client.tool(send)(to=to),
        "many": lambda: client.tool(name="send")(send_all)(to=to),
        "framework": lambda: call(client.guard, "send", {"to": to}, lambda given: send(**given)),
        "modified": lambda: client.tool(send)(other, "4111 1111 1111 1111"),
    }
    with pytest.raises(thoth.ThothPolicyViolation, match="changed while the call was decided"):
        ways[way]()
    assert ran == []


def test_an_argument_that_only_a_text_tells_of_may_read_otherwise_when_the_call_runs() -> None:
    world = World(POLICY)
    ran = []

    class Line:
        """A connection, say, that counts how often it is looked at."""

        count = 0

        def __str__(self) -> str:
            self.count += 1
            return f"line {self.count}"

    @world.client(approved_scope=["send"]).tool
    def send(to: list[str], note: Any) -> None:
        ran.append(note)

    line = Line()
    send(["bob"], line)
    assert ran == [line]
