"""The Claude Agent SDK with the program that it brings: tools of an SDK server, hooks before and after each."""

import asyncio
import os
import tempfile
from typing import Any

RAISES = False
CANCELLED: list[str] = []
HEARS = True


def NAME_OF(tool: str) -> str:  # noqa: N802
    return f"mcp__office__{tool}"


async def run(client: Any, office: Any, text: str) -> Any:
    from claude_agent_sdk import ClaudeAgentOptions, create_sdk_mcp_server, query, tool

    def sdk_tool(function: Any, schema: dict[str, Any]) -> Any:
        async def handler(args: dict[str, Any]) -> dict[str, Any]:
            result = function(**args)
            result = await result if asyncio.iscoroutine(result) else result
            return {"content": [{"type": "text", "text": result}]}

        return tool(function.__name__, function.__name__, schema)(handler)

    tools = [
        sdk_tool(office.pay, {"amount": float, "to": str}),
        sdk_tool(office.wipe, {"path": str}),
        sdk_tool(office.deploy, {"service": str}),
        sdk_tool(office.read_customer, {"id": str}),
    ]
    home = tempfile.mkdtemp()
    options = ClaudeAgentOptions(
        mcp_servers={"office": create_sdk_mcp_server("office", tools=tools)},
        allowed_tools=[NAME_OF(name) for name in ("pay", "wipe", "deploy", "read_customer")],
        model="claude-sonnet-4-5",
        cwd=home,
        env={
            "ANTHROPIC_BASE_URL": office.model.url,
            "ANTHROPIC_API_KEY": "none",
            "HOME": home,
            "CLAUDE_CONFIG_DIR": home,
            "DISABLE_TELEMETRY": "1",
            "ENABLE_TOOL_SEARCH": "false",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "PATH": os.environ.get("PATH", ""),
        },
        setting_sources=[],
    )

    async def prompt() -> Any:
        yield {"type": "user", "message": {"role": "user", "content": text}}

    async for message in query(prompt=prompt(), options=client.instrument_claude_agent_sdk(options)):
        if os.environ.get("SHOW"):
            print(message)
    return None


async def built_in_tools(client: Any, office: Any) -> None:
    """A tool of the program itself, allowed beforehand: the hook still sees it."""
    from claude_agent_sdk import ClaudeAgentOptions, query

    home = tempfile.mkdtemp()
    office.model.script = ("Bash", {"command": f"touch {home}/made", "description": "make a file"})
    environment = {"ANTHROPIC_BASE_URL": office.model.url, "ANTHROPIC_API_KEY": "none", "HOME": home}
    options = ClaudeAgentOptions(
        allowed_tools=["Bash"],
        permission_mode="bypassPermissions",
        model="claude-sonnet-4-5",
        cwd=home,
        env={**environment, "IS_SANDBOX": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
        setting_sources=[],
    )

    async def prompt() -> Any:
        yield {"type": "user", "message": {"role": "user", "content": "go"}}

    async for _ in query(prompt=prompt(), options=client.instrument_claude_agent_sdk(options)):
        pass
    assert os.listdir(home).count("made") == 0  # noqa: PTH208
    assert office.model.told


async def hooks_of_ones_own(client: Any, office: Any) -> None:
    """Hooks that were there stay, after ours; the options that were given are not changed."""
    from claude_agent_sdk import ClaudeAgentOptions, HookMatcher

    mine = HookMatcher(matcher="Bash", hooks=[])
    options = ClaudeAgentOptions(hooks={"PreToolUse": [mine]})
    governed = client.instrument_claude_agent_sdk(options)
    assert options.hooks == {"PreToolUse": [mine]}
    ours, theirs = governed.hooks["PreToolUse"]
    assert theirs is mine
    answer = await ours.hooks[0]({"tool_name": NAME_OF("wipe"), "tool_input": {"path": "/srv"}}, "toolu_1", None)
    assert answer["hookSpecificOutput"]["permissionDecision"] == "deny"


WAYS = {f.__name__: f for f in (built_in_tools, hooks_of_ones_own)}
