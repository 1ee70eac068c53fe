"""Which tools the server has, which of them somebody has approved, and which this agent could ever call.

A call is let through only for a tool that the server lists as it was approved. So the list is known before the first
call, from the client's own asking or from ours, and again after the server says that it changed.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from ..contract import OperationError
from .instructions import suspicious
from .log import Log
from .message import Message, encode, joined, loosely, members, request_message
from .pins import PinFile, Pinned, PinnedServer, digests_of
from .relay import Relay, Waiting

PAGES_MAX: Final = 1000
ASKED_MAX: Final = 3
LIST_PATIENCE_S: Final = 30.0
State = Literal["pinned", "changed", "new", "unlisted", "unknown"]
PinPolicy = Literal["first-use", "required", "off"]
"""What becomes of a server that was never pinned: its tools are pinned now, or none runs, or none is compared."""


class Catalog:
    """The tools of one server in one run."""

    def __init__(
        self,
        relay: Relay,
        log: Log,
        *,
        server: str,
        pins: PinFile,
        policy: PinPolicy = "first-use",
        visible: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._relay = relay
        self._log = log
        self._server = server
        self._file = pins
        self._policy = policy
        self._visible = visible
        self._pinned: Mapping[str, Pinned] | None = None
        self._readable = policy == "off"
        self._listed: dict[str, Pinned] = {}
        self._whole = False
        self._age = 0  # how often the server has said that its tools changed
        self._pages: dict[str, list[dict[str, Any]]] = {}  # what came before the page that a cursor names
        self._listing: asyncio.Task[None] | None = None
        self._reported: set[str] = set()
        self._open = False
        self._held_back: list[tuple[Message, Message, int]] = []
        relay.handlers["tools/list"] = self._list
        relay.heard["notifications/tools/list_changed"] = self._changed

    def open(self) -> None:
        """From now on it is known what this agent could call; lists that came before are sent now."""
        self._open = True
        for request, response, age in self._held_back:
            self._relay.client.line(self.listed(request, response, age))
        self._held_back.clear()

    def read_pins(self) -> None:
        """Read what was approved; where that cannot be read, no tool counts as approved."""
        if self._policy == "off":
            return
        try:
            found = self._file.servers().get(self._server)
        except OperationError as error:
            self._log.event("pins_unreadable", problem=error)
            return
        self._readable = True
        self._pinned = None if found is None else found.tools

    # ------------------------------------------------------------ what a call asks

    @property
    def ready(self) -> bool:
        """Whether the whole list is known."""
        return self._whole

    def state(self, tool: str) -> State:
        """Return what is known of a tool, once the list is."""
        if not self._whole or not self._readable:
            return "unknown"
        if tool not in self._listed:
            return "unlisted"
        return self._pin_state(tool, self._listed[tool])

    def _pin_state(self, name: str, tool: Pinned) -> State:
        if self._policy == "off":
            return "pinned"
        if not self._readable:
            return "unknown"
        if self._pinned is None:
            return "pinned" if self._policy == "first-use" else "new"
        pinned = self._pinned.get(name)
        if pinned is None:
            return "new"
        return "pinned" if pinned.digest == tool.digest else "changed"

    def ambiguous(self, tool: str, args: Mapping[str, Any]) -> bool:
        """Say whether an argument is named like a declared one in other letters: some servers take it for that."""
        listed = self._listed.get(tool)
        schema = None if listed is None else listed.tool.get("inputSchema")
        properties = schema.get("properties") if isinstance(schema, dict) else None
        folded = {str(name).casefold() for name in properties} if isinstance(properties, dict) else set()
        seen: set[str] = set()
        for name in args:
            known = isinstance(properties, dict) and name in properties
            if name.casefold() in seen or (not known and name.casefold() in folded):
                return True
            seen.add(name.casefold())
        return False

    async def make_ready(self, meta: bytes | None) -> None:
        """Ask the server for its tools; `meta` is the `_meta` with which the client calls, in the stateless era."""
        if self._whole:
            return
        if self._listing is None or self._listing.done():
            self._listing = asyncio.create_task(self._ask(meta))
        await asyncio.shield(self._listing)

    async def _ask(self, meta: bytes | None) -> None:
        params: dict[str, Any] = {}
        if meta is not None:
            params["_meta"] = {key: value for key, value in loosely(meta).items() if key != "progressToken"}
        for _ in range(ASKED_MAX):
            age = self._age
            await self._ask_once(params)
            if age == self._age:  # else it has changed while it was listed, and nobody knows which list this was
                return
        self._log.event("tools_unlisted", problem="they change as often as they are listed")

    async def _ask_once(self, params: dict[str, Any]) -> None:
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        age = self._age
        try:
            for _ in range(PAGES_MAX):
                id = self._relay.new_id()
                page = {**params, "cursor": cursor} if cursor is not None else params
                line = request_message(id, "tools/list", page)
                answer = await self._relay.ask(self._relay.upstream, id, line, LIST_PATIENCE_S)
                tools, cursor = _page(answer)
                found += tools
                if cursor is None or age != self._age:
                    self._take(found, age)
                    return
            self._log.event("tools_unlisted", problem=f"more than {PAGES_MAX} pages")
        except (TimeoutError, ConnectionError, ValueError) as error:
            self._log.event("tools_unlisted", problem=str(error) or "no answer in time")

    # ------------------------------------------------------------ lists that pass

    def _list(self, message: Message) -> None:
        self._relay.forward(_Listing(self, message, self._relay.now(), self._age), message.line)

    def answered(self, request: Message, response: Message, age: int) -> bytes | None:
        """Take in the server's answer to a client's request for tools; None where it is sent later."""
        if self._open:
            return self.listed(request, response, age)
        self._held_back.append((request, response, age))
        return None

    def listed(self, request: Message, response: Message, age: int) -> bytes:
        """Take in one page for the client; return it without the tools that it must not see."""
        if "result" not in response.fields:
            return response.line
        try:
            raw = members(response.fields["result"], ("tools", "nextCursor"), request.raw_id)
            tools, cursor = _page(response)
        except Exception as error:  # noqa: BLE001 - a list that cannot be read is a list of nothing
            self._log.event("tools_unlisted", problem=str(error)[:200])
            return joined({**response.fields, "result": encode({"tools": []})})
        asked = loosely(request.fields.get("params", b"{}"))
        before = (
            self._pages.pop(str(asked.get("cursor")), None) if isinstance(asked, dict) and asked.get("cursor") else []
        )
        if before is not None:
            if cursor is None:
                self._take(before + tools, age)
            else:
                self._pages[cursor] = before + tools
                while len(self._pages) > PAGES_MAX:
                    del self._pages[next(iter(self._pages))]
        own = digests_of(tools)
        kept = [tool for tool in tools if self._shown(tool, own)]
        if len(kept) == len(tools):
            return response.line
        items = [item for item, tool in zip(_items(raw["tools"]), tools, strict=True) if tool in kept]
        raw["tools"] = b"[" + b",".join(items) + b"]"
        return joined({**response.fields, "result": joined(raw)})

    def _shown(self, tool: dict[str, Any], own: Mapping[str, Pinned]) -> bool:
        name = tool.get("name")
        if not isinstance(name, str):
            return False
        state = self._pin_state(name, own[name])
        if state not in ("pinned", "unknown"):
            if name not in self._reported:
                self._reported.add(name)
                self._log.event("tool_stopped", server=self._server, tool=name, why=state, see="thoth mcp diff")
            return False
        return self._visible(name)

    def _take(self, tools: list[dict[str, Any]], age: int) -> None:
        """The whole list is known, unless the server has said that it changed since it was asked."""
        if age != self._age:
            return
        self._listed = digests_of(tools)
        self._whole = True
        if self._policy == "first-use" and self._readable and self._pinned is None:
            self._pin()

    def _pin(self) -> None:
        """Approve the tools of a server that was never seen before, as they are now."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            if not self._file.keep(self._server, PinnedServer(now, "first use", self._listed), only_if_new=True):
                self.read_pins()
                return
        except OperationError as error:
            self._readable = False
            self._log.event("pins_unwritable", problem=error)
            return
        self._pinned = dict(self._listed)
        self._log.event("tools_pinned", server=self._server, tools=len(self._listed), by="first use")
        for name, where, what in suspicious(self._listed):
            self._log.event("tool_suspicious", server=self._server, tool=name, where=where, what=what)

    def _changed(self, message: Message) -> None:
        self._whole = False
        self._age += 1
        self._pages.clear()


class _Listing(Waiting):
    """A client's request for a page of tools."""

    __slots__ = ("_age", "_catalog")

    def __init__(self, catalog: Catalog, message: Message, now: float, age: int) -> None:
        super().__init__(message, now)
        self._catalog = catalog
        self._age = age

    def answered(self, message: Message) -> bytes | None:
        return self._catalog.answered(self.message, message, self._age)


def _page(answer: Message) -> tuple[list[dict[str, Any]], str | None]:
    """Return the tools of one page and the cursor of the next.

    Raises:
        ValueError: it is no page of tools.
    """
    if "error" in answer.fields:
        raise ValueError(f"the server lists no tools: {answer.fields['error'][:200].decode('utf-8', 'replace')}")
    result = loosely(answer.fields["result"])
    tools = result.get("tools") if isinstance(result, dict) else None
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise ValueError("the server's list of tools is none")
    cursor = result.get("nextCursor")
    return tools, cursor if isinstance(cursor, str) else None


def _items(raw: bytes) -> list[bytes]:
    import msgspec

    return [bytes(item) for item in msgspec.json.decode(raw, type=list[msgspec.Raw])]
