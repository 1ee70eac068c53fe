"""A docket knows what is under way until it has ended, and the last decisions of the calls that were asked for last."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from thoth.native.docket import Docket

CALLS = [("key:a", "s1", "pay"), ("key:a", "s2", "pay"), ("key:b", "s1", "pay"), ("key:a", "s1", "mail")]


@given(st.lists(st.tuples(st.sampled_from(CALLS), st.booleans(), st.booleans()), max_size=60))
def test_it_keeps_what_it_promises_and_no_more(events: list[tuple[tuple[str, str, str], bool, bool]]) -> None:
    docket = Docket(2, 3)
    made: OrderedDict[tuple[str, str, str], list[tuple[str, bool]]] = OrderedDict()
    under_way: list[tuple[tuple[str, str, str], str]] = []
    for number, (call, refused, ends) in enumerate(events):
        id = f"d{number}"
        docket.decided(call, id, refused)
        made[call] = [*made.get(call, []), (id, refused)][-3:]
        made.move_to_end(call)
        if len(made) > 2:
            made.popitem(last=False)
        if not refused:
            docket.let_through(call, id)
            under_way.append((call, id))
        if ends and under_way:
            docket.ended(*under_way.pop(0))
        docket.ended(call, "another")
    assert {call: list(ids) for call, ids in docket.open.items()} == {
        call: [id for of, id in under_way if of == call] for call, _ in under_way
    }
    kept = [(call, [(one.id, one.refused) for one in ones]) for call, ones in docket.made.items()]
    assert kept == list(made.items())
    assert all(one.had == 0 for ones in docket.made.values() for one in ones)
