"""A client of the official library that does everything once and prints what it saw as JSON.

`client.py MODE COMMAND ARGS…`: MODE is legacy, auto, or a version. Run by the environment that `make mcp-clients`
makes.
"""

import asyncio
import json
import sys
import time
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import ElicitResult


def plain(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


async def elicit(context: Any, params: Any) -> ElicitResult:
    asked.append(params.message)
    schema = getattr(params, "requested_schema", None) or {}
    names = schema.get("properties", {}) if isinstance(schema, dict) else {}
    return ElicitResult(action="accept", content={"answer": "approve"} if "answer" in names else {"name": "Ann"})


asked: list[str] = []


async def everything(client: Client) -> dict[str, Any]:
    seen: dict[str, Any] = {
        "version": client.protocol_version,
        "server": plain(client.server_info) if client.server_info else None,
        "capabilities": plain(client.server_capabilities),
        "instructions": client.instructions,
    }
    seen["tools"] = plain(await client.list_tools())
    seen["echo"] = plain(await client.call_tool("echo", {"text": "grüße \u2028 \U0001f600"}))
    seen["weather"] = plain(await client.call_tool("weather", {"place": "Rome"}))
    seen["fail"] = plain(await client.call_tool("fail", {}))
    seen["wrong"] = plain(await client.call_tool("echo", {"txt": 1}))
    steps: list[Any] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        steps.append([done, total, message])

    seen["slow"] = plain(await client.call_tool("slow", {"steps": 3}, progress_callback=progress))
    seen["steps"] = steps
    seen["greet"] = plain(await client.call_tool("greet", {}))
    many = await asyncio.gather(*(client.call_tool("echo", {"text": str(number)}) for number in range(20)))
    seen["many"] = [plain(one) for one in many]
    with anyio.move_on_after(0.2) as scope:
        await client.call_tool("sleep", {})
    seen["cancelled"] = scope.cancelled_caught
    seen["after"] = plain(await client.call_tool("echo", {"text": "after"}))
    seen["resources"] = plain(await client.list_resources())
    seen["resource"] = plain(await client.read_resource("note://one"))
    seen["prompts"] = plain(await client.list_prompts())
    seen["prompt"] = plain(await client.get_prompt("ask", {"topic": "cats"}))
    try:
        await client.read_resource("note://two")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        seen["missing"] = f"{type(error).__name__} {error}"
    seen["asked"] = list(asked)
    return seen


async def calls(client: Client, names: list[str]) -> dict[str, Any]:
    """Only call what is named, `tool=json`, and print the results."""
    seen: dict[str, Any] = {"version": client.protocol_version}
    listed = await client.list_tools()
    seen["tools"] = [tool.name for tool in listed.tools]
    for name in names:
        tool, _, args = name.partition("=")
        began = time.monotonic()
        try:
            seen[name] = plain(await client.call_tool(tool, json.loads(args or "{}")))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
            seen[name] = f"{type(error).__name__} {error}"
        seen.setdefault("seconds", []).append(round(time.monotonic() - began, 3))
    seen["asked"] = list(asked)
    return seen


async def main(mode: str, words: list[str]) -> None:
    cut = words.index("::") if "::" in words else len(words)
    command, names = words[:cut], words[cut + 1 :]
    parameters = StdioServerParameters(command=command[0], args=command[1:], env=dict(__import__("os").environ))
    async with Client(parameters, mode=mode, elicitation_callback=elicit, read_timeout_seconds=30) as client:
        seen = await (calls(client, names) if names else everything(client))
    print(json.dumps(seen, indent=1, sort_keys=True))


asyncio.run(main(sys.argv[1], sys.argv[2:]))
