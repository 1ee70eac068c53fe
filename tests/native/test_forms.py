"""Objects that are made slot by slot, and used again, are like any other."""

import copy
import gc
import pickle
import sys
from dataclasses import dataclass
from typing import Any

from thoth.contract import By, Decision, Effect
from thoth.native.forms import Form


@dataclass(slots=True)
class Pair:
    left: Any
    right: Any


class Wider(Pair):
    __slots__ = ("further",)
    further: Any


@dataclass(slots=True)
class Last:
    one: Any

    def __del__(self) -> None: ...


PAIR = Form(Pair, ("left", "right"))


def decision(id: str) -> Decision:
    return Decision(
        id=id,
        effect=Effect.ALLOW,
        verdict=Effect.ALLOW,
        by=By.RULE,
        reason_code="",
        policy_digest="",
        request=None,
        now=0.0,
    )


def test_only_a_class_of_slots_without_a_finalizer_is_used_again() -> None:
    assert PAIR.reuse()
    assert PAIR.reuse()
    assert not Form(Last, ("one",)).reuse()


def test_what_is_used_again_holds_nothing_of_what_was() -> None:
    PAIR.reuse()
    gc.collect()
    one = object()
    held = sys.getrefcount(one)
    for _ in range(100):
        pairs = [PAIR.fill((one, number)) for number in range(20)]
        assert [pair.right for pair in pairs] == list(range(20))
        assert sys.getrefcount(one) == held + 20
        del pairs
        assert sys.getrefcount(one) == held
    kept = [PAIR.fill((number, one)) for number in range(50)]
    del kept[::2]
    kept += [PAIR.fill((number, one)) for number in range(50, 75)]
    assert [pair.left for pair in kept] == [*range(1, 50, 2), *range(50, 75)]
    assert all(type(pair) is Pair for pair in kept)


def test_classes_keep_their_own_count() -> None:
    PAIR.reuse()
    before = sys.getrefcount(Pair)
    for _ in range(1_000):
        PAIR.fill((1, 2))
        Pair(1, 2)
    assert sys.getrefcount(Pair) <= before + 8


def test_a_class_made_of_one_that_is_used_again_is_let_go_as_ever() -> None:
    PAIR.reuse()
    one = object()
    held, blocks = sys.getrefcount(one), sys.getallocatedblocks()
    for _ in range(1_000):
        wide = Wider(one, one)
        wide.further = [one]
        del wide
    assert sys.getrefcount(one) == held
    assert sys.getallocatedblocks() - blocks < 100


def test_the_collector_finds_circles_through_what_is_used_again() -> None:
    PAIR.reuse()
    one = object()
    held = sys.getrefcount(one)
    for _ in range(100):
        pair = PAIR.fill((one, None))
        pair.right = pair
        del pair
    gc.collect()
    assert sys.getrefcount(one) == held
    assert all(gc.is_tracked(PAIR.fill((1, []))) for _ in range(20))


def test_many_are_let_go_at_once_while_others_are_made() -> None:
    """What goes with a pair makes pairs of its own."""
    PAIR.reuse()

    class Maker:
        def __del__(self) -> None:
            made.append(PAIR.fill((len(made), "made")))

    made: list[Pair] = []
    pairs = [PAIR.fill((Maker(), number)) for number in range(30)]
    del pairs
    assert [pair.left for pair in made] == list(range(30))


def test_decisions_copy_and_pickle_as_ever() -> None:
    first = [decision(str(number)) for number in range(20)]
    again = [*map(copy.copy, first), *pickle.loads(pickle.dumps(first))]
    del first
    gc.collect()
    others = [decision("other") for _ in range(20)]
    assert [one.id for one in again] == [*map(str, range(20))] * 2
    assert {one.id for one in others} == {"other"}
