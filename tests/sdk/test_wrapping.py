"""Functions of every kind, governed: each call is asked about once, before it runs, and its end is reported once."""

import asyncio
import contextvars
import functools
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import thoth

from .office import POLICY


def test_a_call_that_is_allowed_runs_once_and_is_reported(world: Any) -> None:
    ran = []
    client = world.client()

    @client.tool
    def read_customer(id: str) -> dict[str, str]:
        ran.append(id)
        return {"id": id}

    assert read_customer("42") == {"id": "42"}
    assert ran == ["42"]
    assert world.recorder.effects == [("read_customer", "ALLOW")]
    assert world.recorder.endings == ["completed"]
    assert client.audit().balanced


def test_a_call_that_is_blocked_does_not_run_and_its_refusal_says_what_the_agent_may_know(world: Any) -> None:
    ran = []
    client = world.client()

    @client.tool
    def wipe(path: str) -> None:
        ran.append(path)

    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        wipe("/srv")
    assert ran == []
    assert refused.value.tool_name == "wipe"
    assert refused.value.decision_reason_code == "forbidden_action_static_policy"
    assert refused.value.matched_rule_ids == ["never"]
    assert "/srv" not in str(refused.value)
    assert (client.audit().decisions, client.audit().refused) == (0, 1)


def test_a_refusal_carries_what_its_author_wrote_for_the_agent(world: Any) -> None:
    client = world.client()
    client.tool(_named("read_customer", "id"))("1")
    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        client.tool(_named("send_email", "to", "body"))("eve@evil.example", "hi")
    assert refused.value.tell == "send it to an internal address"
    assert "send it to an internal address" in str(refused.value)


def test_a_call_that_is_put_off_says_when_to_come_back(world: Any) -> None:
    with pytest.raises(thoth.ThothDeferredError) as put_off:
        world.client().tool(_named("deploy", "service"))("web")
    assert put_off.value.retry_after_s == 1800
    assert "(retry in 1800s)" in str(put_off.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda pay: pay(700, "ACME", "x"),
        lambda pay: pay(700, "ACME", note="x"),
        lambda pay: pay(amount=700, to="ACME", note="x"),
        lambda pay: pay(note="x", to="ACME", amount=700),
        lambda pay: pay(*[700, "ACME"], note="x"),
    ],
)
def test_changed_arguments_reach_the_tool_whatever_way_the_caller_passed_them(world: Any, call: Any) -> None:
    ran = []

    @world.client().tool
    def pay(amount: float, to: str, note: str = "") -> None:
        ran.append((amount, to, note))

    call(pay)
    assert ran == [(500, "ACME", "x")]


def test_a_function_of_anything_takes_changed_arguments_too(world: Any) -> None:
    ran = []

    @world.client().tool
    def pay(*args: Any, **kwargs: Any) -> None:
        ran.append((args, kwargs))

    pay(amount=700, to="ACME")
    assert ran == [((), {"amount": 500, "to": "ACME"})]
    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        pay(700, "ACME")
    assert refused.value.decision_reason_code == "modification_failed"
    assert len(ran) == 1


def test_where_no_change_can_be_applied_the_call_does_not_run(world: Any) -> None:
    ran = []

    class Euros(float):
        def __new__(cls, value: float) -> "Euros":
            if value == 500:
                raise ValueError("five hundred is bad luck")
            return super().__new__(cls, value)

    client = world.client()

    @client.tool
    def pay(amount: float, to: str) -> None:
        ran.append(amount)

    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        pay(Euros(700), "ACME")
    assert refused.value.decision_reason_code == "modification_failed"
    assert ran == []
    assert client.audit().balanced


def test_what_did_not_change_is_the_very_object_that_the_caller_passed(world: Any) -> None:
    class Address(str):
        __slots__ = ()

    ran = []

    @world.client().tool
    def pay(amount: float, to: str) -> None:
        ran.append((amount, to))

    to = Address("ACME")
    pay(700, to)
    assert ran[0][0] == 500
    assert ran[0][1] is to


def test_an_argument_by_default_is_judged_as_one_that_is_passed(world: Any) -> None:
    @world.client().tool
    def pay(amount: float = 700, to: str = "ACME") -> float:
        return amount

    assert pay() == 500


def test_a_call_that_does_not_fit_its_function_is_a_type_error_and_is_not_asked_about(world: Any) -> None:
    pay = world.client().tool(_named("pay", "amount", "to"))
    for call in (lambda: pay(1, 2, 3), lambda: pay(1, amount=2), lambda: pay(1, 2, wrong=3)):
        with pytest.raises(TypeError):
            call()
    assert world.recorder.decisions == []


def test_a_tool_that_raises_is_reported_as_failed_and_raises_the_same(world: Any) -> None:
    client = world.client()

    @client.tool
    def read_customer(id: str) -> None:
        raise KeyError(id)

    with pytest.raises(KeyError):
        read_customer("42")
    assert world.recorder.endings == ["failed"]
    assert client.audit().failed == 1


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (TimeoutError(), "timed_out"),
        (KeyboardInterrupt(), "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
        (ValueError(), "failed"),
    ],
)
def test_how_a_call_ended_is_said_by_what_it_raised(world: Any, error: BaseException, ending: str) -> None:
    @world.client().tool
    def read_customer(id: str) -> None:
        raise error

    with pytest.raises(type(error)):
        read_customer("42")
    assert world.recorder.endings == [ending]


def test_a_result_is_passed_on_as_the_policy_lets_it_be_seen(world: Any) -> None:
    client = world.client()
    read_page = client.tool(_named("read_page", "url", returns={"text": "card 4111 1111 1111 1111"}))
    assert read_page("https://x.example") == {"text": "card [card]"}
    assert client.tool(_named("secrets", "name", returns="k-1"))("db") == "[withheld by policy]"


def _deep(text: str) -> Any:
    value: Any = text
    for _ in range(70):
        value = [value]
    return value


class Page:
    """What a tool may return and no policy can read."""

    text = "card 4111 1111 1111 1111"


@pytest.mark.parametrize(
    "result",
    [
        b"\xff card 4111 1111 1111 1111",
        b" " * 70_000 + b"card 4111 1111 1111 1111",
        _deep("card 4111 1111 1111 1111"),
        {"page": Page()},
        iter(["card 4111 1111 1111 1111"]),
    ],
)
def test_a_result_that_cannot_be_read_whole_is_withheld_where_a_rule_could_redact_it(world: Any, result: Any) -> None:
    client = world.client()
    assert client.tool(_named("read_page", "url", returns=result))("https://x.example") == "[withheld by policy]"
    assert client.tool(_named("read_customer", "id", returns=result))("42") is result


def test_a_result_of_a_call_that_the_engine_has_let_go_is_withheld_where_a_rule_could_change_it(world: Any) -> None:
    client = world.client()

    def forgotten(of: str) -> str:
        for id in list(world.engine._running):
            world.engine._running.pop(id)
        return "k-1"

    for name, argument, seen in (("secrets", "name", "[withheld by policy]"), ("read_customer", "id", "k-1")):
        run = _named(name, argument, returns=None)
        tool = client.tool(functools.wraps(run)(lambda of, **_: forgotten(of)))
        assert tool("x") == seen
    assert client.audit().lost == 2  # nobody knows of these ends


def test_a_result_that_is_reported_again_is_no_way_around_the_rules(anywhere: Any) -> None:
    check = anywhere.client().check("secrets", {"name": "db"})
    if not check._guard.enforcer.filters("secrets"):
        return  # on another machine results are not judged
    assert check.completed("k-1") == "[withheld by policy]"
    assert check.completed("k-1") == "[withheld by policy]"
    assert asyncio.run(check.acompleted("k-1")) == "[withheld by policy]"
    assert check.failed("k-1") == "[withheld by policy]"


def test_a_policy_that_is_replaced_says_anew_which_streams_are_kept(world: Any) -> None:
    @world.client().tool
    def read_customer(id: str) -> Iterator[str]:
        yield "card 4111 1111 1111 1111"

    assert list(read_customer("42")) == ["card 4111 1111 1111 1111"]
    more = 'on result read_customer as cards redact result matching card_number with "[card]"\n'
    world.engine.replace(POLICY.replace("{mode}", "") + more)
    assert list(read_customer("42")) == ["card [card]"]


def test_what_a_failing_tool_says_is_passed_on_as_the_policy_lets_it_be_seen(world: Any) -> None:
    @world.client().tool
    def read_page(url: str) -> None:
        raise ValueError("no page for card 4111 1111 1111 1111")

    with pytest.raises(Exception, match=r"\[card\]") as raised:
        read_page("https://x.example")
    assert "4111" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


CARD = "card 4111 1111 1111 1111"


class Cancelled(Exception):
    """A tool of its own names its exceptions as it likes."""


def _chained(text: str) -> Exception:
    try:
        try:
            raise KeyError(text)
        except KeyError as cause:
            raise ValueError("no page") from cause
    except ValueError as error:
        return error


def _noted(text: str) -> Exception:
    error = ValueError("no page")
    error.add_note(text)
    return error


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("make", "ending"),
    [
        (TimeoutError, "timed_out"),
        (Cancelled, "cancelled"),
        (_chained, "failed"),
        (_noted, "failed"),
        (lambda text: ExceptionGroup("no pages", [OSError(1, "a"), _chained(text)]), "failed"),
    ],
)
def test_whatever_an_exception_shows_in_a_traceback_is_shown_as_the_policy_lets_it_be_seen(
    world: Any, make: Any, ending: str, asynchronous: bool
) -> None:
    def read_page(url: str) -> None:
        raise make(CARD)

    async def read_page_later(url: str) -> None:
        raise make(CARD)

    client = world.client()
    later, now = client.tool(name="read_page")(read_page_later), client.tool(read_page)
    with pytest.raises(Exception, match=r"\[card\]") as raised:
        asyncio.run(later("u")) if asynchronous else now("u")
    assert "4111" not in "".join(traceback.format_exception(raised.value))
    assert world.recorder.endings == [ending]
    check = client.check("read_page", {"url": "u"})
    assert "4111" not in check.failed(make(CARD))


# ---------------------------------------------------------------- async, generators, streams


def test_an_async_tool_is_asked_about_when_it_is_awaited(world: Any) -> None:
    @world.client().tool
    async def pay(amount: float, to: str) -> float:
        await asyncio.sleep(0)
        return amount

    async def run() -> float:
        call = pay(700, "ACME")
        assert world.recorder.decisions == []
        return await call

    assert asyncio.run(run()) == 500
    assert world.recorder.endings == ["completed"]


def test_a_cancelled_task_reports_its_call_as_cancelled(world: Any) -> None:
    client = world.client()

    @client.tool
    async def read_customer(id: str) -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        task = asyncio.ensure_future(read_customer("42"))
        await asyncio.sleep(0)
        assert client.audit().running == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert world.recorder.endings == ["cancelled"]
    assert client.audit().balanced


def test_a_plain_function_that_returns_an_awaitable_is_over_when_that_is(world: Any) -> None:
    async def fetch(id: str) -> str:
        return id

    read_customer = world.client().tool(name="read_customer")(functools.partial(fetch))

    async def run() -> Any:
        waiting = read_customer("42")
        assert world.recorder.endings == []
        return await waiting

    assert asyncio.run(run()) == "42"
    assert world.recorder.endings == ["completed"]


def test_a_generator_is_asked_about_before_its_first_item_and_over_after_its_last(world: Any) -> None:
    @world.client().tool
    def read_customer(id: str) -> Iterator[str]:
        yield "a"
        yield "b"

    items = read_customer("42")
    assert world.recorder.decisions == []
    assert next(items) == "a"
    assert world.recorder.endings == []
    assert list(items) == ["b"]
    assert world.recorder.endings == ["completed"]


def test_a_generator_takes_what_is_sent_and_thrown_into_it(world: Any) -> None:
    @world.client().tool
    def read_customer(id: str) -> Any:
        got = yield 1
        try:
            yield got
        except ValueError:
            yield "caught"
        return "end"

    items = read_customer("42")
    assert next(items) == 1
    assert items.send("x") == "x"
    assert items.throw(ValueError()) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(items)
    assert stop.value.value == "end"
    assert world.recorder.endings == ["completed"]


def test_a_generator_that_is_left_is_reported_as_cancelled(world: Any) -> None:
    @world.client().tool
    def read_customer(id: str) -> Iterator[str]:
        yield "a"
        yield "b"

    items = read_customer("42")
    next(items)
    items.close()
    assert world.recorder.endings == ["cancelled"]


def test_a_refused_generator_yields_nothing(world: Any) -> None:
    ran = []

    @world.client().tool
    def wipe(path: str) -> Iterator[str]:
        ran.append(path)
        yield path

    with pytest.raises(thoth.ThothPolicyViolation):
        next(wipe("/"))
    assert ran == []


def test_an_async_generator_streams_and_is_reported(world: Any) -> None:
    @world.client().tool
    async def read_customer(id: str) -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def run() -> list[str]:
        return [item async for item in read_customer("42")]

    assert asyncio.run(run()) == ["a", "b"]
    assert world.recorder.endings == ["completed"]


def test_an_async_generator_that_is_left_is_reported_as_cancelled(world: Any) -> None:
    @world.client().tool
    async def read_customer(id: str) -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def run() -> None:
        items = read_customer("42")
        assert await anext(items) == "a"
        await items.aclose()

    asyncio.run(run())
    assert world.recorder.endings == ["cancelled"]


def test_a_stream_whose_result_may_be_redacted_is_kept_until_its_end(world: Any) -> None:
    @world.client().tool
    def read_page(url: str) -> Iterator[str]:
        yield "card 4111 1111 "
        yield "1111 1111."

    assert list(read_page("https://x.example")) == ["card [card]."]


@pytest.mark.parametrize("yields", [[], ["page "], [{"n": 1}, "page"]])
def test_what_a_generator_returns_is_passed_on_as_the_policy_lets_it_be_seen(world: Any, yields: list[Any]) -> None:
    client = world.client()

    def read_page(url: str) -> Iterator[Any]:
        yield from yields
        return {"text": CARD}

    def secrets(name: str) -> Iterator[Any]:
        yield from yields
        return "k-1"

    def read_customer(id: str) -> Iterator[Any]:
        yield from yields
        return CARD

    def all_of(items: Iterator[Any]) -> tuple[list[Any], Any]:
        found = []
        while True:
            try:
                found.append(next(items))
            except StopIteration as stop:
                return found, stop.value

    assert all_of(client.tool(read_page)("u")) == (yields, {"text": "card [card]"})
    withheld, returned = all_of(client.tool(secrets)("db"))
    assert {*withheld, returned} == {"[withheld by policy]"}
    assert all_of(client.tool(read_customer)("42")) == (yields, CARD)


def test_an_async_generator_takes_what_is_sent_and_thrown_into_it(world: Any) -> None:
    @world.client().tool
    async def read_customer(id: str) -> Any:
        sent = yield "first"
        try:
            yield sent
        except KeyError:
            yield "caught"

    async def run() -> None:
        items = read_customer("42")
        assert await anext(items) == "first"
        assert await items.asend("sent") == "sent"
        assert await items.athrow(KeyError("k")) == "caught"
        with pytest.raises(StopAsyncIteration):
            await anext(items)

    asyncio.run(run())
    assert world.recorder.endings == ["completed"]


def test_a_coroutine_that_is_closed_from_elsewhere_has_ended(anywhere: Any) -> None:
    """As a loop does with a task that is still there when it ends."""
    client = anywhere.client()
    started = []

    async def read_customer(id: str) -> None:
        started.append(id)
        await asyncio.Event().wait()

    async def run() -> None:
        call = client.tool(read_customer)("42")

        async def step() -> None:
            waits = call.send(None)
            while not started:
                await asyncio.wait([waits])
                waits = call.send(None)

        await asyncio.create_task(step())
        contextvars.Context().run(call.close)

    asyncio.run(run())
    audit = client.audit()
    assert (audit.running, audit.cancelled) == (0, 1)


def test_what_a_stream_yields_is_remembered_in_the_session(world: Any) -> None:
    client = world.client()

    @client.tool
    def read_customer(id: str) -> Iterator[str]:
        yield "invoice INV-"
        yield "778899"

    list(read_customer("42"))
    session = world.engine.session(client.session.id)
    assert [told.text for told in session.results] == ["invoice INV-778899"]


# ---------------------------------------------------------------- what can be wrapped


def test_partials_and_bound_methods_are_governed_under_their_names(world: Any) -> None:
    class Bank:
        def pay(self, amount: float, to: str) -> float:
            return amount

    client = world.client()
    assert client.tool(Bank().pay)(700, "ACME") == 500
    assert client.tool(functools.partial(Bank().pay, to="ACME"))(amount=700) == 500
    assert world.recorder.effects == [("pay", "MODIFY"), ("pay", "MODIFY")]


def test_a_function_without_a_name_cannot_be_governed(world: Any) -> None:
    with pytest.raises(thoth.UngovernableTool, match="has no name"):
        world.client().tool(lambda id: id)


def test_a_function_whose_signature_cannot_be_read_cannot_be_governed(world: Any) -> None:
    with pytest.raises(thoth.UngovernableTool, match="signature"):
        world.client().tool(dict.update)


def test_wrapping_twice_asks_once(world: Any) -> None:
    client = world.client()
    read_customer = client.tool(client.tool(_named("read_customer", "id")))
    read_customer("42")
    assert len(world.recorder.decisions) == 1


def test_a_function_that_only_looks_like_a_governed_one_is_asked_about_itself(world: Any) -> None:
    """`functools.wraps` copies everything that a function says of itself, the mark of being governed too."""
    client = world.client()
    ran = []
    read_customer = client.tool(_named("read_customer", "id"))

    @functools.wraps(read_customer)
    def wipe(*paths: str) -> None:
        ran.append(paths)

    @functools.wraps(read_customer)
    def again(*args: Any) -> Any:
        return read_customer(*args)

    tools = client.instrument({"wipe": wipe, "read_customer": again, "look": read_customer})
    with pytest.raises(thoth.ThothPolicyViolation):
        tools["wipe"]("/")
    assert ran == []
    tools["read_customer"]("42")
    tools["look"]("42")
    assert [name for name, _ in world.recorder.effects] == ["wipe", "read_customer", "read_customer"]


def test_a_decorated_tool_without_a_configured_client_does_not_run(world: Any) -> None:
    ran = []

    @thoth.tool
    def read_customer(id: str) -> None:
        ran.append(id)

    with pytest.raises(thoth.ConfigurationError, match="configure"):
        read_customer("42")
    assert ran == []


def test_a_wrapped_function_looks_like_the_one_it_wraps(world: Any) -> None:
    import inspect

    def pay(amount: float, to: str) -> float:
        """Pay somebody."""
        return amount

    wrapped = world.client().tool(pay)
    assert (wrapped.__name__, wrapped.__doc__) == ("pay", "Pay somebody.")
    assert inspect.signature(wrapped) == inspect.signature(pay)


def _named(name: str, *parameters: str, returns: Any = None) -> Any:
    """A function of this name and these parameters."""
    space: dict[str, Any] = {"returns": returns}
    exec(f"def {name}({', '.join(parameters)}): return returns", space)
    return space[name]
