"""A tool loop over Anthropic's messages, as its documentation shows it: functions by name, each called with a dict."""

import inspect
from typing import Any

import pytest

from thoth import ThothPolicyViolation

RAISES = True
CANCELLED = ["cancelled"]
HEARS = False


def NAME_OF(tool: str) -> str:  # noqa: N802
    return tool


def with_input(function: Any) -> Any:
    if inspect.iscoroutinefunction(function):

        async def call_async(tool_input: dict[str, Any]) -> Any:
            return await function(**tool_input)

        return call_async

    def call(tool_input: dict[str, Any]) -> Any:
        return function(**tool_input)

    return call


async def run(client: Any, office: Any, text: str) -> Any:
    from anthropic import AsyncAnthropic

    anthropic = AsyncAnthropic(base_url=office.model.url, api_key="none", max_retries=0)
    functions = {f.__name__: with_input(f) for f in (office.pay, office.wipe, office.deploy, office.read_customer)}
    tools = client.instrument_anthropic(functions)
    schemas: Any = [{"name": name, "input_schema": {"type": "object"}} for name in functions]
    messages: list[Any] = [{"role": "user", "content": text}]
    while True:
        answer = await anthropic.messages.create(model="scripted", max_tokens=99, messages=messages, tools=schemas)
        if answer.stop_reason != "tool_use":
            return answer.content
        messages.append(
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]}
        )
        results: list[Any] = []
        for block in answer.content:
            if block.type == "tool_use":
                try:
                    result = tools[block.name](block.input)
                    result = await result if inspect.isawaitable(result) else result
                except ThothPolicyViolation as refused:
                    result = refused.tell
                results.append({"type": "tool_result", "tool_use_id": block.id, "content": str(result)})
        messages.append({"role": "user", "content": results})


async def added_later(client: Any, office: Any) -> None:
    tools = client.instrument_anthropic({"pay": with_input(office.pay)})
    tools["wipe"] = with_input(office.wipe)
    with pytest.raises(ThothPolicyViolation):
        tools["wipe"]({"path": "/srv"})


async def tool_runner(client: Any, office: Any) -> None:
    """The library's own runner, with tools made by `beta_async_tool`."""
    from anthropic import AsyncAnthropic, beta_async_tool

    @beta_async_tool
    async def wipe(path: str) -> str:
        """Wipe."""
        return str(office.wipe(path))

    anthropic = AsyncAnthropic(base_url=office.model.url, api_key="none", max_retries=0)
    tool = client.instrument(wipe)
    office.model.script = ("wipe", {"path": "/srv"})
    runner = anthropic.beta.messages.tool_runner(
        model="scripted", max_tokens=99, tools=[tool], messages=[{"role": "user", "content": "go"}]
    )
    await runner.until_done()
    with pytest.raises(ThothPolicyViolation):
        await tool.call({"path": "/srv"})
    with pytest.raises(ThothPolicyViolation):
        await tool("/srv")


async def bound_before(client: Any, office: Any) -> None:
    from anthropic import beta_tool

    @beta_tool
    def wipe(path: str) -> str:
        """Wipe."""
        return str(office.wipe(path))

    call = wipe.call
    client.instrument(wipe)
    with pytest.raises(ThothPolicyViolation):
        call({"path": "/srv"})


WAYS = {f.__name__: f for f in (added_later, tool_runner, bound_before)}
