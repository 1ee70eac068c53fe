"""What every peer's driver shares: read a workload, check every answer against it, time the calls, write what came out.

    python drive_NAME.py WORKLOAD.json RESULT.json

Standard library only, and nothing of ours: it runs in the peer's own environment. What a call needs is prepared outside
the measured time (the request decoded and in the shape that the peer takes); inside it are the call and the reading of
its answer. A peer that is slow is stopped after `seconds_max` and says how many calls that were.
"""

import importlib.metadata
import json
import platform
import re
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

BATCH = 64


class Peer(Protocol):
    """One engine with the rules loaded."""

    def prepare(self, request: dict[str, Any]) -> Any:
        """Return what `ask` takes; not measured."""

    def ask(self, prepared: Any) -> Any:
        """Decide, and read the whole answer; measured."""

    def problem(self, answer: Any, applying: list[str]) -> str:
        """Return what is wrong with an answer, given the ids of all rules that apply; empty if nothing is."""


def drive(package: str, load: Any) -> None:
    """Run one driver; `load` takes the workload and returns a `Peer`."""
    workload = json.loads(Path(sys.argv[1]).read_text())
    begun = time.perf_counter()
    peer: Peer = load(workload)
    load_s = time.perf_counter() - begun
    texts, applying = workload["requests"], workload["applying"]
    checked = mismatches = 0
    first = ""
    end = time.perf_counter() + workload["seconds_max"]
    for text, ids in zip(texts, applying, strict=True):
        problem = peer.problem(peer.ask(peer.prepare(json.loads(text))), ids)
        checked += 1
        mismatches += bool(problem)
        first = first or (problem and f"{problem}: {text}")
        if time.perf_counter() > end:
            break
    rounds = [timed(peer, texts[:checked], workload["seconds_max"]) for _ in range(workload["rounds"])]
    result = {
        "package": package,
        "version": importlib.metadata.version(package),
        "python": platform.python_version(),
        "installed": sorted(f"{d.metadata['Name']}=={d.version}" for d in importlib.metadata.distributions()),
        "load_s": round(load_s, 3),
        "checked": checked,
        "mismatches": mismatches,
        "first_mismatch": first,
        "rounds": rounds,
    }
    Path(sys.argv[2]).write_text(json.dumps(result))


def timed(peer: Peer, texts: list[str], seconds_max: float) -> list[int]:
    """Return the nanoseconds of each call; each request is decoded anew and used once."""
    clock, ask = time.perf_counter_ns, peer.ask
    taken: list[int] = []
    end = clock() + round(seconds_max / 5 * 1e9)
    for start in range(0, len(texts), BATCH):
        batch = [peer.prepare(json.loads(text)) for text in texts[start : start + BATCH]]
        for prepared in batch:
            begun = clock()
            ask(prepared)
            taken.append(clock() - begun)
            if begun > end:
                return taken
    return taken


# ---------------------------------------------------------------- what translations need


def value_at(request: dict[str, Any], path: list[str]) -> Any:
    found: Any = request
    for step in path:
        found = found[step]
    return found


def holds(condition: dict[str, Any], value: Any) -> bool:
    """Say whether a condition holds that the peer has no words for; it is told the answer as a fact."""
    wanted = condition["value"]
    match condition["kind"]:
        case "under":
            return bool(value == wanted or value.startswith(wanted + "/"))
        case "like":
            return fnmatchcase(value, wanted)
        case "matches":
            return re.search(wanted, value) is not None
        case "any in":
            return any(item in wanted for item in value)
        case "all in":
            return all(item in wanted for item in value)
    raise AssertionError(condition["kind"])


class Facts:
    """Conditions that a peer has no words for, each computed for it as a named fact.

    Only those that the rules of a request's tool ask about are computed, and only the true ones are told; neither is
    measured. Both are to the peer's advantage.
    """

    def __init__(self, workload: dict[str, Any], kinds: set[str]) -> None:
        self.paths = {name: attribute["path"] for name, attribute in workload["attributes"].items()}
        self.kinds = kinds
        self.names: dict[str, str] = {}
        self.by_tool: dict[str, dict[str, dict[str, Any]]] = {}
        for rule in workload["rules"]:
            for condition in rule["conditions"]:
                if condition["kind"] in kinds:
                    self.by_tool.setdefault(rule["tool"], {})[self.name(condition)] = condition

    def name(self, condition: dict[str, Any]) -> str:
        return self.names.setdefault(json.dumps(condition), f"f{len(self.names)}")

    def true(self, request: dict[str, Any]) -> list[str]:
        """Return the names of the facts that hold of a request."""
        asked = self.by_tool.get(request["tool_name"], {})
        return [name for name, c in asked.items() if holds(c, value_at(request, self.paths[c["attribute"]]))]


def strictest(workload: dict[str, Any]) -> Any:
    """Return a function from the ids that apply to those of the strictest effect among them, and whether it permits."""
    effect_of = {rule["id"]: rule["effect"] for rule in workload["rules"]}

    def of(applying: list[str]) -> tuple[bool, list[str]]:
        for effect in ("block", "defer", "step_up"):
            found = [id for id in applying if effect_of[id] == effect]
            if found:
                return False, found
        return bool(applying), applying

    return of
