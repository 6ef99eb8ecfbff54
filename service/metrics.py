"""What Prometheus reads: counted by this process, or asked of the database at the moment of the scrape.

Every label takes its values from a short list of ours: kinds, statuses, route templates, the methods of HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from storage.statistics import ServiceStatistics
from storage.tables import JobStatus

METRICS_MEDIA_TYPE = CONTENT_TYPE_LATEST

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Long polls take up to 30 seconds.
_LATENCY_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class DiskUsage(Protocol):
    """As `shutil.disk_usage` answers, in bytes."""

    @property
    def total(self) -> int:
        """All."""

    @property
    def free(self) -> int:
        """What may still be written."""


@dataclass(frozen=True)
class Snapshot:
    """What a scrape asks of the world; None where there was no answer. slots: of each live worker."""

    disk: DiskUsage | None = None
    statistics: ServiceStatistics | None = None
    slots: Sequence[int] | None = None


class Metrics:
    """One registry per app: importing this module registers nothing."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self._kinds = tuple(kinds)
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._latency = Histogram(
            "tonok_http_request_duration_seconds",
            "Time from a request's arrival to the end of its answer; a stream's is the time that it was open.",
            ("method", "route", "status"),
            buckets=_LATENCY_BOUNDS_S,
            registry=self._registry,
        )
        self.open_streams = Gauge("tonok_http_streams", "Open streams of events.", registry=self._registry)

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request. route: the template, not the path."""
        # A client may send any word as its method.
        self._latency.labels(method if method in _METHODS else "other", route, str(status)).observe(seconds)

    def render(self, snapshot: Snapshot) -> bytes:
        """Everything in Prometheus' text format."""
        asked = CollectorRegistry()
        asked.register(_SnapshotCollector(snapshot, self._kinds))
        return generate_latest(asked) + generate_latest(self._registry)


class _SnapshotCollector(Collector):
    def __init__(self, snapshot: Snapshot, kinds: tuple[str, ...]) -> None:
        self._snapshot = snapshot
        self._kinds = kinds

    def collect(self) -> Iterable[Metric]:
        disk, statistics, slots = self._snapshot.disk, self._snapshot.statistics, self._snapshot.slots
        yield _gauge(
            "tonok_database_up", "1 where the database has answered this scrape, else 0.", int(slots is not None)
        )
        if disk is not None:
            yield _gauge("tonok_disk_size_bytes", "Size of the disk that holds the data directory.", disk.total)
            yield _gauge("tonok_disk_free_bytes", "What is free on it.", disk.free)
        if slots is not None:
            yield _gauge("tonok_workers", "Workers that gave a sign of life lately.", len(slots))
            yield _gauge("tonok_worker_slots", "Heavy jobs that they run at a time.", sum(slots))
        if statistics is not None:
            yield from self._collect_jobs(statistics)

    def _collect_jobs(self, statistics: ServiceStatistics) -> Iterable[Metric]:
        jobs = GaugeMetricFamily("tonok_jobs", "Jobs by kind and status.", labels=("kind", "status"))
        attempts = CounterMetricFamily("tonok_job_attempts", "Attempts that were started.", labels=("kind",))
        requeues = CounterMetricFamily(
            "tonok_job_requeues", "Jobs that went back into the queue, by kind and reason.", labels=("kind", "reason")
        )
        duration = HistogramMetricFamily(
            "tonok_job_duration_seconds", "Time from a job's first start to its end.", labels=("kind", "status")
        )
        # Zeros too: a rate over a series that appears with its first failure misses that failure.
        for kind in sorted({*self._kinds, *(kind for kind, _ in statistics.num_jobs)}):
            for status in JobStatus:
                jobs.add_metric((kind, status.value), statistics.num_jobs.get((kind, status), 0))
            attempts.add_metric((kind,), statistics.num_attempts.get(kind, 0))
            reasons = {reason for of, reason in statistics.num_requeues if of == kind} | {"worker_lost"}
            for reason in sorted(reasons):
                requeues.add_metric((kind, reason), statistics.num_requeues.get((kind, reason), 0))
        for labels, durations in sorted(statistics.durations.items()):
            cumulated = accumulate(durations.num_jobs.values())
            duration.add_metric(labels, list(zip(durations.num_jobs, cumulated, strict=True)), durations.total_s)
        yield from (jobs, attempts, requeues, duration)
        yield _gauge("tonok_queue_age_seconds", "How long the longest-waiting job has waited.", statistics.queue_age_s)
        yield _gauge(
            "tonok_stored_bytes", "Bytes of stored files, as often as they are named.", statistics.stored_bytes
        )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
