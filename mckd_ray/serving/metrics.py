"""What the endpoint counts, for Prometheus."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one replica of the ingress; a label tells replicas apart, as each scrape reaches one of them."""

    def __init__(self, replica: str) -> None:
        """`replica`: the value of that label."""
        self._registry, self._replica = CollectorRegistry(), replica
        self._requests = self._make(Counter, "mckd_requests", "Requests answered.", "path", "status")
        self._seconds = self._make(Histogram, "mckd_request_seconds", "Time to answer.", "path", buckets=_SECONDS)
        self._inputs = self._make(Counter, "mckd_inputs", "Inputs answered.", "outcome")
        self._tokens = self._make(Counter, "mckd_tokens", "Tokens of the inputs answered.")
        self._retries = self._make(Counter, "mckd_retries", "Calls repeated on another replica of the model.")
        self._waiting = self._make(Gauge, "mckd_inputs_waiting", "Inputs that wait for an answer.")

    def _make(self, kind: Any, name: str, text: str, *labels: str, **options: Any) -> Any:
        return kind(name, text, ("replica", *labels), registry=self._registry, **options)

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(self._replica, path, status).inc()
        self._seconds.labels(self._replica, path).observe(seconds)

    def answered(self, outcome: str, tokens: int) -> None:
        """An input was answered."""
        self._inputs.labels(self._replica, outcome).inc()
        self._tokens.labels(self._replica).inc(tokens)

    def retried(self) -> None:
        """A call was repeated."""
        self._retries.labels(self._replica).inc()

    def waiting(self, count: int) -> None:
        """So many inputs wait now."""
        self._waiting.labels(self._replica).set(count)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return bytes(generate_latest(self._registry))
