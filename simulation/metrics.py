"""What `--fail-on` may ask of a simulation: a closed list of metrics, compared as the policy language compares.

`benign_blocked > 0.5% or flipped(ALLOW, BLOCK) > 0`. Three values, as in policies: what cannot be known (a score
without labelled calls) is unknown, and in doubt it fails.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

from ..contract import Effect, OperationError
from ..grammar.messages import did_you_mean
from .scores import METRICS as SCORES
from .scores import scores
from .tally import Outcome, Tally

SHARE, COUNT = "share", "count"
EFFECTS: Final = {
    "allowed": "ALLOW",
    "modified": "MODIFY",
    "stepped_up": "STEP_UP",
    "deferred": "DEFER",
    "blocked": "BLOCK",
}
SCORED: Final = {
    "goals_stopped": "GCS",
    "goals_blocked": "GCS_block",
    "goals_stepped_up": "GCS_step_up",
    "benign_blocked": "BHD",
    "benign_stepped_up": "BSU",
    "needed_blocked": "NCD",
    "twins_not_blocked": "twin",
    "fitting_twins_not_blocked": "twin_fitting",
}
ABOUT: Final[dict[str, tuple[str, str]]] = {
    **{name: (SHARE, f"of all calls, those that come out {effect}") for name, effect in EFFECTS.items()},
    "hypothetical": (SHARE, "of all calls, those behind a stop in their session"),
    "undeclared": (SHARE, "of all calls, those to a tool that nobody declared"),
    "misfits": (SHARE, "of all calls, those that fail their tool's declaration"),
    "goals_stopped": (SHARE, "GCS: of an attacker's calls, those not let through"),
    "goals_blocked": (SHARE, "GCS_block: of an attacker's calls, those blocked"),
    "goals_stepped_up": (SHARE, "GCS_step_up: of an attacker's calls, those held for a person"),
    "benign_blocked": (SHARE, "BHD: of the calls of benign sessions, those blocked"),
    "benign_stepped_up": (SHARE, "BSU: of the calls of benign sessions, those held for a person"),
    "needed_blocked": (SHARE, "NCD: of the calls that a user's task needs, under attack, those blocked"),
    "twins_not_blocked": (SHARE, "twin: of calls that a user wants and attackers want elsewhere, those not blocked"),
    "fitting_twins_not_blocked": (SHARE, "the same, of calls that fit their declaration"),
    "calls": (COUNT, "calls decided"),
    "sessions": (COUNT, "sessions replayed"),
    "changed": (COUNT, "calls that come out differently"),
    "flipped": (COUNT, "flipped(ALLOW, BLOCK): calls that were one and are now the other; * stands for any"),
    "decided": (COUNT, "decided(RULE): calls that a rule decides"),
    "never_fired": (COUNT, "rules that decide no call and never applied in those looked at"),
    "not_read": (COUNT, "lines and records that could not be read"),
}
TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d[\d_]*(?:\.\d+)?%?)|(?P<word>[A-Za-z_][\w.-]*)|\"(?P<text>[^\"]*)\"|(?P<sign><=|>=|[<>(),*=!]))"
)
HINTS: Final = {"=": "`is`", "!": "`is not`"}


class Known(NamedTuple):
    """The figures that metrics are read from."""

    tally: Tally
    undeclared: int
    never_fired: int
    not_read: int
    compared: bool


class FailOnError(OperationError):
    """An expression that cannot be read."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One comparison that failed: as written, and what the metric came to."""

    text: str
    value: str


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    arguments: tuple[str, ...]

    @property
    def unit(self) -> str:
        return ABOUT[self.name][0]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.arguments)})" if self.arguments else self.name


@dataclass(frozen=True, slots=True)
class FailOn:
    """An expression that has been read: what it asks of `Known`, three-valued, with the reasons that made it true."""

    text: str
    ask: Callable[[Known], tuple[bool | None, list[Reason]]]

    def fails(self, known: Known) -> list[Reason]:
        """Return why it fails, empty where it does not. What is unknown fails."""
        truth, reasons = self.ask(known)
        return [] if truth is False else reasons or [Reason(self.text, "unknown")]


def read_fail_on(text: str) -> FailOn:
    """Read an expression.

    Raises:
        FailOnError: where and what is wrong, and what to write instead.
    """
    return FailOn(text, _Parser(text).whole())


def value_of(metric: _Metric, known: Known) -> Fraction | None:
    """Return what a metric comes to, None where it cannot be known."""
    name, tally = metric.name, known.tally
    counts: dict[str, int] = {
        "calls": tally.calls,
        "sessions": tally.sessions,
        "never_fired": known.never_fired,
        "not_read": known.not_read,
    }
    if name in counts:
        return Fraction(counts[name])
    if name in SCORED:
        pooled = next((score for score in scores(tally) if score.name == "*/*"), None)
        rate = pooled.rates[SCORED[name]] if pooled else None
        return Fraction(rate.hits, rate.of) if rate and rate.of else None
    if name == "decided":
        return Fraction(tally.count(lambda one: metric.arguments[0] in one.rules))
    if name in ("flipped", "changed"):
        if not known.compared:
            return None
        old, new = metric.arguments or ("*", "*")
        return Fraction(tally.count(lambda one: _flipped(one, old, new)))
    if not tally.calls:
        return None
    where: dict[str, int] = {
        "hypothetical": tally.count(lambda one: one.hypothetical),
        "undeclared": known.undeclared,
        "misfits": tally.count(lambda one: not one.fits),
    }
    hits = where[name] if name in where else tally.count(lambda one: one.effect == EFFECTS[name])
    return Fraction(hits, tally.calls)


def _flipped(one: Outcome, old: str, new: str) -> bool:
    return bool(one.was) and one.was != one.effect and old in ("*", one.was) and new in ("*", one.effect)


class _Parser:
    """Reads one expression: `or` of `and` of `not` of comparisons, as policies bind them."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.tokens: list[tuple[str, str, int, int]] = []
        place = 0
        while place < len(text) and text[place:].strip():
            found = TOKEN.match(text, place)
            if found is None:
                at = place + len(text[place:]) - len(text[place:].lstrip())
                raise self._wrong(f"`{text[at]}` is nothing that can stand here", at)
            kind = str(found.lastgroup)
            self.tokens.append((kind, found[kind], found.start(kind), found.end()))
            place = found.end()

    def whole(self) -> Callable[[Known], tuple[bool | None, list[Reason]]]:
        if not self.tokens:
            raise self._wrong("an empty expression asks nothing", 0)
        found = self._any()
        if self.at < len(self.tokens):
            raise self._wrong(
                f"`{self._peek()[1]}` is one too many; join comparisons with `and` or `or`", self._peek()[2]
            )
        return found

    def _any(self) -> Callable[[Known], tuple[bool | None, list[Reason]]]:
        parts = [self._all()]
        while self._word("or"):
            parts.append(self._all())

        def ask(known: Known) -> tuple[bool | None, list[Reason]]:
            found = [part(known) for part in parts]
            truths = [truth for truth, _ in found]
            reasons = [reason for truth, why in found if truth is not False for reason in why]
            return (True if True in truths else None if None in truths else False), reasons

        return ask if len(parts) > 1 else parts[0]

    def _all(self) -> Callable[[Known], tuple[bool | None, list[Reason]]]:
        parts = [self._not()]
        while self._word("and"):
            parts.append(self._not())

        def ask(known: Known) -> tuple[bool | None, list[Reason]]:
            found = [part(known) for part in parts]
            truths = [truth for truth, _ in found]
            return (
                False if False in truths else None if None in truths else True,
                [reason for _, why in found for reason in why],
            )

        return ask if len(parts) > 1 else parts[0]

    def _not(self) -> Callable[[Known], tuple[bool | None, list[Reason]]]:
        if self._word("not"):
            inner = self._not()

            def ask(known: Known) -> tuple[bool | None, list[Reason]]:
                truth, why = inner(known)
                return (None if truth is None else not truth), why

            return ask
        if self._sign("("):
            found = self._any()
            self._expect(")")
            return found
        return self._comparison()

    def _comparison(self) -> Callable[[Known], tuple[bool | None, list[Reason]]]:
        start = self._peek()[2]
        metric = self._metric()
        kind, sign, at, _ = self._peek()
        if kind == "sign" and sign in HINTS:
            raise self._wrong(f"`{sign}` compares nothing here; write {HINTS[sign]}", at)
        if self._word("between"):
            low = self._number(metric)
            if not self._word("and"):
                raise self._wrong("`between` needs two numbers, as in `between 1% and 2%`", self._peek()[2])
            high = self._number(metric)
            return self._asked(metric, start, lambda value: low <= value <= high)
        if self._word("is"):
            negated = self._word("not")
            number = self._number(metric)
            return self._asked(metric, start, lambda value: (value == number) != negated)
        compare: Mapping[str, Callable[[Fraction, Fraction], bool]] = {
            "<": lambda one, other: one < other,
            "<=": lambda one, other: one <= other,
            ">": lambda one, other: one > other,
            ">=": lambda one, other: one >= other,
        }
        if kind != "sign" or sign not in compare:
            raise self._wrong(f"`{metric}` is compared with nothing; write `{metric} > {_sample(metric)}`", at)
        self.at += 1
        number = self._number(metric)
        return self._asked(metric, start, lambda value: compare[sign](value, number))

    def _asked(
        self, metric: _Metric, start: int, holds: Callable[[Fraction], bool]
    ) -> Callable[[Known], tuple[bool | None, list[Reason]]]:
        text = self.text[start : self.tokens[self.at - 1][3]].strip()

        def ask(known: Known) -> tuple[bool | None, list[Reason]]:
            value = value_of(metric, known)
            if value is None:
                return None, [Reason(text, f"{metric} is not known: {_why_unknown(metric)}")]
            return holds(value), [Reason(text, f"{metric} is {shown(metric.unit, value)}")]

        return ask

    def _metric(self) -> _Metric:
        kind, name, at, _ = self._peek()
        if kind != "word":
            raise self._wrong("a metric stands on the left, as in `blocked > 1%`", at)
        if name not in ABOUT:
            known = did_you_mean(name, ABOUT) or f"; the metrics are {', '.join(ABOUT)}"
            raise self._wrong(f"unknown metric `{name}`{known}", at)
        self.at += 1
        wanted = {"flipped": 2, "decided": 1}.get(name, 0)
        arguments: list[str] = []
        if wanted and self._sign("("):
            arguments.append(self._argument(name))
            while self._sign(","):
                arguments.append(self._argument(name))
            self._expect(")")
        if len(arguments) != wanted:
            sample = {"flipped": "flipped(ALLOW, BLOCK)", "decided": 'decided("rule")'}.get(name, name)
            raise self._wrong(f"`{name}` takes {wanted or 'no'} argument{'s' * (wanted != 1)}; write `{sample}`", at)
        return _Metric(name, tuple(arguments))

    def _argument(self, metric: str) -> str:
        kind, word, at, _ = self._peek()
        if kind not in ("word", "text") and word != "*":
            raise self._wrong(f"`{metric}` needs a name here", at)
        self.at += 1
        effects = [effect.value for effect in Effect]
        if metric != "flipped" or word == "*":
            return word
        if word.upper() not in effects:
            meant = did_you_mean(word.upper(), effects) or f"; write {', '.join(effects)}"
            raise self._wrong(f"unknown effect `{word}`{meant}", at)
        return word.upper()

    def _number(self, metric: _Metric) -> Fraction:
        kind, text, at, _ = self._peek()
        if kind != "number":
            raise self._wrong(f"a number is missing; write `{metric} > {_sample(metric)}`", at)
        self.at += 1
        percent = text.endswith("%")
        number = Fraction(text.rstrip("%").replace("_", ""))
        if percent and metric.unit == COUNT:
            raise self._wrong(f"`{metric}` is a count of calls, not a share; write `{text.rstrip('%')}`", at)
        if not percent and metric.unit == SHARE and number > 1:
            raise self._wrong(f"`{metric}` is a share; write `{text}%`", at)
        return number / 100 if percent else number

    def _peek(self) -> tuple[str, str, int, int]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "", len(self.text), len(self.text))

    def _word(self, word: str) -> bool:
        kind, text, *_ = self._peek()
        self.at += kind == "word" and text == word
        return kind == "word" and text == word

    def _sign(self, sign: str) -> bool:
        kind, text, *_ = self._peek()
        self.at += kind == "sign" and text == sign
        return kind == "sign" and text == sign

    def _expect(self, sign: str) -> None:
        if not self._sign(sign):
            raise self._wrong(f"`{sign}` is missing", self._peek()[2])

    def _wrong(self, what: str, at: int) -> FailOnError:
        return FailOnError(f"--fail-on:{at + 1}: {what}\n  {self.text}\n  {' ' * at}^")


def shown(unit: str, value: Fraction) -> str:
    """Return a value as a person reads it."""
    return f"{float(value) * 100:.2f}%" if unit == SHARE else f"{float(value):,.0f}"


def _sample(metric: _Metric) -> str:
    return "0.5%" if metric.unit == SHARE else "0"


def _why_unknown(metric: _Metric) -> str:
    if metric.name in ("flipped", "changed"):
        return "there is no other policy (`--against`), and the recording does not say what was decided"
    return "no call is labelled so" if metric.name in SCORED else "there was no call"


assert set(SCORED.values()) == set(SCORES), "every score is a metric"
