"""OpenTelemetry: a trace of each turn, exported where an endpoint is configured."""

from datetime import timedelta
from typing import Protocol

from services.room_agent.records import TurnRecord
from services.room_agent.stages import spans

SERVICE = "xstreamer"
QUEUED_SPANS = 4096


class SpanExport(Protocol):
    """Where the spans of turns go."""

    def turn(self, call: str, record: TurnRecord) -> None: ...

    def close(self) -> None: ...


class NoExport:
    """Nothing is configured."""

    def turn(self, call: str, record: TurnRecord) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class OtlpExport:
    """OTLP over HTTP, from a thread of its own; what the collector does not take is dropped."""

    def __init__(self, endpoint: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        resource = Resource.create({"service.name": SERVICE})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUED_SPANS))
        self._tracer = self._provider.get_tracer(SERVICE)

    def turn(self, call: str, record: TurnRecord) -> None:
        """One span for the turn and one for each of its stages."""
        from opentelemetry.trace import set_span_in_context

        def at_ns(after_ms: float) -> int:
            moment = record.voice_end_at + timedelta(milliseconds=after_ms)
            return round(moment.timestamp() * 1e6) * 1000

        stages = spans(record.points)
        root = self._tracer.start_span(
            "turn",
            start_time=at_ns(0),
            attributes={
                "xstreamer.call": call,
                "xstreamer.turn": record.turn,
                "xstreamer.outcome": record.outcome,
                "xstreamer.typed": record.typed,
            },
        )
        for span in stages:
            child = self._tracer.start_span(
                span.stage.name,
                context=set_span_in_context(root),
                start_time=at_ns(span.start_ms),
                attributes={"xstreamer.process": span.stage.process},
            )
            child.end(at_ns(span.end_ms))
        root.end(at_ns(max((span.end_ms for span in stages), default=0.0)))

    def close(self) -> None:
        """Export what waits, then end the thread."""
        self._provider.shutdown()


def span_export(endpoint: str | None) -> SpanExport:
    """The exporter of this configuration."""
    return NoExport() if endpoint is None else OtlpExport(endpoint)
