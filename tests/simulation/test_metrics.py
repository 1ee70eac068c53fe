"""`--fail-on`: a closed list of metrics, compared as policies compare; in doubt it fails."""

import pytest

from thoth.simulation.metrics import ABOUT, FailOnError, Known, read_fail_on
from thoth.simulation.tally import Outcome, Tally


def known(compared: bool = True, labelled: bool = True) -> Known:
    tally = Tally(calls=200, sessions=10)
    counted = [("ALLOW", "ALLOW", "benign", 190), ("BLOCK", "ALLOW", "benign", 4), ("BLOCK", "BLOCK", "goal", 6)]
    for effect, was, kind, count in counted:
        rules = ("no-wipe",) if effect == "BLOCK" else ()
        kind, was = kind if labelled else "", was if compared else ""
        one = (
            "test",
            "mail",
            kind,
            "tool",
            False,
            True,
            effect,
            effect,
            "rule",
            "x",
            rules,
            (),
            (),
            was,
            "",
            (),
        )
        tally.outcomes[Outcome(*one)] += count
    return Known(tally, undeclared=3, never_fired=2, not_read=0, compared=compared)


@pytest.mark.parametrize(
    "text",
    [
        "benign_blocked > 0.5%", "benign_blocked > 0.02", "blocked is 5%", "flipped(ALLOW, BLOCK) > 0",
        "flipped(allow, *) is 4", "changed between 1 and 10", "not calls < 200", "calls is not 1_000",
        "benign_blocked > 50% or flipped(ALLOW, BLOCK) > 0", "(calls > 1 and sessions > 1) and blocked >= 5%",
        'decided("no-wipe") is 10', "decided(no-wipe) > 9", "never_fired > 1", "undeclared > 1%",
        "goals_stopped is 100%",
        "not (blocked > 90%)",
    ],
)  # fmt: skip
def test_it_fails_where_the_expression_holds(text: str) -> None:
    assert read_fail_on(text).fails(known())


@pytest.mark.parametrize(
    "text",
    [
        "benign_blocked > 5%", "flipped(BLOCK, ALLOW) > 0", "calls < 200", "not_read > 0", "stepped_up > 0%",
        "benign_blocked > 0.5% and calls < 10", "goals_stopped < 97%",
    ],
)  # fmt: skip
def test_it_passes_where_the_expression_does_not(text: str) -> None:
    assert read_fail_on(text).fails(known()) == []


def test_the_reasons_are_the_comparisons_that_hold_with_what_they_saw() -> None:
    reasons = read_fail_on("stepped_up > 1% or benign_blocked > 0.5% or flipped(ALLOW, BLOCK) > 0").fails(known())
    assert [(reason.text, reason.value) for reason in reasons] == [
        ("benign_blocked > 0.5%", "benign_blocked is 2.06%"),
        ("flipped(ALLOW, BLOCK) > 0", "flipped(ALLOW, BLOCK) is 4"),
    ]


@pytest.mark.parametrize(
    ("text", "given", "why"),
    [
        ("benign_blocked > 5%", known(labelled=False), "no call is labelled so"),
        ("flipped(ALLOW, BLOCK) > 0", known(compared=False), "there is no other policy"),
        ("not (benign_blocked > 5%)", known(labelled=False), "no call is labelled so"),
    ],
)
def test_what_cannot_be_known_fails(text: str, given: Known, why: str) -> None:
    (reason,) = read_fail_on(text).fails(given)
    assert why in reason.value


def test_what_cannot_be_known_does_not_fail_where_it_makes_no_difference() -> None:
    assert read_fail_on("calls < 10 and benign_blocked > 5%").fails(known(labelled=False)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty expression asks nothing"),
        ("benign_blockd > 1%", "unknown metric `benign_blockd`; did you mean `benign_blocked`?"),
        ("speed > 1", "unknown metric `speed`; the metrics are allowed, modified,"),
        ("benign_blocked > 5", "`benign_blocked` is a share; write `5%`"),
        ("calls > 5%", "`calls` is a count of calls, not a share; write `5`"),
        ("blocked = 1%", "`=` compares nothing here; write `is`"),
        ("blocked", "`blocked` is compared with nothing; write `blocked > 0.5%`"),
        ("blocked >", "a number is missing; write `blocked > 0.5%`"),
        ("flipped > 0", "`flipped` takes 2 arguments; write `flipped(ALLOW, BLOCK)`"),
        ("flipped(ALLOW, BLOK) > 0", "unknown effect `BLOK`; did you mean `BLOCK`?"),
        ("blocked > 1% calls > 2", "`calls` is one too many; join comparisons with `and` or `or`"),
        ("(blocked > 1%", "`)` is missing"),
        ("blocked between 1% or 2%", "`between` needs two numbers"),
        ("5 > blocked", "a metric stands on the left"),
        ("blocked > 1% & calls > 2", "`&` is nothing that can stand here"),
    ],
)
def test_a_mistake_is_told_with_what_to_write_instead(text: str, message: str) -> None:
    with pytest.raises(FailOnError) as raised:
        read_fail_on(text)
    assert message in str(raised.value)
    assert str(raised.value).startswith("--fail-on:")


def test_every_metric_has_a_meaning_and_can_be_asked() -> None:
    arguments = {"flipped": "flipped(*, *)", "decided": "decided(x)"}
    for name in ABOUT:
        assert read_fail_on(f"{arguments.get(name, name)} >= 0").fails(known())
