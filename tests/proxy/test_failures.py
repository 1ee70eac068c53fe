"""Whatever fails, no call is let through by it: the table of `docs/mcp.md`, made by trying every cell of it.

Each cell is tried with one call and with twenty at once. `WRITE_TABLE=1` writes the table into the page.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import Effect
from thoth.proxy.refusals import META

from .troubles import READ, TROUBLES

PAGE = Path(__file__).parents[2] / "docs" / "mcp.md"
BEGIN, END = "<!-- failures: made by tests/proxy/test_failures.py -->\n", "<!-- end of failures -->\n"
PARALLEL = 20


# What the server or the client does meanwhile; each is done to a world around the call.


async def nothing(world: Any, ids: list[int]) -> None:
    await world.settle()


async def crashes(world: Any, ids: list[int]) -> None:
    world.server.open = False
    world.relay.lost("the server has ended (exit code 1)")
    await world.settle()


async def hangs(world: Any, ids: list[int]) -> None:
    await world.settle()
    began = world.relay.now()
    world.relay.now = lambda: began + 1000
    world.relay.sweep()
    await world.settle()


async def babbles(world: Any, ids: list[int]) -> None:
    for line in (
        b"hello",
        b"[]",
        b"\xff\x00",
        b'{"id":1,"id":2,"result":{}}',
        b'{"jsonrpc":"2.0","id":77,"result":{}}',
    ):
        world.server_says(line)
    await world.settle()


async def answers_unasked(world: Any, ids: list[int]) -> None:
    """It answers calls that it was never sent."""
    await world.settle()
    for id in ids:
        world.server_says({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": "done"}]}})
    await world.settle()


async def cancels(world: Any, ids: list[int]) -> None:
    for id in ids:
        world.says({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
    await world.settle()


async def leaves(world: Any, ids: list[int]) -> None:
    world.client.open = False
    await world.settle()


async def changes_its_tools(world: Any, ids: list[int]) -> None:
    world.server_says({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    await world.settle()


MEANWHILE: dict[str, Callable[[Any, list[int]], Any]] = {
    "nothing else": nothing,
    "the server crashes": crashes,
    "the server hangs": hangs,
    "rubbish on its stdout": babbles,
    "it answers unasked": answers_unasked,
    "the client cancels": cancels,
    "the client leaves": leaves,
    "the tools change": changes_its_tools,
}


def tried(play: Callable[..., Any], trouble: str, meanwhile: str, count: int, listed: bool) -> str:
    """Try one cell; return what became of its calls. `listed`: the client had asked for the tools before."""
    prepare, settings = TROUBLES[trouble]
    effects: set[str] = set()

    async def scene(world: Any) -> None:
        world.wanted = "read"
        world.initialize(elicitation={})
        if listed:
            world.says({"jsonrpc": "2.0", "id": "list", "method": "tools/list"})
            await world.settle()
        prepare(world)
        if listed:
            world.says({"jsonrpc": "2.0", "id": "list2", "method": "tools/list"})
            await world.settle()
        ids = [world.request(world.wanted, {"path": f"/{number}"}) for number in range(count)]
        if meanwhile == "the server hangs" and not listed:
            world.server.react = lambda message: None
        await MEANWHILE[meanwhile](world, ids)
        for message in world.client.messages:
            if message.get("id") in ids and "result" in message:
                assert message["result"]["isError"] is True
                effects.add(message["result"]["_meta"][META]["effect"])
        held = [one for one in world.client.messages if one.get("method") == "elicitation/create"]
        assert len(held) <= count
        effects.update(["STEP_UP"] if held else [])

    world = play(scene, tools=[READ], **settings)
    assert world.called == [], "a call reached the server"
    assert not [one for one in world.recorded.decisions if one.effect in (Effect.ALLOW, Effect.MODIFY)]
    assert effects <= {"BLOCK", "STEP_UP", "ERROR"}
    decided = {one.effect.value for one in world.recorded.decisions} or {"BLOCK"}
    return " or ".join(sorted(decided))


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("listed", [True, False])
def test_no_failure_lets_a_call_through(play: Callable[..., Any], trouble: str, meanwhile: str, listed: bool) -> None:
    for count in (1, PARALLEL):
        assert tried(play, trouble, meanwhile, count, listed) in ("BLOCK", "STEP_UP")


@pytest.mark.xdist_group("failures")
def test_the_table_in_the_documentation_is_what_happens(play: Callable[..., Any]) -> None:
    rows = [f"| {'meanwhile':24} | " + " | ".join(TROUBLES) + " |", "|---|" + "---|" * len(TROUBLES)]
    for meanwhile in MEANWHILE:
        cells = [tried(play, trouble, meanwhile, 2, listed=True) for trouble in TROUBLES]
        rows.append(f"| {meanwhile:24} | " + " | ".join(cells) + " |")
    table = "\n".join(rows) + "\n"
    page = PAGE.read_text("utf-8")
    before, rest = page.split(BEGIN)
    written, after = rest.split(END)
    if os.environ.get("WRITE_TABLE"):
        PAGE.write_text(before + BEGIN + table + END + after, "utf-8")
        return
    assert written == table
