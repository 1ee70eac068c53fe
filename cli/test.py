"""`thoth test`: the tests that stand in a policy, one line each, and what they reach."""

from pathlib import Path
from typing import Annotated, Any
from xml.etree import ElementTree as ET

from cyclopts import Parameter
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ..contract import OperationError
from ..engine import load
from ..engine.checked import CheckedPolicy
from ..engine.testing import Bench, Coverage, Outcome, TestResult, run_test
from ..grammar import PolicyError
from .arguments import EvaluatorName, Files, Folders, Format
from .printing import counted, findings_json, note, output, plain, print_json, say

OUTCOMES: tuple[tuple[str, Outcome], ...] = (("true", True), ("false", False), ("unknown", None))


def run(
    files: Files,
    /,
    *,
    path: Folders = None,
    coverage: Annotated[bool, Parameter(help="say what each rule and condition came to, and what never did")] = False,
    junit: Annotated[Path | None, Parameter(help="write the results to this file as JUnit XML")] = None,
    format: Format = "text",
    evaluator: EvaluatorName = "native",
) -> int:
    """Run the tests of a policy, and say what they reach.

    A test that fails shows what was expected, what came out, and why: each rule
    that decided, with the values that its conditions saw. A policy without
    tests passes, and says so.

    For example:
      thoth test policy.thoth
      thoth test policy.thoth --coverage
      thoth test policy.thoth --junit results.xml --evaluator reference

    Exit codes: 0 every test passes, 1 one fails or the policy has mistakes,
    2 wrong usage or a file that cannot be read or written.
    """
    try:
        policy, warnings = load(files, path=path or ())
    except PolicyError as error:
        if format != "json":
            raise
        print_json(_json([], None) | findings_json(error.messages))
        return 1
    reached = Coverage() if coverage else None
    results: list[TestResult] = []
    bench = Bench(policy, evaluator)
    for one in policy.tests:
        result = run_test(bench, one, reached)
        results.append(result)
        if format == "text":
            _say_result(result)
    failed = sum(not result.passed for result in results)
    if junit is not None:
        _write_junit(junit, policy, results)
    if format == "json":
        found = findings_json(warnings) | {"ok": not failed}
        print_json(found | _json(results, _coverage_json(policy, reached) if reached else None))
        return 1 if failed else 0
    _say_summary(files, results, failed)
    if reached is not None:
        _say_coverage(policy, reached)
    if warnings:
        note(f"{counted(len(warnings), 'warning')}; `thoth check` shows what about")
    return 1 if failed else 0


# ---------------------------------------------------------------- results


def _say_result(result: TestResult) -> None:
    if result.passed:
        say(Text.assemble(("✓ ", "green"), plain(result.test.name)))
        return
    say(Text.assemble(("✗ ", "bold red"), (plain(result.test.name), "bold"), (f"  line {result.test.at.line}", "dim")))
    for failure in result.failures:
        say(f"    {failure}", "red")
    for line in result.explanation.splitlines():
        say(f"      {line}", "dim")


def _say_summary(files: list[Path], results: list[TestResult], failed: int) -> None:
    if not results:
        named = ", ".join(str(file) for file in files)
        say(f'{named}: no tests; write some with `test "what it promises" {{ … }}`, `thoth init` shows how')
        return
    passed = f"{counted(len(results) - failed, 'test')} passed"
    if failed:
        say(Text.assemble((f"{failed} failed", "bold red"), f", {passed}"))
    else:
        say(passed, "green")


def _json(results: list[TestResult], coverage: dict[str, Any] | None) -> dict[str, Any]:
    passed = sum(result.passed for result in results)
    tests = [
        {
            "name": result.test.name,
            "line": result.test.at.line,
            "passed": result.passed,
            "decision": result.decision.effect.value,
            "rules": list(result.decision.rules),
            "reason_code": result.decision.reason_code,
            "failures": list(result.failures),
            "explanation": result.explanation,
        }
        for result in results
    ]
    return {"passed": passed, "failed": len(results) - passed, "tests": tests, "coverage": coverage}


def _write_junit(file: Path, policy: CheckedPolicy, results: list[TestResult]) -> None:
    failed = str(sum(not result.passed for result in results))
    name = policy.name or "policy"
    suites = ET.Element("testsuites", tests=str(len(results)), failures=failed)
    suite = ET.SubElement(suites, "testsuite", name=name, tests=str(len(results)), failures=failed, errors="0")
    for result in results:
        case = ET.SubElement(suite, "testcase", name=plain(result.test.name), classname=name)
        if not result.passed:
            failure = ET.SubElement(case, "failure", message=plain("; ".join(result.failures)))
            failure.text = plain("\n".join([*result.failures, "", result.explanation]))
    ET.indent(suites)
    try:
        ET.ElementTree(suites).write(file, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise OperationError(f"`{file}` cannot be written: {error.strerror or error}") from error


# ---------------------------------------------------------------- coverage


def _coverage_json(policy: CheckedPolicy, reached: Coverage) -> dict[str, Any]:
    rules = [
        {
            "id": rule.id,
            "effect": str(rule.effect).lower(),
            "file": rule.source,
            "line": rule.at.line,
            "applied": applied,
            "conditions": [
                {"condition": words} | {name: outcomes[outcome] for name, outcome in OUTCOMES}
                for words, outcomes in conditions
            ],
        }
        for rule, applied, conditions in reached.rows(policy)
    ]
    return {"rules": rules}


def _say_coverage(policy: CheckedPolicy, reached: Coverage) -> None:
    """Print how often each rule applied and each condition came to what; `never` marks what no test reached."""
    rows = list(reached.rows(policy))
    console = output()
    room = console.width - 40 if console.is_terminal else 10_000
    words = [rule.id for rule, _, _ in rows] + [f"  {word}" for _, _, conditions in rows for word, _ in conditions]
    width = max(20, min(max(map(cell_len, words), default=0), room))
    say()
    say(Text(f"{'rule and condition':{width}}  applied     true    false  unknown", style="bold"))
    for rule, applied, conditions in rows:
        say(_row(rule.id, width, [(applied, "bold red")]))
        for word, outcomes in conditions:
            seen = [(outcomes[outcome], "dim" if outcome is None else "yellow") for _, outcome in OUTCOMES]
            say(_row(f"  {word}", width, [None, *seen]))
    applied_rules = sum(applied > 0 for _, applied, _ in rows)
    tallies = [tally for _, _, conditions in rows for _, tally in conditions]
    sides = sum((tally[True] > 0) + (tally[False] > 0) for tally in tallies)
    say(
        f"{applied_rules} of {counted(len(rows), 'rule')} applied;"
        f" {sides} of {2 * len(tallies)} outcomes true and false reached,"
        f" {sum(tally[None] > 0 for tally in tallies)} of {len(tallies)} unknown"
    )


def _row(label: str, width: int, numbers: list[tuple[int, str] | None]) -> Text:
    label = plain(label)
    row = Text(set_cell_size(label, width) if cell_len(label) <= width else set_cell_size(label, width - 1) + "…")
    for number in numbers:
        if number is None:
            row.append(" " * 9)
        elif number[0]:
            row.append(f"  {number[0]:>7,}")
        else:
            row.append("    never", style=number[1])
    return row
