"""LangGraph: tool nodes, agents and their middleware; refusals that the model reads, and holds as interrupts.

Each tool is governed itself (`langchain.py`). Around a node's call the thread of the graph becomes the session, what
people wrote in its state has been said, a refusal becomes a tool message with `status="error"`, and with
`on_hold="interrupt"` a held call interrupts the graph: resume it with
`{"hold": …, "granted": True, "approver": …, "principal": …}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from ..client import ThothClient
from ..coverages import Coverage, remember
from ..sessions import CURRENT, Frame, Session
from ..violation import ThothDeferredError, ThothHeldError, ThothPolicyViolation, UngovernableTool
from ..wrapping import GOVERNED, governed_by
from .calls import acall, call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..config import Settings
    from ..waiting import Hold

__all__ = ["ThothDeferredError", "ThothMiddleware", "instrument_langgraph", "instrument_tool_node", "thoth_graph"]


def integration_for(thing: object) -> Callable[[ThothClient, Any, Coverage], Any] | None:
    """Return what governs a compiled graph or a tool node, None for anything else of the library."""
    from langgraph.prebuilt import ToolNode
    from langgraph.pregel import Pregel

    if isinstance(thing, ToolNode):
        return govern_node
    return govern_graph if isinstance(thing, Pregel) else None


def instrument_langgraph(graph_or_tools: Any, **settings: Unpack[Settings]) -> Any:
    """Return a compiled graph with every tool node in it governed, or a list of tools governed."""
    return ThothClient(**settings).instrument(graph_or_tools)


def instrument_tool_node(tools: Sequence[Any], **settings: Unpack[Settings]) -> Any:
    """Return a tool node of these tools, governed."""
    from langgraph.prebuilt import ToolNode

    client = ThothClient(**settings)
    return client.instrument(ToolNode(list(tools)))


def thoth_graph(**settings: Unpack[Settings]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a function that builds and returns a compiled graph: the graph is returned governed."""
    import functools

    def decorate(build: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(build)
        def built(*args: Any, **kwargs: Any) -> Any:
            return instrument_langgraph(build(*args, **kwargs), **settings)

        return built

    return decorate


# ---------------------------------------------------------------- nodes and graphs


def govern_graph(client: ThothClient, graph: Any, coverage: Coverage) -> Any:
    """Govern every tool node of a compiled graph, those of its subgraphs too."""
    from langgraph.prebuilt import ToolNode

    nodes = [node for _, node in _bound(graph)]
    found = [node for node in nodes if isinstance(node, ToolNode)]
    for node in found:
        govern_node(client, node, coverage)
    if not found:
        raise UngovernableTool(
            "this graph has no tool node; put its tools into `ToolNode(tools)`, or instrument the tools themselves"
        )
    return graph


def _bound(graph: Any) -> list[tuple[str, Any]]:
    from langgraph.pregel import Pregel

    found: list[tuple[str, Any]] = []
    for name, node in graph.nodes.items():
        bound = getattr(node, "bound", None)
        inside = [bound, *(getattr(bound, "steps", None) or ())]
        for one in inside:
            found += _bound(one) if isinstance(one, Pregel) else [(name, one)]
    return found


def govern_node(client: ThothClient, node: Any, coverage: Coverage) -> Any:
    """Govern a tool node in place: its tools, tools that are put into it later, and what becomes of a refusal."""
    if isinstance(getattr(node._wrap_tool_call, "__self__", None), Around):
        return node
    from .langchain import govern_tool

    for tool in node.tools_by_name.values():
        govern_tool(client, tool, coverage)
    around = Around(client, node._wrap_tool_call, node._awrap_tool_call)
    node._wrap_tool_call = around.wrap
    node._awrap_tool_call = around.awrap
    remember(node, coverage)
    return node


class Around:
    """What is done around each call of a tool node; wrappers that it had before stay, inside."""

    def __init__(self, client: ThothClient, inner: Any = None, ainner: Any = None) -> None:
        self.client = client
        self.inner = inner
        self.ainner = ainner

    def wrap(self, request: Any, execute: Callable[[Any], Any]) -> Any:
        """Run one call, or tell the model why not."""
        token = CURRENT.set(self._frame(request))
        try:
            while True:
                try:
                    return self._run(request, execute)
                except ThothHeldError as held:
                    if self.client.config.on_hold != "interrupt" or held.hold is None:
                        raise
                    _ask_people(held.hold)
        except ThothPolicyViolation as refused:
            return _message(request, refused)
        finally:
            CURRENT.reset(token)

    async def awrap(self, request: Any, execute: Callable[[Any], Awaitable[Any]]) -> Any:
        """As `wrap`, on an event loop."""
        token = CURRENT.set(self._frame(request))
        try:
            while True:
                try:
                    return await self._arun(request, execute)
                except ThothHeldError as held:
                    if self.client.config.on_hold != "interrupt" or held.hold is None:
                        raise
                    _ask_people(held.hold)
        except ThothPolicyViolation as refused:
            return _message(request, refused)
        finally:
            CURRENT.reset(token)

    def _run(self, request: Any, execute: Callable[[Any], Any]) -> Any:
        def run(given: Any) -> Any:
            return execute(given) if self.inner is None else self.inner(given, execute)

        if request.tool is None or is_governed(request.tool):
            return run(request)
        named = request.tool_call
        return call(
            self.client.guard,
            named["name"],
            named["args"],
            lambda args: run(request.override(tool_call={**named, "args": args})),
            _as_json,
        )

    async def _arun(self, request: Any, execute: Callable[[Any], Awaitable[Any]]) -> Any:
        async def run(given: Any) -> Any:
            if self.ainner is not None:
                return await self.ainner(given, execute)
            return await execute(given)

        if request.tool is None or is_governed(request.tool):
            return await run(request)
        named = request.tool_call
        return await acall(
            self.client.guard,
            named["name"],
            named["args"],
            lambda args: run(request.override(tool_call={**named, "args": args})),
            _as_json,
        )

    def _frame(self, request: Any) -> Frame:
        """Return the frame of a call: the thread of the graph is its session, unless one is current already."""
        frame = CURRENT.get()
        if frame is None:
            config = getattr(request.runtime, "config", None) or {}
            thread = (config.get("configurable") or {}).get("thread_id")
            frame = Frame(Session(str(thread)) if thread else self.client.guard.session)
        if frame.session.root is None:
            _hear(frame.session, request.state)
        return frame


class ThothMiddleware:
    """`create_agent(…, middleware=[ThothMiddleware(client)])`: each tool call of an agent, whoever brought the tool."""

    def __new__(cls, client: ThothClient) -> Any:
        """Return a middleware of the installed LangChain."""
        from langchain.agents.middleware import AgentMiddleware

        around = Around(client)

        class Middleware(AgentMiddleware):  # type: ignore[misc]
            name = "thoth"

            def wrap_tool_call(self, request: Any, handler: Any) -> Any:
                return around.wrap(request, handler)

            async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
                return await around.awrap(request, handler)

        return Middleware()


def is_governed(tool: Any) -> bool:
    """Say whether a LangChain tool asks by itself."""
    if GOVERNED in type(tool).__dict__:
        return True
    functions = [function for name in ("func", "coroutine") if (function := getattr(tool, name, None)) is not None]
    return bool(functions) and all(governed_by(function) is not None for function in functions)


# ---------------------------------------------------------------- what passes in and out


def _ask_people(hold: Hold) -> None:
    """Interrupt the graph for a held call, and take the answer that it is resumed with."""
    from langgraph.types import interrupt

    answer = interrupt(
        {"hold": hold.token, "tool": hold.tool, "args": hold.tool_args, "approvers": list(hold.approvers)}
    )
    if not isinstance(answer, dict) or answer.get("hold", hold.token) != hold.token:
        return  # for another call, or no answer: asked about again, the hold still waits
    principal = str(answer.get("principal") or "")
    if principal and isinstance(answer.get("granted"), bool):
        approver = str(answer.get("approver") or (hold.approvers[0] if hold.approvers else ""))
        (hold.approve if answer["granted"] else hold.deny)(approver, principal)


def _message(request: Any, refused: ThothPolicyViolation) -> Any:
    from langchain_core.messages import ToolMessage

    named = request.tool_call
    text = f"This call was not made: {refused.tell}"
    return ToolMessage(content=text, name=named["name"], tool_call_id=named["id"], status="error")


def _as_json(result: Any) -> tuple[Any, bool]:
    from ..plain import told

    return told(getattr(result, "content", result))


def _hear(session: Session, state: Any) -> None:
    """Take in what people wrote: the human messages of a graph's state."""
    messages = state if isinstance(state, list) else state.get("messages") if isinstance(state, dict) else None
    for message in messages or ():
        if getattr(message, "type", "") != "human":
            continue
        content = message.content
        for part in [content] if isinstance(content, str) else content:
            text = part if isinstance(part, str) else part.get("text") if isinstance(part, dict) else None
            if isinstance(text, str) and text not in session.memory.turns:
                session.said(text)
