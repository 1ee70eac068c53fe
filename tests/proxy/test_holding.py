"""Calls that wait for a person: nobody but a person lets them through, and only the very call that was shown."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from thoth.contract import Effect
from thoth.proxy.refusals import META

from .conftest import tool

Play = Callable[..., Any]
POLICY = """\
policy desk
    default block
allow * as any-tool
step_up write as asks-the-user ask user within 5m
step_up send as asks-finance ask "finance" within 5m
modify write as mask when args.text matches card_number redact args.text matching card_number with "[card]"
"""
FORM = {"elicitation": {}}
MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": FORM}


def texts(result: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in result["content"])


def question(world: Any) -> dict[str, Any]:
    """The proxy's question to the client."""
    found: dict[str, Any] = [one for one in world.client.messages if one.get("method") == "elicitation/create"][-1]
    return found


def answer(world: Any, action: str, **content: Any) -> None:
    result = {"action": action, **({"content": content} if content else {})}
    world.says({"jsonrpc": "2.0", "id": question(world)["id"], "result": result})


def test_the_user_is_asked_through_the_client_and_sees_what_would_run(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.initialize(elicitation={})
        id = world.request("write", {"text": "card 4111 1111 1111 1111 \u202e\u200b"})
        await world.settle()
        asked = question(world)["params"]
        assert "[card]" in asked["message"]
        assert "4111" not in asked["message"]
        assert asked["message"].isascii()  # what nobody sees is spelt out
        assert world.called == []
        answer(world, "accept", answer="approve")
        assert "isError" not in (await world.response(id))["result"]

    world = play(scene, POLICY)
    assert [call["arguments"]["text"] for call in world.called] == ["card [card] \u202e\u200b"]
    assert [one.effect for one in world.recorded.decisions] == [Effect.STEP_UP, Effect.MODIFY]
    assert world.endings == ["completed"]
    assert all(one.get("method") != "elicitation/create" for one in world.server.messages)
    assert all("result" not in one for one in world.server.messages)


@pytest.mark.parametrize(
    ("action", "content"),
    [
        ("decline", {}),
        ("cancel", {}),
        ("accept", {}),
        ("accept", {"answer": "deny"}),
        ("accept", {"answer": True}),
        ("", {}),
    ],
)
def test_anything_but_a_clear_yes_is_a_no(play: Play, action: str, content: dict[str, Any]) -> None:
    async def scene(world: Any) -> None:
        world.initialize(elicitation={})
        id = world.request("write", {"text": "a"})
        await world.settle()
        answer(world, action, **content)
        result = (await world.response(id))["result"]
        assert result["isError"] is True
        assert "an approver said no" in texts(result)

    assert play(scene, POLICY).called == []


@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {"url": {}}}, {"elicitation": None}])
def test_who_cannot_be_asked_is_not_waited_for(play: Play, capabilities: dict[str, Any]) -> None:
    async def scene(world: Any) -> None:
        world.initialize(**capabilities)
        assert "the user cannot be asked" in texts(await world.call("write", {"text": "a"})).lower()
        assert "finance cannot be asked from here" in texts(await world.call("send", {"text": "a"})).lower()

    assert play(scene, POLICY).called == []


def test_a_held_call_keeps_the_client_alive_and_nobody_waiting(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.initialize(elicitation={})
        id = world.request("write", {"text": "a"}, _meta={"progressToken": "p"})
        await world.settle()
        assert "isError" not in await world.call("read", {"path": "/a"})
        beat = next(one for one in world.client.messages if one.get("method") == "notifications/progress")["params"]
        assert beat["progressToken"] == "p"
        assert beat["message"] == "waiting for the approval of user"
        answer(world, "accept", answer="approve")
        await world.response(id)

    assert [call["name"] for call in play(scene, POLICY).called] == ["read", "write"]


def test_a_held_call_that_is_cancelled_never_runs(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.initialize(elicitation={})
        id = world.request("write", {"text": "a"})
        await world.settle()
        asked = question(world)["id"]
        world.says({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
        world.says({"jsonrpc": "2.0", "id": asked, "result": {"action": "accept", "content": {"answer": "approve"}}})
        await world.settle()
        assert all(one.get("method") != "notifications/cancelled" for one in world.server.messages)

    assert play(scene, POLICY).called == []


# ---------------------------------------------------------------- the stateless era


async def asked(world: Any, args: dict[str, Any], tool: str = "write") -> dict[str, Any]:
    """Call, and return the result that asks."""
    result: dict[str, Any] = await world.call(tool, args, _meta=MODERN)
    assert result["resultType"] == "input_required", result
    return result


def approval(state: str, given: str = "approve") -> dict[str, Any]:
    response = {"action": "accept", "content": {"answer": given}}
    return {"requestState": state, "inputResponses": {"thoth-approval": response}, "_meta": MODERN}


def test_a_question_in_a_result_is_answered_with_the_next_request(play: Play) -> None:
    async def scene(world: Any) -> None:
        first = await asked(world, {"text": "a"})
        form = first["inputRequests"]["thoth-approval"]
        assert form["method"] == "elicitation/create"
        assert form["params"]["mode"] == "form"
        result = await world.call("write", {"text": "a"}, **approval(first["requestState"]))
        assert "isError" not in result

    world = play(scene, POLICY)
    assert world.called == [{"name": "write", "arguments": {"text": "a"}, "_meta": MODERN}]
    assert world.endings == ["completed"]


def test_a_no_in_the_stateless_era_is_a_no(play: Play) -> None:
    async def scene(world: Any) -> None:
        first = await asked(world, {"text": "a"})
        result = await world.call("write", {"text": "a"}, **approval(first["requestState"], "deny"))
        assert result["isError"] is True
        assert result["resultType"] == "complete"

    assert play(scene, POLICY).called == []


def test_an_approval_is_for_one_call_only(play: Play) -> None:
    """Other arguments, another tool, a second time, a state made up: each is a new call, and asked about again."""

    async def scene(world: Any) -> None:
        state = (await asked(world, {"text": "a"}))["requestState"]
        other = await world.call("write", {"text": "b"}, **approval(state))
        assert other["resultType"] == "input_required"
        again = await world.call("write", {"text": "a"}, **approval(state))
        assert again["resultType"] == "input_required"
        assert (await world.call("write", {"text": "a"}, **approval("thoth:" + "0" * 48)))[
            "resultType"
        ] == "input_required"
        good = (await asked(world, {"text": "a"}))["requestState"]
        assert "isError" not in await world.call("write", {"text": "a"}, **approval(good))
        assert (await world.call("write", {"text": "a"}, **approval(good)))["resultType"] == "input_required"

    assert len(play(scene, POLICY).called) == 1


def test_one_is_not_one_point_nought_to_an_approval(play: Play) -> None:
    async def scene(world: Any) -> None:
        state = (await asked(world, {"text": "a", "path": 1}))["requestState"]
        result = await world.call("write", {"text": "a", "path": 1.0}, **approval(state))
        assert result["resultType"] == "input_required"

    assert play(scene, POLICY).called == []


def test_a_question_of_the_server_s_own_passes_and_the_call_goes_on(play: Play) -> None:
    """A server asks its client something: the bytes pass, the call is decided once, and ends once."""
    wants = {"resultType": "input_required", "requestState": "s1", "inputRequests": {"q": {"method": "roots/list"}}}

    async def scene(world: Any) -> None:
        world.returns = lambda params: {"resultType": "complete", "content": []} if "requestState" in params else wants
        assert await world.call("read", {"path": "/a"}, _meta=MODERN) == wants
        more = {"requestState": "s1", "inputResponses": {"q": {"roots": []}}, "_meta": MODERN}
        assert await world.call("read", {"path": "/a"}, **more) == {"resultType": "complete", "content": []}
        await world.call("read", {"path": "/a"}, **more)  # the state counts once: this is a new call

    world = play(scene, POLICY)
    assert len(world.called) == 3
    assert len(world.recorded.decisions) == 2
    assert world.endings == ["completed", "completed"]


def test_a_server_s_question_is_not_an_approval_for_other_arguments(play: Play) -> None:
    wants = {"resultType": "input_required", "requestState": "s1"}

    async def scene(world: Any) -> None:
        world.returns = lambda params: wants
        await world.call("read", {"path": "/a"}, _meta=MODERN)
        await world.call("read", {"path": "/b"}, requestState="s1", _meta=MODERN)

    assert len(play(scene, POLICY).recorded.decisions) == 2


def test_a_result_of_a_kind_that_nobody_knows_is_not_passed_on(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.returns = lambda params: {"resultType": "task", "taskId": "t"}
        assert (await world.call("read", {"path": "/a"}, _meta=MODERN))["isError"] is True

    assert play(scene, POLICY).endings == ["failed"]


# ---------------------------------------------------------------- answering at once


def test_a_pending_call_says_so_and_runs_when_it_is_asked_for_again(play: Play) -> None:
    async def scene(world: Any) -> None:
        first = await world.call("send", {"text": "a"})
        assert "waits for the approval of finance" in texts(first)
        assert first["_meta"][META]["effect"] == "STEP_UP"
        assert "waits for the approval" in texts(await world.call("send", {"text": "a"}))
        (parked,) = world.calls.holding._parked.values()
        parked.hold.approve("finance", "bob")
        await world.settle()
        assert "isError" not in await world.call("send", {"text": "a"})
        assert "waits for the approval" in texts(await world.call("send", {"text": "a"}))  # it was for one call

    world = play(scene, POLICY, on_hold="pending", elsewhere=True)
    assert len(world.called) == 1
    assert world.endings == ["completed"]


def test_what_was_approved_and_never_asked_for_again_is_recorded_as_cancelled(play: Play) -> None:
    async def scene(world: Any) -> None:
        await world.call("send", {"text": "a"})
        (parked,) = world.calls.holding._parked.values()
        parked.hold.approve("finance", "bob")
        await world.settle()

    world = play(scene, POLICY, on_hold="pending", elsewhere=True)
    assert world.called == []
    assert world.endings == ["cancelled"]


# ---------------------------------------------------------------- tasks


def test_the_result_of_a_task_is_governed_as_any_result_is(play: Play) -> None:
    policy = POLICY + 'on result read redact result matching us_ssn with "[number]"\n'

    async def scene(world: Any) -> None:
        world.returns = lambda params: {"task": {"taskId": "t1", "status": "working"}}
        made = await world.call("read", {"path": "/a"}, task={"ttl": 1000})
        assert made == {"task": {"taskId": "t1", "status": "working"}}
        assert world.endings == []
        world.says({"jsonrpc": "2.0", "id": "r", "method": "tasks/result", "params": {"taskId": "t1"}})
        world.server_says(
            {"jsonrpc": "2.0", "id": "r", "result": {"content": [{"type": "text", "text": "078-05-1120"}]}}
        )
        assert texts((await world.response("r"))["result"]) == "[number]"
        for other in ("t1", "t2"):
            world.says({"jsonrpc": "2.0", "id": other, "method": "tasks/result", "params": {"taskId": other}})
            assert "error" in await world.response(other)

    world = play(scene, policy)
    assert world.endings == ["completed"]
    assert b"078" not in json.dumps(world.client.messages).encode()


@pytest.mark.parametrize("interim", [{"resultType": "input_required", "requestState": "s"}, {"task": {"taskId": "t"}}])
def test_a_step_on_the_way_that_brings_content_is_no_way_around_the_rules(play: Play, interim: dict[str, Any]) -> None:
    policy = POLICY + 'on result read redact result matching us_ssn with "[number]"\n'

    async def scene(world: Any) -> None:
        world.returns = lambda params: {**interim, "content": [{"type": "text", "text": "078-05-1120"}]}
        await world.call("read", {"path": "/a"}, task={}, _meta=MODERN)
        assert b"078" not in b"".join(world.client.lines)

    assert len(play(scene, policy).endings) == 1


# ---------------------------------------------------------------- tools that change meanwhile


@pytest.mark.parametrize("said_so", [True, False])
@pytest.mark.parametrize("cancels", [True, False])
def test_a_tool_that_changes_while_its_call_waits_is_not_called(play: Play, said_so: bool, cancels: bool) -> None:
    """An approval is for the tool that was there when it was asked for."""

    async def scene(world: Any) -> None:
        world.initialize(elicitation={})
        id = world.request("write", {"text": "a"})
        await world.settle()
        world.tools = [tool("read"), tool("write", "changed since"), tool("send")]
        if said_so:
            world.server_says({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        else:
            world.says({"jsonrpc": "2.0", "id": "list", "method": "tools/list"})
            await world.settle()
        answer(world, "accept", answer="approve")
        if cancels:
            await world.settle()
        else:
            result = (await world.response(id))["result"]
            assert result["isError"] is True
            assert result["_meta"][META]["rules"] == ["tool-changed"]

    world = play(scene, POLICY)
    assert world.called == []
    assert world.endings == ["cancelled"]


def test_a_tool_that_is_listed_anew_as_it_was_is_called_once_it_is_approved(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.initialize(elicitation={})
        id = world.request("write", {"text": "a"})
        await world.settle()
        world.server_says({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        answer(world, "accept", answer="approve")
        assert "isError" not in (await world.response(id))["result"]

    world = play(scene, POLICY)
    assert len(world.called) == 1
    assert world.endings == ["completed"]


def test_a_call_that_was_pending_and_one_that_a_server_asks_back_about_look_at_the_tool_again(play: Play) -> None:
    wants = {"resultType": "input_required", "requestState": "s1"}

    async def scene(world: Any) -> None:
        await world.call("send", {"text": "a"})
        (parked,) = world.calls.holding._parked.values()
        world.returns = lambda params: wants
        await world.call("read", {"path": "/a"}, _meta=MODERN)
        parked.hold.approve("finance", "bob")
        world.tools = [tool("read", "other"), tool("write"), tool("send", "other")]
        world.server_says({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        assert (await world.call("send", {"text": "a"}))["isError"] is True
        assert (await world.call("read", {"path": "/a"}, requestState="s1", _meta=MODERN))["isError"] is True

    world = play(scene, POLICY, on_hold="pending", elsewhere=True)
    assert [call["name"] for call in world.called] == ["read"]
    assert world.endings == ["cancelled", "cancelled"]
