"""One tool call, from the client's request to its end."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from ..contract import Ending, Fault
from ..enforcer import UNTOLD, Enforcer, Reply
from .message import TIMED_OUT, Malformed, Message, loosely, members, result_message, value_of
from .refusals import notice
from .relay import Waiting

if TYPE_CHECKING:
    from .calls import Calls

PARAMS: Final = ("name", "arguments", "_meta", "inputResponses", "requestState", "task", "progressToken", "cursor")
VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"


class Call(Waiting):
    """What is known of it: what was asked, by whom it is decided, and whether it has ended."""

    __slots__ = (
        "args",
        "calls",
        "ended",
        "enforcer",
        "hold_task",
        "meta",
        "params",
        "raw_args",
        "reply",
        "request",
        "tool",
    )

    def __init__(self, calls: "Calls", message: Message, now: float) -> None:
        """Read it.

        Raises:
            Malformed: it is no tool call that every reader reads alike.
        """
        super().__init__(message, now)
        self.calls = calls
        self.params = message.params(PARAMS)
        name = loosely(self.params["name"]) if "name" in self.params else None
        if not isinstance(name, str) or not name:
            raise Malformed("`params.name` is a text: the tool's name", message.raw_id)
        self.tool = name
        self.meta = _meta(self.params.get("_meta"), message.raw_id)
        self.raw_args = self.params.get("arguments", b"{}")
        args = value_of(self.raw_args)
        self.args: Any = {} if args is None else str(args) if isinstance(args, Fault) else args
        self.request: dict[str, Any] = {}
        self.reply: Reply | None = None
        self.enforcer: Enforcer | None = None
        self.hold_task: asyncio.Task[None] | None = None
        self.ended = False

    @property
    def modern(self) -> bool:
        """Whether it came in the stateless era's envelope."""
        return VERSION_KEY in self.meta

    @property
    def progress_token(self) -> object:
        return self.meta.get("progressToken")

    def answered(self, message: Message) -> bytes | None:
        return self.calls.returned(self, message)

    def abandoned(self, code: int, why: str) -> bytes | None:
        text = f"The tool's outcome is not known: {why}."
        if self.reply is None or self.hold_task is not None:
            text = f"This call was not made: {why}."
        ending = Ending.TIMED_OUT if code == TIMED_OUT else Ending.FAILED
        self.calls.end(self, ending, UNTOLD if ending is Ending.TIMED_OUT else why)
        result = notice(text, {"effect": "ERROR", "reason_code": "server_gone"}, modern=self.modern)
        return result_message(self.message.raw_id, result)

    def cancelled(self) -> bool:
        return self.calls.cancel(self)


def _meta(raw: bytes | None, id: bytes) -> dict[str, Any]:
    if raw is None or raw == b"null":
        return {}
    return {key: loosely(value) for key, value in members(raw, (), id).items()}
