"""The ledger that workers have in common: each reads alone until it is done, and nobody waits for ever."""

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import pytest

from thoth.contract import Reservation, Violation
from thoth.engine.ledger import Ledger
from thoth.server.shared_ledger import READ_BYTES, Asker, Ledgers, Owner, SharedLedger

KEY = "acme"
NOW = 1_000.0


class Owned:
    """An owner on a thread, as the supervisor is one in a process."""

    def __init__(self, count: int, answer_s: float) -> None:
        self.ledger = Ledger()
        self.ledgers = Ledgers({"": self.ledger}, time.monotonic)
        self.select = selectors.DefaultSelector()
        self.asleep = threading.Event()
        self.awake = threading.Event()
        self.awake.set()
        self.owners: list[Owner] = []
        self.theirs: list[socket.socket] = []
        for _ in range(count):
            ours, theirs = socket.socketpair()
            ours.settimeout(1)
            self.select.register(ours, selectors.EVENT_READ, Asker(ours))
            self.owners.append(Owner(theirs, answer_s))
            self.theirs.append(theirs)
        self.over = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while not self.over:
            for key, _ in self.select.select(0.02):
                asker: Asker = key.data
                data = asker.sock.recv(READ_BYTES)
                self.awake.wait()
                if data:
                    self.ledgers.take(asker, data)
                else:
                    self.select.unregister(asker.sock)
                    self.ledgers.leave(asker)
                    asker.sock.close()

    def end(self) -> None:
        self.over = True
        self.awake.set()
        self.thread.join(10)
        for key in list(self.select.get_map().values()):
            key.data.sock.close()
        for sock in self.theirs:
            sock.close()
        self.select.close()


@pytest.fixture
def owned() -> Iterator[Owned]:
    found = Owned(3, answer_s=20.0)
    yield found
    found.end()


def take_one(ledger: SharedLedger, owner: Owner, name: str, most: int) -> bool:
    """Take one from a limit where there is room, as a decision does."""
    total = ledger.total("few", KEY, 0.0)
    fits = total is not None and total + 1 <= most
    if fits:
        ledger.reserve(Reservation("few", KEY, 1), NOW, name, 3_600)
    owner.done()
    return fits


def test_many_askers_together_take_exactly_what_is_there(owned: Owned) -> None:
    taken: list[str] = []

    def ask(number: int) -> None:
        owner = owned.owners[number]
        ledger = SharedLedger(owner, "")
        taken.extend(f"{number}-{n}" for n in range(60) if take_one(ledger, owner, f"{number}-{n}", 100))

    askers = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(60)
    assert len(taken) == 100
    assert owned.ledger.total("few", KEY, 0.0) == 100


def test_it_says_what_a_ledger_says(owned: Owned) -> None:
    owner = owned.owners[0]
    ledger = SharedLedger(owner, "")
    amount = Reservation("spend", KEY, Fraction(10, 3))
    ledger.reserve(amount, NOW, "d1", 60)
    ledger.reserve(Reservation("spend", KEY, 2**80), NOW + 1, "d2", 60)
    assert ledger.total("spend", KEY, 0.0) == 2**80 + Fraction(10, 3)
    assert ledger.total("spend", KEY, 0.0, "d2") == Fraction(10, 3)
    ledger.give_back(amount, "d1")
    assert ledger.total("spend", KEY, 0.0) == 2**80
    assert ledger.total("spend", KEY, NOW + 2) == 0
    ledger.violate(Violation(("t", "a", "u"), "call"), NOW, 60)
    assert ledger.violated(("t", "a", "u"), 0.0) == [(NOW, "call")]
    assert ledger.is_used("approval") is False
    ledger.use("approval")
    assert ledger.is_used("approval") is True
    owner.done()


def test_a_hold_that_is_taken_up_again_reserves_once(owned: Owned) -> None:
    owner = owned.owners[0]
    ledger = SharedLedger(owner, "")
    held = Reservation("spend", KEY, 30)
    ledger.reserve(held, NOW, "held", 60)
    ledger.again = True
    ledger.reserve(held, NOW, "held", 60)
    assert ledger.total("spend", KEY, 0.0) == 30
    owner.done()


def test_a_worker_that_dies_while_it_reads_leaves_nothing_taken_and_lets_others_read(owned: Owned) -> None:
    dying, other = owned.owners[:2]
    assert SharedLedger(dying, "").total("few", KEY, 0.0) == 0
    SharedLedger(dying, "").reserve(Reservation("few", KEY, 1), NOW, "d", 60)  # said to nobody yet
    owned.theirs[0].close()
    assert SharedLedger(other, "").total("few", KEY, 0.0) == 0
    other.done()
    assert SharedLedger(dying, "").total("few", KEY, 0.0) is None
    assert dying.broken


def test_an_owner_that_does_not_answer_in_time_knows_nothing_and_later_answers_are_not_mistaken() -> None:
    owned = Owned(1, answer_s=0.05)
    try:
        owner = owned.owners[0]
        ledger = SharedLedger(owner, "")
        owned.awake.clear()
        assert ledger.total("few", KEY, 0.0) is None
        assert ledger.is_used("approval") is None
        owner.done()
        owned.awake.set()
        ledger.reserve(Reservation("few", KEY, 1), NOW, "d", 60)
        found = [ledger.total("few", KEY, 0.0) for _ in range(50)]
        assert set(found) <= {None, 1}
        assert found[-1] == 1
        owner.done()
        assert not owner.broken
    finally:
        owned.end()
