"""MCP: a client session to a server in the same process, over streams in memory."""

import sys
from typing import Any

import pytest

from thoth import ThothPolicyViolation

RAISES = False
CANCELLED = ["cancelled"]
HEARS = False


def NAME_OF(tool: str) -> str:  # noqa: N802
    return tool


async def run(client: Any, office: Any, text: str) -> Any:
    from mcp.client import Client
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("office")
    for function in (office.pay, office.wipe, office.deploy, office.read_customer):
        server.add_tool(function)
    async with Client(server) as connected:
        session = client.instrument(connected.session)
        name, args = office.model.script
        try:
            result = await session.call_tool(name, args)
            text = "\n".join(getattr(part, "text", "") for part in result.content)
        except ThothPolicyViolation as refused:
            text = refused.tell
        office.model.told.append(text)
    return sys.modules[__name__]


def server_of(office: Any) -> Any:
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("office")
    server.add_tool(office.wipe)
    return server


async def bound_before(client: Any, office: Any) -> None:
    from mcp.client import Client

    async with Client(server_of(office)) as connected:
        call = connected.session.call_tool
        client.instrument(connected.session)
        with pytest.raises(ThothPolicyViolation):
            await call("wipe", {"path": "/srv"})


async def executor_directly(client: Any, office: Any) -> None:
    from mcp import types
    from mcp.client import Client

    async with Client(server_of(office)) as connected:
        client.instrument(connected.session)
        params = types.CallToolRequestParams(name="wipe", arguments={"path": "/srv"})
        with pytest.raises(ThothPolicyViolation):
            await connected.session.send_request(types.CallToolRequest(params=params), types.CallToolResult)
        with pytest.raises(ThothPolicyViolation):
            await connected.call_tool("wipe", {"path": "/srv"})


WAYS = {f.__name__: f for f in (bound_before, executor_directly)}
