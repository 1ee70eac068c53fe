"""Findings about policies: each is explained and can be silenced, and those that call a rule useless are right."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.contract import admit
from thoth.engine import reference
from thoth.engine.analyse import CODES, analyse
from thoth.engine.check import check
from thoth.engine.checked import CheckedPolicy
from thoth.engine.ledger import Ledger
from thoth.engine.reference_binding import bind
from thoth.engine.reference_facts import Facts
from thoth.engine.session import Session
from thoth.engine.shadow import shadows
from thoth.engine.testing import Coverage, run_tests
from thoth.grammar import Message, PolicyError, parse

NOW = 1_767_614_400.0
TOOLS = """
tool send(to: list of key email, n: number, word: string) is send, write
tool look(id: id, note?: any) is read
"""


def findings(text: str, *, tested: bool = False, ignore: tuple[str, ...] = ()) -> list[Message]:
    """Return the findings about one file; reach of tests only where asked for."""
    tree = parse(TOOLS + text)
    checked = check(tree)
    coverage = Coverage() if tested else None
    if coverage is not None:
        run_tests(checked.policy, "reference", coverage)
    return analyse(checked.policy, [tree], now=NOW, coverage=coverage, warnings=checked.warnings, ignore=ignore)


def codes(text: str, *, tested: bool = False, ignore: tuple[str, ...] = ("no-because",)) -> list[str]:
    """Return the codes of the findings about one file."""
    return [message.code for message in findings(text, tested=tested, ignore=ignore)]


# ---------------------------------------------------------------- each rule for itself


def test_a_policy_that_says_what_it_means_has_no_findings() -> None:
    text = """
set inside = "*@acme.example"
allow * as all
block send as outside when any args.to not like inside because "stays inside"
test "outside is blocked" { call send(to: ["a@b.example"], n: 1, word: "x") expect block by outside }
"""
    assert findings(text, tested=True) == []


def test_an_unnamed_rule_is_asked_for_a_name() -> None:
    assert codes("block send when args.n > 5") == ["unnamed"]


def test_a_restriction_is_asked_why_and_an_allow_is_not() -> None:
    assert codes("allow look as a\nblock send as b", ignore=()) == ["no-because"]
    assert codes('block send as b because "x"', ignore=()) == []


@pytest.mark.parametrize(
    "condition",
    [
        "args.n > 5 and args.n < 3",
        "args.n >= 5 and args.n < 5",
        "args.n > 5 and args.n is 5",
        "args.n is 1 and args.n is 2",
        "args.n in {1, 2} and args.n not in {1, 2, 3}",
        'args.word is "a" and args.word is "b"',
        'args.word like "a*" and args.word not like "a*"',
        'args.word is "a" and (args.n is 1 or args.n is 2) and args.n > 7',
        'env is "prod" and env is "dev"',
        'env like "prod-*" and env is "dev"',
        "data >= confidential and data is public",
        "size(args.word) < 0",
        "calls(look) > 3 and calls(look) < 2",
        'any args.to like "*@a.example" and all args.to not like "*@a.example"',
        'tool is "look"',
    ],
)
def test_conditions_that_exclude_each_other_keep_an_allow_from_ever_applying(condition: str) -> None:
    assert "never-applies" in codes(f"allow send as a when {condition}", ignore=("any-or-all",))
    assert "only-in-doubt" in codes(f"block send as a when {condition}", ignore=("any-or-all",))


@pytest.mark.parametrize(
    "condition",
    [
        "args.n > 5 and args.n < 6",
        "args.n >= 5 and args.n <= 5",
        "args.n in {1, 2} and args.n not in {1}",
        'args.word is "a" and args.word like "a*"',
        'args.note is "1" and args.note is 1',
        'args.note is "A.example" and args.note is "a.example."',
        'all args.to like "*@a.example" and all args.to not like "*@a.example"',
        'any args.to like "*@a.example" and any args.to not like "*@a.example"',
        "data >= internal and data <= restricted",
        'env like "prod-*" and env like "*-eu"',
        "args.n > 5 or args.n < 3",
    ],
)
def test_conditions_that_may_hold_together_are_left_alone(condition: str) -> None:
    tool = "send" if "args.n " in condition or "args.word" in condition or "args.to" in condition else "look"
    found = codes(f"allow {tool} as a when {condition}")
    assert "never-applies" not in found


def test_a_group_takes_part_in_the_conditions_of_its_rules() -> None:
    text = 'for env prod, "eu-*" {\n    block look as a when env is "dev"\n}'
    assert codes(text) == ["only-in-doubt"]


def test_an_excuse_that_covers_the_whole_rule_is_told() -> None:
    assert codes("block send as a when args.n > 5 unless args.n > 3") == ["only-in-doubt"]
    assert codes("allow send as a when args.n > 5 unless args.n > 3") == ["never-applies"]
    assert codes("allow send as a when args.n > 5 unless args.n > 9") == []


def test_a_rule_that_has_lapsed_is_told_by_the_clock_that_is_handed_in() -> None:
    assert codes("block send as a until 2026-01-04") == ["lapsed"]
    assert codes("block send as a until 2026-01-05") == []


@pytest.mark.parametrize(
    ("rule", "meant"),
    [
        ('allow send as a when any args.to like "*@a.example"', '`all args.to like "*@a.example"`'),
        ('block send as a unless any args.to like "*@a.example"', '`all args.to like "*@a.example"`'),
        ('block send as a when not any args.to like "*@a.example"', '`any args.to not like "*@a.example"`'),
        ('block send as a when all args.to not like "*@a.example"', '`any args.to not like "*@a.example"`'),
        ('allow send as a unless all args.to like "*@a.example"', '`any args.to like "*@a.example"`'),
    ],
)
def test_one_item_that_decides_for_all_of_them_is_told_with_what_was_probably_meant(rule: str, meant: str) -> None:
    found = findings(rule, ignore=("no-because",))
    assert [message.code for message in found] == ["any-or-all"]
    assert meant in found[0].text


@pytest.mark.parametrize(
    "rule",
    [
        'block send as a when any args.to not like "*@a.example"',
        'block send as a when not all args.to like "*@a.example"',
        'block send as a unless all args.to like "*@a.example"',
        'allow send as a when all args.to like "*@a.example"',
        'block send as a unless any session.labels is "checked"',
    ],
)
def test_the_safe_quantifier_is_left_alone(rule: str) -> None:
    assert "any-or-all" not in codes(rule)


# ---------------------------------------------------------------- rules beside each other


@pytest.mark.parametrize(
    ("rule", "wider"),
    [
        ("block send as r when args.n > 5", "block send as w"),
        ("block send as r when args.n > 5", "block * as w"),
        ("block send as r when args.n > 5", "block class write as w"),
        ("block send as r when args.n > 5", "block s* as w when args.n > 3"),
        ("block send as r when args.n > 5 and env is prod", "block send as w when env in {prod, dev}"),
        ("block send as r unless args.n > 5", "block send as w unless args.n > 9"),
        ("allow send as r when args.n > 5", "allow send as w"),
        ("allow send as r when args.n > 5", "block send as w"),
        ('step_up send as r ask "x"', "block send as w"),
        ('step_up send as r ask "x" within 1h', 'step_up * as w ask "x" within 5m'),
        ("defer send as r when args.n > 5", "block send as w when args.n > 5"),
        ("modify send as r truncate args.word to 9", "block send as w"),
        ("limit send as r to 3 calls per 1h by agent else step_up", "block send as w"),
        ("block send as r until 2027-01-01", "block send as w until 2027-01-02"),
    ],
)
def test_a_rule_beside_a_wider_one_that_is_as_strict_is_told(rule: str, wider: str) -> None:
    for text in (f"{rule}\n{wider}", f"{wider}\n{rule}"):
        found = [m for m in findings(text) if m.code == "shadowed"]
        assert len(found) == 1
        assert found[0].text.startswith("rule `r` changes nothing: rule `w` (line ")


@pytest.mark.parametrize(
    ("rule", "wider"),
    [
        ("block send as r when args.n > 5", "block send as w when args.n > 6"),
        ("block send as r", "block look as w"),
        ("block send as r", 'step_up send as w ask "x"'),
        ('block send as r tell "no"', "block send as w"),
        ('block send as r control "soc2:CC6.1"', "block send as w"),
        ("block s* as r", "block se* as w"),
        ('step_up send as r ask "x"', 'step_up send as w ask "y"'),
        ("modify send as r truncate args.word to 9", 'step_up send as w ask "x"'),
        ("block send as r", "block send as w until 2027-01-01"),
        ("block send as r", "block send as w trial"),
        ("risk send +5 as r", "block send as w"),
        ("allow send as r", "allow class write as w"),
        ("block look as r when args.note is true", "block look as w when args.note is 1"),
    ],
)
def test_a_rule_that_says_something_of_its_own_is_left_alone(rule: str, wider: str) -> None:
    assert not [m for m in findings(f"{rule}\n{wider}") if m.code == "shadowed" and "rule `r` changes" in m.text]


def test_of_two_rules_that_cover_each_other_only_the_second_is_told() -> None:
    text = "block send as first when args.n > 5\nblock send as second when not args.n <= 5"
    assert [m.text.split("`")[1] for m in findings(text) if m.code == "shadowed"] == ["second"]


def test_an_allow_under_a_block_counts_where_a_mode_may_climb_the_ladder() -> None:
    rules = "allow send as r\nblock send as w"
    assert codes(f"policy p mode from request\n{rules}".replace(" mode", "\n    mode")) == []
    assert codes(f"policy p\n    default allow\n{rules}") == ["shadowed"]


# ---------------------------------------------------------------- tests, names, comments


def test_a_rule_that_no_test_makes_apply_is_told() -> None:
    text = """
allow look as a
block send as b
test "t" { call look(id: "1") expect allow }
"""
    assert codes(text, tested=True) == ["untested"]
    assert codes("allow look as a\nallow send as b", tested=True) == ["untested"]


def test_a_test_that_any_rule_may_satisfy_is_told() -> None:
    text = 'block send as b\ntest "t" { call send(to: [], n: 1, word: "") expect block }'
    assert codes(text) == ["test-without-by"]
    assert codes(text.replace("expect block", "expect block by b")) == []


def test_names_that_nothing_asks_for_are_told() -> None:
    text = """
set used = "a"
set spare = "b"
pattern spare2 = "x+"
hours spare3 = mon-fri 09:00-17:00 in "UTC"
intent refunds allows look
agent "bot" scope look
allow look as a when args.id in used
"""
    assert codes(text) == ["unused"] * 5


def test_the_warnings_of_the_checker_are_findings_too() -> None:
    assert codes("block * as b when args.n > 5") == ["unseen"]
    assert codes("block sned as b") == ["undeclared"]


def test_a_comment_above_an_item_silences_its_codes_there_and_nowhere_else() -> None:
    text = """
# The reason is in the handbook.
# lint: ignore no-because, untested
block send as a

block look as b
"""
    assert [(m.code, m.text.split("`")[1]) for m in findings(text)] == [("no-because", "b")]


def test_a_comment_above_the_policy_silences_the_file_and_inside_a_group_its_rule() -> None:
    assert codes("# lint: ignore no-because\npolicy p\nblock send as a\nblock look as b", ignore=()) == []
    group = "for env prod {\n    # lint: ignore no-because\n    block send as a\n    block look as b\n}"
    assert codes(group, ignore=()) == ["no-because"]


def test_a_comment_with_an_unknown_code_is_told_with_the_nearest() -> None:
    found = findings("# lint: ignore no-becaus\nallow look as a")
    assert [(m.code, "did you mean `no-because`" in m.text) for m in found] == [("lint-comment", True)]


def test_every_finding_has_a_place_with_its_line_and_a_known_code() -> None:
    for message in findings("block send when args.n > 5 and args.n < 3\nallow * as a\nallow look as b"):
        assert message.line
        assert message.at.line > 0
        assert message.code in CODES
        assert message.severity == "warning"


# ---------------------------------------------------------------- soundness

tests_of_n = st.sampled_from(
    ["args.n > 1", "args.n > 2", "args.n < 1", "args.n <= 2", "args.n is 1", "args.n in {1, 2}", "not args.n > 1"]
)
tests_of_word = st.sampled_from(
    [
        'args.word is "a"',
        'args.word in {"a", "b"}',
        'args.word like "a*"',
        'args.word not like "a*"',
        'any args.to like "*@x.example"',
        'all args.to not like "*@x.example"',
        "has args.note",
        "env is prod",
        'env like "p*"',
        "env is dev",
        "data >= confidential",
        "data is public",
        "tool.risk >= medium",
        "session.labels contains pii",
        "calls(*) > 0",
        "risk >= 30",
    ]
)
atoms = tests_of_n | tests_of_word


def joined(parts: list[str], word: str) -> str:
    return f"({f' {word} '.join(parts)})" if len(parts) > 1 else parts[0]


conditions = st.recursive(
    atoms,
    lambda inner: st.builds(joined, st.lists(inner, min_size=2, max_size=3), st.sampled_from(["and", "or"])),
    max_leaves=4,
)
tool_words = st.sampled_from(["*", "send", "look", "s*", "class write", "class read", "send, look"])
heads = st.sampled_from(["allow", "allow", "block", "block", "step_up", "defer", "modify", "limit", "risk"])
OWN = {
    "modify": 'redact args.word matching "b" with "-"',
    "limit": "to 0 calls per 1h by agent else block",
    "step_up": 'ask "x"',
    "defer": "retry after 5m",
}


@st.composite
def rule_texts(draw: st.DrawFn, name: str) -> str:
    effect = draw(heads)
    when = draw(st.none() | conditions)
    unless = draw(st.none() | conditions)
    points = " +40" if effect == "risk" else ""
    tools = "send" if effect == "modify" else draw(tool_words)
    text = f"{effect} {tools}{points} as {name}"
    text += f" when {when}" if when else ""
    text += f" unless {unless}" if unless else ""
    return f"{text} {OWN.get(effect, '')}"


@st.composite
def policies(draw: st.DrawFn) -> CheckedPolicy | None:
    """Rules over few names, so that many of them cover each other; None where the checker refuses them."""
    mode = draw(st.sampled_from(["", "\n    mode from request", "\n    mode observe", "\n    mode at least step_up"]))
    default = draw(st.sampled_from(["block", "block", "allow"]))
    rules = [draw(rule_texts(f"r{i}")) for i in range(draw(st.integers(2, 6)))]
    text = "\n".join(
        [
            f'policy p\n    default {default}\n    approvers "x"{mode}',
            "tool send(to: list of key email, n: number, word: string, note?: any) is send, write yields pii",
            "tool look(n: any, word?: any, to?: any, note?: any, ...) is read risk low",
            *rules,
        ]
    )
    try:
        return check(parse(text)).policy
    except PolicyError:
        return None


values = st.sampled_from([0, 1, 2, 3, "a", "ab", "b", True, None, ["a"], "[truncated]"])
addresses = st.lists(st.sampled_from(["e@x.example", "e@y.example", "no address", 3]), max_size=2)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    request: dict[str, Any] = {"tool_name": draw(st.sampled_from(["send", "look", "other"]))}
    args: dict[str, Any] = {"n": draw(values), "word": draw(values), "to": draw(addresses), "note": draw(values)}
    request["tool_args"] = {name: value for name, value in args.items() if draw(st.integers(0, 4))}
    for name, choices in (
        ("agent_id", ["bot"]),
        ("environment", ["prod", "dev", "pre"]),
        ("data_classification", ["public", "restricted", "odd"]),
        ("enforcement_mode", ["observe", "progressive", "step_up", "block"]),
    ):
        if draw(st.booleans()):
            request[name] = draw(st.sampled_from(choices))
    return request


def outcome(policy: CheckedPolicy, request: dict[str, Any], session: Session | None) -> tuple[Any, ...]:
    """Return what a caller would notice of a decision."""
    decision = reference.decide(policy, request, session=session, ledger=Ledger(), now=NOW)
    return decision.effect, decision.verdict, decision.args, decision.hold_s, decision.retry_after_s, decision.tells


@given(policies(), st.lists(requests(), min_size=1, max_size=8), st.booleans())
def test_a_rule_that_is_called_useless_never_changes_a_decision(
    policy: CheckedPolicy | None, asked: list[dict[str, Any]], known: bool
) -> None:
    """Without a rule that is shadowed, or can never apply, every decision on random requests is the same."""
    if policy is None:
        return
    useless = {rule.id for rule, _ in shadows(policy, NOW)}
    tree = parse("")
    for message in analyse(policy, [replace(tree, source=policy.rules[0].source)], now=NOW):
        if message.code == "never-applies":
            useless.add(message.text.split("`")[1])
    session = Session("s", opened_at=NOW, begun=True) if known else None
    for name in useless:
        without = replace(policy, rules=tuple(rule for rule in policy.rules if rule.id != name))
        for request in asked:
            assert outcome(policy, request, session) == outcome(without, request, session)
    together = replace(policy, rules=tuple(rule for rule in policy.rules if rule.id not in useless))
    for request in asked:
        assert outcome(policy, request, session) == outcome(together, request, session)


@given(policies(), st.lists(requests(), min_size=1, max_size=8))
def test_a_restriction_that_is_said_to_need_doubt_is_never_proven(
    policy: CheckedPolicy | None, asked: list[dict[str, Any]]
) -> None:
    """Its conditions never come out true and its excuse false at once."""
    if policy is None:
        return
    tree = replace(parse(""), source=policy.rules[0].source)
    doubtful = {
        message.text.split("`")[1]
        for message in analyse(policy, [tree], now=NOW)
        if message.code in ("only-in-doubt", "never-applies")
    }
    for request in asked:
        admitted: Any = admit(request)
        facts = Facts(policy, admitted, bind(policy, admitted), None, NOW)
        for rule in policy.rules:
            if rule.id in doubtful and facts.tool_fits(rule.tools) is True:
                proven = reference.holds(rule.when, facts) is True and reference.holds(rule.unless, facts) is False
                assert not proven
