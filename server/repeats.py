"""Answers to requests over HTTP that name themselves: one that comes again within a minute is not decided twice."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from .http import Asked
from .resend import digest_of

REPEATS_MAX: Final = 65_536
REPEAT_BYTES_MAX: Final = 64 << 20
REPEAT_S: Final = 60.0


class Repeat:
    """The answer to a request that may come again."""

    __slots__ = ("_all", "_reply", "_waiting", "at", "digest", "kept", "key", "size")

    def __init__(self, digest: bytes, at: float, all: "Repeats", key: tuple[str, bytes] = ("", b"")) -> None:
        self.key = key
        self.digest, self.at, self.size, self.kept = digest, at, 0, True
        self._all = all
        self._reply: tuple[int, bytes] | None = None
        self._waiting: list[Asked] = []

    def answered(self, status: int, body: bytes) -> None:
        """Keep the answer, and give it to those who asked again meanwhile."""
        self._reply = status, body
        waiting, self._waiting = self._waiting, []
        for asked in waiting:
            asked.answer(status, body)
        self._all.grew(self, len(body))

    def failed(self, tell: Callable[[Asked, Exception], None], error: Exception) -> None:
        """Forget the request, which had no answer: it is decided when it comes again. `tell` those who wait why."""
        self._all.forget(self)
        waiting, self._waiting = self._waiting, []
        for asked in waiting:
            tell(asked, error)

    def tell(self, asked: Asked) -> None:
        """Answer a request that came again, once there is an answer."""
        if self._reply is None:
            self._waiting.append(asked)
        else:
            asked.answer(*self._reply)


class Repeats:
    """The requests of the last minute, by who asked and their ids: the last so many, and so many bytes of answers."""

    def __init__(self) -> None:
        self._all: OrderedDict[tuple[str, bytes], Repeat] = OrderedDict()
        self._bytes = 0

    def find(self, asker: str, id: str, now: float) -> Repeat | None:
        """Return what is kept of a request, if it came before."""
        found = self._all.get(_key_of(asker, id))
        return found if found is not None and now - found.at <= REPEAT_S else None

    def begin(self, asker: str, id: str, digest: bytes, now: float) -> Repeat:
        """Return where the answer to a new request is to be kept."""
        key = _key_of(asker, id)
        self._drop(key)
        made = self._all[key] = Repeat(digest, now, self, key)
        while len(self._all) > REPEATS_MAX or now - next(iter(self._all.values())).at > REPEAT_S:
            self._drop(next(iter(self._all)))
        return made

    def grew(self, one: Repeat, size: int) -> None:
        """Take note of the size of an answer; the oldest go where there are too many bytes."""
        if not one.kept:
            return
        one.size += size
        self._bytes += size
        while self._bytes > REPEAT_BYTES_MAX and self._all:
            self._drop(next(iter(self._all)))

    def forget(self, one: Repeat) -> None:
        """Forget a request."""
        if one.kept:
            self._drop(one.key)

    def _drop(self, key: tuple[str, bytes]) -> None:
        found = self._all.pop(key, None)
        if found is not None:
            found.kept = False
            self._bytes -= found.size


def _key_of(asker: str, id: str) -> tuple[str, bytes]:
    """Return what a request is kept under: its id can be long."""
    return asker, digest_of(id.encode())
