"""What Prometheus is told."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from mmsr_core.serve.queue import Job, Queue
from mmsr_core.serve.upscaling import Upscaling

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 150.0, 600.0)


class Meters:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        here = self._registry
        self._requests = Counter(
            "mmsr_requests", "Requests by path and status.", ("path", "status"), registry=here
        )
        self._jobs = Counter("mmsr_jobs", "Jobs by how they ended.", ("status",), registry=here)
        self._seconds = Histogram(
            "mmsr_job_seconds", "Seconds at work.", buckets=SECONDS, registry=here
        )
        self._pixels = Counter("mmsr_upscaled_pixels", "Pixels made.", registry=here)
        self._stages = Counter(
            "mmsr_stage_seconds", "Seconds at work by stage.", ("stage",), registry=here
        )
        self._waiting = Gauge("mmsr_waiting", "Jobs that wait.", registry=here)
        self._running = Gauge("mmsr_running", "Jobs at work.", registry=here)

    def request(self, path: str, status: int) -> None:
        """Count a request by its route, not by its own path."""
        self._requests.labels(path, str(status)).inc()

    def job(self, job: Job) -> None:
        """Count a job that ended."""
        self._jobs.labels(job.status).inc()
        if job.started:
            self._seconds.observe(job.finished - job.started)
        if job.status == "done" and isinstance(job.work, Upscaling):
            width, height = job.work.facts["upscaled"]
            self._pixels.inc(width * height)
            for stage, seconds in job.work.facts.get("stages", {}).items():
                self._stages.labels(stage).inc(seconds)

    def text(self, queue: Queue) -> bytes:
        """All of it, as Prometheus reads it."""
        waiting, running, _ = queue.counts()
        self._waiting.set(waiting)
        self._running.set(running)
        return generate_latest(self._registry)
