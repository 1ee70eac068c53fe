"""What a policy means once it is checked: names resolved, `not` pushed down, groups and modules unfolded."""

import contextlib
import fnmatch
import random
import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies.syntax import policies
from thoth.contract import Effect, Mode
from thoth.engine import checked as c
from thoth.engine.check import Checked, check
from thoth.engine.checking.texts import (
    anchored_form,
    glob_fits,
    globs_overlap,
    is_anchored,
    regex_mistake,
)
from thoth.grammar.messages import PolicyError
from thoth.grammar.parse import parse
from thoth.grammar.syntax import EACH, Policy

TOOLS = """
tool pay(amount: number, to: key string, note?: string) is write risk high
tool mail(to: list of key email, body: string, kind: enum {plain, rich}) is send yields sent
"""


def checked(text: str, **modules: str) -> Checked:
    def find(name: str, using: str) -> Policy | None:
        return parse(modules[name], f"{name}.thoth") if name in modules else None

    return check(parse(text, "root.thoth"), find)


def policy(text: str, **modules: str) -> c.CheckedPolicy:
    return checked(text, **modules).policy


def refused(text: str, **modules: str) -> str:
    with pytest.raises(PolicyError) as error:
        checked(text, **modules)
    return "\n".join(message.text for message in error.value.messages)


def rule(text: str) -> c.Rule:
    return policy(TOOLS + text).rules[-1]


def when(text: str) -> c.Condition:
    return rule(f"block * as x when {text}").when


# ---------------------------------------------------------------- conditions


def test_not_is_pushed_down_to_the_tests() -> None:
    meant = when('not (user is "a" and (any args.to like "x*" or not args.q is 3))')
    assert meant == c.AnyOf(
        (
            c.Test(c.Compare(c.Attribute("user"), "is", c.Constant("a")), negated=True),
            c.AllOf(
                (
                    c.Test(c.Like(c.Argument(("to",)), ("x*",)), negated=True, each="all"),
                    c.Test(c.Compare(c.Argument(("q",)), "is", c.Constant(3))),
                )
            ),
        )
    )


def test_between_is_two_comparisons_and_not_between_either_opposite() -> None:
    assert when("args.n between 1 and 5") == c.AllOf(
        (
            c.Test(c.Compare(c.Argument(("n",)), ">=", c.Constant(1))),
            c.Test(c.Compare(c.Argument(("n",)), "<=", c.Constant(5))),
        )
    )
    assert when("args.n not between 1 and 5") == c.AnyOf(
        (
            c.Test(c.Compare(c.Argument(("n",)), ">=", c.Constant(1)), negated=True),
            c.Test(c.Compare(c.Argument(("n",)), "<=", c.Constant(5)), negated=True),
        )
    )


def test_between_of_any_item_is_refused_because_each_half_would_be_asked_of_another_item() -> None:
    assert "between" in refused("block * as x when any args.n between 1 and 5")
    assert "between" in refused("block * as x when not any args.n between 1 and 5")


def test_after_is_a_count_above_none() -> None:
    assert when("after pay, class send") == c.Test(
        c.Compare(c.Count("calls", (c.ToolPattern("name", "pay"), c.ToolPattern("class", "send"))), ">", c.Constant(0))
    )


def test_durations_are_seconds() -> None:
    assert when("session.age > 2h") == c.Test(c.Compare(c.Attribute("session.age"), ">", c.Constant(7200)))


def test_class_is_one_of_its_words() -> None:
    listing = c.Listing("class")
    assert when("class is read") == c.Test(c.Contains(listing, c.Constant("read")))
    assert when("class is not read") == c.Test(c.Contains(listing, c.Constant("read")), negated=True)
    both = (c.Test(c.Contains(listing, c.Constant("a"))), c.Test(c.Contains(listing, c.Constant("b"))))
    assert when("class in {a, b}") == c.AnyOf(both)
    assert when("not class in {a, b}") == c.AllOf(tuple(replace(part, negated=True) for part in both))


def test_the_key_arguments_are_not_an_argument_named_key() -> None:
    assert when("args.key from user") == c.Test(c.From(c.Keys(), "user"))
    assert when('args["key"] is "x"') == c.Test(c.Compare(c.Argument(("key",)), "is", c.Constant("x")))


def test_bare_words_are_words_where_words_are_known() -> None:
    assert rule("block mail as x when args.kind is rich").when == c.Test(
        c.Compare(c.Argument(("kind",)), "is", c.Constant("rich"))
    )
    assert when("env in {prod, staging}") == c.Test(
        c.Member(c.Attribute("env"), (c.Constant("prod"), c.Constant("staging")))
    )
    assert when("session.labels contains sent") == c.Test(c.Contains(c.Listing("session.labels"), c.Constant("sent")))


def test_where_a_value_was_seen_keeps_its_source() -> None:
    assert when("args.url by host from user") == c.Test(c.From(c.Argument(("url",)), "user", by_host=True))
    assert when("args.to not from tool mail") == c.Test(
        c.From(c.Argument(("to",)), "tool", (c.ToolPattern("name", "mail"),)), negated=True
    )
    assert when("args.to from tool *") == c.Test(c.From(c.Argument(("to",)), "tool", (c.ToolPattern("any"),)))
    assert when("args.to from tool class read") == c.Test(
        c.From(c.Argument(("to",)), "tool", (c.ToolPattern("class", "read"),))
    )


def test_scope_intent_and_hours_are_tests_of_their_own() -> None:
    assert when("tool in scope") == c.Test(c.InScope())
    assert when("tool not in intent") == c.Test(c.InIntent(), negated=True)
    hours = 'hours h = sat-mon 22:00-06:00 in "Europe/London" except 2026-12-25\n'
    meant = policy(hours + "defer * as x unless now in h").rules[0].unless
    assert isinstance(meant, c.Test)
    assert isinstance(meant.predicate, c.InHours)
    assert meant.predicate.hours.ranges == (c.HoursRange(frozenset({5, 6, 0}), 1320, 360),)


def test_numbers_are_what_json_makes_of_them_and_whole_ones_are_integers() -> None:
    assert when("args.n > 1.0") == when("args.n > 1")
    assert when("args.n > 0.10") == c.Test(c.Compare(c.Argument(("n",)), ">", c.Constant(Decimal(float("0.1")))))
    assert when("args.n > 1e23") == c.Test(c.Compare(c.Argument(("n",)), ">", c.Constant(int(1e23))))
    assert when("args.n > 9007199254740993") != when("args.n > 9007199254740992")


def test_true_is_not_one() -> None:
    assert [r.id for r in policy("block * as a when args.x is true\nblock * as b when args.x is 1").rules] == ["a", "b"]


def test_a_constant_on_the_left_changes_sides() -> None:
    assert when("args.a < args.b") == c.Test(c.Compare(c.Argument(("a",)), "<", c.Argument(("b",))))


def test_an_item_may_be_read_from_a_list_of_records() -> None:
    text = "tool buy(items: list of record)\nblock buy as x when any args.items[*].price > 3"
    assert policy(text).rules[0].when == c.Test(
        c.Compare(c.Argument(("items", EACH, "price")), ">", c.Constant(3)), each="any"
    )


# ---------------------------------------------------------------- refusals that keep the laws


@pytest.mark.parametrize(
    "text",
    [
        "block * as x when risk < 5",
        "allow * as x when risk >= 5",
        "block * as x unless risk >= 5",
        "block * as x when not risk >= 5",
        "allow * as x when not (risk < 5)",
        "risk * +5 as x when risk >= 5",
        "step_up * as x when risk is 5",
        "limit * as x to 5 calls per 1m by agent else block when risk <= 5",
    ],
)
def test_risk_tested_the_wrong_way_round_is_refused(text: str) -> None:
    assert "risk" in refused(text)


def test_restrictions_may_ask_for_much_risk_and_allows_for_little() -> None:
    text = 'block * as x when user is "a" or risk >= 60\nallow * as y when risk < 10'
    assert len(policy(text).rules) == 2


@pytest.mark.parametrize(
    "text",
    [
        'allow * as x when args.q matches "select"',
        'allow * as x unless args.q not matches "select"',
        'block * as x unless args.q matches "select"',
        'block * as x when args.q not matches "select"',
        'block * as x when not (args.q matches "select" and user is "a")',
        'step_up * as x unless any args.q matches "^(a)|(b)$"',
        "defer * as x unless args.q matches email",
        'limit * as x to 5 calls per 1m by agent else block unless args.q matches "a"',
        'on result * as x unless result matches "fine" withhold',
        'allow * as x when args.q matches "(?m)^(a)$"',
    ],
)
def test_an_unanchored_pattern_that_permits_is_refused(text: str) -> None:
    assert "whole value" in refused(text)


@pytest.mark.parametrize(
    "text",
    [
        'allow * as x when args.q matches "^(select)$"',
        'allow * as x when args.q not matches "drop"',
        'allow * as x unless args.q matches "drop"',
        'block * as x when args.q matches "drop"',
        'block * as x unless args.q not matches "drop"',
        'block * as x unless args.q matches "(?i)^(?:a|[)(]|\\))$"',
    ],
)
def test_a_pattern_that_forbids_may_search(text: str) -> None:
    assert policy(text).rules


def test_modifications_whose_order_would_matter_are_refused() -> None:
    two = 'modify pay as a set args.note = "x"\nmodify {} as b truncate args.note to 5'
    for other in ("pay", "p*", "*", "class write"):
        assert "order" in refused(TOOLS + two.format(other))
    assert "order" in refused("modify a as x set args.r.s = 1 drop args.r")
    assert "order" in refused("modify db.* as x set args.r[*] = 1\nmodify *.read as y set args.r[2] = 2")


def test_modifications_that_never_meet_may_be_anything() -> None:
    text = """
modify a as one set args.x = 1
modify b as two set args.x = 2
modify a as three set args.y = 2
modify a as four redact args.x matching email with "x"
modify a.* as five set args.z = 1
modify b.* as six set args.z = 2
modify c as seven set args.r[0] = 1
modify c as eight set args.r[1] = 1
"""
    assert len(policy(text).rules) == 8


def test_an_argument_that_a_named_tool_does_not_declare_is_refused() -> None:
    said = refused(TOOLS + "block pay as x when args.amout > 10_000")
    assert said == "unknown argument `args.amout` of pay; did you mean `args.amount`?"


def test_a_tool_that_permits_further_arguments_has_them_all() -> None:
    assert policy("tool open(a: string, …)\nblock open as x when args.b > 5").rules


def test_a_rule_for_one_environment_reads_what_the_tool_declares_there() -> None:
    text = "for env prod { tool t(a: string) }\nfor env dev { tool t(b: string) }\n"
    assert policy(text + 'for env prod { block t as x when args.a is "1" }').rules
    assert "unknown argument" in refused(text + 'block t as x when args.a is "1"')


def test_every_mistake_of_all_files_is_told_in_one_run() -> None:
    with pytest.raises(PolicyError) as error:
        checked("use m\nblock * as x when has user\nblock * as y when user is nobody", m="block * as z when now is 5")
    assert sorted({message.source for message in error.value.messages}) == ["m.thoth", "root.thoth"]
    assert len(error.value.messages) == 3


@given(policies(3))
def test_whatever_is_written_is_checked_or_refused(tree: Policy) -> None:
    with contextlib.suppress(PolicyError):
        found = check(tree).policy
        assert len({r.id for r in found.rules}) == len(found.rules)
        assert len(found.digest) == 64


# ---------------------------------------------------------------- rules


def test_equal_rules_are_one_rule_under_the_id_that_sorts_first() -> None:
    found = policy('block a as zeta because "z"\nblock a as alpha\nblock a').rules
    assert [r.id for r in found] == ["alpha"]


def test_two_different_rules_with_one_id_are_refused() -> None:
    assert "another rule is `x` at line 1" in refused("block a as x\nblock b as x")
    assert "another rule is `x`" in refused("block a as x\nblock a as w\ndefer b as x")


def test_an_unnamed_rule_has_an_id_from_its_content_wherever_it_stands() -> None:
    one = policy('block a when user is "x" and env is prod\nallow b').rules
    other = policy('allow b\n\nblock a when env is prod and user is "x" because "a reason"').rules
    assert {r.id for r in one} == {r.id for r in other}
    assert one[0].id.startswith("block-")
    assert not one[0].named


def test_a_group_puts_its_conditions_in_front() -> None:
    found = policy('for agent "a*", env prod { block x as r when user is "u" }').rules[0].when
    assert found == c.AllOf(
        (
            c.Test(c.Like(c.Attribute("agent"), ("a*",))),
            c.Test(c.Like(c.Attribute("env"), ("prod",))),
            c.Test(c.Compare(c.Attribute("user"), "is", c.Constant("u"))),
        )
    )


def test_approvers_come_from_the_rule_then_from_the_policy_then_from_nowhere() -> None:
    assert rule('step_up * as x ask 2 of "a", "b", user within 1m').ask == c.Ask(("a", "b", "user"), 2)
    assert rule('step_up * as x ask "a", "b" all').ask == c.Ask(("a", "b"), 2)
    from_policy = policy(
        'policy p\n    approvers "f"\nstep_up * as x\nlimit * as y to 1 calls per 1m by user else step_up'
    )
    assert [r.ask for r in from_policy.rules] == [c.Ask(("f",), 1)] * 2
    nobody = checked("step_up * as x")
    assert nobody.policy.rules[0].ask == c.Ask((), 0)
    assert [message.code for message in nobody.warnings] == ["approver-missing"]


def test_a_limit_is_exact() -> None:
    found = rule("limit pay as x to 0.5 of args.amount per 1d by args.to else defer retry after 5m")
    assert found.limit == c.Limit(Fraction(1, 2), c.Argument(("amount",)), 86_400, c.Argument(("to",)), Effect.DEFER)
    assert found.retry_after_s == 300


def test_a_rule_lapses_at_the_end_of_its_day_and_a_trial_ends_at_its_start() -> None:
    utc = rule("block * as x until 2026-03-29")
    assert utc.until == datetime(2026, 3, 30, tzinfo=UTC).timestamp()
    there = rule('block * as x until 2026-03-29 in "Europe/London"')
    assert there.until == datetime(2026, 3, 29, 23, tzinfo=UTC).timestamp()
    trial = rule("block * as x trial until 2026-03-29")
    assert (trial.trial, trial.trial_until) == (True, datetime(2026, 3, 29, tzinfo=UTC).timestamp())


def test_settings_hold_where_they_are_written_and_else_their_defaults() -> None:
    silent = policy("allow *")
    assert (silent.default, silent.mode, silent.ladder) == (Effect.BLOCK, c.ModeSetting(), c.Ladder())
    said = policy(
        "policy p\n  default allow\n  mode at least step_up\n  arguments lenient\n  ladder allow, block within 2h\n"
        "  data low < high\n  bounds provenance 2kb, scan 4kb, in flight 1h\n"
    )
    assert said.default is Effect.ALLOW
    assert said.mode == c.ModeSetting("at_least", Mode.STEP_UP)
    assert said.lenient
    assert said.ladder == c.Ladder((Effect.ALLOW, Effect.BLOCK), 7200)
    assert (said.data_order, said.bounds) == (("low", "high"), c.Bounds(2048, 4096, 3600))
    assert policy("policy p\n  mode from request").mode.kind == "from_request"
    assert policy("policy p\n  mode observe").mode == c.ModeSetting("fixed", Mode.OBSERVE)


def test_key_and_shown_hold_for_the_whole_argument() -> None:
    found = policy("tool t(to: list of key email, note: shown string)").tools["t"][0]
    assert [(p.key, p.shown) for p in found.params] == [(True, False), (False, True)]


def test_the_longest_literal_of_an_agent_pattern_counts_its_plain_characters() -> None:
    assert [a.literal for a in policy('agent "a*b?" scope x\nagent "*" scope y').agents] == [2, 0]


# ---------------------------------------------------------------- modules


def test_a_module_gives_its_rules_under_its_name_but_never_its_settings() -> None:
    module = (
        'policy m\n    default allow\n    approvers "x"\nset s = "a"\nblock t as r when user in s\nagent "a" scope b'
    )
    found = policy("use m\nblock u as q when user in s", m=module)
    assert [r.id for r in found.rules] == ["m.r", "q"]
    assert (found.default, found.approvers, found.agents) == (Effect.BLOCK, (), ())


def test_a_module_opens_only_what_every_use_on_the_way_opens() -> None:
    inner = "use deep with allow\nallow a as mid"
    deep = "allow b as low"
    assert [r.id for r in policy("use inner with allow", inner=inner, deep=deep).rules] == ["deep.low", "inner.mid"]
    shut = checked("use inner", inner=inner, deep=deep)
    assert shut.policy.rules == ()
    assert [message.code for message in shut.warnings] == ["allow-left-out"] * 2


def test_a_module_that_is_used_twice_is_taken_once() -> None:
    found = policy("use a\nuse b", a="use z\nblock x as r", b="use z\nblock y as r", z="block q as r")
    assert [r.id for r in found.rules] == ["z.r", "a.r", "b.r"]


def test_modules_that_use_each_other_in_a_circle_are_refused() -> None:
    assert "circle" in refused("use a", a="use b", b="use a")
    assert "circle" in refused("use root", root="use root")


# ---------------------------------------------------------------- digest


LINES = [
    'block a as one when user is "x" and env is prod',
    'step_up b, class c as two ask "q", "p"',
    "limit * as three to 5 calls per 1m by agent else block",
    'set names = "a", "b", "c"',
    "deny_set",
    "tool t(a: string, b: int) is read, write yields x, y",
    'hours h = mon-fri 09:00-17:00 in "Europe/London"',
    "defer * as four unless now in h or user in names",
    'agent "x" scope a, b',
]
LINES.remove("deny_set")
LINES[4] = "tool t(a: string, b: int) is read, write yields x yields y"


@given(st.randoms(use_true_random=False))
def test_the_order_of_what_is_written_does_not_change_the_digest(order: random.Random) -> None:
    lines = list(LINES)
    order.shuffle(lines)
    assert policy("\n".join(lines)).digest == policy("\n".join(LINES)).digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('set names = "a", "b", "c"', 'set names = "c", "a", "b"'),
        ("is read, write", "is write, read"),
        ('user is "x" and env is prod', 'env is prod and user is "x"'),
        ("class c as two", 'class c as two because "why not"'),
        ('ask "q", "p"', 'ask "p", "q"'),
        ("step_up b, class c", "step_up class c, b"),
    ],
)
def test_equal_meaning_has_an_equal_digest(one: str, other: str) -> None:
    text = "\n".join(LINES)
    assert one in text
    assert policy(text).digest == policy(text.replace(one, other)).digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('is "x"', 'is "y"'),
        ("as one", "as uno"),
        ("5 calls", "6 calls"),
        ("a: string, b: int", "b: int, a: string"),
        ("Europe/London", "Europe/Lisbon"),
        ("block a as one", 'block a as one tell "no"'),
        ('user is "x" and', 'user is "x" or'),
        ('ask "q"', 'ask "r"'),
    ],
)
def test_another_meaning_has_another_digest(one: str, other: str) -> None:
    text = "\n".join(LINES)
    assert one in text
    assert policy(text).digest != policy(text.replace(one, other)).digest


def test_the_digest_covers_the_baseline() -> None:
    tree = parse("allow *", "p")
    digests = {
        check(tree, baseline=seen).policy.digest
        for seen in (None, {}, {("t", "a"): frozenset({"00"})}, {("t", "a"): frozenset({"01"})})
    }
    assert len(digests) == 4


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize("regex", ["^(a)$", "(?i)^(a|b)$", "^([)(]|\\))$", "^(?:a)$", r"^(\Q)\E)$", "^([]()]x)$"])
def test_a_whole_pattern_is_known_as_anchored(regex: str) -> None:
    assert not regex_mistake(regex)
    assert is_anchored(regex)


@pytest.mark.parametrize("regex", ["a", "^a$", "^(a)|(b)$", "(?m)^(a)$", "^(a)(b)$", "^(a)\\$", "x^(a)$", "^(a)*$"])
def test_a_pattern_that_is_not_whole_is_known_as_such_and_has_a_whole_form(regex: str) -> None:
    assert not is_anchored(regex)
    assert is_anchored(anchored_form(regex))
    assert not regex_mistake(anchored_form(regex))


GLOBS = st.text("ab*?", max_size=6)


@given(GLOBS, st.text("ab", max_size=6))
def test_a_glob_fits_as_the_standard_library_says(glob: str, text: str) -> None:
    assert glob_fits(glob, text) == fnmatch.fnmatchcase(text, glob)


@given(GLOBS, GLOBS, st.text("ab", max_size=6))
def test_globs_that_share_a_text_overlap(one: str, other: str, text: str) -> None:
    if glob_fits(one, text) and glob_fits(other, text):
        assert globs_overlap(one, other)


def test_globs_that_share_nothing_do_not_overlap() -> None:
    assert not globs_overlap("a*", "b*")
    assert not globs_overlap("a?", "a")
    assert globs_overlap("a*", "*b")


# ---------------------------------------------------------------- cost


def test_a_thousand_rules_are_checked_in_a_fraction_of_a_second() -> None:
    tools = [f"tool t{i}(amount: number, to: key string, body: string) is c{i % 7}" for i in range(100)]
    kinds = [
        'step_up t{m} as r{i} when args.amount > {i} ask "f"',
        'block t{m}* as r{i} when args.path under "/etc/{i}" and not user is "u{i}"',
        "modify x{i} as r{i} truncate args.body to 5",
        'allow * as r{i} when purpose in {{"a{i}", "b"}}',
        'modify y{i}.* as r{i} set args.body = "{i}"',
    ]
    rules = [kinds[i % 5].format(i=i, m=i % 100) for i in range(1000)]
    tree = parse("\n".join([*tools, *rules]), "p")
    start = time.process_time()
    assert len(check(tree).policy.rules) == 1000
    assert time.process_time() - start < 1.0, "usually under 0.1 s"


def test_a_thousand_changes_of_one_argument_are_compared_with_few_others() -> None:
    rules = [f'modify pack{i}.*, tool{i} as r{i} set args.body = "{i}"' for i in range(1000)]
    tree = parse("\n".join(rules), "p")
    start = time.process_time()
    assert len(check(tree).policy.rules) == 1000
    assert time.process_time() - start < 1.0, "usually under 0.1 s"


def test_asking_whether_an_argument_is_there_warns_of_no_tool_that_lacks_it() -> None:
    assert checked(TOOLS + "block * as x when not has args.note").warnings == ()
    assert [m.code for m in checked(TOOLS + 'block * as x when args.note is "a"').warnings] == ["unseen"]
