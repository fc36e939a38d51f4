"""What the Thinker measures about itself: Prometheus series and the real-time factor."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from proto.wire.gpu_memory import gpu_memory_bytes
from thinker_server.reply import ReplyWork
from thinker_server.trace import (
    FIRST_TOKEN,
    SPEECH_READY,
    TRANSCRIPT_FINAL,
    USER_SPEECH_END,
    Trace,
)

_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
SMOOTHING = 0.3
"""Weight of the newest reply in the running averages."""


class ThinkerMetrics:
    """One set per process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.turns = Counter(
            "xstreamer_thinker_turns",
            "Replies by how they ended",
            ["reason"],
            registry=self.registry,
        )
        self.dropped_blocks = Counter(
            "xstreamer_thinker_dropped_audio_blocks",
            "Audio that came too fast",
            registry=self.registry,
        )
        self.sessions = Gauge("xstreamer_thinker_sessions", "Open sessions", registry=self.registry)
        self.tokens_per_s = Gauge(
            "xstreamer_thinker_tokens_per_second", "Speed of the brain", registry=self.registry
        )
        self.transcript_s = self._histogram(
            "xstreamer_thinker_transcript_seconds", "Pause to transcript"
        )
        self.first_token_s = self._histogram(
            "xstreamer_thinker_first_token_seconds", "Pause to first token"
        )
        self.first_speech_s = self._histogram(
            "xstreamer_thinker_first_speech_seconds", "Pause to speech"
        )
        self.failures = Counter(
            "xstreamer_thinker_failures", "Failures sent", ["code"], registry=self.registry
        )
        self.factor = Gauge(
            "xstreamer_thinker_real_time_factor",
            "Work seconds of brain and voice per second of speech; 0 without calls",
            registry=self.registry,
        )
        self.gpu_memory = Gauge(
            "xstreamer_thinker_gpu_memory_bytes",
            "GPU memory that the Thinker holds; 0 without CUDA",
            registry=self.registry,
        )
        self.gpu_memory.set_function(gpu_memory_bytes)
        self.real_time_factor = 0.0

    def replied(self, work: ReplyWork, speech_s: float, trace: Trace) -> None:
        """Take a finished reply into account."""
        if speech_s > 0:
            factor = (work.thinking_s + work.voicing_s) / speech_s
            weight = SMOOTHING if self.real_time_factor else 1.0
            self.real_time_factor += weight * (factor - self.real_time_factor)
            self.factor.set(self.real_time_factor)
        if work.thinking_s > 0:
            self.tokens_per_s.set(work.tokens / work.thinking_s)
        for histogram, name in (
            (self.transcript_s, TRANSCRIPT_FINAL),
            (self.first_token_s, FIRST_TOKEN),
            (self.first_speech_s, SPEECH_READY),
        ):
            seconds = trace.between_s(USER_SPEECH_END, name)
            if seconds is not None:
                histogram.observe(seconds)

    def _histogram(self, name: str, help_text: str) -> Histogram:
        return Histogram(name, help_text, buckets=_SECONDS, registry=self.registry)
