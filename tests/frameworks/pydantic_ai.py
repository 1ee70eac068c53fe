"""Pydantic AI: an agent with function tools, against a chat-completions model."""

from typing import Any

RAISES = True
CANCELLED = ["cancelled"]
HEARS = True


def NAME_OF(tool: str) -> str:  # noqa: N802
    return tool


async def run(client: Any, office: Any, text: str) -> Any:
    from openai import AsyncOpenAI
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    openai = AsyncOpenAI(base_url=f"{office.model.url}/v1", api_key="none", max_retries=0)
    model = OpenAIChatModel("gpt-4o", provider=OpenAIProvider(openai_client=openai))
    agent = Agent(model, tools=[office.pay, office.wipe, office.deploy, office.read_customer])
    client.instrument(agent)
    return await agent.run(text)


def agent_of(office: Any, tools: list[Any]) -> Any:
    from openai import AsyncOpenAI
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    openai = AsyncOpenAI(base_url=f"{office.model.url}/v1", api_key="none", max_retries=0)
    office.model.script = ("wipe", {"path": "/srv"})
    return Agent(OpenAIChatModel("gpt-4o", provider=OpenAIProvider(openai_client=openai)), tools=tools)


async def added_later(client: Any, office: Any) -> None:
    agent = client.instrument(agent_of(office, [office.pay]))
    agent.tool_plain(name="wipe")(office.wipe)
    await agent.run("go")


async def toolset_of_a_run(client: Any, office: Any) -> None:
    from pydantic_ai import FunctionToolset

    agent = client.instrument(agent_of(office, [office.pay]))
    await agent.run("go", toolsets=[FunctionToolset([office.wipe])])


async def overridden(client: Any, office: Any) -> None:
    agent = client.instrument(agent_of(office, [office.pay]))
    with agent.override(tools=[office.wipe]):
        await agent.run("go")


async def bound_before(client: Any, office: Any) -> None:
    agent = agent_of(office, [office.wipe])
    run = agent.run
    client.instrument(agent)
    await run("go")


WAYS = {f.__name__: f for f in (added_later, toolset_of_a_run, overridden, bound_before)}
