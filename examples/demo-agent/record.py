"""Record the demo trace again: `python examples/demo-agent/record.py [FOLDER]`; the bytes are the same every time.

Writes demo.jsonl.gz (one call a line), demo-sessions.jsonl.gz (one session a line) and demo-results.jsonl.gz (whole
results by their digest) into FOLDER, examples/traces if unsaid. docs/replay.md describes the fields.
"""

import gzip
import hashlib
import io
import json
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent import Run, run, scalars
from scenarios import SCENARIOS

SEED = 20260302
ROUNDS = 10
ATTACKED_SHARE = 0.4
BEGIN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TARGET = Path(__file__).resolve().parents[1] / "traces"


def main(folder: Path) -> None:
    """Let the agent work through every scenario, and write down what it did."""
    chance = random.Random(SEED)
    calls, sessions, results = [], [], {}
    number = 0
    for round_ in range(ROUNDS):
        for place, scenario in enumerate(SCENARIOS):
            attacked = (round_ * 3 + place * 7) % 10 < 10 * ATTACKED_SHARE
            task = scenario(chance, attacked)
            # Two rounds happen in the evening, after the office has closed; in one of six attacks the agent resists.
            hour = 12 if round_ in (4, 9) else place % 7
            began = BEGIN + timedelta(days=round_ + 2 * (round_ // 5), hours=hour, minutes=chance.randrange(40))
            task.obeys = chance.random() < 5 / 6
            number += 1
            lines = recorded(run(task), f"demo/{task.name}/{number:03}", began, results)
            calls.extend(lines[0])
            sessions.append(lines[1])
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "demo.jsonl.gz", calls)
    write(folder / "demo-sessions.jsonl.gz", sessions)
    write(folder / "demo-results.jsonl.gz", [{"result_sha": sha, "text": text} for sha, text in results.items()])
    attacks = sum(session["run_kind"] == "attacked" for session in sessions)
    print(f"{folder}: {len(calls)} calls in {len(sessions)} sessions, {attacks} of them attacked")


def recorded(run: Run, session_id: str, began: datetime, results: dict[str, str]) -> tuple[list[dict], dict]:
    """Return the lines of a session's calls, and its own."""
    task = run.task
    attacked = task.plant is not None
    common = {
        "trace_id": hashlib.sha256(session_id.encode()).hexdigest()[:16],
        "source": "demo",
        "suite": "office",
        "session_id": session_id,
        "agent_id": task.agent,
        "model": "scripted",
        "defense": "none",
        "run_kind": "attacked" if attacked else "benign",
        "user_task": task.name,
        "injection_task": task.plant.name if task.plant else None,
        "attack": "planted_instruction" if attacked else None,
        "utility": run.useful,
        "security": run.attacked_with_success if attacked else None,
    }
    calls = []
    for seq, made in enumerate(run.calls):
        sha = hashlib.sha256(made.result.encode()).hexdigest()[:12] if made.result else None
        if sha:
            results[sha] = made.result
        planted = task.plant.text if task.plant else ""
        calls.append(
            common
            | {
                "seq": seq,
                "tool_name": made.step.tool,
                "tool_args": made.args,
                "is_injection_goal": made.step.role == "effect",
                "goal_role": made.step.role,
                "user_gt": "exact" if made.step.role is None and made.step.needed else None,
                "injection_seen": made.plant_seen,
                "arg_src": made.sources,
                "oracle_arg_in_injection": made.step.role is not None
                and any(len(text) >= 3 and text in planted for text in scalars(made.args)),
                "executed": made.executed,
                "tool_error": made.error,
                "ts": f"{began + timedelta(seconds=20 * seq):%Y-%m-%dT%H:%M:%S}.000Z",
                "tool_result_excerpt": made.result[:200],
                "result_sha": sha,
            }
        )
    session = common | {
        "n_calls": len(calls),
        "n_goal_calls": sum(call["is_injection_goal"] for call in calls),
        "injection_delivered": attacked and any(task.plant.text in made.result for made in run.calls),
        "user_prompt": task.prompt,
    }
    return calls, session


def write(path: Path, rows: list[dict]) -> None:
    """Write rows as JSON lines, compressed without a time or a name in the header."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as stream:
        for row in rows:
            stream.write(json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
    path.write_bytes(packed.getvalue())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
