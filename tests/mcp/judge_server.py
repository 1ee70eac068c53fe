"""A server of the official library with a bit of everything. Run by the environment that `make mcp-clients` makes."""

import asyncio
import sys
from typing import Annotated

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, ElicitationResult, Resolve
from pydantic import BaseModel

server = MCPServer("judge", version="1.0", instructions="Judge what passes.")


class Name(BaseModel):
    name: str


async def ask_name(ctx: Context) -> Elicit[Name]:
    return Elicit("What is your name?", Name)


class Weather(BaseModel):
    place: str
    degrees: float


@server.tool()
def echo(text: str) -> str:
    """Give back a text."""
    return text


@server.tool()
def weather(place: str) -> Weather:
    """Say how warm it is somewhere."""
    return Weather(place=place, degrees=21.5)


@server.tool()
def fail() -> str:
    """Go wrong."""
    raise ValueError("it went wrong")


@server.tool()
async def slow(steps: int, ctx: Context) -> str:
    """Report progress, then end."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps, f"step {step + 1}")
        await asyncio.sleep(0.1)  # some clients drop progress that they read in one piece with the answer
    return "slow"


@server.tool()
async def sleep() -> str:
    """Never end."""
    await asyncio.sleep(3600)
    return "slept"


@server.tool()
async def greet(answer: Annotated[ElicitationResult[Name], Resolve(ask_name)]) -> str:
    """Ask the user for a name, and greet."""
    return f"{answer.action} {answer.data.name if answer.action == 'accept' else ''}"


@server.resource("note://one")
def note() -> str:
    """A note."""
    return "a note \u2028 of one line"


@server.prompt()
def ask(topic: str) -> str:
    """A prompt."""
    return f"Tell me of {topic}."


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:  # on a socket of loopback that whoever starts it has opened
        app = server.streamable_http_app()
        uvicorn.Server(uvicorn.Config(app, fd=int(sys.argv[2]), log_level="error")).run()
    else:
        server.run("stdio")
