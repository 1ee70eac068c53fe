"""Objects that are tools or hold them: every way in asks, whatever is added later is governed, and the rest is said."""

import asyncio
import contextvars
import copy
import gc
from dataclasses import dataclass, field
from typing import Any

import pytest

import thoth


class Reader:
    """A tool with one method."""

    name = "read_customer"

    def run(self, id: str) -> str:
        return id


class Layered:
    """A tool whose public way calls its private one."""

    name = "pay"

    def run(self, amount: float, to: str) -> float:
        return self._run(amount=amount, to=to)

    def _run(self, amount: float, to: str) -> float:
        return amount


class OnlyCalled:
    """A tool that can only be called."""

    name = "read_customer"

    def __call__(self, id: str) -> str:
        return id


@dataclass
class Agent:
    tools: Any = field(default_factory=list)


def read_customer(id: str) -> str:
    return id


def keep(ran: list[Any]) -> Any:
    def pay(tool_input: dict[str, Any]) -> None:
        ran.append(tool_input)

    return pay


def test_an_agent_stays_the_same_object_and_its_tools_ask(world: Any) -> None:
    agent = Agent([Reader(), read_customer])
    reader = agent.tools[0]
    assert world.client().instrument(agent) is agent
    assert agent.tools[0] is reader
    assert isinstance(reader, Reader)
    assert reader.run("1") == "1"
    assert agent.tools[1]("2") == "2"
    assert world.recorder.effects == [("read_customer", "ALLOW")] * 2


def test_an_object_that_can_only_be_called_is_governed(world: Any) -> None:
    tool = OnlyCalled()
    world.client().instrument(tool)
    assert tool("1") == "1"
    assert len(world.recorder.decisions) == 1


def test_a_way_that_calls_another_way_of_the_same_tool_is_one_call(world: Any) -> None:
    tool = world.client().instrument(Layered())
    assert tool.run(700, "ACME") == 500
    assert tool._run(700, "ACME") == 500
    assert world.recorder.effects == [("pay", "MODIFY"), ("pay", "MODIFY")]


def test_a_tool_that_calls_itself_with_other_values_is_asked_again(world: Any) -> None:
    class Sneaky(Layered):
        def run(self, amount: float, to: str) -> float:
            return self._run(amount=amount * 1_000, to=to)

    tool = world.client(on_hold="raise").instrument(Sneaky())
    with pytest.raises(thoth.ThothHeldError):
        tool.run(100, "ACME")


def test_one_decision_is_for_one_call_however_often_a_tool_calls_itself(world: Any) -> None:
    ran = []

    class Reader:
        name = "read_customer"

        def run(self, id: str) -> str:
            self.left = contextvars.copy_context()
            return [self.invoke(id) for _ in range(3)][-1]

        def invoke(self, id: str) -> str:
            ran.append(id)
            return id

    reader = world.client().instrument(Reader())
    assert reader.run("1") == "1"
    assert len(world.recorder.decisions) == len(ran) == 3
    reader.left.run(reader.invoke, "1")  # as a task that the call has left behind
    assert len(world.recorder.decisions) == len(ran) == 4


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_tool_is_governed_and_runs_as_itself(world: Any, copied: Any) -> None:
    class Reader:
        name = "read_customer"
        root = "live"

        def run(self, id: str) -> str:
            return f"{self.root}/{id}"

        def __call__(self, id: str) -> str:
            return self.run(id)

    reader = world.client().instrument(Reader())
    other = copied(reader)
    other.root = "test"
    assert [reader.run("1"), other.run("1"), other("1"), reader("1")] == ["live/1", "test/1", "test/1", "live/1"]
    assert len(world.recorder.decisions) == 4


def test_every_method_of_an_object_with_slots_in_a_toolchain_is_governed(world: Any) -> None:
    class Store:
        __slots__ = ()

        def read(self, id: str) -> str:
            return id

        def wipe(self, path: str) -> str:
            return path

    store = Store()
    world.client(approved_scope=["store.read"]).instrument_toolchain({"store": store})
    assert store.read("1") == "1"
    with pytest.raises(thoth.ThothPolicyViolation):
        store.wipe("/")


def test_an_object_in_a_toolchain_that_can_be_called_itself_is_governed(world: Any) -> None:
    class Wipe:
        def __call__(self, path: str) -> str:
            return path

        def status(self) -> str:
            return "idle"

    chain = world.client(approved_scope=["disk.wipe.status"]).instrument_toolchain({"disk": {"wipe": Wipe()}})
    assert chain["disk"]["wipe"].status() == "idle"
    with pytest.raises(thoth.ThothPolicyViolation):
        chain["disk"]["wipe"]("/")


def test_functions_held_by_an_object_are_governed(world: Any) -> None:
    class Holder:
        def __init__(self) -> None:
            self.name = "pay"
            self.func = lambda amount, to: amount

    tool = world.client().instrument(Holder())
    assert tool.func(700, "ACME") == 500


def test_an_object_with_slots_is_governed(world: Any) -> None:
    class Tight:
        __slots__ = ("name",)

        def __init__(self) -> None:
            self.name = "read_customer"

        def run(self, id: str) -> str:
            return id

    tool = world.client().instrument(Tight())
    assert tool.run("1") == "1"
    assert len(world.recorder.decisions) == 1


def test_async_methods_are_governed(world: Any) -> None:
    class Async:
        name = "pay"

        async def arun(self, amount: float, to: str) -> float:
            return await self._arun(amount, to)

        async def _arun(self, amount: float, to: str) -> float:
            return amount

    tool = world.client().instrument(Async())
    assert asyncio.run(tool.arun(700, "ACME")) == 500
    assert len(world.recorder.decisions) == 1


@pytest.mark.parametrize(
    "tool",
    ["a name", 17, {"type": "function", "function": {"name": "read_customer"}}, object(), Reader],
)
def test_what_cannot_be_governed_is_an_error_when_it_is_wrapped(world: Any, tool: Any) -> None:
    with pytest.raises(thoth.UngovernableTool):
        world.client().instrument(Agent([tool]))


def test_an_agent_with_no_tools_at_all_is_an_error(world: Any) -> None:
    with pytest.raises(thoth.UngovernableTool, match="nothing to govern"):
        world.client().instrument(Agent([]))


def test_tools_that_are_added_later_are_governed(world: Any) -> None:
    agent = world.client().instrument(Agent([read_customer]))
    agent.tools.append(Reader())
    agent.tools += [OnlyCalled()]
    agent.tools.insert(0, Reader())
    agent.tools[1] = read_customer
    agent.tools[2:] = [read_customer]
    for tool in agent.tools:
        (tool.run if hasattr(tool, "run") else tool)("1")
    assert len(world.recorder.decisions) == len(agent.tools) == 3
    with pytest.raises(thoth.UngovernableTool):
        agent.tools.append("nothing")


def test_functions_that_are_added_to_a_map_later_are_governed(world: Any) -> None:
    tools = world.client().instrument({"read_customer": read_customer})
    tools["pay"] = lambda amount, to: amount
    tools.update(deploy=lambda service: service)
    tools |= {"wipe": lambda path: path}
    assert tools["pay"](700, "ACME") == 500
    with pytest.raises(thoth.ThothDeferredError):
        tools["deploy"]("x")
    with pytest.raises(thoth.ThothPolicyViolation):
        tools["wipe"]("x")


def test_a_list_that_is_replaced_later_is_found_by_the_audit(world: Any) -> None:
    client = world.client()
    agent = client.instrument(Agent([read_customer]))
    assert client.audit().escapes == ()
    agent.tools = [read_customer]
    assert client.audit().escapes == ("read_customer",)
    assert not client.audit().balanced


def test_a_method_that_was_bound_before_is_reported(world: Any) -> None:
    tool = Reader()
    bound = tool.run
    client = world.client()
    client.instrument(tool)
    escapes = thoth.coverage(tool).escapes
    assert len(escapes) == 1
    assert "read_customer.run" in escapes[0]
    assert not client.audit().balanced
    del bound
    gc.collect()


def test_coverage_names_each_tool_and_the_ways_that_are_governed(world: Any) -> None:
    agent = world.client().instrument(Agent([Layered(), read_customer]))
    report = thoth.coverage(agent)
    assert [(tool.name, tool.ways) for tool in report.tools] == [
        ("pay", ("run", "_run")),
        ("read_customer", ("function",)),
    ]
    with pytest.raises(LookupError):
        thoth.coverage(Agent())


def test_a_map_of_functions_that_take_one_dict_is_seen_by_its_members(world: Any) -> None:
    """As the tool loops of the model vendors call them."""
    ran: list[Any] = []
    tools = world.client().instrument_anthropic({"pay": keep(ran)})
    tools["pay"]({"amount": 700, "to": "ACME"})
    tools["pay"](tool_input={"amount": 700, "to": "ACME"})
    assert ran == [{"amount": 500, "to": "ACME"}] * 2


def test_nested_toolchains_are_governed_under_dotted_names(world: Any) -> None:
    class Users:
        def __init__(self) -> None:
            self.token = "secret"

        def delete(self, id: str) -> str:
            return id

        def _private(self) -> str:
            return "private"

        @property
        def costly(self) -> str:
            raise AssertionError("a property is not asked")

    class Chain:
        def __init__(self) -> None:
            self.users = Users()
            self.itself = self

        def search(self, query: str) -> str:
            return query

    client = world.client(approved_scope=["search", "users.delete", "db.query"])
    chain = client.instrument_toolchain(Chain())
    assert chain.search("x") == "x"
    assert chain.users.delete("1") == "1"
    assert chain.users._private() == "private"
    assert world.recorder.effects == [("search", "ALLOW"), ("users.delete", "ALLOW")]
    nested = client.instrument_toolchain({"db": {"query": read_customer}})
    nested["db"]["query"]("1")
    assert world.recorder.effects[-1] == ("db.query", "ALLOW")


def test_a_toolchains_function_map_has_the_governed_functions(world: Any) -> None:
    class Chain:
        def search(self, query: str) -> str:
            return query

    functions = world.client(approved_scope=["search"]).toolchain_function_map(Chain())
    assert list(functions) == ["search"]
    assert functions["search"]("x") == "x"
    assert len(world.recorder.decisions) == 1
