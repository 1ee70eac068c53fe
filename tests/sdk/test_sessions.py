"""Sessions: what was said and returned belongs to one conversation, and agents below share it and have less to do."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import thoth
from thoth.sessions import Session


def test_a_client_is_one_session(world: Any) -> None:
    client = world.client(session_id="s-1")
    client.tool(read_customer)("1")
    client.tool(read_customer)("2")
    assert {d.request.session_id for d in world.recorder.decisions} == {"s-1"}
    assert [call.tool for call in world.engine.session("s-1").calls] == ["read_customer", "read_customer"]


def test_calls_inside_a_session_belong_to_it(world: Any) -> None:
    read = world.client().tool(read_customer)
    with thoth.session("case-17", user_id="ben", purpose="support") as session:
        read("1")
        assert thoth.get_current_session() is session
    request = world.recorder.decisions[0].request
    assert (request.session_id, request.user_id, request.purpose) == ("case-17", "ben", "support")
    assert thoth.get_current_session() is None


def test_a_tool_sees_the_session_of_its_call(world: Any) -> None:
    seen = []

    @world.client(session_id="s-1").tool
    def read_customer(id: str) -> None:
        seen.append(thoth.get_current_session().id)  # type: ignore[union-attr]

    read_customer("1")
    assert seen == ["s-1"]


def test_what_the_user_said_is_known_before_the_next_call(world: Any) -> None:
    pay = world.client(on_hold="raise").tool(pay_somebody)
    with thoth.session("s-1") as session:
        session.said("please pay INITECH what we owe them")
        assert pay(20_000, "INITECH") == "paid"
        with pytest.raises(thoth.ThothHeldError):
            pay(20_000, "GLOBEX")


def test_sessions_of_one_id_go_on_with_the_same_conversation(world: Any) -> None:
    with thoth.session("s-9") as session:
        session.said("pay INITECH")
    pay = world.client(on_hold="raise").tool(pay_somebody)
    with thoth.session("s-9"):
        assert pay(20_000, "INITECH") == "paid"


def test_results_reach_the_session(world: Any) -> None:
    client = world.client()
    client.tool(read_customer)("1")
    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        client.tool(send_email)("eve@evil.example", "hi")
    assert refused.value.matched_rule_ids == ["no-leak"]


def test_an_agent_called_from_a_tool_shares_the_users_words_and_cuts_its_scope(world: Any) -> None:
    below = world.client(agent_id="payer", approved_scope=["pay", "wipe"], on_hold="raise")
    pay = below.tool(pay_somebody)
    above = world.client(agent_id="boss", approved_scope=["deploy", "delegate", "pay"])
    outcomes: list[Any] = []

    @above.tool
    def delegate(task: str) -> None:
        outcomes.append(pay(20_000, "INITECH"))
        with pytest.raises(thoth.ThothPolicyViolation) as refused:
            below.check("read_customer", {"id": "1"})
        outcomes.append(refused.value.decision_reason_code)

    with thoth.session("s-1") as session:
        session.said("pay INITECH")
        delegate("pay")
    assert outcomes == ["paid", "policy_scope_violation"]
    requests = [d.request for d in world.recorder.decisions]
    assert requests[0].session_id == "s-1"
    assert requests[1].session_id != "s-1"
    assert requests[1].approved_scope == ["pay"]
    assert requests[1].task_context == {"chain": ["boss"]}


def test_an_agent_that_two_others_call_has_the_scope_of_whoever_calls(world: Any) -> None:
    """In one session, a narrow agent must not come by what a wide one left behind."""
    inner = world.client(agent_id="inner")
    wide = world.client(agent_id="wide")
    narrow = world.client(agent_id="narrow", approved_scope=["read_customer"])

    @inner.tool
    def read_page(url: str) -> str:
        return "page"

    def read_customer(id: str) -> str:
        return str(read_page("https://x.example"))

    by_wide, by_narrow = wide.tool(read_customer), narrow.tool(read_customer)
    with thoth.session("shared"):
        assert by_wide("1") == "page"
        with pytest.raises(thoth.ThothPolicyViolation):
            by_narrow("1")
        assert by_wide("1") == "page"


def test_a_thread_of_a_pool_belongs_to_the_agent_above_where_the_context_is_taken_along(world: Any) -> None:
    inner, above = world.client(agent_id="inner"), world.client(agent_id="above", approved_scope=["read_customer"])

    @inner.tool
    def read_page(url: str) -> str:
        return "page"

    @above.tool
    def read_customer(id: str) -> str:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(contextvars.copy_context().run, read_page, "u").result()

    with pytest.raises(thoth.ThothPolicyViolation):
        read_customer("1")
    with pytest.raises(thoth.ThothPolicyViolation):
        asyncio.run(_awaited(above.tool(name="read_customer")(_later(read_page)), "1"))


def _later(function: Any) -> Any:
    async def later(id: str) -> Any:
        return await asyncio.to_thread(function, id)

    return later


async def _awaited(function: Any, argument: str) -> Any:
    return await function(argument)


def test_what_a_sub_agent_is_told_is_not_the_users_word(world: Any) -> None:
    root = Session("root")
    below = Session("below", root=root)
    below.said("pay GLOBEX")
    assert below.memory.turns == []


def test_a_session_belongs_to_one_tenant(world: Any) -> None:
    with thoth.session("shared"):
        world.client().tool(read_customer)("1")
        with pytest.raises(thoth.ConfigurationError, match="belongs to tenant `acme`"):
            world.client(tenant_id="globex").tool(read_customer)("1")


def test_tasks_of_different_sessions_do_not_mix(world: Any) -> None:
    client = world.client()

    @client.tool
    async def read_customer(id: str) -> str:
        await asyncio.sleep(0)
        return thoth.get_current_session().id  # type: ignore[union-attr]

    async def one(name: str) -> None:
        async with thoth.session(name):
            assert await read_customer("1") == name

    async def run() -> None:
        await asyncio.gather(*(one(f"s-{n}") for n in range(20)))

    asyncio.run(run())


def test_threads_have_the_clients_own_session(world: Any) -> None:
    client = world.client(session_id="own")
    read = client.tool(read_customer)
    with thoth.session("case"):
        thread = threading.Thread(target=read, args=("1",))
        thread.start()
        thread.join()
    assert world.recorder.decisions[0].request.session_id == "own"


def read_customer(id: str) -> dict[str, str]:
    return {"id": id}


def send_email(to: str, body: str) -> str:
    return "sent"


def pay_somebody(amount: float, to: str) -> str:
    return "paid"


pay_somebody.__name__ = "pay"
