"""What a text says: the one-page policy, and the corners of the notation."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from thoth.grammar import PolicyError, format, parse, parse_condition
from thoth.grammar import syntax as s

ONE_PAGE = Path(__file__).with_name("one_page.thoth").read_text("utf-8")


def rule(text: str) -> s.RuleItem:
    (item,) = parse(text).items
    assert isinstance(item, s.RuleItem)
    return item


def args(*steps: str) -> s.Path:
    return s.Path("args", steps)


def test_the_one_page_policy_parses_and_survives_formatting() -> None:
    policy = parse(ONE_PAGE)
    assert len(policy.items) == 26
    assert parse(format(policy)) == policy


def test_importing_the_room_does_not_load_the_parser_generator() -> None:
    program = "import sys, thoth.grammar; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_every_node_knows_its_place() -> None:
    item = rule('\n\nblock *\n    when args.a is 1\n    because "x"')
    assert (item.at.line, item.at.column, item.at.end_line, item.at.end_column) == (3, 1, 5, 16)
    assert item.when is not None
    assert (item.when.at.line, item.when.at.column, item.when.at.end_column) == (4, 10, 21)


def test_not_binds_before_and_and_before_or() -> None:
    a, b, c = (s.Test(args(name), "has") for name in "abc")
    assert parse_condition("has args.a or not has args.b and has args.c") == s.Or((a, s.And((s.Not(b), c))))
    assert parse_condition("(has args.a or has args.b) and has args.c") == s.And((s.Or((a, b)), c))
    assert parse_condition("has args.a and (has args.b and has args.c)") == s.And((a, b, c))


@pytest.mark.parametrize(
    "operator",
    [
        *("is", "in", "like", "matches", "contains", "under", "in cidr", "starts with", "ends with", "between"),
        *("from user", "by host from user", "from tool", "from tool class", "in baseline", "by host in baseline"),
        *("in scope", "in intent"),
    ],
)
def test_not_before_an_operator_negates_it(operator: str) -> None:
    right = {"between": "x and y", "from tool": "x"}.get(operator, "x")
    alone = operator.endswith(("from user", "in baseline", "in scope", "in intent"))
    negated = "is not" if operator == "is" else f"not {operator}"
    condition = parse_condition(f"args.a {negated} {'' if alone else right}")
    assert isinstance(condition, s.Test)
    assert (condition.operator, condition.negated) == (operator, True)


def test_keywords_are_names_wherever_nothing_else_can_be_meant() -> None:
    item = rule(
        "block class.delete, in* as when when args.to.from.by is to and args.class in in or all args.is is not not_"
    )
    assert item.id == "when"
    assert item.tools == (s.ToolPattern("name", "class.delete"), s.ToolPattern("glob", "in*"))
    assert item.when == s.Or(
        (
            s.And((s.Test(args("to", "from", "by"), "is", s.Name("to")), s.Test(args("class"), "in", s.Name("in")))),
            s.Test(args("is"), "is", s.Name("not_"), negated=True, each="all"),
        )
    )
    (tool,) = parse(
        "tool limit(to: string, from?: string, class: id, key: key id, in: list of shown any, ...) is is"
    ).items
    assert isinstance(tool, s.ToolItem)
    assert [param.name for param in tool.params] == ["to", "from", "class", "key", "in"]
    assert (tool.params[3].key, tool.params[4].shown, tool.more, tool.classes) == (True, True, True, ("is",))
    (test,) = parse('test "t" { call call(in: 1, is: 2, "a b": 3) expect args.is is 2 rule rule code code }').items
    assert isinstance(test, s.TestItem)
    assert test.expects[0].changed == ((args("is"), s.Number(2)),)


def test_all_key_arguments_and_one_really_named_key_are_two_things() -> None:
    assert parse_condition("has args.key") == s.Test(s.Path("args", ("key",), keys=True), "has")
    assert parse_condition('has args["key"]') == s.Test(s.Path("args", ("key",)), "has")
    assert parse_condition('has args.items[*].price[0]["a b"]') == s.Test(
        s.Path("args", ("items", s.EACH, "price", 0, "a b")), "has"
    )


def test_numbers_are_exact() -> None:
    (item,) = parse("set x = 10_000, -3, 0.1, 1e3, 123456789012345678901234567890").items
    assert isinstance(item, s.SetItem)
    values = [number.value for number in item.items if isinstance(number, s.Number)]
    assert values == [10_000, -3, Decimal("0.1"), Decimal(1000), 123456789012345678901234567890]
    assert [type(value) for value in values] == [int, int, Decimal, Decimal, int]


def test_texts_have_escapes_and_regular_expressions_have_none() -> None:
    assert parse_condition(r'args.a is "a\"\\\u00e9\n"') == s.Test(args("a"), "is", s.Text('a"\\é\n'))
    assert parse_condition(r'args.a matches "\d+\"\\"') == s.Test(args("a"), "matches", s.Regex(r"\d+" + '"' + r"\\"))


def test_tools_are_names_globs_classes_or_all() -> None:
    assert rule('allow db.read, "db.*", *_email, class delete, "odd tool", a/b:c-d, *').tools == (
        s.ToolPattern("name", "db.read"),
        s.ToolPattern("glob", "db.*"),
        s.ToolPattern("glob", "*_email"),
        s.ToolPattern("class", "delete"),
        s.ToolPattern("name", "odd tool"),
        s.ToolPattern("name", "a/b:c-d"),
        s.ToolPattern("any"),
    )
    assert parse_condition("calls(in.x, db.*, in 10m) > 3") == s.Test(
        s.Count("calls", (s.ToolPattern("name", "in.x"), s.ToolPattern("glob", "db.*")), s.Duration(10, "m")),
        ">",
        s.Number(3),
    )
    assert parse_condition("after class read, *") == s.After((s.ToolPattern("class", "read"), s.ToolPattern("any")))
    assert parse_condition("args.a from tool *") == s.Test(args("a"), "from tool")
    assert parse_condition("args.a not from tool class read") == s.Test(
        args("a"), "from tool class", s.Name("read"), negated=True
    )


def test_the_settings_of_a_policy() -> None:
    text = """policy p
    mode at least step_up
    ladder allow, step_up, step_up, block within 24h
    bounds provenance 256kb, scan 64kb, in flight 1h
    data public < internal < secret
    arguments lenient
"""
    (item,) = parse(text).items
    assert isinstance(item, s.PolicyItem)
    assert [(setting.name, setting.form, len(setting.values)) for setting in item.settings] == [
        ("mode", "at least", 1),
        ("ladder", "", 5),
        ("provenance", "", 1),
        ("scan", "", 1),
        ("in flight", "", 1),
        ("data", "", 3),
        ("arguments", "", 1),
    ]
    assert format(parse(text)) == text


def test_a_trial_takes_the_until_behind_it() -> None:
    item = rule('block * until 2026-01-31 trial until 2026-02-28 in "Europe/London"')
    assert item.until is not None
    assert item.until.month == 1
    assert item.trial_until is not None
    assert item.trial_until.zone == s.Text("Europe/London")
    assert rule("block * trial until 2026-02-28").until is None


def test_hours_may_pass_midnight_and_end_at_24() -> None:
    (item,) = parse('hours h = sat-mon 22:00-06:00, tue 0:00-24:00 in "UTC" except 2026-12-25').items
    assert isinstance(item, s.HoursItem)
    assert [(part.first, part.last, part.start, part.end) for part in item.ranges] == [
        (5, 0, 1320, 360),
        (1, 1, 0, 1440),
    ]


def test_a_group_names_agents_and_environments() -> None:
    (item,) = parse('for agent "a*", "b*", env prod, "agent" { tool t() is read risk * +3 as r }').items
    assert isinstance(item, s.ForItem)
    assert item.agents == (s.Text("a*"), s.Text("b*"))
    assert item.envs == (s.Text("prod"), s.Text("agent"))
    assert [type(inner) for inner in item.items] == [s.ToolItem, s.RuleItem]


def test_what_a_test_gives() -> None:
    text = """test "t" {
    given scope a, db.*, env prod, context "odd key" [1, null], said "x", said "y"
    given baseline db.send.to "v1", "v2", at 2026-11-23 03:00 in "Europe/London"
}
"""
    (item,) = parse(text).items
    assert isinstance(item, s.TestItem)
    assert item.given[0] == s.Given("scope", (s.Text("a"), s.Text("db.*")))
    assert item.given[5] == s.Given("baseline", (s.Text("v1"), s.Text("v2")), "db.send", "to")
    assert item.given[6] == s.Given("at", (s.Text("2026-11-23T03:00"), s.Text("Europe/London")))


def test_comments_stay_with_what_they_stand_at() -> None:
    text = """\
# heading

# about a
allow a  # behind a
    # between
    because "x"  # and behind that
for env prod {  # of the group
    # about b
    block b  # behind b
    # block c
}
# the end
"""
    policy = parse(text)
    first, group = policy.items
    assert isinstance(group, s.ForItem)
    above = ("heading", "about a", "between", "and behind that")
    assert first.comments == (*(s.Comment(said) for said in above), s.Comment("behind a", True))
    assert group.comments == (s.Comment("of the group", True),)
    assert group.items[0].comments == (s.Comment("about b"), s.Comment("behind b", True))
    assert group.closing == (s.Comment("block c"),)
    assert policy.comments == (s.Comment("the end"),)
    assert parse(format(policy)) == policy


def test_any_line_ends_and_a_byte_order_mark_are_read() -> None:
    text = 'allow a\n    because "x"\n# end\n'
    assert parse("\ufeff" + text.replace("\n", "\r\n")) == parse(text) == parse(text.replace("\n", "\r"))


def test_tabs_are_blanks() -> None:
    assert parse('allow\ta\n\tbecause\t"x"') == parse('allow a because "x"')


def test_two_policies_that_say_the_same_are_equal() -> None:
    assert parse("allow   a\n\n", source="one") == parse("\nallow a", source="two")
    with pytest.raises(PolicyError, match=r"^three.thoth:1:1: "):
        parse("x", source="three.thoth")
