"""Prometheus metrics of the Actor, set by the server and by the rendering thread."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from actor_server.saving import Saving
from proto.wire.gpu_memory import gpu_memory_bytes

CHUNKS: Final = Counter("xstreamer_actor_chunks", "AVChunks sent", ["kind"])
CHUNK_SECONDS: Final = Histogram(
    "xstreamer_actor_chunk_seconds",
    "Work time of one 0.32-s chunk",
    buckets=(0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.32, 0.64),
)
PASS_SECONDS: Final = Histogram(
    "xstreamer_actor_pass_seconds",
    "Work time of one pass of the motion; a chunk's last one draws it too",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16, 0.32, 0.64),
)
CREDITS: Final = Gauge("xstreamer_actor_credits", "Granted chunks not made yet, over all calls")
QUEUE_DEPTH: Final = Gauge(
    "xstreamer_actor_queue_depth", "Messages that wait for the rendering thread"
)
DEGRADATIONS: Final = Counter(
    "xstreamer_actor_degradations",
    "How often a call went down to a step of saving work, or past it",
    ["step"],
)
GPU_MEMORY: Final = Gauge(
    "xstreamer_actor_gpu_memory_bytes", "GPU memory that the Actor holds; 0 without CUDA"
)
SPEECH_BLOCK_SECONDS: Final = Histogram(
    "xstreamer_actor_speech_block_seconds",
    "Work time of one block of the speech decoder",
    buckets=(0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.0, 2.0, 5.0),
)
OPEN_SECONDS: Final = Histogram(
    "xstreamer_actor_open_seconds",
    "From OpenActorSession to SessionReady",
    buckets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
)
SESSIONS: Final = Gauge("xstreamer_actor_sessions", "Open sessions")
REAL_TIME_FACTOR: Final = Gauge(
    "xstreamer_actor_real_time_factor",
    "Work seconds per media second of one call; 0 without calls",
)
EASED: Final = Gauge(
    "xstreamer_actor_eased_sessions",
    "Calls at each step of saving work because it did not fit the time",
    ["step"],
)
PORTRAITS: Final = Counter("xstreamer_actor_portraits", "Portraits checked", ["code"])
FAILURES: Final = Counter("xstreamer_actor_failures", "Failures sent", ["code"])
STEPS: Final = tuple(step for step in Saving if step)
# A series that begins with its first event has no rate until the second.
for _step in STEPS:
    EASED.labels(_step.label)
    DEGRADATIONS.labels(_step.label)
GPU_MEMORY.set_function(gpu_memory_bytes)
