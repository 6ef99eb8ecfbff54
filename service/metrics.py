"""What Prometheus reads: counted by this process, or asked of the database at the moment of the scrape."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector
from sqlmodel import Session

from storage.statistics import JobCount, compute_queue_age_s, count_jobs

METRICS_MEDIA_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """One registry per app: importing this module registers nothing."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            "tonok_http_request_duration_seconds",
            "Time from a request's arrival to the end of its answer.",
            ("method", "route", "status"),
            registry=self._registry,
        )

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request. route: the template, not the path."""
        self._latency.labels(method, route, str(status)).observe(seconds)

    def render(self, session: Session) -> bytes:
        """Everything in Prometheus' text format."""
        jobs = CollectorRegistry()
        jobs.register(_JobCollector(count_jobs(session), compute_queue_age_s(session)))
        return generate_latest(jobs) + generate_latest(self._registry)


class _JobCollector(Collector):
    def __init__(self, counts: list[JobCount], queue_age_s: float) -> None:
        self._counts = counts
        self._queue_age_s = queue_age_s

    def collect(self) -> Iterable[Metric]:
        number = GaugeMetricFamily("tonok_jobs", "Jobs by kind and status.", labels=("kind", "status"))
        duration = SummaryMetricFamily(
            "tonok_job_duration_seconds", "Time from first start to end.", labels=("kind", "status")
        )
        for count in self._counts:
            number.add_metric((count.kind, count.status), count.num_jobs)
            if count.num_timed:
                duration.add_metric((count.kind, count.status), count.num_timed, count.total_s)
        yield number
        yield duration
        yield GaugeMetricFamily(
            "tonok_queue_age_seconds", "How long the longest-waiting job has waited.", value=self._queue_age_s
        )
