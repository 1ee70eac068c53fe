"""A sidecar process that is killed and started again under calls: every call that ran ends once in the evidence."""

import signal
import threading
import time
from collections import Counter
from pathlib import Path

import thoth
from thoth.evidence import LogReader
from thoth.evidence import init as make_log

from ..server.test_process import Process

CALLS, THREADS, KILLS = 300, 3, (100, 200)


def test_no_outcome_is_lost_when_the_sidecar_is_killed(tmp_path: Path) -> None:
    """The short version of the ten thousand calls of benchmarks/bench_sdk.py."""
    make_log(tmp_path / "evidence")
    options = ("--evidence", str(tmp_path / "evidence"), "--recording", "sync", "--state", str(tmp_path / "state"))
    served = [Process(tmp_path, *options)]
    ran, refused = [0] * THREADS, [0] * THREADS
    due = [threading.Event() for _ in KILLS]
    client = thoth.ThothClient(
        api_url=f"unix:{served[0].path}",
        spool=tmp_path / "spool",
        agent_id="bot",
        user_id="ann",
        tenant_id="acme",
        approved_scope=["search"],
    )

    def work(place: int) -> None:
        def search(q: str) -> str:
            ran[place] += 1
            return q

        governed = client.tool(search)
        for number in range(CALLS // THREADS):
            try:
                governed(str(number))
            except thoth.EnforcerUnavailable:
                refused[place] += 1
            for count, event in zip(KILLS, due, strict=True):
                if sum(ran) + sum(refused) >= count:
                    event.set()

    try:
        while not served[0].path.exists():
            assert served[0].process.poll() is None
            due[0].wait(0.01)
        threads = [threading.Thread(target=work, args=(place,)) for place in range(THREADS)]
        for thread in threads:
            thread.start()
        for event in due:
            assert event.wait(60)
            served[-1].kill(signal.SIGKILL)
            served.append(Process(tmp_path, *options))
        for thread in threads:
            thread.join(60)
        spool = client.guard.spool
        assert spool is not None
        deadline = time.monotonic() + 60
        while spool.flush(final=True):
            assert time.monotonic() < deadline
    finally:
        last = served.pop()
        last.kill()

    audit = client.audit()
    assert sum(ran) + sum(refused) == CALLS
    assert audit.balanced, str(audit)
    assert (audit.executions, audit.ungoverned, audit.lost) == (sum(ran), 0, 0)
    records = [entry.record for entry in LogReader(tmp_path / "evidence").entries()]
    let_through = {record["id"] for record in records if record.get("effect") == "ALLOW"}
    ended = Counter(record["decision"] for record in records if record.get("kind") == "outcome")
    assert sum(ended.values()) == sum(ran), "every call that ran is there"
    assert set(ended.values()) == {1}, "nothing is recorded twice"
    assert ended.keys() <= let_through, "no call ran ungoverned"
