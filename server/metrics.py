"""The counters in Prometheus's text format, made when somebody asks."""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from .counts import LATENCY_S, Counts, Sum

COUNTERS: Final = {
    "connections": "connections taken on the Unix socket",
    "frame_errors": "bytes that were no frame or no request",
    "http_requests": "requests over HTTP",
    "internal": "mistakes of ours; the log has more of them, and this stays 0",
    "overridden": "refused calls that an operator's override let through",
    "reloads": "policies that came into force after the start",
    "reloads_failed": "policies that were read again and not taken",
    "resent": "requests that came again and were answered as before",
    "shed": "requests refused because there was too much to do or their deadline was past",
    "slow_readers": "clients sent away because they did not read",
    "unrecorded": "answers whose record did not become durable; they were given out as BLOCK, and this stays 0",
}
METRICS_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
OF_ONE: Final = frozenset({"evidence_lag_seconds", "longest_turn_seconds"})
"""Gauges that are not added up: the largest counts."""


class _Snapshot:
    def __init__(self, counts: Counts | Sum, gauges: Mapping[str, float]) -> None:
        self.counts, self.gauges = counts, gauges

    def collect(self) -> Iterable[Metric]:
        decisions = CounterMetricFamily("thoth_decisions", "decisions by effect", labels=["effect"])
        for effect, count in self.counts.by_effect.items():
            decisions.add_metric([effect], count)
        yield decisions
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"thoth_{name}", text, value=getattr(self.counts, name))
        latency = HistogramMetricFamily("thoth_answer_seconds", "from a request's last byte to its answer")
        total, buckets = 0, []
        for bound, count in zip((*LATENCY_S, float("inf")), self.counts.latency, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else repr(bound), total))
        latency.add_metric([], buckets, self.counts.latency_s)
        yield latency
        for name, value in self.gauges.items():
            yield GaugeMetricFamily(f"thoth_{name}", name.replace("_", " "), value=value)


def exposition(counts: Counts | Sum, gauges: Mapping[str, float]) -> bytes:
    """Return every counter and gauge as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(counts, gauges))
    return generate_latest(registry)


def added(several: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the gauges of several as those of one."""
    total: dict[str, float] = {}
    for gauges in several:
        for name, value in gauges.items():
            before = total.get(name, 0.0)
            total[name] = max(before, value) if name in OF_ONE else before + value
    return total
