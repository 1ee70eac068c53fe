"""The tests that stand in a policy: that each can be run, and asks for what the policy knows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from ...contract import MODE_NAMES, REASONS
from ...grammar import syntax as s
from .clauses import EFFECTS
from .names import zone_mistake
from .report import File
from .texts import nfc
from .tools import Tools

SUBJECTS: Final = (
    "agent", "user", "tenant", "env", "scope", "intent", "purpose", "data", "mode", "context", "said", "baseline", "at",
)  # fmt: skip
MANY: Final = frozenset({"scope", "said", "baseline", "context", "at"})


def check_tests(
    file: File, tests: tuple[s.TestItem, ...], tools: Tools, known: Mapping[str, str], data_order: tuple[str, ...]
) -> None:
    """Say what is wrong with the tests of the root file; `known` has every rule's id, with the one it goes by."""
    names: dict[str, s.Span] = {}
    for test in tests:
        if test.name in names:
            file.error(test.at, f'test "{test.name}" is also on line {names[test.name].line}; rename one', "clash")
        names.setdefault(test.name, test.at)
        for given in test.given:
            _given(file, given, tools, data_order)
        if test.call is None:
            file.error(test.at, "a test makes one call; write `call TOOL(…)`", "test")
        if not test.expects:
            file.error(test.at, "a test expects something; write `expect block`, say", "test")
        for call in (*test.after, *((test.call,) if test.call is not None else ())):
            if tools.by_name and nfc(call.tool) not in tools.by_name:
                near = file.near(call.tool, tools.by_name)
                file.warn(call.at, f"tool `{call.tool}` is not declared{near}", "undeclared")
        for expect in test.expects:
            _expect(file, expect, known)


def _given(file: File, given: s.Given, tools: Tools, data_order: tuple[str, ...]) -> None:
    if given.subject not in SUBJECTS:
        near = file.near(given.subject, SUBJECTS)
        file.error(
            given.at, f"unknown `given {given.subject}`{near or '; write one of ' + ', '.join(SUBJECTS)}", "test"
        )
        return
    words = [value.value for value in given.values if isinstance(value, s.Text | s.Name)]
    if given.subject not in MANY and len(words) != 1:
        file.error(given.at, f'a test gives one {given.subject}, like `given {given.subject} "…"`', "test")
    elif given.subject == "data" and words[0] not in data_order:
        near = file.near(words[0], data_order)
        choice = near or f"; write one of {', '.join(data_order)}"
        file.error(given.at, f"`{words[0]}` is none of the words of `data`{choice}", "unknown-word")
    elif given.subject == "mode" and words[0] not in MODE_NAMES:
        near = file.near(words[0], MODE_NAMES)
        file.error(
            given.at, f"unknown mode `{words[0]}`{near or '; write observe, progressive, step_up or block'}", "test"
        )
    elif given.subject == "baseline":
        _baseline(file, given, tools)
    elif given.subject == "at":
        _moment(file, given)


def _baseline(file: File, given: s.Given, tools: Tools) -> None:
    if not given.tool or not given.argument:
        file.error(
            given.at, 'write the tool and the argument, like `given baseline send_email.to "a@b.example"`', "test"
        )
        return
    found = tools.declared(given.tool)
    names = {param.name for tool in found for param in tool.params}
    if found and given.argument not in names and not any(tool.more for tool in found):
        near = file.near(given.argument, names)
        file.error(given.at, f"unknown argument `{given.argument}` of {given.tool}{near}", "unknown-argument")


def _moment(file: File, given: s.Given) -> None:
    texts = [value for value in given.values if isinstance(value, s.Text)]
    try:
        datetime.fromisoformat(texts[0].value if texts else "")
    except ValueError:
        file.error(given.at, "write a date and a time, like `at 2026-11-23 03:00`", "date")
    if len(texts) > 1:
        zone_mistake(file, texts[1])


def _expect(file: File, expect: s.Expect, known: Mapping[str, str]) -> None:
    for effect in (expect.effect, expect.verdict):
        if effect is not None and effect.lower() not in EFFECTS:
            near = file.near(effect, EFFECTS)
            file.error(expect.at, f"unknown effect `{effect}`{near or '; write ' + ', '.join(EFFECTS)}", "unknown-name")
    for name in (*expect.by, *expect.rules):
        if name not in known:
            near = file.near(name, known)
            file.error(expect.at, f"unknown rule `{name}`{near}", "unknown-name")
        elif known[name] != name:
            kept = known[name]
            file.error(expect.at, f"`{name}` and `{kept}` are one rule, which goes by `{kept}`; expect that", "test")
    if expect.code is not None and expect.code not in REASONS:
        near = file.near(expect.code, REASONS)
        file.error(expect.at, f"unknown reason code `{expect.code}`{near or '; the list is closed'}", "unknown-name")
    for path, _ in expect.changed:
        if path.root != "args" or path.keys or not path.steps:
            file.error(path.at, 'a test expects changed arguments, like `expect args.body is "…"`', "test")
