"""The table for people: strictest first, in the author's words, and as marks that say the same."""

from thoth.engine.check import check
from thoth.engine.layout import Layout, Row, lay_out
from thoth.grammar import parse

TEXT = """
policy shop
    version "3"
    approvers "owner"
set inside = "*@acme.example"
tool send(to: list of key email, n: number, body: string) is send
tool look(id: id) is read
allow * as all
risk * +30 as odd unless purpose is "support"
modify send as cut truncate args.body to 100
limit send as rate to 3 calls per 1h by agent else step_up
step_up send as large when args.n > 10 ask 2 of "a", "b", "c" within 5m control "soc2:CC6.1" because "large"
block look as none
block send as outside when any args.to not like inside and (args.n > 10 or args.n < 0) unless env is dev
for env prod, "eu-*" {
    defer look as later when args.id is "1" retry after 30m trial
}
on result look as hide redact result matching email with "-"
"""


def laid(with_tree: bool = True) -> Layout:
    tree = parse(TEXT)
    return lay_out(check(tree).policy, [tree] if with_tree else [])


def row(name: str, with_tree: bool = True) -> Row:
    return next(row for row in laid(with_tree).rows if row.id == name)


def test_the_strictest_come_first_and_what_concerns_every_tool_last() -> None:
    assert [(group, [row.id for row in rows]) for group, rows in laid().groups] == [
        ("block", ["none", "outside"]),
        ("defer", ["later"]),
        ("step_up", ["large"]),
        ("limit", ["rate"]),
        ("modify", ["cut"]),
        ("risk", ["odd"]),
        ("allow", ["all"]),
        ("on result", ["hide"]),
    ]


def test_conditions_are_told_in_the_words_of_their_author_with_those_of_the_group() -> None:
    assert row("outside").when == ("any args.to not like inside", "(args.n > 10 or args.n < 0)")
    assert row("outside").unless == ("env is dev",)
    assert row("later").when == ('env prod, "eu-*"', 'args.id is "1"')


def test_without_the_tree_they_are_told_as_they_were_checked() -> None:
    assert row("outside", False).when == ('any args.to not like "*@acme.example"', "(args.n > 10 or args.n < 0)")
    assert row("later", False).when == ('env like {"prod", "eu-*"}', 'args.id is "1"')


def test_what_a_rule_asks_for_is_told_whole() -> None:
    assert row("large").then == ("ask 2 of a, b, c within 5m", "control soc2:CC6.1")
    assert row("rate").then == ("to 3 calls per 1h by agent else step_up", "ask owner within 15m")
    assert row("later").then == ("retry after 30m", "trial")
    assert row("cut").then == ("truncate args.body to 100",)
    assert row("hide").then == ('redact result matching email with "-"',)
    assert row("odd").then == ("risk +30",)


def test_marks_have_a_row_for_each_way_in_which_a_rule_can_apply() -> None:
    like = 'all args.to like "*@acme.example"'
    assert row("outside").marks == ({like: "F", "args.n > 10": "T"}, {like: "F", "args.n < 0": "T"})
    assert row("outside").excuses == ({'env is "dev"': "T"},)
    assert row("none").marks == ({},)
    assert laid().columns[0] == like


def test_what_no_rule_says_stands_at_the_end() -> None:
    assert laid().otherwise == "block what no rule allows"
    assert ("mode", "at least block") in laid().facts
