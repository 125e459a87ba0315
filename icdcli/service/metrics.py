"""What the service counts for Prometheus: no text, no code and no id of a note."""

from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from icdcli.service.engine import EngineLoad

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_NOTES = (1, 2, 4, 8, 16)


class ServiceMetrics:
    """The metrics of one application, in a registry of its own.

    Attributes:
        requests: Requests by client, route and status.
        seconds: The time of requests, by route.
        notes: Notes that were coded.
        characters: Their characters.
        batch_notes: The notes of each batch.
        batch_seconds: The time of each batch.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        labels = ("client", "route", "status")
        self.requests = Counter("icdcode_requests", "Requests", labels, registry=registry)
        self.seconds = Histogram(
            "icdcode_request_seconds",
            "Time of requests",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.notes = Counter("icdcode_notes", "Notes coded", registry=registry)
        self.characters = Counter("icdcode_characters", "Characters coded", registry=registry)
        self.batch_notes = Histogram(
            "icdcode_batch_notes", "Notes coded together", buckets=_NOTES, registry=registry
        )
        self.batch_seconds = Histogram(
            "icdcode_batch_seconds", "Time of batches", buckets=_SECONDS, registry=registry
        )
        self._model = Gauge("icdcode_model", "The model", ("name", "sha256"), registry=registry)
        ProcessCollector(registry=registry)

    def watch(self, load: Callable[[], EngineLoad], name: str, sha256: str) -> None:
        """Report how much waits for a model, and which model it is.

        Args:
            load: Returns how much waits.
            name: The name of the model.
            sha256: The hash of the model.
        """
        self._model.labels(name, sha256).set(1)
        self._registry.register(_Waiting(load))

    def count_batch(self, notes: int, characters: int, seconds: float) -> None:
        """Count a batch of notes; see `CodingEngine`."""
        self.notes.inc(notes)
        self.characters.inc(characters)
        self.batch_notes.observe(notes)
        self.batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class _Waiting(Collector):
    """How much waits for the model, when somebody asks."""

    def __init__(self, load: Callable[[], EngineLoad]) -> None:
        self._load = load

    def collect(self) -> Iterator[Metric]:
        load = self._load()
        for name, words, value in (
            ("requests", "Requests that wait for the model", load.requests),
            ("notes", "Notes that wait for the model", load.notes),
            ("characters", "Characters of the notes that wait", load.characters),
            ("background_notes", "Of these notes, those in the background", load.background),
        ):
            yield GaugeMetricFamily(f"icdcode_waiting_{name}", words, value)
