"""A tool loop over OpenAI's chat completions, as its documentation shows it: a map of functions, called by name."""

import inspect
import json
from typing import Any

import pytest

from thoth import ThothPolicyViolation

RAISES = True
CANCELLED = ["cancelled"]
HEARS = False


def NAME_OF(tool: str) -> str:  # noqa: N802
    return tool


async def run(client: Any, office: Any, text: str) -> Any:
    from openai import AsyncOpenAI

    openai = AsyncOpenAI(base_url=f"{office.model.url}/v1", api_key="none", max_retries=0)
    functions = {f.__name__: f for f in (office.pay, office.wipe, office.deploy, office.read_customer)}
    tools = client.instrument_openai(functions)
    schemas: Any = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in functions
    ]
    messages: list[Any] = [{"role": "user", "content": text}]
    while True:
        answer = await openai.chat.completions.create(model="scripted", messages=messages, tools=schemas)
        message = answer.choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            try:
                result = tools[call.function.name](**json.loads(call.function.arguments))
                result = await result if inspect.isawaitable(result) else result
            except ThothPolicyViolation as refused:
                result = refused.tell
            messages.append({"role": "tool", "tool_call_id": call.id, "content": str(result)})


async def added_later(client: Any, office: Any) -> None:
    tools = client.instrument_openai({"pay": office.pay})
    tools["wipe"] = office.wipe
    for call in (lambda: tools["wipe"](path="/srv"), lambda: tools["wipe"]("/srv")):
        with pytest.raises(ThothPolicyViolation):
            call()


async def callable_object(client: Any, office: Any) -> None:
    class Wipe:
        name = "wipe"

        def __call__(self, path: str) -> str:
            return str(office.wipe(path))

    tool = Wipe()
    client.instrument_openai({"wipe": tool})
    with pytest.raises(ThothPolicyViolation):
        tool(path="/srv")


async def bound_before(client: Any, office: Any) -> None:
    class Wipe:
        name = "wipe"

        def run(self, path: str) -> str:
            return str(office.wipe(path))

    tool = Wipe()
    bound = tool.run
    client.instrument_openai({"wipe": tool})
    assert bound is not None
    assert "bound before" in client.audit().escapes[0]


WAYS = {f.__name__: f for f in (added_later, callable_object, bound_before)}
