"""Calls that wait for a person: nobody else waits with them, and nothing runs without the answer."""

import asyncio
import threading
from typing import Any

import pytest

import thoth


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
