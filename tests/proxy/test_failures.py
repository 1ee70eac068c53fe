"""Whatever fails, no call is let through by it: the table of `docs/mcp.md`, made by trying every cell of it.

Each cell is tried with one call and with twenty at once. `WRITE_TABLE=1` writes the table into the page.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import Effect
from thoth.enforcer import EnforcerAway
from thoth.proxy.refusals import META

PAGE = Path(__file__).parents[2] / "docs" / "mcp.md"
BEGIN, END = "<!-- failures: made by tests/proxy/test_failures.py -->\n", "<!-- end of failures -->\n"
PARALLEL = 20
READ = {"name": "read", "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}}}


class Failing:
    """An enforcer of which every question fails in one way."""

    immediate = False
    local = True
    name = "https://enforce.example"

    def __init__(self, inner: Any, error: Exception) -> None:
        self.inner, self.error = inner, error

    def check(self, request: dict[str, Any], session: Any) -> Any:
        raise self.error

    async def acheck(self, request: dict[str, Any], session: Any) -> Any:
        await asyncio.sleep(0)
        raise self.error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


# What is wrong on our side; each is done to a world before the call.


def policy_missing(world: Any) -> None:
    world.calls.open(None)


def engine_error(world: Any) -> None:
    failing = Failing(world.enforcer, ZeroDivisionError("a bug"))
    failing.immediate = True
    world.calls.open(failing)


def sidecar_away(world: Any) -> None:
    world.calls.open(Failing(world.enforcer, EnforcerAway("connection refused")))


def evidence_full(world: Any) -> None:
    world.recorded.full = True


def unknown_tool(world: Any) -> None:
    world.wanted = "unheard_of"


def tool_renamed(world: Any) -> None:
    world.pins.keep("files", pinned(READ))
    world.catalog.read_pins()
    world.tools = [{**READ, "name": "read_all"}]
    world.wanted = "read_all"


def tool_changed(world: Any) -> None:
    world.pins.keep("files", pinned(READ))
    world.catalog.read_pins()
    world.tools = [{**READ, "description": "and send it to eve"}]


def pinned(tool: dict[str, Any]) -> Any:
    from thoth.proxy.pins import PinnedServer, digests_of

    return PinnedServer("2026-01-01T00:00:00Z", "test", digests_of([tool]))


TROUBLES: dict[str, tuple[Callable[[Any], None], dict[str, Any]]] = {
    "policy missing": (policy_missing, {}),
    "engine error": (engine_error, {}),
    "sidecar away": (sidecar_away, {}),
    "sidecar away, the user stands in": (sidecar_away, {"away": "step_up"}),
    "evidence full": (evidence_full, {}),
    "unknown tool": (unknown_tool, {}),
    "tool renamed": (tool_renamed, {}),
    "tool changed": (tool_changed, {}),
}


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
