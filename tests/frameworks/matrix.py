"""One matrix for every framework: what becomes of a call that is allowed, refused, changed, held, put off, or fails.

Run in the framework's own environment, by `make test-frameworks`; the framework is named by the variable FRAMEWORK, and
its file here says how an agent of it is made and run. The model is scripted, on loopback; the library is the real one.
"""

import asyncio
import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.frameworks.model import Model
from tests.sdk.office import POLICY, HttpWorld, World

FRAMEWORK = os.environ["FRAMEWORK"]
HARNESS = importlib.import_module(f"tests.frameworks.{FRAMEWORK}")
TOOLS = ("pay", "wipe", "deploy", "read_customer")


class Office:
    """An agent of the framework whose tools are governed; `ran` is what its tools did."""

    def __init__(self, world: World, model: Model) -> None:
        self.world = world
        self.model = model
        self.ran: list[Any] = []
        self.began: Any = None

    def pay(self, amount: float, to: str) -> str:
        self.ran.append(("pay", amount, to))
        return "paid"

    def wipe(self, path: str) -> str:
        self.ran.append(("wipe", path))
        return "wiped"

    def deploy(self, service: str) -> str:
        self.ran.append(("deploy", service))
        return "deployed"

    async def read_customer(self, id: str) -> str:
        self.ran.append(("read_customer", id))
        if id == "0":
            raise KeyError("no such customer")
        if id == "wait":
            self.began.set()
            await asyncio.Event().wait()
        return f"customer {id}"

    def run(self, client: Any, tool: str, args: dict[str, Any], text: str = "hello") -> str:
        """Let the model call one tool; return what it was told of it."""
        name = HARNESS.NAME_OF(tool)
        self.model.script = (name, args)
        self.model.told.clear()
        asyncio.run(HARNESS.run(client, self, text))
        return "\n".join(self.model.told)

    @property
    def endings(self) -> list[str]:
        return self.world.recorder.endings


def policy_here() -> str:
    """The policy of the office, with the names that the framework gives to tools."""
    text = POLICY
    for tool in TOOLS:
        name = HARNESS.NAME_OF(tool)
        for keyword in ("tool", "step_up", "modify", "defer", "block"):
            text = text.replace(f"{keyword} {tool}", f"{keyword} {name}").replace(
                f"{keyword}  {tool}", f"{keyword} {name}"
            )
            text = text.replace(f"{keyword}   {tool}", f"{keyword} {name}")
    return text


def scope() -> list[str]:
    return [HARNESS.NAME_OF(tool) for tool in TOOLS]


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.close()


@pytest.fixture
def office(model: Model) -> Office:
    return Office(World(policy_here()), model)


def client_of(office: Office, **settings: Any) -> Any:
    return office.world.client(approved_scope=scope(), **settings)


def test_allow(office: Office) -> None:
    client = client_of(office)
    assert "customer 7" in office.run(client, "read_customer", {"id": "7"}), office.model.seen
    assert office.ran == [("read_customer", "7")]
    assert [d.effect for d in office.world.recorder.decisions] == ["ALLOW"]
    assert office.endings == ["completed"]
    assert client.audit().balanced


def test_block(office: Office) -> None:
    client = client_of(office)
    told = office.run(client, "wipe", {"path": "/srv"})
    assert "forbids" in told
    assert office.ran == []
    assert office.endings == []
    assert client.audit().balanced


def test_step_up_approved(office: Office) -> None:
    client = client_of(office, on_hold=office.world.approve)
    assert "paid" in office.run(client, "pay", {"amount": 20000, "to": "ACME"})
    assert office.ran == [("pay", 20000, "ACME")]
    assert office.endings == ["completed"]
    assert client.audit().balanced


def test_step_up_denied(office: Office) -> None:
    client = client_of(office, on_hold=office.world.deny)
    assert "said no" in office.run(client, "pay", {"amount": 20000, "to": "ACME"})
    assert office.ran == []
    assert client.audit().balanced


def test_step_up_timed_out(office: Office) -> None:
    client = client_of(office, on_hold=office.world.expire)
    assert "in time" in office.run(client, "pay", {"amount": 20000, "to": "ACME"})
    assert office.ran == []
    assert client.audit().balanced


def test_modify(office: Office) -> None:
    client = client_of(office)
    assert "paid" in office.run(client, "pay", {"amount": 700, "to": "ACME"})
    assert office.ran == [("pay", 500, "ACME")]
    assert office.endings == ["completed"]


def test_defer(office: Office) -> None:
    client = client_of(office)
    assert "retry in 1800s" in office.run(client, "deploy", {"service": "web"})
    assert office.ran == []


def test_tool_raises(office: Office) -> None:
    client = client_of(office)
    with contextlib.suppress(Exception if HARNESS.RAISES else ()):  # some frameworks end the run, others tell the model
        office.run(client, "read_customer", {"id": "0"})
    assert office.ran == [("read_customer", "0")]
    assert office.endings == ["failed"]
    assert client.audit().balanced


def test_cancelled(office: Office) -> None:
    client = client_of(office)
    office.model.script = (HARNESS.NAME_OF("read_customer"), {"id": "wait"})

    async def run() -> None:
        office.began = asyncio.Event()
        task = asyncio.ensure_future(HARNESS.run(client, office, "hello"))
        began = asyncio.ensure_future(office.began.wait())
        await asyncio.wait([task, began], return_when=asyncio.FIRST_COMPLETED, timeout=60)
        assert office.began.is_set(), task
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass

    asyncio.run(run())
    assert office.endings == HARNESS.CANCELLED
    assert client.audit().running == (0 if HARNESS.CANCELLED else 1)
    if not HARNESS.CANCELLED:
        pytest.skip("the framework does not show it: the call stays open in the audit")


def test_enforcer_away(model: Model) -> None:
    world = HttpWorld(policy_here())
    world.server.stop()
    office = Office(world, model)
    client = client_of(office)
    told = office.run(client, "read_customer", {"id": "7"})
    assert "enforcer unavailable" in told
    assert office.ran == []


def test_what_the_user_said_is_known_without_the_developers_work(office: Office) -> None:
    if not HARNESS.HEARS:
        pytest.skip("this framework does not show it")
    client = client_of(office, on_hold=office.world.deny)
    assert "paid" in office.run(client, "pay", {"amount": 20000, "to": "INITECH"}, text="please pay INITECH")
    assert office.ran == [("pay", 20000, "INITECH")]


@pytest.mark.parametrize("name", HARNESS.WAYS)
def test_nothing_slips_through(office: Office, name: str) -> None:
    """Each way around that we know of in this framework: none of them runs `wipe`, which the policy blocks."""
    client = client_of(office)
    asyncio.run(HARNESS.WAYS[name](client, office))
    assert ("wipe", "/srv") not in office.ran
    assert "BLOCK" in [d.effect for d in office.world.recorder.decisions] or client.audit().escapes
