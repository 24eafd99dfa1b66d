"""What is measured of a server, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Measures:
    """Counters and histograms of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.jobs = Gauge("pellucid_jobs", "Jobs in the store by state.", ["state"], registry=self.registry)
        self._wait = Histogram(
            "pellucid_wait_seconds", "From acceptance to the start.", buckets=SECONDS, registry=self.registry
        )
        self._step = Histogram(
            "pellucid_step_seconds", "One sampling step of a batch.", buckets=SECONDS, registry=self.registry
        )
        self._batch = Histogram(
            "pellucid_batch_images", "Images sampled together.", buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )  # fmt: skip
        self._time = Histogram(
            "pellucid_job_seconds", "From acceptance to the end.", ["outcome"], buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.requests = Counter(
            "pellucid_requests", "Answers by path and status.", ["path", "status"], registry=self.registry
        )

    def waited(self, seconds: float) -> None:
        """Counts a job that starts after a wait."""
        self._wait.observe(max(seconds, 0))

    def began_batch(self, images: int) -> None:
        """Counts a batch."""
        self._batch.observe(images)

    def stepped(self, seconds: float) -> None:
        """Counts a sampling step."""
        self._step.observe(seconds)

    def ended(self, outcome: str, seconds: float) -> None:
        """Counts a job that ended, with the seconds since it was accepted."""
        self._time.labels(outcome).observe(max(seconds, 0))
