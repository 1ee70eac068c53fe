"""Everything that a simulation reports, as plain values: what `--format json` prints and other reports draw from."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ..contract import Effect
from ..engine.checked import CheckedPolicy, Rule
from .changes import cause_of, sentence, stricter
from .masking import Masking
from .metrics import Known
from .scores import METRICS, Score, scores
from .simulate import Simulation
from .tally import OTHERS, Outcome, Tally

EFFECTS: Final = tuple(effect.value for effect in Effect)
SHOWN_MAX: Final = 100
TOOLS_IN_GROUP: Final = 5
RECORDING, NOTHING = "recording", ""


def summary(done: Simulation) -> dict[str, Any]:
    """Return the report of a simulation, as JSON values. The same run gives the same report, but for what was timed."""
    tally = done.tally
    against = compared_with(done)
    undeclared = undeclared_calls(done)
    fates = rule_fates(done)
    masking = Masking((done.rerun, *([done.rerun_old] if done.rerun_old else [])), done.plan.show_values)
    because = {rule.id: rule.because for one in (done.old, done.new) if one is not None for rule in one.rules}
    return {
        "thoth_simulation": 1,
        "policy": _policy(done.new, done.plan.policy),
        "against": None
        if against == NOTHING
        else _policy(done.old, done.plan.old)
        if done.old
        else {"name": RECORDING},
        "learned": str(done.plan.learned) if done.plan.learned else None,
        "sources": [str(file) for file in done.files],
        "read": done.problems.as_json(),
        "jobs": {"used": done.jobs, "said": done.jobs_said},
        "seconds": round(done.seconds, 3),
        "calls_per_second": round(tally.calls / done.seconds) if done.seconds else None,
        "sessions": tally.sessions,
        "sessions_stopped": tally.sessions_stopped,
        "calls": tally.calls,
        "hypothetical": tally.count(lambda one: one.hypothetical),
        "from": _moment(tally.first_ts) if tally.calls else None,
        "to": _moment(tally.last_ts) if tally.calls else None,
        "days": len(tally.days),
        "effects": {
            "all": effects(tally),
            "as_recorded": effects(tally, lambda one: not one.hypothetical),
            "hypothetical": effects(tally, lambda one: one.hypothetical),
        },
        "by": dict(tally.by("by").most_common()),
        "reasons": dict(tally.by("reason_code").most_common()),
        "rules": fates,
        "never_fired": [one for one in fates if one["fate"].startswith("never")],
        "conditions": conditions(done),
        "looked_at": {"calls": done.coverage.looked, "of": done.coverage.calls} if done.coverage else None,
        "slowest": slowest(done),
        "tools": _broken_down("tool", tally.by("tool", "effect"), undeclared),
        "agents": _broken_down("agent", tally.agents),
        "changes": changes(tally, because, masking) if against != NOTHING else None,
        "stopped": stopped(tally, because, masking) if against == NOTHING else None,
        "people": people(tally),
        "scores": [_score(one) for one in scores(tally)],
        "scores_before_a_stop": [_score(one) for one in scores(tally, real_only=True)],
        "undeclared": {
            "calls": sum(undeclared.values()),
            "tools": [{"tool": tool, "calls": count} for tool, count in undeclared.most_common(SHOWN_MAX)],
        },
        "misfits": {
            "calls": tally.count(lambda one: not one.fits),
            "kinds": [
                {"tool": tool, "problem": what, "calls": count}
                for (tool, what), count in tally.misfits.most_common(SHOWN_MAX)
            ],
        },
    }


def known(done: Simulation) -> Known:
    """Return the figures that `--fail-on` asks for."""
    never = sum(fate["fate"] == "never applied" for fate in rule_fates(done))
    undeclared = sum(undeclared_calls(done).values())
    return Known(done.tally, undeclared, never, done.problems.count, compared_with(done) != NOTHING)


def compared_with(done: Simulation) -> str:
    """Return what the policy is compared with: another policy's name, the recording, or nothing."""
    if done.old is not None:
        return done.old.name or "the other policy"
    return RECORDING if any(one.was for one in done.tally.outcomes) else NOTHING


def _policy(policy: CheckedPolicy, files: Iterable[Any]) -> dict[str, Any]:
    return {
        "name": policy.name,
        "version": policy.version,
        "digest": policy.digest,
        "rules": len(policy.rules),
        "files": [str(file) for file in files],
    }


def _moment(ts: float) -> str:
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def effects(tally: Tally, where: Any = None) -> dict[str, int]:
    """Return the calls by effect, mildest first."""
    found = tally.by("effect", where=where)
    return {effect: found[effect] for effect in EFFECTS}


def _broken_down(
    name: str, calls: Counter[tuple[str, str]], undeclared: Counter[str] | None = None
) -> list[dict[str, Any]]:
    counts: dict[str, Counter[str]] = {}
    for (key, effect), count in calls.items():
        counts.setdefault(key, Counter())[effect] += count
    found = []
    for key, by in sorted(counts.items(), key=lambda item: (-item[1].total(), item[0]))[:SHOWN_MAX]:
        row: dict[str, Any] = {name: key, "calls": by.total(), **{effect: by[effect] for effect in EFFECTS}}
        if undeclared is not None:
            row["undeclared"] = undeclared[key]
        found.append(row)
    return found


# ---------------------------------------------------------------- rules


def rule_fates(done: Simulation) -> list[dict[str, Any]]:
    """Return for each rule how many calls it decides, and what became of one that decides none."""
    decides: Counter[str] = Counter()
    decides_real: Counter[str] = Counter()
    goals: Counter[str] = Counter()
    benign: Counter[str] = Counter()
    for outcome, count in done.tally.outcomes.items():
        for id in {*outcome.rules, *outcome.would_be, *outcome.trial}:
            decides[id] += count
            decides_real[id] += 0 if outcome.hypothetical else count
            goals[id] += count if outcome.kind == "goal" else 0
            benign[id] += count if outcome.kind == "benign" else 0
    watched = {one.rule.id: one for one in done.coverage.watched} if done.coverage else {}
    found = []
    for rule in done.new.rules:
        seen = watched.get(rule.id)
        fate = "decides"
        if not decides[rule.id]:
            if rule.effect == "risk":
                fate = "adds to the risk" if seen is None or seen.applied else "never applied"
            elif seen is None:
                fate = "never decides"
            elif not seen.concerned:
                fate = "never applied: none of its tools was called"
            else:
                fate = "never decides: where it applies another rule is stricter" if seen.applied else "never applied"
                if seen.applied and rule.effect == "limit":
                    fate = "never decides: there was always room"
                if seen.applied and rule.effect == Effect.ALLOW:
                    fate = "never decides: where it allows another rule restricts"
        found.append(
            {
                "rule": rule.id,
                "effect": str(rule.effect).lower(),
                "calls": decides[rule.id],
                "as_recorded": decides_real[rule.id],
                "goal": goals[rule.id],
                "benign": benign[rule.id],
                "fate": fate,
                "file": rule.source,
                "line": rule.at.line,
                "because": rule.because,
            }
        )
    return found


def conditions(done: Simulation) -> list[dict[str, Any]]:
    """Return the conditions that never were true, or never false, in the calls looked at."""
    if done.coverage is None:
        return []
    return [
        {"rule": rule.id, "condition": words, "never": missing, "file": rule.source, "line": rule.at.line}
        for rule, words, missing in done.coverage.never_taken()
    ]


def slowest(done: Simulation) -> list[dict[str, Any]]:
    """Return the rules whose conditions took longest to ask, in microseconds a call."""
    if done.coverage is None:
        return []

    def shown(rule: Rule, took_us: float, asked: int) -> dict[str, Any]:
        return {"rule": rule.id, "us": round(took_us, 2), "asked": asked, "file": rule.source, "line": rule.at.line}

    return [shown(*one) for one in done.coverage.slowest()]


def undeclared_calls(done: Simulation) -> Counter[str]:
    """Return the calls to tools that nobody declared where they were called, by tool."""
    found: Counter[str] = Counter()
    for (tool, suite), count in done.tally.by("tool", "suite").items():
        if tool != OTHERS and not done.rerun.declares(tool, suite or None):
            found[tool] += count
    return found


# ---------------------------------------------------------------- changes


def changes(tally: Tally, because: Mapping[str, str], masking: Masking) -> dict[str, Any]:
    """Return every decision that changes: a matrix, and groups by what changed them, stricter and larger ones first."""
    matrix = tally.by("was", "effect", where=lambda one: bool(one.was))
    changed = {pair: count for pair, count in matrix.items() if pair[0] != pair[1]}
    return {
        "compared": sum(matrix.values()),
        "changed": sum(changed.values()),
        "stricter": sum(count for (was, now), count in changed.items() if stricter(now, was)),
        "milder": sum(count for (was, now), count in changed.items() if stricter(was, now)),
        "matrix": [{"was": was, "now": now, "calls": count} for (was, now), count in sorted(matrix.items())],
        "groups": _groups(tally, because, masking, lambda one: bool(one.was) and one.was != one.effect),
    }


def stopped(tally: Tally, because: Mapping[str, str], masking: Masking) -> list[dict[str, Any]]:
    """Return the calls that are not let through, grouped by what stops them: where there is nothing to compare with."""
    return _groups(tally, because, masking, lambda one: one.effect not in ("ALLOW", "MODIFY"))


def _groups(tally: Tally, because: Mapping[str, str], masking: Masking, where: Any) -> list[dict[str, Any]]:
    gathered: dict[tuple[str, str, str], list[tuple[Outcome, int]]] = {}
    for outcome, count in tally.outcomes.items():
        if where(outcome):
            gathered.setdefault((outcome.was, outcome.effect, cause_of(outcome)), []).append((outcome, count))
    found: list[dict[str, Any]] = []
    for (was, now, cause), outcomes in gathered.items():
        tools: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        for outcome, count in outcomes:
            tools[outcome.tool] += count
            kinds[outcome.kind] += count
        total = sum(count for _, count in outcomes)
        top = sorted(tools.items(), key=lambda item: (-item[1], item[0]))[:TOOLS_IN_GROUP]
        found.append(
            {
                "cause": cause,
                "was": was or None,
                "now": now,
                "stricter": stricter(now, was) if was else None,
                "calls": total,
                "hypothetical": sum(count for outcome, count in outcomes if outcome.hypothetical),
                "kinds": {kind: kinds[kind] for kind in sorted(kinds) if kind},
                "tools": [{"tool": tool, "calls": count} for tool, count in top],
                "examples": [
                    {"text": sentence(one, because, masking), "session_id": one.call.session_id, "seq": one.call.seq}
                    for one in tally.examples.get((was, now, cause), ())
                ],
            }
        )
    found.sort(key=lambda group: (group["stricter"] is False, -group["calls"], group["cause"]))
    return found


# ---------------------------------------------------------------- people


def people(tally: Tally) -> dict[str, Any]:
    """Return what the policy costs people: questions per 100 calls, and per person and day."""
    step_ups = tally.count(lambda one: one.effect == "STEP_UP")
    by_day: Counter[str] = Counter()
    for (_, day), count in tally.disturbed.items():
        by_day[day] += count
    return {
        "step_ups": step_ups,
        "per_100_calls": 100 * step_ups / tally.calls if tally.calls else None,
        "as_recorded": tally.count(lambda one: one.effect == "STEP_UP" and not one.hypothetical),
        "approvers": _per_day("approver", tally.asked, len(tally.days)),
        "users": _per_day("user", tally.disturbed, len(tally.days)),
        "days": [{"day": day, "questions": by_day[day]} for day in sorted(tally.days)],
    }


def _per_day(name: str, counts: Counter[tuple[str, str]], days: int) -> list[dict[str, Any]]:
    by_person: dict[str, list[int]] = {}
    for (person, _), count in counts.items():
        by_person.setdefault(person, []).append(count)
    rows: list[dict[str, Any]] = [
        {name: person, "questions": sum(each), "per_day": sum(each) / max(1, days), "most_in_a_day": max(each)}
        for person, each in by_person.items()
    ]
    return sorted(rows, key=lambda row: (-row["questions"], row[name]))[:SHOWN_MAX]


def _score(score: Score) -> dict[str, Any]:
    rates = {name: score.rates[name].as_json() for name in METRICS}
    return {"source": score.source, "suite": score.suite, **rates}
