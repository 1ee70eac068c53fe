"""Tool calls: decided before the server hears of them, reported when they have ended."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from thoth.contract import Effect
from thoth.enforcer import EnforcerAway, EnforcerRefused
from thoth.proxy.refusals import META

Play = Callable[..., Any]
POLICY = """\
policy desk
    default block

tool read(path: string) is read yields seen
tool send(text: string, path?: string) is send

allow read as reading
allow send as sending
block send as no-secrets when args.text contains "secret"
    because "secrets stay here"
    tell "leave the secret out"
block send as after-reading when session.labels contains seen and args.text contains "seen"
defer send as later when args.text is "later" retry after 30m
modify send as mask when args.text matches card_number redact args.text matching card_number with "[card]"
on result read redact result matching us_ssn with "[number]"
on result read as gone withhold when result contains "classified"
"""


def texts(result: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in result["content"])


def test_an_allowed_call_reaches_the_server_as_the_bytes_that_came(play: Play) -> None:
    line = (
        b'{"id": "x" ,"jsonrpc":"2.0","params":{"arguments": {"path": "/\\u0061"},"name":"read"},"method":"tools/call"}'
    )

    async def scene(world: Any) -> None:
        world.returns = lambda params: None
        world.says(line)
        await world.settle()
        assert line in world.server.lines
        answer = b'{"jsonrpc":"2.0", "id":"x","result":{"content":[{"type":"text","text":"\\u0061"}],"zz":1.0}}'
        world.server_says(answer)
        await world.settle()
        assert answer in world.client.lines

    world = play(scene, POLICY)
    assert [one.effect for one in world.recorded.decisions] == [Effect.ALLOW]
    assert world.endings == ["completed"]


def test_a_refusal_tells_the_agent_why_and_what_to_do_and_the_server_never_hears_of_the_call(play: Play) -> None:
    async def scene(world: Any) -> None:
        result = await world.call("send", {"text": "the secret is swordfish"})
        assert result["isError"] is True
        assert texts(result) == ("This call was not made: a rule forbids the call (no-secrets). Leave the secret out.")
        assert result["_meta"][META] == {
            "effect": "BLOCK",
            "reason_code": "forbidden_action_static_policy",
            "decision_id": world.recorded.decisions[-1].id,
            "rules": ["no-secrets"],
        }
        assert "swordfish" not in json.dumps(result)

    world = play(scene, POLICY)
    assert world.called == []
    assert world.endings == []


def test_modified_arguments_are_all_that_changes(play: Play) -> None:
    async def scene(world: Any) -> None:
        await world.call("send", {"text": "pay 4111 1111 1111 1111", "path": "/a"}, _meta={"progressToken": 1.5})

    world = play(scene, POLICY)
    assert world.called == [
        {"name": "send", "arguments": {"text": "pay [card]", "path": "/a"}, "_meta": {"progressToken": 1.5}}
    ]


def test_a_deferred_call_says_when_to_try_again(play: Play) -> None:
    async def scene(world: Any) -> None:
        result = await world.call("send", {"text": "later"})
        assert "may be tried again after 30 minutes" in texts(result)
        assert result["_meta"][META]["retry_after_s"] == 1800

    assert play(scene, POLICY).called == []


def test_what_a_tool_returned_counts_in_the_calls_after_it(play: Play) -> None:
    async def scene(world: Any) -> None:
        assert "isError" not in await world.call("send", {"text": "what was seen"})
        await world.call("read", {"path": "/a"})
        assert (await world.call("send", {"text": "what was seen"}))["isError"] is True

    play(scene, POLICY)


def test_a_result_is_redacted_everywhere_and_keeps_its_shape(play: Play) -> None:
    async def scene(world: Any) -> None:
        content = [
            {"type": "text", "text": "it is 078-05-1120"},
            {"type": "resource", "resource": {"uri": "file:///078-05-1120", "mimeType": "text/plain", "text": "ok"}},
        ]
        world.returns = lambda params: {"content": content, "structuredContent": {"n": "078-05-1120", "x": [1, 2.5]}}
        result = await world.call("read", {"path": "/a"})
        assert result == {
            "content": [
                {"type": "text", "text": "it is [number]"},
                {"type": "resource", "resource": {"uri": "file:///[number]", "mimeType": "text/plain", "text": "ok"}},
            ],
            "structuredContent": {"n": "[number]", "x": [1, 2.5]},
        }

    play(scene, POLICY)


def test_a_withheld_result_does_not_reach_the_client(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.returns = lambda params: {"content": [{"type": "text", "text": "classified: x-ray"}]}
        result = await world.call("read", {"path": "/a"})
        assert result["isError"] is True
        assert "not shown" in texts(result)
        assert b"x-ray" not in b"".join(world.client.lines)

    assert play(scene, POLICY).endings == ["completed"]


def test_a_failure_is_redacted_as_a_result_is(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.returns = lambda params: None
        id = world.request("read", {"path": "/a"})
        await world.settle()
        world.server_says(
            {"jsonrpc": "2.0", "id": id, "error": {"code": 5, "message": "no 078-05-1120", "data": ["x"]}}
        )
        answer = await world.response(id)
        assert answer["error"] == {"code": 5, "message": "no [number]", "data": ["x"]}

    assert play(scene, POLICY).endings == ["failed"]


@pytest.mark.parametrize(
    "result",
    [
        b'{"content":[{"type":"text","text":"078-05-1120"}],"content":[]}',
        b'{"content":[],"x":{"a":"078-05-1120","a":"fine"}}',
    ],
)
def test_a_result_that_hides_something_behind_a_double_key_is_not_shown(play: Play, result: bytes) -> None:
    async def scene(world: Any) -> None:
        world.returns = lambda params: None
        id = world.request("read", {"path": "/a"})
        await world.settle()
        world.server_says(b'{"jsonrpc":"2.0","id":%d,"result":%s}' % (id, result))
        await world.response(id)
        assert b"078" not in b"".join(world.client.lines)

    play(scene, POLICY)


@pytest.mark.parametrize(
    "arguments",
    ['{"path":"/a","path":"/b"}', '{"path":NaN}', '{"path":1e999}', '["/a"]', '"/a"', '{"a":' * 70 + "1" + "}" * 70],
)
def test_arguments_that_are_none_are_refused_and_recorded(play: Play, arguments: str) -> None:
    async def scene(world: Any) -> None:
        world.says(
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":%s}}'
            % arguments.encode()
        )
        answer = await world.response(1) if "NaN" not in arguments else world.client.messages[-1]
        refused = "error" in answer or answer["result"]["_meta"][META]["reason_code"] == "request_invalid"
        assert refused

    assert play(scene).called == []


@pytest.mark.parametrize(
    "params",
    [
        '{"name":"read","name":"write","arguments":{}}',
        '{"name":"read","Name":"write","arguments":{}}',
        '{"name":"read","arguments":{},"Arguments":{"path":"/"}}',
        '{"arguments":{}}',
        '{"name":7}',
        '{"name":""}',
        "[]",
        "7",
        '{"name":"read","_meta":{"a":1,"a":2}}',
    ],
)
def test_parameters_that_two_servers_would_read_differently_are_refused(play: Play, params: str) -> None:
    async def scene(world: Any) -> None:
        world.says(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%s}' % params.encode())
        assert "error" in await world.response(1)

    assert play(scene).called == []


def test_an_argument_in_other_letters_than_the_schema_s_is_refused(play: Play) -> None:
    """A server that does not tell `Path` from `path` would run what no rule about `path` has seen."""

    async def scene(world: Any) -> None:
        for args in ({"Path": "/etc"}, {"path": "/a", "PATH": "/etc"}, {"x": 1, "X": 2}):
            result = await world.call("read", args)
            assert result["_meta"][META]["rules"] == ["arguments-ambiguous"], args
        assert "isError" not in await world.call("read", {"path": "/a", "x": 1})

    assert len(play(scene).called) == 1


def test_a_carriage_return_is_no_line_end_for_anybody(play: Play) -> None:
    """Python, Java and others end a line at a lone carriage return, which is white space in JSON."""
    from thoth.proxy.lines import Lines

    hidden = b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"write","arguments":{}}}'
    outer = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":\r' + hidden + b"\r}}\n"

    async def scene(world: Any) -> None:
        for line in Lines().feed(outer):
            world.says(line)
        await world.settle()

    world = play(scene)
    assert [message["method"] for message in world.server.messages] == ["ping"]
    assert all(b"\r" not in line for line in world.server.lines)


def test_a_batch_with_a_tool_call_is_refused_and_any_other_passes(play: Play) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "write", "arguments": {}}}
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}

    async def scene(world: Any) -> None:
        world.says([ping, call])
        assert {message["id"] for message in world.client.messages} == {1, 2}
        assert all("error" in message for message in world.client.messages)
        world.says([ping])
        world.server_says([{"jsonrpc": "2.0", "id": 2, "result": {}}])
        assert json.loads(world.client.lines[-1]) == [{"jsonrpc": "2.0", "id": 2, "result": {}}]

    world = play(scene)
    assert world.called == []


def test_what_ends_something_is_known_also_from_a_batch(play: Play) -> None:
    """A cancellation, or an answer to the server's question, is not lost in an array of the older era."""

    async def scene(world: Any) -> None:
        world.returns = lambda params: None
        id = world.request("read", {"path": "/a"})
        await world.settle()
        world.server_says({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
        answer = {"jsonrpc": "2.0", "id": "q", "result": {"roots": []}}
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}
        world.says([answer, cancel, {"jsonrpc": "2.0", "id": 9, "method": "ping"}])
        assert world.server.messages[-3:] == [answer, cancel, {"jsonrpc": "2.0", "id": 9, "method": "ping"}]
        began = world.relay.now()
        world.relay.now = lambda: began + 1000
        world.relay.sweep()  # the question is answered, so silence counts again
        assert world.client.messages[-1]["error"]["code"] == -32001

    assert play(scene).endings == ["cancelled"]


def test_a_server_cannot_slip_a_result_past_in_a_batch(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.returns = lambda params: None
        id = world.request("read", {"path": "/a"})
        await world.settle()
        result = {"content": [{"type": "text", "text": "078-05-1120"}]}
        world.server_says([{"jsonrpc": "2.0", "id": id, "result": result}])
        assert texts((await world.response(id))["result"]) == "[number]"

    play(scene, POLICY)


def test_a_server_cannot_slip_a_result_past_under_another_id(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.returns = lambda params: None
        id = world.request("read", {"path": "/a"})
        await world.settle()
        result = {"content": [{"type": "text", "text": "078-05-1120"}]}
        for other in ("99", 99, None, "thoth-1"):
            world.server_says({"jsonrpc": "2.0", "id": other, "result": result})
        assert b"078" not in b"".join(world.client.lines)
        world.server_says({"jsonrpc": "2.0", "id": str(id), "result": result})  # some servers make texts of numbers
        assert b"[number]" in world.client.lines[-1]

    play(scene, POLICY)


def test_a_request_id_under_way_is_not_used_again(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.returns = lambda params: None
        id = world.request("read", {"path": "/a"})
        world.says({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "write", "arguments": {}}})
        await world.settle()
        assert "under way" in world.client.messages[-1]["error"]["message"]

    assert [call["name"] for call in play(scene).called] == ["read"]


def test_a_late_answer_to_a_cancelled_call_is_not_taken_for_that_of_another_one(play: Play) -> None:
    """Under the same id a result of one tool would be judged by the rules of another."""

    async def scene(world: Any) -> None:
        world.returns = lambda params: None
        id = world.request("read", {"path": "/a"})
        await world.settle()
        world.says({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
        again = {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "write", "arguments": {}}}
        for spelt in (again, [again], [{**again, "method": "ping"}]):
            world.says(spelt)
            assert "error" in world.client.messages[-1]
        result = {"content": [{"type": "text", "text": "078-05-1120"}]}
        world.server_says({"jsonrpc": "2.0", "id": id, "result": result})
        assert b"078" not in b"".join(world.client.lines)
        world.returns = lambda params: {"content": []}
        world.says(again)  # that answer has come, and no other will
        await world.settle()
        assert "result" in world.client.messages[-1]

    assert [call["name"] for call in play(scene).called] == ["read", "write"]


def test_a_cancelled_call_is_recorded_as_cancelled_and_its_late_result_dropped(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.returns = lambda params: None
        id = world.request("read", {"path": "/a"})
        await world.settle()
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}
        world.says(cancel)
        assert world.server.messages[-1] == cancel
        world.server_says({"jsonrpc": "2.0", "id": id, "result": {"content": []}})
        await world.settle()
        assert all(message.get("id") != id for message in world.client.messages)

    assert play(scene).endings == ["cancelled"]


def test_twenty_calls_at_once_are_all_answered_and_decided_in_order(play: Play) -> None:
    async def scene(world: Any) -> None:
        ids = [world.request("read", {"path": f"/{number}"}) for number in range(20)]
        for id in ids:
            await world.response(id)

    world = play(scene)
    paths = [f"/{number}" for number in range(20)]
    assert [call["arguments"]["path"] for call in world.called] == paths
    assert [one.request.tool_args["path"] for one in world.recorded.decisions] == paths
    assert world.endings == ["completed"] * 20


def test_a_server_that_is_gone_leaves_no_request_without_an_answer(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.returns = lambda params: None
        id = world.request("read", {"path": "/a"})
        await world.settle()
        world.says({"jsonrpc": "2.0", "id": "p", "method": "prompts/list"})
        world.relay.lost("the server has ended (exit code 3)")
        result = (await world.response(id))["result"]
        assert result["isError"] is True
        assert "exit code 3" in texts(result)
        assert "exit code 3" in (await world.response("p"))["error"]["message"]
        later = await world.response(world.request("read", {"path": "/a"}))
        assert "exit code 3" in later["error"]["message"]

    assert play(scene).endings == ["failed"]


def test_a_silent_server_is_given_up_after_a_while_and_told_so(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.returns = lambda params: None
        id = world.request("read", {"path": "/a"})
        await world.settle()
        began = world.relay.now()
        world.relay.now = lambda: began + 299
        world.relay.sweep()
        world.server_says(
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}
        )
        world.relay.now = lambda: began + 598
        world.relay.sweep()
        assert all(message.get("id") != id for message in world.client.messages)
        world.relay.now = lambda: began + 600
        world.relay.sweep()
        assert "silent for 300 seconds" in texts((await world.response(id))["result"])
        assert world.server.messages[-1]["method"] == "notifications/cancelled"

    assert play(scene).endings == ["timed_out"]


# ---------------------------------------------------------------- an enforcer elsewhere


class Elsewhere:
    """An engine behind a wire: every answer comes later, and `away` says what goes wrong."""

    immediate = False
    local = True
    name = "https://enforce.example"

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.away: Exception | None = None

    async def acheck(self, request: dict[str, Any], session: Any) -> Any:
        await asyncio.sleep(0)
        if self.away is not None:
            raise self.away
        return self.inner.check(request, session)

    async def areport(self, *args: Any, **more: Any) -> Any:
        await asyncio.sleep(0)
        if self.away is not None:
            raise self.away
        return self.inner.report(*args, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_an_enforcer_elsewhere_decides_in_order_and_redacts_too(play: Play) -> None:
    async def scene(world: Any) -> None:
        world.calls.open(Elsewhere(world.enforcer))
        world.returns = lambda params: {"content": [{"type": "text", "text": "078-05-1120"}]}
        ids = [world.request("read", {"path": f"/{number}"}) for number in range(20)]
        for id in ids:
            assert texts((await world.response(id))["result"]) == "[number]"

    world = play(scene, POLICY)
    assert [call["arguments"]["path"] for call in world.called] == [f"/{number}" for number in range(20)]
    assert world.endings == ["completed"] * 20


def test_a_result_that_may_need_redacting_is_not_shown_while_the_enforcer_is_away(play: Play) -> None:
    async def scene(world: Any) -> None:
        elsewhere = Elsewhere(world.enforcer)
        world.calls.open(elsewhere)
        world.returns = lambda params: None
        id = world.request("read", {"path": "/a"})
        await world.settle()
        elsewhere.away = EnforcerAway("no answer")
        world.answer(id, {"content": [{"type": "text", "text": "078-05-1120"}]})
        assert (await world.response(id))["result"]["isError"] is True
        assert b"078" not in b"".join(world.client.lines)

    play(scene, POLICY)


def test_a_report_that_is_not_taken_is_kept_and_a_result_without_rules_passes(play: Play) -> None:
    kept: list[Any] = []

    async def scene(world: Any) -> None:
        elsewhere = Elsewhere(world.enforcer)
        world.calls.open(elsewhere, keep=lambda reply, ending, result, request: kept.append((ending, request)) or True)
        world.returns = lambda params: None
        id = world.request("send", {"text": "a"})
        await world.settle()
        elsewhere.away = EnforcerAway("no answer")
        world.answer(id, {"content": [{"type": "text", "text": "sent"}]})
        assert texts((await world.response(id))["result"]) == "sent"

    play(scene, POLICY)
    ((ending, request),) = kept
    assert ending.value == "completed"
    assert request["tool_name"] == "send"


def test_a_hold_elsewhere_is_not_answered_through_the_client(play: Play) -> None:
    policy = "policy p\n    default allow\nstep_up send as asks ask user\n"

    async def scene(world: Any) -> None:
        world.initialize(elicitation={})
        elsewhere = Elsewhere(world.enforcer)
        world.calls.open(elsewhere)
        world.request("send", {"text": "a"})
        await world.settle()
        assert all(one.get("method") != "elicitation/create" for one in world.client.messages)

    assert play(scene, policy, elsewhere=True).called == []


@pytest.mark.parametrize("error", [EnforcerAway("gone"), EnforcerRefused("bad key"), RuntimeError("a bug")])
def test_without_a_decision_no_call_runs_and_the_refusal_is_recorded(play: Play, error: Exception) -> None:
    async def scene(world: Any) -> None:
        elsewhere = Elsewhere(world.enforcer)
        elsewhere.away = error
        world.calls.open(elsewhere)
        assert (await world.call("read", {"path": "/a"}))["isError"] is True

    world = play(scene)
    assert world.called == []
    assert [one.effect for one in world.recorded.decisions] == [Effect.BLOCK]
    assert world.recorded.decisions[0].rules[0] in ("enforcer-away", "enforcer-failed")


@pytest.mark.parametrize("id", ["", '"id":null,'])
def test_a_call_without_an_id_reaches_no_server_alone_or_in_a_batch(play: Play, id: str) -> None:
    """Nobody could be answered, so nothing is asked; but there are servers that run it all the same."""
    call = (
        b'{"jsonrpc":"2.0",%s"method":"tools/call","params":{"name":"send","arguments":{"text":"secret"}}}'
        % id.encode()
    )

    async def scene(world: Any) -> None:
        world.says(call)
        world.says(b"[" + call + b"]")
        world.says(b'[{"jsonrpc":"2.0","id":7,"method":"ping"},' + call + b"]")
        await world.settle()

    world = play(scene, POLICY)
    assert world.server.lines == []
    assert "`tools/call` needs an `id`" in world.client.messages[0]["error"]["message"] or id


def test_what_is_remembered_of_a_server_s_questions_is_bounded(play: Play) -> None:
    """A server may ask without end a client that never answers."""

    async def scene(world: Any) -> None:
        for number in range(5000):
            world.server_says({"jsonrpc": "2.0", "id": f"q-{number}", "method": "roots/list"})
        world.server_says({"jsonrpc": "2.0", "id": "q" * 100_000, "method": "roots/list"})
        assert len(world.relay._of_server) <= 1024
        assert len(world.client.lines) == 5000
        world.says({"jsonrpc": "2.0", "id": "q-4999", "result": {"roots": []}})
        assert "q-4999" not in world.relay._of_server

    play(scene, POLICY)
