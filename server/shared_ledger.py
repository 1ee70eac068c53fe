"""One ledger for all workers: the supervisor owns it, and a worker asks it whenever a decision reads or takes a count.

What a worker reads it reads alone: from its first question until it says `done`, which it does at the end of a turn of
its loop, nobody else is answered. So what it found free is still free when it takes it: a limit holds across workers.
An owner that does not answer in time is answered for with None, as the language says: a limit then gives its `else`.

    u32 length | MessagePack [number, word, arguments…]      an answer is [number, value]; takings have none
"""

import logging
import socket
import struct
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import msgspec

from ..contract import Reservation, Violation
from ..engine.ledger import Ledger

LENGTH: Final = struct.Struct(">I")
READ_BYTES: Final = 1 << 16
ANSWER_S: Final = 0.5
"""How long a worker waits for the owner, with its loop; then nobody holds the count."""
DONE: Final = "done"
QUESTIONS: Final = frozenset({"total", "violated", "is_used"})

log = logging.getLogger(__name__)
_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.decode


def packed(message: list[Any]) -> bytes:
    """Return one message as it travels."""
    body = _encode(message)
    return LENGTH.pack(len(body)) + body


class Messages:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[list[Any]]:
        """Return the messages that are whole now."""
        rest = self._rest
        rest += data
        found, at = [], 0
        while len(rest) - at >= LENGTH.size:
            (length,) = LENGTH.unpack_from(rest, at)
            end = at + LENGTH.size + length
            if end > len(rest):
                break
            found.append(_decode(bytes(rest[at + LENGTH.size : end])))
            at = end
        del rest[:at]
        return found


# ---------------------------------------------------------------- a worker's side


class Owner:
    """A worker's connection to the owner of the ledgers."""

    def __init__(self, sock: socket.socket, answer_s: float = ANSWER_S) -> None:
        """`sock` is a stream socket whose other end the owner reads."""
        sock.settimeout(answer_s)
        self._sock, self._number = sock, 0
        self._read = Messages()
        self._takings: list[bytes] = []
        self._asked = False
        self.soon: Callable[[Callable[[], None]], object] | None = None
        """Runs a function at the end of this turn; unset, whoever asks says `done` themselves."""
        self.broken = False
        """Set once what was taken may not have arrived: from then on nothing is known, and the worker has to end."""

    def ask(self, word: str, *arguments: Any) -> Any:
        """Return what the owner answers; None where it does not."""
        self._touch()
        self._number += 1
        self._takings.append(packed([self._number, word, *arguments]))
        self._send()
        try:
            while not self.broken:
                for number, value in self._read.feed(self._sock.recv(READ_BYTES) or _gone()):
                    if number == self._number:  # an earlier one is an answer that came too late
                        return value
        except TimeoutError:
            log.warning("ledger_silent word=%s", word)
        except OSError:
            self._break()
        return None

    def take(self, word: str, *arguments: Any) -> None:
        """Have something written down, no later than `done`."""
        self._touch()
        self._takings.append(packed([0, word, *arguments]))

    def done(self) -> None:
        """Have everything written down, and let others ask."""
        if self._asked or self._takings:
            self._takings.append(packed([0, DONE]))
            self._send()
            self._asked = False

    def _touch(self) -> None:
        if not self._asked:
            self._asked = True
            if self.soon is not None:
                self.soon(self.done)

    def _send(self) -> None:
        data, self._takings = b"".join(self._takings), []
        try:
            if not self.broken:
                self._sock.sendall(data)
        except OSError:
            self._break()

    def _break(self) -> None:
        if not self.broken:
            log.error("ledger_gone")
        self.broken = True


def _gone() -> bytes:
    raise ConnectionResetError


class SharedLedger(Ledger):
    """The ledger of one tenant, or the only one, as a worker sees it: everything is asked of its owner."""

    def __init__(self, owner: Owner, name: str) -> None:
        super().__init__()
        self._owner, self._name = owner, name
        self.again = False
        """Set while holds are taken up again: the owner may know of what they have taken."""

    def total(self, limit: str, key: str, since: float, leave_out: str = "") -> Fraction | int | None:
        """Return what a limit has spent for a key, as `Ledger.total` does."""
        found = self._owner.ask("total", self._name, limit, key, since, leave_out)
        return None if found is None else _number(found)

    def reserve(self, reservation: Reservation, at: float, by: str, window_s: int) -> None:
        """Take an amount from a limit in the name of the decision `by`."""
        amount = str(reservation.amount)
        if self.again:
            self.give_back(reservation, by)
        self._owner.take("reserve", self._name, reservation.limit, reservation.key, amount, at, by, window_s)

    def give_back(self, reservation: Reservation, by: str) -> None:
        """Return what the decision `by` took from one limit."""
        self._owner.take("give_back", self._name, reservation.limit, reservation.key, by)

    def violated(self, principal: tuple[str, str, str], since: float) -> list[tuple[float, str]] | None:
        """Return the violations of a principal, as `Ledger.violated` does."""
        found = self._owner.ask("violated", self._name, principal, since)
        return None if found is None else [(at, call) for at, call in found]

    def violate(self, violation: Violation, at: float, same_s: int) -> None:
        """Count a soft violation."""
        self._owner.take("violate", self._name, violation.principal, violation.call, at, same_s)

    def is_used(self, approval: str) -> bool | None:
        """Say whether an approval was used up; None where that is not known."""
        found: bool | None = self._owner.ask("is_used", self._name, approval)
        return found

    def use(self, approval: str) -> None:
        """Use an approval up."""
        self._owner.take("use", self._name, approval)


def _number(text: str) -> Fraction | int:
    number = Fraction(text)
    return number.numerator if number.denominator == 1 else number


# ---------------------------------------------------------------- the owner's side


class Asker:
    """One worker, as the owner sees it: what it has said that was not taken up yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.read = Messages()
        self.said: deque[list[Any]] = deque()


class Ledgers:
    """The ledgers, and whose turn it is. No clock but for how long a turn takes."""

    def __init__(self, ledgers: dict[str, Ledger], clock: Callable[[], float]) -> None:
        self._ledgers, self._clock = ledgers, clock
        self._waiting: deque[Asker] = deque()
        self.holder: Asker | None = None
        self.held_since = 0.0

    def take(self, asker: Asker, data: bytes) -> None:
        """Take in what a worker sent, and answer everybody who can be answered now."""
        said = asker.read.feed(data)
        if not said:
            return
        if not asker.said and asker is not self.holder:
            self._waiting.append(asker)
        asker.said += said
        self._go_on()

    def leave(self, asker: Asker) -> None:
        """Forget a worker that is gone; what it asked and did not take is free again."""
        asker.said.clear()
        if asker in self._waiting:
            self._waiting.remove(asker)
        if asker is self.holder:
            self.holder = None
            self._go_on()

    def _go_on(self) -> None:
        while True:
            if self.holder is None:
                if not self._waiting:
                    return
                self.holder, self.held_since = self._waiting.popleft(), self._clock()
            holder = self.holder
            out: list[bytes] = []
            over = False
            while holder.said and not over:
                number, word, *arguments = holder.said.popleft()
                over = word == DONE
                if not over:
                    value = self._do(word, arguments)
                    if word in QUESTIONS:
                        out.append(packed([number, value]))
            if out:
                _send(holder.sock, b"".join(out))
            if not over:
                return  # it has more to say
            self.holder = None
            if holder.said:
                self._waiting.append(holder)

    def _do(self, word: str, arguments: list[Any]) -> Any:
        name, *rest = arguments
        ledger = self._ledgers[name]
        if word == "total":
            limit, key, since, leave_out = rest
            total = ledger.total(limit, key, since, leave_out)
            return None if total is None else str(total)
        if word == "reserve":
            limit, key, amount, at, by, window_s = rest
            ledger.reserve(Reservation(limit, key, Fraction(amount)), at, by, window_s)
        elif word == "give_back":
            limit, key, by = rest
            ledger.give_back(Reservation(limit, key, 0), by)
        elif word == "violated":
            principal, since = rest
            return ledger.violated(tuple(principal), since)
        elif word == "violate":
            principal, call, at, same_s = rest
            ledger.violate(Violation(tuple(principal), call), at, same_s)
        elif word == "is_used":
            return ledger.is_used(*rest)
        elif word == "use":
            ledger.use(*rest)
        return None


def _send(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
    except OSError:
        pass  # it is gone, or reads nothing: whoever watches it will see
