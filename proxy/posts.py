"""Messages on their way to a server elsewhere: what each is, and which requests in it have no answer yet."""

from .http_headers import version_of
from .message import Malformed, Message, loosely, read_batch, read_message


class Post:
    """One message under way: the requests in it that have no answer yet, as the bytes of their ids."""

    __slots__ = ("lists_tools", "message", "open", "starts", "version")

    def __init__(self, messages: list[Message], message: Message | None) -> None:
        self.message = message
        self.open = {one.id: one.raw_id for one in messages if one.is_request and one.id is not None}
        self.version = None if message is None else version_of(message)
        self.starts = message is not None and message.method == "initialize"
        self.lists_tools = self.version is not None and message is not None and message.method == "tools/list"

    @property
    def method(self) -> str | None:
        return None if self.message is None else self.message.method

    @property
    def cancels(self) -> int | str | None:
        """The id of the request that it cancels, where it is a cancellation."""
        if self.message is None or self.method != "notifications/cancelled":
            return None
        params = loosely(self.message.fields.get("params", b"{}"))
        id = params.get("requestId") if isinstance(params, dict) else None
        return id if isinstance(id, int | str) else None

    def answers(self, message: Message) -> bool:
        """Take in a response; return whether it is the answer to a request of this message that had none."""
        if not message.is_response or message.id not in self.open:
            return False
        del self.open[message.id]
        return True


def post_of(line: bytes) -> Post:
    """Read a line that is to be sent.

    Raises:
        Malformed: it is no message, and no batch of messages.
    """
    messages = messages_in(line)
    return Post(messages, None if line.startswith(b"[") else messages[0])


def messages_in(line: bytes) -> list[Message]:
    """Return the messages of a line: one, or those of a batch.

    Raises:
        Malformed: one of them is none.
    """
    return [read_message(one) for one in read_batch(line)] if line.startswith(b"[") else [read_message(line)]


def readable(line: bytes) -> list[Message]:
    """Return the messages of a line that came; none where it cannot be read."""
    try:
        return messages_in(line)
    except Malformed:
        return []
