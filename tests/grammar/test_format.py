"""Formatting says the same, in one way only, and looks like the one-page policy."""

from hypothesis import given

from tests.strategies.syntax import conditions, policies
from thoth.grammar import Policy, format, format_condition, parse, parse_condition
from thoth.grammar.syntax import Condition


@given(policies())
def test_what_is_formatted_reads_back_as_the_same_policy(policy: Policy) -> None:
    """Every kind of node, awkward names and texts, comments wherever they may stand."""
    assert parse(format(policy)) == policy


@given(policies())
def test_formatting_twice_changes_nothing(policy: Policy) -> None:
    text = format(policy)
    assert format(parse(text)) == text


@given(conditions())
def test_a_formatted_condition_reads_back_as_the_same_condition(condition: Condition) -> None:
    assert parse_condition(format_condition(condition)) == condition


def test_an_item_that_fits_stands_on_one_line() -> None:
    text = """
block   send_email       as no-leak   when session.labels contains pii
                                               and any args.to not like safe
"""
    assert (
        format(parse(text))
        == "block send_email as no-leak when session.labels contains pii and any args.to not like safe\n"
    )


def test_clauses_that_do_not_fit_stand_on_lines_of_their_own() -> None:
    text = """step_up submit_payment as large-payment because "payments over 10,000 need a second pair of eyes"
  control "soc2:CC6.1" within 15m ask "finance-leads" when args.amount > 10000"""
    assert (
        format(parse(text))
        == """\
step_up submit_payment as large-payment when args.amount > 10_000
    ask "finance-leads" within 15m
    control "soc2:CC6.1"
    because "payments over 10,000 need a second pair of eyes"
"""
    )


def test_a_long_condition_breaks_before_and() -> None:
    long = " and ".join(f'args.argument_number_{i} is not "value number {i}"' for i in range(3))
    assert (
        format(parse(f"block * as long when {long}"))
        == """\
block * as long
    when args.argument_number_0 is not "value number 0"
        and args.argument_number_1 is not "value number 1"
        and args.argument_number_2 is not "value number 2"
"""
    )


def test_redundant_parentheses_go_and_needed_ones_stay() -> None:
    text = "((args.a is 1)) and ((args.b is 2 and args.c is 3) and (args.d is 4 or (not (args.e is 5))))"
    assert (
        format_condition(parse_condition(text))
        == "args.a is 1 and args.b is 2 and args.c is 3 and (args.d is 4 or not args.e is 5)"
    )


def test_lines_of_one_kind_stand_together() -> None:
    text = 'allow a\n\n\nallow b\nblock c\nset x = "1"\nset y = "2"\n'
    assert format(parse(text)) == 'allow a\nallow b\n\nblock c\n\nset x = "1"\nset y = "2"\n'


def test_nothing_formats_to_nothing() -> None:
    assert format(parse("")) == ""
    assert format(parse("\n# only this\n")) == "# only this\n"


def test_numbers_have_one_spelling() -> None:
    text = "set x = 10000, 9999, 1_0, -12_345, 1e3, 0.50, 1e300, 123456.75, -0.0"
    assert format(parse(text)) == "set x = 10_000, 9999, 10, -12_345, 1000.0, 0.5, 1e300, 123_456.75, 0.0\n"


def test_text_that_does_not_print_is_escaped() -> None:
    assert format(parse('set x = "\u202eabc\t\\u0000\\ud83d\\ude00"')) == 'set x = "\\u202eabc\\t\\u0000\U0001f600"\n'
