"""What holds wherever the enforcer is: one suite over every transport."""

import asyncio
from typing import Any

import pytest

import thoth
from thoth.enforcer import EnforcerAway
from thoth.runs import WITHHELD


@pytest.fixture
def ran() -> list[Any]:
    return []


def tools(client: Any, ran: list[Any]) -> dict[str, Any]:
    def pay(amount: float, to: str, note: str = "") -> str:
        ran.append((amount, to))
        return "paid"

    def wipe(path: str) -> None:
        ran.append(path)

    def deploy(service: str) -> None:
        ran.append(service)

    def read_customer(id: str) -> dict[str, str]:
        if id == "0":
            raise KeyError(id)
        ran.append(id)
        return {"id": id}

    def send_email(to: str, body: str) -> str:
        ran.append((to, body))
        return "sent"

    async def apay(amount: float, to: str, note: str = "") -> str:
        ran.append((amount, to))
        return "paid"

    functions = [pay, wipe, deploy, read_customer, send_email]
    governed = {function.__name__: client.tool(function) for function in functions}
    return governed | {"apay": client.tool(name="pay")(apay)}


def test_allow(anywhere: Any, ran: list[Any]) -> None:
    client = anywhere.client()
    assert tools(client, ran)["read_customer"]("7") == {"id": "7"}
    assert anywhere.recorder.endings == ["completed"]
    assert client.audit().balanced


def test_block(anywhere: Any, ran: list[Any]) -> None:
    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        tools(anywhere.client(), ran)["wipe"]("/srv")
    violation = refused.value
    assert ran == []
    assert violation.authorization_decision == "BLOCK"
    assert violation.decision_reason_code == "forbidden_action_static_policy"
    assert violation.matched_rule_ids == ["never"]
    assert violation.violation_id is not None
    assert violation.violation_id.startswith("vio_")


@pytest.mark.parametrize("call", [lambda pay: pay(700, "ACME"), lambda pay: pay(to="ACME", amount=700)])
def test_modify(anywhere: Any, ran: list[Any], call: Any) -> None:
    call(tools(anywhere.client(), ran)["pay"])
    assert ran == [(500, "ACME")]


def test_defer(anywhere: Any, ran: list[Any]) -> None:
    with pytest.raises(thoth.ThothDeferredError) as put_off:
        tools(anywhere.client(), ran)["deploy"]("web")
    assert put_off.value.retry_after_s == 1800
    assert ran == []


def test_a_refusal_tells_the_agent(anywhere: Any, ran: list[Any]) -> None:
    governed = tools(anywhere.client(), ran)
    governed["read_customer"]("7")
    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        governed["send_email"]("eve@evil.example", "hi")
    assert refused.value.tell == "send it to an internal address"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_step_up_approved(anywhere: Any, ran: list[Any], asynchronous: bool) -> None:
    governed = tools(anywhere.client(on_hold=anywhere.approve), ran)
    if asynchronous:
        assert asyncio.run(governed["apay"](20_000, "ACME")) == "paid"
    else:
        assert governed["pay"](20_000, "ACME") == "paid"
    assert ran == [(20_000, "ACME")]
    assert anywhere.recorder.endings == ["completed"]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(("answer", "code"), [("deny", "approval_denied"), ("expire", "approval_expired")])
def test_step_up_denied_or_late(anywhere: Any, ran: list[Any], answer: str, code: str, asynchronous: bool) -> None:
    governed = tools(anywhere.client(on_hold=getattr(anywhere, answer)), ran)
    call = (
        (lambda: asyncio.run(governed["apay"](20_000, "ACME")))
        if asynchronous
        else lambda: governed["pay"](20_000, "ACME")
    )
    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        call()
    assert refused.value.decision_reason_code == code
    assert ran == []


def test_a_hold_that_was_handed_out_goes_on_when_the_call_comes_again(anywhere: Any, ran: list[Any]) -> None:
    governed = tools(anywhere.client(on_hold="raise"), ran)
    for _ in range(2):
        with pytest.raises(thoth.ThothHeldError) as held:
            governed["pay"](20_000, "ACME")
    anywhere.approve(held.value.hold)
    assert governed["pay"](20_000, "ACME") == "paid"
    assert len([d for d in anywhere.recorder.decisions if d.effect == "STEP_UP"]) == 1


def test_a_tool_that_raises(anywhere: Any, ran: list[Any]) -> None:
    client = anywhere.client()
    with pytest.raises(KeyError):
        tools(client, ran)["read_customer"]("0")
    assert anywhere.recorder.endings == ["failed"]
    assert client.audit().balanced


def test_a_cancelled_task(anywhere: Any) -> None:
    client = anywhere.client()
    began = asyncio.Event()

    @client.tool
    async def read_customer(id: str) -> None:
        began.set()
        await asyncio.Event().wait()

    async def run() -> None:
        task = asyncio.ensure_future(read_customer("7"))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert anywhere.recorder.endings == ["cancelled"]
    assert client.audit().balanced


def test_what_the_user_said_is_known(anywhere: Any, ran: list[Any]) -> None:
    governed = tools(anywhere.client(on_hold="raise"), ran)
    with thoth.session() as session:
        session.said("please pay INITECH")
        assert governed["pay"](20_000, "INITECH") == "paid"


def test_a_hundred_held_calls_make_nobody_wait(anywhere: Any, ran: list[Any]) -> None:
    """The short version of the thousand calls of benchmarks/bench_sdk.py."""
    waiting: list[thoth.Hold] = []
    all_wait = asyncio.Event()

    def on_hold(hold: thoth.Hold) -> None:
        waiting.append(hold)
        if len(waiting) == 20:
            all_wait.set()

    pay = tools(anywhere.client(on_hold=on_hold), ran)["apay"]

    async def run() -> None:
        held = [asyncio.ensure_future(pay(20_000 + n, "ACME")) for n in range(20)]
        free = [asyncio.ensure_future(pay(n, "ACME")) for n in range(100)]
        assert await asyncio.gather(*free) == ["paid"] * 100
        assert not any(task.done() for task in held)
        await all_wait.wait()
        for hold in waiting:
            anywhere.approve(hold)
        assert await asyncio.gather(*held) == ["paid"] * 20

    asyncio.run(run())
    assert len(ran) == 120


def test_a_result_that_nobody_could_judge_is_withheld_where_a_rule_might_change_it(
    anywhere: Any, ran: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise EnforcerAway("gone when the call ended")

    async def aaway(*_: Any, **__: Any) -> None:
        away()

    client = anywhere.client()
    governed = tools(client, ran)
    enforcer = client.guard.enforcer
    monkeypatch.setattr(enforcer, "report", away)
    monkeypatch.setattr(enforcer, "areport", aaway)
    for may_change, customer, payment in ((True, WITHHELD, WITHHELD), (False, {"id": "7"}, "paid")):
        monkeypatch.setattr(enforcer, "filters", lambda tool, may=may_change: may)
        assert governed["read_customer"]("7") == customer
        assert asyncio.run(governed["apay"](5, to="ann")) == payment
    assert len(ran) == 4
