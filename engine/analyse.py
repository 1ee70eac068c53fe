"""What a checked policy says that its author hardly meant: rules that do nothing, or not what they seem to.

Nothing here is an error. `never-applies` and `shadowed` are certain: without such a rule every decision has the
same effect. The rest are habits that keep a policy readable, each with its code; a comment
`# lint: ignore CODE` above an item (above `policy`: for the whole file) silences it there.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final

from ..contract import Effect
from ..grammar import Message
from ..grammar import syntax as s
from ..grammar.messages import did_you_mean
from . import checked as c
from .implication import Orders, below, excluded, orders_of
from .shadow import shadows
from .testing import Coverage
from .wording import tests_of, word_condition, word_predicate, word_term

CODES: Final = {
    "unnamed": "a rule without `as ID`, whose id changes with every change of its text",
    "never-applies": "a rule that no call can make apply",
    "only-in-doubt": "a restriction whose conditions cannot be true, so that it applies only to what cannot be read",
    "lapsed": "a rule whose `until` has passed",
    "shadowed": "a rule beside a wider one that is at least as strict",
    "no-because": "a restriction without `because`",
    "untested": "a rule that no test makes apply",
    "any-or-all": "`any` where one item is enough to get through, or `all` where one item is enough to get away",
    "unused": "a set, pattern, hours, intent or agent that no condition asks for",
    "test-without-by": "a test that expects a stop and not by which rule",
    "lint-comment": "a `# lint: ignore` that names no known code",
}
"""Every code of this room with its meaning. The checker's warnings have codes of their own."""

RESTRICTIONS: Final = frozenset({Effect.MODIFY, Effect.STEP_UP, Effect.DEFER, Effect.BLOCK, "limit", "risk"})

_ignore = re.compile(r"lint:\s*ignore\s+(.+)")
_codes = re.compile(r"[A-Za-z][A-Za-z-]*")


def analyse(
    policy: c.CheckedPolicy,
    trees: Sequence[s.Policy],
    *,
    now: float,
    coverage: Coverage | None = None,
    warnings: Iterable[Message] = (),
    ignore: Iterable[str] = (),
) -> list[Message]:
    """Return findings about the files of `trees`, by place; `warnings` of the checker among them.

    `trees` are the files that the author answers for, the root among them; what a pack says is taken into
    account and not remarked upon. `now` decides what has lapsed; without `coverage`, the tests' reach is not
    asked for. Cost: rules of the same tools are compared pairwise, up to a bound (`shadow.PAIRS_MAX`).
    """
    files = {tree.source: _File(tree) for tree in trees}
    looker = _Analysis(policy, files, now)
    looker.rules()
    looker.shadows()
    looker.tests(coverage)
    for file in files.values():
        looker.names(file)
    skipped = frozenset(ignore)
    found = [message for message in (*looker.found, *warnings) if message.code not in skipped]
    for file in files.values():
        found += [m for m in file.unknown_codes(m.code for m in found) if m.code not in skipped]
    kept = [m for m in found if not (m.source in files and files[m.source].ignores(m))]
    return sorted(dict.fromkeys(kept), key=lambda m: (m.source, m.at.line, m.at.column, m.code))


class _File:
    """One file, its lines, and what its comments ask to be silent about."""

    def __init__(self, tree: s.Policy) -> None:
        self.tree = tree
        self.lines = tree.text.split("\n")
        self.silent: list[tuple[int, int, str, s.Span]] = []
        for item in tree.items:
            whole = isinstance(item, s.PolicyItem)
            self._listen(item.comments, 0 if whole else item.at.line, 1 << 62 if whole else item.at.end_line)
            for inner in item.items if isinstance(item, s.ForItem) else ():
                self._listen(inner.comments, inner.at.line, inner.at.end_line)

    def _listen(self, comments: Iterable[s.Comment], first: int, last: int) -> None:
        for comment in comments:
            said = _ignore.search(comment.text)
            for code in _codes.findall(said[1].split("  ")[0].split(":")[0]) if said else ():
                self.silent.append((first, last, code, comment.at))

    def ignores(self, message: Message) -> bool:
        """Tell whether a comment silences this."""
        return any(first <= message.at.line <= last and code == message.code for first, last, code, _ in self.silent)

    def unknown_codes(self, said: Iterable[str]) -> Iterator[Message]:
        """Return a finding for each code in a comment that nobody has."""
        known = {*CODES, *said, *CHECKER_CODES}
        for _, _, code, at in self.silent:
            if code not in known:
                near = did_you_mean(code, known) or f"; the codes are {', '.join(sorted(CODES))}"
                yield self.message(at, f"no finding has the code `{code}`{near}", "lint-comment")

    def first_word(self, at: s.Span) -> s.Span:
        """Return the place of the first word of an item."""
        rest = self.lines[at.line - 1][at.column - 1 :] if 0 < at.line <= len(self.lines) else ""
        return s.Span(at.line, at.column, at.line, at.column + max(1, len(rest.split(None, 1)[0]) if rest else 1))

    def message(self, at: s.Span, text: str, code: str) -> Message:
        """Return a finding at a place of this file."""
        line = self.lines[at.line - 1].rstrip("\r") if 0 < at.line <= len(self.lines) else ""
        return Message(text, self.tree.source, at, line, "warning", code)


CHECKER_CODES: Final = frozenset({"unseen", "no-key", "undeclared", "allow-left-out", "host-case", "approver-missing"})
"""Codes of the checker's warnings, which a comment may silence too."""


class _Analysis:
    """One pass over a policy; findings about files that nobody asked about are dropped where they arise."""

    def __init__(self, policy: c.CheckedPolicy, files: dict[str, _File], now: float) -> None:
        self.policy = policy
        self.files = files
        self.now = now
        self.orders: Orders = orders_of(policy)
        self.all_rules: tuple[c.Rule | c.ResultRule, ...] = (*policy.rules, *policy.result_rules)
        self.found: list[Message] = []
        self.idle: set[str] = set()

    def say(self, rule: c.Rule | c.ResultRule, text: str, code: str, at: s.Span | None = None) -> None:
        """Note a finding about a rule, at its first word where no test of it is named by its place."""
        if code in ("never-applies", "only-in-doubt", "lapsed", "shadowed"):
            self.idle.add(rule.id)
        if rule.source in self.files:
            file = self.files[rule.source]
            if at is not None:  # a test's, which counts lines from the rule's
                at = s.Span(at.line + rule.at.line, at.column, at.end_line + rule.at.line, at.end_column)
            self.found.append(file.message(at or file.first_word(rule.at), text, code))

    # ------------------------------------------------------------ each rule for itself

    def rules(self) -> None:
        for rule in self.all_rules:
            if not rule.named:
                self.say(rule, f"this rule has no name and goes by `{rule.id}`; write `as NAME`", "unnamed")
            self.possible(rule)
            self.quantifiers(rule)
        for rule in self.policy.rules:
            if rule.until is not None and rule.until <= self.now:
                self.say(rule, f"{_name(rule)} has lapsed; take it away, or give it a later `until`", "lapsed")
            if rule.effect in RESTRICTIONS and not rule.because:
                self.say(rule, f'{_name(rule)} does not say why; write `because "…"`', "no-because")

    def possible(self, rule: c.Rule | c.ResultRule) -> None:
        """Say where the conditions of a rule exclude each other, or its excuse covers all of them."""
        clash = excluded(rule.when, _tools_test(rule.tools), self.orders)
        if clash is not None:
            words = [f"`{_words(test)}`" if test.at != s.NOWHERE else "the rule's tools" for test in clash]
            why = f"{words[0]} is never true" if len(clash) == 1 else f"{words[0]} and {words[1]} are never both true"
            at = next((test.at for test in reversed(clash) if test.at != s.NOWHERE), None)
            remedy = "; where either is meant, write `or`" if len(clash) > 1 else ""
        elif rule.when != c.TRUE and below(rule.when, rule.unless):
            why = f"its `unless` excuses all that its `when` asks for (`{_cut(word_condition(rule.when))}`)"
            at, remedy = None, "; take one of the two away"
        else:
            return
        if isinstance(rule, c.Rule) and rule.effect == Effect.ALLOW:
            self.say(rule, f"{_name(rule)} never applies: {why}{remedy}", "never-applies", at)
        else:
            self.say(rule, f"{_name(rule)} applies only to what cannot be read: {why}{remedy}", "only-in-doubt", at)

    def quantifiers(self, rule: c.Rule | c.ResultRule) -> None:
        """Say where one item of a list decides for all of them to the attacker's liking."""
        opens = isinstance(rule, c.Rule) and rule.effect == Effect.ALLOW
        for condition, permits in ((rule.when, opens), (rule.unless, not opens)):
            for test in tests_of(condition):
                if test.each != ("any" if permits else "all") or not _of_arguments(test):
                    continue
                item = word_term(test.predicate.left)  # type: ignore[union-attr]
                other = "all" if permits else "any"
                meant = f"`{other} {word_predicate(test.predicate, test.negated)}`"
                if permits:
                    why = f"one item of `{item}` for which this is true lets all the others through"
                else:
                    why = f"one item of `{item}` for which this is false keeps the rule from all the others"
                self.say(rule, f"{why}; write {meant} if every item counts", "any-or-all", test.at)

    # ------------------------------------------------------------ rules beside each other

    def shadows(self) -> None:
        for rule, wider in shadows(self.policy, self.now):
            if rule.id in self.idle:
                continue
            if wider is None:
                text = f"{_name(rule)} changes nothing, since the policy says `default allow`; take it away"
            else:
                where = f"line {wider.at.line}" if wider.source == rule.source else f"{wider.source}:{wider.at.line}"
                how = "also allows" if wider.effect == Effect.ALLOW else _does(wider)
                text = f"{_name(rule)} changes nothing: {_name(wider)} ({where}) {how} whatever it applies to"
                text += "; take one of the two away, or narrow the wider one"
            self.say(rule, text, "shadowed")

    # ------------------------------------------------------------ tests

    def tests(self, coverage: Coverage | None) -> None:
        root = next((file for file in self.files.values() if _holds_tests(file, self.policy)), None)
        for test in self.policy.tests if root is not None else ():
            stops = [e for e in test.expects if e.effect not in (None, "allow") or e.verdict not in (None, "allow")]
            if stops and not any(e.by or e.rules or e.code for e in test.expects):
                effect = stops[0].effect or stops[0].verdict
                text = f"any rule may {effect} this, and the test passes; write `expect {effect} by RULE`"
                assert root is not None
                self.found.append(root.message(stops[0].at, text, "test-without-by"))
        if coverage is None:
            return
        if not self.policy.tests:
            first = next((rule for rule in self.policy.rules if rule.source in self.files), None)
            if first is not None:
                text = 'the policy has no tests; write one, like `test "…" { call TOOL(…) expect block by RULE }`'
                self.say(first, text, "untested")
            return
        for rule in self.policy.rules:
            if not coverage.applied[rule.id] and rule.id not in self.idle:
                self.say(rule, f"no test makes {_name(rule)} apply; write one that expects it", "untested")

    # ------------------------------------------------------------ names

    def names(self, file: _File) -> None:
        """Say which names of a file nothing asks for.

        A file that holds no rules gives its names to others, and a pack may ask for names of the file that
        uses it: then nothing is said.
        """
        tree = file.tree
        rules = [item for item in _unfolded(tree) if isinstance(item, s.RuleItem | s.ResultRuleItem)]
        if not rules:
            return
        alone = all(rule.source in self.files for rule in self.all_rules)
        used = set(_names_in(tuple(tree.items for tree in (one.tree for one in self.files.values()))))
        conditions = [rule.when for rule in self.all_rules]
        conditions += [rule.unless for rule in self.all_rules]
        asked = {type(test.predicate) for condition in conditions for test in tests_of(condition)}
        for item in tree.items:
            text = ""
            if alone and isinstance(item, s.SetItem | s.PatternItem | s.HoursItem) and item.name not in used:
                word = {s.SetItem: "set", s.PatternItem: "pattern", s.HoursItem: "hours"}[type(item)]
                text = f"{word} `{item.name}` is never used; take it away, or ask for it in a condition"
            elif isinstance(item, s.IntentItem) and c.InIntent not in asked:
                text = f"intent `{item.name}` changes nothing: no rule asks `tool in intent`"
            elif isinstance(item, s.AgentItem) and c.InScope not in asked:
                text = "this scope changes nothing: no rule asks `tool in scope`; write `allow * when tool in scope`"
            if text:
                self.found.append(file.message(item.at, text, "unused"))


# ---------------------------------------------------------------- small words


def _name(rule: c.Rule | c.ResultRule) -> str:
    return f"rule `{rule.id}`"


def _words(test: c.Test) -> str:
    return _cut(word_condition(test))


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"


def _does(rule: c.Rule) -> str:
    effect = rule.effect
    if effect == Effect.STEP_UP:
        return "asks the same of"
    return {Effect.BLOCK: "blocks", Effect.DEFER: "defers"}.get(effect, "covers")  # type: ignore[call-overload, no-any-return]


def _tools_test(tools: tuple[c.ToolPattern, ...]) -> tuple[c.Test, ...]:
    """Return what a rule's tools say of the attribute `tool`, where they are names and globs alone."""
    if not tools or any(tool.kind not in ("name", "glob") for tool in tools):
        return ()
    if all(tool.kind == "name" for tool in tools):
        return (c.Test(c.Member(c.Attribute("tool"), tuple(c.Constant(tool.value) for tool in tools))),)
    escaped = (tool.value if tool.kind == "glob" else re.sub(r"([\\*?])", r"\\\1", tool.value) for tool in tools)
    return (c.Test(c.Like(c.Attribute("tool"), tuple(escaped))),)


def _of_arguments(test: c.Test) -> bool:
    left: Any = getattr(test.predicate, "left", None)
    while isinstance(left, c.Apply):
        left = left.term
    return isinstance(left, c.Argument | c.Keys)


def _unfolded(tree: s.Policy) -> Iterator[s.Item]:
    for item in tree.items:
        yield item
        if isinstance(item, s.ForItem):
            yield from item.items


def _holds_tests(file: _File, policy: c.CheckedPolicy) -> bool:
    return bool(policy.tests) and policy.tests[0] in file.tree.items


def _names_in(node: object) -> Iterator[str]:
    """Return every bare name below a node that may stand for a set, a pattern or hours."""
    if isinstance(node, s.Name):
        yield node.value
    elif isinstance(node, tuple):
        for part in node:
            yield from _names_in(part)
    elif is_dataclass(node) and not isinstance(node, s.Span | s.TestItem):
        for one in fields(node):
            yield from _names_in(getattr(node, one.name))
