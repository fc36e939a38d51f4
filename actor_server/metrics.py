"""Prometheus metrics of the Actor. Values are set by the server, in the event loop."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

CHUNKS: Final = Counter("xstreamer_actor_chunks", "AVChunks sent", ["kind"])
CHUNK_SECONDS: Final = Histogram(
    "xstreamer_actor_chunk_seconds",
    "Work time of one 0.32-s chunk",
    buckets=(0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.32, 0.64),
)
OPEN_SECONDS: Final = Histogram(
    "xstreamer_actor_open_seconds",
    "From OpenActorSession to SessionReady",
    buckets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
)
SESSIONS: Final = Gauge("xstreamer_actor_sessions", "Open sessions")
REAL_TIME_FACTOR: Final = Gauge(
    "xstreamer_actor_real_time_factor", "Work seconds per media second of one call"
)
EASED: Final = Gauge(
    "xstreamer_actor_eased_sessions", "Calls that save work because it did not fit the time"
)
PORTRAITS: Final = Counter("xstreamer_actor_portraits", "Portraits checked", ["code"])
FAILURES: Final = Counter("xstreamer_actor_failures", "Failures sent", ["code"])
