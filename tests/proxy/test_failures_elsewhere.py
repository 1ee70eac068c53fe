"""The same over HTTP: whatever a server elsewhere does, no failure of ours lets a call through.

Each cell of a row is tried with twenty calls at once, with the tools known before and not. `WRITE_TABLE=1`
writes the rows into `docs/mcp.md`.
"""

import asyncio
import os
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import Effect
from thoth.proxy.refusals import META

from . import http_side
from .http_side import HttpSide
from .troubles import READ, TROUBLES

PAGE = Path(__file__).parents[2] / "docs" / "mcp.md"
BEGIN = "<!-- failures elsewhere: made by tests/proxy/test_failures_elsewhere.py -->\n"
PARALLEL = 20
PATIENCE_S = 20.0
REFUSED = {"BLOCK", "STEP_UP"}

Meanwhile = Callable[[Any, list[int]], None]
CONTEXT = ssl.create_default_context()


async def until(world: Any, over: Callable[[], bool]) -> None:
    end = world.now() + PATIENCE_S
    while not over():
        assert world.now() < end, f"it takes too long; the log says {world.log.lines}"
        await asyncio.sleep(0.0005)


def state(name: str) -> Meanwhile:
    def become(world: Any, ids: list[int]) -> None:
        world.server.state = name

    return become


def away(world: Any, ids: list[int]) -> None:
    world.server.leave()


def forgets(world: Any, ids: list[int]) -> None:
    world.server.session += 1


def answers_unasked(world: Any, ids: list[int]) -> None:
    for id in ids:
        world.server.tell({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": "done"}]}})


def cancels(world: Any, ids: list[int]) -> None:
    for id in ids:
        world.says({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})


def leaves(world: Any, ids: list[int]) -> None:
    world.client.open = False


def changes_its_tools(world: Any, ids: list[int]) -> None:
    world.server.tell({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})


BEFORE: dict[str, Meanwhile] = {
    "nothing else": lambda world, ids: None,
    "the server is away": away,
    "the server hangs": state(http_side.HANGS),
    "rubbish in its answers": state(http_side.RUBBISH),
    "its answers break off": state(http_side.BROKEN),
    "it has forgotten the session": forgets,
    "it wants to know who asks": state(http_side.REFUSES),
    "it redirects elsewhere": state(http_side.REDIRECTS),
    "it has no time (503)": state(http_side.FULL),
}
"""What the server is like when the calls come."""
AFTER: dict[str, Meanwhile] = {
    "it answers unasked": answers_unasked,
    "the client cancels": cancels,
    "the client leaves": leaves,
    "the tools change": changes_its_tools,
}
"""What happens once they have come."""


def tried(play: Callable[..., Any], trouble: str, meanwhile: str, count: int, listed: bool) -> tuple[str, int]:
    """Try one cell; return what was decided, and how many calls reached the server."""
    prepare, settings = {**TROUBLES, "none": (lambda world: None, {})}[trouble]

    async def scene(world: Any) -> None:
        world.now = world.relay.now
        pipe, world.server = world.server, HttpSide(world)
        await world.server.begin()
        try:
            await played(world)
        finally:
            await world.server.end()
            world.far, world.server = world.server, pipe

    async def played(world: Any) -> None:
        world.wanted = "read"
        world.initialize(elicitation={})
        world.says({"jsonrpc": "2.0", "method": "notifications/initialized"})
        await until(world, lambda: bool(world.server._streams) and len(world.server.messages) == 2)
        if listed:
            await lists(world, "list")
        prepare(world)
        if listed:
            await lists(world, "list2")
        BEFORE.get(meanwhile, BEFORE["nothing else"])(world, [])
        ids = [world.request(world.wanted, {"path": f"/{number}"}) for number in range(count)]
        AFTER.get(meanwhile, BEFORE["nothing else"])(world, ids)
        if meanwhile == "the server hangs":
            await world.settle()
        else:
            await until(world, lambda: not world.calls.undecided and not world.relay.at_server)
        await world.settle()
        for message in world.client.messages if trouble != "none" else ():
            if message.get("id") in ids and "result" in message:
                assert message["result"]["isError"] is True
                assert message["result"]["_meta"][META]["effect"] in ("BLOCK", "STEP_UP", "ERROR")

    world = play(scene, tools=[READ], **settings)
    reached = [one for one in world.far.messages if one.get("method") == "tools/call"]
    if trouble != "none":
        assert reached == [], "a call reached the server"
        assert not [one for one in world.recorded.decisions if one.effect in (Effect.ALLOW, Effect.MODIFY)]
    decided = {one.effect.value for one in world.recorded.decisions} or {"BLOCK"}
    return " or ".join(sorted(decided)), len(reached)


async def lists(world: Any, id: str) -> None:
    world.says({"jsonrpc": "2.0", "id": id, "method": "tools/list"})
    await until(world, lambda: any(one.get("id") == id for one in world.client.messages))


@pytest.mark.parametrize("meanwhile", ["nothing else", "it has forgotten the session"])
@pytest.mark.parametrize("listed", [True, False])
def test_without_a_failure_of_ours_every_call_arrives(play: Callable[..., Any], meanwhile: str, listed: bool) -> None:
    """So the cells below are empty because calls were refused, not because nothing could arrive."""
    assert tried(play, "none", meanwhile, PARALLEL, listed) == ("ALLOW", PARALLEL)


@pytest.mark.parametrize("meanwhile", [*BEFORE, *AFTER])
def test_no_failure_lets_a_call_through_to_a_server_elsewhere(
    play: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: CONTEXT)  # nothing here is encrypted
    assert {tried(play, trouble, meanwhile, PARALLEL, listed=False)[0] for trouble in TROUBLES} <= REFUSED
    tries = [tried(play, trouble, meanwhile, PARALLEL, listed=True) for trouble in TROUBLES]
    assert {effect for effect, _ in tries} <= REFUSED
    cells = [effect for effect, _ in tries]
    row = f"| {meanwhile:28} | " + " | ".join(cells) + " |\n"
    page = PAGE.read_text("utf-8")
    if os.environ.get("WRITE_TABLE"):
        before, table = page.split(BEGIN)
        PAGE.write_text(before + BEGIN + re.sub(rf"\| {re.escape(meanwhile)} .*\n", row, table, count=1), "utf-8")
        return
    assert row in page.split(BEGIN)[1]
