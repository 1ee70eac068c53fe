"""The packs: each has tests that pass in both evaluators, and none knows a tool, a person or a task by name."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest

import thoth.policies
from thoth.engine import Engine, load
from thoth.engine.checked import CheckedPolicy, ToolPattern
from thoth.engine.testing import Coverage, run_tests
from thoth.grammar import format, parse
from thoth.simulation import RecordedSession, ReplayClock, read_traces, replay

HOUSE = Path(__file__).resolve().parents[2]
PACKS = Path(thoth.policies.__file__).parent / "packs"
NAMES = ("destructive", "exfiltration", "provenance", "scope", "secrets")
DEMO = HOUSE / "examples/traces/demo.jsonl.gz"


def used(name: str) -> CheckedPolicy:
    return load([PACKS / "tests" / f"{name}-test.thoth"])[0]


def test_every_pack_is_installed_and_tested() -> None:
    assert tuple(sorted(path.stem for path in PACKS.glob("*.thoth"))) == NAMES
    assert tuple(sorted(path.stem.removesuffix("-test") for path in (PACKS / "tests").glob("*.thoth"))) == NAMES


@pytest.mark.parametrize("evaluator", ["native", "reference"])
@pytest.mark.parametrize("name", NAMES)
def test_the_tests_of_a_pack_pass(name: str, evaluator: Literal["native", "reference"]) -> None:
    results = run_tests(used(name), evaluator)
    assert len(results) >= 5
    assert [result.test.name for result in results if not result.passed] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_tests_of_a_pack_reach_each_of_its_rules(name: str) -> None:
    policy, coverage = used(name), Coverage()
    run_tests(policy, coverage=coverage)
    limits = {rule.id for rule in policy.rules if rule.limit is not None}
    assert [rule.id for rule in policy.rules if rule.id not in limits and not coverage.applied[rule.id]] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_pack_stands_in_canonical_form_and_every_restriction_says_why(name: str) -> None:
    text = (PACKS / f"{name}.thoth").read_text("utf-8")
    assert format(parse(text, name)) == text
    policy = used(name)
    mine = [rule for rule in (*policy.rules, *policy.result_rules) if rule.id.startswith(f"{name}.")]
    assert mine
    assert all(rule.because and rule.named for rule in mine)


def tools_named(node: Any) -> list[str]:
    """Return every tool that a checked node names, wherever in it."""
    if isinstance(node, ToolPattern):
        return [node.value] if node.kind in ("name", "glob") else []
    if isinstance(node, tuple | frozenset | list):
        return [name for part in node for name in tools_named(part)]
    if is_dataclass(node) and not isinstance(node, type):
        return [name for field in fields(node) for name in tools_named(getattr(node, field.name))]
    return []


@pytest.mark.parametrize("name", NAMES)
def test_a_pack_speaks_of_classes_and_never_of_a_tool_by_name(name: str) -> None:
    policy = used(name)
    mine = [rule for rule in (*policy.rules, *policy.result_rules) if rule.id.startswith(f"{name}.")]
    assert tools_named(tuple(mine)) == []


def office() -> CheckedPolicy:
    """The packs over the tools of the demo's office, whose pages and tickets anybody may have written."""
    text = (HOUSE / "examples/demo.thoth").read_text("utf-8")
    tools = [item for item in parse(text, "demo").items if type(item).__name__ == "ToolItem"]
    declared = format(replace(parse("", "tools"), items=tuple(tools)))
    declared = declared.replace(
        "tool open_page(url: key url) is read, untrusted", "tool open_page(url: key url) is read, public, web"
    )
    declared = declared.replace(
        "currency: string, reference: string) is send", "currency: string, reference: string) is send, payment"
    )
    uses = "".join(f"use {name}{' with allow' if name == 'scope' else ''}\n" for name in NAMES)
    classes = "read, class send, class write, class web, class delete, class credential"
    return Engine.from_text(
        f'policy office\n    approvers "owner"\n{uses}\nagent "*" scope class {classes}\n{declared}',
        source="office.thoth",
    ).policy


def decided(policy: CheckedPolicy, sessions: list[RecordedSession]) -> list[tuple[str, tuple[str, ...]]]:
    clock = ReplayClock()
    engine = Engine(policy, clock=clock)
    return [(decision.effect.value, decision.rules) for _, decision in replay(engine, sessions, clock)]


def test_under_other_names_of_all_tools_every_decision_is_the_same() -> None:
    """The demo's recording, decided under the packs; then with each tool under a name that says nothing."""
    policy, sessions = office(), list(read_traces([DEMO]))
    alias = {name: f"x{place}" for place, name in enumerate(sorted(policy.tools))}
    renamed = replace(
        policy,
        tools={alias[name]: tuple(replace(t, name=alias[name]) for t in tools) for name, tools in policy.tools.items()},
    )
    others = [
        replace(one, calls=tuple(replace(call, tool_name=alias.get(call.tool_name, "y")) for call in one.calls))
        for one in sessions
    ]
    before = decided(policy, sessions)
    assert decided(renamed, others) == before
    assert {"ALLOW", "STEP_UP", "BLOCK"} <= {effect for effect, _ in before}
    assert {"provenance.unasked", "provenance.unasked-and-final"} <= {rule for _, rules in before for rule in rules}


def test_a_policy_that_uses_a_pack_is_not_told_what_else_the_pack_knows() -> None:
    _, warnings = load([PACKS / "tests" / "exfiltration-test.thoth"])
    assert [warning for warning in warnings if warning.source == "exfiltration.thoth"] == []


def test_without_approvers_a_policy_is_told_that_a_pack_will_block() -> None:
    engine = Engine.from_text("use provenance\nallow * as all\n")
    assert {warning.code for warning in engine.warnings} == {"approver-missing"}


def test_the_policy_of_the_recorded_agents_is_made_of_the_packs_and_passes_its_tests() -> None:
    policy, warnings = load([HOUSE / "policies/agents/recorded.thoth"])
    assert warnings == ()
    assert set(NAMES) == {rule.id.partition(".")[0] for rule in policy.rules if "." in rule.id}
    assert all(result.passed for result in run_tests(policy))
